# SPDX-License-Identifier: Apache-2.0
"""What waits to be written: bounded, and nobody who reports progress ever waits for a slow reader."""

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .protocol import encode

# Answers to jobs are never dropped: who sends more of them than this, unread, waits.
MAX_PENDING = 10_000
# Complaints about lines that belong to no job: more are counted, not kept.
MAX_COMPLAINTS = 100


class Outbox:
    """Writes messages to a file descriptor on a thread of its own; of one job's progress the newest is kept."""

    def __init__(self, descriptor: int, on_broken: Callable[[], None]) -> None:
        self._descriptor, self._on_broken = descriptor, on_broken
        self._ready = threading.Condition()
        self._pending: deque[dict[str, Any]] = deque()
        self._progress: dict[str, dict[str, Any]] = {}
        self._complaints = self._dropped = 0
        self._closing = self._broken = False
        self._thread = threading.Thread(target=self._write_all, daemon=True)
        self._thread.start()

    def put(self, message: dict[str, Any]) -> None:
        """Send a message that must arrive, after everything that was put before; what it ends needs no progress."""
        with self._ready:
            complaint = message["type"] == "error" and message.get("id") is None
            if complaint and self._complaints >= MAX_COMPLAINTS:
                self._dropped += 1
                return
            while len(self._pending) >= MAX_PENDING and not self._broken:
                self._ready.wait()
            self._complaints += complaint
            if message.get("id") is not None:
                self._progress.pop(message["id"], None)
            self._pending.append(message)
            self._ready.notify_all()

    def progress(self, message: dict[str, Any]) -> None:
        """Send where a job is, unless there is newer news by the time the reader comes."""
        with self._ready:
            self._progress[message["id"]] = message
            self._ready.notify_all()

    def close(self, timeout_seconds: float) -> None:
        """Write what is left, for so long; a reader that does not read is left to itself."""
        with self._ready:
            self._closing = True
            self._ready.notify_all()
        self._thread.join(timeout_seconds)

    def _write_all(self) -> None:
        while (message := self._next()) is not None:
            try:
                _write(self._descriptor, encode(message))
            except OSError:
                break
        else:
            return
        with self._ready:
            self._broken = True
            self._ready.notify_all()
        with suppress(Exception):
            self._on_broken()

    def _next(self) -> dict[str, Any] | None:
        with self._ready:
            while not (self._pending or self._progress or self._closing):
                self._ready.wait()
            if self._pending:
                message = self._pending.popleft()
                self._ready.notify_all()
                return self._counted(message)
            if self._progress:
                return self._progress.pop(next(iter(self._progress)))
            return None

    def _counted(self, message: dict[str, Any]) -> dict[str, Any]:
        """Say with the last waiting complaint how many more there were."""
        if message["type"] != "error" or message.get("id") is not None:
            return message
        self._complaints -= 1
        if self._complaints or not self._dropped:
            return message
        text = f"{message['message']} ({self._dropped} more lines were refused and are not answered.)"
        self._dropped = 0
        return message | {"message": text}


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
