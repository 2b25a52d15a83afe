# SPDX-License-Identifier: GPL-3.0-or-later
"""The lower body of a car: one loft along Y with recessed wheel arches, painted lamps, grille and seams,
and the hood as a panel on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kit
from .car_shape import CarShape
from .mesh import Mesh
from .painting import Painter, filled
from .rng import Rng

Tint = tuple[float, float, float]
LINER: Tint = (0.03, 0.03, 0.032)
HOOD_COLUMNS = 4  # section points from the middle outwards that the hood covers
FLOOR_DROP = 0.03  # metres that the floor lies below the sill


@dataclass(frozen=True)
class Trim:
    """How the lower body is painted: colours and the looks of its front and rear."""

    color: Tint
    lower: Tint
    stripe: Tint | None
    cladding: bool
    lamp: str
    grille: str
    doors: int


def body_rings(shape: CarShape) -> tuple[np.ndarray, np.ndarray]:
    """(R,S,3) cross-sections, points at both ends, and the (R-6,) y of those that are not end caps."""
    y = _stations(shape)
    sections = np.stack([_section(shape, float(v)) for v in y])
    return np.concatenate([_cap(sections[0], -1)[::-1], sections, _cap(sections[-1], 1)]), y


def hood_sheet(shape: CarShape, rings: np.ndarray, y: np.ndarray, start: float, end: float) -> Mesh:
    """The bonnet: the body's own grid between two y, as a plate that stands a few millimetres proud."""
    rows = np.flatnonzero((y >= start - 1e-9) & (y <= end + 1e-9)) + 3
    columns = [*range(-HOOD_COLUMNS + 1, 0), *range(HOOD_COLUMNS)]
    return kit.sheet(rings[rows][:, columns], 0.016, 1)


def hood_span(shape: CarShape) -> tuple[float, float]:
    """y of the hood's front and rear edges."""
    front = -shape.length / 2 + (0.035 if shape.kind == "van" else 0.05) * shape.length
    return front, shape.cowl_y - 0.03


def _stations(shape: CarShape) -> np.ndarray:
    """Rising y of the sections: rounded ends, arch edges, hood and bed edges, and an even fill."""
    half = shape.length / 2
    end = _end_radius(shape)
    theta = np.linspace(0, kit.TAU / 4, 6)
    wanted = [-half + end * (1 - np.cos(theta)), half - end * (1 - np.cos(theta)), hood_span(shape)]
    for axle in (shape.front_wheel_y, shape.rear_wheel_y):
        turn = np.sin(np.linspace(-kit.TAU / 4, kit.TAU / 4, 13))
        wanted += [axle + shape.arch * turn, axle + (shape.arch + 0.012) * np.array([-1, 1])]
    if shape.bed:
        edge = np.array(shape.bed)
        wanted += [edge, edge + np.array([0.012, -0.012])]
    fixed = np.sort(np.concatenate(wanted))
    fill = np.linspace(-half + end, half - end, 26)
    gap = np.abs(fill[:, None] - fixed[None]).min(1)
    y = np.sort(np.concatenate([fixed, fill[gap > 0.03]]))
    return y[np.concatenate([[True], np.diff(y) > 1e-3])]


def _end_radius(shape: CarShape) -> float:
    return 0.035 * shape.length


def _section(shape: CarShape, y: float) -> np.ndarray:
    """(2*13-2,3) closed outline at y, from the top's middle by +X down to the floor's middle and back."""
    half = shape.length / 2
    near = np.clip((half - abs(y)) / _end_radius(shape), 0, 1)
    cut = 1 - np.sqrt(1 - (1 - near) ** 2)  # 1 at the very end, 0 where the rounding stops
    roundness = shape.nose_round if y < 0 else shape.tail_round
    w = float(shape.half_width(y)) * (1 - 0.1 * cut * (0.5 + roundness))
    top = float(shape.top(y)) - 0.1 * shape.height * cut * (0.4 + 0.5 * roundness)
    sill = float(shape.sill(y)) + 0.1 * cut
    lower = _arch_height(shape, y, sill)
    inner = min(float(shape.half_width(y)) - 0.68 * shape.tyre - 0.1, 0.8 * w)
    crown = 0.03 if abs(y) < half - 0.1 else 0.015
    x = np.array([0, 0.3, 0.58, 0.8, 0.87, 0.95, 0.985]) * w
    z = top + np.array([1, 0.93, 0.72, 0.4, 0.15, -0.6, -2.4]) * crown
    z = z + float(shape.fender(y)) * np.array([0, 0.12, 0.45, 0.85, 1, 1, 1])
    if shape.bed and shape.bed[0] + 0.006 < y < shape.bed[1] - 0.006:
        x[:5] = np.array([0, 0.3, 0.58, 0.83, 0.85]) * w
        z[:4] = sill + 0.3
        if lower > sill + 1e-6:  # wheel wells in the load bed
            x[2:4] = inner - 0.05, inner - 0.04
            z[3] = shape.tyre + shape.arch + 0.03
    side = np.linspace(z[-1], lower, 6)[1:]
    rise = np.clip((side - sill) / max(z[-1] - sill, 1e-6), 0, 1)
    belly = w * (1 - 0.015 * np.clip(2 * rise - 1, 0, 1) ** 2 - 0.05 * np.clip(1 - 1.7 * rise, 0, 1) ** 2)
    floor = sill - FLOOR_DROP
    x = np.concatenate([x, belly, [inner, inner, 0]])
    z = np.concatenate([z, side, [lower, floor, floor]])
    right = np.stack([x, np.full(len(x), y), z], -1)
    return np.concatenate([right, right[-2:0:-1] * np.array([-1, 1, 1])])


def _arch_height(shape: CarShape, y: float, sill: float) -> float:
    """z of the body side's lower edge: the sill, or the wheel arch above it."""
    for axle in (shape.front_wheel_y, shape.rear_wheel_y):
        off = abs(y - axle)
        if off <= shape.arch + 1e-6:
            return max(shape.tyre + float(np.sqrt(max(shape.arch**2 - off**2, 0.0))), sill)
    return sill


def _cap(section: np.ndarray, direction: int) -> np.ndarray:
    """(3,S,3) rings that close an end: ever smaller, slightly bulging, the last one a point."""
    centre = np.array([0.0, section[0, 1], (section[:, 2].max() + section[:, 2].min()) / 2])
    rows = [
        centre + (section - centre) * k + [0, direction * b, 0]
        for k, b in ((0.66, 0.014), (0.33, 0.02), (0, 0.022))
    ]
    return np.stack(rows)


def body_painter(shape: CarShape, trim: Trim) -> Painter:
    """Paint, sills, lamps, grille, plates, door seams and dark wheel arches."""

    def paint(p: np.ndarray) -> np.ndarray:
        out = filled(p, trim.color)
        _paint_sides(out, p, shape, trim)
        _paint_front(out, p, shape, trim)
        _paint_rear(out, p, shape, trim)
        _paint_under(out, p, shape)
        return out

    return paint


def _paint_sides(out: np.ndarray, p: np.ndarray, shape: CarShape, trim: Trim) -> None:
    x, y, z = np.abs(p[..., 0]), p[..., 1], p[..., 2]
    side = x > 0.8 * shape.half_width(y)
    if trim.stripe is not None:
        middle = 0.5 * (shape.sill_z + shape.belt_z)
        out[side & (np.abs(z - middle) < 0.05 * shape.height)] = trim.stripe
    out[z < shape.sill(y) + 0.07 * shape.height * (1 + trim.cladding)] = trim.lower
    if trim.cladding:
        for axle in (shape.front_wheel_y, shape.rear_wheel_y):
            out[side & (np.hypot(y - axle, z - shape.tyre) < shape.arch + 0.065)] = trim.lower
    panel = side & (z > shape.sill_z + 0.06 * shape.height)
    rear = min(shape.rear_wheel_y - 0.75 * shape.arch, shape.back_y + 0.05)
    for edge in np.linspace(shape.cowl_y + 0.1, rear, trim.doors + 1):
        out[panel & (np.abs(y - edge) < 0.011)] *= 0.45
    for edge in np.linspace(shape.cowl_y + 0.1, rear, trim.doors + 1)[1:]:
        handle = panel & (np.abs(y - edge + 0.14) < 0.07) & (np.abs(z - 0.88 * shape.belt_z) < 0.016)
        out[handle] = (0.12, 0.12, 0.12)


def _paint_front(out: np.ndarray, p: np.ndarray, shape: CarShape, trim: Trim) -> None:
    x, y, z = np.abs(p[..., 0]), p[..., 1] + shape.length / 2, p[..., 2]
    front = y < 0.05 * shape.length
    w, top, low = float(shape.half_width(-shape.length / 2)), shape.front_z, shape.sill_z
    tall = top - low
    h = (z - low) / tall
    grille = {
        "wide": (0.62, 0.36, 0.72),
        "tall": (0.36, 0.3, 0.8),
        "slim": (0.55, 0.55, 0.7),
        "low": (0.6, 0.1, 0.4),
    }
    reach, bottom, roof = grille[trim.grille]
    out[front & (y < 0.06) & (x < reach * w) & (h > bottom) & (h < roof)] = LINER
    out[front & (y < 0.06) & (x < 0.7 * w) & (h > 0.06) & (h < 0.22)] = LINER
    bar = front & (y < 0.06) & (x < reach * w) & (np.abs(h - 0.5 * (bottom + roof)) < 0.03)
    out[bar] = (0.7, 0.71, 0.73)
    out[front & (y < 0.05) & (x < 0.26) & (np.abs(z - low - 0.3 * tall) < 0.055)] = (0.9, 0.9, 0.88)
    lamp = _lamp(trim.lamp, x / w, y, h, shape)
    out[lamp] = (0.88, 0.92, 0.96)


def _lamp(kind: str, x: np.ndarray, y: np.ndarray, h: np.ndarray, shape: CarShape) -> np.ndarray:
    """True on the head lamps; x and h in half widths and heights of the front."""
    near = y < 0.085 * shape.length
    if kind == "round":
        return (y < 0.1) & (
            np.hypot((x - 0.68) * shape.width, (h - 0.68) * (shape.front_z - shape.sill_z) * 2) < 0.2
        )
    if kind == "slim":
        return near & (x > 0.5) & (h > 0.72 + 0.08 * (1 - x)) & (h < 0.9)
    return near & (x > 0.58) & (h > 0.56) & (h < 0.86)


def _paint_rear(out: np.ndarray, p: np.ndarray, shape: CarShape, trim: Trim) -> None:
    x, y, z = np.abs(p[..., 0]), shape.length / 2 - p[..., 1], p[..., 2]
    w, top, low = float(shape.half_width(shape.length / 2)), shape.rear_z, shape.sill_z
    h = (z - low) / (top - low)
    rear = y < 0.05 * shape.length
    red = (0.55, 0.02, 0.03)
    if trim.lamp == "slim":
        out[rear & (x > 0.3 * w) & (h > 0.66) & (h < 0.8)] = red
    else:
        out[rear & (x > 0.7 * w) & (h > 0.5) & (h < 0.84)] = red
    out[rear & (y < 0.06) & (x < 0.26) & (np.abs(h - 0.56) < 0.075)] = (0.9, 0.9, 0.85)
    if shape.bed:
        y0, y1 = shape.bed
        within = (p[..., 1] > y0) & (p[..., 1] < y1) & (x < 0.845 * shape.half_width(p[..., 1]))
        out[within & (z < shape.top(p[..., 1]) - 0.02)] = (0.07, 0.07, 0.075)


def _paint_under(out: np.ndarray, p: np.ndarray, shape: CarShape) -> None:
    x, y, z = np.abs(p[..., 0]), p[..., 1], p[..., 2]
    out[z < shape.sill_z - 0.5 * FLOOR_DROP] = LINER
    for axle in (shape.front_wheel_y, shape.rear_wheel_y):
        inside = np.hypot(y - axle, np.maximum(z - shape.tyre, 0)) < shape.arch + 0.006
        out[inside & (x < 0.93 * shape.half_width(y)) & (z < shape.tyre + shape.arch + 0.01)] = LINER


def draw_trim(rng: Rng, shape: CarShape, color: Tint) -> Trim:
    """Lamps, grille and cladding that suit the family."""
    rugged = shape.kind in ("suv", "pickup")
    cladding = rng.chance(0.55 if rugged else 0.1)
    dark = (0.08, 0.08, 0.085)
    lower = dark if cladding or rng.chance(0.4) else (color[0] * 0.8, color[1] * 0.8, color[2] * 0.8)
    stripe = rng.choice([(0.9, 0.9, 0.9), (0.1, 0.1, 0.1), (0.75, 0.1, 0.08)]) if rng.chance(0.08) else None
    grille = rng.choice(["low", "slim"] if shape.kind == "sports" else ["wide", "tall", "slim", "wide"])
    lamp = rng.choice(["slim", "block", "round"] if shape.kind != "sports" else ["slim", "slim", "round"])
    return Trim(
        color, lower, stripe, cladding, lamp, grille, 1 if shape.windows == 1 or shape.glazed == 1 else 2
    )
