# SPDX-License-Identifier: Apache-2.0
"""One picture per reconstruction: the input with the mask that was used, the crop, and the cloud from all sides."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation

from .. import visual
from ..pointcloud import PointCloud

TILE = 240
_AZIMUTHS_DEG = (30, 120, 210, 300)
_ELEVATION_DEG = 20
_PER_ROW = 4
_OUTLINE = (235, 50, 140)


def draw_preview(
    rgba: np.ndarray,
    mask: np.ndarray,
    mask_source: str,
    crop: np.ndarray,
    cloud: PointCloud,
    part_names: list[str],
    rotation: np.ndarray | None = None,
    more: tuple[Sequence[np.ndarray], Sequence[str]] = ((), ()),
) -> np.ndarray:
    """Draw the preview (H,W,3) uint8 of one result.

    rgba (H,W,4) and mask (H,W) uint8 are the photograph's, crop (S,S,4) is the model's input; rotation (3,3),
    where the model predicts one, turns the cloud as the photograph shows it. more: further pictures, four to a row,
    and what they show.
    """
    photo = visual.to_rgb(rgba)
    first = [_fitted(photo), _fitted(show_mask(photo, mask)), _fitted(visual.to_rgb(crop, (128, 128, 128)))]
    texts = ["input", f"mask: {mask_source}", f"model input, {crop.shape[0]} px"]
    if rotation is not None:
        first.append(visual.draw_cloud(_as_photographed(cloud.xyz, rotation), cloud.colors, 0, 0, TILE))
        texts.append("cloud, photo's view")
    rows, labels = [first], [texts]
    for first_of_row in range(0, len(more[0]), _PER_ROW):
        rows.append(list(more[0][first_of_row : first_of_row + _PER_ROW]))
        labels.append(list(more[1][first_of_row : first_of_row + _PER_ROW]))
    rows.append([_side(cloud, cloud.colors, azimuth) for azimuth in _AZIMUTHS_DEG])
    labels.append([f"azimuth {azimuth}°" for azimuth in _AZIMUTHS_DEG])
    if cloud.labels is not None:
        rows.append([_side(cloud, visual.color_labels(cloud.labels), azimuth) for azimuth in _AZIMUTHS_DEG])
        labels.append(["parts"] + [""] * 3)
    picture = visual.grid(rows, labels)
    if cloud.labels is None:
        return picture
    return np.concatenate((picture, legend(part_names, cloud.labels, picture.shape[1])))


def show_mask(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The photograph (H,W,3) with everything but the mask (H,W) uint8 paled, and the mask outlined."""
    cover = mask[..., None].astype(np.float32) / 255
    pale = 0.25 * rgb + 0.75 * 205
    shown = np.rint(cover * rgb + (1 - cover) * pale).astype(np.uint8)
    inside = mask > 127
    thickness = max(1, round(max(mask.shape) / 300))
    rim = binary_dilation(inside, iterations=thickness).astype(bool) & ~inside
    shown[rim] = _OUTLINE
    return shown


def legend(part_names: list[str], labels: np.ndarray, width: int) -> np.ndarray:
    """A strip (h,width,3) naming each part in its colour, with its number of points."""
    from PIL import ImageDraw, ImageFont

    font = ImageFont.load_default(14)
    strip = Image.new("RGB", (width, 24), (255, 255, 255))
    draw = ImageDraw.Draw(strip)
    colors = visual.palette(len(part_names))
    left = 8.0
    for index, name in enumerate(part_names, start=1):
        text = f"{name} ({int((labels == index).sum())})"
        draw.rectangle((left, 5, left + 12, 17), fill=tuple(int(value) for value in colors[index]))
        draw.text((left + 18, 3), text, fill=(30, 30, 30), font=font)
        left += 36 + draw.textlength(text, font=font)
    return np.asarray(strip)


def _side(cloud: PointCloud, colors: np.ndarray | None, azimuth_deg: float) -> np.ndarray:
    return visual.draw_cloud(cloud.xyz, colors, azimuth_deg, _ELEVATION_DEG, TILE)


def _as_photographed(xyz: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Points turned so that the front view shows them as the predicted camera does."""
    cam = xyz @ np.asarray(rotation, np.float32).T  # +X right, +Y up, +Z towards the camera
    return cam[:, [0, 2, 1]] * np.array([1, -1, 1], np.float32)


def _fitted(rgb: np.ndarray) -> np.ndarray:
    """A picture scaled to fit a square tile, up or down; small ones keep their pixels visible."""
    height, width = rgb.shape[:2]
    scale = TILE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = Image.Resampling.NEAREST if scale > 1.5 else Image.Resampling.BOX
    tile = np.full((TILE, TILE, 3), 255, np.uint8)
    top, left = (TILE - size[1]) // 2, (TILE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = Image.fromarray(rgb).resize(
        size, method, reducing_gap=2.0
    )
    return tile
