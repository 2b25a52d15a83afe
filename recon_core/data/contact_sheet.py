# SPDX-License-Identifier: Apache-2.0
"""A picture of a dataset: some objects, each with its image, mask, parts, depth and normals."""

from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import DatasetError
from ..io.atomic import atomic_path
from ..visual import caption, color_labels, grid, to_rgb
from .dataset import Dataset

ROWS = 8
COLUMNS = ("image", "mask", "parts", "depth", "normals")
MAX_CELL_PX = 256


def write_contact_sheet(root: str | Path, path: str | Path, rows: int = ROWS) -> None:
    """Write a PNG with one row per object, spread evenly over the dataset, a different view for each."""
    dataset = Dataset.open(root)
    names = dataset.objects()
    if not names:
        raise DatasetError(f"{dataset.root} has no objects to show.")
    chosen = [names[index * len(names) // min(rows, len(names))] for index in range(min(rows, len(names)))]
    cells = [[_cell(dataset, name, index, kind) for kind in COLUMNS] for index, name in enumerate(chosen)]
    for row, name in zip(cells, chosen):
        for index, cell in enumerate(row):
            if cell is not None:
                row[index] = caption(cell, name.partition("/")[2], height_px=10)
                break
    with atomic_path(path) as temporary:
        Image.fromarray(grid(cells, list(COLUMNS))).save(temporary, "PNG")


def _cell(dataset: Dataset, name: str, index: int, kind: str) -> np.ndarray | None:
    """One picture (H,W,3) uint8, None when the view lacks it; what cannot be read is a sentence in red."""
    try:
        view = index % dataset.views(name)
        if kind not in dataset.passes(name):
            return None
        return _shrink(_picture(dataset, name, view, kind))
    except DatasetError as error:
        blank = np.full((64, 128, 3), (255, 220, 220), np.uint8)
        return caption(blank, type(error).__name__, above=False)


def _picture(dataset: Dataset, name: str, view: int, kind: str) -> np.ndarray:
    if kind == "image":
        return to_rgb(dataset.image(name, view))
    if kind == "mask":
        return to_rgb(dataset.mask(name, view))
    if kind == "parts":
        colors = np.array(dataset.meta.palette, np.uint8) if dataset.meta.palette else None
        return color_labels(dataset.parts(name, view), colors)
    if kind == "depth":
        return to_rgb(_grey_of_depth(dataset.depth(name, view)))
    return dataset.normals(name, view)


def _grey_of_depth(depth: np.ndarray) -> np.ndarray:
    """Near is bright, far is dark, background black (H,W) uint8."""
    there = depth > 0
    if not there.any():
        return np.zeros(depth.shape, np.uint8)
    low, high = depth[there].min(), depth[there].max()
    near = 1 - (depth - low) / max(high - low, 1e-6)
    return np.where(there, 60 + 195 * np.clip(near, 0, 1), 0).astype(np.uint8)


def _shrink(picture: np.ndarray) -> np.ndarray:
    step = -(-max(picture.shape[:2]) // MAX_CELL_PX)
    return picture[::step, ::step]
