# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels of Blender's images as arrays. Main thread only, but for RawPixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .jobs import UserError
from .points_object import srgb_bytes

MAX_PIXELS = 100_000_000
# So many values are converted at a time: they stay in the processor's cache.
_STRIP_VALUES = 1 << 17


@dataclass
class RawPixels:
    """Pixels (H,W,C) float32 as Blender gives them, row 0 at the bottom; linear where `is_float`."""

    values: np.ndarray
    is_float: bool

    def rgba(self) -> np.ndarray:
        """Pixels (H,W,4) uint8, sRGB, straight alpha, row 0 on top. Touches no bpy: threads may call it."""
        height, width, channels = self.values.shape
        rgba = np.full((height, width, 4), 255, np.uint8)
        rows = max(1, _STRIP_VALUES // (width * channels))
        for top in range(0, height, rows):
            strip, into = self.values[::-1][top : top + rows], rgba[top : top + rows]
            if self.is_float:
                strip = _displayed(strip)
            into[..., : max(channels, 3)] = _nearest_byte(strip)  # one channel is repeated
        return rgba


def rgba_of(image: Any) -> np.ndarray:
    """Pixels (H,W,4) uint8 of an image, sRGB, straight alpha, row 0 on top. Raises UserError."""
    return read(image).rgba()


def read(image: Any) -> RawPixels:
    """Copy an image's pixels: quick, so that the rest of the work can be a thread's. Raises UserError."""
    if image is None:
        raise UserError("No image is chosen. Open one in the Image section.")
    width, height = image.size
    if not image.has_data and not (width and height):
        raise UserError(f"{image.name} has no pixels: its file is missing, empty or no image.")
    if width * height > MAX_PIXELS or image.channels not in (1, 3, 4):
        raise UserError(
            f"{image.name} ({width} x {height}, {image.channels} channels) cannot be used: expected RGB or "
            f"RGBA of at most {MAX_PIXELS // 1_000_000} megapixels."
        )
    values = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return RawPixels(values.reshape(height, width, image.channels), image.is_float)


def _nearest_byte(share: np.ndarray) -> np.ndarray:
    """Bytes of values in [0, 1]."""
    scaled = share * np.float32(255)
    scaled += np.float32(0.5)
    return scaled.astype(np.uint8)


def _displayed(linear: np.ndarray) -> np.ndarray:
    """Values (H,W,C) in [0, 1] of a floating-point image: its colours are linear and without bounds, alpha is not."""
    values = np.clip(np.nan_to_num(linear), 0, 1)
    values[..., :3] = srgb_bytes(values[..., :3]) / np.float32(255)
    return values


def open_in_editor(context: Any) -> Any:
    """The image that an image editor of this window shows, or None."""
    for area in context.screen.areas if context.screen else ():
        if area.type == "IMAGE_EDITOR" and area.spaces.active.image is not None:
            return area.spaces.active.image
    return None


def new_mask(name: str, mask: np.ndarray) -> Any:
    """A new image of a mask (H,W) uint8 with row 0 on top, white on black."""
    import bpy

    height, width = mask.shape
    image = bpy.data.images.new(name, width, height)
    values = np.ones((height, width, 4), np.float32)
    values[..., :3] = (mask[::-1] / 255)[..., None]
    image.pixels.foreach_set(values.ravel())
    image.update()
    image.pack()
    return image
