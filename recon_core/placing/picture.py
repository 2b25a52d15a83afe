# SPDX-License-Identifier: Apache-2.0
"""One picture of a placement to look at: the photograph with the object's points over it, before, after, and rivals."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion

from .. import visual
from ..cameras import Cameras
from ..inference.photo_camera import colors_by_height
from ..pointcloud import PointCloud
from .place import Placement, Solution

TILE = 320
_OUTLINE = (235, 50, 140)
_SHOWN = 3


def draw_placement(placement: Placement, cloud: PointCloud, rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture (H,W,3) uint8: photograph and mask, start, best, outlines compared, other solutions."""
    photo, cover = _fitted(rgb), _fitted(mask)
    pale = np.rint(0.45 * photo + 0.55 * 225).astype(np.uint8)
    colors = cloud.colors if cloud.colors is not None else colors_by_height(cloud.xyz)

    def over(solution: Solution) -> np.ndarray:
        return outlined(draw_over(pale, cloud.xyz, colors, solution.camera), cover)

    tiles, texts = [outlined(photo, cover)], ["photograph and mask"]
    if placement.start is not None:
        tiles.append(over(placement.start))
        texts.append(f"start: IoU {placement.start.iou:.2f}")
    best = placement.best
    tiles.append(over(best))
    texts.append(f"placed: IoU {best.iou:.2f}, {_lens(best)}")
    shown = silhouette(cloud.xyz, best.camera, (cover.shape[0], cover.shape[1]))
    tiles.append(visual.mask_overlay(shown.astype(np.float32), cover / 255.0))
    texts.append("red: too much, blue: missing")
    rows, labels = [tiles], [texts]
    others = placement.solutions[1 : 1 + _SHOWN]
    if others:
        rows.append([over(one) for one in others])
        labels.append([f"or {one.apart_deg:.0f}° off: IoU {one.iou:.2f}" for one in others])
    return visual.grid(rows, labels)


def draw_over(image: np.ndarray, xyz: np.ndarray, colors: np.ndarray, camera: Cameras) -> np.ndarray:
    """An image (H,W,3) with points (N,3) drawn over it as small squares, the nearest in front."""
    height, width = image.shape[:2]
    index = front_points(xyz, camera, (height, width), wider=1)
    drawn = image.copy()
    hit = index >= 0
    drawn[hit] = colors[index[hit]]
    return drawn


def front_points(xyz: np.ndarray, camera: Cameras, shape: tuple[int, int], wider: int = 0) -> np.ndarray:
    """Index (H,W) of the point nearest to the camera in each pixel, points being squares that close gaps; -1: none.

    wider: so many pixels more on every side, so that fronts hide what is behind them.
    """
    height, width = shape
    uv, depth = (
        value[0].numpy()
        for value in camera.resized(width, height).project(torch.as_tensor(xyz, dtype=torch.float64)[None])
    )
    front = np.full((height, width), -1)
    seen = np.flatnonzero((depth > 0) & (np.abs(uv) < 1e6).all(1))
    order = seen[np.argsort(-depth[seen])]
    column, row = np.floor(uv[order]).astype(np.int64).T
    reach = _reach(uv[seen], len(seen)) + wider
    for dv in range(-reach, reach + 1):
        for du in range(-reach, reach + 1):
            u, v = column + du, row + dv
            inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
            layer = np.full((height, width), -1)
            layer[v[inside], u[inside]] = order[inside]  # the nearest is written last
            nearer = (layer >= 0) & ((front < 0) | (depth[layer] < depth[front] - 1e-9))
            front[nearer] = layer[nearer]
    return front


def _reach(uv: np.ndarray, count: int) -> int:
    """Half the side of a point's square in pixels: none where there are a few for each pixel of their box."""
    if not len(uv):
        return 0
    area = float(np.prod(np.ptp(uv, axis=0)))
    return 0 if count > 3 * area else 1 if count > 0.4 * area else 2


def silhouette(xyz: np.ndarray, camera: Cameras, shape: tuple[int, int]) -> np.ndarray:
    """Outline (H,W) bool of points, gaps closed."""
    shown = front_points(xyz, camera, shape) >= 0
    closed: Any = binary_erosion(binary_dilation(np.pad(shown, 2)))
    return shown | closed[2:-2, 2:-2]


def outlined(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image (H,W,3) with the rim of the mask (H,W) drawn over it."""
    inside = mask > 127
    rim = binary_dilation(inside).astype(bool) & ~inside
    marked = image.copy()
    marked[rim] = _OUTLINE
    return marked


def _fitted(image: np.ndarray) -> np.ndarray:
    """An image scaled so that its longer side is TILE."""
    height, width = image.shape[:2]
    scale = TILE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = Image.Resampling.BILINEAR if scale > 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize(size, method, reducing_gap=2.0))


def _lens(solution: Solution) -> str:
    return f"{float(solution.camera.fx[0]) / solution.camera.width * 36:.0f} mm"
