# SPDX-License-Identifier: Apache-2.0
"""One training step of any recipe: images and views in, weighted terms out."""

from dataclasses import dataclass, replace

import torch

from ..cameras import Cameras
from ..methods.network import Network
from ..methods.recipe import EnsemblePose, KnownPose, Recipe, RegressedPose
from ..methods.terms import Views, shrink_views
from ..models.pose import pose_matrices, rotation_distance
from ..pointcloud import Points


@dataclass
class StepInput:
    """A batch on the device: inputs (B,V,4,S,S) (or (B,1,...) when only the first view is encoded) and views."""

    inputs: torch.Tensor
    views: Views
    ranked: torch.Tensor | None = None  # (B, V, R, 3, 3) bootstrapped poses, best first


@dataclass
class StepOutput:
    """Weighted terms, each a scalar; what was predicted, and the views with the cameras that were used."""

    terms: dict[str, torch.Tensor]
    points: Points
    views: Views
    winners: torch.Tensor | None = None  # (B*V,) index of the winning hypothesis


def run_step(network: Network, batch: StepInput, recipe: Recipe, progress: float) -> StepOutput:
    """Predict, pose, render and compare; gradients reach the winning hypothesis alone."""
    batch_size, encoded = batch.inputs.shape[:2]
    features = network.encoder(batch.inputs.flatten(0, 1))  # (B*E, F)
    points = network.decode(features.view(batch_size, encoded, -1)[:, 0], batch.inputs[:, 0])
    views, terms, winners = _posed(network, features, points, batch, recipe, progress)
    for index, term in enumerate(recipe.terms):
        name = term.kind if f"{term.kind}" not in terms else f"{term.kind}.{index}"
        terms[name] = term.weight * term.evaluate(points, views, progress).mean()
    return StepOutput(terms, points, views, winners)


def _posed(
    network: Network,
    features: torch.Tensor,
    points: Points,
    batch: StepInput,
    recipe: Recipe,
    progress: float,
) -> tuple[Views, dict[str, torch.Tensor], torch.Tensor | None]:
    """The views with the cameras of the recipe's pose source, and that source's own terms."""
    pose, views, ranked = recipe.pose, batch.views, batch.ranked
    if isinstance(pose, KnownPose):
        return views, {}, None
    assert network.pose is not None
    rotations = network.pose.hypotheses(features)  # (B*V, K, 3, 3)
    if isinstance(pose, RegressedPose):
        return _with_poses(views, rotations[:, 0], pose.distance), {}, None
    candidates, searched = rotations, ranked is not None and progress < pose.bootstrap_until
    if ranked is not None and searched:
        candidates = torch.cat((ranked.flatten(0, 1), rotations), 1)  # (B*V, R + K, 3, 3)
    if searched and progress < pose.bootstrap_trust:
        winners = torch.zeros(len(rotations), dtype=torch.long, device=rotations.device)
    else:
        student = network.pose(features).detach()
        winners = _best_hypothesis(candidates, student, points, views, recipe, pose, progress)
    best = candidates[torch.arange(len(winners), device=winners.device), winners]  # (B*V, 3, 3)
    terms = {"student": pose.student_weight * rotation_distance(best.detach(), network.pose(features)).mean()}
    if searched:
        # A searched pose that won has no gradient of its own: the branch nearest to it learns it.
        nearest = rotation_distance(best.detach()[:, None], rotations).amin(1)
        terms["branches"] = pose.student_weight * nearest.mean()
    return _with_poses(views, best, pose.distance), terms, winners


@torch.no_grad()
def _best_hypothesis(
    rotations: torch.Tensor,
    student: torch.Tensor,
    points: Points,
    views: Views,
    recipe: Recipe,
    pose: EnsemblePose,
    progress: float,
) -> torch.Tensor:
    """Index (B*V,) of the hypothesis with the least first term; rendered small, without gradient.

    Where several fit almost alike (a stool from any side), the one nearest to the student wins, so that the student
    is not taught a different answer each time.
    """
    term = recipe.terms[0]
    stride = max(points.xyz.shape[1] // pose.score_points, 1)
    few = points.map(lambda values: values[:, ::stride])
    small = shrink_views(views, pose.score_size)
    losses = [
        term.evaluate(few, _with_poses(small, rotations[:, k], pose.distance), progress).flatten()
        for k in range(rotations.shape[1])
    ]
    away = rotation_distance(student[:, None], rotations)  # (B*V, K), 1 for a half turn
    return (torch.stack(losses, 1) * (1 + pose.loyalty * away)).argmin(1)


def _with_poses(views: Views, rotation: torch.Tensor, distance: float) -> Views:
    """The same views seen from predicted poses; the lens stays the dataset's."""
    cameras: Cameras = replace(views.cameras, world_to_cam=pose_matrices(rotation, distance))
    return replace(views, cameras=cameras)


def use_predicted_poses(network: Network, batch: StepInput, recipe: Recipe) -> tuple[Points, Views]:
    """Points and views as at test time: known cameras, or the poses that the student (or only branch) gives."""
    features = network.encoder(batch.inputs.flatten(0, 1))
    points = network.decode(features.view(*batch.inputs.shape[:2], -1)[:, 0], batch.inputs[:, 0])
    if network.pose is None or isinstance(recipe.pose, KnownPose):
        return points, batch.views
    return points, _with_poses(batch.views, network.pose(features), recipe.pose.distance)
