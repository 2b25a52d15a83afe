# SPDX-License-Identifier: Apache-2.0
"""The process that runs jobs: `python -m recon_core.worker.runner`, started by the worker and by nobody else.

It reads a hello, jobs and cancels, and writes what the client is told. When its input ends it ends its whole process
group, whatever a job is doing: then the worker is gone.
"""

import json
import os
import queue
import signal
import sys
import threading
import traceback
from types import FrameType
from typing import Any

from ..errors import ReconError
from .jobs import Jobs
from .outbox import Outbox
from .process import descendants, end_all
from .protocol import (
    Cancel,
    Folders,
    Hello,
    Job,
    ProtocolError,
    Shutdown,
    error_message,
    lines_of,
    parse_message,
)


class Runner:
    """Jobs run on the main thread, where signals arrive; a thread reads, another writes."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._jobs: Jobs | None = None
        self._current: str | None = None
        self._cancelled: set[str] = set()

    def serve(self) -> None:
        """Run jobs until the input ends."""
        signal.signal(signal.SIGINT, self._interrupt)
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            self._run(self._waiting.get())

    def _run(self, job: Job) -> None:
        try:
            self._current = job.id
            try:
                if job.id in self._cancelled:  # before it was the current one
                    raise KeyboardInterrupt
                message = self._outcome(job)
            finally:
                self._current = None
        except KeyboardInterrupt:
            message = error_message("cancelled", "Cancelled.", job.id)
        self._outbox.put(message)

    def _outcome(self, job: Job) -> dict[str, Any]:
        def emit(stage: str, fraction: float | None, **fields: Any) -> None:
            self._outbox.progress(_about(job, "progress", stage=stage, fraction=fraction, **fields))

        assert self._jobs is not None
        try:
            fields = self._jobs.run(job, emit)
            json.dumps(fields, allow_nan=False)
            return _about(job, "result", **fields)
        except ProtocolError as error:
            return error_message(error.code, str(error), job.id)
        except ReconError as error:
            return error_message("failed", str(error), job.id)
        except MemoryError:
            return error_message(
                "failed", "The memory ran out. Close other programs, or ask for less.", job.id
            )
        except OSError as error:
            return error_message("failed", f"The files could not be read or written: {error}.", job.id)
        except Exception as error:
            traceback.print_exc()  # to the log
            text = f"Something unexpected went wrong ({type(error).__name__}: {error}). Details are in worker.log."
            return error_message("failed", text, job.id)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        if self._current is not None:  # else the job ended before its cancel came
            raise KeyboardInterrupt

    def _read(self) -> None:
        try:
            for line in lines_of(sys.stdin.buffer):
                message = parse_message(line or b"")
                if isinstance(message, Hello):
                    self._jobs = Jobs(Folders.of(message))
                elif isinstance(message, Cancel):
                    self._cancelled.add(message.id)
                    if message.id == self._current:
                        _signal_main_thread()
                elif isinstance(message, Shutdown):
                    break
                else:
                    self._cancelled.clear()  # ids may be used again; the server sends one job at a time
                    self._waiting.put(message)
        finally:
            end_own_group()


def _about(job: Job, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": job.id, "job": job.type, **fields}


def _signal_main_thread() -> None:
    """As Ctrl-C: it wakes the main thread from a wait, too."""
    ident = threading.main_thread().ident
    assert ident is not None
    signal.pthread_kill(ident, signal.SIGINT)


def end_own_group() -> None:
    """End this process and everything that it started, at once."""
    end_all(descendants(os.getpid()))
    if os.getpid() == os.getpgrp():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Keep standard output for messages; whatever prints, prints to the log."""
    descriptor = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    Runner(Outbox(descriptor, end_own_group)).serve()


if __name__ == "__main__":
    main()
