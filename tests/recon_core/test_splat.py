# SPDX-License-Identifier: Apache-2.0
"""Optical-depth splatting against brute force, its gradients, its invariances, and degenerate input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import splat_brute
from torch.autograd import gradcheck

from recon_core.cameras import orbit, pinhole, random_rotations
from recon_core.errors import InputError
from recon_core.renderers import splat
from recon_core.renderers.splat import optical_depth, splat_features, splat_mask

SIZE = (24, 32)


def scene(generator, batch=2, count=40, size=SIZE, dtype=torch.float64, spread=1.3):
    """Random projected points, some outside the frame and some behind the camera."""
    scale = torch.tensor([size[1], size[0]], dtype=dtype)
    uv = (torch.rand(batch, count, 2, generator=generator, dtype=dtype) - 0.5) * spread * scale + scale / 2
    depth = torch.rand(batch, count, generator=generator, dtype=dtype) * 2.2 - 0.2
    tau = torch.rand(batch, count, generator=generator, dtype=dtype) * 8
    return uv, depth, tau


@pytest.mark.parametrize(("sigma", "tolerance"), [(0.8, 0.08), (1.5, 0.012), (3.0, 0.002)])
def test_mask_agrees_with_brute_force(generator, sigma, tolerance):
    """The grid's interpolation is the only difference, and it fades as sigma grows."""
    uv, depth, tau = scene(generator)
    fast = splat_mask(uv, depth, tau, SIZE, sigma)
    exact = splat_brute.mask(uv, depth, tau, SIZE, sigma)
    assert (fast - exact).abs().max() < tolerance
    assert exact.max() > 0.3


def test_mask_is_exact_at_pixel_centres():
    """On a grid point the scatter adds no blur: only the correction by the mean scatter variance remains."""
    uv = torch.tensor([[[12.5, 10.5]]], dtype=torch.float64)
    sigma = 2.0
    fast = splat_mask(uv, torch.ones(1, 1), torch.ones(1, 1, dtype=torch.float64), SIZE, sigma)
    exact = splat_brute.mask(uv, torch.ones(1, 1), torch.ones(1, 1), SIZE, math.sqrt(sigma**2 - 1 / 6))
    torch.testing.assert_close(fast, exact.double(), atol=2e-5, rtol=0)


def test_large_images_are_blurred_block_by_block(generator, monkeypatch):
    """Blocks change nothing that counts: mask, gradients and sigma's, at sizes that no block divides."""
    size = (270, 391)
    uv, depth, tau = scene(generator, count=50, size=size)
    cotangent = torch.randn(2, *size, generator=generator, dtype=torch.float64)

    def everything():
        inputs = [t.clone().requires_grad_() for t in (uv, tau, torch.tensor(2.5, dtype=torch.float64))]
        image = splat_mask(inputs[0], depth, inputs[1], size, inputs[2])
        return image.detach(), *torch.autograd.grad((image * cotangent).sum(), inputs)

    in_blocks = everything()
    exact = splat_brute.mask(uv, depth, tau, size, 2.5)
    assert (in_blocks[0] - exact).abs().max() < 0.02
    monkeypatch.setattr(splat, "_BLUR_ROWS", 10_000)
    for found, expected in zip(in_blocks, everything()):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)  # tails beyond the margin differ


def test_gradients_agree_with_brute_force(generator):
    """Random cotangents through both, for position, optical depth and sigma."""
    uv, depth, tau = scene(generator, count=15)
    depth = depth.abs() + 0.1
    cotangent = torch.randn(2, *SIZE, generator=generator, dtype=torch.float64)

    def gradients(render):
        inputs = [t.clone().requires_grad_() for t in (uv, tau, torch.tensor(3.0, dtype=torch.float64))]
        image = render(inputs[0], depth, inputs[1], SIZE, inputs[2])
        return torch.autograd.grad((image * cotangent).sum(), inputs)

    # White noise per pixel is the hardest cotangent for a grid, whose slope is constant within a pixel.
    for fast, exact, limit in zip(gradients(splat_mask), gradients(splat_brute.mask), (0.2, 0.02, 0.08)):
        assert (fast - exact).norm() < limit * exact.norm()


def test_features_converge_to_brute_force_as_slabs_grow(generator):
    """Opaque points: more layers come closer to sorting every point."""
    uv, depth, tau = scene(generator, count=60)
    depth = depth.abs() + 0.1
    values = torch.rand(2, 60, 3, generator=generator, dtype=torch.float64)
    exact = splat_brute.features(uv, depth, tau * 5, values, SIZE, 2.5)[1]
    errors = [
        float((splat_features(uv, depth, tau * 5, values, SIZE, 2.5, slabs)[1] - exact).abs().mean())
        for slabs in (2, 8, 64, 512)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.004


@pytest.mark.parametrize("slabs", [1, 2, 7])
def test_coverage_is_the_masks_for_every_slab_count(generator, slabs):
    """Layers share points but lose none."""
    uv, depth, tau = scene(generator)
    coverage, mix = splat_features(uv, depth, tau, torch.ones(2, 40, 1, dtype=torch.float64), SIZE, 1.2, slabs)
    torch.testing.assert_close(coverage, splat_mask(uv, depth, tau, SIZE, 1.2))
    torch.testing.assert_close(mix[..., 0], coverage)


def test_front_hides_back():
    """A dense red sheet in front of a dense green one is red, whatever the order of the points."""
    grid = torch.stack(torch.meshgrid(torch.arange(32.0), torch.arange(24.0), indexing="xy"), -1).view(1, -1, 2)
    uv = torch.cat((grid, grid), 1) + 0.5
    depth = torch.cat((torch.full((1, 768), 1.0), torch.full((1, 768), 2.0)), 1)
    color = torch.zeros(1, 1536, 3)
    color[:, :768, 0], color[:, 768:, 1] = 1, 1
    coverage, mix = splat_features(uv, depth, torch.full((1, 1536), 12.0), color, SIZE, 0.8, 4)
    assert coverage[0, 12, 16] > 0.99
    assert mix[0, 12, 16, 0] > 0.99
    assert mix[0, 12, 16, 1] < 0.01


def test_gradcheck(generator):
    """Analytic against numerical gradients, for the mask and for features, with a per-point sigma too."""
    uv, depth, tau = scene(generator, batch=1, count=4, size=(6, 7), spread=0.8)
    depth, values = depth.abs() + 0.3, torch.rand(1, 4, 2, generator=generator, dtype=torch.float64)
    sigma = torch.tensor(1.3, dtype=torch.float64)
    for tensor in (uv, tau, sigma, values):
        tensor.requires_grad_()
    assert gradcheck(lambda u, t, s: splat_mask(u, depth, t, (6, 7), s), (uv, tau, sigma))
    assert gradcheck(lambda u, t, v: splat_features(u, depth, t, v, (6, 7), 1.3, 3)[1], (uv, tau, values))
    widths = torch.tensor([0.9, 1.2, 1.7, 2.2], dtype=torch.float64)
    middle = widths[1:3].clone().requires_grad_()  # the outer two fix the levels

    def own_sigma(inner):
        return splat_mask(uv, depth, tau, (6, 7), torch.cat((widths[:1], inner, widths[3:]))[None])

    assert gradcheck(own_sigma, (middle,))


def test_depth_gradient_reaches_the_camera(generator):
    """Colours tell the camera how to move: a finite, non-zero gradient through layers and projection."""
    xyz = torch.randn(1, 50, 3, generator=generator, dtype=torch.float64) * 0.2
    eye = torch.tensor([30.0], dtype=torch.float64, requires_grad=True)
    cameras = pinhole(orbit(eye, torch.tensor([20.0], dtype=torch.float64)), 24)
    uv, depth = cameras.project(xyz)
    values = torch.rand(1, 50, 3, generator=generator, dtype=torch.float64)
    splat_features(uv, depth, torch.full((1, 50), 5.0), values, 24, 1.0)[1].sum().backward()
    assert torch.isfinite(eye.grad).all()
    assert eye.grad.abs() > 0


def test_per_point_sigma_agrees_with_brute_force(generator):
    """Each point's own width, mixed from the two nearest levels."""
    uv, depth, tau = scene(generator)
    sigma = 1.5 + 2 * torch.rand(2, 40, generator=generator, dtype=torch.float64)
    fast = splat_mask(uv, depth, tau, SIZE, sigma)
    exact = splat_brute.mask(uv, depth, tau, SIZE, sigma)
    assert (fast - exact).abs().max() < 0.02


def test_equal_per_point_sigmas_are_a_global_sigma(generator):
    """All widths equal: the same picture."""
    uv, depth, tau = scene(generator)
    own = torch.full((2, 40), 1.4, dtype=torch.float64)
    torch.testing.assert_close(splat_mask(uv, depth, tau, SIZE, own), splat_mask(uv, depth, tau, SIZE, 1.4))


def test_order_of_points_changes_nothing(generator):
    """The sum commutes."""
    uv, depth, tau = scene(generator)
    order = torch.randperm(40, generator=generator)
    shuffled = splat_mask(uv[:, order], depth[:, order], tau[:, order], SIZE, 1.1)
    torch.testing.assert_close(shuffled, splat_mask(uv, depth, tau, SIZE, 1.1))


@pytest.mark.parametrize("orthographic", [False, True])
def test_turning_camera_and_object_together_changes_nothing(generator, orthographic):
    """Only their relative pose matters, for perspective and orthographic cameras."""
    from dataclasses import replace

    xyz = torch.randn(3, 80, 3, generator=generator, dtype=torch.float64) * 0.2
    views = orbit(torch.tensor([0.0, 70.0, 200.0], dtype=torch.float64), torch.full((3,), 15.0).double())
    cameras = replace(pinhole(views, 32), orthographic=orthographic)
    turn = random_rotations(3, generator)
    tau = optical_depth(torch.full((3, 80), 0.6, dtype=torch.float64), 32)
    first = splat_mask(*cameras.project(xyz), tau, 32, 1.0)
    turned = cameras.rotated(turn.transpose(1, 2))
    second = splat_mask(*turned.project(xyz @ turn.transpose(1, 2)), tau, 32, 1.0)
    torch.testing.assert_close(first, second)


def test_coverage_depends_neither_on_count_nor_size_nor_sigma(generator):
    """A filled square keeps its coverage when sampled, sized or blurred otherwise."""
    values = []
    for count, size, sigma in ((4000, 32, 1.0), (16000, 32, 1.0), (16000, 64, 2.0), (16000, 64, 4.0)):
        uv = (torch.rand(1, count, 2, generator=generator) * 0.6 + 0.2) * size
        tau = optical_depth(torch.full((1, count), 0.5), size)
        mask = splat_mask(uv, torch.ones(1, count), tau, size, sigma)
        values.append(float(mask[0, size * 2 // 5 : size * 3 // 5, size * 2 // 5 : size * 3 // 5].mean()))
    assert max(values) - min(values) < 0.02


@pytest.mark.parametrize(
    ("uv", "depth"),
    [
        (torch.zeros(1, 0, 2), torch.zeros(1, 0)),
        (torch.full((1, 3, 2), 12.0), torch.tensor([[-1.0, 0.0, -5.0]])),
        (torch.full((1, 3, 2), 1e9), torch.ones(1, 3)),
        (torch.full((1, 3, 2), float("nan")), torch.ones(1, 3)),
    ],
    ids=["no points", "behind", "outside", "NaN"],
)
def test_nothing_to_see_is_an_empty_image(uv, depth, device):
    """No points, all behind the camera, all far outside, or not a number: coverage 0, finite gradients."""
    tau = torch.ones(depth.shape, device=device, requires_grad=True)
    uv, depth = uv.to(device), depth.to(device)
    coverage, mix = splat_features(uv, depth, tau, torch.ones(*depth.shape, 2, device=device), SIZE, 1.0)
    mask = splat_mask(uv, depth, tau, SIZE, 1.0)
    assert mask.abs().max() == 0
    assert coverage.abs().max() == 0
    assert mix.abs().max() == 0
    mask.sum().backward()
    assert torch.isfinite(tau.grad).all()


def test_one_point_and_coincident_points():
    """One point has the closed form 1 - exp(-tau G); n coincident points are one of n times the depth."""
    uv, depth = torch.tensor([[[16.5, 12.5]]]), torch.ones(1, 1)
    one = splat_mask(uv, depth, torch.tensor([[6.0]]), SIZE, 1.5)
    three = splat_mask(uv.repeat(1, 3, 1), depth.repeat(1, 3), torch.full((1, 3), 2.0), SIZE, 1.5)
    torch.testing.assert_close(one, three)
    variance = 1.5**2 - 1 / 6
    expected = 1 - math.exp(-6.0 / (2 * math.pi * variance))
    assert float(one[0, 12, 16]) == pytest.approx(expected, abs=2e-3)


def test_an_empty_batch_element_leaves_the_others(generator):
    """All points of one element behind the camera: the other element is as if alone."""
    uv, depth, tau = scene(generator)
    depth = depth.abs() + 0.1
    depth[0] = -1
    mask = splat_mask(uv, depth, tau, SIZE, 1.0)
    assert mask[0].abs().max() == 0
    torch.testing.assert_close(mask[1:], splat_mask(uv[1:], depth[1:], tau[1:], SIZE, 1.0))


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3), count=st.integers(0, 30), height=st.integers(1, 20), width=st.integers(1, 20),
    channels=st.integers(0, 4), slabs=st.integers(1, 5), sigma=st.floats(0.1, 6),
)  # fmt: skip
def test_any_size_gives_finite_images_in_range(batch, count, height, width, channels, slabs, sigma):
    """Shapes hold and coverage stays in [0, 1]."""
    generator = torch.Generator().manual_seed(count)
    uv, depth, tau = scene(generator, batch, count, (height, width), torch.float32)
    values = torch.rand(batch, count, channels, generator=generator)
    coverage, mix = splat_features(uv, depth, tau, values, (height, width), sigma, slabs)
    assert coverage.shape == (batch, height, width)
    assert mix.shape == (batch, height, width, channels)
    assert torch.isfinite(mix).all()
    assert bool((coverage >= 0).all())
    assert bool((coverage <= 1).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_devices_and_types_agree(generator, device, dtype):
    """CPU float64 is the reference for every device and type."""
    uv, depth, tau = scene(generator)
    expected = splat_mask(uv, depth, tau, SIZE, 1.0)
    got = splat_mask(*(t.to(device, dtype) for t in (uv, depth, tau)), SIZE, 1.0)
    assert got.dtype == dtype
    assert got.device.type == device.type
    torch.testing.assert_close(got.double().cpu(), expected, atol=2e-5, rtol=0)


def test_shapes_are_checked():
    """A wrong shape is named."""
    with pytest.raises(InputError, match="uv_px"):
        splat_mask(torch.zeros(1, 3, 3), torch.zeros(1, 3), torch.zeros(1, 3), 8, 1.0)
    with pytest.raises(InputError, match="features"):
        splat_features(torch.zeros(1, 3, 2), torch.zeros(1, 3), torch.zeros(1, 3), torch.zeros(1, 2, 3), 8, 1.0)
