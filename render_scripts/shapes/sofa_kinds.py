# SPDX-License-Identifier: GPL-3.0-or-later
"""Sofas that are no rows of boxes: chesterfields, wooden frames, swept backs, daybeds, ottomans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import kit, sweeps
from .mesh import Mesh, Part, around, both_sides, parts_of
from .rng import Rng
from .sofa_parts import ARMS, Body, Dress, arm, corners, ground, loose_pillows, seat_field, wall
from .upholstery import block, feet, leaned, mapped, pad, tufts

Built = tuple[list[Part], int, dict]


def chesterfield(body: Body, made: Dress, rng: Rng) -> Built:
    """Arms and back of one height, both with a thick roll on top, the inside of the back buttoned."""
    radius = rng.uniform(0.075, 0.115)
    top = body.seat + rng.uniform(0.24, 0.36)
    body = replace(body, arm=2 * radius, arm_top=top, top=top, back=1.7 * radius, cushion=0.0, edge=4.0)
    half = body.inner / 2
    seats = rng.choice([1, body.seats, body.seats])
    parts = seat_field(body, made, (-half, body.front + 0.03), (half, body.rear - body.back + 0.02), seats)
    rear = body.rear
    back = block((-half - 0.02, rear - body.back, body.low), (half + 0.02, rear, top - radius), 0.02, 2)
    across = kit.cylinder(radius, body.width - 2 * radius, 0.01, 28, 2).rotated("y", 90)
    parts += parts_of("back", made.body, back, across.moved(y=rear - radius * 0.8, z=top - radius))
    if rng.chance(0.8):
        rise = top - radius * 1.2 - body.seat
        panel = tufts(body.inner - 0.02, rise, 0.05, rng.uniform(0.03, 0.05), round(body.inner / 0.2), 2)
        parts += parts_of("back", made.body, panel.moved(y=rear - body.back + 0.005, z=body.seat + 0.005))
    side = block((half, body.front + 0.015, body.low), (body.width / 2 - 0.02, rear, top - radius), 0.02, 2)
    roll = kit.cylinder(radius, body.depth, 0.014, 28, 3).rotated("x", 90)
    roll = roll.moved(half + radius, 0, top - radius)
    scroll = kit.cylinder(0.45 * radius, 0.02, 0.008, 20, 2).rotated("x", 90)
    scroll = scroll.moved(half + radius, body.front, top - radius)
    parts += parts_of("arm", made.body, *both_sides(side), *both_sides(roll), *both_sides(scroll))
    foot = rng.choice(["bun", "turned", "block", "tapered"])
    parts += ground(body, made, rng, foot, corners(body.width, body.depth, 0.1), rng.uniform(0.07, 0.1))
    return parts, 1, {"arms": "scroll", "feet": foot, "seats": seats}


def wooden(body: Body, made: Dress, rng: Rng) -> Built:
    """Open side frames of squared timber or planks, rails, slats or bars behind loose cushions."""
    thick = rng.uniform(0.035, 0.075)
    body = replace(body, arm=thick, back=0.05, cushion=rng.uniform(0.11, 0.16), low=0.0, soft=0.02)
    body = replace(body, width=body.inner + 2 * thick, edge=min(body.edge, 4.0))
    half, under = body.inner / 2, body.seat - body.pad
    frame = made.feet
    y = body.rear - 0.06
    cushions = seat_field(replace(body, low=under - 0.02), made, (-half, body.front), (half, y), body.seats)
    parts = cushions[1:] + parts_of("seat", frame, *_rails(body, half, under, y))
    row = wall(body, made, body.inner, body.seats)[1:]
    parts += mapped(row, lambda mesh: mesh.moved(y=body.rear))
    parts += parts_of("back", frame, *leaned(_back_timber(body, rng, half, under, y), body.lean, body.seat))
    legs, arms = _side_frame(body, rng, half, under, y)
    parts += parts_of("leg", frame, *(m for mesh in legs for m in both_sides(mesh)))
    parts += parts_of("arm", frame, *(m for mesh in arms for m in both_sides(mesh)))
    if rng.chance(0.3):
        parts += loose_pillows(body, made, rng, -half, half, body.rear - body.back - body.cushion)
    return parts, 1, {"arms": "open", "feet": "frame", "seats": body.seats}


def _rails(body: Body, half: float, under: float, y: float) -> list[Mesh]:
    """Seat rails in front and behind, and a board under the cushions."""
    board = block((-half, body.front, under - 0.03), (half, y + 0.02, under), 0.004, 1)
    front = block((-half - 0.01, body.front, under - 0.09), (half + 0.01, body.front + 0.03, under), 0.005, 1)
    return [board, front, front.moved(y=y - body.front - 0.02)]


def _back_timber(body: Body, rng: Rng, half: float, under: float, y: float) -> list[Mesh]:
    """Two uprights, a top rail and either slats or two more rails."""
    top, t = body.top, 0.03
    post = block((half - 0.045, y, under - 0.06), (half, y + t, top), 0.006, 2)
    rail = block((-half, y - 0.002, top - 0.07), (half, y + t + 0.002, top), 0.008, 2)
    if rng.chance(0.5):
        count = round(body.inner / rng.uniform(0.12, 0.25))
        xs = np.linspace(-half + 0.1, half - 0.1, count)
        bars = [block((x - 0.02, y + 0.004, under - 0.02), (x + 0.02, y + 0.022, top - 0.05)) for x in xs]
    else:
        zs = np.linspace(body.seat + 0.02, top - 0.12, 2)
        bars = [block((-half, y + 0.003, z - 0.03), (half, y + 0.023, z + 0.03)) for z in zs]
    return [*both_sides(post), rail, *bars]


def _side_frame(body: Body, rng: Rng, half: float, under: float, y: float) -> tuple[list[Mesh], list[Mesh]]:
    """Right side: legs below the seat; above it posts, an arm rest and at times slats."""
    w = body.arm
    split, top = under - 0.02, body.arm_top
    deep = rng.uniform(0.04, 0.09)
    spots = (body.front + 0.02, y - deep + 0.03)
    legs = [block((half, s, 0), (half + w, s + deep, split), 0.006, 2) for s in spots]
    posts = [block((half, s, split), (half + w, s + deep, top - 0.01), 0.006, 2) for s in spots]
    over = rng.uniform(0.0, 0.03)
    rest = block((half - over, body.front - 0.01, top - 0.035), (half + w + over, y + 0.03, top), 0.01, 3)
    low = block(
        (half + 0.004, spots[0] + 0.02, split - 0.06), (half + w - 0.004, spots[1] + 0.02, split), 0.005
    )
    arms = [*posts, rest]
    if rng.chance(0.4):
        for s in np.linspace(spots[0] + 0.12, spots[1] - 0.06, rng.integer(3, 7)):
            arms.append(
                block((half + 0.3 * w, s, split - 0.03), (half + 0.7 * w, s + 0.03, top - 0.02), 0.003)
            )
    return [*legs, low], arms


def curved(body: Body, made: Dress, rng: Rng) -> Built:
    """A back that sweeps round into lower or equal arms about a seat with rounded corners."""
    width = rng.uniform(1.3, 2.3)
    depth, low = rng.uniform(0.8, 1.0), rng.choice([body.low, 0.02])
    thick = rng.uniform(0.07, 0.16)
    arm_top, top = body.seat + rng.uniform(0.12, 0.28), body.seat + rng.uniform(0.3, 0.45)
    arm_top = rng.choice([arm_top, top])
    power = rng.uniform(2.6, 5.0)
    angle = np.radians(np.linspace(-90 + 62, 270 - 62, 49))
    c, s = np.cos(angle), np.sin(angle)
    reach = (np.abs(c) ** power + np.abs(s) ** power) ** (-1 / power)
    x, y = c * reach * (width - thick) / 2, np.maximum(s * reach, -0.92) * (depth - thick) / 2
    swing = np.clip((s * reach + 0.2) / 1.1, 0, 1) ** 1.4
    height = arm_top + (top - arm_top) * swing
    t = np.linspace(0, 1, 6)[:, None]
    flare = 1 + rng.uniform(0.0, 0.1) * t
    grid = np.stack([flare * x, flare * y, low + (height - low) * t], -1)
    pieces = kit.split_sheet(grid.transpose(1, 0, 2), thick, [14, 34], 5)
    parts = parts_of("arm", made.body, pieces[0], pieces[2]) + parts_of("back", made.body, pieces[1])
    inner = (width - thick, depth - thick + 0.02)
    base = kit.cushion(*inner, body.seat - body.pad - low, power, 12, 48)
    parts += parts_of("seat", made.body, base.moved(z=(body.seat - body.pad + low) / 2))
    soft = kit.cushion(inner[0] - 0.02, inner[1], body.pad + 0.03, power, 4.5, 48)
    parts += parts_of("seat", made.cushion, soft.moved(y=-0.02, z=body.seat - body.pad / 2 - 0.01))
    whole = replace(body, low=low, width=width, depth=depth)
    if low < 0.04:
        plinth = kit.cushion(0.9 * width, 0.85 * depth, low + 0.04, power, 12, 48)
        parts += parts_of("leg", made.feet, plinth.moved(z=(low + 0.04) / 2))
    else:
        foot = rng.choice(["tapered", "round", "splayed"])
        parts += ground(whole, made, rng, foot, corners(0.86 * width, 0.82 * depth, 0.06), 0.05)
    if rng.chance(0.35):
        parts += loose_pillows(whole, made, rng, -width / 2 + 0.2, width / 2 - 0.2, depth / 2 - thick - 0.02)
    return parts, 1, {"arms": "swept", "feet": "plinth" if low < 0.04 else "legs", "seats": 1}


def daybed(body: Body, made: Dress, rng: Rng) -> Built:
    """A long seat with one raised end, at times half a back, and a bolster."""
    width, depth = rng.uniform(1.5, 2.1), rng.uniform(0.65, 0.9)
    thick = rng.uniform(0.1, 0.22)
    body = replace(body, width=width, depth=depth, arm=thick, seats=1, soft=min(body.soft, 0.04))
    right = width / 2
    kind = rng.choice([*ARMS, "swept"])
    y1 = body.rear
    backed = rng.chance(0.5)
    parts = seat_field(body, made, (-right, body.front), (right - thick + 0.01, y1), 1)
    if kind == "swept":
        body = replace(body, arm_top=body.seat + rng.uniform(0.25, 0.42))
        parts += parts_of("arm", made.body, _scroll_end(body))
    else:
        body = replace(body, arm_top=body.seat + rng.uniform(0.15, 0.3))
        parts += arm(body, made, rng, kind, body.front, y1)
    parts = [replace(p, mesh=p.mesh.moved(right)) if p.label == "arm" else p for p in parts]
    if backed:
        parts += parts_of("back", made.body, _half_back(body, rng))
    if rng.chance(0.7):
        r = rng.uniform(0.07, 0.1)
        bolster = kit.cylinder(r, depth * 0.85, 0.03, 24, 3).rotated("x", 90)
        x = right - thick - r - (0.08 if kind == "swept" else 0.0)
        parts += parts_of("back", made.pillows[0], bolster.moved(x, 0, body.seat + r - 0.012))
    foot = rng.choice(["tapered", "turned", "bun", "pin", "splayed", "block"])
    parts += ground(body, made, rng, foot, corners(width, depth, 0.08), rng.uniform(0.045, 0.07))
    side = rng.choice(["left", "right"])
    if side == "left":
        parts = mapped(parts, lambda mesh: mesh.mirrored("x"))
    return parts, 1, {"arms": kind, "feet": foot, "seats": 1, "side": side, "back": backed}


def _scroll_end(body: Body) -> Mesh:
    """A raised end that rises in a curve and rolls outwards; its outer face near x = 0."""
    rise = body.arm_top - body.low
    knots = [[-0.8 * body.arm, 0.0], [-0.75 * body.arm, 0.3], [-0.5 * body.arm, 0.62]]
    knots += [[0.02, 0.88], [0.1, 0.97], [0.17, 0.93]]
    path = sweeps.catmull_rom([[x, 0.0, body.low + z * rise] for x, z in knots], 5)
    t = np.linspace(1.0, 0.75, len(path))
    size = np.stack([t * 0 + body.depth / 2, 0.42 * body.arm * t], 1)
    section = kit.rounded_rectangle(2, 2, 0.25, 3)
    return sweeps.tube(path, size, section=section, ends="flat")


def _half_back(body: Body, rng: Rng) -> Mesh:
    """A back that falls from the raised end (+x) to the seat before the other end."""
    right, high, low = body.width / 2, body.arm_top, body.low
    end = -right + rng.uniform(0.1, 0.9)
    curve = sweeps.catmull_rom(
        [[right - 0.04, high - 0.01], [right - 0.4, high - 0.03], [0.3 * right + 0.7 * end, body.seat + 0.12]]
        + [[end, body.seat - 0.04]],
        5,
    )
    outline = [*curve.tolist(), [end, low + 0.01], [right - 0.04, low + 0.01]]
    plate = kit.extrude(outline, 0.11, 0.02, 3, grain="x").rotated("x", 90)
    return plate.moved(y=body.rear + 0.0)


def ottoman(rng: Rng, made: Dress) -> Built:
    """A seat alone: a round or square pouf, or an oblong bench-like footstool."""
    shape = rng.weighted({"round": 2, "square": 2, "oblong": 4})
    height, low = rng.uniform(0.36, 0.48), rng.choice([0.0, rng.uniform(0.04, 0.16), rng.uniform(0.04, 0.16)])
    soft, facets = rng.uniform(0.015, 0.07), rng.choice([1, 2, 4])
    width = rng.uniform(0.75, 1.3) if shape == "oblong" else rng.uniform(0.5, 0.9)
    depth = rng.uniform(0.45, 0.62) if shape == "oblong" else width
    split = rng.choice([0.0, rng.uniform(0.1, 0.16)])  # height of a separate pad on the body
    top = height - split
    if shape == "round":
        body = [kit.lathe(kit.rounded_profile([(width / 2, low), (width / 2, top)], soft, 4), 48)]
        lid = kit.lathe(kit.rounded_profile([(width / 2, top - 0.01), (width / 2, height)], 0.05, 4), 48)
    else:
        x, y = width / 2, depth / 2
        body = [block((-x, -y, low), (x, y, top), soft, facets)]
        lid = pad((-x - 0.004, -y - 0.004, top - 0.015), (x + 0.004, y + 0.004, height), 10, 4)
    parts = parts_of("seat", made.body, *body) + (parts_of("seat", made.cushion, lid) if split else [])
    kind = rng.choice(["block", "tapered", "round", "pin", "bun"])
    size = rng.uniform(0.035, 0.06)
    if low > 0:
        parts += parts_of("leg", made.feet, *_pouf_feet(rng, kind, shape, width, depth, low, size))
    order = {"round": 4 if low else 0, "square": 4, "oblong": 2}[shape]
    return parts, order, {"shape": shape, "arms": "none", "feet": kind if low else "none", "seats": 1}


def _pouf_feet(rng: Rng, kind: str, shape: str, width: float, depth: float, low: float, size: float):
    """Four feet, alike under quarter or half turns."""
    if shape == "round":
        return around(feet(rng, kind, [(0.35 * width, 0.0)], low + 0.012, size)[0], 4, 45)
    return feet(rng, kind, corners(width, depth, 0.07), low + 0.012, size)
