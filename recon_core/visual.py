# SPDX-License-Identifier: Apache-2.0
"""Pictures without a display: clouds, part labels, mask comparisons and captioned grids, all in numpy.

Every image is (H, W, 3) uint8 sRGB, row 0 on top. Clouds are in the object frame: +Z up, front towards -Y.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# The dataset's default view: distance 2 and a focal length of 1.875 image widths. recon_core.cameras states
# it in torch, which a drawing of a few points need not import; a test holds the two together.
FOCAL_WIDTHS = 60.0 / 32.0
DISTANCE = 2.0
# Strength of eye-dome lighting: darkening per relative depth step, tuned by eye on clouds of diagonal 1.
EDL_STRENGTH = 6.0
PLAIN_COLOR = (118, 158, 214)
FAR_FADE = 0.35

_PALETTE = (
    (0, 0, 0), (230, 96, 74), (72, 136, 214), (96, 178, 88), (242, 186, 60), (150, 108, 204), (64, 186, 186),
    (228, 126, 180), (156, 112, 76), (168, 196, 72), (104, 116, 140), (250, 150, 110), (40, 100, 120),
)  # fmt: skip


def palette(n: int) -> np.ndarray:
    """Colours (n + 1, 3) uint8 of the ids 0..n: 0 is black (background), then a fixed order of distinct hues.

    Beyond the hand-picked colours, hues follow the golden angle; id k has the same colour for every n.
    """
    rows = list(_PALETTE[: n + 1])
    for index in range(len(rows), n + 1):
        hue, light = (index * 0.618034) % 1.0, (0.92, 0.72, 0.55)[index % 3]
        red, green, blue = (
            round(255 * light * (1 - 0.6 * _hue_notch(hue + shift))) for shift in (0, 1 / 3, 2 / 3)
        )
        rows.append((red, green, blue))
    return np.array(rows, dtype=np.uint8)


def _hue_notch(hue: float) -> float:
    return 0.5 + 0.5 * math.cos(2 * math.pi * hue)


def draw_cloud(
    xyz: np.ndarray,
    colors: np.ndarray | None = None,
    azimuth_deg: float = 30.0,
    elevation_deg: float = 20.0,
    size: int = 256,
    point_px: float | None = None,
    background: Sequence[int] = (255, 255, 255),
    orthographic: bool = False,
) -> np.ndarray:
    """Draw points xyz (N,3) as z-buffered discs with eye-dome lighting; returns (size, size, 3) uint8.

    colors: (N,3) uint8 sRGB or None for one plain colour. point_px: disc diameter in pixels, chosen from N
    when None. The camera is the dataset's default one on its orbit (azimuth 0 sees the front, 90 sees +X);
    with orthographic=True the scale is that of the origin's depth. Points that are not finite are left out.
    """
    xyz = np.asarray(xyz, dtype=np.float64).reshape(-1, 3)
    base = np.broadcast_to(np.array(PLAIN_COLOR if colors is None else colors, np.uint8), xyz.shape)
    keep = np.isfinite(xyz).all(1)
    uv, depth = view_points(xyz[keep], azimuth_deg, elevation_deg, size, orthographic)
    diameter = point_px or _automatic_diameter(len(depth), size)
    winner = _nearest_point(uv, depth, size, diameter)
    image = np.broadcast_to(np.asarray(background, np.uint8), (size, size, 3)).copy()
    if len(depth) and (winner >= 0).any():
        window = _bounds(winner >= 0)
        index = winner[window]
        hit = index >= 0
        shade = _shading(depth.astype(np.float32)[index], hit, size, max(1, round(diameter / 3)))
        lit = base[keep][index[hit]] * shade[hit][:, None]
        image[window][hit] = np.clip(np.rint(lit), 0, 255).astype(np.uint8)
    return image


def _bounds(hit: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that hold everything drawn: shading the rest would be wasted."""
    rows, columns = np.flatnonzero(hit.any(1)), np.flatnonzero(hit.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def view_points(
    xyz: np.ndarray, azimuth_deg: float, elevation_deg: float, size: int, orthographic: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Project xyz (N,3) to pixels uv (N,2) and planar depth (N,) of the default camera on its orbit."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    sa, ca, se, ce = math.sin(azimuth), math.cos(azimuth), math.sin(elevation), math.cos(elevation)
    right, up, back = (ca, sa, 0.0), (-sa * se, ca * se, ce), (sa * ce, -ca * ce, se)
    cam = xyz @ np.array([right, up, back]).T  # (N, 3)
    depth = DISTANCE - cam[:, 2]
    scale = FOCAL_WIDTHS * size / (DISTANCE if orthographic else np.maximum(depth, 1e-6)[:, None])
    return size / 2 + cam[:, :2] * (1.0, -1.0) * scale, depth


def _automatic_diameter(count: int, size: int) -> float:
    # A typical object shows about a quarter of the picture and has three times that area of surface: discs of
    # more than twice the mean spacing close the gaps without hiding the relief.
    return float(np.clip(2.3 * size * math.sqrt(0.6 / max(count, 1)), 4.6 * size / 256, size / 24))


def _nearest_point(uv: np.ndarray, depth: np.ndarray, size: int, diameter: float) -> np.ndarray:
    """Index of the nearest point whose disc covers each pixel (size, size); -1 where there is none."""
    winner = np.full(size * size, -1, np.int32)
    front = np.flatnonzero((depth > 1e-3) & (np.abs(uv) < 16 * size).all(1))
    order = front[np.argsort(-depth[front], kind="stable")].astype(np.int32)
    corner = np.floor(uv[order]).astype(np.int32)  # (N, 2) pixel that holds the centre
    offsets = _disc(diameter)  # (K, 2)
    u = corner[:, :1] + offsets[:, 0]  # (N, K)
    v = corner[:, 1:] + offsets[:, 1]
    inside = (u >= 0) & (u < size) & (v >= 0) & (v < size)
    # Far to near: of repeated indices in an assignment numpy keeps the last, which is the nearest point.
    winner[(v * size + u)[inside]] = np.broadcast_to(order[:, None], u.shape)[inside]
    return winner.reshape(size, size)


@lru_cache(maxsize=32)
def _disc(diameter: float) -> np.ndarray:
    """Pixel offsets (K,2), u and v, of a disc of this diameter in pixels."""
    reach = math.ceil(diameter / 2)
    steps = np.arange(-reach, reach + 1, dtype=np.int32)
    u, v = np.meshgrid(steps, steps)
    inside = u * u + v * v <= max(diameter / 2 - 0.25, 0.5) ** 2
    return np.stack((u[inside], v[inside]), 1)


def _shading(depth: np.ndarray, hit: np.ndarray, size: int, reach: int) -> np.ndarray:
    """Brightness (H,W) from depth alone: eye-dome lighting, a headlight on the smoothed relief, depth cue."""
    near, far = float(depth[hit].min()), float(depth[hit].max())
    smooth = _smoothed(np.where(hit, depth, 0).astype(np.float32), hit, reach + 1)
    cue = 1.10 - FAR_FADE * (smooth - near) / max(far - near, 1e-6)
    return cue * _eye_dome(smooth, hit, reach) * _headlight(smooth, size)


def _smoothed(depth: np.ndarray, hit: np.ndarray, reach: int) -> np.ndarray:
    """Mean depth over the drawn pixels of a window, also just outside the outline: discs become surfaces."""
    total, count = _box_sum(depth, reach), _box_sum(hit.astype(np.float32), reach)
    return np.where(count > 0.5, total / np.maximum(count, 1), np.float32(DISTANCE))


def _box_sum(image: np.ndarray, reach: int) -> np.ndarray:
    """Sum (H,W) over a window of 2 reach + 1 pixels a side, zero outside."""
    for _ in range(2):  # down the columns, then, transposed, along the rows
        running = np.cumsum(np.pad(image, ((reach + 1, reach), (0, 0))), axis=0, dtype=np.float64)
        image = (running[2 * reach + 1 :] - running[: -2 * reach - 1]).T
    return image.astype(np.float32)


def _eye_dome(depth: np.ndarray, hit: np.ndarray, reach: int) -> np.ndarray:
    """Darkening (H,W) in (0,1] where neighbours stand in front: eye-dome lighting."""
    padded = np.pad(np.where(hit, depth, np.float32(1e3)), reach, constant_values=1e3)
    height, width = depth.shape
    total = np.zeros_like(depth)
    shifts = ((0, 1), (1, 0), (1, 2), (2, 1), (0, 0), (0, 2), (2, 0), (2, 2))
    for dv, du in shifts:
        neighbour = padded[dv * reach : dv * reach + height, du * reach : du * reach + width]
        total += np.clip(depth - neighbour, 0.0, 0.2)  # > 0: the neighbour is nearer
    return np.exp(-EDL_STRENGTH * total / len(shifts))


def _headlight(depth: np.ndarray, size: int) -> np.ndarray:
    """Lambert shading (H,W) of the relief, lit from the upper left of the camera."""
    pixel = depth / (FOCAL_WIDTHS * size)  # size of a pixel at that depth, world units
    if min(depth.shape) < 2:
        return np.ones_like(depth)
    dz_dv, dz_du = np.gradient(depth)
    limit = 2.5  # a step at an outline is not a slope
    # With depth d over the picture (x right, y up, z towards the camera) the normal is (dd/dx, dd/dy, 1).
    nx, ny = np.clip(dz_du / pixel, -limit, limit), np.clip(-dz_dv / pixel, -limit, limit)
    lambert = (-0.35 * nx + 0.50 * ny + 0.79) / np.sqrt(1 + nx * nx + ny * ny)
    return 0.62 + 0.48 * np.clip(lambert, 0, 1)


def draw_labels(
    xyz: np.ndarray, labels: np.ndarray, colors: np.ndarray | None = None, **view: Any
) -> np.ndarray:
    """Draw points xyz (N,3) coloured by part id labels (N,); colors: palette (P+1,3), view: as draw_cloud."""
    return draw_cloud(xyz, color_labels(labels, colors), **view)


def color_labels(labels: np.ndarray, colors: np.ndarray | None = None) -> np.ndarray:
    """Colours (...,3) uint8 of part ids (...) by a palette (P+1,3); ids beyond it get its last colour."""
    labels = np.asarray(labels).astype(np.int64)
    colors = palette(int(labels.max(initial=0))) if colors is None else np.asarray(colors, np.uint8)
    return colors[np.clip(labels, 0, len(colors) - 1)]


def mask_overlay(pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Compare masks (H,W) in [0,1]: agreement light grey, false positive red, false negative blue."""
    pred, target = (np.clip(np.asarray(mask, np.float32), 0, 1)[..., None] for mask in (pred, target))
    both, extra, missed = np.minimum(pred, target), np.maximum(pred - target, 0), np.maximum(target - pred, 0)
    color = both * (205, 210, 205) + extra * (232, 72, 56) + missed * (52, 120, 235)
    return np.rint(color + (1 - both - extra - missed) * (24, 24, 28)).astype(np.uint8)


def to_rgb(image: np.ndarray, background: Sequence[int] = (255, 255, 255)) -> np.ndarray:
    """Any picture as (H,W,3) uint8: grey (H,W), RGB or RGBA (over background); uint8, bool or float 0..1."""
    image = np.asarray(image)
    if image.dtype == bool or np.issubdtype(image.dtype, np.floating):
        image = np.rint(np.clip(np.nan_to_num(image.astype(np.float32)), 0, 1) * 255).astype(np.uint8)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, 2)
    if image.shape[2] == 3:
        return image
    alpha = image[..., 3:].astype(np.float32) / 255
    return np.rint(image[..., :3] * alpha + np.asarray(background, np.float32) * (1 - alpha)).astype(np.uint8)


@lru_cache(maxsize=8)
def _font(height_px: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(height_px)


def caption(image: np.ndarray, text: str, height_px: int = 14, above: bool = False) -> np.ndarray:
    """Add a line of text under (or above) a picture; text too wide for it is shortened with an ellipsis."""
    image = to_rgb(image)
    strip = _text_strip(text, image.shape[1], height_px)
    return np.concatenate((strip, image) if above else (image, strip))


def _text_strip(text: str, width: int, height_px: int) -> np.ndarray:
    font = _font(height_px)
    canvas = Image.new("RGB", (width, height_px + 6), (255, 255, 255))
    draw = ImageDraw.Draw(canvas)
    if draw.textlength(text, font=font) > width - 2:
        while text and draw.textlength(text + "…", font=font) > width - 2:
            text = text[:-1]
        text += "…"
    left = max(1.0, (width - draw.textlength(text, font=font)) / 2)
    draw.text((left, 1), text, fill=(30, 30, 30), font=font)
    return np.asarray(canvas)


def grid(
    rows: Sequence[Sequence[np.ndarray | None]],
    labels: Sequence[str] | Sequence[Sequence[str]] | None = None,
    gap: int = 4,
    background: Sequence[int] = (255, 255, 255),
) -> np.ndarray:
    """Lay pictures out in rows; None leaves a cell empty, smaller pictures are centred in their cell.

    labels: one string per column (headings), or a list of strings per row (a caption under each picture).
    """
    cells = [[None if image is None else to_rgb(image, background) for image in row] for row in rows]
    if labels and isinstance(labels[0], str):
        cells = _with_headings(cells, [str(text) for text in labels])
    elif labels:
        cells = [_captioned(row, texts) for row, texts in zip_longest(cells, labels, fillvalue=())]
    return _paste(cells, gap, background)


def _captioned(row: Sequence[np.ndarray | None], texts: Sequence[str]) -> list[np.ndarray | None]:
    words = [*texts, *[""] * (len(row) - len(texts))]
    return [
        caption(image, text) if image is not None and text else image
        for image, text in zip(row, words, strict=False)
    ]


def _with_headings(cells: list[list], headings: list[str]) -> list[list]:
    """Put a row of column headings on top, each as wide as its column."""
    widths = _extents(cells, axis=1)
    top = [_text_strip(text, max(width, 8), 14) for text, width in zip(headings, widths, strict=False)]
    return [top, *cells]


def _extents(cells: list[list], axis: int) -> list[int]:
    """Height of every row (axis 0) or width of every column (axis 1) in pixels."""
    columns = max((len(row) for row in cells), default=0)
    groups = cells if axis == 0 else [[row[k] for row in cells if k < len(row)] for k in range(columns)]
    return [max((image.shape[axis] for image in group if image is not None), default=0) for group in groups]


def _paste(cells: list[list], gap: int, background: Sequence[int]) -> np.ndarray:
    heights, widths = _extents(cells, 0), _extents(cells, 1)
    size = (sum(heights) + gap * (len(heights) + 1), sum(widths) + gap * (len(widths) + 1), 3)
    canvas = np.broadcast_to(np.asarray(background, np.uint8), size).copy()
    top = gap
    for row, height in zip(cells, heights, strict=True):
        left = gap
        for image, width in zip(row, widths, strict=False):
            if image is not None:
                v, u = top + (height - image.shape[0]) // 2, left + (width - image.shape[1]) // 2
                canvas[v : v + image.shape[0], u : u + image.shape[1]] = image
            left += width + gap
        top += height + gap
    return canvas
