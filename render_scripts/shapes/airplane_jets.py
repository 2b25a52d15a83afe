# SPDX-License-Identifier: GPL-3.0-or-later
"""Fighters and jet trainers: pointed hulls, swept and delta wings, one or two fins, canards."""

from __future__ import annotations

import numpy as np

from . import kit, materials
from .airplane_livery import GLASS, Livery, base_coat, military, sporting
from .airplane_parts import (
    Hull,
    Station,
    ellipsoid,
    make_hull,
    pair,
    surface_of,
    trapezoid,
    upright,
    wheel_leg,
)
from .materials import Material
from .mesh import Mesh, Part
from .painting import filled, painted_loft, turned_rings
from .rng import Rng

PLANFORMS = {"delta": 3.0, "swept": 4.0, "cropped": 3.0, "canard": 2.0}


def fighter(rng: Rng) -> tuple[list[Part], dict]:
    """A combat jet, or the same in display colours."""
    planform = rng.weighted(PLANFORMS)
    twin = rng.chance(0.45)
    fins = 2 if twin and planform != "delta" and rng.chance(0.75) else 1
    livery = military(rng) if rng.chance(0.8) else sporting(rng)
    length = rng.uniform(12, 20)
    width = length * (rng.uniform(0.105, 0.13) if twin else rng.uniform(0.08, 0.1))
    height = length * rng.uniform(0.08, 0.1)
    hull = make_hull(
        length, width, height, length * rng.uniform(0.36, 0.44), length * 0.22, rng.uniform(-0.3, 0.0), 0.1,
        rng.uniform(1.15, 1.4), 2.2, 0.62 if not twin else 0.7, 2.6,
    )  # fmt: skip
    mesh, paint = painted_loft(hull.rings(32), base_coat(hull, livery), 192, 64, roughness=0.5)
    parts = [Part("body", mesh, paint), *_canopy(rng, hull, length, livery)]
    skin_paint = livery.plain(livery.main, 0.55)
    plan, wings = _wings(rng, planform, length, hull)
    parts += pair("wing", skin_paint, wings)
    parts += _stores(rng, plan, length, livery) if rng.chance(0.5) else []
    parts += _tail(rng, planform, fins, length, hull, livery)
    parts += _engines(rng, hull, length, twin, livery)
    gear = rng.chance(0.4)
    if gear:
        parts += _undercarriage(rng, hull, length)
    return parts, {
        "planform": planform,
        "engine_count": 1 + twin,
        "fins": fins,
        "livery": livery.scheme,
        "gear": gear,
    }


def _canopy(rng: Rng, hull: Hull, length: float, livery: Livery) -> list[Part]:
    """A glass bubble, with a frame and a spine behind it."""
    long = length * rng.uniform(0.1, 0.14) * (1.5 if rng.chance(0.3) else 1.0)
    y = float(hull.y[0]) + length * rng.uniform(0.25, 0.29)
    half_width, top, bottom = hull.at(y)
    glass = Material("glass", rng.choice([GLASS, (0.1, 0.08, 0.03), (0.04, 0.05, 0.06)]), 0.08)
    tall = 0.62 * (top - bottom) * rng.uniform(0.8, 1.05)
    bubble = ellipsoid(half_width * 0.72, long, tall, 2.2).moved(0, y + 0.1 * long, top - 0.3 * tall)
    spine = ellipsoid(half_width * 0.55, length * 0.24, tall * 0.72, 2.2)
    spine = spine.moved(0, y + 0.3 * long + length * 0.2, hull.at(y + length * 0.2)[1] - 0.28 * tall)
    return [Part("body", bubble, glass), Part("body", spine, livery.plain(livery.main, 0.5))]


def _wings(rng: Rng, planform: str, length: float, hull: Hull) -> tuple[tuple[float, ...], Mesh]:
    """(root y, z, half span, sweep, dihedral in degrees) and the wing at +X."""
    shapes = {  # root chord, taper, half span, sweep / half span, root position (parts of the length)
        "delta": ((0.46, 0.56), (0.06, 0.14), (0.24, 0.30), (1.25, 1.6), -0.1),
        "canard": ((0.42, 0.5), (0.08, 0.16), (0.25, 0.31), (1.1, 1.4), -0.06),
        "swept": ((0.24, 0.3), (0.35, 0.5), (0.30, 0.38), (0.6, 0.9), -0.13),
        "cropped": ((0.32, 0.4), (0.2, 0.32), (0.26, 0.33), (0.75, 1.05), -0.11),
    }
    root, taper, span, sweep, place = shapes[planform]
    chord, half = length * rng.uniform(*root), length * rng.uniform(*span)
    back = half * rng.uniform(*sweep)
    y = length * (place + rng.uniform(-0.02, 0.02))
    z = hull.top.max() * rng.uniform(-0.3, 0.45)
    dihedral = rng.uniform(-3, 3)
    stations = trapezoid(chord, chord * rng.uniform(*taper), half, back, dihedral, 0.055, 1)
    if planform != "delta" and rng.chance(0.55):  # a strake along the fuselage ahead of the wing
        strake = Station(0, -0.32 * chord, 0, chord * 1.32, 0.045)
        middle = stations[0]
        x = float(hull.half_width.max()) * 1.25
        k = x / half
        y_mid, c_mid = back * k, chord + (stations[1].chord - chord) * k
        stations = [strake, Station(x, y_mid, middle.z, c_mid, 0.055), stations[1]]
    return (y, float(z), half, back, dihedral), surface_of(stations, 0, 0.15).moved(0, y, float(z))


def _stores(rng: Rng, plan: tuple[float, ...], length: float, livery: Livery) -> list[Part]:
    """Missiles at the wing tips or tanks below the wing (labelled as the wing that carries them)."""
    y, z, half, back, dihedral = plan
    slope = float(np.tan(np.radians(dihedral)))
    white = livery.plain(rng.choice([(0.85, 0.85, 0.85), livery.belly, (0.4, 0.42, 0.44)]))
    parts: list[Part] = []
    if rng.chance(0.6):
        rod = _rocket(length * 0.008, length * 0.16)
        parts += pair("wing", white, rod.moved(half * 1.005, y + back - length * 0.02, z + half * slope))
    if rng.chance(0.6):
        tank = _rocket(length * rng.uniform(0.014, 0.022), length * rng.uniform(0.2, 0.28))
        x = half * rng.uniform(0.42, 0.55)
        at = (x, y + back * x / half - length * 0.04, z + x * slope - length * 0.034)
        parts += pair("wing", white, tank.moved(*at))
        pylon = kit.rounded_box(length * 0.006, length * 0.08, length * 0.035, length * 0.002)
        parts += pair("wing", white, pylon.moved(x, at[1] + length * 0.09, at[2] + length * 0.015))
    return parts


def _rocket(radius: float, length: float) -> Mesh:
    """A pointed cylinder along +Y from y = 0."""
    profile = np.array(
        [(0, 0), (0.5, -0.05), (0.9, -0.14), (1, -0.25), (1, -0.75), (0.75, -0.92), (0.3, -1), (0, -1)]
    )
    return kit.lathe(profile * [radius, length], 14).rotated("x", 90)


def _tail(rng: Rng, planform: str, fins: int, length: float, hull: Hull, livery: Livery) -> list[Part]:
    """One fin or two canted ones, tailplanes where the wing is no delta, canards on the forebody."""
    paint = livery.plain(
        livery.accent if livery.scheme in ("cheatline", "sweep", "front") else livery.main, 0.5
    )
    height = length * (rng.uniform(0.16, 0.2) if fins == 1 else rng.uniform(0.14, 0.17))
    root, tip = length * rng.uniform(0.18, 0.24), length * rng.uniform(0.06, 0.1)
    sweep = height * rng.uniform(0.7, 1.1)
    y = length * 0.5 - root * rng.uniform(1.0, 1.15)
    half_width, top, _ = hull.at(y + 0.5 * root)
    fin = upright(surface_of(trapezoid(root, tip, height, sweep, 0, 0.06), 0, 0.2))
    if fins == 1:
        parts = [Part("tail", fin.moved(0, y, top - 0.1 * height), paint)]
    else:
        lean = rng.uniform(4, 28)
        parts = pair("tail", paint, fin.rotated("y", lean).moved(0.72 * half_width, y, top - 0.16 * height))
    plain = livery.plain(livery.main, 0.55)
    if planform in ("swept", "cropped"):
        span = length * rng.uniform(0.15, 0.19) + half_width
        chord = length * rng.uniform(0.13, 0.16)
        half = surface_of(trapezoid(chord, chord * 0.35, span, span * 0.6, rng.uniform(-4, 2), 0.06), 0, 0.2)
        parts += pair(
            "tail", plain, half.moved(0, length * 0.5 - chord * rng.uniform(0.95, 1.1), hull.middle(y))
        )
    if planform == "canard":
        span = length * rng.uniform(0.12, 0.15) + half_width
        chord = length * rng.uniform(0.1, 0.13)
        half = surface_of(trapezoid(chord, chord * 0.3, span, span * 0.7, rng.uniform(0, 5), 0.06), 0, 0.2)
        parts += pair(
            "tail", plain, half.moved(0, -length * 0.21, hull.middle(-length * 0.15) + 0.2 * hull.at(0)[1])
        )
    return parts


def _engines(rng: Rng, hull: Hull, length: float, twin: bool, livery: Livery) -> list[Part]:
    """Exhaust nozzles at the tail and intakes beside or below the cockpit."""
    end = float(hull.y[-2])
    half_width, top, bottom = hull.at(end)
    middle = (top + bottom) / 2
    radius = (top - bottom) / 2 * (0.95 if not twin else 0.85)
    nozzle, metal = _nozzle(radius, length * 0.07)
    x = 0.62 * half_width if twin else 0.0
    at = (x, end - length * 0.012, middle)
    parts = pair("engine", metal, nozzle.moved(*at)) if twin else [Part("engine", nozzle.moved(*at), metal)]
    return parts + _intakes(rng, hull, length, livery)


def _nozzle(radius: float, length: float) -> tuple[Mesh, Material]:
    """A ring of petals along +Y from y = 0, hollow at the rear."""
    profile = np.array(
        [(0, 0), (1.0, 0), (1.02, -0.3), (0.8, -1), (0.74, -0.98), (0.8, -0.45), (0.4, -0.4), (0, -0.4)]
    ) * [radius, length]  # fmt: skip

    def paint(p: np.ndarray) -> np.ndarray:
        out = filled(p, (0.3, 0.29, 0.28))
        petal = np.sin(12 * np.arctan2(p[..., 1], p[..., 0])) > 0.6
        out[petal] = (0.2, 0.19, 0.19)
        inner = (np.hypot(p[..., 0], p[..., 1]) < 0.72 * radius) | (p[..., 2] > -0.5 * length) & (
            np.hypot(p[..., 0], p[..., 1]) < 0.85 * radius
        )
        out[inner] = (0.05, 0.04, 0.04)
        return out

    mesh, material = painted_loft(turned_rings(profile, 24), paint, 32, 48, "metal", 0.45, 0.4)
    return mesh.rotated("x", 90), material


def _intakes(rng: Rng, hull: Hull, length: float, livery: Livery) -> list[Part]:
    """Two ducts at the sides, or one under the belly, with dark hollow mouths."""
    chin = rng.chance(0.3)
    y = -length * rng.uniform(0.12, 0.17)
    half_width, top, bottom = hull.at(y + 0.05 * length)
    height = (top - bottom) * rng.uniform(0.6, 0.75)
    width = half_width * (1.3 if chin else rng.uniform(0.75, 0.95))
    long = length * rng.uniform(0.36, 0.44)
    duct, paint = _duct(width, height, long, livery)
    if chin:
        return [Part("body", duct.moved(0, y, bottom - 0.05 * height), paint)]
    return pair("body", paint, duct.moved(half_width * 0.98, y, (top + bottom) / 2 - 0.05 * height))


def _duct(width: float, height: float, length: float, livery: Livery) -> tuple[Mesh, Material]:
    """A boxy tube along +Y with an open mouth at y = 0 that fades into the hull."""
    rows = [
        (0.0, 0.1),
        (0.86, 0.1),
        (0.9, 0.0),
        (1.0, 0.01),
        (1.04, 0.2),
        (1.0, 0.5),
        (0.75, 0.8),
        (0.3, 1.0),
        (0.0, 1.0),
    ]
    unit = kit.superellipse(width, height, 3.5, 28)
    rings = np.stack(
        [np.stack([unit[:, 0] * k, np.full(28, t * length), unit[:, 1] * k], -1) for k, t in rows]
    )

    def paint(p: np.ndarray) -> np.ndarray:
        out = filled(p, livery.main)
        size = np.maximum(np.abs(p[..., 0]) / width, np.abs(p[..., 2]) / height) * 2
        out[(p[..., 1] < 0.12 * length) & (size < 0.885)] = (0.03, 0.03, 0.035)
        out[p[..., 2] < -0.35 * height] = livery.belly
        return out

    return painted_loft(rings, paint, 64, 48, roughness=0.5)


def _undercarriage(rng: Rng, hull: Hull, length: float) -> list[Part]:
    strut, rubber = materials.metal(rng, (0.8, 0.8, 0.8), 0.5, False), materials.rubber(rng)
    tyre = length * 0.02
    low = float(hull.bottom.min()) - length * rng.uniform(0.05, 0.07)
    front = (0.0, -length * 0.22, low + tyre)
    parts = wheel_leg((0, front[1], hull.middle(front[1])), front, tyre, tyre * 0.6, strut, rubber)
    main = (length * 0.075, length * 0.09, low + tyre * 1.25)
    side = wheel_leg(
        (length * 0.03, main[1], hull.middle(main[1])), main, tyre * 1.25, tyre * 0.7, strut, rubber
    )
    return parts + [half for leg in side for half in pair("body", leg.material, leg.mesh)]
