# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of the section Data as icons: contact sheet, samples, the curve of the loss. No datablocks of the file."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from bpy.utils import previews

CURVE_PX = 256
_BACK, _LINE, _GRID = (0.11, 0.11, 0.11, 1.0), (0.35, 0.65, 1.0, 1.0), (0.2, 0.2, 0.2, 1.0)
# Icons that are kept: a long training makes a picture every few seconds.
_KEPT = 64
_collection: Any = None
_curve: tuple[Any, ...] = ()


def register() -> None:
    global _collection
    _collection = previews.new()


def unregister() -> None:
    global _collection, _curve
    if _collection is not None:
        previews.remove(_collection)
    _collection, _curve = None, ()


def file_icon(path: Path | None) -> int:
    """The icon of a picture file, read anew when it has changed; 0 when there is none."""
    if _collection is None or path is None:
        return 0
    try:
        status = path.stat()
    except OSError:
        return 0
    name = f"{path} {status.st_mtime_ns} {status.st_size}"
    if name not in _collection:
        _make_room()
        _collection.load(name, str(path), "IMAGE")
    return _collection[name].icon_id


def curve_icon(losses: Any) -> int:
    """The icon of a loss curve, drawn anew when there are new values; 0 with less than two."""
    global _curve
    values = finite_pairs(losses)
    if _collection is None or len(values) < 2:
        return 0
    key = (len(values), *values[-1])
    if _curve[:3] != key:
        name = f"curve {values[-1]} {len(values)}"
        if name not in _collection:
            _make_room()
            preview = _collection.new(name)
            preview.image_size = (CURVE_PX, CURVE_PX)
            preview.image_pixels_float[:] = draw_curve(values)[::-1].ravel()
        _curve = (*key, name)
    return _collection[_curve[3]].icon_id if _curve[3] in _collection else 0


def finite_pairs(losses: Any) -> list[tuple[float, float]]:
    """The pairs of step and loss that are numbers, whatever the worker sent."""
    pairs = losses if isinstance(losses, list) else []
    usable = [
        (float(pair[0]), float(pair[1]))
        for pair in pairs
        if isinstance(pair, list) and len(pair) == 2 and all(type(one) in (int, float) for one in pair)
    ]
    return [pair for pair in usable if all(map(math.isfinite, pair))]


def draw_curve(values: list[tuple[float, float]], size: int = CURVE_PX) -> np.ndarray:
    """A curve (S,S,4) float32, row 0 on top, from the lowest to the highest loss."""
    picture = np.empty((size, size, 4), np.float32)
    picture[:] = _BACK
    for share in (0.25, 0.5, 0.75):
        picture[int(share * size), :] = _GRID
    steps, losses = np.array(values, np.float64).T
    columns = np.arange(size)
    span = max(steps[-1] - steps[0], 1e-9)
    order = np.argsort(steps, kind="stable")
    heights = np.interp(columns / (size - 1) * span + steps[0], steps[order], losses[order])
    low, high = losses.min(), losses.max()
    rows = (0.94 - 0.88 * (heights - low) / max(high - low, 1e-12)) * size
    for column, (before, row) in enumerate(zip(np.concatenate((rows[:1], rows[:-1])), rows)):
        top, bottom = sorted((int(before), int(row)))
        picture[max(top - 1, 0) : bottom + 2, column] = _LINE
    return picture


def _make_room() -> None:
    if len(_collection) >= _KEPT:
        _collection.clear()
