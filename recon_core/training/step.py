# SPDX-License-Identifier: Apache-2.0
"""One training step of any recipe: images and views in, weighted terms out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch

from ..cameras import Cameras, facing_rotation
from ..losses.viewpoint import viewpoint_loss
from ..methods.network import Network
from ..methods.poses import EnsemblePose, KnownPose, RegressedPose
from ..methods.recipe import Recipe
from ..methods.terms import Scene, Views, shrink_views
from ..models.decoders import Shape
from ..models.pose import align_distance, pose_matrices, rotation_distance
from ..pointcloud import Points


@dataclass
class StepInput:
    """A batch on the device: inputs (B,V,4,S,S) (or (B,1,...) when only the first view is encoded) and views."""

    inputs: torch.Tensor
    views: Views
    ranked: torch.Tensor | None = None  # (B, V, R, 3, 3) bootstrapped poses, best first
    neighbours: tuple[torch.Tensor, torch.Tensor] | None = (
        None  # inputs (B,4,S,S) and masks (B,H,W) of like objects
    )
    generator: torch.Generator | None = None  # for what terms draw at random
    symmetry_order: torch.Tensor | None = None  # (B,) int64: n-fold about Z, 0 any angle; None: nothing known
    category: torch.Tensor | None = None  # (B,) int64, place among the dataset's categories


@dataclass
class StepOutput:
    """Weighted terms, each a scalar; what was predicted, and the views with the cameras that were used."""

    terms: dict[str, torch.Tensor]
    shape: Shape
    views: Views
    winners: torch.Tensor | None = None  # (B*V,) index of the winning hypothesis


def run_step(network: Network, batch: StepInput, recipe: Recipe, progress: float) -> StepOutput:
    """Predict, pose, render and compare; gradients reach the winning hypothesis alone."""
    batch_size, encoded = batch.inputs.shape[:2]
    features = _encoded(network, batch.inputs.flatten(0, 1), recipe)  # (B*E, F)
    shape = network.decode(features.view(batch_size, encoded, -1)[:, 0], batch.inputs[:, 0])
    views, terms, winners = _posed(network, features, shape, batch, recipe, progress)
    scene = Scene(
        network, recipe, batch.inputs, shape, views, progress, batch.neighbours, batch.generator,
        features, batch.category,
    )  # fmt: skip
    for index, term in enumerate(recipe.terms):
        name = term.kind if f"{term.kind}" not in terms else f"{term.kind}.{index}"
        terms[name] = term.weight * term.evaluate_scene(scene).mean()
    return StepOutput(terms, shape, views, winners)


def _encoded(network: Network, images: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Features (B,F) in float32; the encoder's products in the recipe's precision where the device is fast at it."""
    lower = recipe.optim.precision == "bfloat16" and _fast_bfloat16(images.device)
    with torch.autocast(images.device.type, torch.bfloat16, enabled=lower):
        return network.encode(images).float()


@cache
def _fast_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 itself; processors without it would go through float32, slower than that."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _posed(
    network: Network,
    features: torch.Tensor,
    shape: Shape,
    batch: StepInput,
    recipe: Recipe,
    progress: float,
) -> tuple[Views, dict[str, torch.Tensor], torch.Tensor | None]:
    """The views with the cameras of the recipe's pose source, and that source's own terms."""
    pose, ranked = recipe.pose, batch.ranked
    if isinstance(pose, KnownPose):
        return batch.views, _viewpoint_terms(network, features, batch, pose), None
    assert network.pose is not None
    views = _with_lens(network, features, batch.views)
    translation = network.pose.translation(features)
    rotations = network.pose.hypotheses(features)  # (B*V, K, 3, 3)
    if isinstance(pose, RegressedPose):
        return _with_poses(views, rotations[:, 0], pose.distance, translation), {}, None
    candidates, searched = rotations, ranked is not None and progress < pose.bootstrap_until
    if ranked is not None and searched:
        candidates = torch.cat((ranked.flatten(0, 1), rotations), 1)  # (B*V, R + K, 3, 3)
    student = network.pose(features)
    if searched and progress < pose.bootstrap_trust:
        winners = torch.zeros(len(rotations), dtype=torch.long, device=rotations.device)
    else:
        winners = _best_hypothesis(
            candidates, student.detach(), translation, shape, views, recipe, pose, progress
        )
    best = candidates[torch.arange(len(winners), device=winners.device), winners]  # (B*V, 3, 3)
    apart = rotation_distance if pose.student_loss == "rotation" else align_distance
    terms = {"student": pose.student_weight * apart(best.detach(), student).mean()}
    if searched:
        # A searched pose that won has no gradient of its own: the branch nearest to it learns it.
        nearest = rotation_distance(best.detach()[:, None], rotations).amin(1)
        terms["branches"] = pose.student_weight * nearest.mean()
    return _with_poses(views, best, pose.distance, translation), terms, winners


def _viewpoint_terms(
    network: Network, features: torch.Tensor, batch: StepInput, pose: KnownPose
) -> dict[str, torch.Tensor]:
    """The terms of rotations and scores that the known cameras of the inputs teach; none without a student."""
    if network.viewpoint is None or pose.student is None:
        return {}
    hypotheses, scores = network.viewpoint(features)
    student, order = pose.student, batch.symmetry_order
    apart, wrong = viewpoint_loss(
        hypotheses, scores, true_rotations(batch), order, student.others, student.score_temperature
    )
    return {
        "viewpoint": pose.student.weight * apart.mean(),
        "viewpoint_score": pose.student.score_weight * wrong.mean(),
    }


def true_rotations(batch: StepInput) -> torch.Tensor:
    """Rotations (B,3,3) of the known cameras of the inputs, the first views, relative to the ray to the object."""
    objects, views = batch.views.shape[:2]
    return facing_rotation(batch.views.cameras.world_to_cam.view(objects, views, 4, 4)[:, 0])


@torch.no_grad()
def _best_hypothesis(
    rotations: torch.Tensor,
    student: torch.Tensor,
    translation: torch.Tensor | None,
    shape: Shape,
    views: Views,
    recipe: Recipe,
    pose: EnsemblePose,
    progress: float,
) -> torch.Tensor:
    """Index (B*V,) of the hypothesis with the least first term; rendered small, without gradient.

    Where several fit almost alike (a stool from any side), the one nearest to the student wins, so that the student
    is not taught a different answer each time.
    """
    # The recipe has checked that its terms are about what its decoder makes.
    evaluate: Callable[..., torch.Tensor] = recipe.terms[0].evaluate
    few = _few_points(shape, pose.score_points)
    small = shrink_views(views, pose.score_size)
    losses = [
        evaluate(few, _with_poses(small, rotations[:, k], pose.distance, translation), progress).flatten()
        for k in range(rotations.shape[1])
    ]
    away = rotation_distance(student[:, None], rotations)  # (B*V, K), 1 for a half turn
    return (torch.stack(losses, 1) * (1 + pose.loyalty * away)).argmin(1)


def _few_points(shape: Shape, count: int) -> Shape:
    """About `count` of the points, evenly; meshes as they are."""
    if not isinstance(shape, Points):
        return shape
    stride = max(shape.xyz.shape[1] // count, 1)
    return shape.map(lambda values: values[:, ::stride])


def _with_poses(
    views: Views, rotation: torch.Tensor, distance: float, translation: torch.Tensor | None = None
) -> Views:
    """The same views seen from predicted poses; the lens stays."""
    matrices = pose_matrices(rotation, distance, translation)
    cameras: Cameras = replace(views.cameras, world_to_cam=matrices)
    return replace(views, cameras=cameras)


def _with_lens(network: Network, features: torch.Tensor, views: Views) -> Views:
    """The views with the focal lengths that the network predicts, where it does; else the dataset's."""
    focal = None if network.pose is None else network.pose.focal_widths(features)
    if focal is None:
        return views
    focal_px = focal * views.cameras.width
    return replace(views, cameras=replace(views.cameras, fx=focal_px, fy=focal_px))


def use_predicted_poses(network: Network, batch: StepInput, recipe: Recipe) -> tuple[Shape, Views]:
    """The shape and views as at test time: known cameras, or the poses that the student (or only branch) gives."""
    features = network.encode(batch.inputs.flatten(0, 1))
    shape = network.decode(features.view(*batch.inputs.shape[:2], -1)[:, 0], batch.inputs[:, 0])
    if network.pose is None or isinstance(recipe.pose, KnownPose):
        return shape, batch.views
    views = _with_lens(network, features, batch.views)
    translation = network.pose.translation(features)
    return shape, _with_poses(views, network.pose(features), recipe.pose.distance, translation)
