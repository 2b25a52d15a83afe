# SPDX-License-Identifier: Apache-2.0
"""`recon worker`: reads messages, keeps the queue, and starts, cancels and outlives the process that runs jobs.

Light: no torch here, so that it answers at once whatever a job is doing. docs/worker.md is what clients rely on.
"""

import os
import platform
import signal
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from .. import __version__
from ..children import terminable
from .outbox import Outbox
from .process import RunnerProcess
from .protocol import (
    JOBS,
    MAX_MESSAGE_BYTES,
    MAX_QUEUE,
    PROTOCOL,
    RESERVED,
    Cancel,
    CheckJob,
    ExportJob,
    Folders,
    Hello,
    Job,
    MeshJob,
    Message,
    PlaceJob,
    ProtocolError,
    ReconstructJob,
    RefineJob,
    RenderJob,
    Shutdown,
    TrainJob,
    error_message,
    lines_of,
    parse_message,
)

LOG_NAME = "worker.log"
# How long a cancelled job may take to end by itself: a training saves a checkpoint, renderers end their Blenders.
CANCEL_S = {"train": 120.0, "render": 30.0}
CANCEL_DEFAULT_S = 15.0
# How long the job under way may take when the worker ends.
CLOSE_S = 5.0
FLUSH_S = 2.0


class Server:
    """State of one conversation: the queue, the job under way, and the process that runs it."""

    def __init__(self, descriptor: int) -> None:
        self._outbox = Outbox(descriptor, _signal_self)
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self._hello: Hello | None = None
        self._folders: Folders | None = None
        self._queue: deque[Job] = deque()
        self._current: Job | None = None
        self._runner: RunnerProcess | None = None
        self._timer: threading.Timer | None = None
        self._cancels = 0
        self._closing = False

    def serve(self, stream: IO[bytes]) -> int:
        """Answer messages until `shutdown`, the end of the stream or SIGTERM; returns the exit status."""
        try:
            with terminable():
                for line in lines_of(stream):
                    status = self._answer(line)
                    if status is not None:
                        return status
        except KeyboardInterrupt:
            pass
        finally:
            self._close()
        return 0

    def _answer(self, line: bytes | None) -> int | None:
        """Handle one line; an exit status ends the worker."""
        try:
            if line is None:
                text = f"A line has more than {MAX_MESSAGE_BYTES} bytes. It was read over."
                raise ProtocolError("too_long", text)
            if not line.strip():
                return None
            message = parse_message(line)
            if isinstance(message, Shutdown):
                return 0
            self._handle(message)
        except ProtocolError as error:
            self._refuse(error)
            return 2 if error.code == "protocol" else None
        return None

    def _refuse(self, error: ProtocolError) -> None:
        """Answer with an error, without the id of a job that goes on: it would look like that job's end."""
        with self._lock:
            alive = {job.id for job in (self._current, *self._queue) if job is not None}
        job_id = None if error.job_id in alive else error.job_id
        self._outbox.put(error_message(error.code, str(error), job_id))

    def _handle(self, message: Message) -> None:
        if isinstance(message, Hello):
            self._greet(message)
        elif self._folders is None:
            raise ProtocolError("no_hello", f"The first message must be a hello, got {message.type!r}.")
        elif isinstance(message, Cancel):
            self._cancel(message.id)
        elif not isinstance(message, Shutdown):
            self._enqueue(message, self._folders)

    def _greet(self, hello: Hello) -> None:
        if self._hello is not None:
            raise ProtocolError(
                "no_hello", "There was a hello already. Start another worker for other folders."
            )
        folders = Folders.of(hello)
        log = folders.job / LOG_NAME
        self._hello, self._folders = hello, folders
        self._outbox.put(
            {
                "type": "hello",
                "protocol": PROTOCOL,
                "version": __version__,
                "python": platform.python_version(),
                "pid": os.getpid(),
                "jobs": list(JOBS),
                "reserved": list(RESERVED),
                "max_message_bytes": MAX_MESSAGE_BYTES,
                "max_queue": MAX_QUEUE,
                "log": str(log),
            }
        )

    def _enqueue(self, job: Job, folders: Folders) -> None:
        with self._lock:
            if any(job.id == other.id for other in (self._current, *self._queue) if other is not None):
                raise ProtocolError("duplicate_id", f"A job {job.id!r} has not ended yet.")
            checked = with_checked_paths(job, folders)
            if len(self._queue) >= MAX_QUEUE:
                text = f"{MAX_QUEUE} jobs are waiting already. Wait for a result."
                raise ProtocolError("queue_full", text, job.id)
            self._queue.append(checked)
            self._tell(job, "queued")
        self._start_next()

    def _cancel(self, job_id: str) -> None:
        with self._lock:
            waiting = next((job for job in self._queue if job.id == job_id), None)
            if waiting is not None:
                self._queue.remove(waiting)
                self._outbox.put(error_message("cancelled", "Cancelled before it began.", job_id))
            elif self._current is not None and self._current.id == job_id:
                self._cancel_current(self._current)
            else:
                raise ProtocolError("unknown_id", f"There is no job {job_id!r} to cancel.")

    def _cancel_current(self, job: Job) -> None:
        """Ask the job to end (with the lock held), and end its process when it does not in time."""
        if self._runner is None:
            return
        self._cancels += 1
        self._tell(job, "cancelling")
        self._runner.send({"type": "cancel", "id": job.id})
        patience = CANCEL_DEFAULT_S if self._cancels > 1 else CANCEL_S.get(job.type, CANCEL_DEFAULT_S)
        self._stop_timer()
        self._timer = threading.Timer(patience, self._kill, (job,))
        self._timer.daemon = True
        self._timer.start()

    def _kill(self, job: Job) -> None:
        with self._lock:
            if self._current is job and self._runner is not None:
                self._runner.kill()

    def _start_next(self) -> None:
        with self._lock:
            if self._current is not None or not self._queue or self._closing:
                return
            job = self._current = self._queue.popleft()
            self._cancels = 0
            try:
                runner = self._ready_runner()
            except OSError as error:  # the job folder is gone, or there is no memory for a process
                self._end_current(error_message("failed", f"The job cannot be started: {error}.", job.id))
                return
            self._tell(job, "start")
            runner.send(job.model_dump())

    def _ready_runner(self) -> RunnerProcess:
        assert self._hello is not None
        assert self._folders is not None
        if self._runner is None or not self._runner.is_alive():
            self._runner = RunnerProcess(self._folders.job / LOG_NAME, self._heard, self._died)
            self._runner.send(self._hello.model_dump())
        return self._runner

    def _heard(self, message: dict[str, Any]) -> None:
        """What the process that runs jobs says, on its reader's thread."""
        if message.get("type") == "progress":
            self._outbox.progress(message)
            return
        self._end_current(message)

    def _died(self, runner: RunnerProcess, status: int) -> None:
        with self._lock:
            if runner is not self._runner:
                return
            self._runner = None
            job = self._current
        if job is not None:
            text = _death(status, self._cancels, runner.log)
            self._end_current(error_message("cancelled" if self._closing else "crashed", text, job.id))

    def _end_current(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._stop_timer()
            if message.get("code") == "cancelled" and self._runner is not None:
                # Broken off anywhere, even amid an import: the next job gets a process in good order.
                self._runner.kill()
                self._runner = None
            self._outbox.put(message)
            self._current = None
            self._idle.notify_all()
        self._start_next()

    def _tell(self, job: Job, stage: str) -> None:
        self._outbox.progress(
            {"type": "progress", "id": job.id, "job": job.type, "stage": stage, "fraction": None}
        )

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        """End waiting jobs, the one under way (cleanly if it is quick), its process group, and the output."""
        with self._lock:
            self._closing = True
            for job in self._queue:
                self._outbox.put(error_message("cancelled", "The worker ended before it began.", job.id))
            self._queue.clear()
            if self._current is not None:
                self._cancel_current(self._current)
                self._idle.wait_for(lambda: self._current is None, CLOSE_S)
            runner = self._runner
        if runner is not None:
            runner.kill()
        with self._lock:
            self._idle.wait_for(lambda: self._current is None, FLUSH_S)
        self._outbox.close(FLUSH_S)


def with_checked_paths(job: Job, folders: Folders) -> Job:
    """The job with absolute paths inside the folders; raises ProtocolError for others and for missing ones."""
    paths: dict[str, Any] = {}
    if isinstance(job, ReconstructJob):
        paths = _all_existing(job, ("run", "image", "mask", "scribbles"), folders)
        paths["out"] = _writable(job, "out", folders)
    elif isinstance(job, TrainJob):
        paths = {"data": _existing(job, "data", folders)} | _training_paths(job, folders)
    elif isinstance(job, RenderJob):
        paths = {"meshes": _existing(job, "meshes", folders), "data": _writable(job, "data", folders)}
    elif isinstance(job, CheckJob):
        paths = {"data": _existing(job, "data", folders)}
        if job.sheet is not None:
            paths["sheet"] = _writable(job, "sheet", folders)
    elif isinstance(job, MeshJob):
        paths = {"cloud": _existing(job, "cloud", folders), "out": _writable(job, "out", folders)}
    elif isinstance(job, PlaceJob):
        paths = _all_existing(job, ("object", "image", "mask", "scribbles", "start"), folders)
        paths["out"] = _writable(job, "out", folders)
    elif isinstance(job, RefineJob):
        paths = {"source": _existing(job, "source", folders), "out": _writable(job, "out", folders)}
        for field in ("images", "masks", "cameras"):
            paths[field] = [_existing_path(text, field, job, folders) for text in getattr(job, field)]
    elif isinstance(job, ExportJob):
        paths = {"run": _existing(job, "run", folders), "out": _writable(job, "out", folders)}
    return job.model_copy(update=paths)


def _training_paths(job: TrainJob, folders: Folders) -> dict[str, Any]:
    new = job.recipe is not None and job.out is not None
    if new == (job.resume is not None) or (job.resume and (job.recipe or job.out or job.set)):
        text = "train: expected either recipe and out, or resume without recipe, out and set."
        raise ProtocolError("bad_message", text, job.id)
    if job.resume is not None:
        return {"resume": str(folders.to_write(job.resume, "resume", job.id))}
    assert job.recipe is not None
    assert job.out is not None
    paths = {"out": str(folders.to_write(job.out, "out", job.id))}
    if not job.recipe.replace("_", "").replace("-", "").isalnum():  # a file, not the name of a shipped recipe
        paths["recipe"] = _existing(job, "recipe", folders)
    return paths


def _writable(job: Job, field: str, folders: Folders) -> str:
    return str(folders.to_write(getattr(job, field), field, job.id))


def _existing(job: Job, field: str, folders: Folders) -> str:
    return _existing_path(getattr(job, field), field, job, folders)


def _all_existing(job: Job, fields: tuple[str, ...], folders: Folders) -> dict[str, Any]:
    """The same of those fields that are given."""
    return {field: _existing(job, field, folders) for field in fields if getattr(job, field) is not None}


def _existing_path(text: str, field: str, job: Job, folders: Folders) -> str:
    path = folders.to_read(text, field, job.id)
    if not path.exists():
        raise ProtocolError("path", f"{field} {path} does not exist.", job.id)
    return str(path)


def _death(status: int, cancels: int, log: Path) -> str:
    if cancels:
        return "The job did not stop when it was cancelled; its process was ended."
    if status == -signal.SIGKILL:
        return f"The job's process was killed, most likely because the memory ran out. See {log}."
    how = f"by signal {-status}" if status < 0 else f"with exit status {status}"
    return f"The job's process ended {how}. See {log}."


def _signal_self() -> None:
    """Nobody reads any more: end as by SIGTERM."""
    with suppress(ProcessLookupError):
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Keep standard output for messages and serve; returns the exit status."""
    if sys.stdin.isatty():
        print("Waiting for JSON messages, one per line (docs/worker.md). End with Ctrl-D.", file=sys.stderr)
    descriptor = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    # Unbuffered, so that a message is seen as soon as its line is whole.
    with os.fdopen(os.dup(0), "rb") as stream:
        return Server(descriptor).serve(stream)
