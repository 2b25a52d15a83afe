# SPDX-License-Identifier: Apache-2.0
"""Child processes that report lines while they run, each in a process group of its own that can be ended whole."""

import os
import queue
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

# Long enough for a Python child to leave its `with` blocks, short enough for somebody who pressed Ctrl-C.
KILL_AFTER_SECONDS = 2.0
KEPT_ERROR_LINES = 40
MAX_LINE_BYTES = 1 << 16

# What a child says: itself, and one line of its standard output; None when its output has ended.
Message = tuple["Child", str | None]
Inbox = queue.Queue[Message]


class Child:
    """One running process; its output lines go to `inbox`, the end of its error output is kept."""

    def __init__(self, argv: Sequence[str], inbox: Inbox) -> None:
        # A session of its own: Ctrl-C in the terminal reaches only the parent, which ends the group in order.
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._errors: deque[str] = deque(maxlen=KEPT_ERROR_LINES)
        self._readers = [
            threading.Thread(target=self._pass_on, args=(inbox,), daemon=True),
            threading.Thread(target=self._keep_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """The process id, which is also the id of its group."""
        return self._process.pid

    def finish(self, timeout_seconds: float = 10.0) -> int:
        """Wait for the end, by force when it hangs at exit; return the exit status, negative for a signal."""
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return self.stop()
        for reader in self._readers:
            reader.join(KILL_AFTER_SECONDS)
        return self._process.returncode

    def stop(self) -> int:
        """End the whole group, as Ctrl-C does and then by force; return the exit status."""
        self._signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_AFTER_SECONDS)
        # Grandchildren, or a render call that cannot be interrupted, may be left in the group.
        self._signal(signal.SIGKILL)
        return self._process.wait()

    def error_text(self) -> str:
        """The last lines it wrote to standard error."""
        return "\n".join(self._errors)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _pass_on(self, inbox: Inbox) -> None:
        for line in _lines(self._process.stdout):
            inbox.put((self, line))
        inbox.put((self, None))

    def _keep_errors(self) -> None:
        self._errors.extend(_lines(self._process.stderr))


def _lines(stream: IO[bytes] | None) -> Iterator[str]:
    """Lines without their end; whatever is not UTF-8 is replaced, very long lines are cut in pieces."""
    assert stream is not None
    with stream:
        while line := stream.readline(MAX_LINE_BYTES):
            yield line.decode(errors="replace").rstrip("\r\n")


def stop_all(children: Sequence[Child]) -> None:
    """Stop children side by side, so that nobody waits for each in turn."""
    threads = [threading.Thread(target=child.stop) for child in children]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, so that an ended parent ends its children too (main thread only)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
