# SPDX-License-Identifier: GPL-3.0-or-later
"""Propeller planes with an engine in the nose or on the wing, biplanes, and gliders."""

from __future__ import annotations

import numpy as np

from . import kit, materials, sweeps
from .airplane_livery import GLASS, Livery, base_coat, cabin_coat, glasshouse_coat, military, sporting
from .airplane_parts import (
    Hull,
    Station,
    ellipsoid,
    ellipsoid_rings,
    make_hull,
    pair,
    propeller,
    surface_of,
    trapezoid,
    upright,
    wheel_leg,
)
from .materials import Material
from .mesh import Part
from .painting import filled, painted_loft
from .rng import Rng


def light(rng: Rng) -> tuple[list[Part], dict]:
    """A club or touring plane: high or low wing, one engine or two."""
    high, twin = rng.chance(0.5), rng.chance(0.25)
    livery = sporting(rng)
    length = rng.uniform(7.0, 9.5) * (1.2 if twin else 1.0)
    canopy = not high and not twin
    width, height = length * rng.uniform(0.125, 0.145), length * rng.uniform(0.15, 0.175)
    if canopy:
        height = length * rng.uniform(0.12, 0.135)
    nose = length * (rng.uniform(0.2, 0.26) if not twin else 0.3)
    hull = make_hull(
        length, width, height, nose, length * 0.56, -0.15 if not twin else -0.3,
        rng.uniform(0.2, 0.45) + 0.35 * canopy, 2.6 if not twin else 1.7, 1.15, 0.12, 2.8,
    )  # fmt: skip
    if not twin and not canopy:
        hull = _humped(hull, length, rng.uniform(0.26, 0.32))
    _, top, bottom = hull.at(-0.1 * length)
    start, end = -0.31 * length, (0.08 if rng.chance(0.6) else 0.15) * length
    sill, roof = bottom + 0.58 * (top - bottom), top - 0.02 * height
    coat = base_coat(hull, livery) if canopy else cabin_coat(hull, livery, start, end, sill, roof)
    mesh, paint = painted_loft(hull.rings(32), coat, 192, 96, roughness=0.3)
    parts = [Part("body", mesh, paint)]
    if canopy:
        parts.append(_glasshouse(rng, hull, length, height, livery))
    span, chord = length * rng.uniform(0.58, 0.7), length * rng.uniform(0.17, 0.2)
    wing_z = top - 0.02 * height if high else bottom + 0.14 * height
    y = -0.17 * length
    parts += _straight_wing(rng, span, chord, y, wing_z, 1.5 if high else rng.uniform(4, 7), livery)
    if high and rng.chance(0.75):
        parts += _struts(span, chord, y, wing_z, bottom, width, livery)
    tee = rng.chance(0.15)
    parts += _tail(rng, hull, length, livery, tee)
    count = rng.choice([2, 2, 3])
    if twin:
        parts += _wing_engines(rng, span, chord, y, wing_z, length, livery, 3)
    else:
        parts += _nose_engine(rng, hull, length, livery, count)
    gear = not rng.chance(0.25) or high
    if gear:
        parts += _tricycle(rng, hull, length, livery, wing_z if not high else None)
    return parts, {
        "high_wing": high,
        "engine_count": 1 + twin,
        "tee": tee,
        "livery": livery.scheme,
        "gear": gear,
    }


def warbird(rng: Rng) -> tuple[list[Part], dict]:
    """A piston fighter of the forties or an aerobatic plane: low wing, bubble canopy, tail wheel."""
    livery = military(rng) if rng.chance(0.65) else sporting(rng)
    length = rng.uniform(7.5, 10.5)
    width, height = length * rng.uniform(0.105, 0.13), length * rng.uniform(0.13, 0.155)
    hull = make_hull(
        length, width, height, length * 0.2, length * 0.62, 0.0, rng.uniform(0.05, 0.3), 3.0, 1.3, 0.1, 2.2
    )
    mesh, paint = painted_loft(hull.rings(32), base_coat(hull, livery), 160, 64, roughness=0.45)
    parts = [Part("body", mesh, paint)]
    y_canopy = length * rng.uniform(-0.08, -0.02)
    half_width, top, _ = hull.at(y_canopy)
    glass = Material("glass", GLASS, 0.08)
    bubble = ellipsoid(half_width * 0.6, length * rng.uniform(0.09, 0.13), height * 0.36, 2.3)
    parts.append(Part("body", bubble.moved(0, y_canopy, top - 0.06 * height), glass))
    spine = ellipsoid(half_width * 0.5, length * 0.28, height * 0.24, 2.2)
    back = y_canopy + length * 0.18
    parts.append(
        Part("body", spine.moved(0, back, hull.at(back)[1] - 0.1 * height), livery.plain(livery.main, 0.45))
    )
    span, chord = length * rng.uniform(0.56, 0.64), length * rng.uniform(0.23, 0.28)
    wing_z = float(hull.bottom.min()) + 0.2 * height
    stations = trapezoid(
        chord, chord * rng.uniform(0.45, 0.6), span, chord * rng.uniform(0.1, 0.25), rng.uniform(4, 7), 0.13
    )
    wing = surface_of(stations, 0.02, rng.choice([0.4, 1.2, 2.2]))
    parts += pair("wing", livery.plain(livery.main, 0.5), wing.moved(0, -0.22 * length, wing_z))
    parts += _tail(rng, hull, length, livery, False)
    parts += _nose_engine(rng, hull, length, livery, rng.choice([2, 3, 3, 4]))
    gear = rng.chance(0.6)
    if gear:
        parts += _taildragger(rng, hull, length, -0.17 * length, wing_z, 0.14 * length)
    return parts, {"livery": livery.scheme, "gear": gear}


def biplane(rng: Rng) -> tuple[list[Part], dict]:
    """Two wings joined by struts, an open cockpit, fixed wheels."""
    livery = sporting(rng) if rng.chance(0.7) else military(rng)
    length = rng.uniform(6.2, 8.2)
    width, height = length * 0.12, length * rng.uniform(0.13, 0.15)
    hull = make_hull(length, width, height, length * 0.2, length * 0.6, 0, 0.3, 3.4, 1.2, 0.12, 2.6)
    mesh, paint = painted_loft(hull.rings(28), base_coat(hull, livery), 160, 64, roughness=0.45)
    parts = [Part("body", mesh, paint)]
    dark = livery.plain((0.07, 0.05, 0.04), 0.8)
    for seat in (0.02, 0.14)[: rng.integer(1, 2)]:
        y = seat * length
        hole = kit.cushion(width * 0.6, length * 0.085, 0.06, 2.5)
        parts.append(Part("body", hole.moved(0, y, hull.at(y)[1]), dark))
        screen = ellipsoid(width * 0.26, length * 0.012, height * 0.22)
        parts.append(
            Part(
                "body",
                screen.moved(0, y - 0.05 * length, hull.at(y - 0.05 * length)[1]),
                Material("glass", GLASS, 0.1),
            )
        )
    span, chord = length * rng.uniform(0.54, 0.62), length * rng.uniform(0.17, 0.2)
    low, high = (
        float(hull.bottom.min()) + 0.1 * height,
        float(hull.top.max()) + height * rng.uniform(0.5, 0.65),
    )
    stagger = rng.uniform(0.0, 0.35) * chord
    y = -0.22 * length
    parts += _straight_wing(rng, span, chord, y, high, 1, livery, 0.8)
    parts += _straight_wing(
        rng, span * rng.uniform(0.85, 1.0), chord * 0.95, y + stagger, low, 2.5, livery, 0.8
    )
    wood = livery.plain(rng.choice([(0.45, 0.3, 0.16), (0.15, 0.15, 0.16), livery.accent]))
    for x, foot in (
        (0.68 * span, low + 0.03 * span),
        (0.18 * chord + 0.3 * width, float(hull.top.max()) * 0.6),
    ):
        for k in (0.18, 0.68):
            a = (x, y + stagger * (x > width) + k * chord, foot)
            b = (x * 1.0 if x > width else x * 1.15, y + k * chord, high + 0.02 * chord)
            parts += pair("wing", wood, sweeps.bar(a, b, 0.011 * length * 0.6, 8))
    parts += _tail(rng, hull, length, livery, False)
    parts += _nose_engine(rng, hull, length, livery, 2)
    parts += _taildragger(
        rng, hull, length, -0.2 * length, float(hull.bottom.min()) + 0.2 * height, 0.09 * length
    )
    return parts, {"livery": livery.scheme, "gear": True}


def glider(rng: Rng) -> tuple[list[Part], dict]:
    """A sailplane: long slender wings, a bubble cockpit, a T-tail and no engine."""
    length = rng.uniform(6.4, 8.2)
    white = rng.choice([(0.92, 0.92, 0.92), (0.9, 0.9, 0.85)])
    accent = materials.hsv(rng.choice([0.0, 0.02, 0.58, 0.14]), 0.85, 0.75)
    livery = Livery(rng.choice(["plain", "cheatline", "sweep"]), white, white, accent, accent)
    height = length * rng.uniform(0.125, 0.14)
    hull = make_hull(
        length, height * 0.8, height, length * 0.26, length * 0.66, -0.3, 0.35, 1.75, 0.85, 0.2, 2.1
    )
    mesh, paint = painted_loft(hull.rings(28), base_coat(hull, livery), 160, 64, roughness=0.15)
    y = -0.32 * length
    bubble = ellipsoid(height * 0.31, length * 0.14, height * 0.33, 2.1)
    parts = [Part("body", mesh, paint)]
    parts.append(
        Part("body", bubble.moved(0, y, hull.at(y)[1] - 0.16 * height), Material("glass", GLASS, 0.05))
    )
    span, chord = length * rng.uniform(1.05, 1.35), length * rng.uniform(0.11, 0.13)
    place = (0, -0.14 * length, hull.at(-0.1 * length)[1] - 0.12 * height)
    stations = trapezoid(chord, chord * 0.42, span, 0.25 * chord, rng.uniform(2, 4.5), 0.13)
    parts += pair("wing", livery.plain(white, 0.2), surface_of(stations, 0.03, 0.8).moved(*place))
    tips = surface_of([*_outer(stations, 0.9)], 0.03, 0.8).scaled(z=1.0).moved(0, place[1], place[2])
    parts += pair("wing", livery.plain(accent, 0.3), tips)
    parts += _tail(rng, hull, length, livery, True)
    return parts, {"livery": livery.scheme, "gear": False}


def _outer(stations, start: float):
    """The last part of a two-station surface, a little thicker: a coloured tip over the wing."""
    a, b = stations
    k = start
    names = ("x", "y", "z", "chord", "thickness", "twist_deg")
    first = Station(*(getattr(a, n) + (getattr(b, n) - getattr(a, n)) * k for n in names))
    rows = [first, b]
    return [
        Station(s.x + 0.004, s.y - 0.006, s.z, s.chord + 0.012, s.thickness * 1.12, s.twist_deg) for s in rows
    ]


def _glasshouse(rng: Rng, hull: Hull, length: float, height: float, livery: Livery) -> Part:
    """The glazed cabin of a low-wing plane, sunk into the back of the hull."""
    long, y = length * rng.uniform(0.17, 0.21), -0.06 * length
    half_width, top, _ = hull.at(y)
    tall = height * rng.uniform(0.5, 0.62)
    rings = ellipsoid_rings(half_width * 0.84, long, tall, 2.7, 28, 14)
    mesh, paint = painted_loft(rings, glasshouse_coat(livery, long, tall), 96, 96, "glass", 0.12)
    return Part("body", mesh.moved(0, y, top - 0.12 * height), paint)


def _humped(hull: Hull, length: float, drop: float) -> Hull:
    """The hull with its nose's top lowered ahead of the cabin, as engine cowlings are."""
    y = np.sort(np.concatenate([hull.y, length * np.array([-0.29, -0.27, -0.25, -0.23, -0.21])]))
    half_width, top, bottom = np.array([hull.at(float(v)) for v in y]).T
    t = np.clip((y + 0.3 * length) / (0.1 * length), 0, 1)
    ease = t * t * (3 - 2 * t)
    height = top.max() - bottom.min()
    lowered = top - drop * height * (1 - ease) * np.clip((top - bottom) / height, 0, 1)
    return Hull(y, half_width, lowered, bottom, hull.power)


def _straight_wing(
    rng: Rng,
    span: float,
    chord: float,
    y: float,
    z: float,
    dihedral: float,
    livery: Livery,
    taper: float | None = None,
) -> list[Part]:
    ratio = rng.uniform(0.55, 1.0) if taper is None else taper
    stations = trapezoid(chord, chord * ratio, span, chord * (1 - ratio) * 0.35, dihedral, 0.14)
    wing = surface_of(stations, 0.03, rng.uniform(0.15, 0.5)).moved(0, y, z)
    color = rng.choice([livery.main, livery.main, livery.accent])
    parts = pair("wing", livery.plain(color), wing)
    if rng.chance(0.4):
        cap = surface_of(_outer(stations, 0.86), 0.03, 0.3).moved(0, y, z)
        parts += pair("wing", livery.plain(livery.second), cap)
    return parts


def _struts(
    span: float, chord: float, y: float, z: float, bottom: float, width: float, livery: Livery
) -> list[Part]:
    a = (0.4 * width, y + 0.35 * chord, bottom + 0.25 * (z - bottom))
    b = (0.5 * span, y + 0.38 * chord, z + 0.5 * span * 0.026)
    bar = sweeps.tube(
        np.array([a, b]),
        0.016 * chord,
        section=np.array([[1, 0], [0, 2.2], [-1, 0], [0, -2.2]]) * 1.0,
        up=(0, 1, 0),
    )
    return pair("wing", livery.plain(livery.main), bar)


def _tail(rng: Rng, hull: Hull, length: float, livery: Livery, tee: bool) -> list[Part]:
    """A rounded or swept fin and tailplanes."""
    height = length * rng.uniform(0.15, 0.18)
    root, tip = height * rng.uniform(0.85, 1.05), height * rng.uniform(0.45, 0.6)
    swept = rng.chance(0.5)
    sweep = height * (rng.uniform(0.5, 0.7) if swept else rng.uniform(0.15, 0.3))
    y = float(hull.y[-1]) - root * rng.uniform(0.95, 1.05)
    z = hull.at(y + 0.5 * root)[1] - 0.15 * height
    rounding = 0.25 if tee else 0.4 if swept else 0.9
    fin = upright(surface_of(trapezoid(root, tip, height * 1.1, sweep, 0, 0.09), 0, rounding))
    colored = livery.plain(
        rng.choice([livery.accent, livery.main, livery.main]) if livery.scheme != "sweep" else livery.accent
    )
    span, chord = length * rng.uniform(0.17, 0.21), root * rng.uniform(0.7, 0.85)
    level = z + 1.05 * height if tee else hull.middle(y + 0.4 * root) + 0.1 * height
    edge = y + (sweep * 0.92 if tee else 0.1 * root)
    half = surface_of(trapezoid(chord, chord * rng.uniform(0.55, 0.8), span, chord * 0.2, 0, 0.09), 0, 0.6)
    return [
        Part("tail", fin.moved(0, y, z), colored),
        *pair("tail", livery.plain(livery.main), half.moved(0, edge, level)),
    ]


def _nose_engine(rng: Rng, hull: Hull, length: float, livery: Livery, blades: int) -> list[Part]:
    """A cowling over the front of the hull, exhausts, spinner and propeller."""
    rows = hull.y[(hull.y > hull.y[1]) & (hull.y < -0.31 * length)]
    ring = np.array([hull.at(float(y)) for y in rows])
    grown = Hull(rows, ring[:, 0] * 1.03, ring[:, 1] + 0.012, ring[:, 2] - 0.012, hull.power)
    sections = grown.rings(28)
    caps = [
        sections[:1].mean(1, keepdims=True).repeat(28, 1),
        sections,
        sections[-1:].mean(1, keepdims=True).repeat(28, 1),
    ]
    color = rng.choice([livery.main, livery.main, livery.accent, livery.second])
    front = float(rows[0])
    middle, half = hull.middle(front), (ring[0, 1] - ring[0, 2]) / 2

    def paint(p: np.ndarray) -> np.ndarray:
        out = filled(p, color)
        inlet = (np.abs(np.abs(p[..., 0]) - 0.55 * ring[0, 0]) < 0.3 * ring[0, 0]) & (
            np.abs(p[..., 2] - middle) < 0.35 * half
        )
        out[inlet & (p[..., 1] < front + 0.01)] = (0.03, 0.03, 0.03)
        out[p[..., 1] > rows[-1] - 0.012 * length] = np.asarray(color) * 0.55
        return out

    mesh, cowl = painted_loft(np.concatenate(caps), paint, 64, 64, roughness=0.35)
    dark = Material("metal", rng.choice([(0.08, 0.08, 0.09), (0.6, 0.6, 0.62), (0.3, 0.18, 0.08)]), 0.45)
    cone = livery.plain(rng.choice([livery.accent, livery.second, (0.8, 0.8, 0.8), (0.1, 0.1, 0.1)]), 0.25)
    spinner = 0.42 * half
    tips = (
        livery.plain(rng.choice([(0.85, 0.7, 0.1), (0.8, 0.1, 0.08), (0.9, 0.9, 0.9)]))
        if rng.chance(0.5)
        else None
    )
    prop = propeller(blades, length * rng.uniform(0.11, 0.135), spinner, dark, cone, tips)
    moved = [Part(p.label, p.mesh.moved(0, front - 0.1 * spinner, middle), p.material) for p in prop]
    return [Part("engine", mesh, cowl), *moved]


def _wing_engines(
    rng: Rng, span: float, chord: float, y: float, z: float, length: float, livery: Livery, blades: int
) -> list[Part]:
    """Two nacelles on the leading edges."""
    radius, x = length * rng.uniform(0.035, 0.042), span * 0.34
    profile = np.array([(0, 0), (0.55, 0), (0.85, -0.05), (1, -0.2), (1, -0.5), (0.6, -0.85), (0, -1)])
    pod = kit.lathe(profile * [radius, chord * 1.35], 22).rotated("x", 90)
    at = (x, y - 0.5 * chord, z + 0.35 * radius + 0.03 * x)
    parts = pair("engine", livery.plain(rng.choice([livery.main, livery.accent])), pod.moved(*at))
    dark, cone = Material("metal", (0.08, 0.08, 0.09), 0.4), livery.plain(livery.accent)
    for piece in propeller(blades, length * 0.098, 0.5 * radius, dark, cone, None):
        parts += pair("engine", piece.material, piece.mesh.moved(at[0], at[1] - 0.03, at[2]))
    return parts


def _tricycle(rng: Rng, hull: Hull, length: float, livery: Livery, wing_z: float | None) -> list[Part]:
    """Nose wheel and two main wheels, with or without fairings."""
    strut, rubber = livery.plain(livery.main), materials.rubber(rng)
    tyre = length * 0.024
    low = float(hull.bottom.min()) - length * rng.uniform(0.055, 0.075)
    front = (0.0, -0.36 * length, low + tyre)
    parts = wheel_leg((0, front[1], hull.middle(front[1])), front, tyre, tyre * 0.65, strut, rubber)
    x = length * rng.uniform(0.12, 0.14)
    foot = (x, -0.03 * length, low + tyre)
    top = (
        (0.3 * float(hull.half_width.max()), -0.05 * length, hull.bottom.min() + 0.06 * length)
        if wing_z is None
        else (x, foot[1] - 0.02 * length, wing_z + 0.04 * x + 0.05)
    )
    main = wheel_leg(top, foot, tyre, tyre * 0.65, strut, rubber)
    parts += [half for leg in main for half in pair("body", leg.material, leg.mesh)]
    if rng.chance(0.5):
        spat = ellipsoid(tyre * 0.55, tyre * 2.2, tyre * 0.8, 2.5).moved(z=0.35 * tyre)
        parts += pair("body", strut, spat.moved(*foot))
        parts.append(Part("body", spat.moved(*front), strut))
    return parts


def _taildragger(rng: Rng, hull: Hull, length: float, y: float, top: float, track: float) -> list[Part]:
    """Two main wheels and a small one under the tail."""
    strut, rubber = materials.metal(rng, (0.4, 0.4, 0.42), 0.5, False), materials.rubber(rng)
    tyre = length * rng.uniform(0.032, 0.04)
    foot = (track, y - 0.04 * length, float(hull.bottom.min()) - length * rng.uniform(0.06, 0.09))
    main = wheel_leg((track * 0.8, y, top), foot, tyre, tyre * 0.5, strut, rubber)
    parts = [half for leg in main for half in pair("body", leg.material, leg.mesh)]
    at = 0.42 * length
    end = (0.0, at + 0.02 * length, hull.at(at)[2] - 0.03 * length)
    return parts + wheel_leg((0, at, hull.middle(at)), end, tyre * 0.4, tyre * 0.25, strut, rubber)
