# SPDX-License-Identifier: GPL-3.0-or-later
"""Many images, one after the other, in one job. No bpy here: the work runs on a thread.

The pixels come from the main thread, which alone may read images: it hands over one image at a time.
"""

import queue
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .jobs import Cancelled, Job, UserError
from .pipeline import Outcome

MAX_IMAGES = 1000
# Turns pixels (H,W,4) uint8 into a cloud, on the thread.
Reconstruct = Callable[[np.ndarray, Any], Outcome]


@dataclass(frozen=True)
class Failure:
    """An image that gave no cloud: why, in one line, and what is known beyond."""

    name: str
    message: str
    details: str = ""

    @property
    def line(self) -> str:
        """The message, with the image's name where it lacks it."""
        return self.message if self.name in self.message else f"{self.name}: {self.message}"


@dataclass
class Batch:
    """What came of a folder, in the order of its images."""

    outcomes: list[tuple[Path, Outcome]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def images_in(folder: Path, endings: frozenset[str] | set[str]) -> list[Path]:
    """The images of a folder in the order in which people count (2 before 10). Raises UserError."""
    try:
        files = [path for path in folder.iterdir() if path.suffix.lower() in endings and path.is_file()]
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be read: {error.strerror or error}.") from error
    found = sorted((path for path in files if not path.name.startswith(".")), key=_natural)
    if not found:
        raise UserError(f"{folder.name} holds no images.")
    if len(found) > MAX_IMAGES:
        raise UserError(
            f"{folder.name} holds {len(found):,} images; at most {MAX_IMAGES:,} go into one grid."
        )
    return found


def _natural(path: Path) -> list[tuple[int, str]]:
    pieces = re.split(r"(\d+)", path.name.casefold())
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in pieces]


# What makes pixels (H,W,4) uint8 of what the main thread has read; it touches no bpy, so that threads may call it.
Convert = Callable[[], np.ndarray]


class Feed:
    """Hands images from the main thread to the work, one at a time; converting them is left to the work."""

    def __init__(self) -> None:
        self._images: queue.Queue[Convert | UserError] = queue.Queue(maxsize=1)

    @property
    def full(self) -> bool:
        """Whether the next image has not been taken yet."""
        return self._images.full()

    def put(self, image: Convert | UserError) -> None:
        """Hand over the next image, or why it cannot be read. Main thread, only when not full."""
        self._images.put_nowait(image)

    def take(self, job: Job) -> np.ndarray:
        """Wait for the next image. Raises Cancelled, and UserError when it could not be read."""
        while True:
            job.check()
            try:
                image = self._images.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(image, UserError):
                raise image
            return image()


class Share:
    """Stands for the job towards the work on one image of many: progress counts within that image's share."""

    def __init__(self, job: Job, index: int, count: int, name: str) -> None:
        self._job, self._index, self._count, self._name = job, index, count, name
        self.info: dict[str, Any] = {}
        self.stage = ""

    @property
    def cancelling(self) -> bool:
        """Whether the whole was told to stop."""
        return self._job.cancelling

    @property
    def fraction(self) -> float:
        """How far the whole is."""
        return self._job.fraction

    @fraction.setter
    def fraction(self, value: float) -> None:
        self._job.fraction = (self._index + value) / self._count

    def check(self) -> None:
        """Raise Cancelled when the whole was told to stop."""
        self._job.check()

    def report(self, fraction: float, stage: str) -> None:
        """Say how far this image is."""
        self._job.report(
            (self._index + fraction) / self._count, f"{self._index + 1} of {self._count}: {self._name}"
        )


def work(paths: list[Path], feed: Feed, reconstruct: Reconstruct, job: Job) -> Batch:
    """Reconstruct every image; one that fails does not stop the others."""
    batch = Batch()
    for index, path in enumerate(paths):
        share = Share(job, index, len(paths), path.name)
        share.report(0.0, "")
        try:
            outcome = reconstruct(feed.take(job), share)
        except Cancelled:
            raise
        except Exception as error:  # whatever it is: the others must get their turn
            batch.failures.append(_failure(path, error))
            continue
        outcome.mask, outcome.crop = outcome.mask[:0], outcome.crop[:0]  # large, and of no use any more
        batch.outcomes.append((path, outcome))
    return batch


def _failure(path: Path, error: Exception) -> Failure:
    message = " ".join(str(error).split())[:400]
    if isinstance(error, (UserError, ValueError)) and type(error) is not ValueError and message:
        return Failure(path.name, message)
    return Failure(path.name, f"{type(error).__name__}: {message}", traceback.format_exc())


def summary(batch: Batch) -> str:
    """One line about the failures; empty without any."""
    if not batch.failures:
        return ""
    total, first = len(batch.outcomes) + len(batch.failures), batch.failures[0]
    number = "All" if not batch.outcomes else f"{len(batch.failures)} of"
    return f"{number} {total} images failed. The first: {first.line}"


def report(batch: Batch) -> str:
    """A line for every failure, with details where there are any."""
    lines = []
    for failure in batch.failures:
        lines.append(failure.line)
        lines += [f"    {line}" for line in failure.details.splitlines()]
    return "\n".join(lines)


def grid(count: int, spacing: float) -> np.ndarray:
    """Places (N,3) in rows from left to right (+X) and then to the back (+Y), about as many rows as columns."""
    columns = max(1, int(np.ceil(np.sqrt(count))))
    index = np.arange(count)
    return np.stack((index % columns, index // columns, 0 * index), 1) * float(spacing)
