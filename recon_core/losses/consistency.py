# SPDX-License-Identifier: Apache-2.0
"""Consistency losses of ssl_3d_recon, unreduced over the leading axes: cycles, neighbours' masks, symmetry.

Navaneet et al., "From Image Collections to Point Clouds with Self-supervised Shape and Pose Networks", CVPR 2020. A
cloud from an image is rendered at P poses (its own predicted one and random ones); clouds and poses are predicted from
those renders again, and must agree (geometric and pose cycle consistency). Its released code differs in places: those
forms are named so.
"""

import math
from typing import Literal

import torch

from ..errors import InputError
from ..geometry.chamfer import chamfer, distances_at, nearest_index
from .features import Affinity, mask_loss
from .silhouette import SilhouetteKind

# Distances between feature vectors held at once: 64 MiB in float32.
_BLOCK_PAIRS = 1 << 24


def geometric_cycle(
    clouds: torch.Tensor, compare: Literal["first", "adjacent", "first_released"] = "first"
) -> torch.Tensor:
    """Chamfer distances (B,P), squared, both directions summed, between clouds (B,P+1,N,3) of one object.

    clouds: first the one from the image, then those from its P renders. compare "first": each of the P with the first;
    "adjacent": each with the one before. "first_released": clouds 0..P-1 with the first, as the released code's loop
    (its init_model), so that the first distance is 0 and the last cloud has no say. Gradients reach both clouds of a
    pair. Cost: 2 P searches for N neighbours per object. Source: geometric cycle consistency, CVPR 2020.
    """
    if clouds.ndim != 4 or clouds.shape[-1] != 3 or clouds.shape[1] < 2:
        raise InputError(f"Expected clouds (B,P+1,N,3) with P >= 1, got {tuple(clouds.shape)}.")
    if compare == "adjacent":
        return _pairwise_chamfer(clouds[:, :-1], clouds[:, 1:])
    if compare == "first":
        return _pairwise_chamfer(clouds[:, :1].expand_as(clouds[:, 1:]), clouds[:, 1:])
    if compare != "first_released":
        raise InputError(f"compare is 'first', 'adjacent' or 'first_released', got {compare!r}.")
    others = clouds[:, 1:-1]
    apart = _pairwise_chamfer(clouds[:, :1].expand_as(others), others)
    return torch.cat((torch.zeros_like(clouds[:, :1, 0, 0]), apart), 1)


def pose_cycle(
    predicted_rad: torch.Tensor,
    true_rad: torch.Tensor,
    kind: Literal["l1", "l2_sq", "l2", "cosine"] = "l1",
    *,
    wrap: bool = True,
) -> torch.Tensor:
    """Difference (...) of angles (...,A) in radians: those of random poses, and those predicted from renders there.

    kind "l1": mean |d|; "l2_sq": mean d^2; "l2": root of the sum of d^2; "cosine": mean 1 - cos d. wrap: d is brought
    to [-pi, pi), the shorter way round. wrap=False as in the released code, where -179 and 179 degrees are 358 apart.
    Source: pose cycle consistency, CVPR 2020 (azimuth and elevation).
    """
    if predicted_rad.shape != true_rad.shape or not predicted_rad.ndim or not predicted_rad.shape[-1]:
        raise InputError(
            f"Expected angles (...,A) twice, got {tuple(predicted_rad.shape)} and {tuple(true_rad.shape)}."
        )
    difference = predicted_rad - true_rad
    if wrap:
        difference = torch.remainder(difference + math.pi, 2 * math.pi) - math.pi
    if kind == "l1":
        return difference.abs().mean(-1)
    if kind == "l2_sq":
        return difference.square().mean(-1)
    if kind == "l2":
        return torch.linalg.vector_norm(difference, dim=-1)
    if kind == "cosine":
        return (1 - difference.cos()).mean(-1)
    raise InputError(f"kind is 'l1', 'l2_sq', 'l2' or 'cosine', got {kind!r}.")


def nearest_neighbours(features: torch.Tensor, k: int, groups: torch.Tensor | None = None) -> torch.Tensor:
    """Indices (N,k), nearest first, of the k nearest rows of features (N,F) to each row, itself left out; no gradient.

    groups (N,) integers: rows of one group (views of one object, say) are no neighbours of each other; without, every
    row is a group of its own. Euclidean; O(N^2 F) operations, in blocks of at most 64 MiB.
    Raises InputError where a row has fewer than k candidates. Source: nearest-neighbour images, CVPR 2020 (there by the
    reconstruction network's bottleneck features).
    """
    if features.ndim != 2 or k < 1 or not torch.isfinite(features).all():
        raise InputError(f"Expected finite features (N,F) and k >= 1, got {tuple(features.shape)}, k = {k}.")
    count = len(features)
    group = torch.arange(count, device=features.device) if groups is None else groups
    _check_groups(group, count, k)
    features = features.detach()
    rows = max(1, _BLOCK_PAIRS // max(count, 1))
    found = [torch.zeros(0, k, dtype=torch.long, device=features.device)]
    for block, own in zip(features.split(rows), group.split(rows)):
        if not len(block):
            continue
        distance = torch.cdist(block, features, compute_mode="donot_use_mm_for_euclid_dist")
        distance.masked_fill_(own[:, None] == group, torch.inf)
        found.append(distance.topk(k, largest=False).indices)
    return torch.cat(found)


def _check_groups(group: torch.Tensor, count: int, k: int) -> None:
    """Raise InputError unless every row has k candidates in other groups."""
    if group.shape != (count,):
        raise InputError(f"groups must be ({count},), got {tuple(group.shape)}.")
    candidates = count - int(torch.unique(group, return_counts=True)[1].max()) if count else k
    if candidates < k:
        raise InputError(f"k = {k} neighbours asked for, but some row has {candidates} candidates only.")


def neighbour_mask_loss(
    rendered: torch.Tensor,
    masks: torch.Tensor,
    *,
    silhouette: SilhouetteKind = "bce",
    affinity: Affinity = "none",
    weights: tuple[float, float] = (1.0, 1.0),
) -> torch.Tensor:
    """Mean mask loss (B,) of an object's cloud rendered at its K neighbours' poses (B,K,H,W) against their masks.

    Neighbours look alike, so each is taken as another view of the same shape. The loss of each is mask_loss, as of the
    object's own mask. Source: nearest-neighbour consistency, CVPR 2020 (there K = 1, bce_logits, released affinity).
    """
    if rendered.ndim != 4 or rendered.shape != masks.shape or not rendered.shape[1]:
        raise InputError(
            f"Expected masks (B,K,H,W) with K >= 1 twice, got {tuple(rendered.shape)} and {tuple(masks.shape)}."
        )
    return mask_loss(rendered, masks, silhouette=silhouette, affinity=affinity, weights=weights).mean(1)


def symmetry_loss(
    xyz: torch.Tensor, normal: tuple[float, float, float] | torch.Tensor = (1.0, 0.0, 0.0)
) -> torch.Tensor:
    """Squared Chamfer distance (B,), both directions summed, between clouds xyz (B,N,3) and their mirror images.

    The mirror is the plane through the origin with this normal (any length, > 0): by default x = 0, left and right of
    an object that faces -Y. Both directions are equal, so one is searched. This is what ssl_3d_recon's symmetry term is
    meant to do (off by default there); its released forms are symmetry_loss_released.
    """
    _check_cloud(xyz)
    direction = torch.as_tensor(normal, dtype=xyz.dtype, device=xyz.device)
    if direction.shape != (3,) or not float(direction.detach().norm()) > 0:
        raise InputError(f"normal must be three numbers, not all 0; got {normal!r}.")
    direction = direction / direction.norm()
    mirrored = xyz - 2 * (xyz @ direction)[..., None] * direction
    index = nearest_index(xyz, mirrored)
    return 2 * distances_at(xyz, mirrored, index, squared=True).mean(1)


def symmetry_loss_released(
    xyz: torch.Tensor, form: Literal["halves", "points"], axes: tuple[int, int] = (0, 1)
) -> torch.Tensor:
    """The two symmetry terms (B,) of the released ssl_3d_recon code, of clouds xyz (B,N,3), with their errors.

    "halves" (main script): squared Chamfer distance, both directions summed, between the points with coordinate
    axes[0] >= 0 and the reflected others; points of the other half stay in either cloud as zeros, so the origin is a
    neighbour to all. "points" (script with several masks): mean absolute difference to the same point with both axes
    negated, so 2/3 (|x| + |y|) by default: it draws every point to a line. axes: right and towards the viewer; 1, 2 in
    the frame of that code, 0, 1 in ours.
    """
    _check_cloud(xyz)
    if form == "halves":
        right = xyz[..., axes[0], None] >= 0
        sign = torch.ones_like(xyz[0, 0])
        sign[axes[0]] = -1
        zeros = torch.zeros_like(xyz)
        precision, coverage = chamfer(
            torch.where(right, xyz, zeros), torch.where(right, zeros, xyz * sign), squared=True
        )
        return precision + coverage
    if form != "points":
        raise InputError(f"form is 'halves' or 'points', got {form!r}.")
    return 2 * xyz[..., list(axes)].abs().sum(-1).mean(-1) / 3


def _check_cloud(xyz: torch.Tensor) -> None:
    if xyz.ndim != 3 or xyz.shape[-1] != 3 or not xyz.numel():
        raise InputError(f"Expected clouds (B,N,3) with B, N >= 1, got {tuple(xyz.shape)}.")


def _pairwise_chamfer(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared Chamfer distances (B,P), both directions summed, of clouds (B,P,N,3) one to one."""
    if not a.shape[0] * a.shape[1]:
        return a.new_zeros(a.shape[:2])
    precision, coverage = chamfer(a.flatten(0, 1), b.flatten(0, 1), squared=True)
    return (precision + coverage).view(a.shape[:2])
