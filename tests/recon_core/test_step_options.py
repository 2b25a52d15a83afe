# SPDX-License-Identifier: Apache-2.0
"""Options of a step: learnt lens and shift, the student's other loss, decay in the loss, fewer views, validation."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_dataset import make_tiny_dataset

from recon_core.methods.recipe import load_recipe
from recon_core.models.pose import align_distance, rotation_distance
from recon_core.training.batches import draw_batch, fixed_batch
from recon_core.training.loop import build_network, make_optimizer, set_learning_rate
from recon_core.training.step import run_step, use_predicted_poses
from recon_core.training.validation import render_masks
from recon_core.training.viewsets import first_views, open_training_data

SMALL = [
    "model.points=100", "model.width=4", "model.features=32", "model.hidden=32", "optim.objects=3", "optim.views=2",
    "data.mask_size=32", "terms.0.grid=16",
]  # fmt: skip
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Eight objects, three views."""
    return make_tiny_dataset(tmp_path_factory.mktemp("tiny") / "data", objects=8, views=3)


def first_batch(dataset, recipe):
    """The training data of a recipe and one batch."""
    data = open_training_data(dataset, recipe)
    return data, draw_batch(data.train, recipe, torch.Generator().manual_seed(0), CPU)


def test_lens_and_shift_learn_from_the_masks_and_change_the_cameras(dataset):
    """Every view of a batch has its own focal length and centre; the mask term moves both heads."""
    options = ["pose.net.translation=0.15", "pose.net.focal_widths=[1.5, 2.5]", "pose.student_weight=0"]
    recipe = load_recipe("dpc", [*SMALL, *options])
    _, batch = first_batch(dataset, recipe)
    network = build_network(recipe, 0)
    output = run_step(network, batch, recipe, 0.5)
    output.terms["voxel_silhouette"].backward()
    assert bool(network.pose.lens.weight.grad.any())
    assert bool(network.pose.shift.weight.grad.any())
    features = network.encode(batch.inputs.flatten(0, 1))
    torch.testing.assert_close(output.views.cameras.fx, network.pose.focal_widths(features) * 32)
    expected = network.pose.translation(features) + torch.tensor([0.0, 0.0, -recipe.pose.distance])
    torch.testing.assert_close(output.views.cameras.world_to_cam[:, :3, 3], expected)
    _, views = use_predicted_poses(network, batch, recipe)
    torch.testing.assert_close(views.cameras.fx, output.views.cameras.fx)


@pytest.mark.parametrize(("name", "apart"), [("rotation", rotation_distance), ("align", align_distance)])
def test_the_students_loss_is_the_one_asked_for(dataset, name, apart):
    """20 times its mean over all views, from the winner's pose to the student's."""
    recipe = load_recipe("dpc", [*SMALL, f"pose.student_loss={name}"])
    _, batch = first_batch(dataset, recipe)
    network = build_network(recipe, 0)
    output = run_step(network, batch, recipe, 0.5)
    student = network.pose(network.encode(batch.inputs.flatten(0, 1)))
    winner = output.views.cameras.world_to_cam[:, :3, :3]
    torch.testing.assert_close(output.terms["student"], 20 * apart(winner, student).mean())


def test_decay_in_the_loss_spares_biases_and_poses():
    """One step without any gradient: kernels of encoder and decoder shrink by the rate, nothing else moves."""
    recipe = load_recipe("dpc", [*SMALL, "optim.decay=loss", "optim.weight_decay=0.1"])
    network = build_network(recipe, 0)
    optimizer = make_optimizer(network, replace_lr(recipe, 1e-3))
    for parameter in network.parameters():
        parameter.data += 1.0
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in network.named_parameters():
        shrinks = parameter.ndim >= 2 and not name.startswith("pose.")
        fresh = dict(build_network(recipe, 0).named_parameters())[name].detach() + 1.0
        moved = (parameter.detach() - fresh).abs().max()
        assert (float(moved) > 5e-4) == shrinks, name


def test_the_field_may_learn_at_a_rate_of_its_own():
    """Its parameters alone are in a group that takes `field_lr` times the scheduled rate."""
    recipe = load_recipe(
        "splat_full", ["optim.field_lr=4", "model.hidden=16", "model.features=16", "model.width=4"]
    )
    network = build_network(recipe, 2)
    optimizer = make_optimizer(network, recipe.optim)
    set_learning_rate(optimizer, recipe.optim, 0.5)
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert len(rate) == len(list(network.parameters()))
    slow = rate[id(next(network.parameters()))]
    for name, parameter in network.named_parameters():
        assert rate[id(parameter)] == pytest.approx(slow * (4 if ".field." in name else 1)), name


def replace_lr(recipe, lr: float):
    """The recipe's optimiser at another rate."""
    return recipe.optim.model_copy(update={"lr": lr})


def test_only_the_first_views_are_trained_with(dataset):
    """data.views cuts the training views, not those of validation."""
    recipe = load_recipe("ssl_cc", [*SMALL[:-1], "data.views=1", "optim.views=1"])
    data = open_training_data(dataset, recipe)
    assert data.train.views == 1
    assert data.val.views == 3
    whole = open_training_data(dataset, load_recipe("ssl_cc", [*SMALL[:-1], "data.views=null"])).train
    np.testing.assert_array_equal(data.train.masks, whole.masks[:, :1])
    assert first_views(whole, 5) is whole


def test_validation_shows_clouds_alike_whatever_trained_them(dataset):
    """A quarter of the points is shown twice as wide: the same solid cube covers the same pixels."""
    recipe = load_recipe("dpc_posed", [*SMALL, "data.mask_size=64"])
    data = open_training_data(dataset, recipe)
    batch = fixed_batch(data.val, recipe, 2, 2, CPU)
    network = build_network(recipe, 0)
    generator = torch.Generator().manual_seed(0)
    shares = []
    for count in (4000, 2000, 500):
        cloud = (torch.rand(len(batch.inputs), count, 3, generator=generator) - 0.5) * 0.5
        points = network.decode(torch.zeros(len(batch.inputs), 32), batch.inputs[:, 0])
        network.decoder.forward = lambda *_, cloud=cloud, points=points: replace(points, xyz=cloud)
        shares.append(float((render_masks(network, batch, recipe)[0] > 0.5).float().mean()))
        del network.decoder.forward
    assert math.isclose(shares[0], shares[1], rel_tol=0.06)
    assert math.isclose(shares[2], shares[1], rel_tol=0.12)
