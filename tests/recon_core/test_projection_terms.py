# SPDX-License-Identifier: Apache-2.0
"""The terms drwr and match2d of a recipe: their presets, their shapes, and that they teach points the silhouettes."""

import pytest
import torch
from box_chair import cameras_around, silhouettes, surface_points
from pydantic import ValidationError

from recon_core.losses.match2d import mask_samples, match2d
from recon_core.losses.projection import PAPER, STABLE, drwr_pair, drwr_unary
from recon_core.methods.terms.base import Views
from recon_core.methods.terms.projection import Drwr, Match2d
from recon_core.pointcloud import Points


def chair_views(objects: int = 2, views: int = 3, size: int = 32) -> Views:
    """The same chair, seen by other cameras for each object."""
    cameras = cameras_around(objects * views, size)
    return Views(cameras, silhouettes(cameras).view(objects, views, size, size))


def test_constants_are_the_presets_unless_given():
    """Each field replaces one constant."""
    assert Drwr().constants == STABLE
    assert Drwr(preset="paper").constants == PAPER
    mixed = Drwr(preset="paper", coefficient=2.0, stop_grad="ring", ring=0).constants
    assert (mixed.coefficient, mixed.stop_grad, mixed.ring, mixed.threshold) == (2.0, "ring", 0, 0.6)


@pytest.mark.parametrize("fields", [{"preset": "best"}, {"tau": 0}, {"pair_weight": (-1, 1)}, {"tua": 1}])
def test_bad_fields_are_refused(fields):
    """Unknown names and values that make no sense."""
    with pytest.raises(ValidationError):
        Drwr(**fields)


def test_terms_are_the_losses_by_object_and_view(generator):
    """Every object is compared with its own views, the repulsion weighted by the run's progress."""
    views = chair_views()
    xyz = surface_points(300, generator) + 0.05 * torch.randn(2, 300, 3, generator=generator)
    drwr = Drwr(unary_weight=2.0, pair_weight=(1.0, 0.0)).evaluate(Points(xyz), views, 0.25)
    matched = Match2d(samples=100, seed=3).evaluate(Points(xyz), views, 0.0)
    assert drwr.shape == matched.shape == (2, 3)
    for b in range(2):
        own = views.cameras[3 * b : 3 * b + 3]
        uv, depth = own.project(xyz[b].expand(3, -1, 3))
        masks = views.masks[b]
        expected = 2 * drwr_unary(uv, depth, masks) + 0.75 * drwr_pair(uv, depth, masks)
        torch.testing.assert_close(drwr[b], expected)
        torch.testing.assert_close(matched[b], match2d(uv, depth, mask_samples(masks, 100, seed=3), 32))
    only_unary = Drwr(pair_weight=(1.0, 0.0)).evaluate(Points(xyz), views, 1.0)
    assert (only_unary < Drwr().evaluate(Points(xyz), views, 1.0)).all()


@pytest.mark.parametrize("term", [Drwr(pair_weight=(10, 1)), Match2d(samples=300)])
def test_points_learn_the_silhouettes(term, generator):
    """A small ball beside the chair, eight views: after 60 steps nearly all points are inside, spread over it."""
    views = chair_views(1, 8)
    xyz = 0.06 * torch.randn(1, 400, 3, generator=generator) + torch.tensor([0.2, -0.3, 0.2])
    xyz.requires_grad_()
    optimiser = torch.optim.Adam([xyz], lr=0.01)
    before = uncovered(xyz, views)
    for step in range(100):
        optimiser.zero_grad()
        term.evaluate(Points(xyz), views, step / 100).mean().backward()
        optimiser.step()
    after = uncovered(xyz, views)
    assert before[0] > 0.5
    assert after[0] < 0.1
    assert after[1] < 0.2 * before[1]


def uncovered(xyz: torch.Tensor, views: Views) -> tuple[float, float]:
    """Share of projections outside the silhouettes; mean squared distance from silhouette to nearest projection."""
    uv, depth = views.cameras.project(xyz.detach().expand(8, -1, 3))
    pixel = uv.long().clamp(0, 31)
    inside = views.masks[0][torch.arange(8)[:, None], pixel[..., 1], pixel[..., 0]]
    samples = mask_samples(views.masks[0], 300, seed=9)
    far = torch.cdist(samples, uv).amin(-1).square().mean()
    assert (depth > 0).all()
    return 1 - float(inside.mean()), float(far)
