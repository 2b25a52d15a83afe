# SPDX-License-Identifier: Apache-2.0
"""Pose heads, the winner's gradient, mirrored batches, and the search for first poses."""

import math

import pytest
import torch
from tiny_dataset import make_tiny_dataset
from torch.autograd import gradcheck

from recon_core.cameras import orbit, pinhole, random_rotations, rotation_about_z, rotation_angle_deg
from recon_core.methods.network import Network
from recon_core.methods.recipe import load_recipe
from recon_core.methods.terms import SplatMask, Views, pick_views, shrink_views
from recon_core.models.point_decoder import PointDecoder, mean_object_color
from recon_core.models.pose import PoseHeads, pose_matrices, rotation_distance, six_to_matrix
from recon_core.pointcloud import Points
from recon_core.renderers.splat import optical_depth, splat_mask
from recon_core.training.batches import draw_batch, fixed_batch, mirror_views
from recon_core.training.bootstrap import Bootstrap, BootstrapConfig, bootstrap_poses, common_turns
from recon_core.training.step import StepInput, run_step
from recon_core.training.viewsets import open_training_data

SMALL = ["model.points=100", "model.width=8", "model.features=32", "model.hidden=32", "optim.objects=3",
         "optim.views=3", "data.mask_size=32", "pose.bootstrap=null", "pose.hypotheses=3"]  # fmt: skip


def test_six_numbers_give_rotations(generator):
    """Orthonormal, right-handed, the up row kept, differentiable."""
    six = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    matrix = six_to_matrix(six)
    torch.testing.assert_close(matrix @ matrix.transpose(1, 2), torch.eye(3).double().expand(5, 3, 3))
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(5).double())
    torch.testing.assert_close(matrix[:, 1], six[:, :3] / six[:, :3].norm(dim=1, keepdim=True))
    assert gradcheck(six_to_matrix, (six.requires_grad_(),))


def test_distance_is_half_angle_sine_squared(generator):
    """sin^2(angle / 2), the same as 1 - <q, q'>^2."""
    first, second = random_rotations(6, generator), random_rotations(6, generator)
    angle = torch.deg2rad(rotation_angle_deg(first, second))
    torch.testing.assert_close(rotation_distance(first, second), torch.sin(angle / 2) ** 2)


@pytest.mark.parametrize("representation", ["quaternion", "6d", "upright"])
def test_hypotheses_start_in_a_ring(representation):
    """K branches start K-th parts of a turn apart, upright, whatever the features."""
    heads = PoseHeads(16, 4, representation)
    for branch in heads.branches:
        torch.nn.init.zeros_(branch.out.weight)
    rotations = heads.hypotheses(torch.randn(2, 16))
    assert rotations.shape == (2, 4, 3, 3)
    angles = [float(rotation_angle_deg(rotations[0, 0], rotations[0, k]).detach()) for k in range(4)]
    assert angles == pytest.approx([0, 90, 180, 90], abs=1e-2)
    torch.testing.assert_close(
        rotations[:, :, 1, 2], torch.full((2, 4), math.cos(math.radians(10))), atol=1e-4, rtol=0
    )


def test_only_the_winner_learns_from_the_masks():
    """Gradients of the mask term reach one branch per view and the student none."""
    torch.manual_seed(0)
    recipe = load_recipe("splat_unposed", [*SMALL, "pose.student_weight=0"])
    network = Network(recipe.model, 0, 3, "6d")
    cameras = pinhole(orbit(torch.arange(3) * 40.0, torch.zeros(3)), 32)
    batch = StepInput(torch.rand(1, 3, 4, 64, 64), Views(cameras, torch.rand(1, 3, 32, 32)))
    output = run_step(network, batch, recipe, 0.5)
    output.terms["splat_mask"].backward()

    def learns(head):
        return head.out.weight.grad is not None and bool(head.out.weight.grad.any())

    assert {k for k, branch in enumerate(network.pose.branches) if learns(branch)} == set(
        output.winners.tolist()
    )
    assert not learns(network.pose.student)


def test_the_best_of_the_searched_poses_is_found():
    """Among searched poses of which one is true, the true one wins once shapes are known."""
    torch.manual_seed(0)
    recipe = load_recipe("splat_unposed", SMALL)
    network = Network(recipe.model, 0, 3, "6d")
    features = network.encoder(torch.rand(3, 4, 64, 64))
    points = network.decode(features[:1], torch.rand(1, 4, 64, 64))
    truth = orbit(torch.tensor([20.0, 140.0, 250.0]), torch.tensor([5.0, 20.0, -10.0]))
    turns = rotation_about_z(torch.deg2rad(torch.tensor([120.0, 0.0, 200.0])))
    ranked = truth[:, None, :3, :3] @ turns  # rank 1 is the truth
    cameras = pinhole(truth, 32)
    shape = Points(
        points.xyz * torch.tensor([1.0, 0.5, 0.3]) + torch.tensor([0.1, 0.15, 0.0]), points.opacity
    )
    network.decoder.forward = lambda *_: shape
    masks = SplatMask().render(shape, Views(cameras, torch.zeros(1, 3, 32, 32)), 0.5).detach()
    output = run_step(
        network, StepInput(torch.rand(1, 3, 4, 64, 64), Views(cameras, masks), ranked[None]), recipe, 0.5
    )
    assert output.winners.tolist() == [1, 1, 1]


def test_pose_matrices_look_at_the_origin(generator):
    """The canonical origin is `distance` in front, in the middle."""
    matrices = pose_matrices(random_rotations(4, generator).float(), 2.0)
    uv, depth = pinhole(matrices, 64).project(torch.zeros(4, 1, 3))
    torch.testing.assert_close(uv, torch.full((4, 1, 2), 32.0))
    torch.testing.assert_close(depth, torch.full((4, 1), 2.0))


def test_mirrored_views_agree_with_a_mirrored_object(generator):
    """The mask of the mirrored object through the mirrored camera is the flipped mask."""
    xyz = torch.randn(2, 300, 3, generator=generator) * torch.tensor([0.2, 0.1, 0.15]) + torch.tensor(
        [0.1, 0.0, 0.0]
    )
    cameras = pinhole(orbit(torch.tensor([30.0, 30.0, 80.0, 80.0]), torch.full((4,), 15.0)), 32)
    tau = optical_depth(torch.full((4, 300), 0.8), 32)

    def render(points, seen):
        return splat_mask(*seen.project(points.repeat_interleave(2, 0)), tau, 32, 1.0).view(2, 2, 32, 32)

    views = mirror_views(Views(cameras, render(xyz, cameras)), torch.tensor([True, False]))
    mirrored = xyz.clone()
    mirrored[0, :, 0] *= -1
    torch.testing.assert_close(render(mirrored, views.cameras), views.masks, atol=1e-4, rtol=0)


def test_batches_are_deterministic_and_some_are_mirrored(tmp_path):
    """The generator alone decides; with mirror 1 every mask is a flipped one of the plain batch."""
    root = make_tiny_dataset(tmp_path / "data", objects=8, views=4)
    plain = load_recipe("splat", ["data.mask_size=32", "data.mirror=0", "optim.objects=3", "optim.views=2"])
    flipped = load_recipe("splat", ["data.mask_size=32", "data.mirror=1", "optim.objects=3", "optim.views=2"])
    data = open_training_data(root, plain)
    cpu = torch.device("cpu")

    def draw(recipe):
        return draw_batch(data.train, recipe, torch.Generator().manual_seed(3), cpu)

    torch.testing.assert_close(draw(plain).inputs, draw(plain).inputs, atol=0, rtol=0)
    torch.testing.assert_close(draw(flipped).views.masks, draw(plain).views.masks.flip(-1), atol=0, rtol=0)
    assert draw(plain).inputs.shape == (3, 1, 4, 64, 64)
    assert fixed_batch(data.val, plain, 99, 99, cpu).views.shape == (len(data.val), 4, 32, 32)


def test_turned_inputs_keep_cameras_and_targets_together(tmp_path):
    """With rotation_deg the first view's camera rolls and its mask turns along: the same points project into it."""
    root = make_tiny_dataset(tmp_path / "data", objects=8, views=4, size=64)
    settings = ["data.mask_size=64", "data.mirror=0", "optim.objects=4", "optim.views=2"]
    recipe = load_recipe("splat", [*settings, "data.augment.rotation_deg=40"])
    data = open_training_data(root, recipe)
    cpu, unturned = torch.device("cpu"), load_recipe("splat", settings)
    batch = draw_batch(data.train, recipe, torch.Generator().manual_seed(0), cpu)
    plain = draw_batch(data.train, unturned, torch.Generator().manual_seed(0), cpu)
    rolled = rotation_angle_deg(
        batch.views.cameras.world_to_cam[::2, :3, :3], plain.views.cameras.world_to_cam[::2, :3, :3]
    )
    assert float(rolled.max()) > 5
    assert float(rolled.max()) <= 40.01
    torch.testing.assert_close(batch.views.masks[:, 1], plain.views.masks[:, 1])
    assert not torch.equal(batch.views.masks[:, 0], plain.views.masks[:, 0])


def test_shrinking_views_keeps_what_they_show():
    """Masks are averaged, cameras follow; sizes that do not divide stay."""
    cameras = pinhole(orbit(torch.zeros(2), torch.zeros(2)), 64)
    small = shrink_views(Views(cameras, torch.rand(1, 2, 64, 64)), 32)
    assert small.shape == (1, 2, 32, 32)
    assert small.cameras.width == 32
    assert shrink_views(Views(cameras, torch.rand(1, 2, 64, 64)), 40).shape == (1, 2, 64, 64)


def test_shrunk_colours_are_those_of_the_object_alone():
    """A red object on undefined black keeps its red where it is covered; part ids stay whole."""
    cameras = pinhole(orbit(torch.zeros(1), torch.zeros(1)), 4)
    masks = torch.tensor([[1.0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]])[None, None]
    red = masks[..., None] * torch.tensor([0.8, 0.1, 0.0])
    small = shrink_views(Views(cameras, masks, red, (masks * 3).long()), 2)
    torch.testing.assert_close(small.masks[0, 0], torch.tensor([[0.5, 0], [1, 0]]))
    torch.testing.assert_close(small.images[0, 0, 0, 0], torch.tensor([0.8, 0.1, 0.0]))
    assert set(small.parts.unique().tolist()) <= {0, 3}


def test_picked_views_keep_the_input_and_take_their_cameras_along():
    """First and last of five; one is the last; more than there are is all."""
    cameras = pinhole(orbit(torch.arange(10) * 36.0, torch.zeros(10)), 8)
    views = Views(cameras, torch.rand(2, 5, 8, 8))
    two = pick_views(views, 2)
    torch.testing.assert_close(two.masks, views.masks[:, [0, 4]])
    torch.testing.assert_close(two.cameras.world_to_cam, cameras.world_to_cam[[0, 4, 5, 9]])
    torch.testing.assert_close(pick_views(views, 1).masks, views.masks[:, 4:])
    assert pick_views(views, 9) is views


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.slow
def test_search_finds_poses_of_an_asymmetric_shape(generator, tmp_path, turn):
    """Masks of stretched copies of a seat with a high back on one post: most poses are right up to one rotation."""
    boxes = torch.rand(900, 3, generator=generator) - 0.5
    boxes[:300] = boxes[:300] * torch.tensor([0.45, 0.5, 0.08])
    boxes[300:600] = boxes[300:600] * torch.tensor([0.4, 0.08, 0.5]) + torch.tensor([0.0, 0.22, 0.25])
    boxes[600:] = boxes[600:] * torch.tensor([0.1, 0.1, 0.4]) + torch.tensor([0.0, 0.0, -0.2])
    objects, views = 24, 6
    shapes = boxes * (0.85 + 0.3 * torch.rand(objects, 1, 3, generator=generator))
    truth = orbit(torch.rand(objects * views, generator=generator) * 360,
                  torch.rand(objects * views, generator=generator) * 40 - 10)  # fmt: skip
    uv, depth = pinhole(truth, 32).project(shapes.repeat_interleave(views, 0))
    masks = splat_mask(uv, depth, optical_depth(torch.ones(uv.shape[:2]), 32, 4.0), 32, 0.8)
    config = BootstrapConfig(
        templates=2, points=400, first_iterations=200, iterations=30, objects=24, turn=turn
    )
    found = bootstrap_poses(masks.view(objects, views, 32, 32), 1.875, 2.0, 3, config, generator)
    assert found.rotations.shape == (2, objects, views, 3, 3, 3)
    offset = (
        found.rotations[0, :, :, 0].flatten(0, 1).transpose(1, 2) @ truth[:, :3, :3]
    )  # object -> canonical
    apart = rotation_angle_deg(offset[:, None], offset[None])
    assert float((apart < 40).float().mean(1).max()) > 0.6
    first, second = found.rotations[0, :, :, 0], found.rotations[0, :, :, 1]
    assert bool((rotation_angle_deg(first, second) >= config.apart_deg - 1e-3).all())
    found.save(tmp_path / "poses.safetensors")
    torch.testing.assert_close(Bootstrap.load(tmp_path / "poses.safetensors").rotations, found.rotations)


def test_templates_are_turned_to_agree(generator):
    """Renders of one shape, each turned by so many steps and changed: the turns are found, up to one for all."""
    shape = torch.rand(12, 40, generator=generator)
    turned = torch.tensor([0, 6, 6, 0, 3, 11])
    views = torch.stack([shape.roll(int(step), 0) for step in turned])
    views = views + 0.3 * torch.rand(views.shape, generator=generator)
    found = common_turns(views, torch.tensor([5.0, 9.0, 1.0, 0.0, 2.0, 3.0]))
    assert ((found + turned) % 12).unique().numel() == 1


def test_one_template_stays():
    assert common_turns(torch.rand(1, 8, 5), torch.tensor([3.0])).tolist() == [0]


def test_colours_follow_the_objects_mean_colour():
    """An untrained decoder paints every point near the input's mean colour under the mask, whatever surrounds it."""
    images = torch.full((2, 4, 64, 64), 0.5)
    images[:, 3] = 0
    images[:, 3, 20:40, 20:40] = 1
    images[0, :3, 20:40, 20:40] = torch.tensor([0.9, 0.2, 0.1])[:, None, None]
    torch.testing.assert_close(mean_object_color(images), torch.tensor([[0.9, 0.2, 0.1], [0.5, 0.5, 0.5]]))
    torch.testing.assert_close(mean_object_color(torch.zeros(1, 4, 8, 8)), torch.full((1, 3), 0.5))
    torch.manual_seed(0)
    decoder = PointDecoder(16, 50, ("xyz", "color"), 0, 16)
    torch.nn.init.zeros_(decoder.palette.weight)
    torch.nn.init.zeros_(decoder.palette.bias)
    color = decoder(torch.randn(2, 16), images).color
    torch.testing.assert_close(color, mean_object_color(images)[:, None].expand(2, 50, 3))
