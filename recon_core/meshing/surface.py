# SPDX-License-Identifier: Apache-2.0
"""A surface in numpy with colours and part labels of its vertices; what is asked of it, and what smooths it."""

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from ..errors import InputError

# Taubin's pass-band: a shrinking step, then a slightly larger growing one, keep the volume (SIGGRAPH 1995, section 4).
_SHRINK, _GROW = 0.5, -0.53


@dataclass(frozen=True)
class Surface:
    """Triangles, counter-clockwise seen from outside, in the cloud's own frame and unit."""

    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64
    colors: np.ndarray | None = None  # (V, 3) uint8 sRGB
    labels: np.ndarray | None = None  # (V,) uint8, 0 = none
    parts: tuple[str, ...] = field(default=())  # names of the labels 1, 2, ...

    def __post_init__(self) -> None:
        """Check shapes; raise InputError."""
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise InputError(f"vertices must be (V,3), got {self.vertices.shape}.")
        if self.faces.ndim != 2 or self.faces.shape[1] != 3:
            raise InputError(f"faces must be (F,3), got {self.faces.shape}.")

    def face_crosses(self) -> np.ndarray:
        """Normals (F,3), twice the faces' area long."""
        corners = self.vertices[self.faces]  # (F, 3, 3)
        return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])

    def vertex_normals(self) -> np.ndarray:
        """Unit normals (V,3): the mean of the faces around a vertex, weighted by their areas; 0 without faces."""
        cross = self.face_crosses()
        sums = np.stack(
            [
                np.bincount(self.faces.ravel(), np.repeat(cross[:, axis], 3), len(self.vertices))
                for axis in range(3)
            ],
            1,
        )
        return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-30)

    def area(self) -> float:
        """Area of all faces."""
        return float(np.linalg.norm(self.face_crosses(), axis=1).sum() / 2)

    def volume(self) -> float:
        """Enclosed volume by the divergence theorem; positive when faces look outwards."""
        corners = self.vertices[self.faces]
        return float(np.einsum("fc,fc->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6)

    def is_watertight(self) -> bool:
        """Whether each edge is shared by two faces that run along it in opposite directions."""
        if not len(self.faces):
            return False
        edges = self.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        key, back = (
            edges[:, 0] * len(self.vertices) + edges[:, 1],
            edges[:, 1] * len(self.vertices) + edges[:, 0],
        )
        unique, count = np.unique(key, return_counts=True)
        return bool((count == 1).all() and np.array_equal(unique, np.unique(back)))

    def components(self) -> tuple[int, np.ndarray]:
        """Number of connected pieces, and the piece (F,) of every face."""
        total = len(self.vertices)
        one, other = self.faces[:, [0, 1]].T
        third = self.faces[:, 2]
        rows, columns = np.concatenate((one, other)), np.concatenate((other, third))
        graph = sparse.coo_matrix((np.ones(len(rows), bool), (rows, columns)), (total, total))
        _, owner = sparse.csgraph.connected_components(graph, directed=False)
        pieces, found = np.unique(owner[self.faces[:, 0]], return_inverse=True)
        return len(pieces), found

    def face_labels(self) -> np.ndarray | None:
        """Label (F,) of each face: what two of its corners agree on, else that of its first corner."""
        if self.labels is None:
            return None
        a, b, c = self.labels[self.faces].T
        return np.where(b == c, b, a)


def with_faces(surface: Surface, kept: np.ndarray) -> Surface:
    """The surface of some of its faces, a mask (F,), without the vertices that no face uses."""
    faces = surface.faces[kept]
    used, renumbered = np.unique(faces, return_inverse=True)
    colors = None if surface.colors is None else surface.colors[used]
    labels = None if surface.labels is None else surface.labels[used]
    return replace(
        surface,
        vertices=surface.vertices[used],
        faces=renumbered.reshape(-1, 3),
        colors=colors,
        labels=labels,
    )


def taubin_smoothed(surface: Surface, rounds: int) -> Surface:
    """Smooth without shrinking: `rounds` times a step towards the neighbours' mean and one away from it.

    Taubin, "A signal processing approach to fair surface design" (SIGGRAPH 1995), with equal weights.
    """
    if rounds <= 0 or not len(surface.faces):
        return surface
    means = neighbour_means(surface)
    vertices = surface.vertices
    for _ in range(rounds):
        for step in (_SHRINK, _GROW):
            vertices = vertices + step * (means @ vertices - vertices)
    return replace(surface, vertices=vertices)


def neighbour_means(surface: Surface) -> sparse.csr_matrix:
    """Matrix (V,V) that gives each vertex the mean of those it shares an edge with; a lone vertex keeps its own."""
    total = len(surface.vertices)
    one = surface.faces[:, [0, 1, 2, 1, 2, 0]].ravel()
    other = surface.faces[:, [1, 2, 0, 0, 1, 2]].ravel()
    matrix = sparse.coo_matrix((np.ones(len(one)), (one, other)), (total, total)).tocsr()
    matrix.data[:] = 1.0  # an edge of two faces counts once
    lone = np.asarray(matrix.sum(1)).ravel() == 0
    matrix = matrix + sparse.diags(lone.astype(float))
    return sparse.diags(1 / np.asarray(matrix.sum(1)).ravel()) @ matrix
