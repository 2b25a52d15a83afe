# SPDX-License-Identifier: Apache-2.0
"""The network of a recipe: encoder, point decoder and, where poses are learnt, pose heads."""

from typing import Annotated, Literal

import torch
from pydantic import Field, field_validator
from torch import nn

from ..models.encoders import ConvEncoder
from ..models.point_decoder import PointDecoder, mean_object_color
from ..models.pose import PoseHeads, Representation
from ..pointcloud import Points
from .config import Config

Head = Literal["xyz", "opacity", "color", "parts"]


class ModelConfig(Config):
    """Sizes of the network."""

    encoder: Literal["conv"] = "conv"
    image_size: Literal[64, 128, 256] = 64
    """Input width and height in pixels."""
    width: Annotated[int, Field(ge=4, le=256, multiple_of=4)] = 32
    """Channels after the first convolution."""
    features: Annotated[int, Field(ge=16, le=4096)] = 512
    hidden: Annotated[int, Field(ge=16, le=4096)] = 512
    points: Annotated[int, Field(ge=16, le=100_000)] = 2000
    heads: tuple[Head, ...] = ("xyz", "opacity")

    @field_validator("heads")
    @classmethod
    def _has_positions(cls, heads: tuple[Head, ...]) -> tuple[Head, ...]:
        if "xyz" not in heads:
            raise ValueError("heads must name xyz")
        return heads


class Network(nn.Module):
    """Images (B,4,S,S) to Points and, when poses are learnt, rotations (B,3,3) from canonical to camera."""

    def __init__(
        self, config: ModelConfig, parts: int, hypotheses: int, rotation: Representation = "6d"
    ) -> None:
        super().__init__()
        self.encoder = ConvEncoder(config.image_size, config.width, config.features)
        self.decoder = PointDecoder(config.features, config.points, config.heads, parts, config.hidden)
        self.pose = PoseHeads(config.features, hypotheses, rotation) if hypotheses else None

    def decode(self, features: torch.Tensor, images: torch.Tensor) -> Points:
        """Points of features (B,F) that the encoder made of images (B,4,S,S)."""
        return self.decoder(features, mean_object_color(images))

    def forward(self, images: torch.Tensor) -> tuple[Points, torch.Tensor | None]:
        """What is used at test time: points, and the student's pose or None."""
        features = self.encoder(images)
        return self.decode(features, images), None if self.pose is None else self.pose(features)
