# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker: recon in a Python of its own, spoken to in JSON lines (docs/worker.md). No bpy: used on job threads."""

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from .jobs import Cancelled, Job, UserError

PROTOCOL = 1
MAX_MESSAGE_BYTES = 1 << 20
HELLO_S, CANCEL_S, CLOSE_S = 20.0, 5.0, 3.0
# A training saves a checkpoint when it is cancelled, and renderers end their Blenders.
LONG_CANCEL_S = {"train": 60.0, "render": 20.0}
# So many unusable lines in a row are no accident.
MAX_GARBAGE = 50
_FIX = "Check the path in Preferences > Add-ons > Recon, with Test."
_UPDATE = "Update recon in the worker's Python."


class NoWorker(UserError):
    """No worker is set, as where there is only the extension."""


def command_of(path: str) -> list[str]:
    """The command line of a worker, from the path of recon or of a Python that has it. Raises UserError."""
    if not path:
        raise NoWorker("No worker is set. Name recon's program or Python in Preferences > Add-ons > Recon.")
    program = Path(path).expanduser()
    if not program.is_file():
        raise UserError(f"The worker {program} does not exist. {_FIX}")
    # The path is not resolved: a venv's python is a link, and only works under its own name.
    if program.name.lower().startswith("python"):
        return [str(program), "-I", "-m", "recon_core.cli", "worker"]
    return [str(program), "worker"]


def find_program() -> str:
    """Where recon is, if it is in a usual place; else an empty text."""
    home, here = Path.home(), Path(__file__).resolve().parents[1]
    ending = Path("Scripts/recon.exe") if os.name == "nt" else Path("bin/recon")
    folders = [here / ".venv", home / "recon" / ".venv", home / ".venv", home / "recon3d" / ".venv"]
    found = shutil.which("recon")
    candidates = [Path(found)] if found else []
    candidates += [folder / ending for folder in folders]
    return next((str(path) for path in candidates if path.is_file()), "")


class Worker:
    """One worker process with its private job folder. One job at a time; close() ends it and all that it started.

    `read` and `write` are folders beside the job folder that jobs may use; `environment` is added to this process's
    own where that lacks it.
    """

    def __init__(
        self,
        command: list[str],
        read: list[str],
        write: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.command, self.read, self.write = command, read, write
        self._environment = environment or {}
        self.close_s: float | None = None  # how long it may take to end; CLOSE_S unless a job needs longer
        self.folder = Path(tempfile.mkdtemp(prefix="recon_job_")).resolve()  # mode 0700
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue(maxsize=1000)
        self._count, self._ended = 0, False
        self._busy = threading.Lock()
        self.hello: dict[str, Any] = {}
        try:
            self._process = self._start()
            _running.add(self)
            threading.Thread(target=self._read_output, name="recon worker", daemon=True).start()
            self.hello = self._shake_hands()
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether the process runs, and has not closed its output, as one does that is about to end."""
        return not self._ended and self._process.poll() is None

    def run(self, message: dict[str, Any], job: Job) -> dict[str, Any]:
        """Have a job done and return its result; progress goes to `job`. Raises UserError and Cancelled.

        A job of another thread is waited for: both would take the other's answers.
        """
        while not self._busy.acquire(timeout=0.1):
            job.check()
        try:
            return self._run(message, job)
        finally:
            self._busy.release()

    def _run(self, message: dict[str, Any], job: Job) -> dict[str, Any]:
        known = self.hello.get("jobs")
        if isinstance(known, list) and message["type"] not in known:
            raise UserError(f"The worker's recon cannot {message['type']} yet. {_UPDATE}")
        self._count += 1
        job_id = f"job{self._count}"
        self._send({**message, "id": job_id})
        deadline = None
        while True:
            if job.cancelling and deadline is None:
                self._send({"type": "cancel", "id": job_id})
                deadline = time.monotonic() + LONG_CANCEL_S.get(message["type"], CANCEL_S)
            if deadline is not None and time.monotonic() > deadline:
                self.close()
                raise Cancelled
            answer = self._next(0.1)
            if answer is None or answer.get("id") != job_id:
                continue
            if answer.get("type") == "progress":
                _pass_on(answer, job)
            elif answer.get("type") in ("result", "error"):
                return _outcome(answer, job)

    def inside(self, path: Any) -> Path:
        """A path that the worker named, if it leads into the job folder. Raises UserError."""
        found = (self.folder / str(path)).resolve()
        if self.folder not in found.parents:
            raise UserError(f"The worker named a file outside its folder: {found}.")
        return found

    def close(self) -> None:
        """End the process, its whole group if need be, and remove the folder."""
        _running.discard(self)
        process = getattr(self, "_process", None)
        if process is not None:
            self.ask_to_end()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.close_s or CLOSE_S)
            _kill_group(process)
            process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask_to_end(self) -> None:
        """Tell the process to end, without waiting for it."""
        process = getattr(self, "_process", None)
        if process is not None:
            with contextlib.suppress(OSError, ValueError):
                process.stdin.write(b'{"type":"shutdown"}\n')
                process.stdin.close()

    # --- inside ---

    def _start(self) -> subprocess.Popen:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment = {**self._environment, **environment}
        options: dict[str, Any] = {"start_new_session": True}
        if os.name == "nt":
            options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}  # type: ignore[attr-defined]
        try:
            with (self.folder / "stderr.txt").open("wb") as errors:
                return subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=self.folder,
                    env=environment,
                    **options,
                )
        except OSError as error:
            raise UserError(
                f"{self.command[0]} cannot be started: {error.strerror or error}. {_FIX}"
            ) from error

    def _shake_hands(self) -> dict[str, Any]:
        hello = {"type": "hello", "protocol": PROTOCOL, "client": "recon add-on"}
        if self.write:  # left out where not needed: workers of older recons do not know it
            hello["write"] = list(self.write)
        self._send({**hello, "job_folder": str(self.folder), "read": self.read})
        deadline = time.monotonic() + HELLO_S
        while time.monotonic() < deadline:
            answer = self._next(0.1)
            if answer is None:
                continue
            if answer.get("type") == "error":
                is_old = bool(self.write) and "write: unknown field" in str(answer.get("message"))
                old = f"The worker's recon is older than this add-on. {_UPDATE}"
                raise UserError(old if is_old else str(answer.get("message"))[:400])
            if answer.get("type") == "hello":
                if answer.get("protocol") != PROTOCOL:
                    raise UserError(
                        f"The worker speaks protocol {answer.get('protocol')}, not {PROTOCOL}. Update the older side."
                    )
                return answer
        raise UserError(f"{self.command[0]} does not answer. {_FIX}")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise UserError(f"The worker has ended. {self._last_words()}") from error

    def _next(self, seconds: float) -> dict[str, Any] | None:
        """The next message; None when there is none in time. Raises UserError when the worker has gone."""
        try:
            message = self._messages.get(timeout=seconds)
        except queue.Empty:
            if self.alive or not self._messages.empty():
                return None
            raise UserError(f"The worker has ended. {self._last_words()}") from None
        if message is None:
            self._ended = True
            raise UserError(f"The worker has ended, or is no recon. {self._last_words()}")
        return message

    def _read_output(self) -> None:
        """Lines into the queue, on a thread of its own; a flood of progress is dropped, a flood of garbage ends it."""
        garbage, stream = 0, self._process.stdout
        assert stream is not None
        with contextlib.suppress(OSError, ValueError):
            while garbage < MAX_GARBAGE:
                line = stream.readline(MAX_MESSAGE_BYTES + 1)
                if not line:
                    break
                message = _parsed(line)
                garbage = 0 if message else garbage + 1
                if message:
                    self._keep(message)
        with contextlib.suppress(queue.Full):
            self._messages.put(None, timeout=60)

    def _keep(self, message: dict[str, Any]) -> None:
        if message.get("type") == "progress":
            with contextlib.suppress(queue.Full):
                self._messages.put_nowait(message)
        else:
            self._messages.put(message, timeout=60)

    def _last_words(self) -> str:
        """The last line that it wrote to standard error, or what to do."""
        with contextlib.suppress(OSError):
            text = (self.folder / "stderr.txt").read_bytes()[-2000:].decode("utf-8", "replace")
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            if lines:
                return f"It said: {lines[-1][:200]}"
        return _FIX


def _parsed(line: bytes) -> dict[str, Any] | None:
    if len(line) > MAX_MESSAGE_BYTES:
        return None
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


_TOLD = (
    *("step", "steps", "loss", "losses", "val_mask_iou", "seconds_left", "sample"),
    *("objects", "objects_done", "objects_failed"),
)


def _pass_on(answer: dict[str, Any], job: Job) -> None:
    fraction, stage = answer.get("fraction"), str(answer.get("stage", ""))
    job.stage = stage.replace("_", " ").capitalize()
    if isinstance(fraction, (int, float)):
        job.fraction = min(max(float(fraction), 0.0), 1.0)
    for name in _TOLD:
        if answer.get(name) is not None:
            job.info[name] = answer[name]


def _outcome(answer: dict[str, Any], job: Job) -> dict[str, Any]:
    if answer["type"] == "result":
        return answer
    if answer.get("code") == "cancelled" or job.cancelling:
        raise Cancelled
    raise UserError(" ".join(str(answer.get("message")).split())[:400])


def _kill_group(process: subprocess.Popen) -> None:
    """Kill the process and whatever it started and left behind."""
    with contextlib.suppress(OSError):
        if os.name == "nt":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(CLOSE_S)


# --- the one worker of this Blender that is kept for the next job, and all that run -----------------------

_running: set[Worker] = set()
_lock = threading.Lock()
_current: Worker | None = None


def worker_for(command: list[str], read: list[str]) -> Worker:
    """The running worker, started anew when it has gone or must read other folders."""
    global _current
    with _lock:
        if _current is not None and (
            not _current.alive or _current.command != command or not set(read) <= set(_current.read)
        ):
            _current.close()
            _current = None
        if _current is None:
            _current = Worker(command, read)
        return _current


def close_worker() -> None:
    """End all running workers."""
    global _current
    with _lock:
        _current = None
    workers = list(_running)
    for worker in workers:  # all at once first: each may take some seconds
        worker.ask_to_end()
    for worker in workers:
        worker.close()
