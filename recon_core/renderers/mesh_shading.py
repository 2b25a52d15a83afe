# SPDX-License-Identifier: Apache-2.0
"""Colour of visible surfaces: textures, normals, and the three lights of DIB-R.

Chen et al., DIB-R, NeurIPS 2019, its lighting models: I = texture * light, with Lambert, Phong or spherical
harmonics; everything is evaluated per pixel from interpolated attributes, so gradients reach texture, light and shape.
Normals and directions are in the world frame (+Z up); a light's direction points from the surface to the light. Lights
multiply sRGB values as they stand, as the paper's code does. Cost: O(H W) per view.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch

from ..errors import InputError
from ..mesh import Meshes, unit_vectors
from .mesh import Interpolation, interpolate

Vector = torch.Tensor | tuple[float, float, float]


@dataclass(frozen=True)
class Lambert:
    """Matt: colour * (ambient + diffuse * max(n . l, 0))."""

    direction: Vector = (-0.4, -0.7, 0.6)  # (3,) or (B, 3)
    ambient: float | torch.Tensor = 0.35
    diffuse: float | torch.Tensor = 0.65


@dataclass(frozen=True)
class Phong:
    """Shiny: clamp((ambient + diffuse * max(n . l, 0)) * colour + specular * clamp(r . e, 1e-5, 1)^shininess, 0, 1).

    r = 2 (n . l) n - l is the mirrored light, e points to the eye. Terms are numbers, (3,) or (B,3) per channel.
    """

    direction: Vector = (-0.4, -0.7, 0.6)
    ambient: float | torch.Tensor = 0.35
    diffuse: float | torch.Tensor = 0.65
    specular: float | torch.Tensor = 0.3
    shininess: float | torch.Tensor = 20.0


@dataclass(frozen=True)
class SphericalHarmonics:
    """Light from everywhere in 9 coefficients (B,9), or (B,9,3) per channel, already convolved with the cosine.

    Ramamoorthi & Hanrahan, "An Efficient Representation for Irradiance Environment Maps", 2001, divided by pi, in the
    order 1; y, z, x; xy, yz, 3 z^2 - 1, xz, x^2 - y^2, and with the signs (-1)^m of kaolin. "kaolin" has two constants
    of kaolin 0.1 that differ from the formula: those of z^2 and of xz.
    """

    coefficients: torch.Tensor
    constants: Literal["exact", "kaolin"] = "exact"


Light = Lambert | Phong | SphericalHarmonics


def harmonics(normals: torch.Tensor, constants: Literal["exact", "kaolin"] = "exact") -> torch.Tensor:
    """The 9 convolved basis functions (...,9) at unit normals (...,3): see SphericalHarmonics."""
    x, y, z = normals.unbind(-1)
    band0, band1 = math.sqrt(1 / (4 * math.pi)), math.sqrt(3 / (4 * math.pi)) * 2 / 3
    cross, level = math.sqrt(15 / (4 * math.pi)) / 4, math.sqrt(5 / (16 * math.pi)) / 4
    zz, xz = (3 * level, cross) if constants == "exact" else (0.1365686, 0.1931371)
    return torch.stack(
        (
            torch.full_like(x, band0), -band1 * y, band1 * z, -band1 * x, cross * x * y, -cross * y * z,
            zz * z * z - level, -xz * x * z, cross / 2 * (x * x - y * y),
        ), -1,
    )  # fmt: skip


def shade(
    color: torch.Tensor, normals: torch.Tensor, light: Light, to_eye: torch.Tensor | None = None
) -> torch.Tensor:
    """Lit colours (B,H,W,C) of surface colours, unit normals (B,H,W,3) and, for Phong, directions to the eye."""
    if isinstance(light, SphericalHarmonics):
        basis = harmonics(normals, light.constants)  # (B, H, W, 9)
        values = light.coefficients.to(basis)
        values = values[..., None] if values.ndim == 2 else values  # (B, 9, 1 or 3)
        return color * torch.einsum("bhwk,bkc->bhwc", basis, values)
    toward = unit_vectors(_per_pixel(light.direction, normals))
    cosine = (normals * toward).sum(-1, keepdim=True)
    lit = _per_pixel(light.ambient, color) + _per_pixel(light.diffuse, color) * cosine.clamp(min=0)
    if isinstance(light, Lambert):
        return color * lit
    if to_eye is None:
        raise InputError("Phong lighting needs the directions to the eye.")
    mirrored = 2 * cosine * normals - toward
    glance = (mirrored * to_eye).sum(-1, keepdim=True).clamp(1e-5, 1)
    shine = _per_pixel(light.specular, color) * glance ** _per_pixel(light.shininess, color)
    return (color * lit + shine).clamp(0, 1)


def _per_pixel(value: Vector | float, like: torch.Tensor) -> torch.Tensor:
    """A number, (C,) or (B,C) as something that multiplies (B,H,W,C)."""
    tensor = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    return tensor[:, None, None] if tensor.ndim == 2 else tensor


def sample_texture(texture: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
    """Bilinear texels (B,H,W,C) of texture (B,Ht,Wt,C), row 0 on top, at uv (B,H,W,2), v up, wrapping both ways.

    Gradients reach texture and uv, summed in one order on every run.
    """
    batch, rows, columns, channels = texture.shape
    x, y = uv[..., 0] * columns - 0.5, (1 - uv[..., 1]) * rows - 0.5
    x0, y0 = x.detach().floor(), y.detach().floor()
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    texels = texture.reshape(-1, channels)
    base = torch.arange(batch, device=uv.device)[:, None, None] * (rows * columns)

    def texel(step_x: int, step_y: int) -> torch.Tensor:
        column, row = (x0.long() + step_x) % columns, (y0.long() + step_y) % rows
        return texels[base + row * columns + column]

    upper = texel(0, 0) * (1 - fx) + texel(1, 0) * fx
    lower = texel(0, 1) * (1 - fx) + texel(1, 1) * fx
    return upper * (1 - fy) + lower * fy


def surface_color(
    face: torch.Tensor,
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    meshes: Meshes,
    interpolation: Interpolation = "affine",
) -> torch.Tensor:
    """Unlit colour (B,H,W,3) of visible faces: the texture, else vertex colours, else white; 0 where there is none."""
    if meshes.texture is not None and meshes.uv is not None:
        index = meshes.faces if meshes.uv_faces is None else meshes.uv_faces
        uv = interpolate(
            face, uv_px, depth, meshes.faces, meshes.uv, attribute_faces=index, interpolation=interpolation
        )
        return sample_texture(meshes.texture, uv) * (face >= 0)[..., None]
    colors = meshes.vertex_colors
    if colors is None:
        return (face >= 0)[..., None].to(uv_px.dtype).expand(*face.shape, 3)
    return interpolate(face, uv_px, depth, meshes.faces, colors, interpolation=interpolation)


def normal_image(
    face: torch.Tensor,
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    meshes: Meshes,
    *,
    smooth: bool = True,
    interpolation: Interpolation = "affine",
) -> torch.Tensor:
    """Unit normals (B,H,W,3), world frame, of visible faces: vertex normals interpolated, or each face's own."""
    if smooth:
        normals, index = meshes.vertex_normals(), meshes.faces
    else:
        normals = meshes.face_normals()
        index = torch.arange(normals.shape[1], device=face.device)[:, None].expand(-1, 3)
    image = interpolate(
        face, uv_px, depth, meshes.faces, normals, attribute_faces=index, interpolation=interpolation
    )
    return unit_vectors(image)
