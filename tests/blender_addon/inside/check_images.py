# SPDX-License-Identifier: Apache-2.0
"""Pixels of Blender's images as bytes, value by value."""

import bpy
import numpy as np
import pytest

from blender_addon import images
from blender_addon.images import RawPixels


def expected(values: np.ndarray, is_float: bool) -> np.ndarray:
    """One value after the other, from the definition of sRGB."""
    height, width, channels = values.shape
    rgba = np.empty((height, width, 4), np.uint8)
    for row in range(height):
        for column in range(width):
            pixel = values[height - 1 - row, column]
            color = [pixel[min(k, channels - 1)] for k in range(3)]
            alpha = pixel[3] if channels == 4 else 1.0
            for k, value in enumerate([*color, alpha]):
                share = min(max(float(value), 0.0), 1.0) if value == value else 0.0
                if is_float and k < 3:
                    share = share * 12.92 if share <= 0.0031308 else 1.055 * share ** (1 / 2.4) - 0.055
                rgba[row, column, k] = int(share * 255 + 0.5)
    return rgba


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("is_float", [False, True])
def test_bytes(channels, is_float, monkeypatch):
    monkeypatch.setattr(images, "_STRIP_VALUES", 40)  # several strips, the last one shorter
    values = np.random.default_rng(0).integers(0, 256, (7, 5, channels)).astype(np.float32) / 255
    if is_float:
        values = values * 2 - 0.3
        values[0, 0], values[1, 1], values[2, 2] = np.nan, np.inf, -np.inf
    off = RawPixels(values, is_float).rgba().astype(int) - expected(values, is_float)
    # Bytes come back exactly; half-way between two, single precision may choose the other one.
    assert np.abs(off).max() <= is_float
    assert (off != 0).mean() < 0.02


@pytest.mark.parametrize("is_float", [False, True])
def test_read_from_blender(is_float):
    image = bpy.data.images.new("a", 6, 4, alpha=True, float_buffer=is_float)
    levels = np.random.default_rng(1).integers(0, 256, (4, 6, 4))
    values = (levels / 255).astype(np.float32)
    image.pixels.foreach_set(values.ravel())
    raw = images.read(image)
    assert raw.is_float == is_float
    np.testing.assert_allclose(raw.values, values, atol=1e-6)
    np.testing.assert_array_equal(images.rgba_of(image), expected(values, is_float))
