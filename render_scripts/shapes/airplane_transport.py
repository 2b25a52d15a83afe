# SPDX-License-Identifier: GPL-3.0-or-later
"""Airliners, freighters and business jets: tube fuselages with engines on the wing or at the tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kit, materials
from .airplane_livery import Livery, airline, airline_coat, military
from .airplane_parts import (
    STEEL,
    Hull,
    Station,
    airfoil,
    make_hull,
    nacelle_painter,
    pair,
    propeller,
    surface_of,
    trapezoid,
    turbofan,
    upright,
    wheel_leg,
)
from .materials import Material
from .mesh import Mesh, Part
from .painting import painted_loft
from .rng import Rng


@dataclass(frozen=True)
class Layout:
    """How a transport is arranged: engines "wing", "rear" or "prop"; tail "low", "cross" or "tee"."""

    engines: str
    count: int
    high_wing: bool
    tail: str


@dataclass(frozen=True)
class Plan:
    """The wing seen from above: root leading edge (y, z), chords, half span, sweep in metres."""

    y: float
    z: float
    root: float
    tip: float
    span: float
    sweep: float
    dihedral_deg: float

    def leading_edge(self, x: float) -> tuple[float, float, float]:
        """y and z of the leading edge and the chord, x metres from the middle."""
        t = x / self.span
        z = self.z + x * float(np.tan(np.radians(self.dihedral_deg)))
        return self.y + t * self.sweep, z, self.root + t * (self.tip - self.root)


def transport(rng: Rng) -> tuple[list[Part], dict]:
    """An airliner or a freighter, 2 to 4 engines."""
    layout = _layout(rng)
    width = rng.uniform(2.6, 4.2) if layout.engines != "wing" else rng.uniform(3.5, 6.4)
    slender = rng.uniform(8.2, 11.5) if layout.engines != "prop" else rng.uniform(7.0, 9.2)
    length = width * slender
    livery = military(rng) if layout.high_wing and rng.chance(0.45) else airline(rng)
    nose, tail = width * rng.uniform(1.15, 1.5), width * rng.uniform(2.6, 3.3)
    hull = make_hull(
        length, width, width * rng.uniform(1.0, 1.1), nose, tail, rng.uniform(-0.35, -0.2),
        rng.uniform(0.55, 0.75), rng.uniform(1.9, 2.3),
    )  # fmt: skip
    pitch = max(length / rng.uniform(32, 44), 0.5)
    coat = airline_coat(hull, livery, nose, tail, pitch, rng.uniform(0.12, 0.22))
    mesh, paint = painted_loft(hull.rings(36), coat, 288, 96, roughness=0.3)
    parts = [Part("body", mesh, paint)]
    plan = _wing_plan(rng, hull, layout, length)
    metal = _wing_material(rng, livery)
    parts += _wings(rng, hull, plan, layout, metal, livery)
    parts += _tail(rng, hull, layout, length, livery, metal)
    parts += _engines(rng, hull, plan, layout, livery, length)
    gear = rng.chance(0.5)
    if gear:
        parts += _undercarriage(rng, hull, plan, layout, width)
    style = {"engines": layout.engines, "engine_count": layout.count, "high_wing": layout.high_wing}
    return parts, {**style, "tail": layout.tail, "livery": livery.scheme, "gear": gear}


def business_jet(rng: Rng) -> tuple[list[Part], dict]:
    """A small jet with two engines on the rear fuselage."""
    layout = Layout("rear", 3 if rng.chance(0.12) else 2, False, rng.weighted({"tee": 4, "cross": 1.5}))
    width = rng.uniform(1.6, 2.3)
    length = width * rng.uniform(7.2, 9.5)
    livery = airline(rng)
    nose, tail = width * rng.uniform(1.7, 2.2), width * rng.uniform(2.5, 3.0)
    hull = make_hull(
        length, width, width * rng.uniform(1.0, 1.1), nose, tail, rng.uniform(-0.4, -0.25),
        rng.uniform(0.4, 0.65), rng.uniform(1.6, 1.9),
    )  # fmt: skip
    coat = airline_coat(hull, livery, nose, tail * 1.1, length / rng.uniform(15, 20), 0.25)
    mesh, paint = painted_loft(hull.rings(32), coat, 224, 96, roughness=0.2)
    parts = [Part("body", mesh, paint)]
    plan = _wing_plan(rng, hull, layout, length)
    metal = _wing_material(rng, livery)
    parts += _wings(rng, hull, plan, layout, metal, livery)
    parts += _tail(rng, hull, layout, length, livery, metal)
    parts += _engines(rng, hull, plan, layout, livery, length)
    gear = rng.chance(0.5)
    if gear:
        parts += _undercarriage(rng, hull, plan, layout, width)
    return parts, {"engine_count": layout.count, "tail": layout.tail, "livery": livery.scheme, "gear": gear}


def _layout(rng: Rng) -> Layout:
    kind = rng.weighted({"twin": 5, "quad": 2, "rear": 2.2, "prop2": 2, "high4": 1, "prop4": 1.2})
    if kind == "rear":
        return Layout("rear", rng.choice([2, 2, 3]), False, "tee")
    if kind == "high4":
        return Layout("wing", 4, True, "tee")
    if kind in ("prop2", "prop4"):
        high = rng.chance(0.65)
        tee = "tee" if high and kind == "prop2" else "low"
        return Layout("prop", int(kind[-1]), high, tee if rng.chance(0.8) else "low")
    return Layout("wing", 2 if kind == "twin" else 4, False, "low")


def _wing_plan(rng: Rng, hull: Hull, layout: Layout, length: float) -> Plan:
    """Aspect, taper, sweep and place of the wing that suit the layout."""
    straight = layout.engines == "prop"
    half_width = float(hull.half_width.max())
    span = length * (rng.uniform(0.5, 0.6) if straight else rng.uniform(0.44, 0.53))
    root = span * (rng.uniform(0.22, 0.27) if straight else rng.uniform(0.34, 0.42))
    tip = root * (rng.uniform(0.45, 0.62) if straight else rng.uniform(0.22, 0.32))
    sweep = span * (rng.uniform(0.0, 0.06) if straight else rng.uniform(0.42, 0.66))
    centre = rng.uniform(-0.02, 0.03) + (0.07 if layout.engines == "rear" else 0.0)
    y = length * centre - 0.5 * root - 0.35 * sweep
    half_height = float(hull.top.max())
    z = half_height * (0.86 if layout.high_wing else -0.62)
    dihedral = rng.uniform(-4, 0) if layout.high_wing and not straight else rng.uniform(1, 6.5)
    return Plan(
        y,
        z,
        root,
        tip,
        span + half_width * 0.2,
        sweep,
        dihedral if not layout.high_wing else min(dihedral, 1),
    )


def _wings(rng: Rng, hull: Hull, plan: Plan, layout: Layout, metal: Material, livery: Livery) -> list[Part]:
    """Both wings with a cranked trailing edge, winglets and, under them, flap track fairings."""
    inner = 0.34 * plan.span
    y, z, chord = plan.leading_edge(inner)
    crank = chord * (0.84 if layout.engines != "prop" else 1.0)
    root = Station(0, plan.y, plan.z, plan.root, 0.135, 2.0)
    middle = Station(inner, y, z, crank, 0.12, 1.0)
    y, z, chord = plan.leading_edge(plan.span)
    tip = Station(plan.span, y, z, chord, 0.1, -1.0)
    half = surface_of([root, middle, tip], 0.02, 0.35)
    parts = pair("wing", metal, half)
    if layout.engines != "prop" and rng.chance(0.5):
        parts += pair("wing", livery.plain(livery.accent), _winglet(rng, tip))
    fairing = kit.lathe(_spindle(0.5 * hull.half_width.max(), plan.root * 1.35), 20).rotated("x", 90)
    fairing = fairing.scaled(x=2.2, z=0.75).moved(
        y=plan.y + plan.root * 0.5, z=plan.z * (1.02 if layout.high_wing else 1.12)
    )
    return [
        *parts,
        Part("body", fairing, livery.plain(livery.belly if not layout.high_wing else livery.main)),
    ]


def _spindle(radius: float, length: float) -> np.ndarray:
    """(11,2) lathe profile of a cigar."""
    t = np.linspace(-1, 1, 11)
    r = radius * (1 - np.abs(t) ** 2.4)
    return np.stack([np.where(np.abs(t) == 1, 0, r), t * length / 2], -1)


def _winglet(rng: Rng, tip: Station) -> Mesh:
    """A vane that curves up from the wing tip."""
    height, chord = tip.chord * rng.uniform(0.9, 1.7), tip.chord * 0.92
    lean = height * rng.uniform(0.15, 0.5)
    first = Station(tip.x - 0.12 * chord, tip.y + 0.05 * chord, tip.z, chord, 0.09, 0, 15)
    second = Station(tip.x + 0.25 * lean, tip.y + 0.2 * chord, tip.z + 0.2 * height, chord * 0.8, 0.08, 0, 50)
    last = Station(tip.x + lean, tip.y + chord * 0.75, tip.z + height, chord * 0.4, 0.08, 0, 75)
    return surface_of([first, second, last], 0, 0.4)


def _tail(rng: Rng, hull: Hull, layout: Layout, length: float, livery: Livery, metal: Material) -> list[Part]:
    """Fin in the accent colour and the two tailplanes."""
    height = length * rng.uniform(0.14, 0.18) * (1.12 if layout.engines == "prop" else 1.0)
    root, tip = height * rng.uniform(0.95, 1.2), height * rng.uniform(0.38, 0.5)
    if layout.tail == "tee":
        tip, height = root * rng.uniform(0.62, 0.75), height * 0.92
    sweep = height * (rng.uniform(0.7, 0.95) if layout.engines != "prop" else rng.uniform(0.4, 0.6))
    y = float(hull.y[-1]) - root * rng.uniform(1.05, 1.2)
    z = hull.at(y + 0.6 * root)[1] - 0.12 * height
    fin = upright(surface_of(trapezoid(root, tip, height * 1.12, sweep, 0, 0.1), 0, 0.25)).moved(0, y, z)
    fin_paint = livery.plain(
        livery.main if livery.scheme in ("camouflage", "dull", "two_tone", "plain") else livery.accent
    )
    parts = [Part("tail", fin, fin_paint)]
    if layout.engines != "rear" or rng.chance(0.5):
        low = hull.at(y)[1] - 0.1 * height
        fillet = surface_of(trapezoid(root * 1.15, root * 0.3, height * 0.4, root * 0.85, 0, 0.06), 0, 0.3)
        parts.append(Part("tail", upright(fillet).moved(0, y - 0.55 * root, low), fin_paint))
    share = {"low": 0.0, "cross": 0.45, "tee": 1.08}[layout.tail]
    span = height * rng.uniform(1.0, 1.2)
    chord = root * (0.72 if layout.tail != "tee" else 0.6)
    edge = y + sweep * share / 1.12 + (0.1 * root if layout.tail != "tee" else 0.02 * root)
    level = z + share * height if layout.tail != "low" else hull.middle(y + 0.5 * root) + 0.1 * height
    half = surface_of(
        trapezoid(chord, chord * 0.42, span, sweep * 0.75, rng.uniform(0, 6) if share < 1 else 0, 0.09),
        0,
        0.3,
    )
    return [*parts, *pair("tail", metal, half.moved(0, edge, level))]


def _engines(rng: Rng, hull: Hull, plan: Plan, layout: Layout, livery: Livery, length: float) -> list[Part]:
    if layout.engines == "prop":
        return _turboprops(rng, hull, plan, layout, livery)
    if layout.engines == "rear":
        return _rear_engines(rng, hull, layout, livery, length)
    return _wing_engines(rng, hull, plan, layout, livery)


def _cowling_color(rng: Rng, livery: Livery):
    return rng.choice([livery.main, livery.main, livery.accent, livery.belly, (0.75, 0.76, 0.78)])


def _wing_engines(rng: Rng, hull: Hull, plan: Plan, layout: Layout, livery: Livery) -> list[Part]:
    """Pods on pylons below and ahead of the leading edge."""
    radius = float(hull.half_width.max()) * (
        rng.uniform(0.5, 0.64) if layout.count == 2 else rng.uniform(0.36, 0.48)
    )
    long = radius * rng.uniform(2.9, 3.9)
    color = _cowling_color(rng, livery)
    pod, paint = turbofan(radius, long, nacelle_painter(radius, long, color, rng.choice([STEEL, color])))
    parts: list[Part] = []
    for share in [0.34] if layout.count == 2 else [0.32, 0.62]:
        x = share * plan.span
        y, z, chord = plan.leading_edge(x)
        at = (x, y - 0.62 * long, z - radius * rng.uniform(1.16, 1.3))
        parts += pair("engine", paint, pod.moved(*at))
        stations = [
            Station(0, at[1] + 0.22 * long, at[2] + 0.7 * radius, long * 0.8, 0.1),
            Station(0, at[1] + 0.5 * long, z + 0.02 * chord, chord * 0.6, 0.06),
        ]
        pylon = kit.loft([_stood(s) for s in stations]).moved(x=x)
        parts += pair("engine", livery.plain(livery.belly), pylon)
    return parts


def _stood(s: Station) -> np.ndarray:
    """(S,3) an airfoil lying flat at height z: the section of a pylon."""
    outline = airfoil(s.thickness) * s.chord
    return np.stack([outline[:, 1], s.y + outline[:, 0], np.full(len(outline), s.z)], -1)


def _rear_engines(rng: Rng, hull: Hull, layout: Layout, livery: Livery, length: float) -> list[Part]:
    """Two pods on stubs beside the rear fuselage, and perhaps a third in the fin's root."""
    radius = float(hull.half_width.max()) * rng.uniform(0.46, 0.58)
    long = radius * rng.uniform(3.6, 4.6)
    color = _cowling_color(rng, livery)
    pod, paint = turbofan(radius, long, nacelle_painter(radius, long, color, STEEL))
    y = float(hull.y[-1]) - length * rng.uniform(0.25, 0.29)
    half_width, top, bottom = hull.at(y + 0.4 * long)
    z = bottom + 0.68 * (top - bottom)
    x = half_width + radius * rng.uniform(1.12, 1.3)
    parts = pair("engine", paint, pod.moved(x, y, z))
    stub = surface_of(trapezoid(long * 0.6, long * 0.5, x, 0.05 * long, 0, 0.1), 0, 0.1)
    parts += pair("engine", livery.plain(livery.main), stub.moved(0, y + 0.3 * long, z))
    if layout.count == 3:
        level = hull.at(y + 0.2 * long)[1] + 0.55 * radius
        parts.append(Part("engine", pod.moved(0, y - 0.1 * long, level), paint))
        body = kit.lathe(_spindle(radius * 0.8, long * 1.5), 20).rotated("x", 90)
        parts.append(
            Part("engine", body.moved(0, y + 0.9 * long, level - 0.5 * radius), livery.plain(livery.main))
        )
    return parts


def _turboprops(rng: Rng, hull: Hull, plan: Plan, layout: Layout, livery: Livery) -> list[Part]:
    """Slim nacelles through the wing with a propeller each."""
    radius = float(hull.half_width.max()) * rng.uniform(0.32, 0.42)
    blades = rng.choice([3, 4, 4, 6])
    disc = radius * rng.uniform(3.6, 4.4)
    first = (float(hull.half_width.max()) + disc * 1.12) / plan.span
    shares = [first] if layout.count == 2 else [first, min(first + 2.15 * disc / plan.span, 0.72)]
    color = _cowling_color(rng, livery)
    dark = materials.metal(
        rng, rng.choice([(0.09, 0.09, 0.1), (0.12, 0.12, 0.12), (0.5, 0.5, 0.52)]), 0.5, False
    )
    cone = livery.plain(rng.choice([livery.accent, (0.8, 0.8, 0.8), (0.1, 0.1, 0.1)]))
    tips = livery.plain((0.85, 0.7, 0.1)) if rng.chance(0.5) else None
    parts: list[Part] = []
    for share in shares:
        y, z, chord = plan.leading_edge(share * plan.span)
        long = chord * 1.5 + radius * 1.6
        cigar = np.array(
            [
                (0, 0),
                (0.5, 0.0),
                (0.82, -0.07),
                (1.0, -0.22),
                (1.0, -0.45),
                (0.8, -0.72),
                (0.4, -0.93),
                (0, -1.0),
            ]
        )
        nacelle = kit.lathe(cigar * [radius, long], 24).rotated("x", 90).scaled(z=1.15)
        at = (share * plan.span, y - radius * 2.6, z - 0.15 * radius)
        parts += pair("engine", livery.plain(color), nacelle.moved(*at))
        for piece in propeller(blades, disc, radius * 0.52, dark, cone, tips):
            parts += pair("engine", piece.material, piece.mesh.moved(at[0], at[1] - 0.08 * radius, at[2]))
    return parts


def _undercarriage(rng: Rng, hull: Hull, plan: Plan, layout: Layout, width: float) -> list[Part]:
    """Nose leg and two main legs with twin wheels; a high wing's stand on the fuselage."""
    strut, rubber = materials.metal(rng, STEEL, 0.4, False), materials.rubber(rng)
    tyre = 0.15 * width
    low = float(hull.bottom.min()) - width * rng.uniform(0.36, 0.46)
    if (layout.engines == "wing" and not layout.high_wing) or (
        layout.engines == "prop" and not layout.high_wing
    ):
        low -= 0.12 * width
    nose_y = float(hull.y[0]) + 1.35 * width
    parts: list[Part] = []
    for at, spread in ((nose_y, 0.0), (plan.y + 0.66 * plan.root + 0.1 * plan.sweep, 0.55)):
        x = spread * width if not layout.high_wing else spread * 0.75 * width
        top = (x, at, (hull.middle(at) if spread == 0 or layout.high_wing else plan.z + 0.02 * width))
        for side in (-1, 1):
            foot = (x + side * 0.8 * 0.6 * tyre, at, low + tyre)
            legs = wheel_leg((x, at, top[2]), foot, tyre, tyre * 0.6, strut, rubber)
            parts += [
                half for leg in legs for half in (pair("body", leg.material, leg.mesh) if spread else [leg])
            ]
    return parts


def _wing_material(rng: Rng, livery: Livery) -> Material:
    if livery.scheme in ("camouflage", "dull", "two_tone"):
        return livery.plain(livery.main, 0.6)
    return livery.plain(rng.choice([(0.72, 0.74, 0.76), (0.8, 0.8, 0.8), livery.main, (0.6, 0.62, 0.65)]))
