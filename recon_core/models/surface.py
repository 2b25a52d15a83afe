# SPDX-License-Identifier: Apache-2.0
"""Shapes as points: predicted meshes sampled on their surface, so that all that takes points takes them too."""

from dataclasses import replace

import torch

from ..mesh import Meshes
from ..pointcloud import Points
from ..renderers.mesh_shading import sample_texture
from .mesh_decoder import MeshPrediction


def as_points(shape: Points | MeshPrediction, count: int) -> Points:
    """Points as they are; of meshes, `count` points on the surface, the same on every call, without gradient."""
    if isinstance(shape, Points):
        return shape
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return surface_points(shape.meshes, count, generator)


def surface_points(meshes: Meshes, count: int, generator: torch.Generator) -> Points:
    """`count` points per mesh (B,N,3), uniform by area, with the colour of texture or vertices where there is one.

    Gradients reach positions and colours; a mesh without any area gives points of its first face. The generator lives
    on the CPU.
    """
    face, weights = _draw(meshes, count, generator)  # (B, N), (B, N, 3)
    xyz = _mix(meshes.vertices, meshes.faces, face, weights)
    if meshes.texture is not None and meshes.uv is not None:
        uv_faces = meshes.faces if meshes.uv_faces is None else meshes.uv_faces
        uv = _mix(meshes.uv, uv_faces, face, weights)
        return Points(xyz, color=sample_texture(meshes.texture, uv[:, None])[:, 0])
    colors = meshes.vertex_colors
    return Points(xyz, color=None if colors is None else _mix(colors, meshes.faces, face, weights))


def _draw(meshes: Meshes, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces (B,N) drawn by area, and barycentric weights (B,N,3)."""
    a, b, c = _corners(meshes.vertices.detach(), meshes.faces).unbind(2)  # (B, F, 3) each
    area = torch.linalg.cross(b - a, c - a, dim=-1).norm(dim=-1)
    present = (meshes.faces >= 0).all(-1).expand_as(area)
    area = torch.where(present, area, 0.0).double().cpu()
    share = area.cumsum(1)
    height = torch.rand(len(area), count, generator=generator, dtype=torch.float64) * share[:, -1:]
    face = torch.searchsorted(share, height, right=True).clamp(max=area.shape[1] - 1)
    face = torch.where(share[:, -1:] > 0, face, 0)
    # Square root: uniform over the triangle, not crowded at the first corner.
    root, along = torch.rand(2, len(area), count, generator=generator).unbind(0)
    root = root.sqrt()
    weights = torch.stack((1 - root, root * (1 - along), root * along), -1)
    return face.to(meshes.vertices.device), weights.to(meshes.vertices)


def _corners(values: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Values (B,V,C) at the corners of faces (F,3) or (B,F,3): (B,F,3,C)."""
    index = faces.clamp(min=0).expand(len(values), -1, -1)
    rows = torch.arange(len(values), device=values.device)[:, None, None]
    return values[rows, index]


def _mix(
    values: torch.Tensor, faces: torch.Tensor, face: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Attributes (B,V,C) of meshes at points (B,N,C) given by face (B,N) and weights (B,N,3)."""
    rows = torch.arange(len(values), device=values.device)[:, None]
    index = faces.clamp(min=0).expand(len(values), -1, -1)[rows, face]  # (B, N, 3)
    return (values[rows[..., None], index] * weights[..., None]).sum(2)


def join_meshes(parts: list[Meshes]) -> Meshes:
    """Batches of meshes that share their faces as one batch."""
    names = ("vertices", "vertex_colors", "uv", "texture")
    joined = {n: torch.cat([getattr(p, n) for p in parts]) for n in names if getattr(parts[0], n) is not None}
    return replace(parts[0], **joined)
