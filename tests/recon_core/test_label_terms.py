# SPDX-License-Identifier: Apache-2.0
"""Part labels read off the images at seen points, against loops; what gets a gradient and what does not."""

import math

import pytest
import torch

from recon_core.cameras import orbit, pinhole
from recon_core.methods.terms import PointParts, Views
from recon_core.methods.terms.labels import in_front, labels_at
from recon_core.pointcloud import Points


def test_labels_are_those_of_the_pixels_that_hold_the_points(generator, device):
    parts = torch.randint(0, 5, (2, 6, 9), generator=generator).to(device)
    uv_px = ((torch.rand(2, 40, 2, generator=generator) * 1.4 - 0.2) * torch.tensor([9.0, 6.0])).to(device)
    found = labels_at(uv_px, parts)
    for m in range(2):
        for n in range(40):
            u, v = (math.floor(x) for x in uv_px[m, n].tolist())
            inside = 0 <= u < 9 and 0 <= v < 6
            assert found[m, n] == (parts[m, v, u] if inside else 0)


def test_a_point_is_in_front_unless_its_cell_has_a_nearer_one(generator, device):
    uv_px = (torch.rand(2, 60, 2, generator=generator) * 32).to(device)
    depth = (1 + torch.rand(2, 60, generator=generator)).to(device)
    depth[0, :5] = -1.0  # behind the camera: neither seen nor hiding anything
    found = in_front(uv_px, depth, (32, 32), 4, 0.1)
    cell = (uv_px // 8).tolist()
    for m in range(2):
        for n in range(60):
            rivals = [float(depth[m, k]) for k in range(60) if cell[m][k] == cell[m][n] and depth[m, k] > 0]
            expected = float(depth[m, n]) > 0 and float(depth[m, n]) <= min(rivals) + 0.1
            assert bool(found[m, n]) == expected


def scene(points_xyz: list[list[float]], label: int, parts: int = 3) -> tuple[Points, Views]:
    """Points seen from the front, in a picture that is all one label; their logits are 0."""
    xyz = torch.tensor([points_xyz], requires_grad=True)
    logits = torch.zeros(1, len(points_xyz), parts, requires_grad=True)
    camera = pinhole(orbit(torch.zeros(1), torch.zeros(1)), 16)
    views = Views(camera, torch.ones(1, 1, 16, 16), parts=torch.full((1, 1, 16, 16), label))
    return Points(xyz, part_logits=logits), views


def test_the_point_in_front_learns_and_the_one_behind_does_not():
    """Front is -Y. Even logits cost the logarithm of the number of parts; places do not move."""
    points, views = scene([[0.0, -0.2, 0.0], [0.0, 0.2, 0.0]], label=2)
    loss = PointParts().evaluate(points, views, 0.0)
    assert loss.shape == (1, 1)
    assert loss.item() == pytest.approx(math.log(3), rel=1e-5)
    loss.sum().backward()
    assert points.xyz.grad is None
    assert points.part_logits.grad[0, 0].tolist() == pytest.approx([1 / 3, -2 / 3, 1 / 3], rel=1e-4)
    assert not points.part_logits.grad[0, 1].any()


def test_background_and_unseen_points_cost_nothing():
    points, views = scene([[0.0, 0.0, 0.0]], label=0)
    assert PointParts().evaluate(points, views, 0.0).item() == 0
    points, views = scene([[5.0, 0.0, 0.0]], label=1)
    assert PointParts().evaluate(points, views, 0.0).item() == 0


def test_balance_weighs_parts_alike():
    """Three points on one part and one on another: by points 3 to 1, balanced 1 to 1."""
    xyz = [[-0.3, 0.0, 0.0], [-0.2, 0.0, 0.2], [-0.2, 0.0, -0.2], [0.2, 0.0, 0.0]]
    points, views = scene(xyz, label=1)
    views.parts[..., 8:] = 2
    logits = torch.zeros(1, 4, 2)
    logits[..., 1] = 1.0  # wrong at the three, right at the one
    points = Points(points.xyz, part_logits=logits)
    wrong, right = math.log(1 + math.e), math.log(1 + 1 / math.e)
    plain = PointParts(balance=0).evaluate(points, views, 0.0).item()
    balanced = PointParts(balance=1).evaluate(points, views, 0.0).item()
    assert plain == pytest.approx((3 * wrong + right) / 4, rel=1e-5)
    assert balanced == pytest.approx((wrong + right) / 2, rel=1e-5)


def test_few_views_may_be_looked_at():
    points, views = scene([[0.0, 0.0, 0.0]], label=1)
    cameras = pinhole(orbit(torch.zeros(3), torch.zeros(3)), 16)
    many = Views(cameras, views.masks.expand(1, 3, 16, 16), parts=views.parts.expand(1, 3, 16, 16))
    assert PointParts(views=2).evaluate(points, many, 0.0).shape == (1, 2)
