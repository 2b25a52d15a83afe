# SPDX-License-Identifier: Apache-2.0
"""Terms without a renderer: DRWR's losses on projected points, and 2D projection matching."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field

from ...geometry.chamfer import Method
from ...losses.match2d import Sampler, mask_samples, match2d
from ...losses.projection import PRESETS, DrwrSettings, StopGrad, drwr_pair, drwr_unary
from ...pointcloud import Points
from ..config import linear
from .base import NonNegative, Positive, TermConfig, Views

Threshold = Annotated[float, Field(gt=0, le=1)]


class Drwr(TermConfig):
    """DRWR (Han et al., ICML 2020): points into the silhouette by its distance field, and apart from one another.

    All points count alike, whatever their opacity. A field left out is the preset's.
    """

    kind: Literal["drwr"] = "drwr"
    preset: Literal["stable", "paper"] = "stable"
    """Constants: ours, with which the truth stays where it is, or the published code's, with which it drifts apart."""
    unary_weight: NonNegative = 1.0
    """Weight of the distance field."""
    pair_weight: tuple[NonNegative, NonNegative] = (1.0, 1.0)
    """Weight of the repulsion at the start and the end of the run; [10, 1] spreads a clump of points faster."""
    coefficient: Positive | None = None
    """Strength of the repulsion, beside its weight: 0.03 in `stable`, 3 exp(3.5) in `paper`."""
    tau: Positive | None = None
    """Squared reach of the repulsion in pixels^2 of a mask 32 px wide (5); grows with the width."""
    ring: Annotated[int, Field(ge=0, le=64)] | None = None
    """Rings of pixels around a point that tell thick parts, where repulsion is stronger, from thin ones (5)."""
    stop_grad: StopGrad | None = None
    """What is held constant in the repulsion: both in `stable`, none in `paper`."""
    edge_step: NonNegative | None = None
    """What leaving the silhouette costs, however little (35/255)."""
    slope: Positive | None = None
    """What a distance of one image width costs (square root of 2)."""
    threshold: Threshold | None = None
    """Coverage from which a pixel is silhouette: 0.5 in `stable`, 0.6 in `paper`."""

    @property
    def constants(self) -> DrwrSettings:
        """The preset's, with what this term sets otherwise."""
        names = ("coefficient", "tau", "ring", "stop_grad", "edge_step", "slope", "threshold")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return replace(PRESETS[self.preset], **given)

    def evaluate(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V)."""
        uv_px, depth, masks = _projected(points, views)
        loss = masks.new_zeros(len(masks))
        if self.unary_weight:
            loss = loss + self.unary_weight * drwr_unary(uv_px, depth, masks, self.constants)
        pair_weight = linear(self.pair_weight, progress)
        if pair_weight:
            loss = loss + pair_weight * drwr_pair(uv_px, depth, masks, self.constants)
        return loss.view(views.shape[:2])


class Match2d(TermConfig):
    """2D projection matching (Chen et al., ICCV 2021): Chamfer distance of projections and samples of the silhouette.

    Squared distances in image widths: values are about 1e-4 to 1e-3. All points count alike, whatever their opacity.
    """

    kind: Literal["match2d"] = "match2d"
    samples: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Samples of each silhouette; the published code takes 5000."""
    sampler: Sampler = "adaptive"
    """Even over the silhouette (the paper's structure-adaptive sampling), pixel by pixel, or at random."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the samples, which are the same all through a run."""
    threshold: Threshold = 0.5
    """Coverage from which a pixel is silhouette."""
    search: Method = "auto"
    """How nearest neighbours are found: k-d trees on the CPU, blocks of all pairs on any device, or the faster."""

    def evaluate(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V)."""
        uv_px, depth, masks = _projected(points, views)
        samples_px = mask_samples(
            masks, self.samples, sampler=self.sampler, seed=self.seed, threshold=self.threshold
        )
        return match2d(uv_px, depth, samples_px, masks.shape[-1], search=self.search).view(views.shape[:2])


def _projected(points: Points, views: Views) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Each object's points in each of its views: uv_px (B*V,N,2), depth (B*V,N), and masks (B*V,H,W)."""
    uv_px, depth = views.cameras.project(points.xyz.repeat_interleave(views.shape[1], 0))
    return uv_px, depth, views.masks.flatten(0, 1)
