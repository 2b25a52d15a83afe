# SPDX-License-Identifier: Apache-2.0
"""Points that repel one another: by hand, against loops, gradients, and where charges go."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from recon_core.cameras import orbit, pinhole, random_rotations
from recon_core.errors import InputError
from recon_core.losses.spread import repulsion_energy
from recon_core.methods.terms import Spread, Views
from recon_core.methods.terms.base import Scene
from recon_core.pointcloud import Points


def test_two_and_three_points_by_hand():
    """1 / distance, softened; the mean over three pairs."""
    pair = torch.tensor([[[0.0, 0, 0], [0.3, 0, 0.4]]], dtype=torch.float64)
    assert repulsion_energy(pair, 0.1).item() == pytest.approx(1 / math.sqrt(0.25 + 0.01))
    three = torch.cat((pair, torch.tensor([[[0.0, 0, 0]]], dtype=torch.float64)), 1)
    expected = (2 / math.sqrt(0.26) + 1 / 0.1) / 3
    assert repulsion_energy(three, 0.1).item() == pytest.approx(expected)


def test_energy_agrees_with_a_loop_over_pairs(generator):
    """Every pair once, each object by itself."""
    xyz = torch.randn(2, 7, 3, generator=generator, dtype=torch.float64)
    for cloud, energy in zip(xyz, repulsion_energy(xyz, 0.05)):
        pairs = [
            1 / math.sqrt(float((cloud[i] - cloud[j]).square().sum()) + 0.05**2)
            for i in range(7)
            for j in range(i)
        ]
        assert energy.item() == pytest.approx(sum(pairs) / len(pairs))


def test_gradcheck(generator):
    """Also where points coincide."""
    xyz = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    xyz[0, 1] = xyz[0, 0]
    assert gradcheck(lambda points: repulsion_energy(points, 0.2), xyz.requires_grad_())


def test_turning_and_moving_changes_nothing(generator):
    """Nor does the order of points; twice the size has half the energy."""
    xyz = torch.randn(1, 9, 3, generator=generator, dtype=torch.float64)
    energy = repulsion_energy(xyz, 0.1)
    turned = xyz @ random_rotations(1, generator)[0].double().T + 3
    assert torch.allclose(repulsion_energy(turned, 0.1), energy)
    assert torch.allclose(repulsion_energy(xyz.flip(1), 0.1), energy)
    assert torch.allclose(repulsion_energy(2 * xyz, 0.2), energy / 2)


def test_charges_in_a_ball_go_to_its_surface(generator):
    """Descent within a ball ends with nearly all points on the sphere, no two at one place."""
    xyz = (torch.randn(1, 60, 3, generator=generator) * 0.1).requires_grad_()
    optimizer = torch.optim.Adam([xyz], lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        repulsion_energy(xyz).sum().backward()
        optimizer.step()
        with torch.no_grad():
            xyz.div_((xyz.norm(dim=-1, keepdim=True) / 0.5).clamp(min=1))
    radius = xyz.detach().norm(dim=-1)
    assert (radius > 0.49).float().mean() > 0.95
    nearest = torch.cdist(xyz.detach()[0], xyz.detach()[0]).fill_diagonal_(9).amin(1)
    assert nearest.min() > 0.6 * nearest.median()


def test_the_term_draws_a_part_of_the_points(generator):
    """The same draw for the same generator; on average the energy of all points; a schedule over the run."""
    xyz = torch.randn(2, 40, 3, generator=generator)
    cameras = pinhole(orbit(torch.zeros(6), torch.zeros(6)), 8)
    views = Views(cameras, torch.zeros(2, 3, 8, 8))
    term = Spread(sample=20, strength=(2.0, 1.0))

    def energy(seed: int, progress: float = 1.0) -> torch.Tensor:
        draws = torch.Generator().manual_seed(seed)
        scene = Scene(None, None, views.masks, Points(xyz), views, progress, generator=draws)
        return term.evaluate_scene(scene)

    assert energy(0).shape == (2, 3)
    assert torch.equal(energy(0), energy(0))
    assert torch.allclose(energy(0, 0.0), 2 * energy(0))
    mean = torch.stack([energy(seed) for seed in range(300)]).mean(0)[:, 0]
    assert torch.allclose(mean, repulsion_energy(xyz), rtol=0.05)


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 4, 2), (4, 3)])
def test_wrong_shapes_are_named(shape):
    """What was expected, and what came."""
    with pytest.raises(InputError, match="Expected points"):
        repulsion_energy(torch.zeros(shape))
