# SPDX-License-Identifier: Apache-2.0
"""How much a cloud's outline and a mask have in common, in pixels: the score that is told of a placement."""

from typing import Any

import numpy as np
import torch
from scipy.ndimage import binary_closing

from .target import Target
from .views import Views

SIZE = 128
_FINER = 2  # gaps are closed on a finer grid, where that rounds less
# Points per pixel of the mask, and how far gaps are closed, in pixels of the finer grid.
_RADII = ((6.0, 0), (1.6, 1), (0.5, 2), (0.2, 3))
_SPARSE_RADIUS = 4


def outline_iou(views: Views, xyz: torch.Tensor, target: Target) -> list[float]:
    """Intersection over union of the outline of points (N,3) with the mask in each view, at SIZE pixels of the crop."""
    level = target.level(SIZE, 1.0, len(xyz))
    wanted, valid = (image.numpy() > 0.5 for image in (level.mask, level.valid))
    radius = closing_radius(len(xyz), int(wanted.sum()) * _FINER**2)
    found = []
    for index in range(len(views)):
        uv, depth = views[index : index + 1].project(xyz)
        shown = _outline(uv[0].numpy(), depth[0].numpy(), radius)
        both, either = (shown & wanted & valid).sum(), ((shown | wanted) & valid).sum()
        found.append(float(both / max(either, 1)))
    return found


def closing_radius(points: int, pixels: int) -> int:
    """How far gaps between points must be closed for an outline without holes, in pixels."""
    share = points / max(pixels, 1)
    return next((radius for least, radius in _RADII if share > least), _SPARSE_RADIUS)


def _outline(uv: np.ndarray, depth: np.ndarray, radius: int) -> np.ndarray:
    """Pixels (SIZE,SIZE) that are half covered by points uv (N,2) in crop sides, gaps closed."""
    fine = SIZE * _FINER
    inside = (depth > 0) & (uv >= 0).all(1) & (uv < 1).all(1)
    column, row = (uv[inside] * fine).astype(np.int64).clip(0, fine - 1).T
    image = np.zeros((fine + 2 * radius, fine + 2 * radius), bool)
    image[row + radius, column + radius] = True
    closed: Any = binary_closing(image, np.ones((2 * radius + 1,) * 2)) if radius else image
    closed = (closed | image)[radius : radius + fine, radius : radius + fine]
    return closed.reshape(SIZE, _FINER, SIZE, _FINER).mean((1, 3)) >= 0.5
