# SPDX-License-Identifier: Apache-2.0
"""Validation without 3D supervision: how well the prediction from one view covers the other views' masks."""

import math

import torch

from ..data.viewset import ViewSet
from ..geometry.mirror import find_mirror
from ..losses.silhouette import silhouette_loss
from ..losses.viewpoint import symmetric_distance
from ..methods.network import Network
from ..methods.recipe import KnownPose, Recipe
from ..methods.terms import MeshMask, SplatMask
from ..models.viewpoint import best_rotation
from ..pointcloud import Points
from .batches import fixed_batch
from .step import StepInput, true_rotations, use_predicted_poses

_MAX_OBJECTS = 64
# The width, in pixels at 64 px, at which so many points close up to a surface.
_SIGMA_PX = 0.7
_SIGMA_POINTS = 2000
_POSE_DEG = 30.0


@torch.no_grad()
def validate(network: Network, viewset: ViewSet, recipe: Recipe, device: torch.device) -> dict[str, float]:
    """Mask IoU and loss of some objects of a view set, masks at the final sigma; what `judge_answers` gives besides.

    With known poses the input view is left out; with learnt poses every view is posed by the student.
    """
    network.eval()
    batch = fixed_batch(viewset, recipe, _MAX_OBJECTS, recipe.optim.views + 1, device)
    coverage, target = render_masks(network, batch, recipe)
    answers = judge_answers(network, batch)
    network.train()
    if isinstance(recipe.pose, KnownPose):
        coverage, target = coverage[:, 1:], target[:, 1:]
    hard = (coverage > 0.5).float()
    iou = 1 - silhouette_loss(hard, (target > 0.5).float(), "iou")
    masks = {"mask_iou": float(iou.mean()), "mask_l2": float(silhouette_loss(coverage, target, "l2").mean())}
    return masks | answers


def judge_answers(network: Network, batch: StepInput) -> dict[str, float]:
    """How often the category is right, and the rotation to 30 degrees, up to symmetry; where they are predicted."""
    features = network.encode(batch.inputs[:, 0])
    found: dict[str, float] = {}
    logits = network.categorise(features)
    if logits is not None and batch.category is not None:
        found["category_accuracy"] = float((logits.argmax(1) == batch.category).float().mean())
    if network.viewpoint is not None:
        best = best_rotation(*network.viewpoint(features))[:, None]
        apart = symmetric_distance(best, true_rotations(batch)[:, None], batch.symmetry_order)[:, 0]
        found["pose_accuracy"] = float((apart < math.sin(math.radians(_POSE_DEG) / 2) ** 2).float().mean())
    return found


@torch.no_grad()
def canonical_mirror(
    network: Network, viewset: ViewSet, recipe: Recipe, device: torch.device
) -> list[list[float]] | None:
    """The reflection (3,3) of the canonical frame, from poses of images and flipped images; None with known poses."""
    if network.pose is None or recipe.data.mirror == 0:
        return None
    network.eval()
    images = fixed_batch(viewset, recipe, _MAX_OBJECTS, 4, device).inputs.flatten(0, 1)
    rotations, flipped = (
        torch.cat([network.pose(network.encode(part)) for part in both.split(64)])
        for both in (images, images.flip(-1))
    )
    network.train()
    return find_mirror(rotations, flipped).tolist()


def render_masks(network: Network, batch: StepInput, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Predicted coverage and target masks (B,V,H,W), as at test time.

    Points are splatted whatever the recipe renders them with, so that figures of recipes can be compared; meshes are
    rasterised.
    """
    shape, views = use_predicted_poses(network, batch, recipe)
    if not isinstance(shape, Points):
        return MeshMask().render(shape, views, 1.0), views.masks
    term = next((term for term in recipe.terms if isinstance(term, SplatMask)), None)
    return (term or _splat(shape.xyz.shape[1])).render(shape, views, 1.0), views.masks


def _splat(points: int) -> SplatMask:
    """How clouds are shown that were not trained by splatting: as wide as splat's final sigma, wider for few points."""
    sigma_px = _SIGMA_PX * max(math.sqrt(_SIGMA_POINTS / points), 1.0)
    return SplatMask(sigma_px=(sigma_px, sigma_px))
