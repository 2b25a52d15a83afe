# SPDX-License-Identifier: Apache-2.0
"""One `recon` command as a child process: its output in a log file, its peak memory, an orderly end on Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError

POLL_S = 0.25
# A training that is asked to stop finishes its step and writes a checkpoint first.
STOP_AFTER_S = 120.0
MAX_LOG_BYTES = 1 << 16


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int  # exit status, negative for a signal
    wall_s: float
    peak_mb: float | None  # largest resident memory, MiB; None where the system does not say


@contextmanager
def claimed(folder: Path) -> Iterator[int]:
    """Hold a folder for one leaderboard at a time; yields the lock's descriptor, which children inherit.

    So a training that outlived a killed leaderboard keeps the folder held. Raises InputError when it is.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"Another leaderboard, or a training that one started, is at work in {folder}. Wait for it, or end it."
            ) from None
        yield lock.fileno()


def run_recon(
    arguments: Sequence[str | Path], log: Path, lock: int, threads: int, watch: Callable[[], None]
) -> Outcome:
    """Run `recon ARGUMENTS`, appending what it prints to `log` and calling `watch` now and then.

    On KeyboardInterrupt the child is asked to stop as by Ctrl-C, waited for, and the interrupt goes on.
    """
    command = [sys.executable, "-m", "recon_core.cli", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
    log.parent.mkdir(parents=True, exist_ok=True)
    started, peak_mb = time.monotonic(), None
    with log.open("ab") as output:
        output.write(f"$ recon {' '.join(map(str, arguments))}\n".encode())
        output.flush()
        # A session of its own: Ctrl-C in the terminal reaches only the parent, which passes it on once.
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=environment, start_new_session=True, pass_fds=(lock,),
        )  # fmt: skip
        try:
            while child.poll() is None:
                peak_mb = _peak_mb(child.pid) or peak_mb
                watch()
                with suppress(subprocess.TimeoutExpired):
                    child.wait(POLL_S)
        finally:
            if child.poll() is None:
                _stop(child)
    watch()
    return Outcome(child.returncode, time.monotonic() - started, peak_mb)


def failure(outcome: Outcome, log: Path) -> str:
    """Why a command failed, in a sentence: its own last words, or the signal that ended it."""
    if outcome.status < 0:
        name = signal.Signals(-outcome.status).name
        hint = "; the memory may have run out" if name == "SIGKILL" else ""
        return f"ended by {name}{hint}"
    lines = [line.strip() for line in re.split(r"[\r\n]+", _tail(log)) if line.strip()]
    told = next(
        (place for place in range(len(lines) - 1, -1, -1) if lines[place].startswith("error: ")), None
    )
    if told is None:
        return f"exit status {outcome.status}: {lines[-1] if lines else 'no output'}"
    return " ".join(lines[told:]).removeprefix("error: ")


def _tail(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - MAX_LOG_BYTES))
        return file.read().decode(errors="replace")


def _stop(child: subprocess.Popen) -> None:
    """SIGINT to the child's group and time to save; a second Ctrl-C, or no end, kills it."""
    _signal(child, signal.SIGINT)
    try:
        child.wait(STOP_AFTER_S)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        _signal(child, signal.SIGKILL)
        child.wait()


def _signal(child: subprocess.Popen, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def _peak_mb(pid: int) -> float | None:
    """Peak resident memory of a process so far; Linux alone says it.

    Not getrusage: its figure includes what the parent held when it forked.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    match = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(match[1]) / 1024 if match else None
