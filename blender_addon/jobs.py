# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that run beside Blender: start, progress, cancel, result, error.

The work runs on a thread and touches no bpy: it gets arrays and paths and returns them. `poll` runs on the main
thread, from a timer, and hands results over there. What a job is about is remembered by name, never by reference, so
that undo, renaming and deleting in between are harmless.
"""

import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"


class Cancelled(Exception):
    """Raised inside the work when it has been cancelled."""


class UserError(Exception):
    """What went wrong in one line for the user."""


class Job:
    """One piece of work on a thread. `work(job)` returns the result; `on_done(result)` gets it on the main thread."""

    def __init__(self, title: str, work: Callable[["Job"], Any], on_done: Callable[[Any], None]) -> None:
        self.title, self.on_done = title, on_done
        self.state, self.stage, self.fraction = RUNNING, "", 0.0
        self.error, self.details = "", ""
        self.info: dict[str, Any] = {}
        self.started = time.perf_counter()
        self.on_cancel: Callable[[], None] | None = None
        self._work, self._result = work, None
        self._cancel = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"recon {title}", daemon=True)

    def start(self) -> "Job":
        """Begin on the thread."""
        self._thread.start()
        return self

    def report(self, fraction: float, stage: str) -> None:
        """Say how far the work is (0 to 1) and at what; raises Cancelled. Called by the work."""
        self.check()
        self.fraction, self.stage = min(max(fraction, 0.0), 1.0), stage

    def check(self) -> None:
        """Raise Cancelled when the job has been cancelled. Called by the work."""
        if self._cancel.is_set():
            raise Cancelled

    @property
    def cancelling(self) -> bool:
        """Whether the job was told to stop."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Tell the work to stop; its result is dropped whatever comes of it."""
        self._cancel.set()
        if self.on_cancel is not None:
            self.on_cancel()

    def wait(self, seconds: float | None = None) -> bool:
        """Block until the work has ended (tests and scripts)."""
        return self._ended.wait(seconds)

    @property
    def ended(self) -> bool:
        """Whether the work is over, and the result can be handed over."""
        return self._ended.is_set()

    def seconds_left(self) -> float | None:
        """A guess from the progress so far."""
        elapsed = time.perf_counter() - self.started
        if "seconds_left" in self.info:
            return self.info["seconds_left"]
        return elapsed / self.fraction * (1 - self.fraction) if self.fraction > 0.05 and elapsed > 1 else None

    def finish(self) -> None:
        """Hand the result over, on the main thread, once.

        The thread is over by then, to its last instruction: Blender 3.4 dies of operators under temp_override, as an
        undo step needs one, while another thread holds Python's lock.
        """
        if self._ended.is_set() and self._thread is not threading.current_thread():
            self._thread.join()
        if self.cancelling:
            self.state = CANCELLED
        elif self.error:
            self.state = FAILED
        else:
            try:
                self.on_done(self._result)
                self.state = DONE
            except Exception as error:
                self._fail(error)
                self.state = FAILED
        self._result = None

    def _run(self) -> None:
        try:
            self._result = self._work(self)
        except Cancelled:
            self._cancel.set()
        except (
            Exception
        ) as error:  # whatever it is: it must reach the panel, and the thread must end in order
            self._fail(error)
        finally:
            self._ended.set()

    def _fail(self, error: Exception) -> None:
        known = isinstance(error, (UserError, ValueError)) and "\n" not in str(error)
        self.error = str(error) if known and str(error) else f"{type(error).__name__}: {_first_line(error)}"
        # What was foreseen, and has no cause beneath, needs no more words.
        foreseen = known and type(error) is not ValueError and error.__cause__ is None
        self.details = "" if foreseen else traceback.format_exc()


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else "no further message"


class JobList:
    """The jobs under way, and the outcome of the last one that ended."""

    def __init__(self) -> None:
        self.active: list[Job] = []
        self.last: Job | None = None

    def start(self, job: Job) -> Job:
        """Start a job; raises UserError while one of the same title runs."""
        if any(other.title == job.title for other in self.active):
            raise UserError(f"{job.title} is already running. Cancel it first, or wait for it.")
        self.active.append(job)
        self.last = None
        return job.start()

    def poll(self) -> bool:
        """Hand over what has ended; whether anything is still under way. Main thread only."""
        for job in [job for job in self.active if job.ended]:
            self.active.remove(job)
            self.last = job
            job.finish()
        return bool(self.active)

    def cancel_all(self, wait_s: float = 2.0) -> None:
        """Cancel everything and drop the results; waits a little for the threads."""
        jobs, self.active = self.active, []
        for job in jobs:
            job.cancel()
        for job in jobs:
            job.wait(wait_s)
            job.state = CANCELLED
            self.last = job
