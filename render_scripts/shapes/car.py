# SPDX-License-Identifier: GPL-3.0-or-later
"""Cars: family, colours, wheels and what is bolted on."""

from __future__ import annotations

import numpy as np

from . import kit, materials, sweeps
from .car_body import Trim, body_painter, body_rings, draw_trim, hood_sheet, hood_span
from .car_cabin import make_cabin
from .car_shape import CarShape, draw_shape
from .materials import Material
from .mesh import Mesh, Model, Part, both_sides, parts_of
from .painting import filled, painted_loft, turned_rings
from .rng import Rng

PARTS = ("roof", "hood", "wheel", "body")

KINDS = {
    "sedan": 24.0,
    "hatchback": 18.0,
    "wagon": 9.0,
    "suv": 18.0,
    "van": 10.0,
    "pickup": 10.0,
    "sports": 15.0,
}
NEUTRAL = ((0.88, 0.88, 0.87), (0.68, 0.69, 0.71), (0.45, 0.46, 0.48), (0.24, 0.25, 0.27), (0.1, 0.1, 0.11))


def build(rng: Rng) -> Model:
    """One car with its front towards -Y, on wheels that touch z = 0."""
    kind = rng.weighted(KINDS)
    shape = draw_shape(rng, kind)
    color = _color(rng)
    trim = draw_trim(rng, shape, color)
    gloss = rng.uniform(0.12, 0.35)
    metal = rng.choice([0.0, 0.0, 0.35])
    rings, y = body_rings(shape)
    mesh, paint = painted_loft(rings, body_painter(shape, trim), 288, 192, "paint", gloss, metal)
    coat = Material("paint", color, gloss, metal)
    accent = _accent(rng, coat)
    hood = accent if rng.chance(0.1) else coat
    parts = [Part("body", mesh, paint)]
    parts += parts_of("hood", hood, hood_sheet(shape, rings, y, *hood_span(shape)))
    parts += _cabin(rng, shape, accent if rng.chance(0.2) else coat, coat)
    parts += _wheels(rng, shape)
    parts += _mirrors(shape, trim, coat)
    extras, names = _extras(rng, shape, coat)
    return Model(
        [*parts, *extras], 1, {"type": kind, "windows": shape.glazed, "lamp": trim.lamp, "extras": names}
    )


def _color(rng: Rng) -> tuple[float, float, float]:
    if rng.chance(0.4):
        return rng.choice(NEUTRAL)
    hue = rng.choice([0.0, 0.01, 0.04, 0.11, 0.14, 0.3, 0.38, 0.5, 0.57, 0.6, 0.63, 0.8])
    return materials.hsv(
        (hue + rng.uniform(-0.015, 0.015)) % 1, rng.uniform(0.4, 0.95), rng.uniform(0.32, 0.9)
    )


def _accent(rng: Rng, coat: Material) -> Material:
    """Black, white or a darker shade of the paint for two-tone roofs and hoods."""
    r, g, b = coat.color
    color = rng.choice([(0.05, 0.05, 0.055), (0.9, 0.9, 0.9), (0.5 * r, 0.5 * g, 0.5 * b)])
    return Material("accent", color, coat.roughness)


def _cabin(rng: Rng, shape: CarShape, roof: Material, coat: Material) -> list[Part]:
    """Roof and pillars, glass panes; the blind panes of a panel van are painted."""
    cabin = make_cabin(shape, rng.uniform(0.035, 0.06))
    glass = Material("glass", rng.choice([(0.05, 0.06, 0.07), (0.08, 0.12, 0.15), (0.03, 0.035, 0.04)]), 0.06)
    parts = [Part("roof", cabin.shell, roof), *parts_of("body", glass, *cabin.screens)]
    for k, pane in enumerate(cabin.sides):
        if k // 2 < shape.glazed:
            parts.append(Part("body", pane, glass))
        else:
            parts.append(Part("body", pane, coat))
    return parts


def _wheels(rng: Rng, shape: CarShape) -> list[Part]:
    """Four turned wheels with painted spokes in a recessed rim."""
    width = shape.tyre * rng.uniform(0.56, 0.68)
    rim = rng.uniform(0.58, 0.72)
    mesh, material = _wheel(rng, shape.tyre, width, rim)
    wheel = mesh.rotated("y", 90)
    parts: list[Part] = []
    for axle in (shape.front_wheel_y, shape.rear_wheel_y):
        x = float(shape.half_width(axle)) - 0.5 * width - 0.012
        parts += [Part("wheel", side, material) for side in both_sides(wheel.moved(x, axle, shape.tyre))]
    return parts


def _wheel(rng: Rng, radius: float, width: float, rim: float) -> tuple[Mesh, Material]:
    """A wheel about Z, its face towards +Z: tyre with round shoulders, rim, dish, hub."""
    profile = [
        (0, -0.4), (0.8, -0.45), (0.93, -0.44), (0.985, -0.36), (1.0, -0.2), (1.0, 0.2), (0.985, 0.36), (0.93, 0.45),
        (rim + 0.06, 0.5), (rim + 0.01, 0.46), (rim, 0.44), (rim - 0.04, 0.3), (0.3, 0.34), (0.17, 0.38), (0.14, 0.44),
        (0, 0.45),
    ]  # fmt: skip
    spokes = rng.choice([5, 5, 6, 7, 8, 10, 0])
    metal = rng.choice([(0.7, 0.71, 0.73), (0.55, 0.56, 0.58), (0.82, 0.82, 0.83), (0.12, 0.12, 0.13)])
    thick = rng.uniform(-0.3, 0.25)

    def paint(p: np.ndarray) -> np.ndarray:
        r = np.hypot(p[..., 0], p[..., 1]) / radius
        out = filled(p, (0.045, 0.045, 0.048))
        face = (r < rim + 0.008) & (p[..., 2] > 0)
        out[face] = metal
        gap = (
            np.cos(spokes * (np.arctan2(p[..., 0], p[..., 1]))) < thick if spokes else np.zeros(r.shape, bool)
        )
        out[face & gap & (r > 0.2) & (r < rim - 0.05)] = (0.05, 0.05, 0.055)
        out[face & (r < 0.06)] = (0.2, 0.2, 0.21)
        return out

    rings = turned_rings(np.array(profile) * [radius, width], 32)
    return painted_loft(rings, paint, 80, 96, "rubber", 0.5, 0.0)


def _mirrors(shape: CarShape, trim: Trim, coat: Material) -> list[Part]:
    """Door mirrors on short arms at the foot of the windscreen's pillars."""
    black = Material("plastic", (0.06, 0.06, 0.065), 0.5)
    y = shape.cowl_y + 0.22 * (shape.screen_y - shape.cowl_y) + 0.16
    z = float(shape.top(y)) + 0.085
    inner = 0.86 * float(shape.half_width(y))
    x = float(shape.half_width(y)) + 0.06
    size = 0.085 if shape.kind != "van" else 0.11
    housing = kit.cushion(2 * size, 0.11, 1.45 * size, 3.0, 2.4, 20, 6)
    arm = sweeps.bar((inner, y, z - 0.06), (x, y, z - 0.02), 0.02, 8)
    material = black if trim.cladding or shape.kind == "van" else coat
    parts = [Part("body", side, material) for side in both_sides(housing.moved(x, y, z))]
    return parts + [Part("body", side, black) for side in both_sides(arm)]


def _extras(rng: Rng, shape: CarShape, coat: Material) -> tuple[list[Part], list[str]]:
    """Roof rails, a rear wing, bumpers, a spare wheel: what the family may carry."""
    parts: list[Part] = []
    names: list[str] = []
    if shape.kind in ("suv", "wagon") and rng.chance(0.55):
        parts += _rails(rng, shape)
        names.append("rails")
    if shape.kind == "sports" and rng.chance(0.35):
        parts += _rear_wing(rng, shape, coat)
        names.append("wing")
    if (shape.kind in ("pickup", "suv", "van") and rng.chance(0.5)) or rng.chance(0.12):
        parts += _bumpers(rng, shape)
        names.append("bumpers")
    if shape.kind == "suv" and rng.chance(0.2):
        spare = kit.cylinder(shape.tyre * 0.92, 0.22, 0.04, 28, 3).rotated("x", 90)
        cover = Material("plastic", (0.07, 0.07, 0.075), 0.6)
        parts.append(
            Part("body", spare.moved(0, shape.length / 2 + 0.1, shape.sill_z + 0.62 * shape.rear_z), cover)
        )
        names.append("spare")
    return parts, names


def _rails(rng: Rng, shape: CarShape) -> list[Part]:
    """Two bars along the roof's rims."""
    metal = Material("metal", rng.choice([(0.6, 0.61, 0.62), (0.07, 0.07, 0.07)]), 0.35)
    long = shape.roof_y - shape.screen_y
    x = 0.83 * float(shape.half_width(0.0)) - shape.tumblehome
    a, b, z = shape.screen_y + 0.12 * long, shape.roof_y - 0.1 * long, shape.height
    path = [[x, a, z - 0.08], [x, a + 0.1, z + 0.02], [x, b - 0.1, z + 0.02], [x, b, z - 0.08]]
    rail = sweeps.tube(sweeps.filleted(path, 0.06, 3), 0.017, 8)
    return [Part("roof", side, metal) for side in both_sides(rail)]


def _rear_wing(rng: Rng, shape: CarShape, coat: Material) -> list[Part]:
    """A blade on two posts over the tail."""
    y, half = 0.455 * shape.length, 0.8 * float(shape.half_width(0.45 * shape.length))
    deck = float(shape.top(y))
    z = deck + rng.uniform(0.1, 0.2)
    blade = kit.rounded_box(2 * half, 0.2, 0.03, 0.012, 3).rotated("x", 6).moved(0, y, z)
    post = sweeps.plank([0.6 * half, y, deck - 0.08], [0.6 * half, y, z], 0.03, 0.1, up=(0, 1, 0))
    material = rng.choice([coat, Material("plastic", (0.05, 0.05, 0.055), 0.4)])
    return [Part("body", blade, material), *(Part("body", side, material) for side in both_sides(post))]


def _bumpers(rng: Rng, shape: CarShape) -> list[Part]:
    """Bars across the front and the rear, bent round the corners."""
    chrome = Material("metal", (0.75, 0.76, 0.78), 0.2, 0.8)
    material = rng.choice([chrome, Material("plastic", (0.07, 0.07, 0.075), 0.6)])
    z = shape.sill_z + 0.2 * (shape.front_z - shape.sill_z) + 0.06
    out = []
    for end in (-1, 1):
        y = end * (shape.length / 2 + 0.01)
        w = float(shape.half_width(y)) * 0.97
        path = [[-w, y - end * 0.32, z], [-w * 0.9, y, z], [w * 0.9, y, z], [w, y - end * 0.32, z]]
        outline = kit.rounded_rectangle(0.09, 0.17, 0.03, 2)
        bar = sweeps.tube(sweeps.filleted(path, 0.16, 5), 1.0, section=outline, up=(0, 0, 1), ends="sharp")
        out.append(Part("body", bar, material))
    return out
