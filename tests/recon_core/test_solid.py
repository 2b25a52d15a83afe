# SPDX-License-Identifier: Apache-2.0
"""Transparent points are replaced by solid ones between solid ones."""

import pytest
import torch

from recon_core.errors import InputError
from recon_core.geometry.solid import solid_points
from recon_core.pointcloud import Points


def test_faint_points_move_between_solid_neighbours():
    """By hand: two solid pairs, one faint point far off; everything else follows its new place."""
    xyz = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [9, 9, 9], [0, 5, 0], [0, 6, 0]]])
    opacity = torch.tensor([[0.9, 0.8, 0.01, 0.7, 0.6]])
    color = torch.eye(5)[:, :3][None]
    solid = solid_points(Points(xyz, opacity, color, color))
    torch.testing.assert_close(solid.xyz[0, 2], torch.tensor([0.5, 0.0, 0.0]))
    torch.testing.assert_close(solid.color[0, 2], color[0, 0])
    assert float(solid.opacity[0, 2]) == pytest.approx(0.9)
    keep = [0, 1, 3, 4]
    torch.testing.assert_close(solid.xyz[0, keep], xyz[0, keep])


def test_size_and_solidity(generator):
    """The count stays; nothing faint is left; the solid ones have not moved."""
    points = Points(torch.randn(3, 200, 3, generator=generator), torch.rand(3, 200, generator=generator))
    solid = solid_points(points, 0.4)
    assert solid.xyz.shape == (3, 200, 3)
    assert bool((solid.opacity >= 0.4).all())
    kept = points.opacity >= 0.4
    torch.testing.assert_close(solid.xyz[kept], points.xyz[kept])


def test_nothing_to_do():
    """All faint, one solid point, no opacity: unchanged."""
    xyz = torch.rand(1, 4, 3)
    assert solid_points(Points(xyz)).xyz is xyz
    for opacity in (torch.zeros(1, 4), torch.tensor([[1.0, 0, 0, 0]]), torch.ones(1, 4)):
        torch.testing.assert_close(solid_points(Points(xyz, opacity)).xyz, xyz)
    with pytest.raises(InputError, match="between 0 and 1"):
        solid_points(Points(xyz, torch.ones(1, 4)), 2.0)
