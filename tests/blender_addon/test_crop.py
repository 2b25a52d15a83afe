# SPDX-License-Identifier: Apache-2.0
"""The add-on's crop without Pillow against the crop that models are trained on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from blender_addon.crop import CropError, crop_square, fit_box, straight_from_weighted, weighted_from_straight
from recon_core.data import crop as trained


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """Noise (H,W,4) uint8 with soft and hard alpha: every rounding shows in it."""
    random = np.random.default_rng(seed)
    rgba = random.integers(0, 256, (height, width, 4), dtype=np.uint8)
    rgba[: height // 2, :, 3] = np.where(random.random((height // 2, width)) < 0.5, 0, 255)
    return rgba


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    center=st.tuples(st.floats(-20, 110), st.floats(-20, 110)),
    side=st.floats(0.5, 400),
    size=st.sampled_from([1, 7, 16, 64]),
    seed=st.integers(0, 99),
)
def test_crop_equals_training(height, width, center, side, size, seed):
    rgba = picture(height, width, seed)
    box = (*center, side)
    np.testing.assert_array_equal(crop_square(rgba, box, size), trained.crop_square(rgba, box, size))


@pytest.mark.parametrize(("shape", "size"), [((1500, 2003), 64), ((3000, 2000), 128), ((700, 700), 224)])
def test_crop_of_photographs_equals_training(shape, size):
    rgba = picture(*shape, seed=1)
    mask = np.zeros(shape, np.uint8)
    mask[shape[0] // 5 : -7, 11 : shape[1] // 2] = 255
    box = fit_box(mask)
    assert box == trained.fit_box(mask)
    np.testing.assert_array_equal(crop_square(rgba, box, size), trained.crop_square(rgba, box, size))


def test_alpha_weights_equal_pillow():
    every = np.stack(np.meshgrid(np.arange(256), np.arange(256), indexing="ij"), -1).astype(np.uint8)
    rgba = np.stack([every[..., 0]] * 3 + [every[..., 1]], -1)
    weighted = np.array(Image.fromarray(rgba).convert("RGBa"))
    np.testing.assert_array_equal(weighted_from_straight(rgba), weighted)
    image = Image.frombuffer("RGBa", (256, 256), rgba, "raw", "RGBa", 0, 1)
    np.testing.assert_array_equal(straight_from_weighted(rgba), np.array(image.convert("RGBA")))


def test_empty_mask_and_impossible_boxes_are_refused():
    with pytest.raises(CropError, match="empty"):
        fit_box(np.full((4, 5), 127, np.uint8))
    for box in [(1.0, 1.0, 0.0), (float("nan"), 1.0, 3.0)]:
        with pytest.raises(CropError, match="finite"):
            crop_square(picture(4, 4, 0), box, 8)
