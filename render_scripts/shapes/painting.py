# SPDX-License-Identifier: GPL-3.0-or-later
"""Lofts with one texture painted over the whole surface by rules in object space (liveries, lamps, seams)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .kit import TAU
from .materials import Material
from .mesh import Mesh
from .skin import skin

Painter = Callable[[np.ndarray], np.ndarray]  # positions (H,W,3) metres -> sRGB (H,W,3) in 0..1


def painted_loft(
    rings: np.ndarray,
    painter: Painter,
    rows: int,
    cols: int,
    kind: str = "paint",
    roughness: float = 0.35,
    metallic: float = 0.0,
) -> tuple[Mesh, Material]:
    """Body through rings (R,S,3), ends closed in poles, and a material whose texture covers it once.

    rows, cols: texels along and around. The painter sees where each texel lies on the surface, so that a
    window or a stripe is a condition on x, y, z.
    """
    rings = np.asarray(rings, float)
    mesh = skin(rings)
    along, across = _path_lengths(rings)
    uv = mesh.uv / np.array([across[-1], along[-1]])
    texel = _texel_positions(rings, along / along[-1], across / across[-1], rows, cols)
    color = np.clip(painter(texel), 0, 1)
    texture = np.rint(color * 255).astype(np.uint8)
    mean = color.reshape(-1, 3).mean(0)
    material = Material(
        kind, (float(mean[0]), float(mean[1]), float(mean[2])), roughness, metallic, texture, (1.0, 1.0)
    )
    return replace(mesh, uv=uv), material


def turned_rings(profile: np.ndarray, sides: int = 24) -> np.ndarray:
    """(R,S,3) rings about Z of a profile (R,2) of radius and z; radius 0 at both ends makes poles."""
    profile = np.asarray(profile, float)
    t = TAU * np.arange(sides) / sides
    circle = np.stack([np.cos(t), np.sin(t), np.zeros(sides)], -1)
    return profile[:, None, :1] * circle + profile[:, None, 1:] * np.array([0.0, 0.0, 1.0])


def filled(positions: np.ndarray, color: tuple[float, float, float]) -> np.ndarray:
    """A colour field (H,W,3) of one colour to paint on."""
    return np.broadcast_to(np.asarray(color, float), positions.shape).copy()


def _path_lengths(rings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances along (R,) and around (S+1,), the same that skin uses for its uv."""
    steps = np.linalg.norm(np.diff(rings, axis=0), axis=-1).mean(1)
    edges = np.linalg.norm(np.roll(rings, -1, 1) - rings, axis=-1)
    widest = edges[edges.sum(1).argmax()]
    return np.concatenate([[0.0], np.cumsum(steps)]), np.concatenate([[0.0], np.cumsum(widest)])


def _texel_positions(
    rings: np.ndarray, along: np.ndarray, across: np.ndarray, rows: int, cols: int
) -> np.ndarray:
    """(rows,cols,3) where the texel centres lie on the loft; along (R,), across (S+1,) in 0..1."""
    closed = np.concatenate([rings, rings[:, :1]], 1)
    row, row_part = _place((np.arange(rows) + 0.5) / rows, along)
    col, col_part = _place((np.arange(cols) + 0.5) / cols, across)
    lower = closed[row] + (closed[row + 1] - closed[row]) * row_part[:, None, None]  # (rows, S+1, 3)
    return lower[:, col] + (lower[:, col + 1] - lower[:, col]) * col_part[None, :, None]


def _place(fraction: np.ndarray, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Interval of the rising knots that holds each fraction, and how far into it (0..1)."""
    index = np.clip(np.searchsorted(knots, fraction, side="right") - 1, 0, len(knots) - 2)
    width = np.maximum(knots[index + 1] - knots[index], 1e-12)
    return index, (fraction - knots[index]) / width
