# SPDX-License-Identifier: Apache-2.0
"""CAPNet masks and DIFFER features: dense forms, gradients, invariances, closed forms, degenerate input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import planes_brute
from torch.autograd import gradcheck

from recon_core.cameras import orbit, pinhole, random_rotations
from recon_core.errors import InputError
from recon_core.renderers.feature_planes import plane_features, plane_mask

SIZE = (14, 18)
MODES = ("clean", "released")
BRUTE = {"clean": planes_brute.clean_features, "released": planes_brute.released_features}


def scene(generator, batch=2, count=60, size=SIZE, dtype=torch.float64, channels=3):
    """Random projected points, some outside the frame and some behind the camera, with features."""
    scale = torch.tensor([size[1], size[0]], dtype=dtype)
    uv = (torch.rand(batch, count, 2, generator=generator, dtype=dtype) * 1.3 - 0.15) * scale
    depth = torch.rand(batch, count, generator=generator, dtype=dtype) * 2.2 - 0.2
    values = torch.rand(batch, count, channels, generator=generator, dtype=dtype)
    return uv, depth, values


def gradients(images, cotangents, inputs):
    """Gradients of the images weighted by random cotangents."""
    total = sum((image * cotangent).sum() for image, cotangent in zip(images, cotangents))
    return torch.autograd.grad(total, inputs)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("grid", ["centre", "integer"])
@pytest.mark.parametrize("sigma_sq", [0.4, 0.5, 6.0])
def test_mask_agrees_with_the_dense_form(generator, mode, grid, sigma_sq):
    """Values, and gradients of position, weight and sigma, at random cotangents."""
    uv, depth, values = scene(generator)
    width = torch.tensor(sigma_sq, dtype=torch.float64)
    inputs = [t.requires_grad_() for t in (uv, values[..., 0], width)]
    cotangent = [torch.randn(2, *SIZE, generator=generator, dtype=torch.float64)]
    fast = plane_mask(uv, depth, SIZE, width, inputs[1], mode=mode, grid=grid)
    exact = planes_brute.mask(uv, depth, SIZE, width, inputs[1], mode, grid)
    torch.testing.assert_close(fast, exact, atol=1e-12, rtol=0)
    for got, expected in zip(gradients([fast], cotangent, inputs), gradients([exact], cotangent, inputs)):
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(got, expected, atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("grid", ["centre", "integer"])
@pytest.mark.parametrize(("radius", "beta"), [(1.0, 100.0), (0.5, 5.0), (2.7, 0.5), (1.0, 0.0), (4.0, 30.0)])
def test_features_agree_with_the_dense_form(generator, mode, grid, radius, beta):
    """Values, and gradients of depth and features, at random cotangents; small beta shows the released leak."""
    uv, depth, values = scene(generator)
    inputs = [t.requires_grad_() for t in (depth, values)]
    cotangent = [torch.randn(2, *SIZE, 3, generator=generator, dtype=torch.float64)]
    fast = plane_features(uv, depth, values, SIZE, radius, beta, mode=mode, grid=grid)
    exact = BRUTE[mode](uv, depth, values, SIZE, radius, beta, grid)
    assert bool((fast[0] == exact[0]).all())
    torch.testing.assert_close(fast[1], exact[1], atol=1e-10, rtol=0)
    for got, expected in zip(gradients(fast[1:], cotangent, inputs), gradients(exact[1:], cotangent, inputs)):
        assert beta == 0 or expected.abs().max() > 1e-3
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-8)


def test_float32_agrees_with_the_dense_form_at_the_published_settings(generator):
    """1,024 points at 64 px, sigma^2 0.5, r 1, beta 100: within 1e-5, gradients too (relative to the largest)."""
    uv, depth, values = scene(generator, 1, 1024, (64, 64), torch.float32)
    depth = depth.abs() + 1.2
    inputs = [t.requires_grad_() for t in (uv, depth, values)]
    fast = [plane_mask(uv, depth, 64), plane_features(uv, depth, values, 64, mode="released")[1]]
    exact = [planes_brute.mask(uv, depth, (64, 64), 0.5)]
    exact.append(planes_brute.released_features(uv, depth, values, (64, 64), 1.0, 100.0)[1])
    cotangents = [torch.randn(image.shape, generator=generator) for image in fast]
    for got, expected in zip(fast, exact):
        assert (got - expected).abs().max() < 1e-5
    for got, expected in zip(gradients(fast, cotangents, inputs), gradients(exact, cotangents, inputs)):
        assert (got - expected).abs().max() < 1e-5 * expected.abs().max()


def test_hard_assignment_takes_the_nearest(generator):
    """Against a search per pixel; a very large beta comes to the same, without underflow in float32."""
    uv, _, values = scene(generator, count=40)
    # No two depths are near each other; some are behind the camera.
    depth = (torch.stack([torch.randperm(40, generator=generator) for _ in range(2)]) - 5).double() * 0.05
    hit, image = plane_features(uv, depth, values, SIZE, 1.5, hard=True)
    assert bool((image == planes_brute.nearest_features(uv, depth, values, SIZE, 1.5)).all())
    sharp = plane_features(uv.float(), depth.float(), values.float(), SIZE, 1.5, beta=1e5)
    assert bool((sharp[0] == hit).all())
    assert (sharp[1] - image).abs().max() < 1e-6
    twice = plane_features(
        uv[:, :1].expand(2, 2, 2), depth.abs()[:, :1].expand(2, 2), values[:, :2], SIZE, hard=True
    )
    first = plane_features(uv[:, :1], depth.abs()[:, :1], values[:, :1], SIZE, hard=True)
    assert bool((twice[1] == first[1]).all())


def test_hard_assignment_passes_gradients_to_the_winners_alone(generator):
    """One per pixel won, none in depth."""
    uv, depth, values = scene(generator, 1, 40)
    values.requires_grad_()
    hit, image = plane_features(uv, depth.requires_grad_(), values, SIZE, hard=True)
    image.sum().backward()
    assert float(values.grad[..., 0].sum()) == float(hit.sum())
    assert depth.grad is None


def test_gradcheck_mask(generator):
    """Positions, weights and sigma in float64."""
    uv, depth, _ = scene(generator, 2, 5, (5, 6))
    depth = depth.abs() + 0.1
    weights = torch.rand(2, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    sigma_sq = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)

    def mask(uv, weights, sigma_sq):
        return plane_mask(uv, depth, (5, 6), sigma_sq, weights)

    assert gradcheck(mask, (uv.requires_grad_(), weights, sigma_sq))


@pytest.mark.parametrize("mode", MODES)
def test_gradcheck_features(generator, mode):
    """Depth and features in float64, with a background channel."""
    uv, depth, values = scene(generator, 2, 8, (5, 6), channels=2)
    depth = (depth.abs() + 0.5).requires_grad_()

    def image(depth, values):
        return plane_features(uv, depth, values, (5, 6), 1.4, 3.0, background="channel", mode=mode)[1]

    assert gradcheck(image, (depth, values.requires_grad_()))


def test_features_never_move_points_sideways_but_masks_do(generator):
    """A well is a step: no gradient in uv through features; through the mask there is one."""
    uv, depth, values = scene(generator)
    uv.requires_grad_()
    assert not plane_features(uv, depth, values, SIZE)[1].requires_grad
    plane_mask(uv, depth, SIZE).square().sum().backward()
    assert uv.grad.abs().max() > 0


def test_features_reach_the_camera_through_depth(generator):
    """The whole chain projection -> depth -> softmax has a gradient."""
    xyz = torch.randn(1, 200, 3, generator=generator, dtype=torch.float64) * 0.2
    azimuth = torch.tensor([30.0], dtype=torch.float64, requires_grad=True)
    uv, depth = pinhole(orbit(azimuth, torch.tensor([20.0], dtype=torch.float64)), 16).project(xyz)
    values = torch.rand(1, 200, 3, generator=generator, dtype=torch.float64)
    plane_features(uv, depth, values, 16)[1].square().sum().backward()
    assert torch.isfinite(azimuth.grad).all()
    assert azimuth.grad.abs() > 0


def test_one_centred_point_has_closed_forms():
    """tanh(1) at its pixel, tanh(exp(-1 / 2 s2)) beside it; its features come back whole."""
    uv, depth = torch.tensor([[[7.5, 4.5]]]), torch.full((1, 1), 2.0)
    mask = plane_mask(uv, depth, SIZE, 0.5)
    assert float(mask[0, 4, 7]) == pytest.approx(math.tanh(1))
    assert float(mask[0, 4, 8]) == pytest.approx(math.tanh(math.exp(-1)))
    assert float(mask[0, 5, 8]) == pytest.approx(math.tanh(math.exp(-2)))
    on_node = plane_mask(torch.tensor([[[7.0, 4.0]]]), depth, SIZE, 0.5, grid="integer")
    torch.testing.assert_close(on_node, mask)
    hit, image = plane_features(uv, depth, torch.tensor([[[0.2, 0.7]]]), SIZE)
    assert int(hit.sum()) == 9
    torch.testing.assert_close(image[0, 3, 8], torch.tensor([0.2, 0.7]))


@pytest.mark.parametrize("mode", MODES)
def test_a_point_touches_four_pixels(generator, mode):
    """Off the nodes, a well of half-width 1 holds 2 x 2 pixel centres; one of 0.5 a single one."""
    uv, depth, values = scene(generator, 1, 500, (40, 40))
    uv = uv * 0.5 + 10
    alone = [uv.view(500, 1, 2), depth.abs().view(500, 1) + 0.1, values.view(500, 1, 3)]
    assert bool((plane_features(*alone, 40, mode=mode)[0].sum((1, 2)) == 4).all())
    assert bool((plane_features(*alone, 40, 0.5, mode=mode)[0].sum((1, 2)) == 1).all())


def test_two_points_mix_by_depth():
    """Weights exp(beta / (z + 1)) in the clean form: 1 : e for a difference of 1 in the exponent."""
    uv = torch.full((1, 2, 2), 6.3)
    depth = torch.tensor([[1.0, 3.0]])  # beta / 2 and beta / 4
    image = plane_features(uv, depth, torch.tensor([[[1.0], [0.0]]]), SIZE, beta=4.0)[1]
    assert float(image[0, 6, 6, 0]) == pytest.approx(math.e / (1 + math.e), abs=1e-6)


def test_released_points_behind_and_far():
    """Released: a point behind counts by |z|, one beyond depth 9 vanishes; clean: the other way round."""
    uv, values = torch.full((1, 1, 2), 6.3), torch.ones(1, 1, 1)
    for depth, clean, released in ((-2.0, 0, 4), (9.5, 4, 0), (2.0, 4, 4)):
        at = torch.full((1, 1), depth)
        assert int(plane_features(uv, at, values, SIZE)[0].sum()) == clean
        assert int(plane_features(uv, at, values, SIZE, mode="released")[0].sum()) == released
        behind = plane_mask(uv, at, SIZE, mode="released")
        assert float(behind.max()) > 0.5
        assert (float(plane_mask(uv, at, SIZE).max()) > 0.5) == (depth > 0)


def test_released_sum_guard_darkens_where_beta_is_small():
    """The released renormalisation adds 1e-8 to a softmax over all points: tiny shares do not come back whole."""
    uv = torch.full((1, 3000, 2), -50.0, dtype=torch.float64)
    uv[:, 0] = 6.3
    depth, values = (
        torch.full((1, 3000), 8.0, dtype=torch.float64),
        torch.ones(1, 3000, 1, dtype=torch.float64),
    )
    image = plane_features(uv, depth, values, SIZE, beta=1.0, mode="released")[1]
    share = math.exp(1 / 9.00001) / (math.exp(1 / 9.00001) + 2999 * math.exp(1 / 10.00001))
    assert float(image.max()) == pytest.approx(share / (share + 1e-8), abs=1e-12)
    assert float(image.max()) < 1 - 1e-6
    assert float(plane_features(uv, depth, values, SIZE, beta=1.0)[1].max()) == 1.0


def test_background(generator):
    """A channel that is 1 exactly where nothing was hit, a colour there, or black."""
    uv, depth, values = scene(generator, count=8)
    hit, black = plane_features(uv, depth, values, SIZE)
    assert 0 < hit.sum() < hit.numel()
    assert black[hit == 0].abs().max() == 0
    parts = plane_features(uv, depth, values.softmax(-1), SIZE, background="channel")[1]
    assert parts.shape == (2, *SIZE, 4)
    torch.testing.assert_close(parts[..., 0], 1 - hit)
    torch.testing.assert_close(parts.sum(-1), torch.ones_like(hit))
    white = plane_features(uv, depth, values, SIZE, background=1.0)[1]
    assert bool((white[hit == 0] == 1).all())
    torch.testing.assert_close(white[hit == 1], black[hit == 1])
    blue = torch.tensor([0.0, 0.0, 1.0])
    assert bool((plane_features(uv, depth, values, SIZE, background=blue)[1][hit == 0] == blue).all())


def test_order_of_points_changes_nothing(generator):
    """Sums commute."""
    uv, depth, values = scene(generator)
    order = torch.randperm(60, generator=generator)
    for mode in MODES:
        first = plane_features(uv, depth, values, SIZE, 1.6, 8.0, mode=mode)[1]
        second = plane_features(uv[:, order], depth[:, order], values[:, order], SIZE, 1.6, 8.0, mode=mode)[1]
        torch.testing.assert_close(first, second)
    torch.testing.assert_close(plane_mask(uv, depth, SIZE), plane_mask(uv[:, order], depth[:, order], SIZE))


def test_shifting_by_whole_pixels_shifts_the_image(generator):
    """No pixel is special."""
    uv, depth, values = scene(generator, count=30, size=(10, 10))
    for shift in (torch.tensor([3.0, 2.0], dtype=torch.float64),):
        mask, moved = plane_mask(uv, depth, 20), plane_mask(uv + shift, depth, 20)
        torch.testing.assert_close(moved[:, 2:, 3:], mask[:, :-2, :-3])
        image, moved = (plane_features(at, depth, values, 20, 1.7)[1] for at in (uv, uv + shift))
        torch.testing.assert_close(moved[:, 2:, 3:], image[:, :-2, :-3])


def test_turning_camera_and_object_together_changes_nothing(generator):
    """Only their relative pose matters."""
    xyz = torch.randn(3, 80, 3, generator=generator, dtype=torch.float64) * 0.2
    values = torch.rand(3, 80, 3, generator=generator, dtype=torch.float64)
    views = orbit(torch.tensor([0.0, 70.0, 200.0], dtype=torch.float64), torch.full((3,), 15.0).double())
    cameras, turn = pinhole(views, 24), random_rotations(3, generator).double()
    turned = cameras.rotated(turn.transpose(1, 2)).project(xyz @ turn.transpose(1, 2))
    seen = cameras.project(xyz)
    torch.testing.assert_close(plane_mask(*turned, 24), plane_mask(*seen, 24), atol=1e-5, rtol=0)
    first, second = (plane_features(*at, values, 24)[1] for at in (seen, turned))
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("uv", "depth"),
    [
        (torch.zeros(1, 0, 2), torch.zeros(1, 0)),
        (torch.full((1, 3, 2), 6.0), torch.tensor([[-1.0, 0.0, -5.0]])),
        (torch.full((1, 3, 2), 1e30), torch.ones(1, 3)),
        (torch.full((1, 3, 2), -torch.inf), torch.ones(1, 3)),
        (torch.full((1, 3, 2), torch.nan), torch.ones(1, 3)),
        (torch.full((1, 3, 2), 6.0), torch.full((1, 3), torch.nan)),
    ],
    ids=["no points", "behind", "outside", "infinite", "NaN place", "NaN depth"],
)
def test_nothing_to_see_is_an_empty_image(uv, depth, device):
    """No points, all behind, all far outside, or not a number: black, and gradients that are zero."""
    inputs = [t.to(device).requires_grad_() for t in (uv.clone(), depth.clone(), torch.ones(*depth.shape, 2))]
    mask = plane_mask(*inputs[:2], SIZE)
    hit, image = plane_features(*inputs, SIZE)
    assert mask.abs().max() == 0
    assert hit.abs().max() == 0
    assert image.abs().max() == 0
    (mask.sum() + image.sum()).backward()
    for tensor in inputs:
        assert tensor.grad is None or bool((tensor.grad == 0).all())
    assert not plane_features(*inputs, SIZE, hard=True)[1].any()


def test_an_empty_batch_element_leaves_the_others(generator):
    """All points of one element behind the camera: the other is as if alone. No element at all: no image."""
    uv, depth, values = scene(generator)
    depth = depth.abs() + 0.1
    depth[0] = -1
    hit, image = plane_features(uv, depth, values, SIZE)
    assert hit[0].abs().max() == 0
    torch.testing.assert_close(image[1:], plane_features(uv[1:], depth[1:], values[1:], SIZE)[1])
    assert plane_mask(uv[:0], depth[:0], SIZE).shape == (0, *SIZE)
    assert plane_features(uv[:0], depth[:0], values[:0], SIZE)[1].shape == (0, *SIZE, 3)


def test_large_depths_and_large_beta_stay_whole_in_float32(generator):
    """Each pixel has its own reference logit: no holes where the far surface is alone."""
    uv, depth, values = scene(generator, count=100, dtype=torch.float32)
    depth = depth.abs() * 100 + 0.1
    hit, image = plane_features(uv, depth, torch.ones_like(values), SIZE, beta=5000.0)
    torch.testing.assert_close(image[..., 0], hit)


@settings(max_examples=30, deadline=None)
@given(
    batch=st.integers(0, 3), count=st.integers(0, 30), height=st.integers(1, 12), width=st.integers(1, 12),
    channels=st.integers(0, 4), radius=st.floats(0.1, 6), beta=st.floats(0, 500), released=st.booleans(),
)  # fmt: skip
def test_any_size_agrees_with_the_dense_form(batch, count, height, width, channels, radius, beta, released):
    """Shapes, ranges and values."""
    generator = torch.Generator().manual_seed(count)
    uv, depth, values = scene(generator, batch, count, (height, width), torch.float64, channels)
    mode = MODES[released]
    hit, image = plane_features(uv, depth, values, (height, width), radius, beta, mode=mode)
    mask = plane_mask(uv, depth, (height, width), radius)
    assert hit.shape == mask.shape == (batch, height, width)
    assert bool(((mask >= 0) & (mask <= 1)).all())
    torch.testing.assert_close(
        mask, planes_brute.mask(uv, depth, (height, width), radius), atol=1e-12, rtol=0
    )
    if count:
        exact = BRUTE[mode](uv, depth, values, (height, width), radius, beta)
        assert bool((hit == exact[0]).all())
        torch.testing.assert_close(image, exact[1], atol=1e-9, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_devices_and_types_agree(generator, device, dtype):
    """CPU float64 is the reference for every device and type."""
    uv, depth, values = scene(generator)
    expected = plane_mask(uv, depth, SIZE), *plane_features(uv, depth, values, SIZE)
    there = [t.to(device, dtype) for t in (uv, depth, values)]
    for got, want in zip((plane_mask(*there[:2], SIZE), *plane_features(*there, SIZE)), expected):
        assert got.dtype == dtype
        assert got.device.type == device.type
        torch.testing.assert_close(got.double().cpu(), want, atol=2e-5, rtol=0)


def test_bad_input_is_named():
    """What is wrong, and what was given."""
    uv, depth, values = torch.zeros(1, 3, 2), torch.ones(1, 3), torch.zeros(1, 3, 4)
    with pytest.raises(InputError, match="uv_px"):
        plane_mask(torch.zeros(1, 3, 3), depth, 8)
    with pytest.raises(InputError, match="weights"):
        plane_mask(uv, depth, 8, 0.5, torch.ones(1, 2))
    with pytest.raises(InputError, match="sigma_sq_px"):
        plane_mask(uv, depth, 8, 0.0)
    with pytest.raises(InputError, match="features"):
        plane_features(uv, depth, values[:, :2], 8)
    with pytest.raises(InputError, match="radius_px"):
        plane_features(uv, depth, values, 8, 0.0)
    with pytest.raises(InputError, match="mode"):
        plane_features(uv, depth, values, 8, mode="published")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="background"):
        plane_features(uv, depth, values, 8, background=torch.zeros(3))
