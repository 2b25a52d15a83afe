# SPDX-License-Identifier: Apache-2.0
"""Cycle, neighbour and symmetry terms on stand-in networks whose answers are known."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from tiny_dataset import make_tiny_dataset

from recon_core.cameras import orbit, pinhole
from recon_core.losses.silhouette import silhouette_loss
from recon_core.methods.recipe import load_recipe
from recon_core.methods.terms import Scene, Views
from recon_core.methods.terms.consistency import Cycle, NeighbourMask, Symmetry
from recon_core.pointcloud import Points
from recon_core.training.neighbours import find_neighbours
from recon_core.training.viewsets import open_training_data

SIZE = 32


@dataclass
class StandIn:
    """A network that always sees the same shape, moved by the images' mean, and the given poses."""

    xyz: torch.Tensor
    rotation: torch.Tensor
    follows: float = 0.0

    def shape_of(self, images: torch.Tensor) -> Points:
        """The shape, one per image; moved by the image's mean where it follows that."""
        self.seen = images
        moved = self.follows * images[:, 0].mean((-1, -2))
        return Points(self.xyz.repeat_interleave(len(images) // len(self.xyz), 0) + moved[:, None, None])

    def pose_of(self, images: torch.Tensor) -> torch.Tensor:
        """The given poses, as many as asked for."""
        return self.rotation[: len(images)]


def scene(xyz: torch.Tensor, network: StandIn, color: torch.Tensor | None = None, neighbours=None) -> Scene:
    """Two objects with one view each from the front, random numbers from seed 0."""
    cameras = pinhole(orbit(torch.zeros(2), torch.zeros(2)), SIZE)
    views = Views(cameras, torch.zeros(2, 1, SIZE, SIZE))
    recipe = load_recipe("ssl_cc")
    points = Points(xyz, color=color)
    generator = torch.Generator().manual_seed(0)
    return Scene(network, recipe, torch.zeros(2, 1, 4, 64, 64), points, views, 0.0, neighbours, generator)


def drawn_poses(renders: int) -> torch.Tensor:
    """The random poses (2*renders,3,3), object by object, that a term draws from seed 0."""
    generator, found = torch.Generator().manual_seed(0), []
    for _ in range(renders):
        azimuth, elevation = torch.rand(2, 2, generator=generator)
        found.append(orbit(azimuth * 360 - 180, -20 + elevation * 60)[:, :3, :3])
    return torch.stack(found, 1).flatten(0, 1)


def test_a_network_that_agrees_with_itself_pays_nothing(generator):
    """The same cloud and the very poses that were drawn: 0; a cloud moved by d: 2 d^2; a pose 0.1 rad off: its mean."""
    xyz = torch.rand(2, 50, 3, generator=generator) - 0.5
    truth = drawn_poses(2)
    network = StandIn(xyz, truth)
    loss = Cycle(projections=3).evaluate_scene(scene(xyz, network))
    torch.testing.assert_close(loss, torch.zeros(2, 1), atol=1e-5, rtol=0)
    shifted = StandIn(xyz + torch.tensor([0.0, 0.0, 1e-3]), truth)
    loss = Cycle(projections=3, pose=0).evaluate_scene(scene(xyz, shifted))
    torch.testing.assert_close(loss, torch.full((2, 1), 2e-6), rtol=0.05, atol=0)
    turned = orbit(torch.tensor([50.0, 60.0, 70.0, 80.0]), torch.zeros(4))[:, :3, :3]
    other = Cycle(projections=3, geometric=0).evaluate_scene(scene(xyz, StandIn(xyz, turned)))
    assert bool((other > 0.1).all())


def test_renders_are_framed_inputs_of_the_points(generator):
    """What the network is shown: the crop's size, grey background, colours under the mask, the mask last."""
    xyz = torch.rand(2, 3000, 3, generator=generator) - 0.5
    network = StandIn(xyz, drawn_poses(1))
    red = torch.tensor([0.9, 0.1, 0.1]).expand(2, 3000, 3)
    Cycle(projections=2, pose=0).evaluate_scene(scene(xyz, network, red))
    assert network.seen.shape == (4, 4, 64, 64)
    mask = network.seen[:, 3]
    assert float(mask[:, 32, 32].min()) > 0.9
    torch.testing.assert_close(network.seen[:, :3, 32, 32], torch.tensor([[0.9, 0.1, 0.1]]).expand(4, 3))
    torch.testing.assert_close(network.seen[:, :3, 0, 0], torch.full((4, 3), 0.5))
    covered = mask.amax(1) > 0.5
    assert 50 <= int(covered[0].sum()) <= 60  # 64 / 1.15, on the longer side


@pytest.mark.parametrize("through", [True, False])
def test_gradients_go_through_the_images_if_they_may(generator, through):
    """A network that follows its image: colours are the only way for the image to change."""
    xyz = torch.rand(2, 200, 3, generator=generator) - 0.5
    color = torch.rand(2, 200, 3, generator=generator).requires_grad_()
    network = StandIn(xyz, drawn_poses(1), follows=0.1)
    term = Cycle(projections=2, pose=0, through_images=through)
    loss = term.evaluate_scene(scene(xyz.requires_grad_(), network, color)).sum()
    (grad,) = torch.autograd.grad(loss, color, allow_unused=True, retain_graph=True)
    assert (grad is not None and bool(grad.any())) == through


def test_a_neighbours_mask_is_compared_at_its_pose(generator):
    """The loss is that of the cloud seen from the neighbour's pose; its pose learns only where it may."""
    xyz = (torch.rand(2, 400, 3, generator=generator) - 0.5) * torch.tensor([0.8, 0.3, 0.5])
    rotation = orbit(torch.tensor([30.0, 200.0]), torch.tensor([10.0, -5.0]))[:, :3, :3].requires_grad_()
    network = StandIn(xyz, rotation)
    masks = (torch.rand(2, SIZE, SIZE, generator=generator) > 0.5).float()
    given = scene(xyz, network, neighbours=(torch.zeros(2, 4, 64, 64), masks))
    term = NeighbourMask()
    loss = term.evaluate_scene(given)
    cameras = pinhole(orbit(torch.tensor([30.0, 200.0]), torch.tensor([10.0, -5.0])), SIZE)
    expected = silhouette_loss(term.mask(given.shape, cameras), masks, "bce")
    torch.testing.assert_close(loss[:, 0], expected)
    assert not loss.requires_grad
    assert NeighbourMask(move_poses=True).evaluate_scene(given).requires_grad


def test_symmetry_is_about_left_and_right(generator):
    """A mirrored pair of halves costs nothing; moved to one side it does; the same for every view."""
    half = torch.rand(1, 40, 3, generator=generator)
    both = torch.cat((half, half * torch.tensor([-1.0, 1.0, 1.0])), 1)
    views = scene(both, StandIn(both, both)).views
    views = replace(views, masks=torch.zeros(1, 3, SIZE, SIZE))
    torch.testing.assert_close(Symmetry().evaluate(Points(both), views, 0.0), torch.zeros(1, 3))
    assert float(Symmetry().evaluate(Points(both + 0.2), views, 0.0).min()) > 1e-4


def test_terms_that_need_a_network_say_so(generator):
    """Called like other terms they do not guess."""
    with pytest.raises(TypeError, match="evaluate_scene"):
        Cycle().evaluate(None, None, 0.0)
    with pytest.raises(TypeError, match="evaluate_scene"):
        NeighbourMask().evaluate(None, None, 0.0)


def test_neighbours_are_other_objects_and_stay_in_the_file(tmp_path, generator):
    """Nearest by features, never the object itself, read again from the file, drawn as composed inputs and masks."""
    root = make_tiny_dataset(tmp_path / "data", objects=8, views=2)
    recipe = load_recipe("ssl_nn", ["data.views=2", "data.mask_size=32", "model.width=4"])
    train = open_training_data(root, recipe).train
    network = recipe.network(0)
    path = tmp_path / "neighbours.safetensors"
    found = find_neighbours(network, train, 3, path, torch.device("cpu"))
    assert found.index.shape == (4, 2, 3)
    owners = found.index // 2
    assert not bool((owners == torch.arange(4)[:, None, None]).any())
    again = find_neighbours(recipe.network(0), train, 3, path, torch.device("cpu"))
    torch.testing.assert_close(again.index, found.index)
    images, masks = found.draw(train, torch.tensor([0, 3]), torch.tensor([1, 0]), generator)
    assert images.shape == (2, 4, 64, 64)
    shown = [int(flat) for flat in found.index[0, 1]]
    candidates = (
        torch.stack([torch.from_numpy(np.array(train.masks[f // 2, f % 2])) for f in shown]).float() / 255
    )
    assert bool((candidates == masks[0]).flatten(1).all(1).any())
