# SPDX-License-Identifier: Apache-2.0
"""Affinity against walks over pixels, and colour, normal and part losses against closed forms."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import features_brute
from scipy.ndimage import distance_transform_edt
from torch.autograd import gradcheck

from recon_core.errors import InputError
from recon_core.losses.features import (
    affinity_paper,
    affinity_released,
    expected_nearest_px,
    image_loss,
    inverse_frequency_weights,
    mask_loss,
    normal_loss,
    part_loss,
)
from recon_core.losses.silhouette import silhouette_loss
from recon_core.renderers.feature_planes import plane_features, plane_mask

EXACT_RADII = [0, 1, 2**0.5, 2, 5**0.5, 8**0.5, 3]


def random_masks(generator, shape, dtype=torch.float64):
    """Random coverage, mostly low, with some pixels at 0 and at 1."""
    coverage = torch.rand(shape, generator=generator, dtype=dtype) * 1.5 - 0.5
    return coverage.clamp(0, 1)


@pytest.mark.parametrize("size", [(5, 7), (8, 3), (1, 6)])
def test_expected_nearest_agrees_with_a_walk_outwards(generator, size):
    """Values and gradients at a random cotangent, all radii exact."""
    coverage = random_masks(generator, size).requires_grad_()
    cotangent = torch.randn(size, generator=generator, dtype=torch.float64)
    fast = expected_nearest_px(coverage[None], 3.0)[0]
    exact = features_brute.expected_nearest(coverage, EXACT_RADII)
    torch.testing.assert_close(fast, exact, atol=1e-9, rtol=0)
    (to_fast,) = torch.autograd.grad((fast * cotangent).sum(), coverage)
    (to_exact,) = torch.autograd.grad((exact * cotangent).sum(), coverage)
    inside = (coverage > 0) & (coverage < 1)  # at the limits the clamp's derivative is a matter of taste
    assert to_exact[inside].abs().max() > 0.1
    torch.testing.assert_close(to_fast[inside], to_exact[inside], atol=1e-7, rtol=1e-7)


def test_expected_nearest_rounds_far_distances_up(generator):
    """Beyond 4 px the radii are 4, 4.4, 4.84, ..., reach."""
    coverage = random_masks(generator, (9, 9)) * 0.1
    radii = [*EXACT_RADII, 10**0.5, 13**0.5, 4, 4.4, 4.84, 5.324, 5.5]
    exact = features_brute.expected_nearest(coverage, radii)
    torch.testing.assert_close(expected_nearest_px(coverage, 5.5), exact, atol=1e-9, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_binary_mask_gives_its_distance_transform(generator, device, dtype):
    """Exactly up to 4 px, at most 10 % more beyond, never more than the reach; an empty mask is at the reach."""
    mask = (torch.rand(3, 40, 50, generator=generator) < 0.004).to(dtype)
    mask[2] = 0
    got = expected_nearest_px(mask.to(device), 16.0).double().cpu()
    truth = torch.stack([torch.from_numpy(distance_transform_edt(1 - one.numpy())) for one in mask[:2]])
    assert truth.max() > 6
    near = truth <= 4
    torch.testing.assert_close(got[:2][near], truth[near], atol=4e-3, rtol=0)
    assert bool((got[:2] >= truth.clamp(max=16) - 4e-3).all())
    assert bool((got[:2] <= truth.clamp(min=1) * 1.1 + 4e-3).all())
    assert bool((got <= 16 + 1e-3).all())
    torch.testing.assert_close(got[2], torch.full((40, 50), 16.0).double(), atol=1e-4, rtol=0)


def test_expected_nearest_gradcheck(generator):
    """Both powers, in float64."""
    coverage = (random_masks(generator, (2, 4, 5)) * 0.8 + 0.1).requires_grad_()
    for squared in (False, True):
        assert gradcheck(lambda s, squared=squared: expected_nearest_px(s, 3.5, squared=squared), (coverage,))


def test_paper_affinity_is_the_chamfer_of_binary_masks():
    """Two bars d pixels apart: both directions have a closed form."""
    target = torch.zeros(1, 12, 16)
    predicted = torch.zeros(1, 12, 16)
    target[:, 4, 3:13] = 1
    predicted[:, 7, 3:13] = 1
    forward, backward = affinity_paper(predicted, target)
    assert float(forward) == pytest.approx(10 * 3 / (12 * 16))
    assert float(backward) == pytest.approx(10 * 3 / (12 * 16), rel=2e-3)
    forward, backward = affinity_paper(predicted, target, squared=True)
    assert float(forward) == pytest.approx(10 * 9 / (12 * 16))
    assert float(backward) == pytest.approx(10 * 9 / (12 * 16), rel=3e-3)
    same = affinity_paper(target, target)
    assert float(same[0]) == 0
    assert float(same[1]) < 2e-4


def test_paper_affinity_without_foreground():
    """An empty target counts every predicted pixel at the frame's diagonal; an empty prediction is at the reach."""
    empty, full = torch.zeros(2, 9, 12), torch.ones(2, 9, 12)
    forward, backward = affinity_paper(full, empty)
    torch.testing.assert_close(forward, torch.full((2,), 15.0))
    assert backward.abs().max() == 0
    forward, backward = affinity_paper(empty, full, reach_px=6.0)
    assert forward.abs().max() == 0
    torch.testing.assert_close(backward, torch.full((2,), 6.0), atol=1e-4, rtol=0)


def test_paper_affinity_pulls_points_to_uncovered_and_from_wrong_places():
    """Each direction alone moves a point towards the target; the released form has no say from a distance."""
    target = torch.zeros(1, 24, 24)
    target[:, 10:14, 10:18] = 1
    depth = torch.ones(1, 2)
    for direction, start in ((0, [[11.2, 12.0], [4.0, 12.0]]), (1, [[11.2, 12.0], [11.8, 12.3]])):
        uv = torch.tensor([start], requires_grad=True)
        affinity_paper(plane_mask(uv, depth, 24, 1.5), target)[direction].sum().backward()
        assert float(uv.grad[0, 1, 0]) < 0  # to the right is better
    far = torch.tensor([[[4.0, 12.0]]], requires_grad=True)
    sum(affinity_released(plane_mask(far, depth[:, :1], 24, 0.5), target)).sum().backward()
    assert far.grad.abs().max() < 1e-2


def test_a_given_transform_is_used(generator):
    """The caller's distances in place of the target's own."""
    predicted, target = (
        random_masks(generator, (2, 6, 6)),
        (random_masks(generator, (2, 6, 6)) > 0.5).double(),
    )
    twos = torch.full_like(target, 2)
    torch.testing.assert_close(
        affinity_paper(predicted, target, distance_px=twos)[0], 2 * predicted.mean((1, 2))
    )


@pytest.mark.parametrize("soft", [False, True])
def test_released_affinity_agrees_with_the_released_steps(generator, soft):
    """The 4-dimensional form with its minimum over distances, soft and binary targets."""
    predicted, target = random_masks(generator, (6, 5)), random_masks(generator, (6, 5))
    target = target if soft else (target > 0.3).double()
    for got, expected in zip(
        affinity_released(predicted, target), features_brute.released(predicted, target)
    ):
        torch.testing.assert_close(got, expected)


def test_released_affinity_is_l1(generator):
    """100 mean |S - G| + 2e-4 mean S G for a binary target; views count 1, 2, 3."""
    predicted = random_masks(generator, (2, 3, 6, 5))
    target = (random_masks(generator, (2, 3, 6, 5)) > 0.3).double()
    total = sum(affinity_released(predicted, target))
    expected = 100 * (predicted - target).abs().mean((-1, -2)) + 2e-4 * (predicted * target).mean((-1, -2))
    torch.testing.assert_close(total, expected)
    scaled = sum(affinity_released(predicted, target, scale_views=True))
    torch.testing.assert_close(scaled, expected * torch.tensor([1.0, 2.0, 3.0]).double())


def test_mask_loss_adds_weighted_affinity(generator):
    """Silhouette alone, with either affinity, and its two directions apart."""
    predicted = random_masks(generator, (2, 3, 8, 8))
    target = (random_masks(generator, (2, 3, 8, 8)) > 0.3).double()
    alone = silhouette_loss(predicted, target, "l2")
    torch.testing.assert_close(mask_loss(predicted, target, silhouette="l2"), alone)
    released = affinity_released(predicted, target, scale_views=True)
    got = mask_loss(
        predicted, target, silhouette="l2", affinity="released", weights=(2.0, 0.5), scale_views=True
    )
    torch.testing.assert_close(got, alone + 2 * released[0] + 0.5 * released[1])
    paper = affinity_paper(predicted, target, reach_px=5.0)
    got = mask_loss(predicted, target, silhouette="l2", affinity="paper", weights=(0.0, 3.0), reach_px=5.0)
    torch.testing.assert_close(got, alone + 3 * paper[1])


def test_image_loss(generator):
    """Whole image: torch's mean; masked: only the mask's pixels, weighted."""
    a, b = (torch.rand(2, 3, 4, 5, 3, generator=generator) for _ in range(2))
    torch.testing.assert_close(image_loss(a, b), (a - b).square().mean((-1, -2, -3)))
    mask = torch.zeros(2, 3, 4, 5)
    mask[..., 1, 2], mask[..., 3, 3] = 1, 0.5
    parts = (a - b).square().mean(-1)
    torch.testing.assert_close(image_loss(a, b, mask), (parts[..., 1, 2] + 0.5 * parts[..., 3, 3]) / 1.5)
    assert image_loss(a, b, torch.zeros_like(mask)).abs().max() == 0


def test_normal_loss():
    """0 along, 1 across, 2 against, whatever the length; a zero vector counts 1."""
    x, y = torch.tensor([2.0, 0, 0]), torch.tensor([0, 0.3, 0])
    ones = torch.ones(1, 1)
    for other, expected in ((x * 3, 0), (y, 1), (-x, 2), (torch.zeros(3), 1)):
        assert float(normal_loss(x.view(1, 1, 3), other.view(1, 1, 3), ones)) == pytest.approx(
            expected, abs=1e-6
        )


def test_part_loss_agrees_with_torch(generator):
    """Logits with class weights: torch's weighted cross-entropy per image."""
    rendered = torch.randn(3, 4, 5, 6, generator=generator)
    ids = torch.randint(0, 6, (3, 4, 5), generator=generator, dtype=torch.uint8)
    weights = torch.rand(6, generator=generator)
    expected = [
        torch.nn.functional.cross_entropy(one.flatten(0, 1), labels.flatten().long(), weights)
        for one, labels in zip(rendered, ids)
    ]
    torch.testing.assert_close(part_loss(rendered, ids, "logits", weights), torch.stack(expected))


def test_part_loss_floor_of_logits_and_of_probabilities():
    """Perfect maps: 0 on probabilities, log(1 + (K - 1)/e) when they are taken as logits."""
    ids = torch.tensor([[[0, 1], [2, 3]]])
    perfect = torch.nn.functional.one_hot(ids, 5).float()
    assert float(part_loss(perfect, ids)) == 0
    assert float(part_loss(perfect, ids, "logits")) == pytest.approx(math.log(1 + 4 / math.e))


def test_part_loss_of_rendered_parts_reaches_the_points(generator):
    """Through plane_features with a background channel; a mask leaves pixels out."""
    uv = torch.rand(2, 60, 2, generator=generator) * 8
    logits = torch.randn(2, 60, 3, generator=generator, requires_grad=True)
    parts = plane_features(uv, torch.ones(2, 60), logits.softmax(-1), 8, background="channel")[1]
    ids = torch.randint(0, 4, (2, 8, 8), generator=generator)
    loss = part_loss(parts, ids, mask=(ids > 0).float())
    assert loss.shape == (2,)
    loss.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().max() > 0
    assert part_loss(parts, ids, mask=torch.zeros(2, 8, 8)).abs().max() == 0


def test_inverse_frequency_weights():
    """A class of half the pixels weighs half as much; an absent one nothing; the mean is 1."""
    weights = inverse_frequency_weights(torch.tensor([[0, 0, 0, 0], [1, 1, 3, 3]]), 4)
    torch.testing.assert_close(weights, torch.tensor([0.6, 1.2, 0.0, 1.2]))
    with pytest.raises(InputError, match=r"0\.\.2"):
        inverse_frequency_weights(torch.tensor([3]), 3)


@settings(max_examples=20, deadline=None)
@given(
    lead=st.lists(st.integers(1, 3), max_size=2), height=st.integers(1, 9), width=st.integers(1, 9),
    reach=st.floats(1, 20),
)  # fmt: skip
def test_any_leading_shape_and_size(lead, height, width, reach):
    """Shapes hold; the distance to the nearest grows when coverage shrinks."""
    generator = torch.Generator().manual_seed(height * width)
    predicted, target = (random_masks(generator, (*lead, height, width)) for _ in range(2))
    forward, backward = affinity_paper(predicted, target, reach_px=reach)
    assert forward.shape == backward.shape == tuple(lead)
    less = affinity_paper(predicted * 0.5, target, reach_px=reach)
    assert bool((less[1] >= backward - 1e-9).all())
    assert bool((less[0] <= forward).all())


def test_bad_input_is_named():
    """What is wrong, and what was given."""
    mask = torch.zeros(2, 4, 4)
    with pytest.raises(InputError, match="masks"):
        affinity_paper(mask, mask[:1])
    with pytest.raises(InputError, match="reach_px"):
        expected_nearest_px(mask, 0.5)
    with pytest.raises(InputError, match="scale_views"):
        affinity_released(mask[0], mask[0], scale_views=True)
    with pytest.raises(InputError, match="images"):
        image_loss(torch.zeros(4, 4, 3), torch.zeros(4, 5, 3))
    with pytest.raises(InputError, match="mask"):
        image_loss(torch.zeros(4, 4, 3), torch.zeros(4, 4, 3), torch.zeros(4, 5))
    with pytest.raises(InputError, match=r"0\.\.2"):
        part_loss(torch.zeros(4, 4, 3), torch.full((4, 4), 3))
    with pytest.raises(InputError, match="class_weights"):
        part_loss(torch.zeros(4, 4, 3), torch.zeros(4, 4, dtype=torch.long), class_weights=torch.ones(2))
