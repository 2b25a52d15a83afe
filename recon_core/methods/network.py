# SPDX-License-Identifier: Apache-2.0
"""The network of a recipe: encoder, decoder and, where they are asked for, pose heads and a classifier."""

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from ..models.decoders import DecoderConfig, Head, PointDecoderConfig, Shape, make_decoder
from ..models.encoders import ConvEncoderConfig, EncoderConfig, make_encoder
from ..models.pose import PoseHeads, PoseNetConfig, Representation
from ..models.viewpoint import ViewpointConfig, ViewpointHeads
from .config import Config

# Heads that are no matter of the decoder.
_OF_FEATURES = ("category",)


class ModelConfig(Config):
    """Parts and sizes of the network."""

    encoder: EncoderConfig = ConvEncoderConfig()
    """Kind of image encoder, a bare name or a mapping with more fields; see `model.encoder`."""
    decoder: DecoderConfig = PointDecoderConfig()
    """Kind of decoder, a bare name or a mapping with more fields; see `model.decoder`."""
    pose_encoder: EncoderConfig | None = None
    """Poses from an encoder of their own, as large as the shape's; null: from the shape's features."""
    image_size: Literal[64, 128, 256] = 64
    """Input width and height in pixels."""
    sees: Literal["mask", "grey", "white", "black"] = "mask"
    """What the encoder sees: colours on grey and the mask as a fourth channel, or colours alone on a background."""
    width: Annotated[int, Field(ge=4, le=256, multiple_of=4)] = 32
    """Channels after the first convolution."""
    features: Annotated[int, Field(ge=16, le=4096)] = 512
    """Length of the feature vector."""
    hidden: Annotated[int, Field(ge=16, le=4096)] = 512
    """Width of the decoder's hidden layers."""
    points: Annotated[int, Field(ge=16, le=100_000)] = 2000
    """Points per cloud; of a mesh, points sampled on it where points are needed."""
    heads: tuple[Head, ...] = ("xyz", "opacity")
    """What is predicted for each point; `xyz` must be there, terms about colour need `color`, those about parts need
    `parts`. `occupancy_scale` is one number per cloud, for voxel terms; `category` is told once per image, of datasets
    with several."""

    @model_validator(mode="after")
    def _heads_fit_decoder(self) -> "ModelConfig":
        if "xyz" not in self.heads:
            raise ValueError("heads must name xyz")
        unknown = [head for head in self.heads if head not in (*self.decoder.heads, *_OF_FEATURES)]
        if unknown:
            has = ", ".join(self.decoder.heads)
            raise ValueError(f"the decoder {self.decoder.kind} has no head {unknown[0]!r}; it has {has}")
        return self

    @property
    def channels(self) -> int:
        """Channels of the images that the encoder sees."""
        return 4 if self.sees == "mask" else 3


_BACKGROUNDS = {"grey": 0.5, "white": 1.0, "black": 0.0}


class Network(nn.Module):
    """Images (B,4,S,S) to a shape and, when poses are learnt, rotations (B,3,3) from canonical to camera."""

    def __init__(
        self,
        config: ModelConfig,
        parts: int,
        hypotheses: int,
        rotation: Representation = "6d",
        pose_net: PoseNetConfig | None = None,
        *,
        viewpoint: ViewpointConfig | None = None,
        categories: int = 0,
    ) -> None:
        super().__init__()
        self.features, self.sees = config.features, config.sees
        sizes = (config.image_size, config.width, config.features, config.channels)
        self.encoder = make_encoder(config.encoder, *sizes)
        self.pose_encoder = make_encoder(config.pose_encoder, *sizes) if config.pose_encoder else None
        self.decoder = make_decoder(
            config.decoder, features=config.features, hidden=config.hidden, points=config.points,
            heads=config.heads, parts=parts, image_size=config.image_size, width=config.width,
            channels=config.channels,
        )  # fmt: skip
        self.pose = PoseHeads(config.features, hypotheses, rotation, config=pose_net) if hypotheses else None
        self.viewpoint = ViewpointHeads(config.features, viewpoint) if viewpoint else None
        tells = "category" in config.heads and categories > 1
        self.category = nn.Linear(config.features, categories) if tells else None

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Features (B,F) of composed images (B,4,S,S); with a pose encoder (B,2*F), its features last."""
        seen = self._look(images)
        features = self.encoder(seen)
        return features if self.pose_encoder is None else torch.cat((features, self.pose_encoder(seen)), 1)

    def decode(self, features: torch.Tensor, images: torch.Tensor) -> Shape:
        """Points or meshes of features that `encode` made of images (B,4,S,S)."""
        return self.decoder(features[:, : self.features], self._look(images))

    def categorise(self, features: torch.Tensor) -> torch.Tensor | None:
        """Logits (B,C) of the categories from features that `encode` made; None where they are not told apart."""
        return None if self.category is None else self.category(features[:, : self.features])

    def shape_of(self, images: torch.Tensor) -> Shape:
        """Points or meshes of composed images (B,4,S,S), without asking for poses."""
        seen = self._look(images)
        return self.decoder(self.encoder(seen), seen)

    def pose_of(self, images: torch.Tensor) -> torch.Tensor:
        """The pose used at test time (B,3,3) of composed images (B,4,S,S), without asking for shapes."""
        assert self.pose is not None
        return self.pose((self.pose_encoder or self.encoder)(self._look(images)))

    def forward(self, images: torch.Tensor) -> tuple[Shape, torch.Tensor | None]:
        """What is used at test time: points or meshes, and the student's pose or None."""
        features = self.encode(images)
        return self.decode(features, images), None if self.pose is None else self.pose(features)

    def _look(self, images: torch.Tensor) -> torch.Tensor:
        """What the network sees (B,4 or 3,S,S) of composed images (B,4,S,S): colours on mid grey, and the mask."""
        if self.sees == "mask":
            return images
        return images[:, :3] + (_BACKGROUNDS[self.sees] - 0.5) * (1 - images[:, 3:])
