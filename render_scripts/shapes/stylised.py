# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as simple model kits have them: other proportions, thicker parts. Cars have their own: car_toy.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .mesh import Mesh, Model
from .rng import Rng
from .skin import face_normals

STRETCH = 0.35  # largest logarithm of the factor along an axis
SWELL = 0.018  # largest distance that surfaces move outwards, in diagonals of the object's box


def stretched(model: Model, rng: Rng) -> Model:
    """The model stretched along each axis and swollen; one with a symmetry about Z keeps it: X and Y go alike."""
    along = np.exp([rng.uniform(-STRETCH, STRETCH) for _ in range(3)])
    if model.symmetry_order != 1:
        along[1] = along[0]
    low = np.min([part.mesh.bounds()[0] for part in model.parts], axis=0)
    high = np.max([part.mesh.bounds()[1] for part in model.parts], axis=0)
    by = rng.uniform(0.0, SWELL) * float(np.linalg.norm((high - low) * along))
    parts = [replace(part, mesh=swollen(part.mesh.scaled(*along), by)) for part in model.parts]
    ground = min(float(part.mesh.bounds()[0][2]) for part in parts)
    parts = [replace(part, mesh=part.mesh.moved(0, 0, -ground)) for part in parts]
    return replace(model, parts=parts, style={**model.style, "stylised": True})


def swollen(mesh: Mesh, by: float) -> Mesh:
    """The mesh with every vertex moved outwards along its normal, the mean of its faces', by so many metres."""
    normal = face_normals(mesh)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    total = np.zeros_like(mesh.vertices)
    for corner in range(4):
        used = mesh.faces[:, corner] >= 0
        np.add.at(total, mesh.faces[used, corner], normal[used])
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return replace(mesh, vertices=mesh.vertices + by * total / np.maximum(length, 1e-12))
