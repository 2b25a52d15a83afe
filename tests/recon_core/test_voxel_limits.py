# SPDX-License-Identifier: Apache-2.0
"""DPC's voxel renderer: degenerate and wrong input, any size, types and devices."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from voxel_scenes import CELLS, frustum, scene

from recon_core.cameras import orbit, pinhole
from recon_core.errors import InputError
from recon_core.renderers.rays import expected_depth
from recon_core.renderers.voxel import (
    DPC_CLIP,
    Blur,
    Frustum,
    dpc_frustum,
    gaussian_matrix,
    voxel_mask,
    voxel_render,
)


def test_a_volume_may_begin_at_the_camera_but_not_hold_it():
    """near 0: a point at depth 0 has no projection and renders nothing, one just before the camera does."""
    uv, cube = torch.full((1, 1, 2), 5.0), Frustum(10, (4, 4, 4), 0.0, 1.0)
    assert voxel_mask(uv, torch.zeros(1, 1), cube, Blur(1.0)).max() == 0
    assert voxel_mask(uv, torch.full((1, 1), 0.01), cube, Blur(1.0)).max() > 0.01


@pytest.mark.parametrize("kind", ["no points", "behind", "outside", "NaN", "in front of the near plane"])
def test_nothing_to_see_is_an_empty_image(kind, device):
    """Mask 0, background depth and colour, finite gradients."""
    count = 0 if kind == "no points" else 3
    uv, depth = torch.full((1, count, 2), 5.0), torch.full((1, count), 2.0)
    if kind == "outside":
        uv[..., 0] = 1e9
    elif kind == "NaN":
        uv[..., 1] = float("nan")
    elif kind != "no points":
        depth[:] = -2.0 if kind == "behind" else 1.4
    uv = uv.to(device).requires_grad_()
    features = torch.ones(1, count, 2, device=device)
    images = voxel_render(uv, depth.to(device), frustum(), Blur(1.0), features)
    mask = voxel_mask(uv, depth.to(device), frustum(), Blur(1.0))
    assert float(mask.detach().abs().max()) == 0
    assert float(images.mask.detach().abs().max()) == 0
    assert float(images.depth.detach().min()) == 10
    assert float(images.features.detach().min()) == 1
    (mask.sum() + images.features.sum()).backward()
    assert torch.isfinite(uv.grad).all()


def test_no_batch_elements_give_no_images():
    """B = 0."""
    assert voxel_mask(torch.zeros(0, 4, 2), torch.zeros(0, 4), frustum(), Blur(1.0)).shape == (0, *CELLS[1:])


def test_an_empty_batch_element_leaves_the_others(generator):
    """All points of one element outside: the other is as if alone."""
    uv, depth = scene(generator)
    depth[0] = 9
    mask = voxel_mask(uv, depth, frustum(), Blur(1.0))
    assert mask[0].abs().max() == 0
    assert mask[1].max() > 0.05
    torch.testing.assert_close(mask[1:], voxel_mask(uv[1:], depth[1:], frustum(), Blur(1.0)))


def test_coincident_points_are_one_with_their_weights_until_the_clamp():
    """Three of weight 0.2 are one of 0.6; five of weight 1 are, clamped, one of 1."""
    uv, depth = torch.tensor([[[5.0, 6.0]]]), torch.full((1, 1), 1.75)

    def mask(times, weight):
        shared = torch.full((1, times), weight)
        return voxel_mask(
            uv.repeat(1, times, 1), depth.repeat(1, times), frustum("centre"), Blur(0.8), weight=shared
        )

    torch.testing.assert_close(mask(3, 0.2), mask(1, 0.6))
    uv, depth = torch.tensor([[[5.0, 7.0]]]), torch.full((1, 1), 2.0)  # on a node, so that one cell takes all
    torch.testing.assert_close(mask(5, 1.0), mask(1, 1.0))


def test_kernels_have_sum_one_and_are_cut_at_their_taps():
    """Rows far from the ends sum to one, with taps or without; outside the taps there is nothing."""
    sigma = torch.tensor(1.7, dtype=torch.float64)
    cut, whole = gaussian_matrix(41, 2, sigma, 7), gaussian_matrix(41, 2, sigma)
    assert cut.shape == (41, 45)
    assert float(cut[20].sum()) == pytest.approx(1)
    assert int((cut[20] > 0).sum()) == 7
    assert float(whole[20].sum()) == pytest.approx(1)
    assert torch.equal(cut.argmax(1), torch.arange(41) + 2)


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(0, 3), count=st.integers(0, 20), depth_cells=st.integers(1, 6), height=st.integers(1, 8),
    width=st.integers(1, 8), channels=st.integers(0, 3), sigma=st.floats(0.05, 6),
    taps=st.sampled_from([None, 1, 5, 21]), grid=st.sampled_from(["corner", "centre"]),
)  # fmt: skip
def test_any_size_gives_finite_images_in_range(
    batch, count, depth_cells, height, width, channels, sigma, taps, grid
):
    """Shapes hold, the mask stays in [0, 1], the mean of features within theirs."""
    generator = torch.Generator().manual_seed(count)
    uv, depth = scene(generator, batch, count, torch.float32)
    cube = Frustum((12, 10), (depth_cells, height, width), 1.5, 2.5, grid)
    values = torch.rand(batch, count, channels, generator=generator)
    images = voxel_render(uv, depth, cube, Blur(sigma, taps), values)
    assert images.mask.shape == (batch, height, width)
    assert images.features.shape == (batch, height, width, channels)
    assert torch.isfinite(images.features).all()
    assert torch.isfinite(images.depth).all()
    for image in (images.mask, images.features):
        assert bool((image >= 0).all())
        assert bool((image <= 1 + 1e-5).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_devices_and_types_agree(generator, device, dtype):
    """CPU float64 is the reference for every device and type."""
    uv, depth = scene(generator)
    expected = voxel_mask(uv, depth, frustum(), Blur(1.0, 5))
    got = voxel_mask(uv.to(device, dtype), depth.to(device, dtype), frustum(), Blur(1.0, 5))
    assert got.dtype == dtype
    assert got.device.type == device.type
    torch.testing.assert_close(got.double().cpu(), expected, atol=1e-5, rtol=0)


def test_float32_matches_released_style_probabilities_at_full_size(generator):
    """B = 2, 2,000 points, 32^3: the fast mask and the sum of ray ends agree within 1e-5 in float32."""
    xyz = (torch.rand(2, 2000, 3, generator=generator) - 0.5) * 0.5
    cameras = pinhole(orbit(torch.tensor([20.0, 130.0]), torch.tensor([10.0, 30.0])), 32)
    uv, depth = cameras.project(xyz)
    scale = torch.tensor([0.5, 0.9])
    mask = voxel_mask(uv, depth, dpc_frustum(32, 32), Blur(2.0, 21), scale, clip=DPC_CLIP)
    images = voxel_render(uv, depth, dpc_frustum(32, 32), Blur(2.0, 21), scale=scale, clip=DPC_CLIP)
    assert (mask - images.mask).abs().max() < 1e-5
    assert mask.max() > 0.9


def test_depth_map_shows_the_surface():
    """An opaque sheet at depth 2 is seen at depth 2, half a cell of blur aside."""
    axis = torch.linspace(0, 32, 65)
    uv = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(1, -1, 2)
    images = voxel_render(uv, torch.full((1, 65 * 65), 2.0), Frustum(32, (33, 32, 32), 1.5, 2.5), Blur(None))
    assert float(images.depth[0, 16, 16]) == pytest.approx(2.0, abs=0.02)
    assert float(images.mask[0, 16, 16]) == pytest.approx(1.0, abs=1e-4)
    ends = torch.tensor([0.0, 0.25, 0.0, 0.75]).view(1, 4, 1, 1)
    assert expected_depth(ends, torch.tensor([1.0, 2.0, 3.0]), 10.0).item() == pytest.approx(8.0)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: voxel_mask(torch.zeros(1, 3, 3), torch.zeros(1, 3), frustum(), Blur(1.0)), "uv_px"),
        (lambda: voxel_mask(*_flat(), frustum(), Blur(1.0), scale=torch.ones(2)), "scale"),
        (lambda: voxel_mask(*_flat(), frustum(), Blur(1.0), weight=torch.ones(2, 3)), "weight"),
        (lambda: voxel_render(*_flat(), frustum(), Blur(1.0), torch.zeros(1, 2, 3)), "features"),
        (lambda: Blur(1.0, 4), "odd"),
        (lambda: Frustum(8, (0, 8, 8), 1.0, 2.0), "cell"),
        (lambda: Frustum(8, (8, 8, 8), 2.0, 1.0), "near"),
    ],
)
def test_wrong_input_is_named(make, named):
    """A wrong shape or number is named."""
    with pytest.raises(InputError, match=named):
        make()


def _flat():
    return torch.zeros(1, 3, 2), torch.zeros(1, 3)
