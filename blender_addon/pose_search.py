# SPDX-License-Identifier: GPL-3.0-or-later
"""The view in which a cloud's silhouette and colours are most like the photo's. No bpy: runs on threads.

For models that predict no camera. Views stand upright at a fixed distance; focal length and principal point follow
from the mask's box. All directions are tried coarsely, the best ones refined.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .photo_camera import DEFAULT_DISTANCE, PhotoCamera, fit_camera

SIDE = 64
_AZIMUTHS, _ELEVATIONS = np.arange(0, 360, 15.0), np.arange(-10, 61, 10.0)
_KEPT, _STEPS_DEG = 6, (7.0, 4.0, 2.0, 1.0)
_COLOR_WEIGHT = 0.6
_MAX_POINTS = 2500


@dataclass
class Target:
    """The photo reduced to SIDE pixels along its longer side: mask (h,w) bool, colours (h,w,3) in [0,1]."""

    mask: np.ndarray
    colors: np.ndarray
    full_mask: np.ndarray


def make_target(rgb: np.ndarray, mask: np.ndarray) -> Target:
    """Cut the object out of rgb (H,W,3) with its mask (H,W) uint8, with a little margin, and reduce it."""
    rows, columns = np.flatnonzero(mask.max(1) > 127), np.flatnonzero(mask.max(0) > 127)
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    step = max(part.shape) / SIDE
    y = np.minimum((np.arange(max(1, round(part.shape[0] / step))) + 0.5) * step, part.shape[0] - 1).astype(
        int
    )
    x = np.minimum((np.arange(max(1, round(part.shape[1] / step))) + 0.5) * step, part.shape[1] - 1).astype(
        int
    )
    small = np.pad(part[y[:, None], x[None]], 4)
    colors = np.pad(rgb[top + y[:, None], left + x[None]] / 255.0, ((4, 4), (4, 4), (0, 0)))
    return Target(small > 127, colors, small)


def rotation_of(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """From the object's frame to that of an upright orbit camera (3,3); azimuth 0 sees the front (-Y), 90 is +X."""
    a, e = np.radians((azimuth_deg, elevation_deg))
    back = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    return np.stack((right, np.cross(back, right), back))


def search(
    xyz: np.ndarray,
    colors: np.ndarray | None,
    rgb: np.ndarray,
    mask: np.ndarray,
    report: Callable[[float, str], None] = lambda fraction, stage: None,
) -> tuple[PhotoCamera, float]:
    """The best camera of the photo rgb (H,W,3) uint8 with mask (H,W) uint8, and its score (overlap less colours)."""
    keep = np.random.default_rng(0).permutation(len(xyz))[:_MAX_POINTS]
    xyz, colors = xyz[keep].astype(np.float64), None if colors is None else colors[keep] / 255.0
    target = make_target(rgb, mask)
    views = [(azimuth, elevation) for azimuth in _AZIMUTHS for elevation in _ELEVATIONS]
    scored = []
    for number, view in enumerate(views):
        if number % 16 == 0:
            report(0.05 + 0.6 * number / len(views), "Trying directions")
        scored.append((score(xyz, colors, target, *view), view))
    best = []
    kept = sorted(scored, reverse=True)[:_KEPT]
    for number, (value, view) in enumerate(kept):
        report(0.65 + 0.3 * number / _KEPT, "Refining the view")
        best.append(_refined(xyz, colors, target, view, value))
    value, view = max(best)
    return fit_camera(xyz, rotation_of(*view), mask, DEFAULT_DISTANCE), value


def _refined(xyz, colors, target: Target, view: tuple[float, float], value: float) -> tuple[float, tuple]:
    """Climb from a view to the best one nearby."""
    for step in _STEPS_DEG:
        around = [(view[0] + step * i, view[1] + step * j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
        found = max((score(xyz, colors, target, *one), one) for one in around if abs(one[1]) < 89)
        value, view = max((value, view), found)
    return value, view


def score(
    xyz: np.ndarray, colors: np.ndarray | None, target: Target, azimuth: float, elevation: float
) -> float:
    """Overlap of the silhouettes less the difference of the colours where both are."""
    camera = fit_camera(xyz, rotation_of(azimuth, elevation), target.full_mask)
    shown, front = splat(xyz, camera)
    both = shown & target.mask
    overlap = float(both.sum() / max((shown | target.mask).sum(), 1))
    if colors is None or not both.any():
        return overlap
    seen = front[both]
    difference = np.abs(colors[seen[seen >= 0]] - target.colors[both][seen >= 0]).mean()
    return overlap - _COLOR_WEIGHT * float(np.nan_to_num(difference))


def splat(xyz: np.ndarray, camera: PhotoCamera) -> tuple[np.ndarray, np.ndarray]:
    """Silhouette (h,w) bool of points drawn as squares that close gaps, and the frontmost point's index (h,w) or -1."""
    height, width = camera.height, camera.width
    u, v = np.floor(camera.project(xyz)).astype(np.int64).T
    depth = -(xyz @ camera.world_to_cam[2, :3] + camera.world_to_cam[2, 3])
    inside = np.flatnonzero((u >= 0) & (u < width) & (v >= 0) & (v < height))
    order = inside[np.argsort(-depth[inside])]  # the nearest is written last
    front = np.full((height, width), -1)
    front[v[order], u[order]] = order
    return _closed(front >= 0, _radius(len(xyz), height * width)), front


def _radius(points: int, pixels: int) -> int:
    """How far points must be drawn to close gaps: none when there are a few for each pixel."""
    return 0 if points > 4 * pixels else 1 if points > pixels // 4 else 2


def _closed(mask: np.ndarray, radius: int) -> np.ndarray:
    """Grow by a square, then shrink back: gaps between points close, the outline stays."""
    if radius == 0:
        return mask
    grown = _grown(np.pad(mask, 2 * radius), radius)
    return ~_grown(~grown, radius)[2 * radius : -2 * radius, 2 * radius : -2 * radius]


def _grown(mask: np.ndarray, radius: int) -> np.ndarray:
    for axis in (0, 1):
        shifted = mask.copy()
        for step in range(1, radius + 1):
            for sign in (-step, step):
                shifted |= np.roll(mask, sign, axis)
        mask = shifted
    return mask


def silhouette_iou(xyz: np.ndarray, camera: PhotoCamera, mask: np.ndarray, side: int = 128) -> float:
    """Overlap of a cloud's silhouette through a camera with the photo's mask (H,W) uint8, at `side` pixels."""
    step = max(mask.shape) / side
    height, width = (max(1, round(extent / step)) for extent in mask.shape)
    y = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
    x = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
    small = mask[y[:, None], x[None]] > 127
    shown, _ = splat(xyz.astype(np.float64), camera.resized(width, height))
    return float((shown & small).sum() / max((shown | small).sum(), 1))
