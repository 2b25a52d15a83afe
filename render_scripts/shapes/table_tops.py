# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies on a table's legs: aprons, cloths, planks; and the drawers hung under it."""

from __future__ import annotations

import itertools

import numpy as np

from . import kit
from .cabinet_fronts import Style, drawer_front
from .furniture import Look, board
from .mesh import Mesh, Part, parts_of
from .rng import Rng
from .skin import skin


def apron(outline: str, x: float, y: float, top: float, height: float, thick: float) -> list[Mesh]:
    """The frame under a top: half sides x, y (to its outer face), from top - height up to top."""
    if outline == "round":
        ring = [(x - thick, top - height), (x, top - height), (x, top), (x - thick, top)]
        t = kit.TAU * np.arange(40) / 40
        return [
            kit.loft(
                [np.array([[r * np.cos(a), y / x * r * np.sin(a), z] for r, z in ring]) for a in t], loop=True
            )
        ]
    low, z = top - height, top
    rails = [((-x, s * y - thick * (s > 0), low), (x, s * y + thick * (s < 0), z)) for s in (-1, 1)]
    y, low, z = y - 0.001, low + 0.001, z - 0.0002
    ends = [((s * x - thick * (s > 0), -y, low), (s * x + thick * (s < 0), y, z)) for s in (-1, 1)]
    return [board(a, b) for a, b in (*rails, *ends)]


def planks(width: float, depth: float, thick: float, count: int, gap: float) -> list[Mesh]:
    """A top of `count` boards side by side, about the origin."""
    each = (depth - gap * (count - 1)) / count
    first = -depth / 2 + each / 2
    one = kit.rounded_box(width, each, thick, min(0.006, 0.3 * thick), 2, grain="x")
    return [one.moved(y=first + k * (each + gap)) for k in range(count)]


def cloth(outline: str, width: float, depth: float, top: float, drop: float, folds: int, wave: float) -> Mesh:
    """A table cloth over a plate whose upper face is at `top`: a skin with `folds` waves at its hem."""
    sides = 96
    power = 2.0 if outline == "round" else 9.0
    edge = kit.superellipse(width, depth, power, sides)
    t = kit.TAU * np.arange(sides) / sides
    ripple = np.cos(folds * t)[:, None]
    normal = edge / np.linalg.norm(edge, axis=1, keepdims=True)
    rings = [_ring(edge * s, top + 0.004) for s in (0.0, 0.6, 0.97)]
    levels = np.array([0.0, 0.08, 0.3, 0.6, 1.0])
    for inner in (0.0, 0.006):
        shell = []
        for share in levels:
            out = edge + normal * (0.012 - inner + 0.10 * drop * share + wave * ripple * share)
            shell.append(_ring(out, top + 0.002 - inner * (share < 0.05) - drop * share))
        rings += shell if inner == 0.0 else shell[::-1]
    rings.append(_ring(edge * 0.0, top - 0.004))
    return skin(np.stack(rings), uv="box", grain="y")


def _ring(outline: np.ndarray, z: float) -> np.ndarray:
    return np.concatenate([outline, np.full((len(outline), 1), z)], 1)


def apron_drawers(
    rng: Rng, look: Look, x0: float, x1: float, y: float, z0: float, z1: float, count: int
) -> list[Part]:
    """`count` drawers side by side in a front apron whose face is at y, with fronts and boxes behind."""
    style = Style.draw(rng, simple=rng.chance(0.5))
    edges = np.linspace(x0, x1, count + 1)
    parts: list[Part] = []
    for a, b in itertools.pairwise(edges):
        gap = 0.004
        parts += drawer_front(style, look, "drawer", float(a) + gap, float(b) - gap, z0 + gap, z1 - gap, y)
    return parts


def drawer_unit(
    rng: Rng, look: Look, x0: float, x1: float, y0: float, y1: float, z0: float, z1: float, count: int
) -> list[Part]:
    """A carcass with `count` drawers one above another, all of it drawer; front face at y0."""
    style = Style.draw(rng, simple=rng.chance(0.5))
    parts = parts_of("drawer", look.main, board((x0, y0 + 0.015, z0), (x1, y1, z1), 0.004))
    shares = np.cumsum([0.0, *(rng.uniform(0.8, 1.0 + 0.4 * k) for k in range(count))])
    heights = z1 - (z1 - z0) * shares / shares[-1]
    for top, low in itertools.pairwise(heights):
        parts += drawer_front(
            style, look, "drawer", x0 + 0.008, x1 - 0.008, float(low) + 0.005, float(top) - 0.005, y0 + 0.016
        )
    return parts
