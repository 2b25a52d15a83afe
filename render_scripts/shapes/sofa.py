# SPDX-License-Identifier: GPL-3.0-or-later
"""Sofas: families, measures, and which seats, backs, arms and feet go together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import sofa_kinds
from .mesh import Model, Part
from .rng import Rng
from .sofa_parts import (
    ARMS,
    Body,
    Dress,
    arm,
    both_arms,
    corners,
    dress,
    ground,
    loose_pillows,
    seat_field,
    sled_feet,
    turned_to_side,
    wall,
)
from .upholstery import mapped, standing

PARTS = ("back", "seat", "arm", "leg")

FAMILIES = {
    "classic": 25.0,
    "chunky": 18.0,
    "corner": 16.0,
    "design": 13.0,
    "chesterfield": 6.0,
    "wooden": 6.0,
    "curved": 4.0,
    "daybed": 6.0,
    "ottoman": 6.0,
}
SOFT_FEET = {"block": 3.0, "tapered": 3.0, "round": 2.0, "bun": 1.0, "splayed": 2.0, "turned": 0.7}


def build(rng: Rng) -> Model:
    """One sofa, facing -Y, its lowest point at z = 0, its box centred on the Z axis."""
    family = rng.weighted(FAMILIES)
    parts, order, style = BUILDERS[family](rng)
    return Model(standing(parts), order, {"type": family, **style})


Built = tuple[list[Part], int, dict]


def classic_body(rng: Rng) -> Body:
    """Measures of an upholstered sofa with separate cushions."""
    seats = int(rng.weighted({"2": 5, "3": 5, "4": 1}))
    arm_width = rng.uniform(0.11, 0.25)
    seat = rng.uniform(0.38, 0.47)
    rise = rng.uniform(0.32, 0.5)
    return Body(
        width=seats * rng.uniform(0.54, 0.74) + 2 * arm_width,
        depth=rng.uniform(0.78, 1.0),
        seat=seat,
        low=rng.uniform(0.05, 0.16),
        arm=arm_width,
        arm_top=seat + rng.uniform(0.12, 0.25),
        top=seat + rise,
        back=rng.uniform(0.12, 0.22),
        lean=rng.choice([0.0, rng.uniform(0.05, 0.25)]),
        soft=rng.uniform(0.015, 0.06),
        facets=3,
        pad=rng.uniform(0.12, 0.18),
        cushion=rng.choice([0.0, rng.uniform(0.1, 0.18), rng.uniform(0.1, 0.18)]),
        power=rng.uniform(5, 14),
        edge=rng.uniform(2.6, 6.8),
        seats=rng.choice([seats, seats, seats, 1]),
    )


def chunky_body(rng: Rng) -> Body:
    """Measures of a simple sofa of thick blocks, few facets, no lean."""
    seats = rng.choice([1.5, 2.0, 2.0, 2.0, 3.0, 3.0])
    arm_width = rng.uniform(0.16, 0.3)
    seat = rng.uniform(0.36, 0.48)
    facets = rng.choice([1, 1, 2, 3])
    return Body(
        width=seats * rng.uniform(0.5, 0.7) + 2 * arm_width,
        depth=rng.uniform(0.75, 1.05),
        seat=seat,
        low=rng.choice([0.0, rng.uniform(0.04, 0.14), rng.uniform(0.04, 0.14)]),
        arm=arm_width,
        arm_top=seat + rng.uniform(0.08, 0.28),
        top=seat + rng.uniform(0.3, 0.55),
        back=rng.uniform(0.18, 0.32),
        lean=0.0,
        soft=rng.uniform(0.01, 0.07) if facets < 3 else rng.uniform(0.04, 0.09),
        facets=facets,
        pad=rng.uniform(0.1, 0.2),
        cushion=rng.choice([0.0, 0.0, rng.uniform(0.08, 0.16)]),
        power=10.0,
        edge=rng.choice([8.0, 4.0]),
        seats=rng.choice([1, int(seats), int(seats)]),
    )


def design_body(rng: Rng) -> Body:
    """Measures of a slim sofa high above the floor."""
    seats = rng.choice([2, 3, 3])
    arm_width = rng.choice([0.0, rng.uniform(0.05, 0.1), rng.uniform(0.05, 0.1)])
    seat = rng.uniform(0.38, 0.44)
    return Body(
        width=seats * rng.uniform(0.58, 0.78) + 2 * arm_width,
        depth=rng.uniform(0.76, 0.92),
        seat=seat,
        low=rng.uniform(0.15, 0.22),
        arm=arm_width,
        arm_top=seat + rng.uniform(0.08, 0.22),
        top=seat + rng.uniform(0.24, 0.38),
        back=rng.uniform(0.06, 0.11),
        lean=rng.uniform(0.0, 0.22),
        soft=rng.uniform(0.008, 0.025),
        facets=rng.choice([1, 2, 3]),
        pad=rng.uniform(0.1, 0.15),
        cushion=rng.choice([0.0, rng.uniform(0.1, 0.16), rng.uniform(0.1, 0.16)]),
        power=rng.uniform(8, 16),
        edge=rng.uniform(3.0, 8.0),
        seats=rng.choice([1, seats, seats]),
    )


def straight(body: Body, made: Dress, rng: Rng, kind: str) -> list[Part]:
    """A sofa of one row: seat, back, two arms unless their width is 0; no feet."""
    half = body.inner / 2
    parts = seat_field(body, made, (-half, body.front), (half, body.rear - body.back + 0.01), body.seats)
    between = (body.arm > 0 and kind != "square") or body.arm_top > body.top
    length = body.inner + 0.008 if between or body.arm == 0 else rng.choice([body.inner + 0.008, body.width])
    back = wall(body, made, length, body.seats)
    parts += mapped(back, lambda mesh: mesh.moved(y=body.rear))
    if body.arm > 0:
        parts += both_arms(body, made, rng, kind)
    if rng.chance(0.3):
        parts += loose_pillows(body, made, rng, -half, half, body.rear - body.back - body.cushion)
    return parts


def classic(rng: Rng) -> Built:
    """An upholstered sofa or loveseat with cushions."""
    body, made = classic_body(rng), dress(rng)
    kind, foot = rng.choice(ARMS), rng.weighted(SOFT_FEET)
    parts = straight(body, made, rng, kind)
    parts += ground(body, made, rng, foot, corners(body.width, body.depth, 0.07), rng.uniform(0.045, 0.08))
    return parts, 1, {"arms": kind, "feet": foot, "seats": body.seats}


def chunky(rng: Rng) -> Built:
    """A simple sofa of thick parts in plain colours."""
    body, made = chunky_body(rng), dress(rng, flat=rng.chance(0.8))
    kind = rng.choice(["square", "square", "square", "rolled", "bowed", "sloped"])
    size = rng.uniform(0.07, 0.13)
    foot = rng.choice(["block", "block", "tapered", "round"])
    parts = straight(body, made, rng, kind)
    parts += ground(body, made, rng, foot, corners(body.width, body.depth, size * 0.7), size)
    return parts, 1, {"arms": kind, "feet": foot if body.low else "none", "seats": body.seats}


def design(rng: Rng) -> Built:
    """A slim sofa on thin legs."""
    body, made = design_body(rng), dress(rng)
    foot = rng.choice(["pin", "pin", "sled", "splayed", "tapered"])
    kind = rng.choice(["square", "square", "bowed", "sloped"]) if body.arm else "none"
    parts = straight(body, made, rng, kind)
    if foot == "sled":
        parts += sled_feet(body, made, rng)
    else:
        inset = rng.uniform(0.05, 0.14)
        parts += ground(body, made, rng, foot, corners(body.width, body.depth, inset), 0.04)
    return parts, 1, {"arms": kind, "feet": foot, "seats": body.seats}


def corner(rng: Rng) -> Built:
    """An L: a chaise or a second row with its own back, on the left or the right."""
    base = rng.weighted({"classic": 4, "chunky": 3, "design": 2})
    body = {"classic": classic_body, "chunky": chunky_body, "design": design_body}[base](rng)
    body = replace(body, arm=max(body.arm, 0.06), width=max(body.width, 1.7) + rng.uniform(0.0, 0.6))
    made = dress(rng, flat=base == "chunky" and rng.chance(0.8))
    kind = rng.choice(["square", "square", "bowed", "rolled", "sloped"]) if body.arm > 0.1 else "square"
    shape = rng.choice(["chaise", "corner", "corner"])
    parts, places = (_chaise if shape == "chaise" else _cornered)(body, made, rng, kind)
    foot = rng.choice(["block", "tapered", "round", "pin"])
    parts += ground(body, made, rng, foot, places, rng.uniform(0.04, 0.09))
    side = rng.choice(["left", "right"])
    if side == "left":
        parts = mapped(parts, lambda mesh: mesh.mirrored("x"))
    return parts, 1, {"arms": kind, "feet": foot, "seats": body.seats, "shape": shape, "side": side}


def _chaise(body: Body, made: Dress, rng: Rng, kind: str) -> tuple[list[Part], list]:
    """A straight sofa whose last seat at +X is drawn out to the front; places of its feet."""
    half, reach = body.inner / 2, rng.uniform(0.5, 0.85)
    wide = rng.uniform(0.62, 0.85)
    body = replace(body, seats=max(2, body.seats))
    y = body.rear - body.back + 0.01
    split = half - wide
    parts = seat_field(body, made, (-half, body.front), (split, y), body.seats - 1 if wide < half else 1)
    parts += seat_field(body, made, (split, body.front - reach), (half, y), 1)
    parts += mapped(wall(body, made, body.inner + 0.008, body.seats), lambda mesh: mesh.moved(y=body.rear))
    left = arm(body, made, rng, kind, body.front, body.rear - 0.01)
    parts += mapped(left, lambda mesh: mesh.moved(body.width / 2).mirrored("x"))
    ahead = rng.choice([0.0, 0.0, reach * rng.uniform(0.3, 1.0)])
    if rng.chance(0.8):
        right = arm(body, made, rng, kind, body.front - ahead, body.rear - 0.01)
        parts += mapped(right, lambda mesh: mesh.moved(body.width / 2))
    if rng.chance(0.35):
        parts += loose_pillows(body, made, rng, -half, half, body.rear - body.back - body.cushion)
    x, front = half - 0.06, body.front - reach + 0.07
    places = [
        (0.05 - half, body.rear - 0.07),
        (x, body.rear - 0.07),
        (0.05 - half, body.front + 0.07),
        (x, front),
    ]
    return parts, [*places, (split + 0.06, front)]


def _cornered(body: Body, made: Dress, rng: Rng, kind: str) -> tuple[list[Part], list]:
    """Two rows that meet at +X, each with a back; an arm or nothing at the two ends; places of the feet."""
    right, wide = body.width / 2, body.depth
    reach = rng.uniform(0.5, 1.3)
    y, x = body.rear - body.back + 0.01, right - body.back + 0.01
    left = -right + body.arm
    columns, rows = max(1, body.seats), max(1, round(reach / 0.65))
    inside = right - wide
    parts = seat_field(body, made, (left, body.front), (inside, y), columns)
    parts += seat_field(body, made, (inside, body.front), (x, y), 1)
    closed = rng.chance(0.4)
    end = body.front - reach
    start = end + body.arm if closed else end
    parts += seat_field(body, made, (inside, start), (x, body.front), 1, rows)
    span = right - left
    main = wall(body, made, span, columns + 1)
    parts += mapped(main, lambda mesh: mesh.moved((left + right) / 2, body.rear))
    side = wall(body, made, y - start, rows + 1 if body.cushion else 1)
    parts += turned_to_side(side, right, (y + start) / 2)
    parts += mapped(
        arm(body, made, rng, kind, body.front, body.rear - 0.01), lambda m: m.moved(right).mirrored("x")
    )
    if closed:
        last = arm(body, made, rng, kind, -wide / 2, wide / 2 - 0.01)
        parts += mapped(last, lambda m: m.rotated("z", -90).moved(right - wide / 2, end))
    if rng.chance(0.35):
        parts += loose_pillows(body, made, rng, left, inside, body.rear - body.back - body.cushion)
    near, far = end + 0.07, body.rear - 0.07
    places = [(left + 0.05, far), (right - 0.07, far), (left + 0.05, body.front + 0.07), (right - 0.07, near)]
    return parts, [*places, (inside + 0.07, near), (inside + 0.07, body.front + 0.07)]


def ottoman(rng: Rng) -> Built:
    """A seat without back or arms: oblong, square or round."""
    return sofa_kinds.ottoman(rng, dress(rng, flat=rng.chance(0.4)))


def daybed(rng: Rng) -> Built:
    """A long seat with one raised end."""
    body, made = classic_body(rng), dress(rng)
    return sofa_kinds.daybed(body, made, rng)


def chesterfield(rng: Rng) -> Built:
    """Rolled arms as high as the back, buttons."""
    return sofa_kinds.chesterfield(replace(classic_body(rng), lean=0.0), dress(rng), rng)


def wooden(rng: Rng) -> Built:
    """Loose cushions in an open wooden frame."""
    return sofa_kinds.wooden(replace(classic_body(rng), lean=rng.uniform(0.1, 0.3)), dress(rng), rng)


def curved(rng: Rng) -> Built:
    """A back that sweeps round into the arms."""
    return sofa_kinds.curved(classic_body(rng), dress(rng), rng)


BUILDERS: dict[str, Callable[[Rng], Built]] = {
    "classic": classic,
    "chunky": chunky,
    "corner": corner,
    "design": design,
    "chesterfield": chesterfield,
    "wooden": wooden,
    "curved": curved,
    "daybed": daybed,
    "ottoman": ottoman,
}
