# SPDX-License-Identifier: GPL-3.0-or-later
"""Stools: no back, so most of them have a rotational symmetry, which is returned with the parts."""

from __future__ import annotations

import numpy as np

from . import kit, sweeps
from .chair_frame import Finish, Frame, Stance, post
from .chair_legs import footrest, leg_shape, pedestal, star
from .mesh import Part, around, parts_of
from .rng import Rng


def stool(finish: Finish, rng: Rng) -> tuple[list[Part], int, dict]:
    """Parts, order of symmetry about Z (0 = any angle), and style of one stool."""
    kind = rng.weighted({"legs": 5, "pedestal": 2.0, "star": 1.6, "bench": 1.3, "pouf": 0.8})
    tall = kind in ("legs", "pedestal", "star") and rng.chance(0.5)
    height = rng.uniform(0.62, 0.8) if tall else rng.uniform(0.42, 0.5)
    size = rng.uniform(0.3, 0.38)
    outline = rng.choice(["round", "round", "square"]) if kind != "star" else "round"
    frame = Frame(size, size, height, size, rng.uniform(0.025, 0.045), outline=outline)
    style = {"type": "stool", "base": kind, "seat": outline, "tall": tall}
    if kind == "bench":
        return *_bench(finish, rng), {**style, "seat": "oblong"}
    if kind == "pouf":
        return *_pouf(finish, rng, outline), style
    if kind == "legs":
        parts, order = _legged(frame, finish, rng)
    elif kind == "star":
        parts, order = _starred(frame, finish, rng)
    else:
        foot = rng.choice(["round", "trumpet", "square"])
        parts = pedestal(frame, finish, rng, foot)
        order = 0 if outline == "round" and foot != "square" else 4
        if tall:
            parts += footrest(finish, rng.uniform(0.12, 0.16), height * 0.38)
            parts += parts_of("leg", finish.metal, *around(_spoke(height * 0.38), 4, 45))
            order = order or 4
    return parts + seat(frame, finish, rng), order, style


def _spoke(z: float):
    return sweeps.bar([0.01, 0, z], [0.125, 0, z], 0.008)


def seat(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """A round or square seat, bare, dished or padded, symmetrical about Z."""
    top = frame.board_top
    padded = rng.chance(0.65)
    if frame.outline == "round":
        r, low = frame.width / 2, frame.underside
        dish = rng.uniform(0.0, 0.012) if not padded else 0.0
        edge = min(0.012, 0.4 * frame.board)
        body = kit.rounded_profile([(r, low), (r, top)], edge, 3)
        if dish:
            body = np.concatenate(
                [body[:-1], [[0.6 * r, top - dish * 0.6], [0.3 * r, top - dish], [0, top - dish]]]
            )
        parts = parts_of("seat", finish.seat, kit.lathe(body, 40))
        pad, half = kit.cushion(1.99 * r, 1.99 * r, 0.09, 2.0, 2.6, 40, 10), 0.045
    else:
        plate = kit.rounded_box(frame.width, frame.depth, frame.board, min(0.012, 0.4 * frame.board), 3)
        parts = parts_of("seat", finish.seat, plate.moved(z=top - frame.board / 2))
        pad, half = kit.cushion(frame.width * 0.99, frame.depth * 0.99, 0.08, 8, 2.6, 40), 0.04
    return (
        parts + parts_of("seat", finish.pad, pad.moved(z=top + half - 0.5 * frame.board)) if padded else parts
    )


def _legged(frame: Frame, finish: Finish, rng: Rng) -> tuple[list[Part], int]:
    """Three or four equal legs, turned about Z, with a ring or bars between them."""
    count = 4 if frame.outline == "square" else rng.choice([3, 4, 4])
    tall = frame.height > 0.55
    metal = finish.frame.kind in ("metal", "paint") and rng.chance(0.6)
    size = rng.uniform(0.018, 0.024) if metal else rng.uniform(0.03, 0.042)
    kinds = ["tube"] if metal else ["straight", "tapered", "turned", "dowel"]
    splay = rng.uniform(0.0, 0.07)
    reach = frame.width / 2 * (1.25 if frame.outline == "square" else 0.78) - 0.02
    far = reach + splay * (1.4 if tall else 1.0)
    start = 45.0 if count == 4 else -90.0
    stance = Stance(np.array([[reach, 0.0]]), np.array([[far, 0.0]]), frame.underside + 0.01)
    style = rng.choice(kinds)
    leg = leg_shape(rng, style, stance.height, size)
    if style in ("straight", "tapered"):
        leg = leg.rotated("z", 45 if count == 4 else 0)
    parts = parts_of("leg", finish.frame, *around(stance.placed(0, leg), count, start))
    z = frame.height * rng.uniform(0.28, 0.4)
    radius = stance.at(0, z)[0]
    tie = rng.choice(["ring", "bars"]) if tall else rng.choice(["none", "ring", "bars"])
    if tie == "ring":
        ring = sweeps.tube(sweeps.arc(radius, 0, 360, 48, z)[:-1], 0.009, 10, loop=True)
        return parts + parts_of("leg", finish.metal, ring), count
    if tie == "bars":
        turn = np.radians(360.0 / count)
        rail = sweeps.bar([radius, 0, z], [radius * np.cos(turn), radius * np.sin(turn), z], size * 0.32)
        parts += parts_of("leg", finish.frame, *around(rail, count, start))
    return parts, count


def _starred(frame: Frame, finish: Finish, rng: Rng) -> tuple[list[Part], int]:
    """A star base with as many arms as its order of symmetry; a foot ring on tall ones."""
    arms = rng.choice([4, 5, 5, 5])
    parts = star(frame, finish, rng, arms, rng.chance(0.7))
    if frame.height > 0.55:
        z, radius = frame.height * 0.4, rng.uniform(0.15, 0.19)
        ring = sweeps.tube(sweeps.arc(radius, 0, 360, 40, z)[:-1], 0.010, 10, loop=True)
        spokes = around(sweeps.bar([0.01, 0, z], [radius, 0, z], 0.007), arms, 360.0 / arms / 2 - 90)
        parts += parts_of("leg", finish.metal, ring, *spokes)
    return parts, arms


def _bench(finish: Finish, rng: Rng) -> tuple[list[Part], int]:
    """An oblong stool, hollowed or padded, on four equal legs: order 2."""
    width, depth, height = rng.uniform(0.42, 0.52), rng.uniform(0.28, 0.34), rng.uniform(0.42, 0.66)
    frame = Frame(width, depth, height, width, rng.uniform(0.025, 0.04))
    grid = kit.squircle_grid(width, depth, rng.uniform(0.05, 0.4), 13, 13)
    sweep = rng.uniform(0.0, 0.035)
    rise = sweep * (2 * grid[..., 0] / width) ** 2
    z = frame.board_top - frame.board / 2 + rise
    parts = parts_of("seat", finish.seat, kit.sheet(np.concatenate([grid, z[..., None]], -1), frame.board, 4))
    if rng.chance(0.35):
        pad = kit.cushion(width * 0.96, depth * 0.96, 0.06, 6, 2.5, 40).moved(z=frame.board_top + 0.015)
        pad = pad.warped(lambda p: p + np.array([0, 0, sweep]) * (2 * p[:, :1] / width) ** 2)
        parts += parts_of("seat", finish.pad, pad)
    x, y, splay = width / 2 - 0.05, depth / 2 - 0.045, rng.uniform(0.0, 0.05)
    top = np.array([[-x, -y], [x, -y], [x, y], [-x, y]])
    stance = Stance(top, top + np.sign(top) * splay, frame.underside + 0.01 + sweep * (2 * x / width) ** 2)
    leg = post(rng.uniform(0.022, 0.03), rng.uniform(0.03, 0.038), stance.height, rng.chance(0.5))
    low = height * rng.uniform(0.25, 0.4)
    bars = [sweeps.plank(stance.at(a, low), stance.at(b, low), 0.016, 0.026) for a, b in ((0, 3), (1, 2))]
    ends = [np.mean([stance.at(a, low), stance.at(b, low)], 0) for a, b in ((0, 3), (1, 2))]
    bars.append(sweeps.plank(ends[0].tolist(), ends[1].tolist(), 0.016, 0.026))
    legs = [stance.placed(k, leg) for k in range(4)]
    return parts + parts_of("leg", finish.frame, *legs, *bars), 2


def _pouf(finish: Finish, rng: Rng, outline: str) -> tuple[list[Part], int]:
    """An upholstered drum or cube on a low plinth or short legs."""
    size, height, low = rng.uniform(0.4, 0.5), rng.uniform(0.4, 0.46), rng.uniform(0.03, 0.09)
    soft = rng.uniform(0.02, 0.05)
    leg = post(0.026, 0.036, low + 0.012, False)
    if outline == "round":
        body = kit.lathe(kit.rounded_profile([(size / 2, low), (size / 2, height)], soft, 5), 48)
        plinth = kit.cylinder(size * 0.43, low + 0.01, 0.003, 48).moved(z=(low + 0.01) / 2)
        if low < 0.06:
            return parts_of("seat", finish.pad, body) + parts_of("leg", finish.frame, plinth), 0
        legs = around(leg.moved(x=size * 0.36), 4, 45)
        return parts_of("seat", finish.pad, body) + parts_of("leg", finish.frame, *legs), 4
    body = kit.rounded_box(size, size, height - low, soft, 4).moved(z=(height + low) / 2)
    legs = around(leg.moved(x=size * 0.54), 4, 45)
    return parts_of("seat", finish.pad, body) + parts_of("leg", finish.frame, *legs), 4
