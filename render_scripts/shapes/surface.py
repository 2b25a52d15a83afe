# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a whole model's surface: smooth normals, and points sampled on what can be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .mesh import Mesh, Model, join
from .rng import Rng
from .skin import face_normals

SMOOTH_ANGLE_DEG = 38.7  # an angle that no regular polygon has, so that no face pair sits on the limit
HIDDEN_STEP = 2e-4  # metres: a sample is hidden if the place this far above it lies inside another body
GRID = 64  # cells per side of the lookup grid of the inside test


@dataclass(frozen=True)
class Samples:
    """Surface points: xyz (N,3) metres, normals (N,3), colors (N,3) uint8 sRGB, labels (N,) 1-based."""

    xyz: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    labels: np.ndarray


def corner_normals(mesh: Mesh) -> np.ndarray:
    """(F,4,3) unit normals: at each corner the area-weighted mean of the faces that meet there within
    SMOOTH_ANGLE_DEG of its own."""
    area_normals = face_normals(mesh)
    unit = area_normals / np.maximum(np.linalg.norm(area_normals, axis=1, keepdims=True), 1e-20)
    valid = np.flatnonzero(mesh.faces.reshape(-1) >= 0)
    corner = valid[np.argsort(mesh.faces.reshape(-1)[valid], kind="stable")]
    valence = np.bincount(mesh.faces.reshape(-1)[corner], minlength=len(mesh.vertices))
    first, second = _pairs_in_groups(valence)
    a, b = corner[first], corner[second]
    close = (unit[a // 4] * unit[b // 4]).sum(1) > np.cos(np.radians(SMOOTH_ANGLE_DEG))
    a, weighted = a[close], area_normals[b[close] // 4]
    total = np.stack([np.bincount(a, weighted[:, k], mesh.faces.size) for k in range(3)], 1)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    total = np.where(length > 1e-20, total / np.maximum(length, 1e-20), [0.0, 0.0, 1.0])
    return total.reshape(-1, 4, 3)


def sample_surface(model: Model, parts: list[str], count: int, rng: Rng) -> Samples:
    """`count` area-weighted points on the outside of the model.

    A point is dropped when it lies inside another body, or under one that rests on it, so that joints
    hide nothing coloured or labelled. Colour is the material's at the point's uv; labels follow `parts`.
    """
    mesh = join(part.mesh for part in model.parts)
    owner_of_face = np.repeat(np.arange(len(model.parts)), [len(p.mesh.faces) for p in model.parts])
    vertex, corner = mesh.triangles()
    p = mesh.vertices[vertex]  # (T, 3, 3)
    cross = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
    area = np.linalg.norm(cross, axis=1)
    normal = cross / np.maximum(area, 1e-20)[:, None]
    owner = owner_of_face[corner[:, 0] // 4]
    kept: list[tuple[np.ndarray, ...]] = []
    missing = count
    for _ in range(40):
        triangle, weights = _random_places(area, int(missing * 1.35) + 64, rng)
        xyz = (p[triangle] * weights[..., None]).sum(1)
        probe = xyz + HIDDEN_STEP * normal[triangle]
        near = _near_another(probe, owner[triangle], [part.mesh for part in model.parts])
        seen = np.ones(len(xyz), bool)
        own = owner[triangle[near]]
        seen[near] = ~_inside_another(probe[near], own, p, cross, owner, len(model.parts))
        kept.append((triangle[seen], weights[seen], xyz[seen]))
        missing -= int(seen.sum())
        if missing <= 0:
            break
    else:
        raise ValueError("the surface could not be sampled: nearly all of it is inside itself")
    triangle, weights, xyz = (np.concatenate(column)[:count] for column in zip(*kept))
    uv = (mesh.uv.reshape(-1, 2)[corner[triangle]] * weights[..., None]).sum(1)
    colors, labels = _attributes(model, parts, owner[triangle], uv)
    return Samples(xyz, normal[triangle], colors, labels)


def _attributes(model: Model, parts: list[str], owner: np.ndarray, uv: np.ndarray):
    """Colours (N,3) uint8 and labels (N,) uint8 of samples from the bodies they lie on."""
    colors = np.zeros((len(owner), 3), np.uint8)
    for k, part in enumerate(model.parts):
        mine = owner == k
        colors[mine] = part.material.colors_at(uv[mine])
    ids = np.array([parts.index(part.label) + 1 for part in model.parts], np.uint8)
    return colors, ids[owner]


def _random_places(area: np.ndarray, count: int, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Triangle index (N,) by area, and uniform barycentric weights (N,3)."""
    draws = rng.random(3, count)
    total = np.cumsum(area)
    triangle = np.minimum(np.searchsorted(total, draws[0] * total[-1], side="right"), len(area) - 1)
    root = np.sqrt(draws[1])
    return triangle, np.stack([1 - root, root * (1 - draws[2]), root * draws[2]], -1)


def _near_another(points: np.ndarray, owner: np.ndarray, meshes: list[Mesh]) -> np.ndarray:
    """Indices of the points that lie in the bounding box of a body other than their own."""
    near = np.zeros(len(points), bool)
    x, y, z = np.ascontiguousarray(points.T)
    for k, mesh in enumerate(meshes):
        low, high = mesh.bounds()
        inside = (x > low[0]) & (x < high[0]) & (y > low[1]) & (y < high[1]) & (z > low[2]) & (z < high[2])
        near |= inside & (owner != k)
    return np.flatnonzero(near)


def _inside_another(points, owner, p, cross, triangle_owner, bodies: int) -> np.ndarray:
    """(N,) True where a point lies inside a closed body other than its own.

    Counts signed crossings of a ray along one coordinate axis, per body; a lookup grid over the plane
    square to the ray names the triangles that may be hit.
    """
    grids = [_Grid(p, axis) for axis in range(3)]
    grid = min(grids, key=lambda g: int(g.counts[g.cell_of(points)].sum()))
    which, triangle = grid.candidates(points)
    keep = triangle_owner[triangle] != owner[which]
    which, triangle = which[keep], triangle[keep]
    crossing = _ray_crossings(points[which], p[triangle], cross[triangle], grid.axis)
    hit = crossing != 0
    key = which[hit] * bodies + triangle_owner[triangle[hit]]
    pairs, inverse = np.unique(key, return_inverse=True)
    winding = np.bincount(inverse.reshape(-1), crossing[hit], len(pairs))
    inside = np.zeros(len(points), bool)
    inside[pairs[winding > 0.5] // bodies] = True
    return inside


def _ray_crossings(points: np.ndarray, p: np.ndarray, cross: np.ndarray, axis: int) -> np.ndarray:
    """(N,) +1 where the ray along +axis leaves through the triangle, -1 where it enters, else 0."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    u, v = p[..., i] - points[:, None, i], p[..., j] - points[:, None, j]  # (N, 3)
    w0 = u[:, 1] * v[:, 2] - u[:, 2] * v[:, 1]
    w1 = u[:, 2] * v[:, 0] - u[:, 0] * v[:, 2]
    w2 = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    covered = ((w0 >= 0) & (w1 >= 0) & (w2 >= 0)) | ((w0 <= 0) & (w1 <= 0) & (w2 <= 0))
    total = w0 + w1 + w2
    height = (w0 * p[:, 0, axis] + w1 * p[:, 1, axis] + w2 * p[:, 2, axis]) / np.where(total == 0, 1.0, total)
    ahead = covered & (total != 0) & (height > points[:, axis])
    return np.where(ahead, np.sign(cross[:, axis]), 0.0)


class _Grid:
    """Triangles listed by the cells of a GRID x GRID raster that their boxes touch."""

    def __init__(self, p: np.ndarray, axis: int) -> None:
        self.axis = axis
        self.plane = [(axis + 1) % 3, (axis + 2) % 3]
        flat = p[..., self.plane]
        self.low = flat.min((0, 1)) - 1e-3
        self.step = (flat.max((0, 1)) + 1e-3 - self.low) / GRID
        lowest = ((flat.min(1) - self.low) / self.step).astype(np.int64)
        highest = ((flat.max(1) - self.low) / self.step).astype(np.int64)
        span = highest - lowest + 1
        number = span[:, 0] * span[:, 1]
        triangle = np.repeat(np.arange(len(p)), number)
        within = np.arange(len(triangle)) - np.repeat(np.cumsum(number) - number, number)
        cell_u = lowest[triangle, 0] + within // span[triangle, 1]
        cell_v = lowest[triangle, 1] + within % span[triangle, 1]
        cell = cell_u * GRID + cell_v
        self.triangles = triangle[np.argsort(cell, kind="stable")]
        self.counts = np.bincount(cell, minlength=GRID * GRID)
        self.starts = np.cumsum(self.counts) - self.counts

    def cell_of(self, points: np.ndarray) -> np.ndarray:
        """(N,) cell of each point, clipped to the raster."""
        cell = np.clip(((points[:, self.plane] - self.low) / self.step).astype(np.int64), 0, GRID - 1)
        return cell[:, 0] * GRID + cell[:, 1]

    def candidates(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (point index, triangle index) that share a cell."""
        cell = self.cell_of(points)
        number = self.counts[cell]
        which = np.repeat(np.arange(len(points)), number)
        within = np.arange(len(which)) - np.repeat(np.cumsum(number) - number, number)
        return which, self.triangles[self.starts[cell][which] + within]


def _pairs_in_groups(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All ordered index pairs within consecutive groups of the given sizes."""
    start = np.cumsum(sizes) - sizes
    group = np.repeat(np.arange(len(sizes)), sizes * sizes)
    within = np.arange(len(group)) - np.repeat(np.cumsum(sizes**2) - sizes**2, sizes**2)
    return start[group] + within // sizes[group], start[group] + within % sizes[group]
