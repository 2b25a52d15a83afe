# SPDX-License-Identifier: GPL-3.0-or-later
"""Which points the photo shows: seen, the mirror image of something seen, or guessed. No bpy: runs on threads.

The same rules as `recon reconstruct --confidence`, in numpy and Blender's KD-tree.
"""

import numpy as np

from .neighbours import Tree
from .photo_camera import PhotoCamera

GUESSED, MIRRORED, SEEN = 0, 1, 2
NAMES = ("guessed", "mirrored", "seen")
_NEIGHBOURS = 8
# Each point is a disc in a depth buffer; lengths in spacings of the points.
_DISC, _DEPTH, _SYMMETRIC = 1.0, 4.0, 2.0
_CELLS_PER_SPACING, _MOST_CELLS = 2.0, 1024


def classify(xyz: np.ndarray, camera: PhotoCamera) -> np.ndarray:
    """Visibility (N,) uint8 of points (N,3), mirror plane x = 0, from their photo's camera in their own frame."""
    tree = Tree(xyz)
    spacing = max(float(np.median(tree.spacing(_NEIGHBOURS))), 1e-4)
    seen = visible(xyz, camera, spacing)
    partner, gap = tree.nearest(np.asarray(xyz, np.float64) * (-1, 1, 1))
    classes = np.where(seen, SEEN, GUESSED).astype(np.uint8)
    if float(np.median(gap)) <= _SYMMETRIC * spacing:  # the cloud is its own mirror image
        classes[~seen & (gap <= _SYMMETRIC * spacing) & seen[partner]] = MIRRORED
    return classes


def visible(xyz: np.ndarray, camera: PhotoCamera, spacing: float) -> np.ndarray:
    """Which (N,) of points (N,3) the camera sees: those not far behind the nearest disc at their place."""
    uv = camera.project(xyz)
    depth = -(np.asarray(xyz, np.float64) @ camera.world_to_cam[2, :3] + camera.world_to_cam[2, 3])
    front = np.isfinite(uv).all(1) & (depth > 0)
    seen = np.zeros(len(uv), bool)
    if front.any():
        cells = _cells(uv[front], depth[front], camera.focal_px, spacing)
        seen[front] = depth[front] <= _nearest_depth(cells, depth[front]) + _DEPTH * spacing
    return seen


def _cells(uv: np.ndarray, depth: np.ndarray, focal_px: float, spacing: float) -> np.ndarray:
    """Whole cell coordinates (N,2) from 0 on, _CELLS_PER_SPACING to a spacing at the cloud's median depth."""
    cell = focal_px * spacing / float(np.median(depth)) / _CELLS_PER_SPACING
    low = uv.min(0)
    cell = max(cell, float((uv.max(0) - low).max()) / _MOST_CELLS, 1e-9)
    return np.floor((uv - low) / cell).astype(np.int64)


def _nearest_depth(cells: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """The least depth (N,) among the discs that cover each point's own cell (N,2)."""
    radius = _DISC * _CELLS_PER_SPACING
    reach = int(np.ceil(radius))
    width, height = cells.max(0) + 1 + 2 * reach
    buffer = np.full(width * height, np.inf)
    inner = (cells[:, 1] + reach) * width + cells[:, 0] + reach
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dx * dx + dy * dy <= radius * radius:
                np.minimum.at(buffer, inner + dy * width + dx, depth)
    return buffer[inner]


def shares(visibility: np.ndarray | None) -> dict[str, dict[str, float]]:
    """For a cloud's record: what share of its points is seen, mirrored and guessed; empty where that is not known."""
    if visibility is None or not len(visibility):
        return {}
    counts = np.bincount(visibility, minlength=3) / len(visibility)
    return {"visibility": {NAMES[k]: round(float(counts[k]), 4) for k in (SEEN, MIRRORED, GUESSED)}}


def shares_text(record: dict) -> str:
    """Those shares in the panel's words: "72% seen, 10% mirrored, 18% guessed"; empty where they are not known."""
    known = record.get("visibility")
    if not isinstance(known, dict):
        return ""
    return ", ".join(f"{known[name]:.0%} {name}" for name in reversed(NAMES) if known.get(name))
