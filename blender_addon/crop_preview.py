# SPDX-License-Identifier: GPL-3.0-or-later
"""The crop that the model sees, as a picture for the panel; no datablock of the file."""

import numpy as np
from bpy.utils import previews

_collection = None
_message = ""


def register() -> None:
    global _collection
    _collection = previews.new()


def unregister() -> None:
    global _collection
    if _collection is not None:
        previews.remove(_collection)
    _collection = None


def forget() -> None:
    """Drop the picture: it belongs to other settings."""
    if _collection is not None:
        _collection.clear()


def show(crop: np.ndarray) -> None:
    """Keep a crop (S,S,4) uint8, on a checkerboard where it is transparent."""
    if _collection is None:
        return
    forget()
    preview = _collection.new("crop")
    size = crop.shape[0]
    stripes = np.arange(size) // max(1, size // 8)
    cells = np.add.outer(stripes, stripes) % 2
    board = np.where(cells[..., None], 0.35, 0.25)
    alpha = crop[..., 3:] / 255
    shown = np.ones((size, size, 4), np.float32)
    shown[..., :3] = crop[..., :3] / 255 * alpha + board * (1 - alpha)
    preview.image_size = (size, size)
    preview.image_pixels_float.foreach_set(shown[::-1].ravel())


def shown() -> bool:
    """Whether there is a picture."""
    return _collection is not None and "crop" in _collection


def icon() -> int:
    """The picture's icon, or 0."""
    return _collection["crop"].icon_id if _collection is not None and shown() else 0
