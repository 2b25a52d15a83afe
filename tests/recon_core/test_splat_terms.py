# SPDX-License-Identifier: Apache-2.0
"""Options of our terms: density over the silhouette, and colours and parts as a field in space."""

import pytest
import torch

from recon_core.cameras import orbit, pinhole
from recon_core.methods.terms import SplatMask, Views
from recon_core.methods.terms.splat import part_weights
from recon_core.models.point_decoder import PointDecoder
from recon_core.pointcloud import Points


def some_views(shares: list[float], size: int = 16) -> Views:
    """Two views of each object; its masks cover these shares of the frame on average, one of them more."""
    masks = torch.stack(
        [torch.stack((torch.full((size, size), 1.5 * s), torch.full((size, size), 0.5 * s))) for s in shares]
    )
    cameras = pinhole(orbit(torch.arange(2.0 * len(shares)) * 40, torch.full((2 * len(shares),), 20.0)), size)
    return Views(cameras, masks)


def test_density_over_the_mask_is_that_share_of_the_frames(generator):
    """Each object by its own mean over views; an empty mask leaves a little."""
    views = some_views([0.1, 0.3])
    points = Points(torch.randn(2, 50, 3, generator=generator) * 0.2)
    over_mask = SplatMask(density=2.0, over="mask").render(points, views, 1.0)
    for index, share in enumerate((0.1, 0.3)):
        alone = SplatMask(density=2.0 * share).render(points, views, 1.0)
        assert torch.allclose(over_mask[index], alone[index], atol=1e-6)
    assert (SplatMask(over="mask").render(points, some_views([0.0, 0.0]), 1.0) > 0).any()


def test_only_an_even_spread_covers_a_silhouette_of_density_two():
    """Points spread evenly over a disc fit better than with a clump among them; more so, the lower the density."""
    grid = torch.linspace(-0.25, 0.25, 30)
    disc = torch.cartesian_prod(grid, grid)
    disc = disc[disc.norm(dim=1) < 0.25]
    cloud = torch.stack((disc[:, 0], torch.zeros(len(disc)), disc[:, 1]), 1)[None]
    camera = pinhole(orbit(torch.zeros(1), torch.zeros(1)), 64)
    dense = SplatMask(density=200.0).render(Points(cloud), Views(camera, torch.zeros(1, 1, 64, 64)), 1.0)
    views = Views(camera, (dense > 0.5).float())
    clump = cloud * torch.tensor([0.6, 1.0, 1.0])

    def ratio(density: float) -> float:
        term = SplatMask(density=density, over="mask", loss="l2")
        even, uneven = (
            float(term.evaluate(Points(xyz), views, 1.0))
            for xyz in (cloud, torch.cat((cloud, clump, clump), 1))
        )
        return uneven / even

    assert ratio(2.0) > ratio(20.0)


@pytest.mark.parametrize("attributes", ["field", "film"])
def test_a_field_gives_points_at_one_place_one_label(generator, attributes):
    """Whatever their index; it depends on the object, and does not move points."""
    decoder = PointDecoder(8, 6, ("xyz", "color", "parts"), 3, 16, attributes)
    with torch.no_grad():
        bias = decoder.heads["xyz"].bias.view(6, 3)
        bias[3:] = bias[:3]
        decoder.heads["xyz"].weight.zero_()
    features = torch.randn(2, 8, generator=generator, requires_grad=True)
    images = torch.rand(2, 4, 8, 8, generator=generator)
    points = decoder(features, images)
    assert points.part_logits.shape == (2, 6, 3)
    assert points.color.shape == (2, 6, 3)
    assert torch.allclose(points.part_logits[:, :3], points.part_logits[:, 3:])
    assert torch.allclose(points.color[:, :3], points.color[:, 3:])
    assert not torch.allclose(points.part_logits[0], points.part_logits[1])
    points.part_logits.square().sum().backward()
    assert decoder.heads["xyz"].bias.grad is None
    assert features.grad.abs().sum() > 0


def test_rare_parts_weigh_more_by_the_balance():
    """Twelve pixels of one part, three of another, one background: weights 1 : 4^balance, their mean 1."""
    index = torch.tensor([[0] * 12 + [2] * 3 + [0]])
    labelled = torch.tensor([[True] * 15 + [False]])
    for balance, ratio in ((0.5, 2.0), (1.0, 4.0)):
        found = part_weights(index, labelled, balance)
        torch.testing.assert_close(found[0, 12] / found[0, 0], torch.tensor(ratio))
        torch.testing.assert_close(found[labelled].mean(), torch.tensor(1.0))
    assert part_weights(index, labelled, 0.0) == 1.0
    nothing = part_weights(index, torch.zeros_like(labelled), 0.5)
    assert bool(nothing.isfinite().all())
