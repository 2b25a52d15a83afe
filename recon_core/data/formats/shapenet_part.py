# SPDX-License-Identifier: Apache-2.0
"""ShapeNet-Part's labelled point clouds: they give labels to the objects of a dataset that was imported before.

Layouts: <synset>/points/<id>.pts with <synset>/points_label/<id>.seg (or expert_verified/points_label); the version
with normals, <synset>/<id>.txt of x y z nx ny nz label; and <synset>/<id>/pointcloud_1024.npy with
pointcloud_labels.npy.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...errors import DatasetError
from ...pointcloud import PointCloud
from .arrays import cloud, read_npy
from .paths import folders, read_text
from .synsets import category_of

_MAX_FILE_BYTES = 64_000_000
_PTS, _SEG = "points", "points_label"
# Ids count on through the 16 categories in the version with normals: the first of each, and how many.
_FIRST_GLOBAL_ID = {
    "02691156": (0, 4), "02773838": (4, 2), "02954340": (6, 2), "02958343": (8, 4), "03001627": (12, 4),
    "03261776": (16, 3), "03467517": (19, 3), "03624134": (22, 2), "03636649": (24, 4), "03642806": (28, 2),
    "03790512": (30, 6), "03797390": (36, 2), "03948459": (38, 3), "04099429": (41, 3), "04225987": (44, 3),
    "04379243": (47, 3),
}  # fmt: skip


def labelled_clouds(source: Path, category: str | None = None) -> dict[str, Path]:
    """<category>/<id> -> the file with the points, of all layouts."""
    found = {}
    for folder in [source, *folders(source)]:
        name = category or category_of(folder.name)
        found |= {f"{name}/{path.stem}": path for path in _candidates(folder)}
        found |= {f"{name}/{path.parent.name}": path for path in folder.glob("*/pointcloud_1024.npy")}
    return dict(sorted(found.items()))


def _candidates(folder: Path) -> Iterator[Path]:
    yield from (folder / _PTS).glob("*.pts")
    if folder.name.isdigit():
        yield from folder.glob("*.txt")


def part_count(path: Path) -> int:
    """How many parts the category of a cloud's file has; 0 when that is not known."""
    return _FIRST_GLOBAL_ID.get(_synset(path), (0, 0))[1]


def read_labelled(path: Path) -> PointCloud:
    """Points in the file's own frame and labels from 1 on; raises DatasetError."""
    if path.suffix == ".txt":
        table = _table(path, 7)
        return cloud(table[:, :3], path, _local_labels(table[:, 6], path), table[:, 3:6])
    if path.suffix == ".npy":
        return cloud(read_npy(path), path, read_npy(path.with_name("pointcloud_labels.npy")))
    base = path.parent.parent
    places = (base / _SEG, base / "expert_verified" / _SEG)
    labels = next((one for one in (place / f"{path.stem}.seg" for place in places) if one.is_file()), None)
    if labels is None:
        raise DatasetError(f"{path} has no labels: there is no {_SEG}/{path.stem}.seg.")
    return cloud(_table(path, 3), path, _table(labels, 1)[:, 0])


def _synset(path: Path) -> str:
    steps = [one.name for one in list(path.parents)[:2]]
    return next((name for name in steps if name in _FIRST_GLOBAL_ID), steps[0])


def _local_labels(labels: np.ndarray, path: Path) -> np.ndarray:
    first, count = _FIRST_GLOBAL_ID.get(_synset(path), (0, 0))
    local = labels - first + 1
    if not count:
        raise DatasetError(
            f"{path}: {_synset(path)} is no category of ShapeNet-Part, so its labels are not known."
        )
    if local.min() < 1 or local.max() > count:
        raise DatasetError(f"{path}: expected labels {first} to {first + count - 1} in {_synset(path)}.")
    return local


def _table(path: Path, columns: int) -> np.ndarray:
    """Numbers (N, columns) of a text file."""
    lines = [line.split() for line in read_text(path, _MAX_FILE_BYTES).splitlines() if line.strip()]
    try:
        table = np.array(lines, dtype=np.float64).reshape(len(lines), columns)
    except ValueError as error:
        raise DatasetError(f"{path}: expected {columns} numbers a line.") from error
    if not len(table) or not np.isfinite(table).all():
        raise DatasetError(f"{path} is empty or holds numbers that are not finite.")
    return table
