# SPDX-License-Identifier: Apache-2.0
"""Augmentation: cameras stay consistent with warped images; each change does what its field says."""

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage
from tiny_dataset import make_tiny_dataset

from recon_core.cameras import camera_to_world, orbit, pinhole, rotation_angle_deg
from recon_core.data.augment import (
    AugmentConfig,
    augment_batch,
    augment_input,
    block_artefacts,
    blur,
    compose_input,
    move_outline,
    roll_cameras,
    rotate_input_views,
    warp,
)
from recon_core.data.cache import load_views
from recon_core.data.dataset import Dataset
from recon_core.data.viewset import ViewSet, sample_batch
from recon_core.errors import InputError

SIZE = 48
OFF = AugmentConfig.off()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return make_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny", 4, 6, SIZE, points=8192)


@pytest.fixture(scope="module")
def viewset(drawn: Path) -> ViewSet:
    passes = ("mask", "image", "parts", "depth")
    return load_views(drawn, "train", passes=passes, input_size=SIZE, mask_size=SIZE, progress=False)


def _discs(uv: torch.Tensor, size: int, radius: float = 3.0) -> torch.Tensor:
    """Anti-aliased discs (B,1,size,size) at pixel positions uv (B,2)."""
    at = torch.arange(size) + 0.5
    distance = torch.hypot(at - uv[:, :1, None], at[:, None] - uv[:, 1:, None])
    return (radius - distance + 0.5).clamp(0, 1)[:, None]


def _centroids(images: torch.Tensor) -> torch.Tensor:
    """Centres of mass (B,2) of (B,1,H,W) in pixels."""
    at = torch.arange(images.shape[-1]) + 0.5
    total = images.sum((1, 2, 3))
    return (
        torch.stack(((images * at).sum((1, 2, 3)), (images * at[:, None]).sum((1, 2, 3))), -1)
        / total[:, None]
    )


@settings(max_examples=40, deadline=None)
@given(
    scale=st.floats(0.7, 1.3),
    shift=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
    angle=st.floats(-math.pi, math.pi),
    offset=st.tuples(st.floats(-5, 5), st.floats(-5, 5)),
    azimuth=st.floats(0, 360),
)
def test_warped_pixels_lie_where_the_warped_camera_sees_them(scale, shift, angle, offset, azimuth) -> None:
    """A disc drawn where a point projects, warped, is where the warped camera projects that point."""
    camera = pinhole(orbit(torch.tensor([azimuth]), torch.tensor([20.0])), 96)
    camera = replace(camera, cx=camera.cx + offset[0], cy=camera.cy + offset[1])
    point = torch.tensor([[[0.12, -0.05, 0.1]]])
    uv, depth = camera.project(point)
    moved, warped = warp(
        _discs(uv[:, 0], 96),
        torch.tensor([scale]),
        torch.tensor([shift]),
        torch.tensor([angle]),
        cameras=camera,
    )
    assert warped is not None
    uv_warped, depth_warped = warped.project(point)
    torch.testing.assert_close(_centroids(moved), uv_warped[:, 0], atol=0.1, rtol=0)
    torch.testing.assert_close(depth, depth_warped)


def test_a_turn_is_counter_clockwise_and_a_shift_goes_right_and_down() -> None:
    right = _discs(torch.tensor([[36.0, 24.0]]), 48)
    turned, _ = warp(right, rotation_rad=torch.tensor([math.pi / 2]))
    torch.testing.assert_close(_centroids(turned), torch.tensor([[24.0, 12.0]]), atol=0.05, rtol=0)
    shifted, _ = warp(right, shift_px=torch.tensor([[2.0, 5.0]]))
    torch.testing.assert_close(_centroids(shifted), torch.tensor([[38.0, 29.0]]), atol=0.05, rtol=0)
    zoomed, _ = warp(right, scale=torch.tensor([0.5]))
    torch.testing.assert_close(_centroids(zoomed), torch.tensor([[30.0, 24.0]]), atol=0.05, rtol=0)


def test_a_roll_turns_the_pose_by_its_angle_and_keeps_the_place() -> None:
    cameras = pinhole(orbit(torch.tensor([10.0, 200.0]), torch.tensor([5.0, -30.0])).double(), 64)
    rolled = roll_cameras(cameras, torch.tensor([0.3, -1.0]))
    angles = rotation_angle_deg(rolled.world_to_cam[:, :3, :3], cameras.world_to_cam[:, :3, :3])
    torch.testing.assert_close(angles, torch.rad2deg(torch.tensor([0.3, 1.0])).double(), atol=1e-3, rtol=0)
    places = [camera_to_world(one.world_to_cam)[:, :3, 3] for one in (rolled, cameras)]
    torch.testing.assert_close(*places)


def test_identity_warps_change_nothing(generator) -> None:
    pixels = torch.rand(2, 4, 9, 13, generator=generator)
    torch.testing.assert_close(warp(pixels)[0], pixels, atol=1e-3, rtol=0)  # positions in float32
    ids = torch.randint(0, 5, (2, 1, 9, 13), generator=generator).float()
    assert torch.equal(warp(ids, nearest=True)[0], ids)


def test_hidden_colours_do_not_bleed_when_warped() -> None:
    rgba = torch.zeros(1, 4, 32, 32)
    rgba[:, 1] = 1.0  # green, where nobody sees it
    disc = _discs(torch.tensor([[16.0, 16.0]]), 32, 8.0)[0, 0]
    rgba[0, 0][disc > 0], rgba[0, 1][disc > 0] = 0.8, 0.0
    rgba[0, 3] = disc
    moved, _ = warp(rgba, torch.tensor([1.2]), rotation_rad=torch.tensor([0.5]))
    visible = moved[0, :, moved[0, 3] > 1e-3]
    torch.testing.assert_close(
        visible[:2], torch.tensor([[0.8], [0.0]]).expand_as(visible[:2]), atol=1e-4, rtol=0
    )


def test_pixels_that_are_not_square_cannot_be_turned() -> None:
    camera = pinhole(orbit(torch.tensor([0.0]), torch.tensor([0.0])), 32)
    camera = replace(camera, fx=camera.fx * 1.1)
    with pytest.raises(InputError, match="cannot be turned"):
        warp(torch.zeros(1, 1, 32, 32), rotation_rad=torch.tensor([0.1]), cameras=camera)
    assert warp(torch.zeros(1, 1, 32, 32), torch.tensor([1.1]), cameras=camera)[1] is not None


@pytest.mark.parametrize("apart", [False, True])
def test_turned_views_still_fit_the_points(drawn: Path, viewset: ViewSet, generator, apart: bool) -> None:
    """points.ply, projected by a turned batch's cameras, lies in its masks, parts and depth."""
    batch = sample_batch(viewset, 2, 3, generator, input_apart=apart)
    angle = torch.tensor([0.6, -1.1])
    turned = rotate_input_views(batch, angle)
    dataset = Dataset.open(drawn)
    clouds = [torch.from_numpy(dataset.points(viewset.names[index]).xyz) for index in batch.objects.tolist()]
    uv, depth = turned.cameras.project(torch.stack(clouds).repeat_interleave(3, 0))
    masks, distances = turned.masks.flatten(0, 1), turned.depth.flatten(0, 1)
    for index in range(6):
        column, row = uv[index].long().T
        assert (masks[index, row, column] > 0).float().mean() > 0.98
        seen = distances[index, row, column]
        assert (depth[index] - seen)[seen > 0].quantile(0.1) > -0.1
        hit = torch.zeros_like(masks[index], dtype=torch.bool)
        hit[row, column] = True
        assert hit[masks[index] == 1].float().mean() > 0.9
    assert torch.equal(turned.masks[:, 1:], batch.masks[:, 1:])
    assert torch.equal(turned.masks[:, 0], batch.masks[:, 0]) is apart
    assert turned.parts.dtype == torch.int64
    assert not torch.equal(turned.input, batch.input)
    first = turned.input_cameras if apart else turned.cameras[::3]
    expected = roll_cameras(batch.input_cameras, angle)
    torch.testing.assert_close(first.world_to_cam, expected.world_to_cam)
    torch.testing.assert_close(turned.input_cameras.world_to_cam, expected.world_to_cam)


def test_a_turned_input_is_the_crop_of_the_turned_frame(viewset: ViewSet, generator) -> None:
    """Turning the crop about its own centre differs from turning the frame by a shift alone."""
    batch = sample_batch(viewset, 2, 2, generator)
    turned = rotate_input_views(batch, torch.tensor([0.5, -0.4]))
    for index in range(2):
        frame, crop = turned.masks[index, 0].numpy(), turned.input[index, 3].numpy()
        moments = [_central_moments(image) for image in (frame, crop)]
        np.testing.assert_allclose(*moments, atol=0.04)


def _central_moments(image: np.ndarray) -> np.ndarray:
    """Second moments about the centroid, scaled to unit trace: blind to shift and zoom, not to turns."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    weights = image / image.sum()
    dx, dy = x - (weights * x).sum(), y - (weights * y).sum()
    moments = np.array([(weights * dx * dx).sum(), (weights * dx * dy).sum(), (weights * dy * dy).sum()])
    return moments / (moments[0] + moments[2])


# --- the model's input ------------------------------------------------------------------------------------


def test_compose_input() -> None:
    rgba = torch.tensor([1.0, 0.5, 0.0, 0.25]).view(1, 4, 1, 1)
    expected = torch.tensor([0.25 + 0.375, 0.125 + 0.375, 0.375, 0.25]).view(1, 4, 1, 1)
    torch.testing.assert_close(compose_input(rgba), expected)
    blue = torch.tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(compose_input(rgba, blue).flatten(), torch.tensor([0.25, 0.125, 0.75, 0.25]))


def test_off_changes_nothing(viewset: ViewSet, generator) -> None:
    batch = sample_batch(viewset, 2, 2, generator)
    torch.testing.assert_close(augment_input(batch.input, OFF, generator), compose_input(batch.input))
    again = augment_batch(batch, OFF, generator)
    assert torch.equal(again.masks, batch.masks)
    assert torch.equal(again.cameras.world_to_cam, batch.cameras.world_to_cam)


EVERYTHING = AugmentConfig(
    rotation_deg=30,
    mask_error_probability=1,
    background_probability=0.5,
    blur_probability=1,
    jpeg_probability=1,
)


def test_augmented_inputs_are_in_range_repeatable_and_differ(viewset: ViewSet, device) -> None:
    batch = sample_batch(viewset, 8, 2, torch.Generator().manual_seed(1), device=device)
    one, same, other = (
        augment_batch(batch, EVERYTHING, torch.Generator().manual_seed(seed)).input for seed in (3, 3, 4)
    )
    assert one.shape == batch.input.shape
    assert one.device.type == device.type
    assert torch.isfinite(one).all()
    assert 0 <= float(one.min()) <= float(one.max()) <= 1
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_every_item_gets_its_own_change(viewset: ViewSet, generator) -> None:
    batch = sample_batch(viewset, 1, 1, generator)
    crops = augment_input(batch.input.expand(6, -1, -1, -1), AugmentConfig(), generator)
    pairs = torch.pdist(crops.flatten(1))
    assert pairs.min() > 0.1


@pytest.mark.parametrize(
    "field",
    ["brightness", "contrast", "saturation", "channel_gain", "grey_probability", "noise", "shift", "scale"],
)
def test_each_field_alone_changes_the_input(viewset: ViewSet, generator, field: str) -> None:
    batch = sample_batch(viewset, 4, 1, generator)
    changed = augment_input(batch.input, OFF.model_copy(update={field: 0.5}), generator)
    plain = compose_input(batch.input)
    assert (changed - plain).abs().max() > 0.02
    moves = field in ("shift", "scale")
    assert torch.equal(changed[:, 3], plain[:, 3]) is not moves
    if not moves:
        outside = (plain[:, 3:] == 0).expand(-1, 3, -1, -1)
        assert (changed[:, :3][outside] == 0.5).all()


def test_grey_images_have_no_colour(viewset: ViewSet, generator) -> None:
    batch = sample_batch(viewset, 4, 1, generator)
    rgb = augment_input(batch.input, OFF.model_copy(update={"grey_probability": 1.0}), generator)[:, :3]
    assert (rgb.amax(1) - rgb.amin(1)).max() < 1e-5


def test_a_shown_background_fills_the_frame_and_leaves_the_object(viewset: ViewSet, generator) -> None:
    batch = sample_batch(viewset, 4, 1, generator)
    config = OFF.model_copy(update={"background_probability": 1.0})
    changed, plain = augment_input(batch.input, config, generator), compose_input(batch.input)
    solid = (plain[:, 3:] == 1).expand(-1, 3, -1, -1)
    torch.testing.assert_close(changed[:, :3][solid], plain[:, :3][solid])
    outside = (plain[:, 3:] == 0).expand(-1, 3, -1, -1)
    assert (changed[:, :3][outside] - 0.5).abs().mean() > 0.1


def test_a_wrong_outline_lets_the_background_in_or_the_object_out(viewset: ViewSet, generator) -> None:
    batch = sample_batch(viewset, 2, 1, generator)
    rgba = batch.input.repeat(8, 1, 1, 1)
    config = OFF.model_copy(update={"mask_error_probability": 1.0, "mask_error": 0.08})
    changed = augment_input(rgba, config, generator)
    grown = (changed[:, 3].mean((1, 2)) - rgba[:, 3].mean((1, 2))) > 0
    assert 0 < int(grown.sum()) < 16
    hidden = (changed[:, 3:] == 0).expand(-1, 3, -1, -1)
    assert (changed[:, :3][hidden] == 0.5).all()


@pytest.mark.parametrize("offset", [-3.0, -1.5, -0.4, 0.4, 1.5, 3.0])
def test_outlines_move_by_the_offset(offset: float) -> None:
    """Against the area of a disc, and against scipy's erosion and dilation of a square's straight edges."""
    disc = _discs(torch.tensor([[40.0, 40.0]]), 80, 24.0)
    moved = move_outline(disc, torch.tensor([offset]))
    radius = math.sqrt(float(moved.sum()) / math.pi)
    # Blurring pulls a curved edge inwards by about sigma^2 / (2 radius).
    assert radius == pytest.approx(24.0 - offset, abs=0.1 + offset**2 / 48)
    if offset == round(offset):
        square = np.zeros((64, 64), bool)
        square[16:48, 16:48] = True
        change = ndimage.binary_erosion if offset > 0 else ndimage.binary_dilation
        expected = change(square, iterations=int(abs(offset)))
        found = move_outline(torch.from_numpy(square).float()[None, None], torch.tensor([offset]))[0, 0]
        middle = slice(24, 40)
        assert np.abs(found.numpy()[middle] - expected[middle]).max() < 0.05


def test_only_chosen_outlines_move() -> None:
    disc = _discs(torch.tensor([[10.3, 9.8]]), 20, 5.0).repeat(2, 1, 1, 1)
    moved = move_outline(disc, torch.tensor([0.0, 1.0]))
    assert torch.equal(moved[0], disc[0])
    assert not torch.equal(moved[1], disc[1])


def test_blur_against_scipy(generator) -> None:
    pixels = torch.rand(3, 2, 20, 24, generator=generator)
    sigma = torch.tensor([0.0, 0.8, 2.5])
    blurred = blur(pixels, sigma)
    torch.testing.assert_close(blurred[0], pixels[0])
    for item in (1, 2):
        expected = ndimage.gaussian_filter(
            pixels[item].double().numpy(),
            (0, float(sigma[item]), float(sigma[item])),
            mode="nearest",
            truncate=5,
        )
        np.testing.assert_allclose(blurred[item].numpy(), expected, atol=3e-3)


def test_block_artefacts(generator) -> None:
    smooth = F.interpolate(torch.rand(3, 3, 4, 4, generator=generator), (20, 28), mode="bicubic").clamp(0, 1)
    step = torch.tensor([0.0, 0.05, 0.5])
    coarse = block_artefacts(smooth, step)
    errors = (coarse - smooth).abs().mean((1, 2, 3))
    assert errors[0] == 0
    assert 0 < errors[1] < errors[2] < 0.3
    torch.testing.assert_close(block_artefacts(smooth, torch.full((3,), 1e-6)), smooth, atol=1e-4, rtol=0)


@pytest.mark.parametrize("fields", [{"brightness": -0.1}, {"noise": 2}, {"jpeg_step": 0}, {"brightnes": 0.1}])
def test_bad_settings(fields) -> None:
    with pytest.raises(ValidationError):
        AugmentConfig(**fields)


def test_every_field_says_what_it_is() -> None:
    assert all(field.description for field in AugmentConfig.model_fields.values())


def test_speed(viewset: ViewSet, generator) -> None:
    """16 inputs of 64 px take 7 ms on one thread; the bound is for busy machines."""
    batch = sample_batch(viewset, 16, 1, generator)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        augment_input(batch.input, AugmentConfig(), generator)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.1
