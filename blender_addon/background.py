# SPDX-License-Identifier: GPL-3.0-or-later
"""A second Blender in the background: how it is started, what it says, and how it is ended. No bpy: used on threads."""

import atexit
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .jobs import Job, UserError

# No start-up file and no scripts inside files; an error in a script gives an exit status, but only named before it.
FLAGS = ("--background", "--factory-startup", "--disable-autoexec", "--python-exit-code", "1")
MAX_LINE_BYTES = 1 << 16
_running: set[subprocess.Popen] = set()


def command(blender: str, script: Path, *words: str) -> list[str]:
    """The command line of a script in the program `blender`; where that is empty, in this Python with its bpy wheel."""
    start = [blender, *FLAGS, "--python"] if blender else [sys.executable]
    return [*start, str(script), "--", *words]


def start(line: list[str], log: Path, is_read: bool) -> subprocess.Popen:
    """Start a process in a group of its own; its errors, and its output unless that `is_read`, go to `log`.

    Raises UserError when it cannot be started.
    """
    group: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        group = {"creationflags": subprocess.CREATE_NO_WINDOW}  # type: ignore[attr-defined]
    try:
        with log.open("ab") as errors:
            process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if is_read else errors,
                stderr=errors,
                env=_environment(),
                **group,
            )
    except OSError as error:
        raise UserError(f"{line[0]} cannot be started: {error.strerror or error}.") from error
    _running.add(process)
    return process


def _environment() -> dict[str, str]:
    """This process's, but for what leads another Python astray."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def end(process: subprocess.Popen, grace_s: float = 0.0) -> None:
    """End a process with its group: asked to, as by Ctrl-C, when it is given some seconds, and then by force."""
    if process.poll() is None:
        if grace_s:
            interrupt(process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_s)
        _signal(process, getattr(signal, "SIGKILL", None))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3.0)
    _running.discard(process)


def interrupt(process: subprocess.Popen) -> None:
    """Ask a process and its group to stop, without waiting for it."""
    _signal(process, signal.SIGINT)


def _signal(process: subprocess.Popen, number: int | None) -> None:
    with contextlib.suppress(OSError):
        if os.name == "nt":
            process.kill()
        elif number is not None:
            os.killpg(process.pid, number)


@contextlib.contextmanager
def running(line: list[str], log: Path, job: Job, grace_s: float = 0.0) -> Iterator[subprocess.Popen]:
    """A process whose events are read; a cancel of the job stops it at once, and it is ended with the block."""
    process = start(line, log, is_read=True)
    job.on_cancel = lambda: interrupt(process) if grace_s else end(process)
    try:
        job.check()
        yield process
    finally:
        job.on_cancel = None
        end(process, grace_s)


def events(process: subprocess.Popen, job: Job, silence_s: float = float("inf")) -> Iterator[dict[str, Any]]:
    """The JSON objects among the lines that a process prints, until its output ends or `silence_s` pass without any.

    Whatever else it prints is dropped. Raises Cancelled.
    """
    inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(process, inbox), name="recon background", daemon=True).start()
    heard = time.monotonic()
    while time.monotonic() - heard < silence_s:
        job.check()
        with contextlib.suppress(queue.Empty):
            event = inbox.get(timeout=0.1)
            if event is None:
                return
            heard = time.monotonic()
            yield event


def _read(process: subprocess.Popen, inbox: "queue.SimpleQueue[dict[str, Any] | None]") -> None:
    stream = process.stdout
    assert stream is not None
    with contextlib.suppress(OSError, ValueError), stream:
        while line := stream.readline(MAX_LINE_BYTES):
            event = parsed(line)
            if event is not None:
                inbox.put(event)
    inbox.put(None)


def parsed(line: bytes) -> dict[str, Any] | None:
    """The JSON object on a line, None for anything else."""
    if not line.startswith(b"{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def last_words(log: Path) -> str:
    """The last line about an error in a log, else its last one; empty without any."""
    with contextlib.suppress(OSError):
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 20_000))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
        lines = [line for line in lines if line]
        about = [line for line in lines if "rror" in line]
        return (about or lines or [""])[-1][:300]
    return ""


@atexit.register
def _end_all() -> None:
    """No second Blender outlives this one."""
    for process in list(_running):
        end(process)
