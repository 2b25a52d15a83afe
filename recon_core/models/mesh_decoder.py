# SPDX-License-Identifier: Apache-2.0
"""Mesh decoder of DIB-R: a feature vector moves and colours the vertices of a sphere.

Chen et al., DIB-R, NeurIPS 2019, in the form of its released single-image code: a network per vertex
(the template's position in, an offset and a colour out) that the image's feature enters before every residual block.
Vertices are template + s * offset, s learnt and 0 at the start (there), so the first mesh is the sphere; then the mesh
is centred and scaled. The texture and light branches follow the paper; no code of theirs was released.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from ..errors import ConfigError
from ..mesh import Meshes, icosphere

# The released code's template: an icosphere of radius 0.5, scaled by 0.35 / 0.45 * 0.5.
TEMPLATE_RADIUS = 0.5 * 0.35 / 0.45 * 0.5

Normalization = Literal["diagonal", "half_extent", "none"]


@dataclass
class MeshPrediction:
    """What the decoder gives: meshes in the object frame, and what the losses ask for."""

    meshes: Meshes
    offsets: torch.Tensor  # (B, V, 3) before the learnt scale: DIB-R's Laplacian is taken on these
    light: torch.Tensor | None  # (B, 9) spherical harmonics, when the light branch is there


class MeshDecoder(nn.Module):
    """Features (B,F) to a coloured mesh of 642 vertices; sizes default to the released code's (3.3 M weights)."""

    def __init__(
        self,
        features: int = 256,
        hidden: int = 512,
        blocks: int = 5,
        subdivisions: int = 3,
        normalization: Normalization = "diagonal",
        texture_size: int | None = None,
        light: bool = False,
        *,
        position_scale: float = 1.0,
        offset_scale: float = 0.0,
    ) -> None:
        """normalization: see normalized. texture_size: texels per side (a power of two) instead of vertex colours.

        position_scale: of the template's positions as the network sees them; more makes neighbours differ sooner.
        offset_scale: s at the start.
        """
        super().__init__()
        template = icosphere(subdivisions, TEMPLATE_RADIUS)
        assert template.uv is not None
        assert template.uv_faces is not None
        self.register_buffer("template", template.vertices[0], persistent=False)
        self.register_buffer("faces", template.faces, persistent=False)
        self.register_buffer("uv", template.uv[0], persistent=False)
        self.register_buffer("uv_faces", template.uv_faces, persistent=False)
        self.normalization: Normalization = normalization
        self.start = nn.Linear(3, hidden)
        self.condition = nn.ModuleList(nn.Linear(features, hidden) for _ in range(blocks))
        self.blocks = nn.ModuleList(ResidualBlock(hidden) for _ in range(blocks))
        self.out = nn.Linear(hidden, 6)
        self.offset_scale = nn.Parameter(torch.tensor(float(offset_scale)))
        self.position_scale = position_scale
        self.texture = TextureDecoder(features, texture_size) if texture_size else None
        self.light = LightHead(features) if light else None

    def forward(self, features: torch.Tensor) -> MeshPrediction:
        """Meshes of a batch of features (B,F)."""
        template = self._buffer("template")
        hidden = self.start(template * self.position_scale)[None]  # (1, V, hidden)
        for condition, block in zip(self.condition, self.blocks):
            hidden = block(hidden + condition(features)[:, None])
        color, offsets = self.out(nn.functional.leaky_relu(hidden, 0.2)).split(3, -1)
        vertices = normalized(template + self.offset_scale * offsets, self.normalization)
        light = None if self.light is None else self.light(features)
        if self.texture is None:
            meshes = Meshes(vertices, self._buffer("faces"), torch.sigmoid(color))
        else:
            uv = self._buffer("uv").expand(len(features), -1, -1)
            meshes = Meshes(
                vertices, self._buffer("faces"), None, uv, self._buffer("uv_faces"), self.texture(features)
            )
        return MeshPrediction(meshes, offsets, light)

    def _buffer(self, name: str) -> torch.Tensor:
        return self.get_buffer(name)


def small_mesh_decoder(
    features: int = 256,
    normalization: Normalization = "diagonal",
    texture_size: int | None = None,
    light: bool = False,
) -> MeshDecoder:
    """A decoder for trying things on a CPU: 162 vertices, 320 faces, a sixteenth of the weights."""
    return MeshDecoder(features, 128, 3, 2, normalization, texture_size, light)


def normalized(vertices: torch.Tensor, how: Normalization) -> torch.Tensor:
    """Centre the bounding box of vertices (B,V,3) and scale it: diagonal 1 (this library's object frame), or longest
    half extent 0.5 (the released code's); "none" leaves them.
    """
    if how == "none":
        return vertices
    low, high = vertices.amin(1, keepdim=True), vertices.amax(1, keepdim=True)
    extent = high - low
    size = extent.norm(dim=-1, keepdim=True) if how == "diagonal" else extent.amax(-1, keepdim=True)
    return (vertices - (low + high) / 2) / size.clamp(min=1e-6)


class ResidualBlock(nn.Module):
    """x + a W1 relu(W0 relu(x)), W1 zero and a 1 at the start, a learnt."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.second.weight)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Values (...,width) to the same shape."""
        inner = self.first(torch.relu(values))
        return values + self.scale * self.second(torch.relu(inner))


class TextureDecoder(nn.Module):
    """Features (B,F) to a texture (B,S,S,3) in [0,1] for the sphere's coordinates.

    Doubled from 4x4 by nearest neighbours and convolutions that wrap around in u, as the sphere does: no seam.
    """

    def __init__(self, features: int, size: int, width: int = 128) -> None:
        super().__init__()
        if size < 8 or size & (size - 1):
            raise ConfigError(f"texture_size must be a power of two of at least 8, got {size}.")
        stages = int(math.log2(size)) - 2
        widths = [max(width >> stage, 16) for stage in range(stages + 1)]
        self.start = nn.Linear(features, widths[0] * 16)
        self.stages = nn.ModuleList(nn.Conv2d(a, b, 3) for a, b in itertools.pairwise(widths))
        self.out = nn.Conv2d(widths[-1], 3, 3)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Textures (B,S,S,3), row 0 on top."""
        image = nn.functional.silu(self.start(features)).unflatten(1, (-1, 4, 4))
        for stage in self.stages:
            image = nn.functional.interpolate(image, scale_factor=2, mode="nearest")
            image = nn.functional.silu(stage(_around(image)))
        return torch.sigmoid(self.out(_around(image))).movedim(1, -1)


def _around(image: torch.Tensor) -> torch.Tensor:
    """A margin of one texel (B,C,H+2,W+2): from the other side in u, repeated at the poles."""
    wrapped = nn.functional.pad(image, (1, 1, 0, 0), mode="circular")
    return nn.functional.pad(wrapped, (0, 0, 1, 1), mode="replicate")


class LightHead(nn.Module):
    """Features (B,F) to 9 spherical-harmonic coefficients (B,9); at the start light of strength 1 from everywhere."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 9)
        nn.init.normal_(self.linear.weight, std=1e-3)
        nn.init.zeros_(self.linear.bias)
        with torch.no_grad():
            self.linear.bias[0] = math.sqrt(4 * math.pi)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Coefficients for recon_core.renderers.mesh_shading.SphericalHarmonics."""
        return self.linear(features)
