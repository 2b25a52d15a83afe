# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables to work and picnic at: desks with drawer units, corner desks, workbenches, tables with benches."""

from __future__ import annotations

from . import kit
from . import table_bases as bases
from .furniture import Look, board, plate, quarters
from .mesh import Part, parts_of
from .rng import Rng
from .table_tops import apron_drawers, drawer_unit, planks

Built = tuple[list[Part], int, dict]


def desk(rng: Rng, made: Look, simple: bool) -> Built:
    """A writing desk: legs, boards or drawer units on each side, a panel behind, a rack on some."""
    width, depth = rng.uniform(1.05, 1.75), rng.uniform(0.52, 0.8)
    height = rng.uniform(0.71, 0.77)
    thick = rng.uniform(0.045, 0.08) if simple else rng.uniform(0.02, 0.036)
    under, x, y = height - thick, width / 2 - 0.015, depth / 2 - 0.015
    corner = rng.choice([0.0, 0.0, 0.04])
    top = plate("square", width, depth, thick, 0.3 * thick if simple else 0.004, corner, 2)
    parts = parts_of("top", made.main if rng.chance(0.8) else made.second, top.moved(z=height - thick / 2))
    left, right = rng.choice(
        [("unit", "unit"), ("unit", "leg"), ("leg", "unit"), ("leg", "unit"), ("leg", "leg")]
    )
    size = rng.uniform(0.06, 0.1) if simple else rng.uniform(0.03, 0.05)
    wide = rng.uniform(0.3, 0.42)
    for sign, kind in ((-1, left), (1, right)):
        parts += _support(rng, made, kind, sign, x, y, under, size, wide)
    if "leg" in (left, right) or rng.chance(0.7):
        z = under * rng.uniform(0.3, 0.65)
        panel = board((-x + 0.02, y - 0.05, z), (x - 0.02, y - 0.03, under + 0.001))
        parts += parts_of("leg", made.leg, panel)
    if left == right == "leg" or rng.chance(0.25):
        inner = x - (wide if "unit" in (left, right) else size) - 0.02
        low = under - rng.uniform(0.09, 0.13)
        count = rng.choice([1, 2, 3]) if left == right == "leg" else 1
        body = board((-inner, -y + 0.03, low), (inner, y - 0.06, under + 0.001))
        parts += parts_of("drawer", made.main, body)
        parts += apron_drawers(rng, made, -inner, inner, -y + 0.031, low, under, count)
    rack = rng.chance(0.22)
    parts += _rack(rng, made, width, depth, height) if rack else []
    return parts, 1, {"base": f"{left}-{right}", "rack": rack}


def _support(
    rng: Rng, made: Look, kind: str, sign: int, x: float, y: float, under: float, size: float, wide: float
) -> list[Part]:
    """What carries one end of a desk: a drawer unit, two legs or a board."""
    inner, outer = sorted((sign * (x - wide), sign * x))
    if kind == "unit":
        count, low = rng.choice([2, 3, 3, 4]), rng.choice([0.0, 0.06, 0.12])
        parts = drawer_unit(rng, made, inner, outer, -y, y - 0.02, max(low, 0.03), under + 0.001, count)
        if low == 0.0:
            plinth = board((inner + 0.02, -y + 0.04, 0), (outer - 0.02, y - 0.04, 0.031))
            return parts + parts_of("leg", made.leg, plinth)
        foot = bases.leg(rng, "cone" if rng.chance(0.5) else "tapered", low + 0.002, 0.04)
        spots = quarters(0.5 * wide - 0.04, y - 0.05) + [(inner + outer) / 2, 0.0]
        return parts + parts_of("leg", made.leg, *(foot.moved(float(a), float(b)) for a, b in spots))
    style = rng.choice(["straight", "tapered", "board", "cone", "hoop"])
    if style == "board":
        slab = board(
            (inner if sign < 0 else outer - 0.03, -y, 0),
            (inner + 0.03 if sign < 0 else outer, y, under + 0.001),
        )
        return parts_of("leg", made.leg, slab)
    if style == "hoop":
        hoop = bases.hoops("rectangle", x - size / 2, y, under + 0.002, size)[0 if sign > 0 else 1]
        return parts_of("leg", made.metal, hoop)
    one = bases.leg(rng, style, under + 0.002, size * 1.2)
    at = sign * (x - 0.6 * size)
    return parts_of("leg", made.leg, one.moved(at, -y + 0.6 * size), one.moved(at, y - 0.6 * size))


def _rack(rng: Rng, made: Look, width: float, depth: float, height: float) -> list[Part]:
    """Shelves on the rear of the top: a riser or a taller hutch."""
    tall, deep = rng.choice([0.14, rng.uniform(0.3, 0.6)]), rng.uniform(0.2, 0.28)
    x, y1 = width / 2 - 0.03, depth / 2 - 0.01
    z = height - 0.001
    count = 1 if tall < 0.2 else 2
    sides = [board((s * x - 0.011, y1 - deep, z), (s * x + 0.011, y1, z + tall)) for s in (-1, 1)]
    levels = [z + tall * (k + 1) / count for k in range(count)]
    shelves = [board((-x, y1 - deep, level - 0.022), (x, y1, level)) for level in levels]
    back = [board((-x, y1 - 0.012, z), (x, y1, z + tall))] if count == 2 else []
    return parts_of("shelf", made.main, *sides, *shelves, *back)


def corner_desk(rng: Rng, made: Look, simple: bool) -> Built:
    """An L-shaped top on legs, with a drawer unit under one wing."""
    long, short = rng.uniform(1.4, 1.9), rng.uniform(1.1, 1.6)
    deep, height = rng.uniform(0.5, 0.66), rng.uniform(0.72, 0.76)
    thick = rng.uniform(0.045, 0.08) if simple else rng.uniform(0.022, 0.036)
    size = rng.uniform(0.06, 0.09) if simple else rng.uniform(0.04, 0.055)
    under, ease = height - thick, rng.choice([0.02, rng.uniform(0.1, 0.25)])
    x0, x1, y0, y1 = -long / 2, long / 2, short / 2 - short, short / 2
    inner = [[x0 + deep, y0], [x0 + deep, y1 - deep - ease], [x0 + deep + ease, y1 - deep], [x1, y1 - deep]]
    outline = [[x0, y0], *inner, [x1, y1], [x0, y1]]
    top = kit.extrude(outline, thick, min(0.006, 0.3 * thick), 2, grain="x").moved(z=height - thick / 2)
    parts = parts_of("top", made.main, top)
    inset = 0.6 * size + 0.02
    one = bases.leg(rng, rng.choice(["straight", "tapered", "tube"]), under + 0.002, size)
    spots = [(x0 + inset, y0 + inset), (x0 + deep - inset, y0 + inset), (x0 + inset, y1 - inset)]
    wide = rng.uniform(0.34, 0.42)
    if rng.chance(0.65):
        unit = (
            x1 - wide - 0.02,
            x1 - 0.02,
            y1 - deep + 0.015,
            y1 - 0.03,
            0.03,
            under + 0.001,
            rng.choice([2, 3, 4]),
        )
        parts += drawer_unit(rng, made, *unit)
        plinth = board((x1 - wide, y1 - deep + 0.04, 0), (x1 - 0.04, y1 - 0.05, 0.031))
        parts += parts_of("leg", made.leg, plinth)
    else:
        spots += [(x1 - inset, y1 - inset), (x1 - inset, y1 - deep + inset)]
    parts += parts_of("leg", made.leg, *(one.moved(a, b) for a, b in spots))
    if rng.chance(0.5):
        z = under * 0.5
        rear = board((x0 + 0.03, y1 - 0.05, z), (x1 - 0.04, y1 - 0.03, under + 0.001))
        parts += parts_of("leg", made.leg, rear)
    if rng.chance(0.5):
        parts = [Part(p.label, p.mesh.mirrored("x"), p.material) for p in parts]
    return parts, 1, {"base": "corner"}


def workbench(rng: Rng, made: Look, simple: bool) -> Built:
    """A heavy table on thick legs with a shelf, drawers or a rear board."""
    width, depth, height = rng.uniform(1.1, 1.8), rng.uniform(0.55, 0.75), rng.uniform(0.8, 0.92)
    thick, size = rng.uniform(0.05, 0.09), rng.uniform(0.09, 0.13) if simple else rng.uniform(0.07, 0.1)
    under, x, y = height - thick, width / 2 - size / 2 - 0.03, depth / 2 - size / 2 - 0.02
    parts = parts_of(
        "top", made.main, plate("square", width, depth, thick, 0.006).moved(z=height - thick / 2)
    )
    legs = bases.four(rng, "straight", x, y, under + 0.002, size, 0.0)
    rails = bases.ties(rng, "box", x, y, under - 0.06, size * 0.9)
    parts += parts_of("leg", made.leg, *legs, *rails)
    z = rng.uniform(0.14, 0.22)
    shelf = board((-x, -y, z - 0.02), (x, y, z + 0.02))
    parts += parts_of("shelf", made.leg, shelf)
    front = rng.chance(0.6)
    if front:
        body = board((-x + size / 2, -y, under - 0.16), (x - size / 2, y - 0.05, under + 0.001))
        parts += parts_of("drawer", made.main, body)
        parts += apron_drawers(
            rng, made, -x + size / 2, x - size / 2, -y - 0.3 * size, under - 0.16, under, rng.choice([2, 3])
        )
    if rng.chance(0.4):
        parts += parts_of(
            "shelf",
            made.leg,
            board((-x, depth / 2 - 0.04, height - 0.002), (x, depth / 2 - 0.01, height + 0.35)),
        )
        return parts, 1, {"base": "bench", "rear": True}
    return parts, 1 if front else 2, {"base": "bench"}


def picnic(rng: Rng, made: Look, simple: bool) -> Built:
    """A garden table with its two benches on the same crossed frames; the benches count as shelves."""
    width, thick = rng.uniform(1.4, 1.9), rng.uniform(0.05, 0.09) if simple else rng.uniform(0.03, 0.045)
    height, seat, reach = rng.uniform(0.7, 0.76), rng.uniform(0.42, 0.46), rng.uniform(0.58, 0.68)
    size = 1.8 * thick
    x, y = 0.33 * width, 0.36
    frame = [
        bases.slanted(x - s * 0.5 * thick, -s * reach, s * 0.6 * y, height - thick, size, thick)
        for s in (-1, 1)
    ]
    at = height - thick - 0.5 * size
    cross = board((x - 0.5 * thick, -y, at - 0.3 * size), (x + 0.5 * thick, y, height - thick + 0.001))
    low = board(
        (x - 1.4 * thick, -reach - 0.1, seat - thick - size),
        (x - 0.5 * thick, reach + 0.1, seat - thick + 0.001),
    )
    meshes = [mesh for one in (*frame, cross, low) for mesh in (one, one.rotated("z", 180))]
    parts = parts_of("leg", made.leg, *meshes)
    boards = [b.moved(z=height - thick / 2) for b in planks(width, 2 * y, thick, rng.integer(3, 6), 0.01)]
    bench = [b.moved(z=seat - thick / 2) for b in planks(width, 0.26, thick, rng.choice([1, 2]), 0.01)]
    parts += parts_of("top", made.main, *boards)
    parts += parts_of("shelf", made.main, *(b.moved(y=s * reach) for b in bench for s in (-1, 1)))
    return parts, 2, {"top": "square", "base": "picnic"}
