# SPDX-License-Identifier: Apache-2.0
"""From where an input was seen, for models whose cameras are known in training: rotation hypotheses with scores."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from ..methods.config import Config
from .pose import Representation, ring_starts, to_matrix


class ViewpointConfig(Config):
    """Rotations from the features of the input view, taught by its known camera; at test time the best scored."""

    hypotheses: Annotated[int, Field(ge=1, le=64)] = 4
    """Rotations per image. Each is an answer of its own: views that look alike from several sides have no mean."""
    weight: Annotated[float, Field(ge=0)] = 0.5
    """Factor of the rotations' term in the loss, sin^2 of half the angle to the camera's, up to the object's
    symmetry."""
    score_weight: Annotated[float, Field(ge=0)] = 0.1
    """Factor of the scores' term in the loss, their cross-entropy towards the nearest hypotheses."""
    score_temperature: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Sin^2 of half the angle by which a hypothesis may be further than the nearest and still share its score; 0: the
    nearest has it alone."""
    others: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the rotations' term that the hypotheses learn that are not the nearest, so that none is lost."""
    rotation: Literal["6d", "upright"] = "6d"
    """What the network puts out: "6d" is any rotation, "upright" has no roll."""


class ViewpointHeads(nn.Module):
    """Features (B,F), or more whose last columns these are, to K rotations and K scores by one small network.

    The rotations start in a ring around an upright object. One network for all costs a quarter of one for each.
    """

    def __init__(self, features: int, config: ViewpointConfig, hidden: int = 256) -> None:
        super().__init__()
        self.features, self.count = features, config.hypotheses
        self.representation: Representation = config.rotation
        self.layers = nn.Sequential(
            nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        starts = ring_starts(self.count, self.representation)  # (K, numbers)
        self.out = nn.Linear(hidden, self.count * (starts.shape[1] + 1))
        self.out.bias.data.copy_(torch.cat((starts, torch.zeros(self.count, 1)), 1).flatten())

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotations (B,K,3,3), object to camera, and the logits of their scores (B,K)."""
        numbers = self.out(self.layers(features[:, -self.features :])).unflatten(1, (self.count, -1))
        return to_matrix(numbers[..., :-1], self.representation), numbers[..., -1]


def best_rotation(hypotheses: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The rotation (B,3,3) of the highest score (B,K), out of hypotheses (B,K,3,3)."""
    best = scores.argmax(1)
    return hypotheses[torch.arange(len(best), device=best.device), best]
