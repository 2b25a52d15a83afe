# SPDX-License-Identifier: GPL-3.0-or-later
"""Surfaces that the worker writes: binary little-endian PLY with triangles, colours and labels. No bpy."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .cloud import Cloud, CloudError
from .ply import MAX_HEADER_BYTES, read_ply

_ROW = np.dtype([("count", "u1"), ("corners", "<i4", (3,))])


@dataclass
class TriangleMesh:
    """Vertices with what is known of them, and faces (F,3) int32 into them."""

    vertices: Cloud
    faces: np.ndarray


def read_surface(path: Path) -> TriangleMesh:
    """Read a surface as `recon` writes it: the faces are the file's last rows. Raises CloudError."""
    vertices = read_ply(path)
    data = path.read_bytes()
    header = data[:MAX_HEADER_BYTES].partition(b"end_header")[0].decode("utf-8", "replace")
    counts = [line.split()[2] for line in header.splitlines() if line.startswith("element face ")]
    if "binary_little_endian" not in header or "list uchar int vertex_ind" not in header or len(counts) != 1:
        raise CloudError(f"{path.name} has no triangles as recon writes them.")
    count = int(counts[0]) if counts[0].isdecimal() else -1
    if not 0 < count <= len(data) // _ROW.itemsize:
        raise CloudError(f"{path.name} is cut off, or has no faces.")
    rows = np.frombuffer(data, _ROW, count, len(data) - count * _ROW.itemsize)
    corners = rows["corners"]
    if not (rows["count"] == 3).all() or corners.min() < 0 or corners.max() >= len(vertices):
        raise CloudError(f"{path.name}: its faces are not triangles of its vertices.")
    return TriangleMesh(vertices, np.ascontiguousarray(corners))
