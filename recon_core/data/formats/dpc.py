# SPDX-License-Identifier: Apache-2.0
"""DPC's renders: {renders,render}/<synset>/<model>/, gt/downsampled/<synset>/<model>.mat and splits/."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from ...errors import DatasetError
from ...pointcloud import PointCloud
from . import blender_renders as renders
from .arrays import cloud, read_mat
from .base import Entry, FormatInfo, ImportedObject, ImportOptions, square_cameras, view_count
from .paths import first_folder, numbered
from .split_files import read_splits, split_for
from .synsets import category_of

INFO = FormatInfo("DPC renders: render_i.png, depth_i.png, camera_i.mat per model", up="Y", front="X")


def entries(options: ImportOptions) -> Iterator[Entry]:
    """One object per model folder; points from gt/ and splits where they are there."""
    source = options.source
    root = first_folder((source / "renders", source / "render", source))
    assert root is not None  # the source itself is a folder
    splits = read_splits([source / "splits", root, source.parent / "splits"])
    for synset, folder in renders.model_folders(root):
        yield Entry(
            options.category or category_of(synset),
            folder.name,
            folder.relative_to(source).as_posix(),
            partial(_load, folder, source, synset, options),
            split_for(splits, synset, folder.name),
        )


def _load(folder: Path, source: Path, synset: str, options: ImportOptions) -> ImportedObject:
    found = numbered(folder, r"render_(\d+)\.png")
    # DPC takes the first ones in the order of their names, 10 before 2.
    numbers = sorted(found, key=lambda number: found[number].name)
    numbers = numbers[: view_count(options, len(numbers), folder)]
    poses = torch.cat([renders.camera_file(folder / f"camera_{number}.mat") for number in numbers])
    truth = ground_truth(source, synset, folder.name)
    first = renders.load_view(folder, numbers[0])
    if len(set(first.mask.shape)) > 1:
        raise DatasetError(f"{folder}: render_{numbers[0]}.png is not square.")
    return ImportedObject(
        len(numbers),
        lambda index: renders.load_view(folder, numbers[index]),
        square_cameras(poses, renders.FOCAL_WIDTHS, len(first.mask)),
        None if truth is None else read_truth(truth),
        max_depth=renders.MAX_DEPTH,
    )


def ground_truth(source: Path, synset: str, model: str) -> Path | None:
    """The file of an object's true points, when there is one."""
    places = (source / "gt" / "downsampled", source / "gt", source.parent / "gt" / "downsampled")
    candidates = (place / synset / f"{model}.mat" for place in places)
    return next((path for path in candidates if path.is_file()), None)


def read_truth(path: Path) -> PointCloud:
    """Points (M,3) of a gt file, ShapeNet's frame."""
    values = read_mat(path, ("points",))
    if "points" not in values:
        raise DatasetError(f"{path} has no 'points'.")
    return cloud(values["points"], path)
