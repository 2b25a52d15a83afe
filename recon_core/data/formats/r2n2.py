# SPDX-License-Identifier: Apache-2.0
"""3D-R2N2's renders: <synset>/<model>/rendering/{00.png ..., rendering_metadata.txt}."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...cameras import R2N2_FOCAL_WIDTHS, from_r2n2_view
from ...errors import DatasetError
from .base import (
    Entry,
    FormatInfo,
    ImportedObject,
    ImportedView,
    ImportOptions,
    read_rgba,
    square_cameras,
    view_count,
)
from .paths import first_folder, folders, numbered, read_text
from .split_files import read_splits, split_for
from .synsets import category_of

INFO = FormatInfo("3D-R2N2 (Choy) renders: rendering/*.png with rendering_metadata.txt", up="Y", front="X")

_METADATA = "rendering_metadata.txt"
_MAX_METADATA_BYTES = 1_000_000


def entries(options: ImportOptions) -> Iterator[Entry]:
    """One object per <synset>/<model>/rendering."""
    source = options.source
    root = first_folder((source / "ShapeNetRendering", source))
    assert root is not None
    splits = read_splits([source / "splits", root])
    for synset, folder in _models(root):
        yield Entry(
            options.category or category_of(synset),
            folder.name,
            folder.relative_to(source).as_posix(),
            partial(_load, folder / "rendering", options),
            split_for(splits, synset, folder.name),
        )


def _models(root: Path) -> Iterator[tuple[str, Path]]:
    for child in folders(root):
        if (child / "rendering").is_dir():
            yield root.name, child
            continue
        yield from ((child.name, model) for model in folders(child) if (model / "rendering").is_dir())


def _load(folder: Path, options: ImportOptions) -> ImportedObject:
    found = numbered(folder, r"(\d+)\.png")
    numbers = list(found)[: view_count(options, len(found), folder)]
    table = read_metadata(folder / _METADATA)
    if max(numbers) >= len(table):
        raise DatasetError(
            f"{folder / _METADATA} has {len(table)} lines, there is a {found[max(numbers)].name}."
        )
    azimuth, elevation, _, ratio = torch.from_numpy(table[numbers]).unbind(1)
    first = _load_view(found[numbers[0]])
    if len(set(first.mask.shape)) > 1:
        raise DatasetError(f"{found[numbers[0]]} is not square.")
    return ImportedObject(
        len(numbers),
        lambda index: _load_view(found[numbers[index]]),
        square_cameras(from_r2n2_view(azimuth, elevation, ratio), R2N2_FOCAL_WIDTHS, len(first.mask)),
    )


def read_metadata(path: Path) -> np.ndarray:
    """Azimuth, elevation, in-plane rotation (degrees) and distance ratio, (V,4) float64; the lens is always the same.

    Raises DatasetError for other content and for views that are turned in the plane.
    """
    rows = []
    for line in read_text(path, _MAX_METADATA_BYTES).splitlines():
        words = line.strip().strip("[],").replace(",", " ").split()
        if not words:
            continue
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = []
        if len(numbers) not in (4, 5) or not np.isfinite(numbers).all() or not 0 < numbers[3] < 100:
            raise DatasetError(
                f"{path}: {line[:60]!r} is not 'azimuth elevation rotation distance_ratio field_of_view'."
            )
        if abs(numbers[2]) > 1e-6:
            raise DatasetError(f"{path}: in-plane rotations ({numbers[2]:g} degrees) are not supported.")
        rows.append(numbers[:4])
    if not rows:
        raise DatasetError(f"{path} is empty.")
    return np.array(rows, dtype=np.float64)


def _load_view(path: Path) -> ImportedView:
    rgba, has_alpha = read_rgba(path)
    if not has_alpha:
        raise DatasetError(f"{path} has no alpha channel, so there is no mask.")
    return ImportedView(np.ascontiguousarray(rgba[..., 3]), rgba[..., :3])
