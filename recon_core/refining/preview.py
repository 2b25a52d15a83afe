# SPDX-License-Identifier: Apache-2.0
"""One picture of a refinement: the cloud before and after, over the photograph, against the mask, from four sides."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from .. import visual
from ..cameras import Cameras
from ..data.crop import crop_cameras, crop_square
from ..inference.preview import show_mask
from ..pointcloud import PointCloud
from .refine import Refined
from .sources import View

TILE = 240
_AZIMUTHS_DEG = (30, 120, 210, 300)
_ELEVATION_DEG = 20
_DOT_PX = 2
BEFORE, AFTER = (235, 90, 60), (40, 120, 235)


def draw_refined(
    views: Sequence[View],
    before: tuple[PointCloud, Sequence[Cameras]],
    after: tuple[PointCloud, Sequence[Cameras]],
    refined: Refined,
) -> np.ndarray:
    """Draw the preview (H,W,3) uint8 of clouds with their cameras of the full images, before and after."""
    rows, texts = [], []
    for index, view in enumerate(views):
        row, words = fit_row(view, index, (before[0], before[1][index]), (after[0], after[1][index]), refined)
        rows.append(row)
        texts.append(words)
        if refined.colors is not None:
            row, words = color_row(view, index, refined)
            rows.append(row)
            texts.append(words)
    for word, (cloud, _) in (("before", before), ("after", after)):
        rows.append(
            [
                visual.draw_cloud(cloud.xyz, cloud.colors, azimuth, _ELEVATION_DEG, TILE)
                for azimuth in _AZIMUTHS_DEG
            ]
        )
        texts.append([f"{word}, azimuth {azimuth}°" for azimuth in _AZIMUTHS_DEG])
    return visual.grid(rows, texts)


def fit_row(
    view: View,
    index: int,
    before: tuple[PointCloud, Cameras],
    after: tuple[PointCloud, Cameras],
    refined: Refined,
) -> tuple[list[np.ndarray], list[str]]:
    """Five pictures (TILE,TILE,3) of one image and what they show: its mask, both clouds over it, both outlines."""
    box, (target, *drawn), ious = refined.boxes[index], refined.drawn, refined.figures.iou
    photo = visual.to_rgb(crop_square(np.dstack((_rgb(view), np.full_like(view.mask, 255))), box, TILE))
    shown = np.dstack((show_mask(_rgb(view), view.mask), np.full_like(view.mask, 255)))
    row = [visual.to_rgb(crop_square(shown, box, TILE))]
    for (cloud, camera), color in ((before, BEFORE), (after, AFTER)):
        seen = camera.resized(view.mask.shape[1], view.mask.shape[0])
        row.append(draw_dots(photo, cloud.xyz, crop_cameras(seen, box, TILE), color))
    row += [_enlarged(visual.mask_overlay(one[index], target[index])) for one in drawn]
    words = ("before", "refined", f"before: mask IoU {ious[0]:.2f}", f"refined: {ious[1]:.2f}")
    return row, [f"mask: {view.mask_source}", *words]


def color_row(view: View, index: int, refined: Refined) -> tuple[list[np.ndarray], list[str]]:
    """Three pictures (TILE,TILE,3) of one image and what they show: the object, the points seen in both colours."""
    if refined.colors is None:
        return [], []
    cut = np.dstack((_rgb(view), view.mask))
    row = [visual.to_rgb(crop_square(cut, refined.boxes[index], TILE))]
    row += [_enlarged(one[index]) for one in refined.colors.drawn]
    told = ["none" if one is None else f"{one:.1f} dB" for one in refined.colors.psnr_db]
    return row, ["the object", f"colours before: {told[0]}", f"fitted: {told[1]}"]


def _rgb(view: View) -> np.ndarray:
    return visual.to_rgb(view.image.rgba)


def draw_dots(photo: np.ndarray, xyz: np.ndarray, camera: Cameras, color: tuple[int, int, int]) -> np.ndarray:
    """The photograph (H,W,3), paled, with each of points (N,3) in front of its camera as a dot of one colour."""
    picture = np.rint(0.6 * photo + 0.4 * 255).astype(np.uint8)
    uv_px, depth = camera.project(torch.as_tensor(xyz, dtype=torch.float64)[None])
    corner = np.floor(uv_px[0][depth[0] > 0].numpy() - (_DOT_PX - 1) / 2).astype(np.int64)
    for right in range(_DOT_PX):
        for down in range(_DOT_PX):
            u, v = (corner + (right, down)).T
            inside = (u >= 0) & (u < picture.shape[1]) & (v >= 0) & (v < picture.shape[0])
            picture[v[inside], u[inside]] = color
    return picture


def _enlarged(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((TILE, TILE), Image.Resampling.NEAREST))
