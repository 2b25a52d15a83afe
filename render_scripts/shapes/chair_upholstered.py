# SPDX-License-Identifier: GPL-3.0-or-later
"""Chairs made as one body: upholstered armchairs, tub chairs, and moulded shells."""

from __future__ import annotations

import numpy as np

from . import kit, sweeps
from .chair_frame import Finish, Frame
from .chair_legs import short_legs
from .mesh import Part, both_sides, parts_of
from .rng import Rng


def armchair(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Seat box and cushion, thick leaning back, closed sides, on stub legs or a plinth."""
    legs = rng.uniform(0.06, 0.16)
    arm_width = rng.uniform(0.08, 0.16)
    inner = frame.width - 2 * arm_width
    thick = rng.uniform(0.12, 0.18)
    pad = rng.uniform(0.09, 0.14)
    soft = rng.uniform(0.015, 0.035)
    parts = short_legs(frame, finish, rng, legs)
    base_top = frame.height - pad
    base = kit.rounded_box(inner + 0.02, frame.depth - 0.02, base_top - legs, 0.01, 2)
    parts += parts_of("seat", finish.pad, base.moved(z=(base_top + legs) / 2))
    depth = frame.depth - thick + 0.02
    cushion = kit.cushion(inner - 0.004, depth, pad + 0.02, rng.uniform(7, 12), rng.uniform(3, 5), 40)
    y = -frame.depth / 2 + depth / 2 - 0.015
    parts += parts_of("seat", finish.pad, cushion.moved(y=y, z=frame.height - pad / 2))
    return (
        parts
        + _thick_back(frame, finish, rng, inner, thick, legs, soft)
        + _sides(frame, finish, rng, arm_width, legs, soft)
    )


def _thick_back(frame, finish: Finish, rng: Rng, inner, thick, low, soft) -> list[Part]:
    """A box that leans back above the seat, with a loose cushion, tufts or wings at times."""
    over = rng.choice([0.0, rng.uniform(0.0, 0.05)])
    height = frame.top - low
    back = kit.rounded_box(inner + 0.02 + over, thick, height, min(soft * 1.5, thick * 0.4), 4)
    rear = frame.depth / 2 - thick / 2

    def leaned(p: np.ndarray) -> np.ndarray:
        return p + np.stack([0 * p[:, 0], frame.lean * np.maximum(p[:, 2] - frame.height, 0), 0 * p[:, 0]], 1)

    parts = parts_of("back", finish.pad, back.moved(y=rear, z=low + height / 2).warped(leaned))
    if rng.chance(0.5):
        pad_height = (frame.top - frame.height) * rng.uniform(0.8, 1.0)
        pad = kit.cushion(inner - 0.01, pad_height, 0.11, rng.uniform(5, 9), 2.6, 40).rotated("x", 90)
        pad = pad.moved(y=rear - thick / 2 - 0.02, z=frame.height + pad_height / 2 - 0.005)
        parts += parts_of("back", finish.pad, pad.warped(leaned))
    return parts


def _sides(frame: Frame, finish: Finish, rng: Rng, width: float, low: float, soft: float) -> list[Part]:
    """Closed arms: square, rolled, or sloping towards the front."""
    kind = rng.choice(["square", "rolled", "sloped"])
    z = frame.height + rng.uniform(0.13, 0.22)
    x = frame.width / 2 - width / 2
    if kind == "sloped":
        d, drop = frame.depth / 2, rng.uniform(0.04, 0.1)
        outline = [[-d, low], [d, low], [d, z + 0.04], [-0.2 * d, z], [-d, z - drop]]
        side = kit.extrude(outline, width, soft, 3, grain="y").rotated("x", 90).rotated("z", 90)
        return parts_of("arm", finish.pad, *both_sides(side.moved(x=x)))
    box = kit.rounded_box(width, frame.depth, z - low, soft, 3).moved(x, 0, (z + low) / 2)
    if kind == "square":
        return parts_of("arm", finish.pad, *both_sides(box))
    radius = width * rng.uniform(0.5, 0.62)
    roll = (
        kit.cylinder(radius, frame.depth + 0.01, 0.015, 28, 3)
        .rotated("x", 90)
        .moved(x + 0.01, 0, z - radius * 0.4)
    )
    return parts_of("arm", finish.pad, *both_sides(box), *both_sides(roll))


def tub(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """A round shell that is back and arms in one, around a thick seat."""
    low = rng.uniform(0.08, 0.2) if rng.chance(0.7) else 0.02
    radius, thick = frame.width / 2 - 0.03, rng.uniform(0.045, 0.075)
    opening = rng.uniform(35, 60)  # degrees either side of the front that stay open
    arm_top, back_top = frame.height + rng.uniform(0.1, 0.2), frame.top
    count = 41
    angle = np.radians(np.linspace(-90 + opening, 270 - opening, count))
    swing = np.clip((np.sin(angle) + 0.25) / 1.25, 0, 1) ** 1.3
    top = arm_top + (back_top - arm_top) * swing ** rng.uniform(0.6, 1.6)
    t = np.linspace(0, 1, 7)[:, None]  # rows upwards
    base = max(low, 0.03)
    z = base + (top - base) * t
    flare = 1.0 + rng.uniform(0.0, 0.14) * t
    stretch = frame.depth / frame.width
    grid = np.stack([radius * flare * np.cos(angle), radius * flare * stretch * np.sin(angle), z], -1)
    shell = kit.split_sheet(grid.transpose(1, 0, 2), thick, [11, count - 12], 4)  # rows now run along the arc
    parts = parts_of("arm", finish.pad, shell[0], shell[2]) + parts_of("back", finish.pad, shell[1])
    body = kit.cushion(2 * radius - 0.02, (2 * radius - 0.02) * stretch, frame.height - base, 2.2, 6, 40)
    parts += parts_of("seat", finish.pad, body.moved(z=(frame.height + base) / 2))
    legs = Frame(frame.width * 0.72, frame.depth * 0.72, frame.height, frame.width * 0.72)
    return parts + (short_legs(legs, finish, rng, base + 0.02) if low > 0.05 else _disc(finish, radius, base))


def _disc(finish: Finish, radius: float, base: float) -> list[Part]:
    """A low round plinth."""
    return parts_of(
        "leg", finish.frame, kit.cylinder(radius * 0.8, base + 0.03, 0.003, 40).moved(z=(base + 0.03) / 2)
    )


def shell(frame: Frame, finish: Finish, rng: Rng, arms: bool) -> list[Part]:
    """A moulded shell: seat and back in one sweep, with raised sides that become arms when `arms`."""
    h, d = frame.height, frame.depth
    rear, top = d / 2 - 0.02, frame.top
    knots = [[-d / 2, h - 0.03], [-d / 2 + 0.05, h - 0.004], [-0.05, h - 0.022], [rear - 0.10, h - 0.022]]
    knots += [
        [rear - 0.005, h + 0.06],
        [rear + 0.02 + frame.lean * 0.18, h + 0.2],
        [rear + frame.lean * (top - h), top],
    ]
    curve = sweeps.catmull_rom(knots, 8)
    t = np.linspace(0, 1, 37)
    t = 0.25 * t + 0.75 * (0.5 - 0.5 * np.cos(np.pi * t))  # closer rows where the outline rounds off
    profile = np.stack([np.interp(t, np.linspace(0, 1, len(curve)), curve[:, k]) for k in (0, 1)], 1)
    seat_rows = int(np.searchsorted(t, 3.6 / 6))  # the crease between seat and back
    widths = frame.width / 2 * _shell_width(t, rng)
    u = np.linspace(-1, 1, 15)
    dish = rng.uniform(0.02, 0.045)
    lift = dish * np.abs(u) ** 2.5
    wrap = rng.uniform(0.02, 0.09)
    back = np.clip((profile[:, 1] - h) / (top - h), 0, 1)[:, None]
    x = widths[:, None] * u
    y = profile[:, :1] - wrap * np.abs(u) ** 2 * np.sin(np.pi * np.clip(back * 1.1, 0, 1) ** 0.7)
    z = profile[:, 1:] + lift * (1 - back)
    pieces = kit.split_sheet(np.stack([x, y, z], -1), rng.uniform(0.009, 0.014), [seat_rows], 3)
    parts = parts_of("seat", finish.seat, pieces[0]) + parts_of("back", finish.back, pieces[1])
    if frame.pad > 0:
        pad = kit.cushion(frame.width * 0.78, d * 0.72, 0.04, 4, 2.3, 32).moved(0, -0.02, h - 0.006)
        parts += parts_of("seat", finish.pad, pad)
    return parts + (_shell_arms(frame, finish, rng, widths[seat_rows]) if arms else [])


def _shell_width(t: np.ndarray, rng: Rng) -> np.ndarray:
    """Relative half width along the shell, front edge to top edge, with rounded ends."""
    waist, crown = rng.uniform(0.82, 0.98), rng.uniform(0.7, 0.95)
    knots = [0.9, 1.0, 1.0, waist, waist, (waist + crown) / 2 + 0.03, crown]
    width = np.interp(t, np.linspace(0, 1, 7), knots)
    corner = rng.uniform(0.05, 0.14)
    ends = np.clip(np.minimum(t, 1 - t) / corner, 0, 1)
    return width * (0.72 + 0.28 * np.sqrt(1 - (1 - ends) ** 2))


def _shell_arms(frame: Frame, finish: Finish, rng: Rng, half: float) -> list[Part]:
    """Bent sheets from the seat's edge up, out and back into the shell."""
    z0, z1 = frame.height - 0.004, frame.height + rng.uniform(0.17, 0.22)
    y0, y1 = -0.3 * frame.depth, frame.depth / 2 - 0.03
    grid = kit.squircle_grid(1, 1, 0.35, 9, 9) + 0.5
    grid[:5] = kit.squircle_grid(1, 1, 0.0, 9, 9)[:5] + 0.5  # the lower edge stays on the seat
    u, v = grid[..., 0], grid[..., 1]
    x = half * 0.97 + 0.05 * np.sin(v * np.pi / 2) + 0.012 * v
    y = y0 + (y1 - y0) * u + 0.06 * (v - 0.5) * (1 - u)
    z = z0 + (z1 - z0) * v * (0.92 + 0.08 * u)
    x = x * (1 - 0.10 * u**2 * v)
    side = kit.sheet(np.stack([x, y, z], -1), 0.011, 3)
    return parts_of("arm", finish.arm, *both_sides(side))
