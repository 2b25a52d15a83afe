# SPDX-License-Identifier: GPL-3.0-or-later
"""Lamp shades: fabric drums and cones, glass globes, metal domes, paper lanterns, wire cages."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import kit, materials, sweeps
from .chair_frame import any_color, any_metal, any_wood
from .furniture import plain_color
from .materials import Material
from .mesh import Mesh, Part, around, parts_of
from .rng import Rng

CLOTHS = ((0.93, 0.90, 0.83), (0.88, 0.82, 0.70), (0.96, 0.95, 0.92), (0.75, 0.66, 0.52), (0.30, 0.29, 0.30))
OPALS = ((0.96, 0.95, 0.92), (0.98, 0.96, 0.88), (0.95, 0.86, 0.62), (0.80, 0.85, 0.86))


@dataclass(frozen=True)
class Shade:
    """A shade about Z with its lower rim at z = 0.

    parts: the shade, its holder and bulb; height: of its upper end; radius: the largest;
    hold: height where a stem from below meets it; order: of its symmetry about Z (0 any angle).
    """

    parts: list[Part]
    height: float
    radius: float
    hold: float
    order: int


def shade(rng: Rng, kind: str, radius: float, height: float, simple: bool) -> Shade:
    """One shade of a named kind that fits in the given radius and height."""
    if kind in ("globe", "drop", "lantern", "disc"):
        return _closed(rng, kind, radius, height)
    if kind in ("dome", "cone", "bell", "factory", "cylinder"):
        return _hood(rng, kind, radius, height, simple)
    if kind == "cage":
        return _cage(rng, radius, height)
    return _cloth(rng, kind, radius, height, simple)


def ring_of(profile: list, sides: int = 40, ripple: float = 0.0, folds: int = 0) -> Mesh:
    """Closed ring about Z of a closed profile [(radius, z), ...]; folds wave its radius by `ripple`."""
    t = kit.TAU * np.arange(sides) / sides
    scale = 1.0 + ripple * np.cos(folds * t)
    rings = [
        np.array([[r * f * np.cos(a), r * f * np.sin(a), z] for r, z in profile]) for a, f in zip(t, scale)
    ]
    return kit.loft(rings, loop=True)


def wall(curve: np.ndarray, thick: float) -> list:
    """Closed profile of an open wall: (radius, z) points upwards, and back down `thick` nearer to the axis."""
    inner = curve - np.array([thick, 0.0])
    return np.concatenate([curve, inner[::-1]]).tolist()


def _cloth(rng: Rng, kind: str, radius: float, height: float, simple: bool) -> Shade:
    """Fabric or paper on two wire rings: "drum", "empire" (cone), "flare" (curved), "square", "pleated"."""
    material = cover(rng, simple)
    share = {"drum": rng.uniform(0.88, 1.0), "square": rng.uniform(0.6, 1.0)}.get(
        kind, rng.uniform(0.35, 0.72)
    )
    t = np.linspace(0, 1, 7)
    curve = radius * (1 + (share - 1) * t)
    if kind == "flare":
        curve = radius * (share + (1 - share) * (1 - t) ** 2.2)
    profile = wall(np.stack([curve, height * t], 1), 0.005 if not simple else 0.012)
    order = 0
    if kind == "square":
        mesh = ring_of(profile, 4).rotated("z", 45)
        order = 4
    elif kind == "pleated":
        order = rng.choice([16, 20, 24])
        mesh = ring_of(profile, 4 * order, 0.035, order)
    else:
        mesh = ring_of(profile, 48)
    parts = parts_of("lampshade", material, mesh)
    if rng.chance(0.25) and kind in ("drum", "empire"):
        trim = materials.fabric(rng, any_color(rng, 0.5))
        for z, r in ((0.0, curve[0]), (height, curve[-1])):
            band = [
                (r + 0.002, z - 0.006),
                (r + 0.002, z + 0.008),
                (r - 0.007, z + 0.008),
                (r - 0.007, z - 0.006),
            ]
            parts += parts_of("lampshade", trim, ring_of(band, 48))
    z, at = 0.88 * height, float(np.interp(0.88, t, curve)) * (0.7071 if kind == "square" else 1.0)
    spider = sweeps.bar([-at + 0.002, 0, z], [at - 0.002, 0, z], 0.004)
    wire = Material("metal", (0.7, 0.7, 0.7), 0.4, 1.0)
    parts += parts_of("lampshade", wire, spider, spider.rotated("z", 90))
    parts += _bulb(rng, min(0.032, 0.3 * at), z - 0.004, -1)
    return Shade(parts, height, radius, z, order if order == 4 else 4)


def _bulb(rng: Rng, radius: float, z: float, way: int) -> list[Part]:
    """A bulb with its socket; way -1 hangs below z, +1 stands above."""
    knots = [
        (0.0, 0.0),
        (0.42, 0.0),
        (0.42, 0.9),
        (0.6, 1.2),
        (1.0, 2.1),
        (0.9, 2.8),
        (0.5, 3.15),
        (0.0, 3.25),
    ]
    mesh = kit.lathe(np.array(knots) * [radius, way * radius], 20)
    return parts_of("lampshade", Material("glass", (0.98, 0.95, 0.86), 0.2), mesh.moved(z=z))


def _hood(rng: Rng, kind: str, radius: float, height: float, simple: bool) -> Shade:
    """A hood of metal, glass or wicker, closed above: "dome", "cone", "bell", "factory" or "cylinder"."""
    t = np.linspace(0, 1, 11)
    neck = min(rng.uniform(0.14, 0.26), 0.035 / radius if radius > 0.12 else 0.4)
    curves = {
        "dome": np.sqrt(np.maximum(1 - t**2, 0)) * (1 - neck) + neck,
        "cone": 1 + (neck - 1) * t,
        "bell": neck + (1 - neck) * (0.45 * (1 - t) ** 3 + 0.55 * np.sqrt(np.maximum(1 - t**3, 0))),
        "factory": np.interp(t, [0, 0.12, 0.5, 0.62, 1], [1.0, 0.97, 0.5, neck + 0.1, neck]),
        "cylinder": np.interp(t, [0, 0.86, 0.97, 1], [1.0, 1.0, 0.8, neck]),
    }
    curve = np.stack([radius * curves[kind], height * t], 1)
    thick = 0.010 if simple else 0.004
    inner = curve[:-1] * [1.0, 1.0] - [thick, 0.0]
    inner[:, 1] *= (height - thick) / height
    inner = inner[inner[:, 0] > 0.004]
    path = [(0.0, inner[-1, 1]), *inner[::-1].tolist(), *curve.tolist(), (0.0, height)]
    parts = parts_of("lampshade", hood_material(rng, simple), kit.lathe(np.array(path), 40))
    top = float(inner[-1, 1]) + 0.002
    parts += _bulb(rng, min(0.045, 0.28 * radius, 0.26 * height), top, -1)
    return Shade(parts, height, radius, top, 0)


def _closed(rng: Rng, kind: str, radius: float, height: float) -> Shade:
    """A closed body of opal glass or paper: "globe", "drop", "lantern" (ribbed) or "disc"."""
    t = np.linspace(0, np.pi, 17)
    if kind == "globe":
        height = 2 * radius
    profile = np.stack([radius * np.sin(t), height / 2 * (1 - np.cos(t))], 1)
    if kind == "drop":
        profile[:, 0] *= 1.0 + 0.28 * np.cos(t)
        profile[:, 0] *= radius / profile[:, 0].max()
    if kind == "disc":
        profile[:, 0] = radius * np.sin(t) ** 0.45
    if kind == "lantern":
        fine = np.linspace(0, np.pi, 49)
        ribs = 1.0 - 0.022 * np.cos(np.arange(49) * np.pi / 2) ** 2
        profile = np.stack([radius * np.sin(fine) * ribs, height / 2 * (1 - np.cos(fine))], 1)
    profile[[0, -1], 0] = 0.0
    material = Material("glass", rng.choice(OPALS), 0.15)
    if kind == "lantern":
        material = materials.Material("paper", rng.choice([*OPALS[:2], any_color(rng, 1.0)]), 0.9)
    return Shade(parts_of("lampshade", material, kit.lathe(profile, 36)), height, radius, 0.006, 0)


def _cage(rng: Rng, radius: float, height: float) -> Shade:
    """Wires about a bulb, as ribs of a sphere, a cone or a drum."""
    count = rng.choice([6, 8])
    shape = rng.choice([[0.5, 1.0, 0.85, 0.16], [0.9, 1.0, 0.6, 0.12], [1.0, 0.8, 0.5, 0.14]])
    t = np.linspace(0, 1, 4)
    curve = sweeps.catmull_rom(np.stack([np.array(shape) * radius, t * height], 1), 4)
    wire = max(0.003, 0.022 * radius)
    rib = sweeps.tube(np.stack([curve[:, 0], 0 * curve[:, 0], curve[:, 1]], 1), wire, 6)
    made = any_metal(rng)
    hoops = []
    for share in (0.0, 0.36, 0.7):
        r, z = (
            float(np.interp(share * height, curve[:, 1], curve[:, 0])),
            share * height + wire * (share == 0),
        )
        hoops.append(sweeps.tube(sweeps.arc(r, 0, 360, 32, z)[:-1], wire, 6, loop=True))
    cap = kit.cylinder(0.2 * radius, 0.16 * height, 0.002, 24).moved(z=0.96 * height)
    parts = parts_of("lampshade", made, *around(rib, count), *hoops, cap)
    return Shade(
        parts + _bulb(rng, 0.17 * radius, 0.9 * height, -1), 1.04 * height, radius, 0.9 * height, count
    )


def cover(rng: Rng, simple: bool) -> Material:
    """Cloth or paper of a shade."""
    color = rng.choice(CLOTHS) if rng.chance(0.55) else any_color(rng, 0.85)
    if simple or rng.chance(0.35):
        return materials.paint(rng, color, 0.85)
    return materials.fabric(rng, color, any_color(rng) if rng.chance(0.1) else None)


def hood_material(rng: Rng, simple: bool) -> Material:
    """Metal, lacquer, opal glass, wood or wicker-like cloth of a hood."""
    kind = rng.weighted({"paint": 5.0, "metal": 2.0, "opal": 1.5, "wood": 0.8, "cloth": 0.7})
    if simple or kind == "paint":
        return materials.paint(
            rng, plain_color(rng) if simple else any_color(rng, 0.6), rng.uniform(0.25, 0.6)
        )
    if kind == "metal":
        return any_metal(rng)
    if kind == "wood":
        return any_wood(rng)
    return (
        Material("glass", rng.choice(OPALS), 0.15)
        if kind == "opal"
        else materials.fabric(rng, rng.choice(CLOTHS))
    )


def lifted(made: Shade, z: float) -> list[Part]:
    """The shade with its lower rim at z."""
    return [replace(part, mesh=part.mesh.moved(z=z)) for part in made.parts]
