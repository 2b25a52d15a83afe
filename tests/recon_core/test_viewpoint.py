# SPDX-License-Identifier: Apache-2.0
"""Viewpoints learnt from known cameras: distances up to symmetry, and which hypothesis learns."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_core.cameras import (
    facing_rotation,
    look_at,
    orbit,
    random_rotations,
    rotation_about_z,
    rotation_angle_deg,
)
from recon_core.evaluation.metrics import pose_error_deg
from recon_core.losses.viewpoint import symmetric_distance, viewpoint_loss
from recon_core.models.viewpoint import ViewpointConfig, ViewpointHeads, best_rotation


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, 3, 4, 7]))
def test_distance_is_that_of_the_nearest_equal_view(seed, order):
    """The closed form against evaluation's search over all turns, for random pairs."""
    generator = torch.Generator().manual_seed(seed)
    predicted, truth = random_rotations(3, generator), random_rotations(1, generator)
    found = symmetric_distance(predicted[None], truth[None], torch.tensor([order]))[0]
    error_deg = pose_error_deg(predicted, truth.expand(3, 3, 3), order)
    torch.testing.assert_close(found, (torch.deg2rad(error_deg) / 2).sin().square(), atol=1e-9, rtol=0)
    if order == 1:
        torch.testing.assert_close(found, symmetric_distance(predicted[None], truth[None])[0])


def test_distance_ignores_turns_of_the_object(generator):
    """A four-fold object turned by a quarter, a round one by anything: distance 0; others: what was turned."""
    truth = random_rotations(3, generator)[:, None]
    turned = truth @ rotation_about_z(torch.tensor(math.pi / 2, dtype=torch.float64))
    found = symmetric_distance(turned, truth, torch.tensor([1, 4, 0]))[:, 0]
    torch.testing.assert_close(found, found.new_tensor([0.5, 0, 0]), atol=1e-9, rtol=0)


def test_loss_follows_the_formula(generator):
    """Winner and the others' share, counted hypothesis by hypothesis."""
    hypotheses = random_rotations(12, generator).view(3, 4, 3, 3)
    truth, scores = random_rotations(3, generator), torch.randn(3, 4, generator=generator).double()
    rotations, scored = viewpoint_loss(hypotheses, scores, truth, others=0.2)
    for b in range(3):
        angles = [float(rotation_angle_deg(hypotheses[b, k], truth[b])) for k in range(4)]
        apart = [math.sin(math.radians(angle) / 2) ** 2 for angle in angles]
        winner = apart.index(min(apart))
        lost = sum(apart) - apart[winner]
        assert float(rotations[b]) == pytest.approx(0.8 * apart[winner] + 0.2 / 3 * lost, abs=1e-9)
        expected = -math.log(math.exp(scores[b, winner]) / sum(math.exp(s) for s in scores[b]))
        assert float(scored[b]) == pytest.approx(expected, abs=1e-9)


def test_scores_are_shared_by_hypotheses_that_are_about_as_near(generator):
    """Targets exp(-d / temperature), normalised, counted one by one; the rotations' term stays."""
    hypotheses = random_rotations(12, generator).view(3, 4, 3, 3)
    truth, scores = random_rotations(3, generator), torch.randn(3, 4, generator=generator).double()
    rotations, scored = viewpoint_loss(hypotheses, scores, truth, temperature=0.3)
    torch.testing.assert_close(rotations, viewpoint_loss(hypotheses, scores, truth)[0])
    apart = symmetric_distance(hypotheses, truth[:, None])
    for b in range(3):
        share = [math.exp(-float(apart[b, k]) / 0.3) for k in range(4)]
        log_total = math.log(sum(math.exp(s) for s in scores[b]))
        expected = sum(share[k] / sum(share) * (log_total - float(scores[b, k])) for k in range(4))
        assert float(scored[b]) == pytest.approx(expected, abs=1e-9)
    nearest = viewpoint_loss(hypotheses, scores, truth, temperature=1e-6)[1]
    torch.testing.assert_close(nearest, viewpoint_loss(hypotheses, scores, truth)[1])


@pytest.mark.parametrize("order", [None, 0, 1, 4])
def test_gradients(order, generator):
    """Against finite differences, with symmetry too, for matrices that need be no rotations."""
    truth = random_rotations(2, generator)
    orders = None if order is None else torch.full((2,), order)
    inputs = (
        random_rotations(6, generator).view(2, 3, 3, 3).requires_grad_(),
        torch.randn(2, 3, generator=generator).double().requires_grad_(),
    )
    assert torch.autograd.gradcheck(
        lambda hypotheses, scores: viewpoint_loss(hypotheses, scores, truth, orders, 0.1), inputs
    )


def test_only_the_winner_learns_without_a_share(generator):
    """Gradients of the other hypotheses are 0 with others = 0 and not with more; one hypothesis alone has no scores."""
    hypotheses = random_rotations(4, generator)[None].requires_grad_()
    for others in (0.0, 0.1):
        rotations, scored = viewpoint_loss(
            hypotheses, torch.zeros(1, 4).double(), random_rotations(1, generator), None, others
        )
        (gradient,) = torch.autograd.grad(rotations.sum(), hypotheses)
        assert int(gradient.flatten(2).any(2).sum()) == (4 if others else 1)
        assert float(scored) == pytest.approx(math.log(4))
    rotations, scored = viewpoint_loss(
        hypotheses[:, :1], torch.zeros(1, 1).double(), random_rotations(1, generator)
    )
    assert float(scored) == 0


def test_facing_cameras_keep_their_rotation_and_others_look_at_the_origin(generator):
    """On the axis nothing changes; off it, the origin lies on the axis of the turned camera, turned the least."""
    facing = orbit(torch.tensor([0.0, 77, 200]), torch.tensor([0.0, -20, 60])).double()
    torch.testing.assert_close(facing_rotation(facing), facing[:, :3, :3], atol=1e-6, rtol=0)
    eye = torch.randn(20, 3, generator=generator).double() * 0.3 + torch.tensor([0.0, -3, 1]).double()
    target = torch.randn(20, 3, generator=generator).double() * 0.5
    away = look_at(eye, target)
    turned = facing_rotation(away)
    torch.testing.assert_close(turned @ turned.mT, torch.eye(3).double().expand(20, 3, 3))
    seen = (turned @ -eye[..., None])[..., 0]  # the origin from the eye, in the turned camera's frame
    torch.testing.assert_close(seen[:, :2], torch.zeros(20, 2).double(), atol=1e-9, rtol=0)
    assert bool((seen[:, 2] < 0).all())
    own = torch.nn.functional.normalize(away[:, :3, 3], dim=-1)
    off_axis_deg = torch.rad2deg(torch.arccos(-own[:, 2]))
    torch.testing.assert_close(rotation_angle_deg(turned, away[:, :3, :3]), off_axis_deg, atol=1e-4, rtol=0)


@pytest.mark.parametrize("rotation", ["6d", "upright"])
def test_heads_give_rotations_and_scores(rotation, generator):
    """Shapes, orthonormal hypotheses, the best by score; they start in a ring around the object."""
    heads = ViewpointHeads(16, ViewpointConfig(hypotheses=5, rotation=rotation))
    hypotheses, scores = heads(torch.randn(3, 20, generator=generator))
    assert hypotheses.shape == (3, 5, 3, 3)
    assert scores.shape == (3, 5)
    torch.testing.assert_close(hypotheses @ hypotheses.mT, torch.eye(3).expand(3, 5, 3, 3), atol=1e-5, rtol=0)
    best = best_rotation(hypotheses, scores)
    for b in range(3):
        torch.testing.assert_close(best[b], hypotheses[b, int(scores[b].argmax())])
    start = orbit(torch.arange(5) * 72.0, torch.full((5,), 10.0))[:, :3, :3]
    torch.nn.init.zeros_(heads.out.weight)
    torch.testing.assert_close(heads(torch.randn(1, 16))[0][0], start, atol=1e-5, rtol=0)
