# SPDX-License-Identifier: GPL-3.0-or-later
"""Beds of a build of their own: with drawers, on a platform, one above the other, sleighs."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from . import kit, sweeps
from .bed_parts import WOODEN_BOARDS, Bed, Linen, bedding, board, corner_posts, rails
from .mesh import Mesh, Part, both_sides, parts_of
from .rng import Rng
from .upholstery import block, feet


def drawers(bed: Bed, made: Linen, rng: Rng) -> tuple[list[Part], dict, Bed]:
    """A closed body on the floor with drawers on both sides, a head board or shelves; the bed that fits it."""
    deck, plinth = rng.uniform(0.28, 0.45), rng.uniform(0.03, 0.07)
    bed = replace(bed, deck=deck, rail_low=plinth, rail_top=deck + rng.uniform(0.0, 0.05), rail=0.025)
    x, y = bed.outer, bed.end
    body = block((-x, -y - 0.02, plinth), (x, y + 0.02, deck), 0.008, 2)
    rim = block((bed.half, -y, deck - 0.02), (x, y, bed.rail_top), 0.004, 1)
    parts = parts_of("frame", made.frame, body)
    if bed.rail_top > deck + 0.02:
        parts += parts_of("frame", made.frame, *both_sides(rim))
    foot = block((0.03 - x, 0.03 - y, 0), (x - 0.03, y - 0.03, plinth + 0.01), 0.003, 1)
    parts += parts_of("leg", made.feet, foot)
    parts += _drawer_fronts(bed, made, rng, plinth, deck)
    high = bed.top + rng.uniform(0.2, 0.6)
    if rng.chance(0.4):
        parts += parts_of("frame", made.frame, *_shelf_head(bed, high, rng.uniform(0.18, 0.28)))
        kind = "shelves"
    else:
        kind = rng.choice(["panel", "planks", "framed", "arched"])
        head = board(kind, 2 * x, plinth, high, 0.04, bed, rng)
        parts += parts_of("frame", made.frame, *(mesh.moved(y=y + 0.035) for mesh in head))
    return parts, {"head": kind, "foot": "none", "posts": "plinth", "drawers": True}, bed


def _drawer_fronts(bed: Bed, made: Linen, rng: Rng, low: float, high: float) -> list[Part]:
    """Fronts with knobs, grips or nothing along both sides."""
    count, grip = rng.integer(2, 3), rng.choice(["knob", "bar", "none"])
    edges = np.linspace(-bed.end + 0.03, bed.end - 0.03, count + 1)
    parts: list[Part] = []
    a, b = low + 0.025, high - 0.035
    for y0, y1 in itertools.pairwise(edges):
        front = block((bed.outer - 0.01, y0 + 0.015, a), (bed.outer + 0.018, y1 - 0.015, b), 0.007, 2)
        parts += parts_of("frame", made.frame, *both_sides(front))
        x, y, z = bed.outer + 0.016, (y0 + y1) / 2, (a + b) / 2
        if grip == "knob":
            knob = kit.cylinder(0.018, 0.03, 0.006, 14, 2).rotated("y", 90)
            parts += parts_of("frame", made.grips, *both_sides(knob.moved(x + 0.012, y, z)))
        elif grip == "bar":
            handle = block((x - 0.004, y - 0.08, z - 0.009), (x + 0.02, y + 0.08, z + 0.009), 0.005)
            parts += parts_of("frame", made.grips, *both_sides(handle))
    return parts


def _shelf_head(bed: Bed, high: float, deep: float) -> list[Mesh]:
    """A head piece with an open compartment."""
    x, y0, y1 = bed.outer, bed.end + 0.015, bed.end + deep
    t = 0.025
    shelf = block((-x, y0, bed.top + 0.02), (x, y1, bed.top + 0.02 + t), 0.003, 1)
    sides = both_sides(block((x - t, y0, 0.0), (x, y1, high), 0.003, 1))
    top = block((-x, y0, high - t), (x, y1, high), 0.003, 1)
    rear = block((0.005 - x, y1 - 0.015, 0.0), (x - 0.005, y1, high - 0.005), 0.003, 1)
    front = block((0.005 - x, y0, 0.0), (x - 0.005, y0 + t, bed.top + 0.03), 0.003, 1)
    return [shelf, *sides, top, rear, front, block((-t / 2, y0, bed.top), (t / 2, y1, high - 0.01), 0.003, 1)]


def low_platform(bed: Bed, made: Linen, rng: Rng) -> tuple[list[Part], dict, Bed]:
    """A board wider than the mattress on a plinth or legs; the bed that fits it."""
    low, t = rng.uniform(0.1, 0.26), rng.uniform(0.04, 0.12)
    over = rng.uniform(0.03, 0.18)
    bed = replace(bed, deck=low + t, rail_low=low, rail_top=low + t, rail=over)
    x, y = bed.outer, bed.end
    slab = block((-x, -y - over, low), (x, y + 0.02, low + t), min(0.02, 0.3 * t), 3)
    parts = parts_of("frame", made.frame, slab)
    if rng.chance(0.5):
        shape = rng.choice(["block", "tapered", "round", "splayed"])
        size = rng.uniform(0.05, 0.1)
        places = [(s * (x - 0.1), v) for s in (-1, 1) for v in (0.1 - y, y - 0.12)]
        parts += parts_of("leg", made.feet, *feet(rng, shape, places, low + 0.02, size))
    else:
        shape, cut = "plinth", rng.uniform(0.12, 0.3)
        foot = block((cut - x, cut - y, 0), (x - cut, y - 0.5 * cut, low + 0.02), 0.004, 1)
        parts += parts_of("leg", made.feet, foot)
    kind = rng.choice([*WOODEN_BOARDS, "none"])
    if kind != "none":
        wide = 2 * x + rng.choice([0.0, 0.0, rng.uniform(0.3, 0.9)])
        meshes = board(kind, wide, low, bed.top + rng.uniform(0.2, 0.6), 0.04, bed, rng)
        parts += parts_of("frame", made.frame, *(mesh.moved(y=y + 0.035) for mesh in meshes))
    return parts, {"head": kind, "foot": "none", "posts": shape, "drawers": False}, bed


def bunk(lower: Bed, made: Linen, rng: Rng) -> tuple[list[Part], dict]:
    """Two decks between four posts, guard rails above, boards or bars at the ends, a ladder."""
    loft = rng.chance(0.1)
    rise = rng.uniform(0.8, 1.0)
    upper = replace(lower, **{k: getattr(lower, k) + rise for k in ("deck", "rail_low", "rail_top")})
    size = lower.rail + rng.uniform(0.02, 0.05)
    top = upper.top + rng.uniform(0.2, 0.34)
    kind = rng.choice(["square", "square", "round"])
    blocky = rng.chance(0.4)
    parts, blanket = bedding(upper, made, rng, blocky=blocky)
    parts += rails(upper, made)
    if not loft:
        parts += bedding(lower, made, rng, blocky=blocky)[0] + rails(lower, made)
    stand = upper if loft else lower
    parts += corner_posts(stand, made, rng, kind, size, (top, top))
    ends = _bunk_ends(upper, made, rng, size, top - 0.05) + (
        [] if loft else _bunk_ends(lower, made, rng, size, lower.top + 0.25)
    )
    parts += ends + _guard(upper, made, rng, size, top)
    parts += _ladder(lower, upper, made, rng, top)
    if rng.chance(0.5):
        parts = [replace(part, mesh=part.mesh.mirrored("x")) for part in parts]
    return parts, {"head": "bunk", "posts": kind, "blanket": blanket, "decks": 1 if loft else 2}


def _bunk_ends(bed: Bed, made: Linen, rng: Rng, size: float, high: float) -> list[Part]:
    """Head and foot of one deck."""
    kind = rng.choice(["ladder", "slats", "panel"])
    meshes = board(kind, 2 * bed.outer - size, bed.rail_low + 0.01, high, 0.026, bed, rng)
    y = bed.end + size / 2
    return parts_of("frame", made.frame, *(m.moved(y=s * y) for m in meshes for s in (-1, 1)))


def _guard(bed: Bed, made: Linen, rng: Rng, size: float, top: float) -> list[Part]:
    """Rails along both sides of the upper deck; the one at +x leaves a gap for the ladder at the foot."""
    t, x = 0.02, bed.outer - size / 2
    gap = rng.uniform(0.38, 0.5)
    zs = np.linspace(bed.rail_top, top, rng.integer(2, 3) + 1)[1:] - 0.06
    meshes = []
    for z in zs:
        meshes.append(block((-x - t, -bed.end - 0.01, z - 0.035), (-x, bed.end + 0.01, z + 0.035), 0.006))
        meshes.append(block((x, -bed.end + gap, z - 0.035), (x + t, bed.end + 0.01, z + 0.035), 0.006))
    stop = -bed.end + gap
    meshes.append(
        block((x - 0.004, stop, bed.rail_low + 0.02), (x + t + 0.004, stop + 0.05, top - 0.02), 0.006)
    )
    return parts_of("frame", made.frame, *meshes)


def _ladder(lower: Bed, upper: Bed, made: Linen, rng: Rng, top: float) -> list[Part]:
    """Two stiles with rungs outside the side at +x, near the foot, upright or leaning."""
    gap, reach = 0.4, rng.choice([0.01, rng.uniform(0.15, 0.4)])
    y0, y1 = -lower.end + 0.03, -lower.end + gap
    t = rng.uniform(0.025, 0.045)
    high, rest = min(upper.rail_top + rng.uniform(0.02, 0.2), top), upper.rail_top - 0.03
    x = upper.outer + 0.4 * t  # where the ladder leans on the rail, at height `rest`
    at = lambda z: x + reach * (1 - z / rest)  # noqa: E731
    stiles = [
        sweeps.plank([at(0.0), y, 0.0], [at(high), y, high], t, t, up=(0.0, 1.0, 0.0)) for y in (y0, y1)
    ]
    count = rng.integer(4, 6)
    rungs = [
        sweeps.plank([at(z), y0, z], [at(z), y1, z], 2.0 * t, 0.6 * t)
        for z in np.linspace(0, high, count + 1)[1:] - 0.06
    ]
    return parts_of("frame", made.frame, *stiles, *rungs)


def sleigh(bed: Bed, made: Linen, rng: Rng) -> tuple[list[Part], dict]:
    """Boards bent outwards to a roll, high at the head and lower at the foot; rails between them."""
    head = bed.top + rng.uniform(0.3, 0.6)
    foot = bed.top + rng.uniform(0.0, 0.22)
    bed = replace(bed, head=head, foot=foot)
    parts, blanket = bedding(bed, made, rng)
    parts += rails(bed, made)
    curl = rng.uniform(0.12, 0.24)
    parts += parts_of("frame", made.frame, *_curled(bed, head, curl))
    parts += parts_of("frame", made.frame, *(m.rotated("z", 180) for m in _curled(bed, foot, 0.85 * curl)))
    shape = rng.choice(["block", "bun", "tapered"])
    size = rng.uniform(0.06, 0.1)
    places = [(s * (bed.outer - 0.05), v * (bed.end + 0.02)) for s in (-1, 1) for v in (-1, 1)]
    parts += parts_of("leg", made.feet, *feet(rng, shape, places, bed.rail_low + 0.02, size))
    return parts, {"head": "sleigh", "foot": "sleigh", "posts": shape, "blanket": blanket}


def _curled(bed: Bed, high: float, curl: float) -> list[Mesh]:
    """A bent board at the head end and the roll along its top."""
    low, rise = bed.rail_low - 0.01, high - bed.rail_low
    knots = [[bed.end + 0.03, low], [bed.end + 0.02, low + 0.35 * rise], [bed.end + 0.05, low + 0.65 * rise]]
    knots += [[bed.end + 0.05 + 0.55 * curl, low + 0.92 * rise], [bed.end + curl, low + 0.97 * rise]]
    path = sweeps.catmull_rom(knots, 5)
    x = np.linspace(-bed.outer - 0.02, bed.outer + 0.02, 9)
    grid = np.stack(
        [np.broadcast_to(x, (len(path), 9)), *(np.repeat(path[:, k : k + 1], 9, 1) for k in (0, 1))], -1
    )
    roll = kit.cylinder(0.038, 2 * bed.outer + 0.06, 0.008, 20, 2).rotated("y", 90)
    return [kit.sheet(grid, 0.045, 3), roll.moved(y=float(path[-1, 0]), z=float(path[-1, 1]) - 0.01)]
