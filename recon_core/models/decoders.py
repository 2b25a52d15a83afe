# SPDX-License-Identifier: Apache-2.0
"""Decoders by name: a feature vector to points or to a mesh, and which heads each of them has."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import nn

from ..methods.config import Config
from ..pointcloud import Points
from .differ_decoder import CapnetDecoder, DifferDecoder
from .dpc_decoder import DpcDecoder
from .encoders import by_name
from .mesh_decoder import MeshDecoder, MeshPrediction, Normalization
from .point_decoder import Attributes, PointDecoder

Shape = Points | MeshPrediction
Head = Literal["xyz", "opacity", "color", "parts", "occupancy_scale", "category"]


class _DecoderConfig(Config):
    heads: ClassVar[tuple[str, ...]] = ("xyz",)
    """The heads that this decoder can have."""
    makes: ClassVar[Literal["points", "mesh"]] = "points"


class PointDecoderConfig(_DecoderConfig):
    """Ours: points that start as a ball, with opacity, a palette of colours and part logits."""

    heads: ClassVar[tuple[str, ...]] = ("xyz", "opacity", "color", "parts", "occupancy_scale")
    kind: Literal["points"] = "points"
    attributes: Attributes = "table"
    """Colours and parts from numbers of each point's own (`table`), or from a function of the position and the features
    that all points share (`field`)."""
    pairs: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the points that come in pairs, left and right of the object's plane X = 0; for known cameras and objects
    that face -Y."""


class DpcDecoderConfig(_DecoderConfig):
    """DPC's: two linear layers to points, colours and a learnt scale of occupancies; hidden 1024 there."""

    heads: ClassVar[tuple[str, ...]] = ("xyz", "color", "parts", "occupancy_scale")
    kind: Literal["dpc"] = "dpc"


class CapnetDecoderConfig(_DecoderConfig):
    """CAPNet's: two hidden layers, positions alone; hidden 256 there."""

    kind: Literal["capnet"] = "capnet"


class DifferDecoderConfig(_DecoderConfig):
    """DIFFER's: one linear layer to positions; colours and parts from branches of their own that see the image; hidden
    128 there."""

    heads: ClassVar[tuple[str, ...]] = ("xyz", "color", "parts")
    kind: Literal["differ"] = "differ"


class MeshDecoderConfig(_DecoderConfig):
    """DIB-R's: moves and colours the vertices of a sphere; hidden 512 there. `model.points` are sampled on it."""

    heads: ClassVar[tuple[str, ...]] = ("xyz", "color")
    makes: ClassVar[Literal["points", "mesh"]] = "mesh"
    kind: Literal["mesh"] = "mesh"
    subdivisions: Annotated[int, Field(ge=1, le=5)] = 3
    """Of an icosahedron: 2 gives 162 vertices, 3 gives 642 (DIB-R), 4 gives 2,562."""
    blocks: Annotated[int, Field(ge=1, le=16)] = 5
    """Residual blocks per vertex."""
    normalization: Normalization = "diagonal"
    """How meshes are brought to size: bounding-box diagonal 1 as all objects here, longest half extent 0.5 as the
    released code, or not at all."""
    texture_size: Annotated[int, Field(ge=8, le=1024)] | None = None
    """Texels per side, a power of two, of a texture instead of vertex colours."""
    position_scale: Annotated[float, Field(gt=0)] = 1.0
    """Factor on the sphere's positions before the first layer; its radius is 0.19, so 5 makes it a unit sphere, and
    shapes other than ellipsoids are found sooner. Released code: 1."""
    offset_scale: Annotated[float, Field(ge=0)] = 0.0
    """Factor on the offsets at the start, learnt from there. Released code: 0."""
    light: bool = False
    """Whether a light (9 spherical harmonics) is predicted from the image, too."""


DecoderConfig = Annotated[
    Annotated[
        PointDecoderConfig | DpcDecoderConfig | CapnetDecoderConfig | DifferDecoderConfig | MeshDecoderConfig,
        Field(discriminator="kind"),
    ],
    BeforeValidator(by_name),
]


def make_decoder(
    config: DecoderConfig,
    *,
    features: int,
    hidden: int,
    points: int,
    heads: tuple[str, ...],
    parts: int,
    image_size: int,
    width: int,
    channels: int,
) -> nn.Module:
    """The decoder of a configuration: features (B,F) and images (B,channels,S,S) to a shape."""
    if isinstance(config, MeshDecoderConfig):
        return MeshFromFeatures(config, features, hidden)
    if isinstance(config, DifferDecoderConfig):
        return DifferDecoder(features, points, heads, parts, hidden, (image_size, width, channels))
    if isinstance(config, CapnetDecoderConfig):
        return CapnetDecoder(features, points, hidden)
    if isinstance(config, DpcDecoderConfig):
        return DpcDecoder(features, points, heads, parts, hidden)
    return PointDecoder(features, points, heads, parts, hidden, config.attributes, config.pairs)


class MeshFromFeatures(nn.Module):
    """The mesh decoder as the other decoders are called."""

    def __init__(self, config: MeshDecoderConfig, features: int, hidden: int) -> None:
        super().__init__()
        self.mesh = MeshDecoder(
            features,
            hidden,
            config.blocks,
            config.subdivisions,
            config.normalization,
            config.texture_size,
            config.light,
            position_scale=config.position_scale,
            offset_scale=config.offset_scale,
        )

    def forward(self, features: torch.Tensor, images: torch.Tensor) -> MeshPrediction:
        """Meshes of features (B,F); the images have no say of their own."""
        return self.mesh(features)
