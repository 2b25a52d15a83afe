# SPDX-License-Identifier: Apache-2.0
"""Supervision terms: each compares predicted points with the views of an object, unreduced (B,V)."""

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn.functional import avg_pool2d

from ..cameras import Cameras
from ..losses.silhouette import silhouette_loss
from ..pointcloud import Points
from ..renderers.splat import optical_depth, splat_features, splat_mask
from .config import Config, geometric

Positive = Annotated[float, Field(gt=0)]


@dataclass
class Views:
    """What V views of B objects show, and the cameras (B*V) they were taken with."""

    cameras: Cameras  # B * V
    masks: torch.Tensor  # (B, V, H, W) coverage in [0, 1]
    images: torch.Tensor | None = None  # (B, V, H, W, 3) straight sRGB in [0, 1]
    parts: torch.Tensor | None = None  # (B, V, H, W) ids, 0 = background

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, V, H, W."""
        batch, views, height, width = self.masks.shape
        return batch, views, height, width


@dataclass
class Projected:
    """Points seen by every view: uv_px (B*V,N,2), depth and tau (B*V,N)."""

    uv_px: torch.Tensor
    depth: torch.Tensor
    tau: torch.Tensor


def project(points: Points, views: Views, density: float) -> Projected:
    """Project each object's points into its own views; tau is scaled for this number of points and image size."""
    _, count, height, width = views.shape
    xyz = points.xyz.repeat_interleave(count, 0)  # (B*V, N, 3)
    uv_px, depth = views.cameras.project(xyz)
    opacity = points.xyz.new_ones(points.xyz.shape[:2]) if points.opacity is None else points.opacity
    tau = optical_depth(opacity, (height, width), density).repeat_interleave(count, 0)
    return Projected(uv_px, depth, tau)


class _SplatTerm(Config):
    weight: Positive = 1.0
    sigma_px: tuple[Positive, Positive] = (3.0, 0.7)
    """Splat width at the start and the end of the run, in pixels of the supervision masks at 64 px."""
    density: Positive = 1.5
    """Optical depth of the frame if points of opacity 1 filled it evenly."""

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
        seen = project(points, views, self.density)
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

    kind: Literal["splat_parts"] = "splat_parts"

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
        weight = labelled * coverage.detach()
        return (-picked.log() * weight).sum((-1, -2)) / weight.sum((-1, -2)).clamp(min=1)


def pick_views(views: Views, count: int) -> Views:
    """At most `count` of the V views of every object, spread evenly: the first is the input's, the last another."""
    batch, total, _, _ = views.shape
    if count >= total:
        return views
    kept = torch.linspace(0, total - 1, count).round().long() if count > 1 else torch.tensor([total - 1])
    rows = (torch.arange(batch)[:, None] * total + kept).flatten().to(views.masks.device)
    kept = kept.to(views.masks.device)
    images = None if views.images is None else views.images[:, kept]
    parts = None if views.parts is None else views.parts[:, kept]
    return Views(views.cameras[rows], views.masks[:, kept], images, parts)


def shrink_views(views: Views, size: int) -> Views:
    """Views averaged down to `size` pixels when they are larger by a whole factor; parts keep every n-th id."""
    _, _, height, width = views.shape
    factor = width // size
    if factor < 2 or width % factor or height % factor:
        return views
    masks = avg_pool2d(views.masks, factor)
    images = None
    if views.images is not None:
        mixed = avg_pool2d((views.images * views.masks[..., None]).movedim(-1, 2).flatten(0, 1), factor)
        images = mixed.unflatten(0, views.shape[:2]).movedim(2, -1) / masks[..., None].clamp(min=1e-3)
    parts = None if views.parts is None else views.parts[..., factor // 2 :: factor, factor // 2 :: factor]
    return Views(views.cameras.resized(width // factor, height // factor), masks, images, parts)


def _composite(
    term: SplatColor | SplatParts, points: Points, features: torch.Tensor, views: Views, progress: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coverage (B,V,H,W) and premultiplied features (B,V,H,W,C) of point features (B,N,C)."""
    batch, count, height, width = views.shape
    geometry = points if term.move_points else points.map(torch.Tensor.detach)
    seen = project(geometry, views, term.density)
    repeated = features.repeat_interleave(count, 0)
    sigma = term.sigma_at(progress, width)
    coverage, mix = splat_features(
        seen.uv_px, seen.depth, seen.tau, repeated, (height, width), sigma, term.slabs
    )
    return coverage.view(batch, count, height, width), mix.view(batch, count, height, width, -1)


Term = Annotated[SplatMask | SplatColor | SplatParts, Field(discriminator="kind")]
