# SPDX-License-Identifier: Apache-2.0
"""DPC's voxel renderer against loops, gradients, invariances, facts of the released code."""

import math

import pytest
import torch
from reference import voxel_brute
from torch.autograd import gradcheck
from voxel_scenes import CELLS, FRAME, frustum, scene

from recon_core.cameras import orbit, pinhole, random_rotations
from recon_core.errors import InputError
from recon_core.renderers import voxel
from recon_core.renderers.rays import silhouette, termination
from recon_core.renderers.voxel import (
    DPC_CLIP,
    DPC_COLOR,
    Blur,
    FeatureBlur,
    Frustum,
    dpc_frustum,
    voxel_mask,
    voxel_maximum,
    voxel_occupancy,
    voxel_render,
)
from recon_core.renderers.voxel_exact import exact_occupancy


@pytest.fixture(params=[False, True], ids=["at once", "in turns"])
def _turns(request, monkeypatch):
    """The whole batch at once, or one element at a time, as large volumes are rendered."""
    if request.param:
        monkeypatch.setitem(voxel._CELLS_AT_ONCE, "cpu", 1)


@pytest.mark.usefixtures("_turns")
@pytest.mark.parametrize("grid", ["corner", "centre"])
@pytest.mark.parametrize("taps", [3, None])
@pytest.mark.parametrize("clamp_first", [True, False])
def test_mask_and_gradients_agree_with_loops(generator, grid, taps, clamp_first):
    """Values, and gradients of random cotangents, for positions, depth, weight, scale and a sigma per axis."""
    uv, depth = scene(generator)
    cotangent = torch.randn(2, *CELLS[1:], generator=generator, dtype=torch.float64)
    weight = torch.rand(2, 12, generator=generator, dtype=torch.float64) + 0.5
    leaves = (uv, depth, torch.tensor([0.7, 1.1, 0.9]).double(), torch.tensor([0.6, 1.3]).double(), weight)

    def fast(uv, depth, sigma, scale, weight):
        return voxel_mask(uv, depth, frustum(grid), Blur(sigma, taps, clamp_first), scale, weight)

    def slow(uv, depth, sigma, scale, weight):
        return voxel_brute.mask(uv, depth, FRAME[grid], sigma, taps, scale, weight, clamp_first)

    results = []
    for render in (fast, slow):
        inputs = [leaf.clone().requires_grad_() for leaf in leaves]
        image = render(*inputs)
        results.append((image, *torch.autograd.grad((image * cotangent).sum(), inputs)))
    for ours, theirs in zip(*results):
        assert theirs.norm() > 0.05
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-7)


@pytest.mark.usefixtures("_turns")
@pytest.mark.parametrize("grid", ["corner", "centre"])
@pytest.mark.parametrize("space", ["log", "product"])
def test_images_agree_with_loops(generator, grid, space):
    """Mask, depth map and features of rays, and their gradients for positions, features and background."""
    uv, depth = scene(generator)
    values = torch.rand(2, 12, 3, generator=generator, dtype=torch.float64)
    background = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    cotangents = torch.randn(2, *CELLS[1:], 5, generator=generator, dtype=torch.float64)
    nodes = torch.arange(5).double() / 4 if grid == "corner" else (torch.arange(5).double() + 0.5) / 5

    def fast(uv, depth, values, background):
        images = voxel_render(uv, depth, frustum(grid), Blur(0.8, 5), values, background, space=space)
        return torch.cat((images.mask[..., None], images.depth[..., None], images.features), -1)

    def slow(uv, depth, values, background):
        sigma = torch.full((3,), 0.8, dtype=torch.float64)
        ends = voxel_brute.ray_ends(voxel_brute.occupancy(uv, depth, FRAME[grid], sigma, 5))
        cells = voxel_brute.mean_features(uv, depth, values, FRAME[grid], sigma, 5)
        seen = (ends[:, :-1, ..., None] * cells).sum(1) + ends[:, -1, ..., None] * background
        depths = (ends[:, :-1] * (1.5 + nodes)[:, None, None]).sum(1) + ends[:, -1] * 10
        return torch.cat((ends[:, :-1].sum(1)[..., None], depths[..., None], seen), -1)

    results = []
    for render in (fast, slow):
        inputs = [leaf.clone().requires_grad_() for leaf in (uv, depth, values, background)]
        image = render(*inputs)
        results.append((image, *torch.autograd.grad((image * cotangents).sum(), inputs)))
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, atol=1e-8, rtol=1e-6)


def test_gradcheck(generator):
    """Analytic against numerical gradients: mask, maximum, features, with clip, scale, weight and sigma per axis."""
    uv, depth = scene(generator, batch=1, count=5, spread=0.9)
    sigma = torch.tensor([0.8, 1.2, 0.6]).double()
    scale, weight = torch.tensor([0.8]).double(), torch.rand(1, 5, generator=generator).double() + 0.2
    values = torch.rand(1, 5, 2, generator=generator).double()
    for leaf in (uv, depth, sigma, scale, weight, values):
        leaf.requires_grad_()
    cube = frustum("centre")
    assert gradcheck(
        lambda u, d, s, k, w: voxel_mask(u, d, cube, Blur(s, 5), k, w, 1e-5),
        (uv, depth, sigma, scale, weight),
    )
    assert gradcheck(lambda u, d, s: voxel_maximum(u, d, cube, Blur(s, 5)), (uv, depth, sigma))
    for mode in (FeatureBlur(0.01), FeatureBlur(None, clamp="after")):

        def features(u, d, f, w, mode=mode):
            return voxel_render(u, d, cube, Blur(0.9, 5), f, weight=w, feature_blur=mode).features

        assert gradcheck(features, (uv, depth, values, weight))


def test_one_point_has_a_closed_form():
    """On a node: occupancies are the product of three kernels, and the mask is one minus their clear product."""
    cube = Frustum(8, (8, 9, 9), 1.0, 2.0)
    uv, depth = torch.tensor([[[4.0, 3.0]]]).double(), torch.tensor([[1 + 3 / 7]], dtype=torch.float64)
    kernel = torch.exp(-0.5 * (torch.arange(-5, 6).double() / 1.3) ** 2)
    kernel = torch.nn.functional.pad(kernel / kernel.sum(), (5, 5))  # offsets -10..10, none beyond the taps
    along = [kernel[10 - node :][:size] for node, size in ((3, 8), (3, 9), (4, 9))]
    expected = torch.einsum("d,h,w->dhw", *along)
    got = voxel_occupancy(uv, depth, cube, Blur(1.3, 11))[0]
    torch.testing.assert_close(got, expected, atol=1e-12, rtol=0)
    mask = voxel_mask(uv, depth, cube, Blur(1.3, 11))[0]
    torch.testing.assert_close(mask, 1 - (1 - expected).prod(0), atol=1e-12, rtol=0)
    assert mask.argmax() == 3 * 9 + 4


def test_without_blur_a_point_on_a_node_fills_its_cell():
    """sigma None: the scattered points themselves, for both grids, with and without margins."""
    uv, depth = torch.tensor([[[5.0, 3.0]]]), torch.tensor([[2.0]])
    corner = voxel_occupancy(uv, depth, Frustum(10, (3, 11, 11), 1.5, 2.5), Blur(None))[0]
    centre = voxel_occupancy(uv + 0.5, depth, Frustum(10, (3, 10, 10), 1.5, 2.5, "centre"), Blur(None))[0]
    assert corner[1, 3, 5] == 1
    assert corner.sum() == 1
    assert float(centre[1, 3, 5]) == pytest.approx(1, abs=1e-5)
    assert float(centre.sum()) == pytest.approx(1, abs=1e-5)


def test_centred_grid_puts_a_point_where_the_camera_sees_it():
    """The brightest pixel of a small cloud is the one that its projection falls into."""
    cameras = pinhole(orbit(torch.tensor([30.0]), torch.tensor([20.0])), 32)
    uv, depth = cameras.project(torch.tensor([[[0.21, -0.13, 0.17]]]))
    mask = voxel_mask(uv, depth, Frustum(32, (32, 32, 32), 1.5, 2.5, "centre"), Blur(0.8))[0]
    row, column = divmod(int(mask.argmax()), 32)
    assert (row, column) == (int(uv[0, 0, 1]), int(uv[0, 0, 0]))


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("grid", ["corner", "centre"])
def test_points_on_the_faces_of_the_volume_are_kept(share, grid, device):
    """Coordinates of exactly -0.5 and 0.5 are inside (in the released code an index beyond the grid)."""
    uv = torch.tensor([[[share * 10, share * 12]]], device=device).requires_grad_()
    depth = torch.tensor([[1.5 + share]], device=device)
    occupancy = voxel_occupancy(uv, depth, frustum(grid), Blur(None))
    # Centred: the point lies on a corner of the outermost cell, an eighth of it in that cell.
    assert float(occupancy.detach().sum()) == pytest.approx(1.0 if grid == "corner" else 0.125, abs=1e-5)
    occupancy.square().sum().backward()
    assert torch.isfinite(uv.grad).all()


def test_telescoped_silhouette_is_the_sum_of_ray_ends(generator):
    """1 - prod(1 - o) against DRC's probabilities, in log and product space."""
    occupancy = torch.rand(2, 9, 4, 5, generator=generator, dtype=torch.float64) ** 3
    occupancy[0, 3, 0, 0] = 1
    ends = [termination(occupancy, space=space) for space in ("log", "product")]
    torch.testing.assert_close(ends[0], ends[1], atol=2e-6, rtol=0)
    torch.testing.assert_close(ends[1], voxel_brute.ray_ends(occupancy))
    torch.testing.assert_close(ends[1].sum(1), torch.ones(2, 4, 5, dtype=torch.float64))
    torch.testing.assert_close(silhouette(occupancy), ends[1][:, :-1].sum(1), atol=2e-6, rtol=0)


def test_released_numbers_of_nothing():
    """An empty volume at 64 cells: a floor of D * 1e-5 in the mask, 9.995 as depth, a white image."""
    uv, depth = torch.zeros(1, 0, 2), torch.zeros(1, 0)
    released = voxel_render(
        uv, depth, dpc_frustum(64), Blur(1.0, 11), torch.zeros(1, 0, 3), clip=DPC_CLIP, released_depth=True,
        feature_blur=DPC_COLOR,
    )  # fmt: skip
    assert float(released.mask.max()) == pytest.approx(6.4e-4, abs=1e-6)
    assert float(released.depth.max()) == pytest.approx(9.995, abs=1e-4)
    assert float(released.features.min()) == pytest.approx(1.0, abs=1e-3)
    plain = voxel_mask(uv, depth, dpc_frustum(64), Blur(1.0, 11), clip=DPC_CLIP)
    torch.testing.assert_close(plain, released.mask, atol=2e-7, rtol=0)
    assert voxel_mask(uv, depth, dpc_frustum(64), Blur(1.0, 11)).max() == 0


def test_released_probabilities_follow_the_formula_with_their_factor(generator):
    """Clipped occupancies, the first and the last probability times exp(clip): the released logarithm of one."""
    occupancy = torch.rand(1, 6, 2, 2, generator=generator, dtype=torch.float64) * 1.2 - 0.1
    expected = voxel_brute.ray_ends(occupancy.clamp(1e-5, 1 - 1e-5))
    expected[:, [0, -1]] *= math.exp(1e-5)
    torch.testing.assert_close(termination(occupancy, 1e-5), expected, atol=1e-12, rtol=1e-12)


def test_released_cell_depths():
    """Nodes' own depth by grid; the released code divides by D instead of D - 1."""
    like = torch.zeros(())
    cells = dpc_frustum(8, 5)
    torch.testing.assert_close(cells.cell_depths(like), torch.tensor([1.5, 1.75, 2.0, 2.25, 2.5]))
    torch.testing.assert_close(
        cells.cell_depths(like, released=True), torch.tensor([1.5, 1.7, 1.9, 2.1, 2.3])
    )
    centred = Frustum(8, (5, 5, 5), 1.5, 2.5, "centre")
    torch.testing.assert_close(centred.cell_depths(like), torch.tensor([1.6, 1.8, 2.0, 2.2, 2.4]))


def test_dpc_colours_follow_their_formula(generator):
    """Sums clamped before the blur, divided by blurred counts plus 0.01, no gradient through the counts."""
    uv, depth = scene(generator, batch=1)
    values = torch.rand(1, 12, 2, generator=generator, dtype=torch.float64)
    sigma = torch.full((3,), 1.0, dtype=torch.float64)
    margin, cells = 0, FRAME["corner"][3]
    place = voxel_brute.place_in_cells(uv, depth, *FRAME["corner"])
    sums = voxel_brute.scatter(place, torch.cat((torch.ones(1, 12, 1).double(), values), -1), cells, margin)
    for cell, value in sums.items():
        sums[cell] = torch.cat((value[:1], value[1:].clamp(0, 1)))
    volume = voxel_brute.blur(sums, 1, cells, 3, sigma, 5, torch.float64)
    ends = voxel_brute.ray_ends(voxel_brute.occupancy(uv, depth, FRAME["corner"], sigma, 5))
    expected = (ends[:, :-1, ..., None] * volume[..., 1:] / (volume[..., :1] + 0.01)).sum(1) + ends[
        :, -1, ..., None
    ]
    got = voxel_render(uv, depth, frustum(), Blur(1.0, 5), values, feature_blur=DPC_COLOR).features
    torch.testing.assert_close(got, expected, atol=1e-9, rtol=0)


def test_features_may_leave_points_alone(generator):
    """stop_positions: colours of fully opaque, one-coloured rays cannot move points; otherwise they can."""
    uv, depth = scene(generator, batch=1, spread=0.5)
    values = torch.rand(1, 12, 1, generator=generator, dtype=torch.float64)
    found = []
    for stop in (False, True):
        leaf = uv.clone().requires_grad_()
        inputs = (
            leaf,
            depth,
            None,
            values,
            Blur(0.8).matrices(frustum(), uv),
            frustum(),
            FeatureBlur(stop_positions=stop),
        )
        cells = voxel._cell_features(*inputs)
        found.append(cells.requires_grad and torch.autograd.grad(cells.square().sum(), leaf)[0].norm() > 0)
    assert found == [True, False]


def test_exact_sum_agrees_with_the_grid_as_sigma_grows(generator):
    """Without the first clamp, a blur of sqrt(sigma^2 - 1/6) after the scatter comes close to all Gaussians."""
    uv, depth = scene(generator, batch=2, count=30, spread=0.6)
    cube = Frustum((12, 10), (16, 16, 16), 1.5, 2.5)
    errors = []
    for sigma in (1.0, 1.5, 2.5):
        exact = exact_occupancy(uv, depth, cube, sigma)
        fast = voxel_occupancy(uv, depth, cube, Blur(math.sqrt(sigma**2 - 1 / 6), clamp_first=False))
        errors.append(float((fast - exact).norm() / exact.norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01


def test_exact_sum_is_a_loop_over_points(generator, monkeypatch):
    """Its blocks and products change nothing; numeric Gaussians have sum one; DPC's constant is the analytic one's."""
    uv, depth = scene(generator, batch=1, count=7)
    place = voxel_brute.place_in_cells(uv, depth, *FRAME["centre"])[0]
    nodes = torch.cartesian_prod(*(torch.arange(size) for size in CELLS)).double()
    each = [
        torch.exp(-0.5 * ((nodes - point) / 1.1).square().sum(-1))
        for point in place
        if not point.isnan().any()
    ]
    expected = {
        "analytic": sum(each) / (2 * math.pi * 1.1**2) ** 1.5,
        "numeric": sum(one / one.sum() for one in each),
        None: sum(each),
    }
    monkeypatch.setattr("recon_core.renderers.voxel_exact._PAIRS_AT_ONCE", 90)
    for normaliser, value in expected.items():
        got = exact_occupancy(uv, depth, frustum("centre"), 1.1, normaliser=normaliser)
        torch.testing.assert_close(got.flatten(), value.clamp(0, 1))
    assert (2 * math.pi) ** 1.5 * (31 / 2 / 32) ** 3 == pytest.approx(1.78984352254, rel=1e-6)
    with pytest.raises(InputError, match="normaliser"):
        exact_occupancy(uv, depth, frustum(), 1.0, normaliser="some")


def test_maximum_is_the_largest_occupancy(generator):
    """PTN's projection; it never exceeds the silhouette."""
    uv, depth = scene(generator)
    highest = voxel_maximum(uv, depth, frustum(), Blur(0.8))
    torch.testing.assert_close(highest, voxel_occupancy(uv, depth, frustum(), Blur(0.8)).amax(1))
    assert bool((highest <= voxel_mask(uv, depth, frustum(), Blur(0.8)) + 1e-12).all())


def test_order_of_points_changes_nothing(generator):
    """The sum commutes."""
    uv, depth = scene(generator)
    order = torch.randperm(12, generator=generator)
    first = voxel_mask(uv, depth, frustum(), Blur(0.9, 5))
    torch.testing.assert_close(voxel_mask(uv[:, order], depth[:, order], frustum(), Blur(0.9, 5)), first)


def test_turning_camera_and_object_together_changes_nothing(generator):
    """Only their relative pose matters."""
    xyz = torch.randn(3, 40, 3, generator=generator, dtype=torch.float64) * 0.15
    views = orbit(torch.tensor([0.0, 70.0, 200.0]).double(), torch.full((3,), 15.0).double())
    cameras, turn = pinhole(views, 16), random_rotations(3, generator)
    cube = dpc_frustum(16, 16)
    first = voxel_mask(*cameras.project(xyz), cube, Blur(1.0, 11))
    turned = cameras.rotated(turn.transpose(1, 2)).project(xyz @ turn.transpose(1, 2))
    torch.testing.assert_close(voxel_mask(*turned, cube, Blur(1.0, 11)), first)


def test_a_stopped_divisor_lets_positions_pull_by_the_sum_alone(generator):
    """stop_divisor: the gradient is that of the blurred sum over a constant count, not that of the mean."""
    uv, depth = scene(generator, batch=1, spread=0.6)
    values = torch.rand(1, 12, 1, generator=generator, dtype=torch.float64)
    kernels = Blur(0.8).matrices(frustum(), uv)

    def pull(mode, divide_by=1.0):
        leaf = uv.clone().requires_grad_()
        cells = voxel._cell_features(leaf, depth, None, values, kernels, frustum(), mode) / divide_by
        return torch.autograd.grad(cells.square().sum(), leaf)[0]

    sums = voxel._cell_features(uv, depth, None, values, kernels, frustum(), FeatureBlur(None))
    means = voxel._cell_features(uv, depth, None, values, kernels, frustum(), FeatureBlur(0.1))
    expected = pull(FeatureBlur(None), sums / means)
    torch.testing.assert_close(pull(FeatureBlur(0.1, stop_divisor=True)), expected)
    assert (pull(FeatureBlur(0.1)) - expected).norm() > 0.01
