# SPDX-License-Identifier: Apache-2.0
"""Terms of ssl_3d_recon, which has one image and mask per object and no pose: cycles, neighbours' masks, symmetry.

Navaneet et al., "From Image Collections to Point Clouds with Self-supervised Shape and Pose Networks", CVPR 2020. The
losses themselves: recon_core.losses.consistency. Cycle and neighbours ask the network again: they need a whole Scene.
"""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from ...cameras import Cameras, orbit
from ...losses.consistency import geometric_cycle, neighbour_mask_loss, pose_cycle, symmetry_loss
from ...losses.features import Affinity
from ...losses.silhouette import SilhouetteKind
from ...models.pose import pose_matrices
from ...pointcloud import Points
from ...renderers.feature_planes import plane_features, plane_mask
from .base import Positive, Scene, TermConfig, Views

NotNegative = Annotated[float, Field(ge=0)]
_GREY = 0.5


class _PlaneTerm(TermConfig):
    sigma_sq_px: Positive = 0.4
    """Variance of a point's Gaussian, in pixels^2 at 64 px."""

    def mask(self, points: Points, cameras: Cameras) -> torch.Tensor:
        """Masks (B,H,W) of points seen by one camera each."""
        uv_px, depth = cameras.project(points.xyz)
        size = (cameras.height, cameras.width)
        return plane_mask(uv_px, depth, size, self.sigma_sq_px * (cameras.width / 64) ** 2)


class Cycle(_PlaneTerm):
    """Shapes and poses predicted again from renders of the prediction must be the same: geometric and pose cycle."""

    kind: Literal["cycle"] = "cycle"
    projections: Annotated[int, Field(ge=1, le=16)] = 3
    """Renders per object: at the pose of the input, and at random poses."""
    geometric: NotNegative = 1.0
    """Weight of the mean squared Chamfer distance between the clouds."""
    pose: NotNegative = 1.0
    """Weight of the mean absolute difference of azimuth and elevation, in radians, of the random poses."""
    compare: Literal["first", "adjacent", "first_released"] = "first"
    """Clouds compared: each with the first; each with the one before; or with the first as the code's loop does."""
    elevations_deg: tuple[float, float] = (-20.0, 40.0)
    """Range of the random poses' elevations; azimuths are drawn from the full turn."""
    through_images: bool = True
    """Whether the geometric cycle's gradients also go through the rendered images."""

    def evaluate(self, shape: Any, views: Views, progress: float) -> torch.Tensor:
        """A cycle needs the network: see evaluate_scene."""
        raise TypeError("the term cycle asks the network again; call evaluate_scene")

    def evaluate_scene(self, scene: Scene) -> torch.Tensor:
        """Loss (B,1)."""
        points, own = scene.shape, _first_view(scene.views)
        posed = [own, *(self._random(own, scene) for _ in range(self.projections - 1))]
        renders = torch.stack(
            [self._input(points, cameras, scene) for cameras in posed], 1
        )  # (B, P, 4, S, S)
        total = points.xyz.new_zeros(len(points.xyz))
        if self.geometric:
            seen = renders if self.through_images else renders.detach()
            total = total + self.geometric * self._geometric(scene, seen)
        if self.pose and self.projections > 1:
            total = total + self.pose * self._pose(scene, renders[:, 1:].detach(), posed[1:])
        return total[:, None]

    def _geometric(self, scene: Scene, renders: torch.Tensor) -> torch.Tensor:
        images = renders.flatten(0, 1)
        again = scene.network.shape_of(images).xyz.unflatten(0, renders.shape[:2])
        return geometric_cycle(torch.cat((scene.shape.xyz[:, None], again), 1), self.compare).mean(1)

    def _pose(self, scene: Scene, renders: torch.Tensor, posed: list[Cameras]) -> torch.Tensor:
        rotation = scene.network.pose_of(renders.flatten(0, 1)).unflatten(0, renders.shape[:2])
        truth = torch.stack([cameras.world_to_cam[:, :3, :3] for cameras in posed], 1)
        return pose_cycle(angles(rotation), angles(truth)).mean(1)

    def _random(self, own: Cameras, scene: Scene) -> Cameras:
        """Cameras like the own ones, at random places around the object."""
        draw = torch.rand(2, len(own), generator=scene.generator)
        low, high = self.elevations_deg
        matrices = orbit(draw[0] * 360 - 180, low + draw[1] * (high - low), scene.recipe.pose.distance)
        return replace(own, world_to_cam=matrices.to(own.world_to_cam))

    def _input(self, points: Points, cameras: Cameras, scene: Scene) -> torch.Tensor:
        """A network input (B,4,S,S): the render, cropped around the points and composed on grey as training images."""
        cropped = crop_to_points(points.xyz, cameras, scene.inputs.shape[-1], scene.recipe.data.margin)
        mask = self.mask(points, cropped)[:, None]
        if points.color is None:
            return torch.cat(
                (mask.new_full((1, 3, 1, 1), _GREY).expand(len(mask), 3, *mask.shape[2:]), mask), 1
            )
        uv_px, depth = cropped.project(points.xyz)
        _, image = plane_features(
            uv_px, depth, points.color, (cropped.height, cropped.width), background=_GREY
        )
        return torch.cat((image.movedim(-1, 1), mask), 1)


class NeighbourMask(_PlaneTerm):
    """The cloud, seen from the pose predicted for an image of a similar object, must cover that one's mask."""

    needs_neighbours: ClassVar[bool] = True

    kind: Literal["neighbour_mask"] = "neighbour_mask"
    loss: SilhouetteKind = "bce"
    """How masks are compared, as in plane_mask."""
    affinity: Affinity = "none"
    """As in plane_mask."""
    affinity_weights: tuple[NotNegative, NotNegative] = (1.0, 1.0)
    """Weights of affinity's two directions: predicted to target, target to predicted."""
    move_poses: bool = False
    """Whether the neighbour's pose learns from it, too."""

    def evaluate(self, shape: Any, views: Views, progress: float) -> torch.Tensor:
        """Neighbours need the network: see evaluate_scene."""
        raise TypeError("the term neighbour_mask asks the network again; call evaluate_scene")

    def evaluate_scene(self, scene: Scene) -> torch.Tensor:
        """Loss (B,1)."""
        assert scene.neighbours is not None
        images, masks = scene.neighbours
        rotation = scene.network.pose_of(images)
        rotation = rotation if self.move_poses else rotation.detach()
        matrices = pose_matrices(rotation, scene.recipe.pose.distance)
        cameras = replace(_first_view(scene.views), world_to_cam=matrices)
        rendered = self.mask(scene.shape, cameras)[:, None]
        loss = neighbour_mask_loss(
            rendered,
            masks[:, None],
            silhouette=self.loss,
            affinity=self.affinity,
            weights=self.affinity_weights,
        )
        return loss[:, None]


class Symmetry(TermConfig):
    """Squared Chamfer distance between a cloud and its mirror image, in the plane x = 0 of the canonical frame."""

    kind: Literal["symmetry"] = "symmetry"

    def evaluate(self, shape: Points, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V), the same for every view."""
        return symmetry_loss(shape.xyz)[:, None].expand(-1, views.masks.shape[1])


def angles(rotation: torch.Tensor) -> torch.Tensor:
    """Azimuth and elevation (...,2) in radians, as cameras.orbit has them, of upright rotations (...,3,3)."""
    azimuth = torch.atan2(rotation[..., 0, 1], rotation[..., 0, 0])
    return torch.stack((azimuth, torch.atan2(rotation[..., 2, 2], rotation[..., 1, 2])), -1)


def crop_to_points(xyz: torch.Tensor, cameras: Cameras, size: int, margin: float) -> Cameras:
    """Cameras (B) whose square image of `size` pixels is the crop around the projections of points (B,N,3).

    As inputs are cropped around masks: side = margin times the longer side of the box. The frame takes no gradient.
    """
    with torch.no_grad():
        uv_px, _ = cameras.project(xyz)
        low, high = uv_px.amin(1), uv_px.amax(1)  # (B, 2)
        side = ((high - low).amax(-1) * margin).clamp(min=1.0)
        scale = size / side
        shift_px = size / 2 - (low + high) / 2 * scale[:, None]
    return replace(cameras.warped(scale, shift_px), width=size, height=size)


def _first_view(views: Views) -> Cameras:
    """The camera of each object's first view (B)."""
    batch, count, _, _ = views.shape
    return views.cameras[torch.arange(batch, device=views.masks.device) * count]
