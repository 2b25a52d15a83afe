# SPDX-License-Identifier: Apache-2.0
"""Terms of CAPNet (AAAI 2019) and DIFFER (CVPRW 2019): silhouette, colour and parts by feature planes."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from ...losses.features import affinity_paper, affinity_released, image_loss, part_loss
from ...losses.silhouette import SilhouetteKind, silhouette_loss
from ...pointcloud import Points
from ...renderers.feature_planes import plane_features, plane_mask
from ..config import geometric
from .base import Positive, TermConfig, Views, pick_views, shrink_views

NotNegative = Annotated[float, Field(ge=0)]


class PlaneMask(TermConfig):
    """Silhouette by CAPNet's continuous approximation projection, with or without affinity."""

    kind: Literal["plane_mask"] = "plane_mask"
    sigma_sq_px: tuple[Positive, Positive] = (0.5, 0.5)
    """Variance of a point's Gaussian at the start and the end of the run, in pixels^2 at 64 px. CAPNet: 0.5; DIFFER's
    script and ssl_3d_recon: 0.4."""
    reference_points: Annotated[int, Field(ge=1)] | None = None
    """Each point counts reference_points / N, so that coverage does not depend on N; none: each counts 1, as published
    (with 1,024 points)."""
    loss: SilhouetteKind = "bce"
    """bce_capnet and bce_differ are the published forms, unclipped."""
    affinity: Literal["none", "paper", "released"] = "none"
    """paper: 2D Chamfer distance between the masks, in pixels at 64 px. released: the L1-like form of the code."""
    affinity_weights: tuple[NotNegative, NotNegative] = (1.0, 1.0)
    """Weights of affinity's two directions, beside the silhouette's 1: predicted to target, target to predicted."""
    reach_px: Annotated[float, Field(ge=1)] = 16.0
    """Longest distance from the target to the prediction that affinity: paper tells apart, in pixels at 64 px."""
    scale_views: bool = False
    """With affinity: released, view k counts k times, as in CAPNet's and DIFFER's code."""
    mode: Literal["clean", "released"] = "clean"
    """released: as the published code, which renders points behind the camera, too."""

    def render(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Mask (B,V,H,W)."""
        batch, count, height, width = views.shape
        uv_px, depth = views.cameras.project(points.xyz.repeat_interleave(count, 0))
        sigma_sq = geometric(self.sigma_sq_px, progress) * (width / 64) ** 2
        weights = self._weights(points).repeat_interleave(count, 0)
        mask = plane_mask(uv_px, depth, (height, width), sigma_sq, weights, mode=self.mode)
        return mask.view(batch, count, height, width)

    def evaluate(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V)."""
        mask = self.render(points, views, progress)
        loss = silhouette_loss(mask, views.masks, self.loss)
        if self.affinity == "none":
            return loss
        forward, backward = self._affinity(mask, views.masks)
        return loss + self.affinity_weights[0] * forward + self.affinity_weights[1] * backward

    def _weights(self, points: Points) -> torch.Tensor:
        """What each point (B,N) counts."""
        ones = points.xyz.new_ones(points.xyz.shape[:2])
        opacity = ones if points.opacity is None else points.opacity
        return opacity * (self.reference_points / ones.shape[1]) if self.reference_points else opacity

    def _affinity(self, mask: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both directions (B,V)."""
        if self.affinity == "released":
            return affinity_released(mask, target, scale_views=self.scale_views)
        pixel = mask.shape[-1] / 64  # of this image, in pixels at 64 px
        forward, backward = affinity_paper(mask, target, reach_px=max(self.reach_px * pixel, 1.0))
        return forward / pixel, backward / pixel


class _PlaneAttribute(TermConfig):
    """A term about what points carry, by DIFFER's depth-aware wells; opacities have no say in them."""

    radius_px: Positive = 1.0
    """Half-width of a point's square well, in pixels at 64 px."""
    beta: NotNegative = 100.0
    """How much the nearer point counts: weights are exp(beta / (depth + 1))."""
    hard: bool = False
    """Whether a pixel shows its nearest point alone."""
    compare: Literal["image", "object"] = "image"
    """image: every pixel, the background black or id 0, as DIFFER. object: pixels of the object that a point hit."""
    views: Annotated[int, Field(ge=1)] = 4
    """Views per object and step that this term looks at."""
    size: Annotated[int, Field(ge=8)] = 64
    """Width in pixels of the images that this term looks at."""
    move_points: bool = True
    """Whether differences may move points, which they can along the line of sight only."""
    mode: Literal["clean", "released"] = "clean"
    """released: as the published code, which renders points behind the camera, too."""

    def chosen(self, views: Views) -> Views:
        """The views that the term looks at, at its size."""
        return shrink_views(pick_views(views, self.views), self.size)

    def planes(
        self, points: Points, features: torch.Tensor, views: Views, background: float | Literal["channel"]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Which pixels were hit (B,V,H,W), and the image (B,V,H,W,C) of point features (B,N,C)."""
        batch, count, height, width = views.shape
        xyz = points.xyz if self.move_points else points.xyz.detach()
        uv_px, depth = views.cameras.project(xyz.repeat_interleave(count, 0))
        hit, image = plane_features(
            uv_px, depth, features.repeat_interleave(count, 0), (height, width), self.radius_px * width / 64,
            self.beta, background=background, hard=self.hard, mode=self.mode,
        )  # fmt: skip
        return hit.view(batch, count, height, width), image.view(batch, count, height, width, -1)


class PlaneColor(_PlaneAttribute):
    """Colour by feature planes: mean squared error over channels and pixels."""

    head: ClassVar[str | None] = "color"
    target: ClassVar[str | None] = "images"

    kind: Literal["plane_color"] = "plane_color"

    def evaluate(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V)."""
        assert points.color is not None
        views = self.chosen(views)
        assert views.images is not None
        hit, image = self.planes(points, points.color, views, 0.0)
        if self.compare == "object":
            return image_loss(image, views.images, views.masks * hit)
        return image_loss(image, views.images * views.masks[..., None])


class PlaneParts(_PlaneAttribute):
    """Part labels by feature planes with a background channel: cross-entropy with the part ids."""

    head: ClassVar[str | None] = "parts"
    target: ClassVar[str | None] = "parts"

    kind: Literal["plane_parts"] = "plane_parts"
    loss: Literal["probabilities", "logits"] = "probabilities"
    """logits: the rendered probabilities go through a softmax once more, as in DIFFER's code."""
    class_weights: tuple[NotNegative, ...] | None = None
    """A weight per id, the background's first."""

    def evaluate(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V), in nats."""
        assert points.part_logits is not None
        views = self.chosen(views)
        assert views.parts is not None
        hit, image = self.planes(points, points.part_logits.softmax(-1), views, "channel")
        weights = None if self.class_weights is None else image.new_tensor(self.class_weights)
        mask = hit * (views.parts > 0) if self.compare == "object" else None
        return part_loss(image, views.parts, self.loss, weights, mask)
