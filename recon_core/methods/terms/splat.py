# SPDX-License-Identifier: Apache-2.0
"""Terms of our own renderer: silhouette, colour and parts by optical-depth splatting."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from ...losses.silhouette import silhouette_loss
from ...pointcloud import Points
from ...renderers.splat import optical_depth, splat_features, splat_mask
from ..config import geometric
from .base import Positive, TermConfig, Views, pick_views, shrink_views

# Of the frame that an object covers: where masks are empty, points must still be able to show.
_LEAST_SHARE = 1e-3


@dataclass
class Projected:
    """Points seen by every view: uv_px (B*V,N,2), depth and tau (B*V,N)."""

    uv_px: torch.Tensor
    depth: torch.Tensor
    tau: torch.Tensor


def project(points: Points, views: Views, density: float | torch.Tensor) -> Projected:
    """Project each object's points into its own views; tau is scaled for this number of points and image size.

    density: optical depth of the frame if points of opacity 1 filled it evenly; one number, or one per object (B,).
    """
    _, count, height, width = views.shape
    xyz = points.xyz.repeat_interleave(count, 0)  # (B*V, N, 3)
    uv_px, depth = views.cameras.project(xyz)
    opacity = points.xyz.new_ones(points.xyz.shape[:2]) if points.opacity is None else points.opacity
    per_object = torch.as_tensor(density).to(opacity).reshape(-1, 1)
    tau = (optical_depth(opacity, (height, width), 1.0) * per_object).repeat_interleave(count, 0)
    return Projected(uv_px, depth, tau)


class _SplatTerm(TermConfig):
    sigma_px: tuple[Positive, Positive] = (3.0, 0.7)
    """Splat width at the start and the end of the run, in pixels of the supervision masks at 64 px."""
    density: Positive = 1.5
    """Optical depth of what `over` names if points of opacity 1 filled it evenly."""
    over: Literal["frame", "mask"] = "frame"
    """The whole frame, or each object's mean silhouette over the step's views. Over its silhouette, a density of 1 to 3
    is covered only by points that share it evenly; far more leaves them where they are."""

    def density_in(self, views: Views) -> torch.Tensor:
        """Optical depth (B,) of the frame."""
        if self.over == "frame":
            return views.masks.new_full((len(views.masks),), self.density)
        return self.density * views.masks.mean((1, 2, 3)).clamp(min=_LEAST_SHARE)

    def sigma_at(self, progress: float, width: int) -> float:
        """Sigma in pixels of an image of this width."""
        return geometric(self.sigma_px, progress) * width / 64


class SplatMask(_SplatTerm):
    """Silhouette by optical-depth splatting."""

    kind: Literal["splat_mask"] = "splat_mask"
    loss: Literal["l2", "l1", "bce", "iou"] = "bce"

    def render(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Coverage (B,V,H,W)."""
        batch, count, height, width = views.shape
        seen = project(points, views, self.density_in(views))
        sigma = self.sigma_at(progress, width)
        mask = splat_mask(seen.uv_px, seen.depth, seen.tau, (height, width), sigma)
        return mask.view(batch, count, height, width)

    def evaluate(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V)."""
        return silhouette_loss(self.render(points, views, progress), views.masks, self.loss)


class _AttributeTerm(_SplatTerm):
    """A term about what points carry; by default it paints them and leaves their places alone."""

    sigma_px: tuple[Positive, Positive] = (2.0, 1.0)
    slabs: Annotated[int, Field(ge=1, le=64)] = 4
    """Depth layers per view."""
    views: Annotated[int, Field(ge=1)] = 2
    """Views per object and step that this term looks at."""
    size: Annotated[int, Field(ge=8)] = 32
    """Width in pixels of the images that this term looks at."""
    move_points: bool = False
    """Whether differences may also move points and change their opacity."""


class SplatColor(_AttributeTerm):
    """Colour by depth slabs, compared where the object is, weighted by the target's coverage."""

    head: ClassVar[str | None] = "color"
    target: ClassVar[str | None] = "images"

    kind: Literal["splat_color"] = "splat_color"

    def evaluate(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Mean squared colour error over the object's pixels (B,V)."""
        assert points.color is not None
        views = shrink_views(pick_views(views, self.views), self.size)
        assert views.images is not None
        coverage, color = _composite(self, points, points.color, views, progress)
        target = views.masks[..., None] * views.images
        # Premultiplied on both sides, the prediction brought to the target's coverage: only colour counts.
        error = (
            (color / coverage[..., None].clamp(min=0.05) * views.masks[..., None] - target).square().mean(-1)
        )
        return error.sum((-1, -2)) / views.masks.sum((-1, -2)).clamp(min=1)


class SplatParts(_AttributeTerm):
    """Part labels by depth slabs: cross-entropy of composited probabilities over labelled pixels."""

    head: ClassVar[str | None] = "parts"
    target: ClassVar[str | None] = "parts"

    kind: Literal["splat_parts"] = "splat_parts"
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much more a pixel of a rare part counts: its weight is one over the part's share of the step's pixels to this
    power. 0: every pixel counts the same; 1: every part does."""

    def evaluate(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Mean cross-entropy over labelled pixels (B,V), in nats."""
        assert points.part_logits is not None
        views = shrink_views(pick_views(views, self.views), self.size)
        assert views.parts is not None
        coverage, mix = _composite(self, points, points.part_logits.softmax(-1), views, progress)
        probability = mix / coverage[..., None].clamp(min=0.05)
        labelled = views.parts > 0
        index = (views.parts.long() - 1).clamp(min=0)[..., None]
        picked = probability.gather(-1, index)[..., 0].clamp(1e-4, 1.0)
        # Pixels that the prediction does not cover say nothing about labels.
        weight = labelled * coverage.detach() * part_weights(index[..., 0], labelled, self.balance)
        return (-picked.log() * weight).sum((-1, -2)) / weight.sum((-1, -2)).clamp(min=1)


def part_weights(index: torch.Tensor, labelled: torch.Tensor, balance: float) -> torch.Tensor | float:
    """Weights of pixels, of their part's place `index` where `labelled`; their mean over labelled pixels is 1."""
    if balance == 0:
        return 1.0
    pixels = torch.bincount(index[labelled], minlength=int(index.max()) + 1).to(torch.float32)
    each = (pixels.sum() / pixels.clamp(min=1)) ** balance
    return (each * pixels.sum() / (each * pixels).sum().clamp(min=1))[index]


def _composite(
    term: SplatColor | SplatParts, points: Points, features: torch.Tensor, views: Views, progress: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coverage (B,V,H,W) and premultiplied features (B,V,H,W,C) of point features (B,N,C)."""
    batch, count, height, width = views.shape
    geometry = points if term.move_points else points.detach()
    seen = project(geometry, views, term.density_in(views))
    repeated = features.repeat_interleave(count, 0)
    sigma = term.sigma_at(progress, width)
    coverage, mix = splat_features(
        seen.uv_px, seen.depth, seen.tau, repeated, (height, width), sigma, term.slabs
    )
    return coverage.view(batch, count, height, width), mix.view(batch, count, height, width, -1)
