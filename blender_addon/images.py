# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels of Blender's images as arrays. Main thread only."""

from typing import Any

import numpy as np

from .jobs import UserError
from .points_object import srgb_bytes

MAX_PIXELS = 100_000_000


def rgba_of(image: Any) -> np.ndarray:
    """Pixels (H,W,4) uint8 of an image, sRGB, straight alpha, row 0 on top. Raises UserError."""
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
    return _as_bytes(values.reshape(height, width, image.channels)[::-1], image)


def _as_bytes(values: np.ndarray, image: Any) -> np.ndarray:
    rgba = np.full((*values.shape[:2], 4), 255, np.uint8)
    color = values[..., :3] if values.shape[-1] > 1 else np.repeat(values, 3, -1)
    if image.is_float:
        rgba[..., :3] = srgb_bytes(np.nan_to_num(color))  # floating-point images are linear in Blender
    else:
        np.rint(np.clip(color, 0, 1) * 255, out=rgba[..., :3], casting="unsafe")
    if values.shape[-1] == 4:
        np.rint(np.clip(np.nan_to_num(values[..., 3]), 0, 1) * 255, out=rgba[..., 3], casting="unsafe")
    return rgba


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
