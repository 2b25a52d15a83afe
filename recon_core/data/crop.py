# SPDX-License-Identifier: Apache-2.0
"""Square crops around an object: the same function for training inputs and for photographs.

A box is (cx, cy, side) in pixels of the source image, continuous coordinates: pixel i covers [i, i + 1].
"""

import math
from dataclasses import replace

import numpy as np
from PIL import Image

from ..cameras import Cameras
from ..errors import InputError

Box = tuple[float, float, float]

DEFAULT_MARGIN = 1.15
MASK_THRESHOLD = 127
# Positive everywhere (no ringing), sharper than a triangle; Pillow widens it when shrinking.
_FILTER = Image.Resampling.HAMMING
# Whole blocks are averaged first while that leaves this many samples per output pixel.
_SAMPLES_PER_PIXEL = 3
_STRIP_PIXELS = 1 << 18


def fit_box(mask: np.ndarray, margin: float = DEFAULT_MARGIN) -> Box:
    """The square (cx, cy, side) around a mask (H,W) uint8, margin times its longer side (pixels > 127 count).

    Raises InputError when no pixel counts.
    """
    columns = np.flatnonzero(mask.max(axis=0) > MASK_THRESHOLD)
    rows = np.flatnonzero(mask.max(axis=1) > MASK_THRESHOLD)
    if not len(columns):
        raise InputError(
            f"The mask ({mask.shape[1]}x{mask.shape[0]} pixels) is empty: no pixel is more than half covered."
        )
    left, right = int(columns[0]), int(columns[-1]) + 1
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    return (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top) * margin


def crop_square(rgba: np.ndarray, box: Box, size: int) -> np.ndarray:
    """Resample a box of an RGBA image (H,W,4) uint8, straight alpha, to (size,size,4) uint8.

    Anti-aliased when shrinking, weighted by alpha (hidden colours never show), transparent outside the image.
    """
    _check_image(rgba, 3, 4)
    return _crop(rgba, "RGBA", "RGBa", box, size)


def crop_mask(mask: np.ndarray, box: Box, size: int) -> np.ndarray:
    """Resample a box of a mask (H,W) uint8 to (size,size) uint8, as crop_square does; 0 outside."""
    _check_image(mask, 2, 0)
    return _crop(mask, "L", "L", box, size)


def crop_cameras(cameras: Cameras, box: Box, size: int) -> Cameras:
    """Cameras of the crops of one box, from cameras of the full images."""
    cx, cy, side = box
    scale = size / side
    ones = cameras.fx.new_ones(len(cameras))
    corner = cameras.fx.new_tensor([cx - side / 2, cy - side / 2])
    moved = cameras.warped(ones * scale, (-corner * scale).expand(len(cameras), 2))
    return replace(moved, width=size, height=size)


def _check_image(pixels: np.ndarray, dimensions: int, channels: int) -> None:
    fits = pixels.ndim == dimensions and (not channels or pixels.shape[-1] == channels)
    if not fits or pixels.dtype != np.uint8 or not pixels.size:
        raise InputError(
            f"Cannot crop an array of shape {pixels.shape}, type {pixels.dtype}; expected 8 bits."
        )


def _crop(pixels: np.ndarray, straight: str, weighted: str, box: Box, size: int) -> np.ndarray:
    """Crop in the `weighted` mode (colour times alpha), return pixels of the `straight` mode."""
    cx, cy, side = box
    if not (math.isfinite(cx) and math.isfinite(cy) and math.isfinite(side) and side > 0 and size > 0):
        raise InputError(
            f"The box (cx {cx}, cy {cy}, side {side}) and the size {size} must be finite and positive."
        )
    block = max(1, int(side / (size * _SAMPLES_PER_PIXEL)))
    # The filter reaches beyond the box by its support; blocks are counted from the image's corner.
    reach = max(1.0, side / size) + block
    first = [math.floor((center - side / 2 - reach) / block) for center in (cx, cy)]
    last = [math.ceil((center + side / 2 + reach) / block) for center in (cx, cy)]
    canvas = _block_means(pixels, straight, weighted, first, last, block)
    left, top = (cx - side / 2) / block - first[0], (cy - side / 2) / block - first[1]
    window = (left, top, left + side / block, top + side / block)
    resized = _image(canvas, weighted).resize((size, size), _FILTER, box=window)
    return np.array(resized if weighted == straight else resized.convert(straight))


def _block_means(
    pixels: np.ndarray, straight: str, weighted: str, first: list[int], last: list[int], block: int
) -> np.ndarray:
    """Means of the blocks from `first` to before `last` (x, y); what lies outside the image counts as 0."""
    height, width = pixels.shape[:2]
    low = [max(0, min(first[axis], -(-extent // block))) for axis, extent in enumerate((width, height))]
    high = [
        max(low[axis], min(last[axis], -(-extent // block))) for axis, extent in enumerate((width, height))
    ]
    canvas = np.zeros((last[1] - first[1], last[0] - first[0], *pixels.shape[2:]), np.uint8)
    if high[0] == low[0] or high[1] == low[1]:
        return canvas
    part = pixels[low[1] * block : high[1] * block, low[0] * block : high[0] * block]
    # In strips, which keeps the temporary copies small and is a third faster on large photographs.
    rows = block * max(1, _STRIP_PIXELS // (part.shape[1] * block))
    strips = [part[top : top + rows] for top in range(0, part.shape[0], rows)]
    means = np.concatenate([_reduced(strip, straight, weighted, block) for strip in strips])
    _dim_partial_blocks(means, part.shape[:2], block)
    x, y = low[0] - first[0], low[1] - first[1]
    canvas[y : y + means.shape[0], x : x + means.shape[1]] = means
    return canvas


def _reduced(part: np.ndarray, straight: str, weighted: str, block: int) -> np.ndarray:
    image = _image(np.ascontiguousarray(part), straight)
    return np.array((image if weighted == straight else image.convert(weighted)).reduce(block))


def _dim_partial_blocks(means: np.ndarray, extent: tuple[int, ...], block: int) -> None:
    """Pillow averages the pixels that a cut block has; scale the last row and column to the whole block."""
    rows, columns = extent[0] % block, extent[1] % block
    if rows:
        means[-1] = np.rint(means[-1] * (rows / block)).astype(np.uint8)
    if columns:
        means[:, -1] = np.rint(means[:, -1] * (columns / block)).astype(np.uint8)


def _image(pixels: np.ndarray, mode: str) -> Image.Image:
    return Image.frombuffer(mode, (pixels.shape[1], pixels.shape[0]), pixels, "raw", mode, 0, 1)
