# SPDX-License-Identifier: GPL-3.0-or-later
"""What airplanes are made of: hulls, lifting surfaces, nacelles, propellers, undercarriage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import kit, sweeps
from .kit import TAU
from .materials import Material
from .mesh import Mesh, Part, around, both_sides
from .painting import Painter, filled, painted_loft, turned_rings

DARK = (0.05, 0.055, 0.06)
STEEL = (0.55, 0.56, 0.58)


@dataclass(frozen=True)
class Hull:
    """A fuselage by its outline: y (R,), half width (R,), top z (R,), bottom z (R,), metres.

    power: of the superellipse that is its cross-section.
    """

    y: np.ndarray
    half_width: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    power: float = 2.0

    def rings(self, sides: int = 32) -> np.ndarray:
        """(R,S,3) cross-sections; the first and the last are points."""
        unit = kit.superellipse(2.0, 2.0, self.power, sides)
        middle, height = (self.top + self.bottom) / 2, (self.top - self.bottom) / 2
        x = unit[None, :, 0] * self.half_width[:, None]
        z = middle[:, None] + unit[None, :, 1] * height[:, None]
        return np.stack([x, np.broadcast_to(self.y[:, None], x.shape), z], -1)

    def at(self, y: float) -> tuple[float, float, float]:
        """Half width, top z and bottom z at y."""
        columns = (self.half_width, self.top, self.bottom)
        w, t, b = (float(np.interp(y, self.y, column)) for column in columns)
        return w, t, b

    def middle(self, y: float) -> float:
        """z half way between bottom and top at y."""
        _, top, bottom = self.at(y)
        return (top + bottom) / 2


def make_hull(
    length: float,
    width: float,
    height: float,
    nose: float,
    tail: float,
    nose_z: float = -0.2,
    tail_z: float = 0.55,
    blunt: float = 2.0,
    tail_power: float = 1.7,
    tip: float = 0.08,
    power: float = 2.0,
) -> Hull:
    """A hull from y = -length/2 to length/2 about z = 0.

    nose, tail: lengths in metres; nose_z, tail_z: where the tips lie, in half heights; blunt: 2 for an
    elliptic nose, smaller for a pointed one; tip: size of the tail's end as a part of the middle.
    """
    u = np.linspace(0, 1, 14) ** 1.8
    y = np.concatenate([u * nose, np.linspace(nose, length - tail, 5)[1:-1], length - tail * (1 - _even(12))])
    to_nose = np.clip(y / nose, 0, 1)
    to_tail = np.clip((y - (length - tail)) / tail, 0, 1)
    grow = (1 - (1 - to_nose) ** 2.0) ** (1 / blunt)
    shrink = 1 - (1 - tip) * to_tail**tail_power
    half = height / 2
    shape = np.minimum(grow, shrink)
    middle = half * (nose_z * (1 - grow) + tail_z * to_tail**1.6)
    top = middle + half * shape
    bottom = middle - half * shape
    top = np.where(to_tail > 0, np.minimum(top, half * (1 + 0.12 * (tail_z > 0.7) * to_tail)), top)
    rows = [y - length / 2, width / 2 * shape, top, bottom]
    end = [length / 2 + tip * height * 0.25, 0.0, (top[-1] + bottom[-1]) / 2, (top[-1] + bottom[-1]) / 2]
    y, half_width, top, bottom = (np.concatenate([row, [last]]) for row, last in zip(rows, end))
    return Hull(y, half_width, top, bottom, power)


def _even(count: int) -> np.ndarray:
    return np.linspace(0, 1, count)


@dataclass(frozen=True)
class Station:
    """One section of a lifting surface: leading edge (x, y, z), chord in metres.

    thickness: part of the chord; twist_deg: nose up; cant_deg: 0 for a wing, 90 for an upright winglet.
    """

    x: float
    y: float
    z: float
    chord: float
    thickness: float = 0.11
    twist_deg: float = 0.0
    cant_deg: float = 0.0


def airfoil(thickness: float, camber: float = 0.0, points: int = 9) -> np.ndarray:
    """(2*points,2) outline from the upper trailing edge by the nose to the lower one; chord 1."""
    x = (1 - np.cos(np.linspace(0, TAU / 2, points + 1))) / 2
    shape = 0.2969 * np.sqrt(x) - 0.126 * x - 0.3516 * x**2 + 0.2843 * x**3 - 0.1036 * x**4
    half = 5 * thickness * shape + 0.004 * x
    middle = 4 * camber * x * (1 - x)
    upper, lower = np.stack([x, middle + half], -1), np.stack([x, middle - half], -1)
    return np.concatenate([upper[::-1], lower[1:]])


def surface_of(stations: Sequence[Station], camber: float = 0.0, tip: float = 0.5) -> Mesh:
    """Wing half, fin or blade through its stations; `tip` rounds the end over that part of the last chord."""
    rows = [*stations[:-1], *_rounded_tip(stations[-2], stations[-1], tip)]
    return kit.loft([_section(row, camber) for row in rows])


def upright(mesh: Mesh) -> Mesh:
    """A surface built along +X turned to stand along +Z."""
    return mesh.rotated("y", -90)


def _section(s: Station, camber: float) -> np.ndarray:
    """(S,3) airfoil of a station."""
    outline = airfoil(s.thickness, camber) * s.chord
    c, d = np.cos(np.radians(s.twist_deg)), np.sin(np.radians(s.twist_deg))
    aft, up = outline[:, 0] - 0.25 * s.chord, outline[:, 1]
    aft, up = c * aft + d * up + 0.25 * s.chord, c * up - d * aft
    cant = np.radians(s.cant_deg)
    return np.stack([s.x - np.sin(cant) * up, s.y + aft, s.z + np.cos(cant) * up], -1)


def _rounded_tip(before: Station, last: Station, amount: float) -> list[Station]:
    """Stations that replace the last one: the chord falls on an ellipse over `amount` of its length."""
    step = np.array([last.x - before.x, last.y - before.y, last.z - before.z])
    reach = min(amount * last.chord / max(float(np.hypot(step[0], step[2])), 1e-9), 0.9)
    out = []
    for t in (0.0, 0.5, 0.8, 0.95, 1.0):
        k = 1 - reach * (1 - t)
        chord = before.chord + (last.chord - before.chord) * k
        size = max(np.sqrt(1 - t**2), 0.16)
        x, y, z = np.array([before.x, before.y, before.z]) + step * k
        y = y + 0.42 * chord * (1 - size)
        out.append(
            Station(float(x), float(y), float(z), chord * size, last.thickness, last.twist_deg, last.cant_deg)
        )
    return out


def trapezoid(
    root: float,
    tip: float,
    span: float,
    sweep: float,
    dihedral_deg: float = 0.0,
    thickness: float = 0.11,
    washout_deg: float = 0.0,
) -> list[Station]:
    """Two stations of a straight-tapered half wing: chords and span in metres, from the origin.

    sweep: metres that the tip's leading edge lies behind the root's.
    """
    rise = span * np.tan(np.radians(dihedral_deg))
    return [
        Station(0, 0, 0, root, thickness * 1.15, 1.0),
        Station(span, sweep, float(rise), tip, thickness * 0.85, 1.0 - washout_deg),
    ]


def turbofan(radius: float, length: float, painter: Painter) -> tuple[Mesh, Material]:
    """A jet nacelle along +Y from its lip at y = 0, with a hollow intake and an exhaust cone."""
    r, n = radius, length
    profile = [
        (0, -0.12 * n), (0.22 * r, -0.2 * n), (0.24 * r, -0.24 * n), (0.8 * r, -0.24 * n), (0.81 * r, -0.1 * n),
        (0.83 * r, -0.03 * n), (0.88 * r, 0), (0.94 * r, -0.015 * n), (1.0 * r, -0.1 * n), (1.04 * r, -0.3 * n),
        (1.0 * r, -0.55 * n), (0.84 * r, -0.8 * n), (0.76 * r, -0.86 * n), (0.7 * r, -0.84 * n),
        (0.55 * r, -0.82 * n), (0.45 * r, -0.95 * n), (0.38 * r, -0.94 * n), (0.26 * r, -0.93 * n),
        (0, -1.12 * n),
    ]  # fmt: skip
    mesh, material = painted_loft(turned_rings(np.array(profile), 28), painter, 64, 72)
    return mesh.rotated("x", 90), material


def nacelle_painter(
    radius: float, length: float, color: tuple[float, float, float], lip: tuple[float, float, float]
) -> Painter:
    """Cowling of one colour, metal lip, dark fan with blades, dark exhaust (local axis z, lip at 0)."""

    def paint(p: np.ndarray) -> np.ndarray:
        r, z = np.hypot(p[..., 0], p[..., 1]) / radius, p[..., 2] / length
        out = filled(p, color)
        out[z > -0.05] = lip
        out[(r < 0.825) & (z > -0.3)] = (0.16, 0.17, 0.18)
        blade = np.sin(14 * np.arctan2(p[..., 1], p[..., 0]) + 3 * r) > 0
        out[(r < 0.8) & (z > -0.3) & blade] = DARK
        out[(r < 0.23) & (z > -0.3)] = (0.45, 0.45, 0.46)
        out[(z < -0.815) & (r < 0.72)] = (0.2, 0.19, 0.18)
        return out

    return paint


def propeller(
    blades: int, radius: float, spinner: float, blade: Material, cone: Material, tips: Material | None = None
) -> list[Part]:
    """Spinner and blades facing -Y, hub at the origin; one blade points up."""
    profile = [(0, 0.95), (0.2, 0.88), (0.45, 0.68), (0.72, 0.38), (0.92, 0.05), (0.98, -0.25), (0, -0.26)]
    hub = kit.lathe(np.array(profile) * spinner, 20)
    rows = [
        (0.4 * spinner, 0.07, 58), (0.3, 0.11, 45), (0.55, 0.135, 32), (0.8, 0.12, 24), (1.0, 0.085, 19),
    ]  # fmt: skip
    stations = [
        Station(r if k == 0 else r * radius, -0.4 * c * radius, 0, c * radius, 0.16 - 0.1 * r * (k > 0), -a)
        for k, (r, c, a) in enumerate(rows)
    ]
    one = surface_of(stations, 0.02, 0.5)
    out = [Part("engine", mesh.rotated("x", 90), blade) for mesh in around(one, blades, 90)]
    if tips is not None:
        ends = [Station(s.x, s.y - 0.004, s.z, s.chord + 0.008, 0.09, s.twist_deg) for s in stations[-2:]]
        k = 0.55
        a, b = ends
        ends[0] = Station(
            a.x + (b.x - a.x) * k, a.y + (b.y - a.y) * k, 0, a.chord + (b.chord - a.chord) * k, 0.1,
            a.twist_deg + (b.twist_deg - a.twist_deg) * k,
        )  # fmt: skip
        cap = surface_of(ends, 0.02, 0.5)
        out += [Part("engine", mesh.rotated("x", 90), tips) for mesh in around(cap, blades, 90)]
    return [*out, Part("engine", hub.rotated("x", 90), cone)]


def wheel_leg(
    top: Sequence[float], foot: Sequence[float], tyre: float, width: float, strut: Material, rubber: Material
) -> list[Part]:
    """An undercarriage leg from `top` to the wheel's centre `foot`; tyre: its radius."""
    leg = sweeps.bar(top, foot, 0.16 * tyre, 8)
    profile = [(0.45, -0.5), (0.85, -0.5), (1.0, -0.28), (1.0, 0.28), (0.85, 0.5), (0.45, 0.5)]
    rings = np.array([(0.0, -0.4), *profile, (0.0, 0.4)]) * [tyre, width]
    wheel = kit.lathe(rings, 18).rotated("y", 90).moved(*foot)
    hub = kit.cylinder(0.4 * tyre, width * 1.06, 0.01, 12).rotated("y", 90).moved(*foot)
    return [Part("body", leg, strut), Part("body", wheel, rubber), Part("body", hub, strut)]


def pair(label: str, material: Material, mesh: Mesh) -> list[Part]:
    """A mesh and its mirror image in x = 0 as parts."""
    return [Part(label, side, material) for side in both_sides(mesh)]


def ellipsoid(x: float, y: float, z: float, power: float = 2.0, sides: int = 24, rings: int = 10) -> Mesh:
    """Egg along Y with semi-axes x, y, z metres."""
    return kit.loft(list(ellipsoid_rings(x, y, z, power, sides, rings)))


def ellipsoid_rings(
    x: float, y: float, z: float, power: float = 2.0, sides: int = 24, rings: int = 10
) -> np.ndarray:
    """(rings+1,sides,3) cross-sections of an egg along Y, ends as points."""
    t = np.linspace(0, TAU / 2, rings + 1)
    unit = kit.superellipse(2.0, 2.0, power, sides)
    size, at = np.sin(t), -np.cos(t) * y
    size[[0, -1]] = 0.0
    across = [size[:, None] * unit[None, :, k] * scale for k, scale in ((0, x), (1, z))]
    return np.stack([across[0], np.repeat(at[:, None], sides, 1), across[1]], -1)
