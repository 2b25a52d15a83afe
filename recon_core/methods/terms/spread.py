# SPDX-License-Identifier: Apache-2.0
"""Our prior on clouds: points repel one another in space."""

from typing import Annotated, Literal

import torch
from pydantic import Field

from ...errors import ConfigError
from ...losses.spread import repulsion_energy
from ...pointcloud import Points
from ..config import linear
from .base import NonNegative, Positive, Scene, TermConfig, Views


class Spread(TermConfig):
    """Points repel one another like charges: they leave the inside of objects for their surfaces, and spread evenly."""

    kind: Literal["spread"] = "spread"
    strength: tuple[NonNegative, NonNegative] = (1.0, 1.0)
    """Factor at the start and the end of the run."""
    sample: Annotated[int, Field(ge=2)] = 512
    """Points, drawn anew for each step, whose pairs are looked at; all when there are fewer."""
    softening: Positive = 0.02
    """Distance, in object units, below which the force no longer grows."""

    def evaluate(self, shape: Points, views: Views, progress: float) -> torch.Tensor:
        """Energy (B,V) of all points, the same for every view."""
        factor = linear(self.strength, progress)
        return factor * repulsion_energy(shape.xyz, self.softening)[:, None].expand(-1, views.masks.shape[1])

    def evaluate_scene(self, scene: Scene) -> torch.Tensor:
        """Energy (B,V) of a random part of the points."""
        if not isinstance(scene.shape, Points):
            raise ConfigError("The term spread is about points; this recipe's decoder makes a mesh.")
        points = scene.shape.xyz.shape[1]
        drawn = torch.randperm(points, generator=scene.generator)[: self.sample].to(scene.shape.xyz.device)
        return self.evaluate(Points(scene.shape.xyz[:, drawn]), scene.views, scene.progress)
