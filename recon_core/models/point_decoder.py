# SPDX-License-Identifier: Apache-2.0
"""Point decoder: a feature vector to positions, opacity, colour and part logits."""

import math
from typing import Literal

import torch
from torch import nn

from ..pointcloud import Points

# Objects have a bounding-box diagonal of 1, so every coordinate lies within half a unit (and a margin for poses
# whose canonical frame is not aligned with the box).
HALF_EXTENT = 0.6


# Colours of one object: a few, mixed at each point.
PALETTE = 4

Attributes = Literal["table", "field", "film"]


class PointDecoder(nn.Module):
    """Features (B,F) to Points of N points with the given heads out of xyz, opacity, color, parts.

    Colours are not regressed point by point: the features choose a small palette around the mean colour of the input's
    object, and each point mixes it. A colour that no training object had is then still the object's colour.

    attributes: where colours and parts come from. `table`: numbers of each point's own, one linear layer. `field`: a
    function of the position and the features that all points share, so that what is seen at one point is learnt for its
    neighbours, and points that move take the label of where they are. `film`: such a field, finer and wider, in which
    the features scale what each position says, not only shift it.

    pairs: share of the points that come in pairs, left and right of the plane X = 0: what one view shows of one side is
    learnt for the other. Objects must face -Y in training. The others are free, for what is not symmetric.
    """

    def __init__(
        self,
        features: int,
        points: int,
        heads: tuple[str, ...],
        parts: int,
        hidden: int,
        attributes: Attributes = "table",
        pairs: float = 0.0,
    ) -> None:
        super().__init__()
        self.mirrored = round(points * pairs / 2)  # the first so many points have a twin, at the end
        self.made, self.parts = points - self.mirrored, parts
        self.trunk = nn.Sequential(nn.Linear(features, hidden), nn.SiLU())
        widths = {"xyz": 3, "opacity": 1, "color": PALETTE, "parts": parts}
        each = [head for head in heads if head in widths]
        in_field = [head for head in each if head in ("color", "parts") and attributes != "table"]
        self.field_widths = {head: widths[head] for head in in_field}
        numbers = sum(self.field_widths.values())
        self.field = AttributeField(hidden, numbers, attributes == "film") if in_field else None
        each = [head for head in each if head not in in_field]
        self.heads = nn.ModuleDict({head: nn.Linear(hidden, self.made * widths[head]) for head in each})
        self.scale = nn.Linear(hidden, 1) if "occupancy_scale" in heads else None
        self.palette = nn.Linear(hidden, PALETTE * 3) if "color" in heads else None
        self._start(self.made)

    def _start(self, points: int) -> None:
        """Start from one cloud for every input: a Gaussian ball, small dependence on the features."""
        generator = torch.Generator().manual_seed(0)
        for name, head in self.heads.items():
            assert isinstance(head, nn.Linear)
            nn.init.normal_(head.weight, std=0.01, generator=generator)
            nn.init.zeros_(head.bias)
            if name == "xyz":
                ball = torch.randn(points, 3, generator=generator).clamp(-2, 2) * 0.25
                head.bias.data.copy_(ball.flatten())

    def forward(self, features: torch.Tensor, images: torch.Tensor) -> Points:
        """Points of a batch of features (B,F) that the encoder made of images (B,4,S,S) or without mask (B,3,S,S)."""
        hidden = self.trunk(features)
        out = {name: head(hidden).unflatten(1, (self.made, -1)) for name, head in self.heads.items()}
        if self.mirrored:
            out = {name: self._with_twins(values, name == "xyz") for name, values in out.items()}
        xyz = torch.tanh(out["xyz"]) * HALF_EXTENT
        if self.field is not None:
            values = self.field(xyz.detach(), hidden).split(list(self.field_widths.values()), -1)
            out |= dict(zip(self.field_widths, values))
        opacity = torch.sigmoid(out["opacity"][..., 0]) if "opacity" in out else None
        color = self._color(hidden, mean_object_color(images), out["color"]) if "color" in out else None
        scale = None if self.scale is None else torch.sigmoid(self.scale(hidden))
        return Points(xyz, opacity, color, out.get("parts"), scale)

    def _with_twins(self, values: torch.Tensor, is_position: bool) -> torch.Tensor:
        """Numbers (B,N,K) of all points, from those (B,M,K) that are made."""
        twins = values[:, : self.mirrored]
        if is_position:
            twins = torch.cat((-twins[..., :1], twins[..., 1:]), -1)
        return torch.cat((values, twins), 1)

    def _color(self, hidden: torch.Tensor, mean_color: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Mix the palette, offsets from the mean colour on the logit scale, at every point: (B,N,3)."""
        assert self.palette is not None
        offsets = self.palette(hidden).unflatten(1, (PALETTE, 3))
        palette = torch.sigmoid(torch.logit(mean_color, eps=0.02)[:, None] + offsets)  # (B, PALETTE, 3)
        return logits.softmax(-1) @ palette


class AttributeField(nn.Module):
    """Numbers (B,N,K) at positions (B,N,3) of objects with features (B,F): two layers over sines of the position.

    Sines and cosines have up to 4 periods over the object. Modulated, they have up to 8, and the features scale
    the first layer as well as shift it (FiLM: Perez et al., AAAI 2018).
    """

    frequencies: torch.Tensor

    def __init__(self, features: int, numbers: int, modulated: bool = False) -> None:
        super().__init__()
        octaves, width = (4, 64) if modulated else (3, 48)
        frequencies = math.pi / HALF_EXTENT * 2.0 ** torch.arange(octaves)
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.modulated = modulated
        self.place = nn.Linear(3 + 6 * octaves, width)
        self.object = nn.Linear(features, 2 * width if modulated else width)
        self.layer = nn.Linear(width, width)
        self.out = nn.Linear(width, numbers)

    def forward(self, xyz: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Values at every position."""
        waves = (xyz[..., None] * self.frequencies).flatten(2)  # (B, N, 3 * octaves)
        place = torch.cat((xyz / HALF_EXTENT, waves.sin(), waves.cos()), -1)
        shift, first = self.object(features)[:, None], self.place(place)
        if self.modulated:
            scale, shift = shift.chunk(2, -1)
            first = first * (1 + scale)
        hidden = nn.functional.silu(first + shift)
        return self.out(nn.functional.silu(self.layer(hidden)))


def mean_object_color(images: torch.Tensor) -> torch.Tensor:
    """Mean colour (B,3) under the mask of inputs (B,4,S,S); mid grey where the mask is empty.

    Images without a mask (B,3,S,S) give the mean over all their pixels.
    """
    mask = images[:, 3:] if images.shape[1] == 4 else torch.ones_like(images[:, :1])
    total = mask.sum((-1, -2))  # (B, 1)
    mean = (images[:, :3] * mask).sum((-1, -2)) / total.clamp(min=1e-6)
    return torch.where(total > 0.5, mean, torch.full_like(mean, 0.5))
