# SPDX-License-Identifier: Apache-2.0
"""Terms of CAPNet and DIFFER: what they compare, that sizes at 64 px hold at others, and where gradients go."""

import pytest
import torch

from recon_core.cameras import orbit, pinhole
from recon_core.losses.features import affinity_paper
from recon_core.methods.terms.base import Views
from recon_core.methods.terms.planes import PlaneColor, PlaneMask, PlaneParts
from recon_core.pointcloud import Points


def make_views(batch=2, count=3, size=32):
    """Views on an orbit, each with a filled disc as the object: red above, blue below; parts 1 and 2."""
    azimuth = torch.arange(batch * count) * 40.0
    cameras = pinhole(orbit(azimuth, torch.full_like(azimuth, 10.0)), size)
    centres = (torch.arange(size) + 0.5) / size - 0.5
    masks = ((centres[:, None].square() + centres.square()) < 0.2**2).float().expand(batch, count, size, size)
    upper = (centres < 0)[:, None].expand(size, size)
    red, blue = torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 0, 1])
    images = torch.where(upper[..., None], red, blue).expand(batch, count, size, size, 3)
    parts = (torch.where(upper, 1, 2) * masks).to(torch.uint8)
    return Views(cameras, masks, images, parts)


def make_points(generator, batch=2, count=1500, radius=0.21):
    """A solid ball, coloured and labelled as the views (up is +Z), with gradients."""
    direction = torch.nn.functional.normalize(torch.randn(batch, count, 3, generator=generator), dim=-1)
    xyz = direction * radius * torch.rand(batch, count, 1, generator=generator) ** (1 / 3)
    up = (xyz[..., 2:] > 0).float()
    color = torch.cat((up, torch.zeros_like(up), 1 - up), -1)
    logits = 8 * torch.cat((up, 1 - up), -1)
    return Points(xyz.requires_grad_(), None, color.requires_grad_(), logits.requires_grad_())


TERMS = [
    PlaneMask(affinity="paper"),
    PlaneMask(loss="bce_capnet", affinity="released", scale_views=True, mode="released"),
    PlaneColor(),
    PlaneColor(compare="object", mode="released"),
    PlaneParts(),
    PlaneParts(loss="logits", class_weights=(0.1, 1.0, 2.0), mode="released"),
    PlaneParts(compare="object", hard=True),
]


@pytest.mark.parametrize("term", TERMS, ids=lambda term: f"{term.kind}-{term.mode}")
def test_a_fitting_cloud_costs_less_than_a_wrong_one(generator, term):
    """Upside down for colours and parts, half as large for masks; finite gradients either way."""
    views, points = make_views(), make_points(generator)
    right = term.evaluate(points, views, 0.5)
    turned = points.map(lambda values: values)
    if term.kind == "plane_mask":
        wrong = Points(points.xyz * 0.5, None, points.color, points.part_logits)
    else:
        wrong = Points(turned.xyz * torch.tensor([1.0, 1.0, -1.0]), None, points.color, points.part_logits)
    worse = term.evaluate(wrong, views, 0.5)
    assert right.shape == worse.shape == (2, 3)
    assert bool((worse > 1.2 * right).all())
    inputs = [points.xyz, points.color, points.part_logits]
    grads = torch.autograd.grad((right + worse).sum(), inputs, allow_unused=True)
    reached = [grad is not None and bool(grad.abs().max() > 0) for grad in grads]
    assert reached[1:] == [term.kind == "plane_color", term.kind == "plane_parts"]
    assert reached[0] is not getattr(term, "hard", False)
    assert all(torch.isfinite(grad).all() for grad in grads if grad is not None)


def test_a_mask_keeps_its_coverage_at_other_sizes_and_counts(generator):
    """sigma_sq_px is given at 64 px; reference_points makes coverage the same for any number of points."""
    few, many = (make_points(generator, 1, count) for count in (4000, 16000))
    inside = {}
    for name, points, size in (("few", few, 64), ("many", many, 64), ("large", many, 128)):
        term = PlaneMask(sigma_sq_px=(2.0, 2.0), reference_points=30)
        mask = term.render(points, make_views(1, 1, size), 0.0)[0, 0]
        inside[name] = float(
            mask.detach()[size * 3 // 8 : size * 5 // 8, size * 3 // 8 : size * 5 // 8].mean()
        )
    assert 0.3 < inside["few"] < 0.97
    assert max(inside.values()) - min(inside.values()) < 0.01


def test_affinity_is_in_pixels_at_64(generator):
    """Twice the image has twice the pixels of distance: the term counts them half."""
    points = make_points(generator, 1, 6000)
    term = PlaneMask(sigma_sq_px=(0.5, 0.5), reference_points=1024)
    losses = {}
    for size in (64, 128):
        views = make_views(1, 1, size)
        views.masks = views.masks.roll(size // 8, -1)
        mask = term.render(points, views, 0.0)
        with_affinity = term.model_copy(update={"affinity": "paper", "affinity_weights": (1.0, 0.5)})
        losses[size] = with_affinity.evaluate(points, views, 0.0) - term.evaluate(points, views, 0.0)
        pixel = size / 64
        forward, backward = affinity_paper(mask, views.masks, reach_px=16 * pixel)
        torch.testing.assert_close(losses[size], (forward + 0.5 * backward) / pixel)
    torch.testing.assert_close(losses[64], losses[128], rtol=0.1, atol=0)


def test_opacity_weighs_points_of_a_mask(generator):
    """Opacity 0: no mask, and a gradient that asks for more."""
    points = make_points(generator)
    opacity = torch.zeros(2, 1500, requires_grad=True)
    clear = Points(points.xyz, opacity, points.color, points.part_logits)
    views, term = make_views(), PlaneMask(loss="l2")
    assert term.render(clear, views, 0.0).abs().max() == 0
    term.evaluate(clear, views, 0.0).sum().backward()
    assert float(opacity.grad.mean()) < 0


def test_attributes_leave_places_alone_if_told(generator):
    """move_points: false; fewer views and a smaller size are looked at."""
    points, views = make_points(generator), make_views(size=64)
    loss = PlaneColor(move_points=False, views=2, size=32).evaluate(points, views, 0.0)
    assert loss.shape == (2, 2)
    grads = torch.autograd.grad(loss.sum(), (points.xyz, points.color), allow_unused=True)
    assert grads[0] is None
    assert grads[1].abs().max() > 0


def test_color_counts_the_background_unless_only_the_object_is_compared(generator):
    """Points beside the object: an error of the whole image alone."""
    points, views = make_points(generator), make_views()
    above = torch.tensor([0.0, 0.0, 0.4]) + torch.randn(2, 50, 3, generator=generator) * 0.02
    xyz = torch.cat((points.xyz, above), 1)
    more = Points(xyz, None, torch.cat((points.color, torch.ones(2, 50, 3)), 1), None)
    for compare in ("image", "object"):
        term = PlaneColor(compare=compare)
        added = term.evaluate(more, views, 0.0) - term.evaluate(points, views, 0.0)
        assert bool((added.abs() < 1e-6).all() if compare == "object" else (added > 1e-3).all())
