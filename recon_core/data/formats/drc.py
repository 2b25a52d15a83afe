# SPDX-License-Identifier: Apache-2.0
"""DRC's "snet" renders, and CAPNet's, DIFFER's and 3D-PSRNet's folders that grew from them.

<synset>/<model>/{render_k.png, depth_k.png, camera_k.mat | view.txt}, with pointcloud_1024.npy, pointcloud_labels.npy
and part maps labels_k.npy where parts are known; clouds also beside the renders, in
<clouds>/<synset>/<model>/pcl_1024_fps_trimesh.npy.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...cameras import from_drc_view
from ...errors import DatasetError
from ...pointcloud import PointCloud
from . import blender_renders as renders
from .arrays import cloud, read_npy
from .base import Entry, FormatInfo, ImportedObject, ImportedView, ImportOptions, square_cameras, view_count
from .paths import first_folder, numbered, read_text
from .split_files import read_splits, split_for
from .synsets import category_of, part_names

INFO = FormatInfo(
    "DRC, CAPNet, DIFFER renders: render_k.png, camera_k.mat or view.txt, clouds, labels", "Y", "X"
)

_RENDERS = ("ShapeNet_rendered", "ShapeNet_renders", "renders", "blenderRenderPreprocess")
_CLOUDS = ("ShapeNet_pcl", "ShapeNet_v1_pcl", "pcl", "ShapeNet_pointclouds")
_POINTS = (
    "pointcloud_1024.npy",
    "pcl_16384_fps_trimesh.npy",
    "pcl_2048_fps_trimesh.npy",
    "pcl_1024_fps_trimesh.npy",
)
_LABELS = "pointcloud_labels.npy"
# Part labels of ShapeNet-Part in three of the categories; PSRNet's package has no others.
_PARTS_PER_CATEGORY = 4
_MAX_VIEW_TXT_BYTES = 1_000_000


def entries(options: ImportOptions) -> Iterator[Entry]:
    """One object per model folder."""
    source = options.source
    root = first_folder([*(source / name for name in _RENDERS), source])
    assert root is not None
    splits = read_splits([source / "splits", root / "splits", root, source.parent / "splits"])
    for synset, folder in renders.model_folders(root):
        category = options.category or category_of(synset)
        yield Entry(
            category,
            folder.name,
            folder.relative_to(source).as_posix(),
            partial(_load, folder, source, synset, category, options),
            split_for(splits, synset, folder.name),
        )


def _load(folder: Path, source: Path, synset: str, category: str, options: ImportOptions) -> ImportedObject:
    numbers = list(numbered(folder, r"render_(\d+)\.png"))
    numbers = numbers[: view_count(options, len(numbers), folder)]
    poses = _poses(folder, numbers)
    points = _points(folder, [source / name / synset / folder.name for name in _CLOUDS])
    labelled = (points is not None and points.labels is not None) or (
        folder / f"labels_{numbers[0]}.npy"
    ).is_file()
    first = renders.load_view(folder, numbers[0])
    if len(set(first.mask.shape)) > 1:
        raise DatasetError(f"{folder}: render_{numbers[0]}.png is not square.")
    return ImportedObject(
        len(numbers),
        lambda index: _with_parts(
            renders.load_view(folder, numbers[index]), folder / f"labels_{numbers[index]}.npy"
        ),
        square_cameras(poses, renders.FOCAL_WIDTHS, len(first.mask)),
        points,
        part_names(category, _PARTS_PER_CATEGORY) if labelled else (),
        renders.MAX_DEPTH,
    )


def _poses(folder: Path, numbers: list[int]) -> torch.Tensor:
    """World-to-camera (V,4,4) from camera_k.mat, else from the lines of view.txt."""
    if all((folder / f"camera_{number}.mat").is_file() for number in numbers):
        return torch.cat([renders.camera_file(folder / f"camera_{number}.mat") for number in numbers])
    path = folder / "view.txt"
    if not path.is_file():
        raise DatasetError(f"{folder} has neither camera_k.mat for every view nor a view.txt.")
    table = _view_table(path)
    if max(numbers) >= len(table):
        raise DatasetError(f"{path} has {len(table)} lines, there is a render_{max(numbers)}.png.")
    rows = table[numbers]
    if np.abs(rows[:, 2]).max() > 1e-6:
        raise DatasetError(f"{path}: views with a tilt are read from camera_k.mat only.")
    azimuth, elevation, _, distance = torch.from_numpy(rows).unbind(1)
    return from_drc_view(azimuth, elevation, distance)


def _view_table(path: Path) -> np.ndarray:
    """Azimuth, elevation, tilt (degrees) and distance, (V,4) float64."""
    lines = [line.split() for line in read_text(path, _MAX_VIEW_TXT_BYTES).splitlines() if line.strip()]
    try:
        table = np.array([[float(word) for word in words] for words in lines], dtype=np.float64).reshape(
            len(lines), 4
        )
    except ValueError as error:
        raise DatasetError(
            f"{path}: expected four numbers a line (azimuth elevation tilt distance)."
        ) from error
    if not len(table) or not np.isfinite(table).all() or (table[:, 3] <= 0).any():
        raise DatasetError(f"{path}: expected finite numbers and distances above 0.")
    return table


def _points(folder: Path, elsewhere: list[Path]) -> PointCloud | None:
    candidates = (place / name for place in (folder, *elsewhere) for name in _POINTS)
    path = next((one for one in candidates if one.is_file()), None)
    if path is None:
        return None
    labels = path.with_name(_LABELS) if path.name.startswith("pointcloud") else None
    values = None if labels is None or not labels.is_file() else read_npy(labels)
    return cloud(read_npy(path), path, values)


def _with_parts(view: ImportedView, path: Path) -> ImportedView:
    if not path.is_file():
        return view
    ids = read_npy(path)
    if ids.shape != view.mask.shape or ids.min() < 0 or ids.max() > 255:
        raise DatasetError(f"{path}: expected part ids of the image's size, got the shape {ids.shape}.")
    return replace(view, parts=ids.astype(np.uint8))
