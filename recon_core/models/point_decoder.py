# SPDX-License-Identifier: Apache-2.0
"""Point decoder: a feature vector to positions, opacity, colour and part logits."""

import torch
from torch import nn

from ..pointcloud import Points

# Objects have a bounding-box diagonal of 1, so every coordinate lies within half a unit (and a margin for poses
# whose canonical frame is not aligned with the box).
HALF_EXTENT = 0.6


class PointDecoder(nn.Module):
    """Features (B,F) to Points of N points with the given heads out of xyz, opacity, color, parts."""

    def __init__(self, features: int, points: int, heads: tuple[str, ...], parts: int, hidden: int) -> None:
        super().__init__()
        self.points, self.parts = points, parts
        self.trunk = nn.Sequential(nn.Linear(features, hidden), nn.SiLU())
        widths = {"xyz": 3, "opacity": 1, "color": 3, "parts": parts}
        self.heads = nn.ModuleDict({head: nn.Linear(hidden, points * widths[head]) for head in heads})
        self._start(points)

    def _start(self, points: int) -> None:
        """Start from one cloud for every input: a Gaussian ball, small dependence on the features."""
        generator = torch.Generator().manual_seed(0)
        for name, head in self.heads.items():
            nn.init.normal_(head.weight, std=0.01, generator=generator)
            nn.init.zeros_(head.bias)
            if name == "xyz":
                ball = torch.randn(points, 3, generator=generator).clamp(-2, 2) * 0.25
                head.bias.data.copy_(ball.flatten())
            elif name == "opacity":
                head.bias.data.fill_(0.0)

    def forward(self, features: torch.Tensor) -> Points:
        """Points of a batch of features (B,F)."""
        hidden = self.trunk(features)
        out = {name: head(hidden).unflatten(1, (self.points, -1)) for name, head in self.heads.items()}
        xyz = torch.tanh(out["xyz"]) * HALF_EXTENT
        opacity = torch.sigmoid(out["opacity"][..., 0]) if "opacity" in out else None
        color = torch.sigmoid(out["color"]) if "color" in out else None
        return Points(xyz, opacity, color, out.get("parts"))
