# SPDX-License-Identifier: Apache-2.0
"""The object to place, as points with what colours and normals there are, from a cloud's or a mesh's file.

In the frame that Blender shows after import: +Z up. GLB, glTF and OBJ are +Y up and turned, (x, y, z) -> (x, -z, y);
PLY, STL and OFF are taken as they are.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..geometry.sampling import sample_mesh
from ..io.glb import read_glb
from ..io.ply import read_ply
from ..io.ply_header import parse_header
from ..mesh import Meshes
from ..pointcloud import PointCloud
from ..renderers.mesh_shading import sample_texture

ENDINGS = (".ply", ".glb", ".gltf", ".obj", ".stl", ".off")
SAMPLES = 40_000
_Y_UP = (".gltf", ".obj")
_MAX_BYTES = 1 << 30
_HEADER_BYTES = 1 << 20


def read_object(path: str | Path, seed: int = 0) -> tuple[PointCloud, str]:
    """Points of a file, and "cloud" or "mesh"; a mesh is sampled evenly by area, with the normals of its faces.

    Raises InputError for files that are missing, too large, of another kind, or hold nothing that can be placed.
    """
    found = read_points_or_meshes(path)
    return (found, "cloud") if isinstance(found, PointCloud) else (sample_cloud(found, path, seed), "mesh")


def read_points_or_meshes(path: str | Path) -> PointCloud | Meshes:
    """What a file holds: a cloud, or one mesh with its colours; raises InputError as read_object does."""
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(
            f"{path}: objects are read from {', '.join(ENDINGS)} files. Export the object as GLB, or as a PLY cloud."
        )
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    if not path.is_file() or size > _MAX_BYTES:
        raise InputError(f"{path}: expected a file of at most {_MAX_BYTES // 2**20} MiB.")
    if ending == ".ply" and not _has_faces(path):
        return read_ply(path)
    return read_glb(path) if ending == ".glb" else _read_mesh(path)


def sample_cloud(meshes: Meshes, name: str | Path, seed: int = 0, count: int = SAMPLES) -> PointCloud:
    """Points (count,3) of the first mesh, evenly by area, with face normals and the colours of texture or vertices."""
    mesh = meshes.element(0)
    vertices, faces = mesh.vertices[0].double().numpy(), mesh.faces.numpy()
    if not np.isfinite(vertices).all() or not len(faces) or faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"{name}: the mesh has no faces, or coordinates that are not finite.")
    xyz, face, weights = sample_mesh(vertices, faces, count, np.random.default_rng(seed))
    normals = mesh.face_normals()[0].numpy()[face]
    return PointCloud(xyz, _colors(mesh, face, weights), normals=normals)


def _colors(mesh: Meshes, face: np.ndarray, weights: np.ndarray) -> np.ndarray | None:
    """Colours (K,3) uint8 of points on faces (K,) at barycentric weights (K,3)."""
    share = torch.from_numpy(weights.astype(np.float32))[..., None]
    if mesh.texture is not None and mesh.uv is not None:
        index = mesh.faces if mesh.uv_faces is None else mesh.uv_faces
        uv = (mesh.uv[0].float()[index[torch.from_numpy(face)]] * share).sum(1)
        values = sample_texture(mesh.texture[:1].float(), uv[None, None])[0, 0]
    elif mesh.vertex_colors is not None:
        values = (mesh.vertex_colors[0].float()[mesh.faces[torch.from_numpy(face)]] * share).sum(1)
    else:
        return None
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _has_faces(path: Path) -> bool:
    with path.open("rb") as file:
        header = parse_header(file.read(_HEADER_BYTES), path)
    return any(element.name == "face" and element.count > 0 for element in header.elements)


def _read_mesh(path: Path) -> Meshes:
    """Any mesh file that trimesh reads without further libraries."""
    import trimesh

    try:
        loaded: Any = trimesh.load(path, process=False)
        solid = loaded.to_geometry() if isinstance(loaded, trimesh.Scene) else loaded
    except Exception as error:  # trimesh raises whatever the damaged part leads to
        raise InputError(f"{path}: not a mesh file that can be read ({error!r}).") from error
    if not isinstance(solid, trimesh.Trimesh) or not len(solid.faces):
        raise InputError(f"{path}: holds no triangles.")
    vertices = np.asarray(solid.vertices, np.float32)
    if path.suffix.lower() in _Y_UP:
        vertices = np.stack((vertices[:, 0], -vertices[:, 2], vertices[:, 1]), 1)
    faces = torch.from_numpy(np.asarray(solid.faces, np.int64))
    colors = _vertex_colors(solid)
    return Meshes(torch.from_numpy(vertices)[None], faces, colors)


def _vertex_colors(solid: Any) -> torch.Tensor | None:
    """Colours (1,V,3) sRGB of vertices; of textures, what they show at the vertices."""
    try:
        visual = solid.visual.to_color() if solid.visual.kind == "texture" else solid.visual
        if not visual.defined or visual.kind not in ("vertex", "face"):
            return None
        colors = np.asarray(visual.vertex_colors, np.float32)[:, :3] / 255
    except Exception:  # a texture that is missing: the shape is still of use
        return None
    return torch.from_numpy(colors)[None] if len(colors) == len(solid.vertices) else None
