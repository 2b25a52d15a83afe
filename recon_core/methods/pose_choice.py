# SPDX-License-Identifier: Apache-2.0
"""Which hypothesis to believe at test time: the one whose render fits the mask of the input.

A student that was taught several answers for like images (a stool from any side) puts out their mean, which is none of
them; the hypotheses it was distilled from do not average. So the predicted points are rendered from all of them and
compared with the input's own mask, which is known at test time too. Masks alone cannot tell front from back, the
student can: losses grow with the distance from its pose.

The mirror image of the input is a second look (geometry/mirror.py): it gives hypotheses, a student's opinion and a
cloud of its own, and every hypothesis is judged by both clouds and by the distance from both opinions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ..geometry.mirror import mirrored_back
from ..losses.silhouette import silhouette_loss
from ..models.pose import rotation_distance
from ..pointcloud import Points
from ..renderers.splat import optical_depth, splat_mask
from .poses import EnsemblePose, Pose

# Few points and small masks tell hypotheses apart as well as all points at full size (1,000 and 32 px against 2,000
# and 64 px, on validation objects).
_POINTS = 1000
_SIGMA_PX = 0.8  # at 32 px
_SIZE = 32
# Focal length of the default lens in image widths: sets how dense points look in a crop.
_LENS_WIDTHS = 1.875


@dataclass
class Look:
    """What the network said about one look at an object, in the frame of the original image."""

    points: Points  # (B, N, ...)
    student: torch.Tensor  # (B, 3, 3) canonical to camera
    hypotheses: torch.Tensor  # (B, K, 3, 3)


def mirror_look(flipped: Look, mirror: torch.Tensor) -> Look:
    """A look at the flipped image, brought back by the canonical frame's reflection S (3,3)."""
    points = replace(flipped.points, xyz=flipped.points.xyz @ mirror.T)
    return Look(points, mirrored_back(flipped.student, mirror), mirrored_back(flipped.hypotheses, mirror))


def pose_at_test_time(
    images: torch.Tensor,
    look: Callable[[torch.Tensor], Look],
    student: Callable[[torch.Tensor], torch.Tensor],
    middle: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    mirror: torch.Tensor | None,
    pose: Pose,
    margin: float,
) -> tuple[Points, torch.Tensor]:
    """Points (B,N,...) and the rotation (B,3,3) to believe of composed images (B,4,S,S), by the recipe's rule.

    look: everything that the network says about images; student: its student's rotation alone. middle: the rotation
    between two opinions. mirror: S (3,3) of the card, None when it is not known: then there is no second look.
    """
    first = look(images)
    fits = isinstance(pose, EnsemblePose) and pose.test_time == "fit"
    if not fits:
        if mirror is None:
            return first.points, first.student
        return first.points, middle(first.student, mirrored_back(student(images.flip(-1)), mirror))
    looks, between = [first], first.student
    if mirror is not None:
        looks.append(mirror_look(look(images.flip(-1)), mirror))
        between = middle(first.student, looks[1].student)
    best = choose_pose(between, looks, images[:, 3], margin, pose.distance, pose.test_loyalty)
    return first.points, best


def choose_pose(
    between: torch.Tensor,
    looks: list[Look],
    coverage: torch.Tensor,
    margin: float,
    distance: float,
    loyalty: float,
) -> torch.Tensor:
    """The best rotation (B,3,3), canonical to camera, of all hypotheses, the students' and the one between these.

    coverage (B,S,S): the input's mask in its crop, whose side is `margin` times the larger side of the mask's box.
    distance: of the camera, in object units. loyalty: by how much, as a share of its loss, a pose half a turn from the
    students' must fit better.
    """
    own = [torch.cat((look.student[:, None], look.hypotheses), 1) for look in looks]
    candidates = torch.cat((between[:, None], *own), 1)  # (B, C, 3, 3)
    target = torch.nn.functional.avg_pool2d(coverage[:, None], max(coverage.shape[-1] // _SIZE, 1))
    scores = torch.zeros_like(candidates[..., 0, 0])
    for look in looks:
        rendered = crop_masks(look.points, candidates, target.shape[-1], margin, distance)
        scores += silhouette_loss(rendered, target.expand_as(rendered), "bce")
    away = sum(
        rotation_distance(look.student[:, None], candidates) for look in looks
    )  # 1 each for a half turn
    best = (scores * (1 + loyalty * away / len(looks))).argmin(1)
    return candidates[torch.arange(len(best), device=best.device), best]


def crop_masks(
    points: Points, rotations: torch.Tensor, size: int, margin: float, distance: float
) -> torch.Tensor:
    """Coverage (B,K,S,S) of each cloud turned by its rotations (B,K,3,3), framed as an input crop would be.

    The frame follows the projected points, so neither the lens nor the principal point matters.
    """
    few = points.map(lambda values: values[:, :: max(points.xyz.shape[1] // _POINTS, 1)])
    xyz_cam = torch.einsum("bkij,bnj->bkni", rotations, few.xyz)
    depth = distance - xyz_cam[..., 2]  # (B, K, N)
    plane = torch.stack((xyz_cam[..., 0], -xyz_cam[..., 1]), -1) / depth.clamp(min=1e-3)[..., None]
    low, high = plane.amin(2), plane.amax(2)  # (B, K, 2)
    side = ((high - low).amax(-1) * margin).clamp(min=1e-6)  # (B, K)
    uv_px = ((plane - (low + high)[:, :, None] / 2) / side[..., None, None] + 0.5) * size
    opacity = few.xyz.new_ones(few.xyz.shape[:2]) if few.opacity is None else few.opacity
    # Optical depth per point is set for an image as wide as the lens sees; here the object fills the frame.
    seen = (_LENS_WIDTHS * side) ** -2
    tau = optical_depth(opacity, size)[:, None] * seen[..., None]  # (B, K, N)
    mask = splat_mask(
        uv_px.flatten(0, 1), depth.flatten(0, 1), tau.flatten(0, 1), size, _SIGMA_PX * size / 32
    )
    return mask.unflatten(0, rotations.shape[:2])
