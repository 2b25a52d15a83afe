# SPDX-License-Identifier: GPL-3.0-or-later
"""Beds: families, measures, and which boards, rails, posts and bedding go together. The head is at +Y."""

from __future__ import annotations

from collections.abc import Callable

from . import bed_kinds
from .bed_parts import (
    SOFT_BOARDS,
    WOODEN_BOARDS,
    Bed,
    bedding,
    board,
    corner_posts,
    linen,
    metal_end,
    rails,
    soft_board,
)
from .mesh import Model, Part, both_sides, parts_of
from .rng import Rng
from .sweeps import bar, plank
from .upholstery import block, feet, standing

PARTS = ("mattress", "frame", "pillow", "leg")

FAMILIES = {
    "wooden": 22.0,
    "chunky": 20.0,
    "metal": 9.0,
    "boxspring": 12.0,
    "platform": 13.0,
    "bunk": 11.0,
    "poster": 6.0,
    "sleigh": 5.0,
}

Built = tuple[list[Part], dict]


def build(rng: Rng) -> Model:
    """One bed, its foot towards -Y, its lowest point at z = 0, its box centred on the Z axis."""
    family = rng.weighted(FAMILIES)
    parts, style = BUILDERS[family](rng)
    return Model(standing(parts), 1, {"type": family, **style})


def measures(rng: Rng, **fixed) -> Bed:
    """Measures of a single or double bed with rails around the lower part of the mattress."""
    width = rng.choice([rng.uniform(0.8, 1.05), rng.uniform(1.3, 1.85)])
    low = rng.uniform(0.14, 0.3)
    rail_top = low + rng.uniform(0.1, 0.2)
    thick = rng.uniform(0.14, 0.26)
    deck = rail_top - rng.uniform(0.02, 0.08)
    top = deck + thick
    values = {
        "width": width,
        "length": rng.uniform(1.85, 2.1),
        "deck": deck,
        "thick": thick,
        "rail_low": low,
        "rail_top": rail_top,
        "rail": rng.uniform(0.022, 0.045),
        "head": top + rng.uniform(0.25, 0.7),
        "foot": rng.choice([0.0, top + rng.uniform(-0.06, 0.06), top + rng.uniform(0.05, 0.35)]),
        "soft": rng.uniform(0.005, 0.03),
        "facets": 3,
    }
    return Bed(**{**values, **fixed})


def wooden(rng: Rng) -> Built:
    """Posts or legs of wood, rails, a wooden head board and at times a foot board."""
    bed, made = measures(rng), linen(rng, "wood")
    kind = rng.choice(WOODEN_BOARDS)
    posts = rng.choice(["square", "square", "round", "turned", "none"])
    size = rng.uniform(0.05, 0.09)
    parts, blanket = bedding(bed, made, rng)
    parts += rails(bed, made)
    thick = rng.uniform(0.025, 0.045)
    wide = 2 * bed.outer - (size if posts != "none" else 0.0)
    y = bed.end + bed.rail - 0.004 if posts == "none" else bed.end + size / 2
    y = max(y, bed.end + thick / 2)
    head = board(kind, wide, bed.rail_low + 0.02, bed.head, thick, bed, rng)
    parts += parts_of("frame", made.frame, *(mesh.moved(y=y) for mesh in head))
    if bed.foot:
        foot = board(kind, wide, bed.rail_low + 0.02, bed.foot, thick, bed, rng)
        parts += parts_of("frame", made.frame, *(mesh.rotated("z", 180).moved(y=-y) for mesh in foot))
    shoulder = 0.12 if kind == "arched" else -rng.uniform(0.01, 0.08)
    heights = (bed.foot - shoulder if bed.foot else bed.rail_top, bed.head - shoulder)
    if posts == "none":
        heights = (0.0, 0.0)
    parts += corner_posts(bed, made, rng, posts, size, heights)
    return parts, {"head": kind, "foot": kind if bed.foot else "none", "posts": posts, "blanket": blanket}


def chunky(rng: Rng) -> Built:
    """A simple bed of thick parts in plain colours, often short."""
    low = rng.uniform(0.06, 0.2)
    thick, rail_top = rng.uniform(0.16, 0.32), low + rng.uniform(0.12, 0.24)
    deck = rail_top - rng.uniform(0.03, 0.12)
    rail = rng.uniform(0.05, 0.12)
    bed = measures(
        rng,
        width=rng.choice([rng.uniform(0.8, 1.1), rng.uniform(1.2, 1.75)]),
        length=rng.uniform(1.55, 2.05),
        deck=deck,
        thick=thick,
        rail_low=low,
        rail_top=rail_top,
        rail=rail,
        head=deck + thick + rng.uniform(0.15, 0.55),
        foot=rng.choice([0.0, rail_top + rng.uniform(0.05, 0.2), deck + thick + rng.uniform(0.02, 0.2)]),
        soft=rng.uniform(0.012, 0.05),
        facets=rng.choice([1, 1, 2, 3]),
    )
    made = linen(rng, rng.weighted({"wood": 5, "soft": 1}), flat=True)
    parts, blanket = bedding(bed, made, rng, blocky=rng.chance(0.8))
    parts += rails(bed, made)
    deep, wide = rail * rng.uniform(1.0, 1.4), 2 * bed.outer + rng.choice([0.0, rng.uniform(0.0, 0.12)])
    kind = rng.weighted({"panel": 6, "arched": 1, "planks": 1.5, "slats": 1.5})
    start = rng.choice([0.0, low])
    parts += parts_of("frame", made.frame, *_end_boards(bed, rng, kind, wide, start, deep))
    size = min(rng.uniform(0.08, 0.15), 1.6 * deep)
    shape = rng.choice(["block", "block", "tapered", "round"])
    x, y = bed.outer - size / 2, bed.end + rail - size / 2
    parts += parts_of("leg", made.feet, *feet(rng, shape, _square(x, y), low + 0.02, size))
    return parts, {"head": kind, "foot": kind if bed.foot else "none", "posts": shape, "blanket": blanket}


def _end_boards(bed: Bed, rng: Rng, kind: str, wide: float, low: float, deep: float) -> list:
    """Head board and, where the bed has one, the lower foot board, outside the rails."""
    y = bed.end + deep / 2
    meshes = [mesh.moved(y=y) for mesh in board(kind, wide, low, bed.head, deep, bed, rng)]
    if bed.foot:
        foot = board(kind, wide, low, bed.foot, deep, bed, rng)
        meshes += [mesh.rotated("z", 180).moved(y=-y) for mesh in foot]
    return meshes


def _square(x: float, y: float) -> list[tuple[float, float]]:
    return [(s * x, t * y) for s in (-1, 1) for t in (-1, 1)]


def metal(rng: Rng) -> Built:
    """Tubes: barred ends, rails, legs."""
    bed = measures(rng, rail=0.03, rail_low=rng.uniform(0.22, 0.34))
    low = bed.rail_low
    bed = measures(
        rng, width=bed.width, rail=0.03, rail_low=low, rail_top=low + 0.05, deck=low + 0.04, thick=bed.thick
    )
    made = linen(rng, "metal")
    radius, shape = rng.uniform(0.012, 0.022), rng.choice(["square", "round", "bow"])
    parts, blanket = bedding(bed, made, rng, free=rng.chance(0.4))
    parts += rails(bed, made)
    bars = rng.integer(3, 6) * (1 if bed.width < 1.2 else 2)
    y = bed.end + bed.rail
    ends = [
        mesh.moved(y=y) for mesh in metal_end(bed, rng, bed.top + rng.uniform(0.3, 0.6), radius, shape, bars)
    ]
    if rng.chance(0.75):
        high = bed.top + rng.uniform(0.05, 0.3)
        ends += [mesh.moved(y=-y) for mesh in metal_end(bed, rng, high, radius, shape, bars)]
    parts += parts_of("frame", made.frame, *ends)
    x = bed.outer - radius
    legs = [bar([s, t, 0.0], [s, t, low + 0.02], radius) for s, t in _square(x, y)]
    if bed.length > 1.9 and rng.chance(0.5):
        legs += [bar([s, 0, 0], [s, 0, low + 0.02], radius) for s in (-x + 0.01, x - 0.01)]
    parts += parts_of("leg", made.frame, *legs)
    return parts, {"head": f"bars_{shape}", "posts": "tube", "blanket": blanket}


def boxspring(rng: Rng) -> Built:
    """An upholstered base under a mattress of its width, with a soft head board."""
    low = rng.choice([rng.uniform(0.02, 0.05), rng.uniform(0.06, 0.16)])
    base = rng.uniform(0.18, 0.34)
    deck = low + base
    bed = measures(rng, deck=deck, rail_low=low, rail_top=deck, foot=0.0, thick=rng.uniform(0.18, 0.3))
    made = linen(rng, "soft")
    parts, blanket = bedding(bed, made, rng, free=True)
    x, y = bed.width / 2 + rng.uniform(-0.01, 0.012), bed.end
    if bed.width > 1.3 and rng.chance(0.4):
        bases = both_sides(block((0.001, -y, low), (x, y, deck), 0.02, 3))
        bases.append(block((-0.05, 0.05 - y, low + 0.03), (0.05, y - 0.05, deck - 0.02)))
    else:
        bases = [block((-x, -y, low), (x, y, deck), 0.025, 3)]
    parts += parts_of("frame", made.frame, *bases)
    kind, thick = rng.choice(SOFT_BOARDS), rng.uniform(0.07, 0.13)
    wide = 2 * x + rng.choice([0.0, 0.0, rng.uniform(0.1, 0.5)])
    head = soft_board(kind, wide, rng.choice([0.01, low]), bed.top + rng.uniform(0.35, 0.75), thick, rng)
    parts += parts_of("frame", made.frame, *(mesh.moved(y=y - 0.005) for mesh in head))
    shape = rng.choice(["block", "tapered", "round", "bun"])
    places = _square(x - 0.08, y - 0.1)
    parts += parts_of("leg", made.feet, *feet(rng, shape, places, low + 0.015, rng.uniform(0.05, 0.09)))
    return parts, {"head": kind, "foot": "none", "posts": shape, "blanket": blanket}


def platform(rng: Rng) -> Built:
    """A storage body with drawers, or a broad low board on a set-back plinth or legs."""
    made = linen(rng, "wood", flat=rng.chance(0.3))
    if rng.chance(0.55):
        parts, style, bed = bed_kinds.drawers(measures(rng, foot=0.0), made, rng)
    else:
        parts, style, bed = bed_kinds.low_platform(measures(rng, foot=0.0), made, rng)
    more, blanket = bedding(bed, made, rng, free=rng.chance(0.5))
    return more + parts, {**style, "blanket": blanket}


def bunk(rng: Rng) -> Built:
    """Two beds one above the other, or a high one, with guard rails and a ladder."""
    made = linen(rng, rng.choice(["wood", "wood", "metal"]), flat=rng.chance(0.4))
    width, low = rng.uniform(0.8, 1.05), rng.uniform(0.14, 0.3)
    rail, thick = rng.uniform(0.025, 0.06), rng.uniform(0.1, 0.18)
    lower = measures(
        rng,
        width=width,
        length=rng.uniform(1.75, 2.05),
        rail=rail,
        rail_low=low,
        rail_top=low + 0.12,
        deck=low + 0.08,
        thick=thick,
        foot=1.0,
    )
    return bed_kinds.bunk(lower, made, rng)


def poster(rng: Rng) -> Built:
    """Four tall posts joined at the top, at times with a cloth above."""
    bed, made = measures(rng, width=rng.uniform(1.25, 1.85), foot=0.0), linen(rng, "wood")
    size = rng.uniform(0.05, 0.09)
    tall = rng.uniform(1.75, 2.15)
    parts, blanket = bedding(bed, made, rng)
    parts += rails(bed, made)
    kind, posts = rng.choice(WOODEN_BOARDS), rng.choice(["square", "round", "turned"])
    y = bed.end + size / 2
    head = board(kind, 2 * bed.outer - size, bed.rail_low + 0.02, bed.head, 0.035, bed, rng)
    parts += parts_of("frame", made.frame, *(mesh.moved(y=y) for mesh in head))
    parts += corner_posts(bed, made, rng, posts, size, (tall, tall))
    x, z, t = bed.outer - size / 2 + 0.006, tall - 0.04, size * rng.uniform(0.5, 0.8)
    bars = [plank([s * x, -y, z], [s * x, y, z], t, t) for s in (-1, 1)]
    bars += [plank([-x, s * y, z], [x, s * y, z], t, t) for s in (-1, 1)]
    parts += parts_of("frame", made.frame, *bars)
    style = {"head": kind, "posts": posts, "blanket": blanket, "canopy": rng.chance(0.45)}
    if style["canopy"]:
        drop = rng.uniform(0.02, 0.2)
        cloth = block((-x, -y, z - 0.01), (x, y, z + 0.012), 0.006, 1)
        rim = [
            block((s * x - 0.02, -y - 0.02, z - drop), (s * x + 0.02, y + 0.02, z + 0.016), 0.006, 1)
            for s in (-1, 1)
        ]
        rim += [
            block((-x - 0.02, s * y - 0.02, z - drop), (x + 0.02, s * y + 0.02, z + 0.016), 0.006, 1)
            for s in (-1, 1)
        ]
        parts += parts_of("frame", made.sheet, cloth, *(rim if drop > 0.06 else []))
    return parts, style


def sleigh(rng: Rng) -> Built:
    """Head and foot boards that curl outwards."""
    bed, made = measures(rng, width=rng.uniform(0.95, 1.85)), linen(rng, rng.choice(["wood", "wood", "soft"]))
    return bed_kinds.sleigh(bed, made, rng)


BUILDERS: dict[str, Callable[[Rng], Built]] = {
    "wooden": wooden,
    "chunky": chunky,
    "metal": metal,
    "boxspring": boxspring,
    "platform": platform,
    "bunk": bunk,
    "poster": poster,
    "sleigh": sleigh,
}
