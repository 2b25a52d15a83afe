# SPDX-License-Identifier: Apache-2.0
"""Strokes that say what is object and what is background, read from a picture that any paint program saves.

Green or white strokes are on the object, red or black ones on the background. They are on a transparent picture, on
a canvas of any one colour, or on a copy of the photograph itself.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import InputError
from ..io.images import LoadedImage, read_image
from .first_guess import BACKGROUND, OBJECT

# A copy of the photograph differs from it by compression alone, but where the strokes are.
_SAME_LEVELS, _SAME_SHARE = 40, 0.5
_CANVAS_LEVELS, _CANVAS_SHARE = 12, 0.5
# Fewer pixels than this are a slip of the pen or compression.
_LEAST_PIXELS = 4
_EXPECTED = (
    "Expected green or white strokes on the object and red or black ones on the background, on a transparent picture, "
    "on a canvas of one other colour, or on a copy of the image"
)


def read_scribbles(path: str | Path, rgb: np.ndarray) -> np.ndarray:
    """Strokes (H,W) int8, OBJECT, BACKGROUND or 0, of a picture for the image rgb (H,W,3) uint8.

    A picture of another size is scaled, if it has the image's aspect ratio. Raises InputError for a picture that
    cannot be read, has another aspect ratio, or has no strokes.
    """
    path = Path(path)
    loaded = read_image(path)
    pixels = loaded.rgba
    rows, columns = rgb.shape[:2]
    if abs(pixels.shape[1] * rows / (pixels.shape[0] * columns) - 1) > 0.03:
        raise InputError(
            f"The strokes {path} are on a picture of {pixels.shape[1]} x {pixels.shape[0]} pixels, the image has "
            f"{columns} x {rows}. Expected the same size, or the same aspect ratio."
        )
    if pixels.shape[:2] != rgb.shape[:2]:
        pixels = np.asarray(Image.fromarray(pixels).resize((columns, rows), Image.Resampling.NEAREST))
    strokes = _by_color(pixels[..., :3])
    strokes[~_painted(LoadedImage(pixels, loaded.has_alpha), rgb)] = 0
    if (strokes != 0).sum() < _LEAST_PIXELS:
        raise InputError(f"{path} has no strokes. {_EXPECTED}.")
    return strokes


def _painted(scribbles: LoadedImage, rgb: np.ndarray) -> np.ndarray:
    """Which pixels (H,W) bool may be strokes: the opaque ones, or what differs from the photograph or canvas."""
    if scribbles.has_alpha and (scribbles.rgba[..., 3] < 32).mean() >= 0.001:
        return scribbles.rgba[..., 3] > 127
    colors = scribbles.rgba[..., :3].astype(np.int16)
    differs = np.abs(colors - rgb).max(-1) > _SAME_LEVELS
    if differs.mean() < _SAME_SHARE:
        return differs
    values, counts = np.unique(colors.reshape(-1, 3) >> 3, axis=0, return_counts=True)
    canvas = values[counts.argmax()] * 8 + 4
    on_canvas = np.abs(colors - canvas).max(-1) <= _CANVAS_LEVELS
    return ~on_canvas if on_canvas.mean() > _CANVAS_SHARE else np.ones(differs.shape, bool)


def _by_color(rgb: np.ndarray) -> np.ndarray:
    """OBJECT for green and white, BACKGROUND for red and black, 0 for other colours, of rgb (H,W,3) uint8."""
    red, green, blue = (rgb[..., channel].astype(np.int16) for channel in range(3))
    low, high = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    strokes = np.zeros(rgb.shape[:2], np.int8)
    strokes[(low >= 200) | ((green >= 120) & (green >= 1.5 * np.maximum(red, blue)))] = OBJECT
    strokes[(high <= 55) | ((red >= 120) & (red >= 1.5 * np.maximum(green, blue)))] = BACKGROUND
    return strokes
