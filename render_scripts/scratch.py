# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder for the EXR of the view at work, and clearing up after processes that were killed."""

import os
import shutil
import tempfile
import time
from pathlib import Path

# The process id stands in the name: whoever ends a process (the farm), or comes later, knows what to remove.
PREFIX = "render_views-"
# Where several containers share /dev/shm, a process of another one looks dead; its folder changes with every view.
IDLE_SECONDS = 600.0


class scratch_folder:
    """Temporary folder of this process, in memory where the system offers that."""

    def __enter__(self) -> Path:
        """Make it, after the folders of killed processes are gone."""
        memory = Path("/dev/shm")
        parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
        remove_abandoned(parent)
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent))
        return self.path

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)


def remove_abandoned(parent: Path) -> None:
    """Remove the scratch folders whose process no longer lives."""
    for folder in parent.glob(PREFIX + "*"):
        number = folder.name[len(PREFIX) :].partition("-")[0]
        if number.isdecimal() and not _lives(int(number)) and _idle_seconds(folder) > IDLE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's; no such thing here (Windows)
        return True
    return True


def _idle_seconds(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:
        return 0.0
