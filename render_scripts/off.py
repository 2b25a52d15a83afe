# SPDX-License-Identifier: GPL-3.0-or-later
"""Reader of OFF files (ModelNet, Geomview): text, polygons, optional vertex or face colours."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

MAX_ELEMENTS = 20_000_000


class OffMesh(NamedTuple):
    """Vertices (V,3) float64, faces as lists of vertex indices, vertex colours (V,4) in 0..1 or None."""

    vertices: np.ndarray
    faces: list[list[int]]
    colors: np.ndarray | None


def read_off(path: str | Path) -> OffMesh:
    """Read OFF, COFF or ModelNet's glued header ("OFF123 456 0"); raises ValueError naming the defect."""
    text = Path(path).read_bytes().decode("latin-1")
    lines = [line for line in (raw.split("#", 1)[0].strip() for raw in text.splitlines()) if line]
    if not lines:
        raise ValueError("OFF file is empty")
    vertex_count, face_count, body = _header(lines)
    if len(body) < vertex_count + face_count:
        raise ValueError(
            f"OFF file announces {vertex_count} vertices and {face_count} faces but has {len(body)} lines (truncated?)"
        )
    vertices, colors = _vertices(body[:vertex_count])
    faces = [_face(line, vertex_count) for line in body[vertex_count : vertex_count + face_count]]
    return OffMesh(vertices, [face for face in faces if len(face) >= 3], colors)


def _header(lines: list[str]) -> tuple[int, int, list[str]]:
    """Vertex count, face count, and the lines after the counts."""
    head = lines[0]
    keyword = "COFF" if head.startswith("COFF") else "OFF"
    if not head.startswith(keyword):
        raise ValueError(
            f"OFF file starts with {head[:20]!r}, expected OFF or COFF (binary and 4D are not supported)"
        )
    rest = head[len(keyword) :].strip()
    counts, body = (rest, lines[1:]) if rest else (lines[1] if len(lines) > 1 else "", lines[2:])
    try:
        vertex_count, face_count = (int(word) for word in counts.split()[:2])
    except ValueError:
        raise ValueError(f"OFF file has {counts[:40]!r} where the vertex and face counts belong") from None
    if not (0 <= vertex_count <= MAX_ELEMENTS and 0 <= face_count <= MAX_ELEMENTS):
        raise ValueError(f"OFF file announces {vertex_count} vertices and {face_count} faces")
    return vertex_count, face_count, body


def _vertices(lines: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    rows = [line.split() for line in lines]
    width = min((len(row) for row in rows), default=3)
    try:
        table = np.array([row[:width] for row in rows], np.float64).reshape(len(rows), -1)
    except ValueError:
        raise ValueError("OFF file has a vertex line that is not numbers") from None
    if len(rows) and width < 3:
        raise ValueError("OFF file has a vertex line with fewer than 3 numbers")
    if width < 6:
        return table[:, :3].reshape(-1, 3), None
    scale = 255.0 if table[:, 3:6].max() > 1.0 else 1.0
    return table[:, :3], np.clip(np.c_[table[:, 3:6] / scale, np.ones(len(table))], 0, 1)


def _face(line: str, vertex_count: int) -> list[int]:
    try:
        words = line.split()
        count = int(words[0])
        face = [int(word) for word in words[1 : 1 + count]]
    except (ValueError, IndexError):
        raise ValueError(f"OFF file has the face line {line[:40]!r}") from None
    if len(face) != count or any(not 0 <= index < vertex_count for index in face):
        raise ValueError(f"OFF face {line[:40]!r} names vertices outside 0..{vertex_count - 1}")
    return face
