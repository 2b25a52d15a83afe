# SPDX-License-Identifier: Apache-2.0
"""Triangle meshes as batched tensors, and the sphere that mesh decoders deform.

Frame: the object's, +Z up, front towards -Y. Faces are counter-clockwise seen from outside. Texture coordinates: u to
the right, v up from the texture's lower edge, wrapping by whole numbers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from .errors import InputError
from .renderers.mesh_pairs import pack_corners, sum_rows


@dataclass(frozen=True)
class Meshes:
    """B meshes; faces and uv_faces are shared ((F,3)) or each mesh's own ((B,F,3), padded with -1)."""

    vertices: torch.Tensor  # (B, V, 3)
    faces: torch.Tensor  # (F, 3) or (B, F, 3) int64
    vertex_colors: torch.Tensor | None = None  # (B, V, 3) sRGB in [0, 1]
    uv: torch.Tensor | None = None  # (B, U, 2)
    uv_faces: torch.Tensor | None = None  # (F, 3) or (B, F, 3) into uv; as faces when left out
    texture: torch.Tensor | None = None  # (B, Ht, Wt, 3) sRGB in [0, 1], row 0 on top

    def __post_init__(self) -> None:
        """Check shapes; raise InputError."""
        if self.vertices.ndim != 3 or self.vertices.shape[-1] != 3:
            raise InputError(f"vertices must be (B,V,3), got {tuple(self.vertices.shape)}.")
        if self.faces.ndim not in (2, 3) or self.faces.shape[-1] != 3:
            raise InputError(f"faces must be (F,3) or (B,F,3), got {tuple(self.faces.shape)}.")
        if self.vertex_colors is not None and self.vertex_colors.shape != self.vertices.shape:
            raise InputError(
                f"vertex_colors must be {tuple(self.vertices.shape)}, got {tuple(self.vertex_colors.shape)}."
            )
        if self.texture is not None and self.uv is None:
            raise InputError("A texture needs uv coordinates.")

    def __len__(self) -> int:
        return len(self.vertices)

    def with_vertices(self, vertices: torch.Tensor) -> "Meshes":
        """The same topology and attributes at other places (B,V,3)."""
        return replace(self, vertices=vertices)

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "Meshes":
        """Apply `function` to every batched floating-point tensor."""
        names = ("vertices", "vertex_colors", "uv", "texture")
        found = {name: getattr(self, name) for name in names}
        return replace(self, **{name: function(value) for name, value in found.items() if value is not None})

    def repeat_views(self, count: int) -> "Meshes":
        """Each mesh `count` times in a row, as V views of B objects need: (B*V)."""
        own = {
            name: value.repeat_interleave(count, 0)
            for name in ("faces", "uv_faces")
            if (value := getattr(self, name)) is not None and value.ndim == 3
        }
        return replace(self.map(lambda tensor: tensor.repeat_interleave(count, 0)), **own)

    def element(self, index: int) -> "Meshes":
        """One mesh as a batch of one, without the rows that filled it up."""
        faces, uv_faces = (
            _without_padding(value[index] if value is not None and value.ndim == 3 else value)
            for value in (self.faces, self.uv_faces)
        )
        assert faces is not None
        return replace(self.map(lambda t: t[index : index + 1]), faces=faces, uv_faces=uv_faces)

    def face_normals(self) -> torch.Tensor:
        """Unit normals (B,F,3); 0 where a face has no area."""
        cross = _cross_products(self.vertices, self.faces)
        return unit_vectors(cross).view(len(self), -1, 3)

    def vertex_normals(self) -> torch.Tensor:
        """Unit normals (B,V,3): the mean of the faces around a vertex, weighted by their areas."""
        batch, count, _ = self.vertices.shape
        corners, present = pack_corners(self.faces, batch, count)
        cross = _cross_products(self.vertices, self.faces) * present[:, None]
        sums = sum_rows(corners.reshape(-1), cross.repeat_interleave(3, 0), batch * count)
        return unit_vectors(sums).view(batch, count, 3)


def batch_meshes(vertices: Sequence[torch.Tensor], faces: Sequence[torch.Tensor]) -> Meshes:
    """Meshes of lists of vertices (V_i,3) and faces (F_i,3), filled up with vertices at 0 and faces of -1."""
    if not vertices or len(vertices) != len(faces):
        raise InputError(
            f"Expected as many vertex lists as face lists, got {len(vertices)} and {len(faces)}."
        )
    pad = torch.nn.utils.rnn.pad_sequence
    return Meshes(pad(list(vertices), batch_first=True), pad(list(faces), batch_first=True, padding_value=-1))


def _without_padding(faces: torch.Tensor | None) -> torch.Tensor | None:
    return None if faces is None else faces[(faces >= 0).all(-1)]


def _cross_products(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Normals (B*F,3) of twice the faces' area in length; 0 for rows that fill up."""
    corners, present = pack_corners(faces, len(vertices), vertices.shape[1])
    points = vertices.reshape(-1, 3)[corners] if vertices.shape[1] else vertices.new_zeros(len(corners), 3, 3)
    cross = torch.linalg.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0], dim=-1)
    return cross * present[:, None]


def unit_vectors(vectors: torch.Tensor) -> torch.Tensor:
    """Vectors (...,3) over their length; 0, with gradient 0, where that is not above 1e-10."""
    square = vectors.square().sum(-1, keepdim=True)
    long = square > 1e-20
    return torch.where(long, vectors * torch.where(long, square, 1.0).rsqrt(), 0.0)


def icosphere(subdivisions: int = 3, radius: float = 0.5) -> Meshes:
    """A sphere about the origin as one float32 mesh: 12, 42, 162, 642, 2562 ... vertices, with texture coordinates.

    DIB-R deforms the sphere of 3 subdivisions: 642 vertices, 1,280 faces, 1,920 edges. u = 1/2 looks to the front (-Y),
    the seam u = 0 = 1 is at the back; vertices on it have two coordinates, the poles one per face.
    """
    if not 0 <= subdivisions <= 7:
        raise InputError(f"An icosphere has 0 to 7 subdivisions (163,842 vertices), not {subdivisions}.")
    vertices, faces = _unit_icosphere(subdivisions)
    uv, uv_faces = _sphere_uv(vertices, faces)
    return Meshes(
        torch.from_numpy(vertices * radius).float()[None],
        torch.from_numpy(faces.copy()),
        uv=torch.from_numpy(uv).float()[None],
        uv_faces=torch.from_numpy(uv_faces),
    )


@lru_cache(maxsize=8)
def _unit_icosphere(subdivisions: int) -> tuple[np.ndarray, np.ndarray]:
    golden = (1 + math.sqrt(5)) / 2
    corners = [(0, s, t * golden) for s in (1, -1) for t in (1, -1)]
    vertices = np.array([np.roll(corner, shift) for shift in range(3) for corner in corners])
    vertices /= np.linalg.norm(vertices[0])
    faces = _hull_of_twelve(vertices)
    for _ in range(subdivisions):
        vertices, faces = _subdivide(vertices, faces)
    return vertices, faces


def _hull_of_twelve(vertices: np.ndarray) -> np.ndarray:
    """The 20 faces: triples of mutual neighbours, counter-clockwise from outside."""
    near = (np.linalg.norm(vertices[:, None] - vertices[None], axis=-1) < 1.2) & ~np.eye(12, dtype=bool)
    faces = []
    for a in range(12):
        for b in range(a + 1, 12):
            for c in range(b + 1, 12):
                if near[a, b] and near[b, c] and near[a, c]:
                    outward = np.linalg.det(vertices[[a, b, c]]) > 0
                    faces.append((a, b, c) if outward else (a, c, b))
    return np.array(faces, dtype=np.int64)


def _subdivide(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each face into four; new vertices are the edges' middles, moved onto the sphere."""
    edges = np.sort(faces[:, [[1, 2], [2, 0], [0, 1]]].reshape(-1, 2), axis=1)
    unique, inverse = np.unique(edges, axis=0, return_inverse=True)
    middle = vertices[unique].mean(1)
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    opposite = inverse.reshape(-1, 3) + len(vertices)  # (F, 3): the middle opposite each corner
    (a, b, c), (ma, mb, mc) = faces.T, opposite.T
    parts = [(a, mc, mb), (mc, b, ma), (mb, ma, c), (ma, mb, mc)]
    quarters = np.stack([np.stack(part, -1) for part in parts], 1)
    return np.concatenate((vertices, middle)), quarters.reshape(-1, 3)


def _sphere_uv(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude (U,2) and their faces (F,3); u runs past 1 on faces across the seam."""
    longitude = 0.5 + np.arctan2(vertices[:, 0], -vertices[:, 1]) / (2 * math.pi)
    latitude = 0.5 + np.arcsin(np.clip(vertices[:, 2], -1, 1)) / math.pi
    u, v = longitude[faces], latitude[faces]  # (F, 3)
    pole = np.hypot(vertices[:, 0], vertices[:, 1])[faces] < 1e-6
    spread = np.where(pole, np.nan, u)
    across = (np.nanmax(spread, 1) - np.nanmin(spread, 1) > 0.5)[:, None] & (u < 0.5)
    u = np.where(across, u + 1, u)
    others = np.nanmean(np.where(pole, np.nan, u), axis=1, keepdims=True)
    u = np.where(pole, others, u)
    pairs = np.round(np.stack((u, v), -1).reshape(-1, 2), 9)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    return unique, inverse.reshape(-1, 3).astype(np.int64)
