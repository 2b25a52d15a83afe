# SPDX-License-Identifier: Apache-2.0
"""The plane of symmetry is found from predicted poses alone, and a second look makes them better."""

import torch

from recon_core.cameras import quaternion_to_matrix, random_rotations, rotation_angle_deg
from recon_core.geometry.mirror import between_opinions, camera_flip, find_mirror, mirrored_back


def reflection(azimuth_deg: float) -> torch.Tensor:
    """The reflection in an upright plane."""
    angle = torch.deg2rad(torch.tensor(azimuth_deg, dtype=torch.float64))
    normal = torch.stack((angle.cos(), angle.sin(), torch.zeros_like(angle)))
    return torch.eye(3, dtype=torch.float64) - 2 * torch.outer(normal, normal)


def noise(count: int, degrees: float, generator: torch.Generator) -> torch.Tensor:
    """Small random turns."""
    axis = (
        torch.randn(count, 3, generator=generator, dtype=torch.float64)
        * torch.deg2rad(torch.tensor(degrees))
        / 2
    )
    return quaternion_to_matrix(torch.cat((torch.ones(count, 1, dtype=torch.float64), axis), 1))


def test_mirror_is_found_despite_noise_and_outliers(generator):
    """A quarter of the poses are wrong by any angle, the others by a few degrees."""
    truth, plane = random_rotations(200, generator), reflection(25.0)
    first = noise(200, 6, generator) @ truth
    flipped = noise(200, 6, generator) @ camera_flip(truth) @ truth @ plane
    first[:50] = random_rotations(50, generator)
    found = find_mirror(first, flipped)
    torch.testing.assert_close(found, plane, atol=0.05, rtol=0)
    torch.testing.assert_close(found @ found.T, torch.eye(3).double(), atol=1e-9, rtol=0)


def test_second_opinion_halves_the_variance_and_keeps_the_first_when_they_oppose(generator):
    """Two independent errors average; opinions half a turn apart do not."""
    truth, plane = random_rotations(300, generator), reflection(-60.0)
    first = noise(300, 10, generator) @ truth
    flipped = noise(300, 10, generator) @ camera_flip(truth) @ truth @ plane
    both = between_opinions(first, mirrored_back(flipped, plane))
    alone, together = rotation_angle_deg(first, truth), rotation_angle_deg(both, truth)
    assert float(together.mean()) < 0.8 * float(alone.mean())
    half_turn = torch.diag(torch.tensor([-1.0, -1.0, 1.0])).double()
    opposed = camera_flip(truth) @ (truth @ half_turn) @ plane
    torch.testing.assert_close(between_opinions(truth, mirrored_back(opposed, plane)), truth)
    torch.testing.assert_close(between_opinions(truth, mirrored_back(camera_flip(truth) @ truth @ plane, plane)), truth)
