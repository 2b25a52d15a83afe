# SPDX-License-Identifier: Apache-2.0
"""Decoders of CAPNet (Navaneet et al., AAAI 2019) and DIFFER (Navaneet et al., CVPRW 2019): features to 1,024 points.

Both put out positions by linear layers. Their last layer starts with a spread of 0.02, so all points start in a clump
at the origin; `SPREAD` adds a fixed ball to it, which the layer may unlearn (the published start is a spread of 0).
"""

import torch
from torch import nn

from ..pointcloud import Points
from .encoders import he_start, three_layers
from .same_padding import SameConv2d

# Standard deviation of the ball of points at the start, object units.
SPREAD = 0.15


class CapnetDecoder(nn.Module):
    """Features (B,F) to N points: two hidden layers with ReLU, a linear one, tanh. No other heads."""

    def __init__(self, features: int, points: int, hidden: int) -> None:
        super().__init__()
        self.points = points
        self.layers = nn.Sequential(
            nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        he_start(self)
        self.out = last_layer(hidden, points, 3, SPREAD)

    def forward(self, features: torch.Tensor, images: torch.Tensor) -> Points:
        """Points of features (B,F); the images have no say of their own."""
        return Points(torch.tanh(self.out(self.layers(features)).unflatten(1, (self.points, 3))))


class DifferDecoder(nn.Module):
    """Features (B,F) to N points by one linear layer, without tanh; colours and part logits by branches of their own.

    A branch convolves the image again, and joins what it finds with the features. DIFFER's code has the one for colour;
    the one for parts, which was never released, is made alike.
    """

    def __init__(
        self,
        features: int,
        points: int,
        heads: tuple[str, ...],
        parts: int,
        hidden: int,
        image: tuple[int, int, int],
    ) -> None:
        """image: size, width (channels after the first convolution) and channels of the images."""
        super().__init__()
        self.points = points
        self.xyz = last_layer(features, points, 3, SPREAD)
        widths = {"color": 3, "parts": parts}
        self.branches = nn.ModuleDict(
            {head: _Branch(features, hidden, points, widths[head], image) for head in heads if head != "xyz"}
        )

    def forward(self, features: torch.Tensor, images: torch.Tensor) -> Points:
        """Points of features (B,F) that the encoder made of images (B,C,S,S)."""
        xyz = self.xyz(features).unflatten(1, (self.points, 3))
        out = {name: branch(features, images) for name, branch in self.branches.items()}
        color = torch.sigmoid(out["color"]) if "color" in out else None
        return Points(xyz, color=color, part_logits=out.get("parts"))


class _Branch(nn.Module):
    """Numbers (B,N,K) per point from the image and the shape's features."""

    def __init__(
        self, features: int, hidden: int, points: int, numbers: int, image: tuple[int, int, int]
    ) -> None:
        super().__init__()
        size, width, channels = image
        self.points = points
        self.convolutions = nn.Sequential(
            SameConv2d(channels, width, 3, 2), nn.ReLU(), SameConv2d(width, 2 * width, 3, 2), nn.ReLU()
        )
        self.layers = three_layers(2 * width * (size // 4) ** 2, hidden)
        self.joined = nn.Linear(hidden + features, hidden)
        he_start(self)
        self.out = last_layer(hidden, points, numbers)

    def forward(self, features: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        seen = self.layers(self.convolutions(images * 2 - 1).flatten(1))
        hidden = torch.relu(self.joined(torch.cat((seen, features), 1)))
        return self.out(hidden).unflatten(1, (self.points, -1))


def last_layer(inputs: int, points: int, numbers: int, spread: float = 0.0) -> nn.Linear:
    """A linear layer to `numbers` per point: weights from a truncated normal of 0.02, biases a ball of this spread."""
    layer = nn.Linear(inputs, points * numbers)
    nn.init.trunc_normal_(layer.weight, std=0.02, a=-0.04, b=0.04)
    nn.init.trunc_normal_(layer.bias, std=1.0, a=-2.0, b=2.0)
    with torch.no_grad():
        layer.bias.mul_(spread)
    return layer
