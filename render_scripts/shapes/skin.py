# SPDX-License-Identifier: GPL-3.0-or-later
"""The one builder under every primitive: a surface stretched over a sequence of closed rings."""

from __future__ import annotations

import numpy as np

from .mesh import Mesh

POINT_SIZE = 1e-9  # metres: a ring smaller than this is one vertex


def skin(rings: np.ndarray, loop: bool = False, uv: str = "wrap", grain: str | None = None) -> Mesh:
    """Closed mesh over rings (R,S,3), capped at both ends, or joined end to start if `loop`.

    A ring of zero size becomes one vertex (a pole). Caps are fans about the ring's centre, so end rings
    must be star-shaped. uv: "wrap" unrolls the sides, "box" projects along the nearest axis. Any ring
    direction will do: faces are turned outward by the sign of the volume.
    """
    rings = np.asarray(rings, float)
    point = np.abs(rings - rings[:, :1]).max((1, 2)) < POINT_SIZE
    index, vertices = _ring_indices(rings, point)
    if loop:
        index = np.concatenate([index, index[:1]])
    quads = _side_quads(index)
    wrapped = _wrap_uv(rings, loop)
    faces, uvs = _triangles_at_poles(quads, wrapped)
    capped = Mesh(vertices, faces, uvs)
    if not loop:
        capped = _with_caps(capped, rings, index, point)
    if uv == "box":
        capped = box_mapped(capped, grain)
    return capped.outward()


def box_mapped(mesh: Mesh, grain: str | None = None) -> Mesh:
    """The mesh with uv in metres projected along each face's nearest axis.

    v follows the grain axis ("x", "y", "z"; default the longest side of the bounding box).
    """
    axis = "xyz".index(grain) if grain else int(np.argmax(mesh.vertices.max(0) - mesh.vertices.min(0)))
    drop = np.abs(face_normals(mesh)).argmax(1)  # (F,)
    across = [k for k in np.argsort(mesh.vertices.min(0) - mesh.vertices.max(0), kind="stable") if k != axis]
    v_axis = np.where(drop == axis, across[0], axis)  # end grain runs along the longer side
    u_axis = 3 - drop - v_axis
    corners = mesh.vertices[mesh.faces]  # (F, 4, 3); the -1 of a triangle picks some vertex, never used
    rows = np.arange(len(mesh.faces))
    uv = np.stack([corners[rows, :, u_axis], corners[rows, :, v_axis]], -1)
    return Mesh(mesh.vertices, mesh.faces, uv)


def face_normals(mesh: Mesh) -> np.ndarray:
    """(F,3) vectors normal to each face, as long as twice its area."""
    p = mesh.vertices[mesh.faces]
    triangle = mesh.faces[:, 3:] < 0
    last = np.where(triangle, p[:, 0], p[:, 3])  # a triangle is a quad whose last edge has no length
    return np.cross(p[:, 2] - p[:, 0], last - p[:, 1])


def _ring_indices(rings: np.ndarray, point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R,S) vertex index per ring corner, poles repeated, and the (V,3) vertices."""
    used = np.ones(rings.shape[:2], bool)
    used[point, 1:] = False
    index = (np.cumsum(used) - 1).reshape(rings.shape[:2])
    index[point] = index[point, :1]
    return index, rings[used]


def _side_quads(index: np.ndarray) -> np.ndarray:
    """(R-1)*S quads between neighbouring rings, ring direction first."""
    after = np.roll(index, -1, axis=1)
    return np.stack([index[:-1], after[:-1], after[1:], index[1:]], -1).reshape(-1, 4)


def _wrap_uv(rings: np.ndarray, loop: bool) -> np.ndarray:
    """((R-1)*S,4,2) uv in metres: u around the longest ring, v along the mean path."""
    if loop:
        rings = np.concatenate([rings, rings[:1]])
    edges = np.linalg.norm(np.roll(rings, -1, 1) - rings, axis=-1)  # (R, S)
    widest = edges[edges.sum(1).argmax()]
    u = np.concatenate([[0.0], np.cumsum(widest)])
    steps = np.linalg.norm(np.diff(rings, axis=0), axis=-1).mean(1)
    v = np.concatenate([[0.0], np.cumsum(steps)])
    ring, side = np.meshgrid(np.arange(len(steps)), np.arange(rings.shape[1]), indexing="ij")
    corner_u = np.stack([u[side], u[side + 1], u[side + 1], u[side]], -1)
    corner_v = np.stack([v[ring], v[ring], v[ring + 1], v[ring + 1]], -1)
    return np.stack([corner_u, corner_v], -1).reshape(-1, 4, 2)


def _triangles_at_poles(quads: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quads with one collapsed edge as triangles; those with two are dropped."""
    first = quads[:, 0] == quads[:, 1]
    last = quads[:, 2] == quads[:, 3]
    faces, uv = quads.copy(), uv.copy()
    faces[first, 1:3], uv[first, 1:3] = quads[first, 2:], uv[first, 2:]
    faces[first | last, 3] = -1
    keep = ~(first & last)
    return faces[keep], uv[keep]


def _with_caps(mesh: Mesh, rings: np.ndarray, index: np.ndarray, point: np.ndarray) -> Mesh:
    """Close the first and the last ring with fans about their centres."""
    vertices, faces, uvs = [mesh.vertices], [mesh.faces], [mesh.uv]
    total = len(mesh.vertices)
    for end in (0, -1):
        if point[end]:
            continue
        after = np.roll(index[end], -1)
        ring = (index[end], after) if end else (after, index[end])
        fan = np.stack([*ring, np.full(len(after), total), np.full(len(after), -1)], -1)
        vertices.append(rings[end].mean(0, keepdims=True))
        faces.append(fan)
        uvs.append(box_mapped(Mesh(np.concatenate(vertices), fan, np.zeros((len(fan), 4, 2)))).uv)
        total += 1
    return Mesh(np.concatenate(vertices), np.concatenate(faces), np.concatenate(uvs))
