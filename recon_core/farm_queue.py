# SPDX-License-Identifier: Apache-2.0
"""What the farm still has to render: chunks of objects, attempts counted, and the quarantine. No processes here."""

import json
import math
from collections import deque
from collections.abc import Sequence
from typing import Any


class WorkQueue:
    """Chunks of object names that wait for a process.

    An object that a process died or hung on is tried again alone, so that it takes no other down, and is
    given up after `retries` more attempts.
    """

    def __init__(self, names: Sequence[str], jobs: int, chunk: int, retries: int = 1) -> None:
        # With few objects per job, whole chunks would leave processes idle.
        size = max(1, min(chunk, math.ceil(len(names) / max(jobs, 1))))
        self._chunks = deque(list(names[start : start + size]) for start in range(0, len(names), size))
        self._retries = retries
        self._attempts: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def take(self) -> list[str]:
        """Remove and return the next chunk."""
        return self._chunks.popleft()

    def give_back(self, names: Sequence[str]) -> None:
        """Put back objects that no process has worked on."""
        if names:
            self._chunks.appendleft(list(names))

    def blame(self, name: str) -> bool:
        """Count a failed attempt; return whether the object was queued again (False: it is given up)."""
        self._attempts[name] = self._attempts.get(name, 0) + 1
        if self._attempts[name] > self._retries:
            return False
        self._chunks.append([name])
        return True

    def attempts(self, name: str) -> int:
        """How many attempts on this object have failed."""
        return self._attempts.get(name, 0)


def parse_event(line: str) -> dict[str, Any] | None:
    """Return the event on a line that a rendering process printed, or None for any other text."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None
