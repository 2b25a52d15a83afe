# SPDX-License-Identifier: Apache-2.0
"""Regularisers of meshes, one number per mesh (B,), unreduced.

Faces and edges are looked up in a Topology, made once per set of faces. Reductions differ between papers and are part
of each name's definition here: DIB-R's Laplacian and flatness are sums over a mesh, so they grow with its size.
Cost: O(V + E + F) per mesh.
"""

from dataclasses import dataclass
from typing import Literal

import torch

from ..errors import InputError
from ..mesh import unit_vectors
from ..renderers.mesh_pairs import pack_corners, sum_rows


@dataclass(frozen=True)
class MeshWeights:
    """Weights of a mesh method's terms."""

    color: float
    silhouette: float
    laplacian: float
    flatness: float


# The released code of DIB-R (single-image reconstruction): colour is the mean over pixels and channels of
# |predicted - target| * mask, silhouette 1 - IoU, laplacian and flatness as below.
DIBR_WEIGHTS = MeshWeights(color=3.0, silhouette=1.0, laplacian=0.01, flatness=0.001)


@dataclass(frozen=True)
class Topology:
    """Edges and face pairs of B meshes, packed: vertex v of mesh b is b * V + v, face f is b * F + f."""

    batch: int
    vertices: int  # V
    corners: torch.Tensor  # (B * F, 3), 0 where there is no face
    edges: torch.Tensor  # (E, 2), each once, lower vertex first
    pairs: torch.Tensor  # (P, 2) faces at both sides of an edge

    def to(self, device: torch.device) -> "Topology":
        """The same on another device."""
        tensors = (tensor.to(device) for tensor in (self.corners, self.edges, self.pairs))
        return Topology(self.batch, self.vertices, *tensors)


def topology(faces: torch.Tensor, batch: int, vertices: int) -> Topology:
    """Edges and pairs of neighbouring faces of faces (F,3), shared, or (B,F,3), padded with -1.

    At an edge of more than two faces each is paired with the next by index; an edge of one face has no pair.
    """
    if faces.ndim == 2 and batch > 1:
        return _repeated(topology(faces, 1, vertices), batch)
    corners, present = pack_corners(faces, batch, vertices)
    face = torch.nonzero(present)[:, 0].repeat_interleave(3)
    sides = corners[present][:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    # One number per edge: finding equal numbers is many times faster than finding equal rows.
    total = max(batch * vertices, 1)
    keys, inverse = torch.unique(sides.amin(1) * total + sides.amax(1), return_inverse=True)
    order = torch.sort(inverse, stable=True).indices
    together = inverse[order][1:] == inverse[order][:-1]
    pairs = torch.stack((face[order][:-1], face[order][1:]), 1)[together]
    lower = torch.div(keys, total, rounding_mode="floor")
    return Topology(batch, vertices, corners, torch.stack((lower, keys - lower * total), 1), pairs)


def _repeated(mesh: Topology, batch: int) -> Topology:
    """The topology of `batch` copies of one mesh."""
    copy = torch.arange(batch, device=mesh.corners.device)[:, None, None]
    corners, edges = (
        (part + copy * mesh.vertices).reshape(-1, part.shape[1]) for part in (mesh.corners, mesh.edges)
    )
    pairs = (mesh.pairs + copy * len(mesh.corners)).reshape(-1, 2)
    return Topology(batch, mesh.vertices, corners, edges, pairs)


def laplacian(field: torch.Tensor, mesh: Topology, reduction: Literal["sum", "mean"] = "sum") -> torch.Tensor:
    """Uniform Laplacian loss (B,) of a field (B,V,3): |mean over neighbours - own value|^2.

    DIB-R takes the field of predicted offsets (before their scale and before the mesh is normalised) and sums over
    vertices and coordinates; "mean" is over V. Vertices without neighbours count nothing. Taken on vertices instead,
    it shrinks the mesh.
    """
    _check(field, mesh)
    packed = field.reshape(-1, 3)
    first, second = mesh.edges.unbind(1)
    ends, others = torch.cat((first, second)), torch.cat((second, first))
    sums = sum_rows(ends, packed[others], len(packed))
    degree = sum_rows(ends, torch.ones_like(ends, dtype=field.dtype), len(packed))[:, None]
    difference = torch.where(degree > 0, sums / degree.clamp(min=1) - packed, 0.0)
    total = difference.square().view(mesh.batch, -1).sum(1)
    return total if reduction == "sum" else total / max(mesh.vertices, 1)


def flatness(vertices: torch.Tensor, mesh: Topology) -> torch.Tensor:
    """DIB-R's flatness loss (B,): sum over pairs of neighbouring faces of (cos(n1, n2) - 1)^2.

    Normals follow the faces' winding, which neighbours must share. The value is the same in any rigid frame.
    """
    cosine = _pair_cosines(vertices, mesh)
    return _sum_by_mesh((cosine - 1).square(), mesh.pairs[:, 0] // _faces_per_mesh(mesh), mesh)


def normal_consistency(vertices: torch.Tensor, mesh: Topology) -> torch.Tensor:
    """Mean (B,) over pairs of neighbouring faces of 1 - cos(n1, n2); 0 without pairs."""
    owner = mesh.pairs[:, 0] // _faces_per_mesh(mesh)
    total = _sum_by_mesh(1 - _pair_cosines(vertices, mesh), owner, mesh)
    return total / _sum_by_mesh(torch.ones_like(owner, dtype=vertices.dtype), owner, mesh).clamp(min=1)


def edge_length(vertices: torch.Tensor, mesh: Topology, target: float = 0.0) -> torch.Tensor:
    """Mean (B,) over edges of (length - target)^2, in the vertices' unit squared; 0 without edges."""
    _check(vertices, mesh)
    packed = vertices.reshape(-1, 3)
    square = (packed[mesh.edges[:, 0]] - packed[mesh.edges[:, 1]]).square().sum(1)
    if target:
        square = (square.clamp(min=1e-20).sqrt() - target).square()  # sqrt has no slope at 0
    owner = mesh.edges[:, 0] // max(mesh.vertices, 1)
    count = _sum_by_mesh(torch.ones_like(square), owner, mesh)
    return _sum_by_mesh(square, owner, mesh) / count.clamp(min=1)


def move(offsets: torch.Tensor) -> torch.Tensor:
    """Mean (B,) over vertices of the squared length of their offsets (B,V,3)."""
    return offsets.square().sum(-1).mean(-1)


def masked_color(predicted: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """DIB-R's colour loss (...): mean over H, W and channels of |predicted - target| * mask.

    predicted, target (...,H,W,C), mask (...,H,W), the target's. Background colours thus count nothing; the mean is over
    the whole image, so small objects count less.
    """
    return ((predicted - target).abs() * mask[..., None]).mean((-1, -2, -3))


def _check(field: torch.Tensor, mesh: Topology) -> None:
    if field.shape != (mesh.batch, mesh.vertices, 3):
        raise InputError(
            f"Expected ({mesh.batch}, {mesh.vertices}, 3) for this topology, got {tuple(field.shape)}."
        )


def _faces_per_mesh(mesh: Topology) -> int:
    return max(len(mesh.corners) // max(mesh.batch, 1), 1)


def _pair_cosines(vertices: torch.Tensor, mesh: Topology) -> torch.Tensor:
    """Cosine (P,) between the normals of neighbouring faces; 1, without gradient, where one has no area."""
    _check(vertices, mesh)
    points = vertices.reshape(-1, 3)[mesh.corners]  # (T, 3, 3)
    cross = torch.linalg.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0], dim=-1)
    normal = unit_vectors(cross)
    first, second = normal[mesh.pairs[:, 0]], normal[mesh.pairs[:, 1]]
    cosine = (first * second).sum(1)
    return torch.where((first != 0).any(1) & (second != 0).any(1), cosine, 1.0)


def _sum_by_mesh(values: torch.Tensor, owner: torch.Tensor, mesh: Topology) -> torch.Tensor:
    return sum_rows(owner, values, mesh.batch)
