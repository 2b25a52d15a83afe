# SPDX-License-Identifier: Apache-2.0
"""Square images of other sizes from decoded passes."""

import numpy as np
from PIL import Image


def area_resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """Area means of (H,W) or RGBA (H,W,4) uint8 at (size,size); colours weighted by their alpha."""
    if pixels.shape[:2] == (size, size):
        return pixels
    # Pillow multiplies RGBA by alpha before it averages, and divides after.
    return np.array(Image.fromarray(pixels).resize((size, size), Image.Resampling.BOX))


def center_resized(values: np.ndarray, size: int) -> np.ndarray:
    """The value (H,W) below each new pixel's centre, (size,size): for ids and depth, which must not mix."""
    height, width = values.shape
    rows = ((np.arange(size) + 0.5) * height / size).astype(int)
    columns = ((np.arange(size) + 0.5) * width / size).astype(int)
    return values[rows[:, None], columns]
