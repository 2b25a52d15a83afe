# SPDX-License-Identifier: Apache-2.0
"""Which split an object belongs to: text lists, npy lists and DRC's .file, a table that Lua Torch wrote as text."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ...errors import DatasetError
from ..splits import SPLITS
from .arrays import read_npy
from .paths import read_text

_LIST = re.compile(
    r"(?:images_list_|softras_)?(?:(?P<synset>\w+?)_)?(?P<split>train|val|test)(?:_list)?\.(?:txt|lst|npy)"
)
_MAX_NESTING = 4
_MAX_ENTRIES = 1_000_000


def read_splits(directories: Iterable[Path]) -> dict[tuple[str, str], str]:
    """(synset or "", object id) -> split, from all lists in the folders; the first word counts.

    Names of lists: <synset>_train.txt, <synset>_train_list.txt or .npy, images_list_<synset>_train.npy,
    softras_train.lst, train.txt, and <synset>.file.
    """
    result: dict[tuple[str, str], str] = {}
    for folder in directories:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            for synset, split, name in _read_list(path):
                result.setdefault((synset, name), split)
    return result


def _read_list(path: Path) -> Iterator[tuple[str, str, str]]:
    match = _LIST.fullmatch(path.name)
    if path.suffix == ".file":
        for split, names in read_torch_splits(path).items():
            yield from ((path.stem, split, name) for name in names)
    elif match and path.is_file():
        names = _npy_names(path) if path.suffix == ".npy" else read_text(path).split()
        yield from ((match["synset"] or "", match["split"], _model(name, path)) for name in names)


def _model(name: str, path: Path) -> str:
    """The object id of "<id>", "<synset>/<id>" or, in lists of images, "<id>_<view>"."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return re.sub(r"_\d+$", "", last) if path.name.startswith("images_list") else last


def _npy_names(path: Path) -> list[str]:
    try:
        values = read_npy(path)
    except DatasetError:
        return []  # lists of objects are pickles; the txt lists beside them say the same
    return [
        one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one)
        for one in values.ravel().tolist()
    ]


def read_torch_splits(path: Path) -> dict[str, list[str]]:
    """Split -> object ids of a <synset>.file; raises DatasetError when it is something else.

    Torch's text serialisation, one value a line: a number is "1, value"; a string "2, length, text"; a table
    "3, reference, count" and then its keys and values in turn.
    """
    lines = iter(read_text(path).splitlines())
    try:
        table = _torch_value(lines, 0)
    except (StopIteration, ValueError, RecursionError) as error:
        raise DatasetError(
            f"{path} is not a split file as DRC wrote them ({error or 'it ends early'})."
        ) from error
    if not isinstance(table, dict):
        raise DatasetError(f"{path} holds no table of splits.")
    return {
        split: [name for name in members.values() if isinstance(name, str)]
        for split in SPLITS
        if isinstance(members := table.get(split), dict)
    }


def _torch_value(lines: Iterator[str], depth: int) -> float | str | dict:
    kind = int(next(lines))
    if kind == 1:
        return float(next(lines))
    if kind == 2:
        length, text = int(next(lines)), next(lines)
        if len(text.encode()) != length:
            raise ValueError(f"a text of {len(text)} bytes was announced with {length}")
        return text
    if kind != 3 or depth >= _MAX_NESTING:
        raise ValueError(f"unexpected type {kind}")
    next(lines)
    count = int(next(lines))
    if not 0 <= count <= _MAX_ENTRIES:
        raise ValueError(f"a table of {count} entries")
    table = {}
    for _ in range(count):
        key = _torch_value(lines, depth + 1)
        value = _torch_value(lines, depth + 1)
        if isinstance(key, dict):
            raise ValueError("a table as a key")
        table[key] = value
    return table


def split_for(splits: dict[tuple[str, str], str], synset: str, name: str) -> str | None:
    """Split of an object, from its category's list or one that names no category."""
    return splits.get((synset, name)) or splits.get(("", name))
