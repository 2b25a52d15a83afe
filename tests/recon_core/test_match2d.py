# SPDX-License-Identifier: Apache-2.0
"""2D projection matching: the samples of a mask, and the Chamfer distance against brute force."""

import math

import pytest
import torch
from box_chair import cameras_around, silhouettes, surface_points
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import projection_brute
from torch.autograd import gradcheck

from recon_core.cameras import random_rotations
from recon_core.errors import ConfigError, InputError
from recon_core.geometry.distance_transform import ArrayCache
from recon_core.losses.match2d import mask_samples, match2d, match2d_both, sample_mask

SAMPLERS = ("adaptive", "pixels", "uniform")
METHODS = ("tree", "blocks")


def disc(size=24, radius=7.0) -> torch.Tensor:
    """A bool mask (S,S) of a disc, and a bar of one pixel below it."""
    at = torch.arange(size) + 0.5 - size / 2
    mask = (at[:, None] + 3) ** 2 + at**2 < radius**2
    mask[-3, 2:-2] = True
    return mask


def scene(generator, batch=2, points=30, samples=20, dtype=torch.float64):
    """Points and samples in a frame 16 px wide, depths of which some are behind the camera."""
    uv = torch.rand(batch, points, 2, generator=generator, dtype=dtype) * 20 - 2
    depth = torch.rand(batch, points, generator=generator, dtype=dtype) * 1.3 - 0.3
    return uv, depth, torch.rand(batch, samples, 2, generator=generator, dtype=dtype) * 16


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("count", [1, 40, 187, 1000, 5000])
def test_samples_lie_on_the_silhouette(generator, sampler, count):
    """As many as asked for, each within a foreground pixel; more than its pixels or fewer."""
    mask = disc()
    samples = sample_mask(mask, count, generator, sampler)
    assert samples.shape == (count, 2)
    pixel = samples.floor().long()
    assert mask[pixel[:, 1], pixel[:, 0]].all()


def test_adaptive_samples_are_even(generator):
    """All sub-regions get their share, thin ones too, closer to it than random samples do."""
    mask = disc()
    area, count = int(mask.sum()), 4000
    spread = {}
    for sampler in ("adaptive", "uniform"):
        pixel = sample_mask(mask, count, generator, sampler).floor().long()
        hits = torch.zeros(mask.shape).index_put_(
            (pixel[:, 1], pixel[:, 0]), torch.ones(count), accumulate=True
        )
        spread[sampler] = float(hits[mask].std())
        assert float(hits[-3].sum()) == pytest.approx(count * 20 / area, rel=0.25)
    assert spread["adaptive"] < 0.75 * spread["uniform"]


def test_pixels_come_once_each_before_any_twice(generator):
    """2Dpm's default: every centre, then random places; no row is cut when there are too few samples."""
    mask = disc()
    area = int(mask.sum())
    samples = sample_mask(mask, area + 30, generator, "pixels")
    centers = samples[(samples % 1 == 0.5).all(-1)]
    assert len(centers) == area
    few = sample_mask(mask, area // 2, generator, "pixels")
    assert len(few.unique(dim=0)) == area // 2
    assert few[:, 1].max() > 20


def test_samples_depend_on_the_mask_and_the_seed_alone():
    """Batches, order and the cache change nothing; another seed does."""
    masks = torch.stack((disc(radius=4.0), disc(), torch.zeros(24, 24, dtype=torch.bool)))
    cache = ArrayCache()
    first = mask_samples(masks, 50, cache=cache)
    again = mask_samples(masks.flip(0).view(3, 1, 24, 24), 50, cache=cache)[:, 0].flip(0)
    torch.testing.assert_close(again, first, equal_nan=True)
    assert cache.hits == 3
    torch.testing.assert_close(mask_samples(masks[1].double() * 0.7, 50, cache=None), first[1].double())
    assert first[2].isnan().all()
    assert not first[:2].isnan().any()
    assert not torch.equal(mask_samples(masks[1], 50, seed=1), first[1])
    assert not torch.equal(mask_samples(masks[1], 50, sampler="uniform", cache=cache), first[1])


def test_a_speck_in_a_large_frame(generator):
    """Two far pixels: the grid would have millions of nodes; random places serve."""
    mask = torch.zeros(700, 900, dtype=torch.bool)
    mask[0, 0] = mask[-1, -1] = True
    samples = sample_mask(mask, 300, generator)
    pixel = samples.long()
    assert mask[pixel[:, 1], pixel[:, 0]].all()
    assert 0 < int((pixel[:, 1] == 0).sum()) < 300


@pytest.mark.parametrize("method", METHODS)
def test_agrees_with_brute_force(generator, device, method):
    """Losses, and gradients with random cotangents, of the points in front of the camera."""
    uv, depth, samples = scene(generator)
    leaf = uv.to(device).requires_grad_()
    cotangent = torch.randn(2, generator=generator, dtype=torch.float64)
    fast = match2d(leaf, depth.to(device), samples.to(device), 16, search=method)
    own = uv.clone().requires_grad_()
    exact = torch.stack([projection_brute.match2d(u[d > 0], s, 16) for u, d, s in zip(own, depth, samples)])
    torch.testing.assert_close(fast.cpu(), exact)
    got = torch.autograd.grad((fast * cotangent.to(device)).sum(), leaf)[0].cpu()
    torch.testing.assert_close(got, torch.autograd.grad((exact * cotangent).sum(), own)[0])
    assert (got[depth <= 0] == 0).all()


def test_gradcheck(generator):
    """Analytic against numerical gradients; random points have no ties."""
    uv, depth, samples = scene(generator, points=6, samples=5)
    uv.requires_grad_()
    assert gradcheck(lambda u: match2d_both(u, depth, samples, 16), (uv,))


def test_both_directions():
    """One point, two samples: the mean to the nearest, and back."""
    uv = torch.tensor([[[4.0, 8.0]]])
    samples = torch.tensor([[[4.0, 6.0], [8.0, 8.0]]])
    to_samples, to_points = match2d_both(uv, torch.ones(1, 1), samples, 16)
    assert float(to_samples) == pytest.approx(4 / 256)
    assert float(to_points) == pytest.approx((4 + 16) / 2 / 256)
    assert float(match2d(samples, torch.ones(1, 2), samples, 16)) == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("hidden", [(0.0, 0.0), (1.0, 2.0), (float("nan"), 3.0)])
def test_hidden_points_are_never_matched(method, hidden):
    """Behind the camera, or not a number: as if it were not there, even where all samples are."""
    samples = torch.tensor([[[1.0, 2.0], [0.0, 0.5]]])
    uv, depth = torch.tensor([[[9.0, 9.0], hidden]]), torch.tensor([[1.0, -1.0]])
    expected = match2d_both(uv[:, :1], depth[:, :1], samples, 16, search=method)
    torch.testing.assert_close(match2d_both(uv, depth, samples, 16, search=method), expected)


def test_invariances(generator):
    """Order of points and samples, repetition, and a common scale of image and points change nothing."""
    uv, depth, samples = scene(generator)
    value = match2d(uv, depth, samples, 16)
    order, other = torch.randperm(30, generator=generator), torch.randperm(20, generator=generator)
    torch.testing.assert_close(match2d(uv[:, order], depth[:, order], samples[:, other], 16), value)
    torch.testing.assert_close(match2d(uv.repeat(1, 2, 1), depth.repeat(1, 2), samples, 16), value)
    torch.testing.assert_close(match2d(uv * 3, depth, samples * 3, 48), value)


def test_turning_camera_and_object_together_changes_nothing(generator):
    """Only their relative pose matters."""
    cameras = cameras_around(3, 32)
    samples = mask_samples(silhouettes(cameras), 200).double()
    cameras = cameras.to(torch.float64)
    xyz = surface_points(200, generator).double().expand(3, -1, 3)
    turn = random_rotations(3, generator).to(xyz)
    first = match2d(*cameras.project(xyz), samples, 32)
    turned = cameras.rotated(turn.transpose(1, 2)).project(xyz @ turn.transpose(1, 2))
    torch.testing.assert_close(match2d(*turned, samples, 32), first)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("uv", "depth"),
    [
        (torch.zeros(1, 0, 2), torch.zeros(1, 0)),
        (torch.full((1, 3, 2), 12.0), torch.tensor([[-1.0, 0.0, -5.0]])),
        (torch.full((1, 3, 2), float("nan")), torch.ones(1, 3)),
    ],
    ids=["no points", "behind", "NaN"],
)
def test_nothing_to_match_costs_nothing(uv, depth, method, device):
    """0, and no gradient; an empty mask likewise, and an element without points leaves the others."""
    uv, depth = uv.to(device).requires_grad_(), depth.to(device)
    samples = mask_samples(disc()[None].to(device), 10)
    loss = match2d(uv, depth, samples, 24, search=method)
    assert float(loss.detach()) == 0
    loss.sum().backward()
    assert uv.grad is not None
    assert (uv.grad == 0).all()
    here, seen = torch.full((1, 3, 2), 5.0, device=device), torch.ones(1, 3, device=device)
    nothing = mask_samples(torch.zeros(1, 24, 24, device=device), 10)
    assert float(match2d(here, seen, nothing, 24, search=method)) == 0
    if uv.shape[1]:
        pair = match2d(torch.cat((uv.detach(), here)), torch.cat((depth, seen)), samples.repeat(2, 1, 1), 24)
        torch.testing.assert_close(pair[1:], match2d(here, seen, samples, 24))
        assert pair[1] > 0


def test_points_move_onto_the_silhouettes(generator):
    """A ball of points in a chair's eight views: its projections come to cover the silhouettes."""
    cameras = cameras_around(8, 32)
    samples = mask_samples(silhouettes(cameras), 400)
    xyz = (0.15 * torch.randn(400, 3, generator=generator)).requires_grad_()
    optimiser = torch.optim.Adam([xyz], lr=0.01)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = match2d(*cameras.project(xyz.expand(8, -1, 3)), samples, 32).mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]
    assert math.sqrt(losses[-1]) * 32 < 1.0  # pixels


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3), points=st.integers(0, 12), count=st.integers(1, 30), height=st.integers(1, 12),
    width=st.integers(1, 12), sampler=st.sampled_from(SAMPLERS), method=st.sampled_from(METHODS),
)  # fmt: skip
def test_any_size(batch, points, count, height, width, sampler, method):
    """Shapes hold; losses and gradients are finite; the two searches agree elsewhere."""
    generator = torch.Generator().manual_seed(points)
    masks = torch.rand(batch, height, width, generator=generator) < 0.3
    samples = mask_samples(masks, count, sampler=sampler)
    uv, depth, _ = scene(generator, batch, points, dtype=torch.float32)
    uv.requires_grad_()
    loss = match2d(uv, depth, samples, width, search=method)
    assert samples.shape == (batch, count, 2)
    assert loss.shape == (batch,)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert uv.grad is not None
    assert torch.isfinite(uv.grad).all()


def test_bad_input_is_named():
    """Integer masks, no samples, an unknown sampler, wrong shapes."""
    with pytest.raises(InputError, match="uint8"):
        mask_samples(torch.zeros(1, 4, 4, dtype=torch.uint8), 5)
    with pytest.raises(InputError, match="count 0"):
        mask_samples(torch.zeros(1, 4, 4), 0)
    with pytest.raises(ConfigError, match=r"'sas'.*adaptive"):
        sample_mask(disc(), 5, torch.Generator(), "sas")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="samples_px"):
        match2d(torch.zeros(1, 3, 2), torch.ones(1, 3), torch.zeros(2, 5, 2), 8)
    with pytest.raises(InputError, match="uv_px"):
        match2d(torch.zeros(1, 3, 3), torch.ones(1, 3), torch.zeros(1, 5, 2), 8)
