# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lamp stands on or hangs from: turned bodies, feet, tripods, canopies, jointed arms."""

from __future__ import annotations

import numpy as np

from . import kit, materials, sweeps
from .chair_frame import any_color, any_metal, any_wood
from .furniture import plain_color, stone
from .materials import Material
from .mesh import Mesh, around
from .rng import Rng

BODIES = {
    "vase": [
        (0.5, 0.0),
        (0.52, 0.03),
        (0.6, 0.12),
        (0.95, 0.42),
        (1.0, 0.6),
        (0.75, 0.82),
        (0.3, 0.95),
        (0.26, 1.0),
    ],
    "gourd": [
        (0.6, 0.0),
        (0.9, 0.12),
        (1.0, 0.28),
        (0.75, 0.48),
        (0.42, 0.58),
        (0.6, 0.75),
        (0.5, 0.9),
        (0.2, 1.0),
    ],
    "bottle": [(0.85, 0.0), (1.0, 0.06), (1.0, 0.45), (0.85, 0.6), (0.4, 0.76), (0.26, 0.85), (0.24, 1.0)],
    "ball": [(0.3, 0.0), (0.62, 0.1), (0.92, 0.3), (1.0, 0.5), (0.92, 0.7), (0.62, 0.9), (0.25, 1.0)],
    "cone": [(1.0, 0.0), (0.97, 0.03), (0.8, 0.2), (0.62, 0.45), (0.45, 0.7), (0.3, 1.0)],
    "jar": [(0.7, 0.0), (0.95, 0.08), (1.0, 0.4), (1.0, 0.7), (0.85, 0.88), (0.45, 0.96), (0.3, 1.0)],
    "drop": [(0.9, 0.0), (1.0, 0.12), (0.92, 0.3), (0.65, 0.55), (0.35, 0.78), (0.2, 1.0)],
}
TURNED = [
    [
        (1.0, 0.0),
        (1.0, 0.03),
        (0.6, 0.07),
        (0.42, 0.1),
        (0.36, 0.2),
        (0.5, 0.3),
        (0.32, 0.42),
        (0.28, 0.6),
        (0.42, 0.7),
        (0.25, 0.82),
        (0.36, 0.9),
        (0.2, 1.0),
    ],
    [
        (1.0, 0.0),
        (0.95, 0.05),
        (0.5, 0.12),
        (0.3, 0.2),
        (0.5, 0.38),
        (0.62, 0.5),
        (0.4, 0.66),
        (0.22, 0.76),
        (0.4, 0.84),
        (0.2, 0.92),
        (0.25, 1.0),
    ],
    [(1.0, 0.0), (1.0, 0.06), (0.45, 0.1), (0.3, 0.16), (0.24, 0.5), (0.2, 0.86), (0.34, 0.92), (0.2, 1.0)],
]


def stand_material(rng: Rng, simple: bool) -> Material:
    """Ceramic, lacquer, metal, wood or stone of a stand."""
    kind = rng.weighted({"metal": 4.0, "glaze": 2.5, "wood": 2.0, "stone": 0.8})
    if simple:
        return materials.paint(rng, plain_color(rng), rng.uniform(0.3, 0.7))
    if kind == "metal":
        return any_metal(rng)
    if kind == "glaze":
        return materials.paint(rng, any_color(rng, 0.7), rng.uniform(0.08, 0.4))
    return any_wood(rng) if kind == "wood" else stone(rng)


def turned_body(rng: Rng, kind: str, radius: float, height: float) -> Mesh:
    """A turned body from z = 0 to `height`: a named one, or "turned" for a profile like a baluster."""
    knots = np.array(rng.choice(TURNED) if kind == "turned" else BODIES[kind], float)
    curve = sweeps.catmull_rom(knots, 4)
    curve[:, 1] = np.maximum.accumulate(np.clip(curve[:, 1], 0, 1))
    keep = np.concatenate([[True], np.hypot(*np.diff(curve, axis=0).T) > 1e-4])
    return kit.lathe(curve[keep] * [radius, height], 32)


def foot(rng: Rng, kind: str, radius: float, height: float) -> tuple[Mesh, int]:
    """A plate on the floor, its centre under the stem, and its order of symmetry."""
    if kind == "disc":
        return kit.lathe(kit.rounded_profile([(radius, 0), (radius, height)], 0.4 * height, 3), 40), 0
    if kind == "dome":
        t = np.linspace(0, np.pi / 2, 8)
        curve = np.stack([radius * np.cos(t), 0.15 * height + height * 1.4 * np.sin(t)], 1)
        curve[-1, 0] = 0.0
        return kit.lathe(np.concatenate([[(0.0, 0.0), (radius, 0.0)], curve]), 40), 0
    if kind == "step":
        knots = [
            (radius, 0),
            (radius, 0.6 * height),
            (0.7 * radius, 0.7 * height),
            (0.65 * radius, 1.3 * height),
        ]
        knots += [(0.35 * radius, 1.5 * height), (0.2 * radius, 2.0 * height)]
        return kit.lathe(kit.rounded_profile(knots, 0.2 * height, 2), 40), 0
    side = 1.7 * radius
    return kit.rounded_box(side, side, height, min(0.3 * height, 0.012), 2).moved(z=height / 2), 4


def stem(low: float, high: float, radius: float) -> Mesh:
    """An upright tube."""
    return kit.cylinder(radius, high - low, 0.001, 16).moved(z=(low + high) / 2)


def tripod(rng: Rng, count: int, reach: float, top: float, radius: float, square: bool) -> list[Mesh]:
    """Legs that meet below `top`, with a hub."""
    near = 0.025 + 0.9 * radius
    path = np.array([[near, 0.0, top], [reach, 0.0, 0.0]])
    section = kit.rounded_rectangle(1.8, 1.8, 0.3, 1) if square else None
    one = sweeps.tube(path, np.array([radius, radius * rng.uniform(0.55, 1.0)]), 12, section, up=(0, 0, 1))
    low = float(one.bounds()[0][2])
    one = one.moved(z=-low)
    hub = kit.cylinder(near + 1.2 * radius, 0.05, 0.006, 24, 2).moved(z=top - low - 0.02)
    return [hub, *around(one, count, -90.0 if count == 3 else 45.0)]


def canopy(rng: Rng, radius: float, z: float) -> Mesh:
    """The cover on the ceiling, its upper face at z."""
    kind = rng.choice(["disc", "dome", "bell", "cup"])
    r, h = radius, {"disc": 0.025, "dome": 0.045, "bell": 0.07, "cup": 0.06}[kind]
    knots = {
        "disc": [(0, -1.0), (0.95, -1.0), (1.0, -0.8), (1.0, 0), (0, 0)],
        "dome": [(0, -1.0), (0.35, -0.95), (0.75, -0.65), (0.97, -0.2), (1.0, 0), (0, 0)],
        "bell": [(0, -1.0), (0.22, -1.0), (0.28, -0.7), (0.55, -0.4), (0.95, -0.2), (1.0, 0), (0, 0)],
        "cup": [(0, -1.0), (0.6, -1.0), (0.65, -0.95), (1.0, 0), (0, 0)],
    }[kind]
    return kit.lathe(np.array(knots, float) * [r, h], 32).moved(z=z)


def rod(points: np.ndarray | list, radius: float, round_by: float = 0.0) -> Mesh:
    """A tube through points, its corners rounded."""
    path = np.asarray(points, float)
    return sweeps.tube(sweeps.filleted(path, round_by, 6) if round_by else path, radius, 12, ends="round")


def joint(point: np.ndarray, radius: float, width: float) -> Mesh:
    """A round knuckle whose axis lies along X."""
    x, y, z = (float(v) for v in point)
    return kit.cylinder(radius, width, 0.002, 18).rotated("y", 90).moved(x, y, z)
