# SPDX-License-Identifier: Apache-2.0
"""Folders and text files of a foreign data set: nothing is followed out of it, nothing large is read whole."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from ...errors import DatasetError

MAX_TEXT_BYTES = 64_000_000


def folders(parent: Path) -> list[Path]:
    """Folders in a folder, sorted, without hidden ones; none when it is not there."""
    if not parent.is_dir():
        return []
    return sorted(
        Path(one.path) for one in os.scandir(parent) if one.is_dir() and not one.name.startswith(".")
    )


def first_folder(candidates: Iterable[Path]) -> Path | None:
    """The first that is a folder."""
    return next((one for one in candidates if one.is_dir()), None)


def require_folder(path: Path) -> Path:
    """The path, when it is a folder; raises DatasetError."""
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise DatasetError(f"{path} {what}. Give the folder that holds the data set.")
    return path


def read_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """A text file of a sensible size; raises DatasetError."""
    try:
        size = path.stat().st_size
        if size > limit:
            raise DatasetError(f"{path} has {size / 1e6:.0f} MB, up to {limit / 1e6:g} MB are read.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not a text file ({error.reason} at byte {error.start}).") from error
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}.") from error


def inside(folder: Path, relative: object) -> Path:
    """A path that a file of the source names, below `folder`; raises DatasetError when it leads elsewhere.

    Links may point anywhere: data sets are often put together with them.
    """
    text = relative if isinstance(relative, str) else ""
    steps = text.replace("\\", "/").split("/")
    if not text or steps[0] == "" or ".." in steps or ":" in steps[0] or "\0" in text:
        raise DatasetError(f"{folder}: the path {relative!r} must stay inside this folder.")
    return folder.joinpath(*[step for step in steps if step != "."])


def is_plain_name(name: str) -> bool:
    """Whether a name can be a folder of its own: no separators, no hidden or special names."""
    return bool(name) and not name.startswith(".") and not set(name) & set("/\\:\0") and name.isprintable()


def numbered(folder: Path, pattern: str) -> dict[int, Path]:
    """Files whose whole name fits a pattern with one group of digits, by that number, in its order."""
    compiled = re.compile(pattern)
    found = {
        int(match.group(1)): Path(entry.path)
        for entry in os.scandir(folder)
        if (match := compiled.fullmatch(entry.name)) and entry.is_file()
    }
    return dict(sorted(found.items()))
