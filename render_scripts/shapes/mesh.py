# SPDX-License-Identifier: GPL-3.0-or-later
"""Value objects of the generator: Mesh (geometry), Part (mesh + label + material), Model (parts).

Everything is float64 numpy in metres, +Z up, front towards -Y. A face is a row of four vertex indices,
counter-clockwise seen from outside; the fourth is -1 in a triangle.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .materials import Material

AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class Mesh:
    """One closed surface.

    vertices (V,3) metres; faces (F,4) int64, -1 in the 4th column of triangles;
    uv (F,4,2) metres per face corner, v along the grain.
    """

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        """Translate by (x, y, z) metres."""
        return replace(self, vertices=self.vertices + np.array([x, y, z], float))

    def rotated(self, axis: str, degrees: float, pivot: Sequence[float] = (0.0, 0.0, 0.0)) -> Mesh:
        """Turn by the right-hand rule about the axis "x", "y" or "z" through `pivot`."""
        origin = np.asarray(pivot, float)
        return replace(self, vertices=(self.vertices - origin) @ rotation(axis, degrees).T + origin)

    def scaled(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Mesh:
        """Scale about the origin; a negative product also turns the faces, so that they stay outward."""
        mesh = replace(self, vertices=self.vertices * np.array([x, y, z], float))
        return mesh.flipped() if x * y * z < 0 else mesh

    def mirrored(self, axis: str = "x") -> Mesh:
        """Reflect in the plane through the origin normal to `axis`; faces stay outward."""
        factors = {name: -1.0 if name == axis else 1.0 for name in AXES}
        return self.scaled(**factors)

    def warped(self, function) -> Mesh:
        """Replace the vertices by function(vertices (V,3)) -> (V,3): bends, tapers, twists."""
        return replace(self, vertices=np.asarray(function(self.vertices), float))

    def flipped(self) -> Mesh:
        """Turn every face inside out."""
        order = np.where(self.faces[:, 3:] < 0, np.array([[2, 1, 0, 3]]), np.array([[3, 2, 1, 0]]))
        rows = np.arange(len(self.faces))[:, None]
        return replace(self, faces=self.faces[rows, order], uv=self.uv[rows, order])

    def outward(self) -> Mesh:
        """The mesh with faces turned so that the enclosed volume is positive."""
        return self if self.volume() >= 0 else self.flipped()

    def triangles(self) -> tuple[np.ndarray, np.ndarray]:
        """(T,3) vertex indices and (T,3) corner indices into faces.ravel(); a quad gives two in a row."""
        corner = np.arange(len(self.faces) * 4).reshape(-1, 4)
        both = np.stack([corner[:, [0, 1, 2]], corner[:, [0, 2, 3]]], 1)  # (F, 2, 3)
        keep = np.stack([np.ones(len(corner), bool), self.faces[:, 3] >= 0], 1)
        corners = both[keep]
        return self.faces.reshape(-1)[corners], corners

    def volume(self) -> float:
        """Signed enclosed volume in cubic metres, positive for outward faces."""
        p = (self.vertices - self.vertices.mean(0))[self.triangles()[0]]
        return float((np.cross(p[:, 0], p[:, 1]) * p[:, 2]).sum() / 6.0)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest corner, each (3,)."""
        return self.vertices.min(0), self.vertices.max(0)


@dataclass(frozen=True)
class Part:
    """A mesh, the name of the part it belongs to, and its material."""

    label: str
    mesh: Mesh
    material: Material


@dataclass(frozen=True)
class Model:
    """One whole object.

    symmetry_order: n for an n-fold symmetry about Z, 1 for none, 0 for a surface of revolution.
    style: free JSON values that say how the object was made.
    """

    parts: list[Part]
    symmetry_order: int = 1
    style: dict = field(default_factory=dict)


def rotation(axis: str, degrees: float) -> np.ndarray:
    """3x3 right-handed rotation about a coordinate axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = (AXES[axis] + 1) % 3, (AXES[axis] + 2) % 3
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def join(meshes: Iterable[Mesh]) -> Mesh:
    """One mesh of several (kept apart in space or overlapping, vertices not merged)."""
    meshes = list(meshes)
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes])
    faces = [np.where(m.faces < 0, -1, m.faces + start) for m, start in zip(meshes, starts)]
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate(faces),
        np.concatenate([m.uv for m in meshes]),
    )


def parts_of(label: str, material: Material, *meshes: Mesh) -> list[Part]:
    """The meshes as parts with one label and one material."""
    return [Part(label, mesh, material) for mesh in meshes]


def both_sides(mesh: Mesh) -> list[Mesh]:
    """The mesh and its mirror image in x = 0."""
    return [mesh, mesh.mirrored("x")]


def around(mesh: Mesh, count: int, start_deg: float = 0.0) -> list[Mesh]:
    """`count` copies turned evenly about Z, the first by start_deg."""
    return [mesh.rotated("z", start_deg + 360.0 * k / count) for k in range(count)]
