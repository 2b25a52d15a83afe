# SPDX-License-Identifier: Apache-2.0
"""DVR's layout of the NMR renders.

<class>/softras_{train,val,test}.lst and <class>/<id>/{image/0000.png, mask/0000.png, cameras.npz, pointcloud.npz}.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...cameras import Cameras, from_dvr_matrices, rigid_from_similarity
from ...errors import DatasetError, InputError
from ...pointcloud import PointCloud
from .arrays import cloud, matrices, read_npz
from .base import (
    Entry,
    FormatInfo,
    ImportedObject,
    ImportedView,
    ImportOptions,
    failing,
    read_mask,
    read_rgba,
    straight_from_white,
    view_count,
)
from .paths import folders, is_plain_name, numbered
from .split_files import read_splits
from .synsets import category_of

INFO = FormatInfo("DVR / NMR: image/, mask/, cameras.npz, pointcloud.npz per object", "Y", "X", "points")

_CAMERAS_LIMIT = 16_000_000
_IMAGE_NAME = r"(\d+)\.(?:png|jpg|jpeg|webp)"


def entries(options: ImportOptions) -> Iterator[Entry]:
    """Objects of all classes; those that a list names and that are not there are reported."""
    source = options.source
    classes = [source] if _holds_objects(source) else [one for one in folders(source) if _holds_objects(one)]
    for folder in classes:
        category = options.category or category_of(folder.name)
        splits = {name: split for (_, name), split in read_splits([folder]).items()}
        there = {
            one.name for one in folders(folder) if (one / "cameras.npz").is_file() or (one / "image").is_dir()
        }
        for name in sorted(there | set(splits)):
            where = f"{folder.name}/{name}"
            if not is_plain_name(name):
                yield failing(
                    category, name, where, f"{folder}: a list names {name!r}, which is no folder name."
                )
            elif name not in there:
                yield failing(category, name, where, f"{folder / name} is named by a list and is not there.")
            else:
                yield Entry(category, name, where, partial(_load, folder / name, options), splits.get(name))


def _holds_objects(folder: Path) -> bool:
    return any(folder.glob("softras_*.lst")) or any(
        (one / "cameras.npz").is_file() for one in folders(folder)
    )


def _load(folder: Path, options: ImportOptions) -> ImportedObject:
    images = numbered(folder / "image", _IMAGE_NAME) if (folder / "image").is_dir() else {}
    masks = numbered(folder / "mask", _IMAGE_NAME) if (folder / "mask").is_dir() else {}
    # A place in the sorted folder is the number of the camera, whatever the files are called.
    paths = list(images.values())[: view_count(options, len(images), folder / "image")]
    pairs = [(path, masks.get(number)) for number, path in zip(images, paths)]
    first = _load_view(*pairs[0])
    height, width = first.mask.shape
    return ImportedObject(
        len(paths),
        lambda index: _load_view(*pairs[index]),
        read_cameras(folder / "cameras.npz", len(paths), width, height),
        _points(folder / "pointcloud.npz"),
    )


def read_cameras(path: Path, views: int, width: int, height: int) -> Cameras:
    """The first `views` cameras of a cameras.npz; raises DatasetError when one is missing or unusable."""
    kinds = ("world_mat", "camera_mat", "scale_mat")
    found = read_npz(path, [f"{kind}_{index}" for kind in kinds for index in range(views)], _CAMERAS_LIMIT)
    missing = [
        f"{kind}_{index}" for kind in kinds[:2] for index in range(views) if f"{kind}_{index}" not in found
    ]
    if missing:
        raise DatasetError(
            f"{path} has no {missing[0]}; {views} views need world_mat_i and camera_mat_i each."
        )

    def stacked(kind: str) -> torch.Tensor:
        return torch.cat(
            [matrices(found[f"{kind}_{index}"], f"{path}: {kind}_{index}") for index in range(views)]
        )

    world_mat, camera_mat = stacked("world_mat"), stacked("camera_mat")
    if all(f"scale_mat_{index}" in found for index in range(views)):
        world_mat = world_mat @ stacked("scale_mat")
    if (camera_mat[:, [0, 1], [0, 1]] <= 0).any():
        raise DatasetError(f"{path}: focal lengths in camera_mat must be above 0.")
    try:
        return from_dvr_matrices(rigid_from_similarity(world_mat), camera_mat, width, height)
    except InputError as error:
        raise DatasetError(f"{path}: {error}") from error


def _load_view(image: Path, mask: Path | None) -> ImportedView:
    rgba, has_alpha = read_rgba(image)
    if mask is None and not has_alpha:
        raise DatasetError(f"{image} has neither an alpha channel nor a file in mask/.")
    coverage = np.ascontiguousarray(rgba[..., 3]) if mask is None else read_mask(mask)
    if coverage.shape != rgba.shape[:2]:
        raise DatasetError(f"{image} and its mask have different sizes.")
    opaque = not has_alpha or rgba[..., 3].min() == 255
    return ImportedView(coverage, straight_from_white(rgba[..., :3], coverage) if opaque else rgba[..., :3])


def _points(path: Path) -> PointCloud | None:
    if not path.is_file():
        return None
    found = read_npz(path, ("points", "normals"))
    if "points" not in found:
        raise DatasetError(f"{path} has no 'points'.")
    return cloud(found["points"], path, normals=found.get("normals"))
