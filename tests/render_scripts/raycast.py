# SPDX-License-Identifier: Apache-2.0
"""What a view must show, from the source GLB alone: rays through pixel centres, by Open3D; no Blender involved."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import trimesh

from recon_core.cameras import camera_to_world, from_transforms


class Triangles(NamedTuple):
    """Triangles in the object frame: vertices (V,3), faces (F,3), part id per face (F,)."""

    vertices: np.ndarray
    faces: np.ndarray
    parts: np.ndarray


class Hits(NamedTuple):
    """Per pixel (H,W): planar depth (0 where nothing is hit), unit normal (H,W,3) facing the camera.

    parts (H,W,P+1) marks every part id that is nearest within 1e-4: where faces of two parts coincide, either is
    right; id 0 is marked where nothing is hit.
    """

    depth: np.ndarray
    parts: np.ndarray
    normals: np.ndarray


def load_object(path: Path, recon: dict[str, Any]) -> Triangles:
    """Source triangles in the object frame; +Y up of glTF becomes +Z up, as in Blender."""
    scene = trimesh.load(path, process=False)
    names = [name.lower() for name in recon.get("parts", [])]
    vertices, faces, parts, count = [], [], [], 0
    for node in scene.graph.nodes_geometry:
        matrix, geometry_name = scene.graph[node]
        mesh = scene.geometry[geometry_name]
        world = trimesh.transform_points(mesh.vertices, matrix)
        vertices.append(np.stack((world[:, 0], -world[:, 2], world[:, 1]), 1))
        faces.append(mesh.faces + count)
        material = getattr(mesh.visual, "material", None)
        name = (material.name if material is not None else "").lower().split(".")[0].split("_")[0]
        parts.append(np.full(len(mesh.faces), names.index(name) + 1 if name in names else 0))
        count += len(world)
    matrix = np.array(recon["object_from_source"])
    everything = np.concatenate(vertices) @ matrix[:3, :3].T + matrix[:3, 3]
    return Triangles(everything, np.concatenate(faces), np.concatenate(parts))


def cast(triangles: Triangles, transforms: dict[str, Any], view: int) -> Hits:
    """Rays through the pixel centres of one view, with the camera as recon_core reads it."""
    cameras = from_transforms(transforms)[view : view + 1]
    matrix = camera_to_world(cameras.world_to_cam)[0].numpy()
    columns, rows = np.meshgrid(np.arange(cameras.width) + 0.5, np.arange(cameras.height) + 0.5)
    x = (columns - float(cameras.cx)) / float(cameras.fx)
    y = -(rows - float(cameras.cy)) / float(cameras.fy)
    directions = np.stack((x, y, -np.ones_like(x)), -1) @ matrix[:3, :3].T  # unit planar depth
    rays = np.concatenate((np.broadcast_to(matrix[:3, 3], directions.shape), directions), -1).astype(
        np.float32
    )
    result = _first_hits(triangles, np.ones(len(triangles.faces), bool), rays)
    hit = np.isfinite(result["t_hit"])
    normals = result["primitive_normals"]
    normals = normals * -np.sign((normals * directions).sum(-1, keepdims=True))
    # One cast per part: of coinciding faces, a ray reports one alone.
    last = triangles.parts.max()
    nearest = [_first_hits(triangles, triangles.parts == part, rays)["t_hit"] for part in range(1, last + 1)]
    parts = np.stack([~hit, *(hit & (distance < result["t_hit"] + 1e-4) for distance in nearest)], -1)
    return Hits(np.where(hit, result["t_hit"], 0.0), parts, np.where(hit[..., None], normals, 0.0))


def _first_hits(triangles: Triangles, chosen: np.ndarray, rays: np.ndarray) -> dict[str, np.ndarray]:
    """First hits of rays (H,W,6) with some of the triangles."""
    import open3d

    scene = open3d.t.geometry.RaycastingScene()
    if chosen.any():
        scene.add_triangles(triangles.vertices.astype(np.float32), triangles.faces[chosen].astype(np.uint32))
    return {name: value.numpy() for name, value in scene.cast_rays(open3d.core.Tensor(rays)).items()}


def project(transforms: dict[str, Any], view: int, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N,2) and planar depths (N,) of object points (N,3)."""
    uv, depth = from_transforms(transforms)[view : view + 1].project(
        torch.from_numpy(xyz.astype(np.float64))[None]
    )
    return uv[0].numpy(), depth[0].numpy()
