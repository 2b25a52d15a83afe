# SPDX-License-Identifier: Apache-2.0
"""DPC's decoder (Insafutdinov and Dosovitskiy, NeurIPS 2018): linear layers from the features to all points at once."""

import math

import torch
from torch import nn

from ..pointcloud import Points

# Spread of the last layer's weights for 1,024 inputs; fewer inputs get more, so that points start as far apart.
_STD = 0.025


class DpcDecoder(nn.Module):
    """Features (B,F) to N points within half a unit of the origin, with a colour, parts and a scale where asked for.

    The shape code ("ids") is the encoder's third layer in DPC; part logits, which DPC has not, are made as colours are.
    """

    def __init__(self, features: int, points: int, heads: tuple[str, ...], parts: int, hidden: int) -> None:
        super().__init__()
        self.points = points
        self.ids = nn.Linear(features, hidden)
        nn.init.kaiming_normal_(self.ids.weight, nonlinearity="relu")
        nn.init.zeros_(self.ids.bias)
        widths = {"xyz": 3 * points, "color": 3 * points, "parts": parts * points, "occupancy_scale": 1}
        self.heads = nn.ModuleDict({head: _linear(hidden, widths[head]) for head in heads})

    def forward(self, features: torch.Tensor, images: torch.Tensor) -> Points:
        """Points of features (B,F); the images have no say of their own."""
        ids = nn.functional.leaky_relu(self.ids(features), 0.2)
        out = {name: head(ids) for name, head in self.heads.items()}
        each = {
            name: value.unflatten(1, (self.points, -1))
            for name, value in out.items()
            if name != "occupancy_scale"
        }
        return Points(
            torch.tanh(each["xyz"]) / 2,
            color=torch.sigmoid(each["color"]) if "color" in each else None,
            part_logits=each.get("parts"),
            occupancy_scale=torch.sigmoid(out["occupancy_scale"]) if "occupancy_scale" in out else None,
        )


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """A last layer: weights from a truncated normal, no bias at the start."""
    layer = nn.Linear(inputs, outputs)
    std = _STD * math.sqrt(1024 / inputs)
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    nn.init.zeros_(layer.bias)
    return layer
