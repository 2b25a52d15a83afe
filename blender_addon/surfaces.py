# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of the scene as points in world units. Main thread only."""

from typing import Any

import bpy
import numpy as np

from .jobs import UserError
from .points_object import LABEL, get_attribute, is_points, vertices_of


def samples_of(target: Any, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray | None]:
    """Points (M,3) of an object and their part labels where it is a cloud; of a mesh's surface, evenly by area.

    Raises UserError for an object without points.
    """
    if is_points(target):
        return in_world(target, vertices_of(target.data)), get_attribute(target.data, LABEL)
    graph = bpy.context.evaluated_depsgraph_get()
    evaluated = target.evaluated_get(graph)
    try:
        mesh = evaluated.to_mesh()
    except RuntimeError:
        mesh = None
    if mesh is None or not len(mesh.vertices):
        raise UserError(f"{target.name} has no points or faces to align to.")
    try:
        mesh.calc_loop_triangles()
        xyz = in_world(target, vertices_of(mesh))
        corners = np.empty(len(mesh.loop_triangles) * 3, np.int32)
        mesh.loop_triangles.foreach_get("vertices", corners)
    finally:
        evaluated.to_mesh_clear()
    return (on_triangles(xyz, corners.reshape(-1, 3), count, seed) if len(corners) else xyz), None


def in_world(target: Any, xyz: np.ndarray) -> np.ndarray:
    """Points (N,3) of an object's own frame in the world's, float64."""
    matrix = np.array(target.matrix_world)
    return xyz.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def on_triangles(xyz: np.ndarray, corners: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Points (count,3) on triangles (T,3), evenly by area (Osada et al. 2002)."""
    random = np.random.default_rng(seed)
    a, b, c = (xyz[corners[:, k]] for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    if not areas.sum() > 0:
        return xyz
    chosen = random.choice(len(corners), count, p=areas / areas.sum())
    r, s = np.sqrt(random.random(count))[:, None], random.random(count)[:, None]
    return (1 - r) * a[chosen] + r * (1 - s) * b[chosen] + r * s * c[chosen]
