# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user and the farm read on stdout, kept apart from the noise Blender prints there."""

import io
import json
import os
import sys
from typing import Any, TextIO


def capture_stdout() -> TextIO:
    """Send everything that C or Python code prints to nowhere; return a stream that still reaches the real stdout."""
    sys.stdout.flush()
    real = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    return real


class Progress:
    """Prints events as JSON lines, as sentences, or not at all."""

    def __init__(self, stream: TextIO, as_json: bool, quiet: bool) -> None:
        self.stream, self.as_json, self.quiet = stream, as_json, quiet

    def emit(self, event: str, sentence: str | None, **fields: Any) -> None:
        """Report one event; `sentence` is what people read, None for events only machines want."""
        if self.as_json:
            self._write(json.dumps({"event": event, **fields}, allow_nan=False))
        elif sentence is not None and (not self.quiet or event in ("failed", "error")):
            self._write(sentence)

    def _write(self, line: str) -> None:
        try:
            print(line, file=self.stream, flush=True)
        except BrokenPipeError:
            # The reader went away (head, a closed farm): rendering goes on, there is nobody to tell.
            self.stream = io.StringIO()
