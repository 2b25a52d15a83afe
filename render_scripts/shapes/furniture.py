# SPDX-License-Identifier: GPL-3.0-or-later
"""What tables, cabinets and lamps share: materials that go together, plates of any outline, placed legs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import kit, materials
from .chair_frame import any_color, any_metal, any_wood
from .materials import Material
from .mesh import Mesh, Part
from .rng import Rng

PLAIN_WOODS = (
    (0.80, 0.55, 0.32),
    (0.66, 0.43, 0.26),
    (0.50, 0.33, 0.21),
    (0.87, 0.68, 0.44),
    (0.36, 0.24, 0.17),
    (0.73, 0.62, 0.50),
)  # the flat browns of low-polygon models


@dataclass(frozen=True)
class Look:
    """Materials of one piece: its main surface, what it stands on, its fronts, a second surface, fittings."""

    main: Material
    leg: Material
    front: Material
    second: Material
    metal: Material
    name: str


def plain_color(rng: Rng) -> tuple[float, float, float]:
    """One even colour of a simple model: a brown, a neutral or a strong hue."""
    if rng.chance(0.45):
        return rng.choice(PLAIN_WOODS)
    return any_color(rng, 0.7)


def stone(rng: Rng) -> Material:
    """Polished marble or granite: soft clouds under thin dark veins."""
    base = rng.choice([(0.90, 0.89, 0.87), (0.16, 0.16, 0.17), (0.62, 0.58, 0.53), (0.35, 0.42, 0.38)])
    cloud = materials.noise(rng, 128, 128, 20, 20)
    vein = np.exp(-((materials.noise(rng, 128, 128, 14, 26) / 0.12) ** 2))
    sign = -1.0 if base[0] > 0.3 else 2.0
    texture = materials.shaded(base, 0.03 * cloud + sign * 0.22 * vein)
    return Material("stone", base, rng.uniform(0.1, 0.3), 0.0, texture, (0.7, 0.7))


def clear_glass(rng: Rng) -> Material:
    """Table and door glass: pale and glossy, opaque so that masks and depth stay whole."""
    tint = rng.choice([(0.72, 0.82, 0.82), (0.80, 0.86, 0.88), (0.30, 0.34, 0.36), (0.62, 0.74, 0.72)])
    return materials.glass(rng, tint)


def look(rng: Rng, simple: bool) -> Look:
    """Materials that go together; `simple` pieces mostly have even colours."""
    weights = {"wood": 5.0, "painted": 2.5, "plain": 0.8, "metal": 2.2, "white": 1.5}
    if simple:
        weights = {"wood": 2.0, "painted": 2.0, "plain": 6.0, "metal": 0.7, "white": 1.0}
    kind = rng.weighted(weights)
    main, leg = _surfaces(rng, kind)
    front = (
        main
        if rng.chance(0.6)
        else _surfaces(rng, rng.weighted({kind: 1.0, "painted": 1.0, "white": 0.6}))[0]
    )
    second = rng.weighted({"main": 6.0, "stone": 1.2, "wood": 1.5, "plain": 0.8})
    second_made = {"main": lambda: main, "stone": lambda: stone(rng), "wood": lambda: any_wood(rng)}
    other = second_made[second]() if second in second_made else materials.paint(rng, plain_color(rng))
    return Look(main, leg, front, other, any_metal(rng), kind)


def _surfaces(rng: Rng, kind: str) -> tuple[Material, Material]:
    """The main surface and that of the legs."""
    if kind == "wood":
        main = any_wood(rng)
        return main, main if rng.chance(0.8) else materials.paint(rng, any_color(rng, 0.4), 0.4)
    if kind == "metal":
        main = any_wood(rng) if rng.chance(0.7) else materials.plastic(rng, any_color(rng, 0.4))
        return main, any_metal(rng)
    color = {"white": (0.91, 0.905, 0.89), "plain": plain_color(rng)}.get(kind) or any_color(rng, 0.7)
    main = materials.paint(rng, color, rng.uniform(0.2, 0.6))
    if rng.chance(0.65):
        return main, main
    leg = any_wood(rng) if kind != "plain" else materials.paint(rng, plain_color(rng), 0.5)
    return main, leg


def plate(
    outline: str, width: float, depth: float, thick: float, bevel: float, corner: float = 0.0, steps: int = 2
) -> Mesh:
    """A board lying in XY about the origin: "round" (oval where width and depth differ), "boat" (bowed
    sides) or "square" with corners of the given radius."""
    bevel = min(bevel, 0.45 * thick)
    if outline == "round" and width == depth:
        profile = kit.rounded_profile([(width / 2, -thick / 2), (width / 2, thick / 2)], bevel, steps)
        return kit.lathe(profile, 48)
    if outline == "round":
        return kit.extrude(kit.superellipse(width, depth, 2.0, 48), thick, bevel, steps, grain="x")
    if outline == "boat":
        return kit.extrude(kit.superellipse(width, depth, 3.6, 48), thick, bevel, steps, grain="x")
    if corner > 2 * bevel:
        shape = kit.rounded_rectangle(width, depth, corner, 6)
        return kit.extrude(shape, thick, bevel, steps, grain="x")
    return kit.rounded_box(width, depth, thick, bevel, steps)


def board(
    low: tuple[float, float, float], high: tuple[float, float, float], bevel: float = 0.003, steps: int = 1
) -> Mesh:
    """A box between two corners."""
    size = np.subtract(high, low)
    x, y, z = (float(v) for v in np.add(low, high) / 2)
    return kit.rounded_box(float(size[0]), float(size[1]), float(size[2]), bevel, steps).moved(x, y, z)


def quarters(x: float, y: float) -> np.ndarray:
    """(4,2) corners of a rectangle: front left, front right, rear right, rear left."""
    return np.array([[-x, -y], [x, -y], [x, y], [-x, y]])


def on_floor(parts: list[Part]) -> list[Part]:
    """The parts lifted or lowered so that the lowest point is at z = 0."""
    low = min(float(part.mesh.bounds()[0][2]) for part in parts)
    return [replace(part, mesh=part.mesh.moved(z=-low)) for part in parts]
