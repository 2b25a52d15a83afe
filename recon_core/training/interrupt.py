# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C asks the loop to stop after the step under way; a second one stops at once."""

import signal
import threading
from types import FrameType


class StopRequest:
    """A context in which SIGINT and SIGTERM set a flag; true once one came."""

    def __init__(self) -> None:
        self._asked = False
        self._previous: dict[int, object] = {}

    def __bool__(self) -> bool:
        return self._asked

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
