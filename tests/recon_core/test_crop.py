# SPDX-License-Identifier: Apache-2.0
"""Crops: the box, its pixels against brute force, cameras, and speed."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_core.cameras import orbit, pinhole
from recon_core.data.crop import crop_cameras, crop_mask, crop_square, fit_box
from recon_core.errors import InputError


def _disc(height: int, width: int, cx: float, cy: float, radius: float) -> np.ndarray:
    """Anti-aliased disc (H,W) uint8."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.rint(np.clip(radius - np.hypot(x - cx, y - cy) + 0.5, 0, 1) * 255).astype(np.uint8)


def test_fit_box_is_the_square_around_the_bounding_box() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[4:9, 10:22] = 255
    mask[0, 0] = 127  # not more than half covered
    assert fit_box(mask, margin=1.5) == (16.0, 6.5, 18.0)


def test_fit_box_refuses_an_empty_mask() -> None:
    with pytest.raises(InputError, match=r"8x6 pixels.*is empty"):
        fit_box(np.full((6, 8), 127, np.uint8))


def test_an_aligned_box_of_the_same_size_is_a_copy() -> None:
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (16, 20, 4), dtype=np.uint8)
    rgba[..., 3] = 255
    assert np.array_equal(crop_square(rgba, (9.0, 8.0, 8.0), 8), rgba[4:12, 5:13])
    assert np.array_equal(crop_mask(rgba[..., 0], (9.0, 8.0, 8.0), 8), rgba[4:12, 5:13, 0])


def test_outside_is_transparent() -> None:
    rgba = np.full((8, 8, 4), 255, np.uint8)
    crop = crop_square(rgba, (8.0, 4.0, 8.0), 8)
    assert (crop[:, :4, 3] == 255).all()
    assert (crop[:, 4:] == 0).all()
    assert (crop_square(rgba, (100.0, -50.0, 8.0), 8) == 0).all()


def test_hidden_colours_do_not_bleed() -> None:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[..., 1] = 255  # green, where nobody sees it
    disc = _disc(64, 64, 32, 32, 20)
    rgba[disc > 0] = (200, 0, 100, 0)
    rgba[..., 3] = disc
    crop = crop_square(rgba, fit_box(disc), 24)
    visible = crop[crop[..., 3] > 8].astype(int)
    assert np.abs(visible[:, :3] - (200, 0, 100)).max() <= 16  # 8-bit rounding at low alpha
    solid = crop[crop[..., 3] == 255].astype(int)
    assert np.abs(solid[:, :3] - (200, 0, 100)).max() <= 1


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(20, 300),
    width=st.integers(20, 300),
    side=st.floats(10, 500),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    size=st.sampled_from([8, 16]),
)
def test_crops_keep_the_mean(height: int, width: int, side: float, x: float, y: float, size: int) -> None:
    """Brute force: the sum of a smooth image's coverage over the box, wherever the box is."""
    v, u = np.mgrid[:height, :width]
    mask = np.rint(127 + 100 * np.sin(u / 40) * np.cos(v / 30)).astype(np.uint8)
    box = (x * width, y * height, side)

    def overlap(count: int, center: float) -> np.ndarray:
        edges = np.arange(count + 1)
        inside = np.clip(edges, center - side / 2, center + side / 2)
        return np.diff(inside)

    expected = overlap(height, box[1]) @ mask.astype(float) @ overlap(width, box[0]) / side**2
    found = crop_mask(mask, box, size).mean()
    # The filter reaches over the box's border, so what lies just outside counts a little.
    assert abs(found - expected) < 14


def test_shrinking_is_anti_aliased() -> None:
    """A fine chequerboard becomes grey, also through the block averages of large images."""
    for height, width in ((128, 128), (700, 900)):
        mask = ((np.indices((height, width)).sum(0) % 2) * 255).astype(np.uint8)
        crop = crop_mask(mask, (width / 2, height / 2, height * 0.8), 24)
        assert np.abs(crop.astype(int) - 127.5).max() < 14


@pytest.mark.parametrize("size", [32, 64])
def test_large_images_give_the_same_crop_as_small_ones(size: int) -> None:
    """The block averages change nothing but rounding: a disc at 10 times the resolution is the same disc."""
    small = _disc(150, 130, 70.0, 60.0, 50.0)
    large = _disc(1500, 1300, 700.0, 600.0, 500.0)
    one = crop_mask(small, (75.0, 62.0, 150.0), size).astype(int)
    two = crop_mask(large, (750.0, 620.0, 1500.0), size).astype(int)
    assert np.abs(one - two).mean() < 0.5
    assert np.abs(one - two).max() < 20


def test_crop_cameras_see_the_cropped_pixels() -> None:
    camera = pinhole(orbit(torch.tensor([20.0]), torch.tensor([10.0])), 200)
    xyz = torch.tensor([[[0.11, -0.07, 0.2]]])
    uv, depth = camera.project(xyz)
    box = (120.0, 80.0, 90.0)
    cropped, cropped_depth = crop_cameras(camera, box, 256).project(xyz)
    mask = _disc(200, 200, float(uv[0, 0, 0]), float(uv[0, 0, 1]), 8)
    weight = crop_mask(mask, box, 256).astype(float)
    v, u = np.mgrid[:256, :256] + 0.5
    centroid = np.array([(weight * u).sum(), (weight * v).sum()]) / weight.sum()
    np.testing.assert_allclose(cropped[0, 0].numpy(), centroid, atol=0.1)
    assert torch.equal(depth, cropped_depth)


@pytest.mark.parametrize(
    ("pixels", "box"),
    [
        (np.zeros((4, 4, 3), np.uint8), (2.0, 2.0, 4.0)),
        (np.zeros((4, 4, 4), np.float32), (2.0, 2.0, 4.0)),
        (np.zeros((0, 4, 4), np.uint8), (2.0, 2.0, 4.0)),
        (np.zeros((4, 4, 4), np.uint8), (2.0, 2.0, 0.0)),
        (np.zeros((4, 4, 4), np.uint8), (float("nan"), 2.0, 4.0)),
    ],
)
def test_bad_arguments(pixels: np.ndarray, box: tuple[float, float, float]) -> None:
    with pytest.raises(InputError):
        crop_square(pixels, box, 8)


def test_speed() -> None:
    """Bounds are several times what is measured (0.4 ms and 40 ms), for busy machines."""
    for height, width, limit in ((128, 128, 0.01), (2160, 3840, 0.4)):
        disc = _disc(height, width, width / 2, height / 2, height * 0.45)
        rgba = np.dstack((disc, disc, disc, disc))
        times = []
        for _ in range(3):
            start = time.perf_counter()
            crop_square(rgba, fit_box(disc), 128)
            times.append(time.perf_counter() - start)
        assert min(times) < limit
