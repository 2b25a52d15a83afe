# SPDX-License-Identifier: Apache-2.0
"""DRWR's losses against brute force, gradients, invariances, degenerate input, and whether the truth stays put."""

import math
from dataclasses import replace

import pytest
import torch
from box_chair import cameras_around, silhouettes, surface_points
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import projection_brute
from torch.autograd import gradcheck

from recon_core.cameras import random_rotations
from recon_core.errors import InputError
from recon_core.geometry.chamfer import chamfer
from recon_core.losses.kernel_density import density_exact, density_on_grid
from recon_core.losses.projection import (
    PAPER,
    PRESETS,
    STABLE,
    DrwrSettings,
    drwr,
    drwr_pair,
    drwr_unary,
    smooth_silhouette,
)

SIZE = (20, 26)
FREE = replace(STABLE, stop_grad="none")


def blob(size=SIZE, dtype=torch.float64) -> torch.Tensor:
    """A binary mask (H,W): a block and a thin bar that meets the border."""
    mask = torch.zeros(size, dtype=dtype)
    mask[size[0] // 4 : size[0] * 3 // 4, size[1] // 4 : size[1] // 2] = 1
    mask[size[0] // 2, size[1] // 2 :] = 1
    return mask


def scene(generator, batch=2, count=14, size=SIZE, dtype=torch.float64, spread=1.4):
    """Random points, some beyond the frame; positive depths; masks (B,H,W)."""
    scale = torch.tensor([size[1], size[0]], dtype=dtype)
    uv = (torch.rand(batch, count, 2, generator=generator, dtype=dtype) - 0.5) * spread * scale + scale / 2
    masks = torch.stack([blob(size, dtype).roll(index, 1) for index in range(batch)])
    return uv, torch.ones(batch, count, dtype=dtype), masks


def test_the_silhouette_is_the_published_ramp():
    """At 128 px: 220/255 at the edge, zero after 78 px, 1 inside."""
    mask = torch.zeros(128, 128, dtype=torch.float64)
    mask[:, 0] = 1
    row = smooth_silhouette(mask, PAPER)[64]
    expected = 220 / 255 - torch.arange(128).double() / (64 * math.sqrt(2))
    expected[0] = 1
    torch.testing.assert_close(row, expected, atol=1e-6, rtol=0)
    assert row[78] > 0 > row[79]


def test_unary_agrees_with_brute_force(generator):
    """Every point's value by hand, with random cotangents for the gradients."""
    uv, depth, masks = scene(generator)
    uv.requires_grad_()
    cotangent = torch.randn(2, generator=generator, dtype=torch.float64)
    fast = drwr_unary(uv, depth, masks)
    exact = torch.stack(
        [projection_brute.drwr_unary(u, m, STABLE.edge_step, STABLE.slope) for u, m in zip(uv, masks)]
    )
    torch.testing.assert_close(fast, exact, rtol=1e-6, atol=0)
    gradients = [torch.autograd.grad((loss * cotangent).sum(), uv)[0] for loss in (fast, exact)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-9)
    assert exact.min() > 0.1


@pytest.mark.parametrize("ring", [0, 1, 5])
def test_all_pairs_agree_with_brute_force(generator, ring):
    """The vectorised double sum is the plain one, every gradient let through, in any chunks."""
    uv, depth, masks = scene(generator)
    uv.requires_grad_()
    settings = replace(PAPER, ring=ring, threshold=0.5)
    exact = torch.stack(
        [
            projection_brute.drwr_pair(u, m, settings.tau, settings.coefficient, ring)
            for u, m in zip(uv, masks)
        ]
    )
    expected = torch.autograd.grad(exact.sum(), uv)[0]
    for chunk in (3, 1024):
        fast = drwr_pair(uv, depth, masks, settings, exact=True, chunk=chunk)
        torch.testing.assert_close(fast, exact)
        torch.testing.assert_close(torch.autograd.grad(fast.sum(), uv)[0], expected)
    assert expected.norm() > 0.1


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize("size", [32, 64])
def test_pair_by_grid_is_the_pair_by_all(generator, preset, size):
    """Loss within 0.1 %, gradient cosine at least 0.999 and norm within 1 %, for points on a chair and around it."""
    cameras = cameras_around(4, size)
    masks = silhouettes(cameras)
    xyz = surface_points(400, generator) + 0.02 * torch.randn(400, 3, generator=generator)
    uv, depth = cameras.project(xyz.expand(4, -1, 3))
    uv.requires_grad_()
    cotangent = torch.rand(4, generator=generator)
    losses, gradients = [], []
    for exact in (False, True):
        loss = drwr_pair(uv, depth, masks, PRESETS[preset], exact=exact)
        losses.append(loss.detach())
        gradients.append(torch.autograd.grad((loss * cotangent).sum(), uv)[0].flatten())
    torch.testing.assert_close(*losses, rtol=1e-3, atol=0)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.999
    assert float(gradients[0].norm() / gradients[1].norm()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("variance", "limit"), [(0.1, 0.01), (1.0, 3e-3), (20.0, 3e-4)])
def test_density_holds_for_any_kernel(generator, variance, limit):
    """Narrow kernels refine the grid: a point apart keeps its own weight, and neighbours are felt."""
    uv, _, _ = scene(generator, count=60, spread=1.0)
    weight = torch.rand(2, 60, generator=generator, dtype=torch.float64)
    exact = density_exact(uv, weight, variance)
    fast = density_on_grid(uv, weight, variance, SIZE)
    assert (fast - exact).abs().max() < limit * exact.max()
    apart = torch.tensor([[[3.3, 4.1], [20.2, 15.7]]]).double()
    torch.testing.assert_close(
        density_on_grid(apart, weight[:1, :2], variance=0.5, size=SIZE), weight[:1, :2], rtol=0.01, atol=0
    )


def test_gradcheck(generator):
    """Analytic against numerical gradients of all losses, away from the lines between pixel centres."""
    mask = blob((8, 9))[None]
    uv = torch.tensor([[[2.8, 3.1], [4.2, 5.9], [11.3, -2.2], [-1.7, 4.3], [5.9, 4.8]]], dtype=torch.float64)
    depth = torch.ones(1, 5)
    uv.requires_grad_()
    assert gradcheck(lambda u: drwr_unary(u, depth, mask), (uv,))
    assert gradcheck(lambda u: drwr_pair(u, depth, mask, FREE), (uv,))
    assert gradcheck(lambda u: drwr_pair(u, depth, mask, FREE, exact=True), (uv,))
    held = replace(STABLE, ring=0)  # constant weights deep inside, so that nothing else moves
    assert gradcheck(
        lambda u: drwr_pair(u, depth[:, :1], torch.ones(1, 8, 9), held),
        (uv[:, :1].detach().requires_grad_(),),
    )
    weight = torch.rand(1, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    inner = (uv.detach().clamp(1.2, 6.8)).requires_grad_()
    for variance in (0.3, 4.0):
        assert gradcheck(lambda u, w, v=variance: density_on_grid(u, w, v, (8, 9)), (inner, weight))


@pytest.mark.parametrize("stop_grad", ["none", "weights", "ring", "both"])
def test_stop_grad_holds_what_it_names(generator, stop_grad):
    """The loss is the same; the gradient is that of the double sum with those factors as constants."""
    uv, depth, masks = scene(generator, batch=1, spread=0.9)
    uv.requires_grad_()
    settings = replace(FREE, stop_grad=stop_grad)
    loss = drwr_pair(uv, depth, masks, settings, exact=True)
    torch.testing.assert_close(loss, drwr_pair(uv, depth, masks, FREE, exact=True))
    mask, reach = masks[0], settings.tau * SIZE[1] / 32
    w = torch.stack([projection_brute.bilinear(mask, place) for place in uv[0]])
    rings = [[projection_brute.bilinear(mask, place, out) for out in range(5)] for place in uv[0]]
    thick = torch.stack([torch.stack(values).mean() for values in rings])
    w = w.detach() if stop_grad in ("weights", "both") else w
    thick = thick.detach() if stop_grad in ("ring", "both") else thick
    near = torch.exp(-(uv[0, :, None] - uv[0]).square().sum(-1) / reach)
    expected = settings.coefficient * torch.einsum("i,i,ij,j->", w, thick.exp(), near, w) / uv.shape[1] ** 2
    torch.testing.assert_close(torch.autograd.grad(loss.sum(), uv)[0], torch.autograd.grad(expected, uv)[0])


def test_no_point_in_front_loses_its_gradient():
    """Outside the silhouette, in the frame or far beyond it, the unary always falls towards the frame's middle."""
    mask = torch.zeros(1, 16, 16, dtype=torch.float64)
    mask[0, 6:10, 6:10] = 1
    u, v = torch.meshgrid(torch.linspace(-300, 317, 40), torch.linspace(-300, 317, 40), indexing="ij")
    uv = torch.stack((u, v), -1).view(1, -1, 2).double().requires_grad_()
    drwr_unary(uv, torch.ones(1, 1600), mask).sum().backward()
    assert uv.grad is not None
    away = uv.detach() - 8
    outside = away.abs().amax(-1) > 2.6
    downhill = (uv.grad * away).sum(-1)
    assert outside.sum() > 1500
    assert (downhill[outside] > 0).all()
    steepness = uv.grad.norm(dim=-1)[outside] * 1600 * 16 / STABLE.slope
    # On the lines of equal distance to two sides the field between pixel centres is flatter than 1.
    assert steepness.min() > 0.7
    assert steepness.median() > 0.99


def test_repulsion_spreads_a_pair_and_spares_thin_parts():
    """Two close points are pushed apart along their line; less in a bar than in a block; not at all outside."""
    mask = torch.zeros(1, 40, 40, dtype=torch.float64)
    mask[0, 4:20, 4:36] = 1
    mask[0, 30, 4:36] = 1
    pushes = []
    for row in (12.5, 30.5, 25.0):
        uv = torch.tensor([[[19.0, row], [21.0, row]]], dtype=torch.float64, requires_grad=True)
        drwr_pair(uv, torch.ones(1, 2), mask).sum().backward()
        assert uv.grad is not None
        torch.testing.assert_close(uv.grad[0, 0], -uv.grad[0, 1], atol=1e-4, rtol=1e-2)
        pushes.append(float(uv.grad[0, 0, 0]))
    assert pushes[0] > 1.5 * pushes[1] > 0
    assert pushes[2] == 0


@pytest.mark.parametrize("loss", [drwr_unary, drwr_pair])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_invariances(generator, loss, preset):
    """Order, repetition, points behind the camera and mirror images change nothing."""
    chosen = PRESETS[preset]
    uv, depth, masks = scene(generator)
    value = loss(uv, depth, masks, chosen)
    order = torch.randperm(uv.shape[1], generator=generator)
    torch.testing.assert_close(loss(uv[:, order], depth[:, order], masks, chosen), value)
    torch.testing.assert_close(loss(uv.repeat(1, 3, 1), depth.repeat(1, 3), masks, chosen), value)
    behind = torch.cat((depth, -depth[:, :5], depth[:, :1] * 0), 1)
    torch.testing.assert_close(loss(torch.cat((uv, uv[:, :5], uv[:, :1]), 1), behind, masks, chosen), value)
    flipped = torch.stack((SIZE[1] - uv[..., 0], uv[..., 1]), -1)
    torch.testing.assert_close(loss(flipped, depth, masks.flip(-1), chosen), value)
    if loss is drwr_unary:  # the reach of the repulsion follows the width alone
        torch.testing.assert_close(
            loss(
                uv.flip(-1),
                depth,
                masks.transpose(1, 2),
                replace(chosen, slope=chosen.slope * SIZE[0] / SIZE[1]),
            ),
            value,
        )


def test_turning_camera_and_object_together_changes_nothing(generator):
    """Only their relative pose matters."""
    cameras = cameras_around(3, 32).to(torch.float64)
    masks = silhouettes(cameras.to(torch.float32)).double()
    xyz = surface_points(200, generator).double().expand(3, -1, 3)
    turn = random_rotations(3, generator).to(xyz)
    first = drwr(*cameras.project(xyz), masks)
    second = drwr(*cameras.rotated(turn.transpose(1, 2)).project(xyz @ turn.transpose(1, 2)), masks)
    torch.testing.assert_close(first, second)


def test_resolution_and_count_hardly_change_the_unary(generator):
    """Lengths are in image widths: the same scene at 32 and 128 px, with 500 and 2,000 points."""
    values = []
    for size, count in ((32, 500), (128, 500), (128, 2000)):
        cameras = cameras_around(4, size)
        xyz = 1.5 * surface_points(count, generator)
        values.append(float(drwr_unary(*cameras.project(xyz.expand(4, -1, 3)), silhouettes(cameras)).mean()))
    assert max(values) < 1.15 * min(values)


@pytest.mark.parametrize(
    ("uv", "depth"),
    [
        (torch.zeros(1, 0, 2), torch.zeros(1, 0)),
        (torch.full((1, 3, 2), 12.0), torch.tensor([[-1.0, 0.0, -5.0]])),
        (torch.full((1, 3, 2), float("nan")), torch.ones(1, 3)),
        (torch.full((1, 3, 2), float("inf")), torch.ones(1, 3)),
    ],
    ids=["no points", "behind", "NaN", "infinite"],
)
@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_nothing_to_compare_costs_nothing(uv, depth, fill, device):
    """No point in front of the camera, on an empty and on a full mask: 0, and no gradient."""
    uv = uv.to(device).requires_grad_()
    mask = torch.full((1, *SIZE), fill, device=device)
    for exact in (False, True):
        if exact and not uv.shape[1]:
            continue
        loss = drwr_unary(uv, depth.to(device), mask) + drwr_pair(
            uv, depth.to(device), mask, PAPER, exact=exact
        )
        assert float(loss.detach()) == 0
        loss.sum().backward()
        assert uv.grad is not None
        assert (uv.grad == 0).all()


def test_empty_and_full_masks(generator):
    """Empty: neither loss says anything. Full: the unary is 0 in the frame and pulls points into it."""
    uv, depth, _ = scene(generator)
    uv.requires_grad_()
    empty, full = torch.zeros(2, *SIZE).double(), torch.ones(2, *SIZE).double()
    assert (drwr(uv, depth, empty, PAPER) == 0).all()
    drwr_unary(uv, depth, full).sum().backward()
    assert uv.grad is not None
    inside = ((uv >= 0.5) & (uv <= torch.tensor([SIZE[1], SIZE[0]]) - 0.5)).all(-1)
    assert bool(inside.any())
    assert not bool(inside.all())
    assert torch.equal(uv.grad.abs().sum(-1) == 0, inside)
    assert (drwr_pair(uv, depth, full) > 0).all()


def test_far_points_stay_finite():
    """A point just in front of the camera lands anywhere."""
    uv = torch.tensor([[[1e9, -1e9], [-1e12, 5.0], [5.0, 5.0]]], requires_grad=True)
    loss = drwr(uv, torch.ones(1, 3), blob(dtype=torch.float32)[None], PAPER)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert uv.grad is not None
    assert torch.isfinite(uv.grad).all()
    assert uv.grad.norm(dim=-1)[0, :2].min() > 0


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3), count=st.integers(0, 20), height=st.integers(1, 20), width=st.integers(1, 20),
    ring=st.integers(0, 6), tau=st.floats(0.05, 30), stop=st.sampled_from(["none", "both"]),
)  # fmt: skip
def test_any_size_gives_finite_losses(batch, count, height, width, ring, tau, stop):
    """Shapes hold; losses and gradients are finite."""
    generator = torch.Generator().manual_seed(count)
    uv, depth, masks = scene(generator, batch, count, (height, width), torch.float32)
    uv.requires_grad_()
    chosen = DrwrSettings(tau=tau, ring=ring, stop_grad=stop)
    loss = drwr(uv, depth, masks, chosen)
    assert loss.shape == (batch,)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert uv.grad is not None
    assert torch.isfinite(uv.grad).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_devices_and_types_agree(generator, device, dtype):
    """CPU float64 is the reference for every device and type."""
    uv, depth, masks = scene(generator)
    for exact in (False, True):
        expected = drwr_unary(uv, depth, masks) + drwr_pair(uv, depth, masks, PAPER, exact=exact)
        moved = [t.to(device, dtype) for t in (uv, depth, masks)]
        got = drwr_unary(*moved) + drwr_pair(*moved, PAPER, exact=exact)
        assert got.dtype == dtype
        assert got.device.type == device.type
        torch.testing.assert_close(got.double().cpu(), expected, rtol=1e-4, atol=0)


def drift(preset: DrwrSettings) -> tuple[float, float, float]:
    """Chamfer distance x100 (both directions summed) before and after 120 Adam steps from the truth; share inside."""
    generator = torch.Generator().manual_seed(0)
    truth = surface_points(8000, generator)[None]
    cameras = cameras_around(8, 64)
    masks = silhouettes(cameras)
    xyz = surface_points(1000, generator).requires_grad_()
    optimiser = torch.optim.Adam([xyz], lr=0.005)
    before = sum(float(one) for one in chamfer(xyz.detach()[None], truth, squared=False))
    for _ in range(120):
        optimiser.zero_grad()
        drwr(*cameras.project(xyz.expand(8, -1, 3)), masks, preset).mean().backward()
        optimiser.step()
    after = sum(float(one) for one in chamfer(xyz.detach()[None], truth, squared=False))
    uv, depth = cameras.project(xyz.detach().expand(8, -1, 3))
    outside = drwr_unary(uv, depth, masks, replace(preset, edge_step=1.0, slope=0.0))
    return 100 * before, 100 * after, 1 - float(outside.mean())


def test_the_truth_stays_put_with_the_stable_preset():
    """Points on the true surface spread a little, in the hull of the silhouettes, and stay inside them."""
    before, after, inside = drift(STABLE)
    assert before == pytest.approx(2.0, abs=0.3)
    assert after < 2.2 * before
    assert inside > 0.99


def test_the_truth_does_not_stay_with_the_published_constants():
    """The pair loss outweighs the unary: the points leave the silhouettes. Not a fault of the code: its constants."""
    before, after, inside = drift(PAPER)
    assert after > 5 * before
    assert inside < 0.5


def test_shapes_are_checked():
    """A wrong shape is named."""
    with pytest.raises(InputError, match="uv_px"):
        drwr_unary(torch.zeros(1, 3, 3), torch.zeros(1, 3), torch.zeros(1, 8, 8))
    with pytest.raises(InputError, match="masks"):
        drwr_pair(torch.zeros(2, 3, 2), torch.zeros(2, 3), torch.zeros(1, 8, 8))
    with pytest.raises(InputError, match="masks"):
        drwr_pair(torch.zeros(1, 3, 2), torch.zeros(1, 3), torch.zeros(1, 0, 8))
