# SPDX-License-Identifier: Apache-2.0
"""The worker's handle on the process that runs jobs."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from .protocol import encode, lines_of


class RunnerProcess:
    """A running `recon_core.worker.runner` in a process group of its own; it is told and heard in messages.

    heard(message) and died(self, exit status) are called on a thread of its own; what it prints goes to the log.
    """

    def __init__(
        self,
        log: Path,
        heard: Callable[[dict[str, Any]], None],
        died: Callable[["RunnerProcess", int], None],
    ) -> None:
        self.log, self._heard, self._on_death = log, heard, died
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(log, flags, 0o600)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "recon_core.worker.runner"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=descriptor,
                start_new_session=True,
                env=os.environ | {"TQDM_DISABLE": "1", "PYTHONUNBUFFERED": "1"},
            )
        finally:
            os.close(descriptor)
        threading.Thread(target=self._listen, daemon=True).start()

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def send(self, message: dict[str, Any]) -> None:
        """Write one message; when nobody reads it any more, the end is heard of soon."""
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            self._process.stdin.write(encode(message))
            self._process.stdin.flush()

    def kill(self) -> None:
        """End the whole group and what it started, at once."""
        started = descendants(self._process.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        end_all(started)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in lines_of(self._process.stdout):
            with suppress(ValueError):
                message = json.loads(line or b"")
                self._heard(message)
        # Grandchildren of a process that crashed may be left in the group.
        status = self._process.wait()
        self.kill()
        self._on_death(self, status)


def descendants(pid: int) -> list[psutil.Process]:
    """What a process started, and that in turn: renderers have groups of their own. Asked for before it dies."""
    with suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def end_all(processes: list[psutil.Process]) -> None:
    """Kill processes that are still there."""
    for process in processes:
        with suppress(psutil.Error):
            process.kill()
