# SPDX-License-Identifier: GPL-3.0-or-later
"""Square crops around an object in numpy alone, equal to those that models are trained on.

Training crops with Pillow: whole blocks of pixels are averaged, then a Hamming-windowed sinc of support 1 resamples
the rest in 8-bit fixed point, columns before rows, in colour times alpha. The same integer arithmetic is written out
here, because Blender has no Pillow; a difference of one grey level would already be 0.004 of the model's input.

A box is (cx, cy, side) in pixels, row 0 on top, continuous coordinates: pixel i covers [i, i + 1].
"""

import math

import numpy as np

Box = tuple[float, float, float]

DEFAULT_MARGIN = 1.15
MASK_THRESHOLD = 127
_SAMPLES_PER_PIXEL = 3
_STRIP_PIXELS = 1 << 18
# Weights have 22 fractional bits: 32 less the 8 of a pixel and 2 for overshoot.
_WEIGHT_BITS = 22


class CropError(ValueError):
    """A mask or box that nothing can be cut out with; the message is one line for the user."""


def fit_box(mask: np.ndarray, margin: float = DEFAULT_MARGIN) -> Box:
    """The square (cx, cy, side) around a mask (H,W) uint8, margin times its longer side (pixels > 127 count)."""
    columns = np.flatnonzero(mask.max(axis=0) > MASK_THRESHOLD)
    rows = np.flatnonzero(mask.max(axis=1) > MASK_THRESHOLD)
    if not len(columns):
        raise CropError("The mask is empty: no pixel is more than half covered. Choose another mask source.")
    left, right = int(columns[0]), int(columns[-1]) + 1
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    return (left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top) * margin


def crop_square(rgba: np.ndarray, box: Box, size: int) -> np.ndarray:
    """Resample a box of an image (H,W,4) uint8, straight alpha, to (size,size,4); transparent outside it."""
    cx, cy, side = box
    if not (math.isfinite(cx + cy + side) and side > 0 and size > 0):
        raise CropError(f"The crop (centre {cx}, {cy}, side {side} pixels) must be finite and not empty.")
    block = max(1, int(side / (size * _SAMPLES_PER_PIXEL)))
    reach = max(1.0, side / size) + block
    first = [math.floor((center - side / 2 - reach) / block) for center in (cx, cy)]
    last = [math.ceil((center + side / 2 + reach) / block) for center in (cx, cy)]
    canvas = _block_means(rgba, first, last, block)
    left, top = (cx - side / 2) / block - first[0], (cy - side / 2) / block - first[1]
    columns = _resampled(canvas.transpose(1, 0, 2), left, left + side / block, size).transpose(1, 0, 2)
    return straight_from_weighted(_resampled(columns, top, top + side / block, size))


def weighted_from_straight(rgba: np.ndarray) -> np.ndarray:
    """Colour times alpha (H,W,4) uint8, rounded to nearest."""
    alpha = rgba[..., 3:].astype(np.uint32)
    product = rgba[..., :3] * alpha + 128
    colors = ((product >> 8) + product) >> 8
    return np.concatenate((colors.astype(np.uint8), rgba[..., 3:]), axis=-1)


def straight_from_weighted(rgba: np.ndarray) -> np.ndarray:
    """Colour (H,W,4) uint8 divided by alpha, rounded down; as it is where alpha is 0 or 255."""
    alpha = rgba[..., 3:].astype(np.uint32)
    divided = np.minimum(255 * rgba[..., :3].astype(np.uint32) // np.maximum(alpha, 1), 255)
    kept = (alpha == 0) | (alpha == 255)
    colors = np.where(kept, rgba[..., :3], divided.astype(np.uint8))
    return np.concatenate((colors, rgba[..., 3:]), axis=-1)


def _block_means(rgba: np.ndarray, first: list[int], last: list[int], block: int) -> np.ndarray:
    """Weighted means (rows, columns, 4) uint8 of the blocks from `first` to before `last` (x, y)."""
    height, width = rgba.shape[:2]
    low = [max(0, min(first[axis], -(-extent // block))) for axis, extent in enumerate((width, height))]
    high = [
        max(low[axis], min(last[axis], -(-extent // block))) for axis, extent in enumerate((width, height))
    ]
    canvas = np.zeros((last[1] - first[1], last[0] - first[0], 4), np.uint8)
    if high[0] == low[0] or high[1] == low[1]:
        return canvas
    part = rgba[low[1] * block : high[1] * block, low[0] * block : high[0] * block]
    rows = block * max(1, _STRIP_PIXELS // (part.shape[1] * block))
    strips = [part[top : top + rows] for top in range(0, part.shape[0], rows)]
    means = np.concatenate([_reduced(weighted_from_straight(strip), block) for strip in strips])
    _dim_partial_blocks(means, part.shape[:2], block)
    x, y = low[0] - first[0], low[1] - first[1]
    canvas[y : y + means.shape[0], x : x + means.shape[1]] = means
    return canvas


def _reduced(pixels: np.ndarray, block: int) -> np.ndarray:
    """Means of blocks (H,W,4) uint8; a block cut off by the picture's end is averaged over what it has."""
    if block == 1:
        return pixels
    starts_y, starts_x = (np.arange(0, extent, block) for extent in pixels.shape[:2])
    sums = np.add.reduceat(pixels, starts_y, axis=0, dtype=np.uint32)
    sums = np.add.reduceat(sums, starts_x, axis=1, dtype=np.uint32)
    rows = np.minimum(block, pixels.shape[0] - starts_y)
    columns = np.minimum(block, pixels.shape[1] - starts_x)
    counts = np.outer(rows, columns)[..., None].astype(np.uint32)
    # Division by multiplication with a reciprocal of 24 fractional bits, in single precision.
    reciprocal = (np.float32(2**32) / (counts * 256).astype(np.float32)).astype(np.uint64)
    return (((sums + counts // 2).astype(np.uint64) * reciprocal) >> 24).astype(np.uint8)


def _dim_partial_blocks(means: np.ndarray, extent: tuple[int, ...], block: int) -> None:
    """Scale the last row and column to the share that the picture covers of their blocks."""
    rows, columns = extent[0] % block, extent[1] % block
    if rows:
        means[-1] = np.rint(means[-1] * (rows / block)).astype(np.uint8)
    if columns:
        means[:, -1] = np.rint(means[:, -1] * (columns / block)).astype(np.uint8)


def _resampled(pixels: np.ndarray, low: float, high: float, size: int) -> np.ndarray:
    """Resample rows low to high of pixels (H,W,4) uint8 to `size` rows."""
    index, weights = _filter_taps(pixels.shape[0], np.float32(low), np.float32(high), size)
    total = np.full((size, *pixels.shape[1:]), 1 << (_WEIGHT_BITS - 1), np.int64)
    for tap in range(index.shape[1]):
        total += weights[:, tap, None, None] * pixels[index[:, tap]]
    return np.clip(total >> _WEIGHT_BITS, 0, 255).astype(np.uint8)


def _filter_taps(extent: int, low: np.float32, high: np.float32, size: int) -> tuple[np.ndarray, np.ndarray]:
    """For each output row the input rows (size, taps) and their fixed-point weights (size, taps)."""
    scale = float(high - low) / size  # the difference in single precision, the rest in double
    support = max(scale, 1.0)
    center = float(low) + (np.arange(size) + 0.5) * scale
    first = np.maximum((center - support + 0.5).astype(np.int64), 0)
    last = np.minimum((center + support + 0.5).astype(np.int64), extent)
    index = first[:, None] + np.arange(math.ceil(support) * 2 + 1)
    weights = _hamming((index - center[:, None] + 0.5) * (1 / support))
    weights[index >= last[:, None]] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    fixed = np.floor(weights * (1 << _WEIGHT_BITS) + 0.5).astype(np.int64)
    return np.minimum(index, extent - 1), fixed


def _hamming(x: np.ndarray) -> np.ndarray:
    """Hamming-windowed sinc of support 1."""
    near = np.minimum(np.abs(x), 1.0)
    return np.where(near < 1, np.sinc(near) * (0.54 + 0.46 * np.cos(np.pi * near)), 0.0)
