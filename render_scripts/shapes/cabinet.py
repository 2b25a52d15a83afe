# SPDX-License-Identifier: GPL-3.0-or-later
"""Cabinets: wardrobes, chests, sideboards, bookcases and their kin; their fronts face -Y."""

from __future__ import annotations

from dataclasses import replace

from . import materials
from .cabinet_carcass import Box, Layout, carcass, sink
from .cabinet_ends import crown, feet
from .cabinet_fronts import Style
from .chair_frame import any_color
from .furniture import Look, board, look, on_floor
from .mesh import Model, Part, parts_of
from .rng import Rng

PARTS = ("body", "door", "drawer", "leg")

TYPES = {
    "wardrobe": 14.0,
    "sideboard": 13.0,
    "chest": 15.0,
    "bookcase": 15.0,
    "nightstand": 10.0,
    "tv": 9.0,
    "bathroom": 6.0,
    "tall": 7.0,
    "dresser": 6.0,
    "office": 5.0,
    "kitchen": 5.0,
}

Built = tuple[list[Part], dict]


def build(rng: Rng) -> Model:
    """One cabinet, its lowest point at z = 0."""
    kind = rng.weighted(TYPES)
    simple = rng.chance(0.38)
    made, style = look(rng, simple), Style.draw(rng, simple)
    parts, more = BUILDERS[kind](rng, made, style, simple)
    notes = {
        "type": kind,
        "finish": made.name,
        "simple": simple,
        "panel": style.panel,
        "handle": style.handle,
    }
    return Model(on_floor(parts), 1, {**notes, **more})


def _box(rng: Rng, simple: bool, width: float, depth: float, height: float, low: float) -> Box:
    """A body of outer size width x depth that stands `low` above the floor and ends at `height`."""
    thick = rng.uniform(0.03, 0.055) if simple else rng.uniform(0.016, 0.026)
    return Box(width, -depth / 2, depth / 2, low, height, thick, inset=rng.chance(0.4))


def _stand(rng: Rng, simple: bool, kinds: dict[str, float]) -> tuple[str, float]:
    """A kind of feet and their height in metres."""
    kind = rng.weighted(kinds)
    ranges = {"none": (0.0, 0.0), "plinth": (0.05, 0.1), "bun": (0.06, 0.11), "bracket": (0.09, 0.15)}
    low, high = ranges.get(kind, (0.06, 0.13) if simple else (0.1, 0.22))
    return kind, rng.uniform(low, high)


def _whole(
    rng: Rng, box: Box, layout: Layout, made: Look, style: Style, base: str, top: str, simple: bool
) -> list[Part]:
    """Body, fronts, feet and crown."""
    parts = carcass(rng, box, layout, made, style)
    return parts + feet(rng, base, box, made, simple) + crown(rng, top, box, made, simple)


def _rows(rng: Rng, count: int, cell: Layout, growth: float = 0.25) -> Layout:
    """`count` equal or downwards growing rows of one kind."""
    if count == 1:
        return cell
    more = growth if rng.chance(0.5) else 0.0
    return ("z", [(1.0 + more * (count - 1 - k) / max(count - 1, 1), cell) for k in range(count)])


def _columns(cells: list[Layout], shares: list[float] | None = None) -> Layout:
    """Cells side by side."""
    return cells[0] if len(cells) == 1 else ("x", list(zip(shares or [1.0] * len(cells), cells)))


LEGS = {"none": 2.0, "plinth": 2.5, "tapered": 2.0, "splayed": 2.0, "block": 1.5, "bun": 1.0, "bracket": 1.2,
        "hairpin": 0.5, "hoop": 0.8, "round": 0.8}  # fmt: skip
LOW = {"none": 2.0, "plinth": 4.0, "bun": 1.5, "bracket": 1.5, "block": 2.0}
TOPS = {"none": 3.0, "top": 5.0, "rail": 0.4}


def wardrobe(rng: Rng, made: Look, style: Style, simple: bool) -> Built:
    """Tall doors, with drawers below or cupboards above on some; mirrors; a few stand open."""
    base, low = _stand(rng, simple, LOW)
    count = rng.choice([1, 2, 2, 2, 3, 3, 4])
    width = count * rng.uniform(0.4, 0.55) + (0.15 if count == 1 else 0.0)
    height = rng.uniform(1.7, 2.25) * (0.85 if simple else 1.0)
    box = _box(rng, simple, width, rng.uniform(0.48, 0.64), height, low)
    ajar = rng.uniform(35, 110) if rng.chance(0.07) else 0.0
    box = replace(box, ajar=ajar)
    leaves = {1: ["door+"], 2: ["doors"], 3: ["door-", "doors"], 4: ["doors", "doors"]}[count]
    if rng.chance(0.1) and not ajar:
        leaves[-1] = {"doors": "glasses", "door+": "glass+"}[leaves[-1]]
    layout = _columns(list(leaves), [1.0, 2.0] if count == 3 else None)
    kind = rng.weighted({"plain": 4.0, "drawers": 3.0, "cupboards": 1.2})
    if kind == "drawers":
        drawers = _columns(["drawer"] * rng.choice([1, max(count // 2, 1), max(count // 2, 1)]))
        rows = rng.choice([1, 1, 2])
        layout = ("z", [(0.13, drawers)] * rows + [(1.0 - 0.13 * rows, layout)])
    elif kind == "cupboards":
        layout = ("z", [(0.78, layout), (0.22, _columns(["doors"] * max(count // 2, 1)))])
    top = rng.weighted({"none": 3.0, "top": 2.0, "cornice": 3.0, "arch": 1.0})
    return _whole(rng, box, layout, made, style, base, top, simple), {
        "doors": count,
        "crown": top,
        "base": base,
    }


def sideboard(rng: Rng, made: Look, style: Style, simple: bool) -> Built:
    """A long low cupboard of doors, drawers and open cells."""
    base, low = _stand(rng, simple, LEGS)
    height = rng.uniform(0.65, 0.95)
    box = _box(rng, simple, rng.uniform(0.95, 1.9), rng.uniform(0.36, 0.5), height, low)
    drawers = _rows(rng, rng.choice([3, 3, 4]), "drawer")
    shelf: Layout = ("z", [(1.0, "open"), (1.0, "open")])
    middle = rng.choice([drawers, drawers, shelf, "doors", "open"])
    if box.width < 1.15:
        layout = rng.choice([_columns(["doors"]), _columns([drawers, "door+"]), _columns(["door-", "door+"])])
    else:
        layout = rng.choice(
            [
                _columns(["door-", middle, "door+"]),
                _columns(["doors", drawers]),
                _columns([drawers, "doors"], [1, 2]),
            ]
            + [_columns(["doors", "doors"]), _columns([drawers, drawers])]
        )
    if rng.chance(0.35):
        top_row = _columns(["drawer"] * (2 if box.width < 1.2 else rng.choice([2, 3])))
        layout = ("z", [(0.72, layout), (0.28, top_row)])
    if rng.chance(0.06):
        box = replace(box, ajar=rng.uniform(40, 100))
    return _whole(rng, box, layout, made, style, base, rng.weighted(TOPS), simple), {"base": base}


def chest(rng: Rng, made: Look, style: Style, simple: bool) -> Built:
    """A chest of drawers, broad or tall, one or two drawers in a row."""
    base, low = _stand(rng, simple, LEGS)
    tall = rng.chance(0.35)
    width = rng.uniform(0.4, 0.65) if tall else rng.uniform(0.7, 1.5)
    height = rng.uniform(1.0, 1.4) if tall else rng.uniform(0.7, 1.0)
    box = _box(rng, simple, width, rng.uniform(0.38, 0.52), height, low)
    count = rng.integer(3, 4) if simple else (rng.integer(4, 6) if tall else rng.integer(3, 5))
    rows: list = [(rng.choice([1.0, 1.25]) if k == 0 else 1.0, "drawer") for k in range(count)]
    pair: Layout = ("x", [(1.0, "drawer"), (1.0, "drawer")])
    if width > 1.1 or (width > 0.7 and rng.chance(0.3)):
        rows = [(share, pair) for share, _ in rows]
    elif not tall and rng.chance(0.45):
        rows[-1] = (0.75, pair)
    top = rng.weighted({"none": 2.0, "top": 6.0, "rail": 0.5})
    return _whole(rng, box, ("z", rows), made, style, base, top, simple), {"base": base, "rows": count}


def bookcase(rng: Rng, made: Look, style: Style, simple: bool) -> Built:
    """Open shelves: even, in cubes or staggered, with doors below or books on some."""
    base, low = _stand(
        rng, simple, {"none": 3.0, "plinth": 4.0, "bracket": 0.8, "block": 1.0, "tapered": 0.8}
    )
    kind = rng.weighted({"shelves": 4.0, "cubes": 2.0, "cupboard": 2.0, "mixed": 1.2, "low": 1.5})
    height = rng.uniform(0.7, 1.1) if kind == "low" else rng.uniform(1.5, 2.15) * (0.85 if simple else 1.0)
    wide = rng.uniform(0.55, 1.1) if kind != "cubes" else rng.uniform(0.7, 1.5)
    box = _box(rng, simple, wide, rng.uniform(0.24, 0.38), height, low)
    box = replace(box, backed=kind == "cupboard" or rng.chance(0.75))
    filled = rng.chance(0.3) and box.backed

    def cell() -> str:
        return "books" if filled and rng.chance(0.55) else "open"

    pitch = rng.uniform(0.27, 0.4)
    rows = max(round((height - low) / pitch), 2)
    columns = max(round(wide / pitch), 2) if kind == "cubes" else (rng.choice([1, 1, 2]) if wide > 0.8 else 1)
    grid: Layout = _columns([("z", [(1.0, cell()) for _ in range(rows)]) for _ in range(columns)])
    if kind == "cupboard":
        upper: Layout = ("z", [(1.0, cell()) for _ in range(max(rows - 2, 2))])
        lower = rng.choice(
            ["doors", "doors", _rows(rng, 2, "drawer"), ("x", [(1.0, "drawer"), (1.0, "drawer")])]
        )
        grid = ("z", [(rng.uniform(0.3, 0.42), lower), (0.65, upper)])
    elif kind == "mixed":
        grid = (
            "z",
            [
                (1.0, _columns([cell(), rng.choice(["open", "door+"])], [s, 1.0]))
                for s in (0.6, 1.6, 0.8, 1.3)
            ],
        )
    top = rng.weighted({"none": 6.0, "top": 2.0, "cornice": 1.5, "arch": 0.5})
    return _whole(rng, box, grid, made, style, base, top, simple), {
        "kind": kind,
        "base": base,
        "books": filled,
    }


def nightstand(rng: Rng, made: Look, style: Style, simple: bool) -> Built:
    """A small bedside cupboard."""
    base, low = _stand(rng, simple, {**LEGS, "none": 1.0})
    low = min(low, 0.2)
    height = rng.uniform(0.42, 0.68)
    box = _box(rng, simple, rng.uniform(0.38, 0.58), rng.uniform(0.34, 0.46), height, low)
    layouts: list[Layout] = [
        "drawer",
        ("z", [(1.0, "drawer")] * 2),
        ("z", [(1.0, "drawer")] * 3),
        ("z", [(1.3, "open"), (1.0, "drawer")]),
        ("z", [(1.8, "door+"), (1.0, "drawer")]),
        ("z", [(1.2, "drawer"), (0.8, "open")]),
        "door-",
    ]
    layout = rng.choice(layouts[1:] if height - low > 0.36 else layouts[:2] + layouts[3:4])
    top = rng.weighted(TOPS)
    return _whole(rng, box, layout, made, style, base, top, simple), {"base": base}


def tv(rng: Rng, made: Look, style: Style, simple: bool) -> Built:
    """A long flat board for a television set."""
    base, low = _stand(rng, simple, {**LEGS, "bracket": 0.0, "bun": 0.3})
    low = min(low, 0.17)
    box = _box(
        rng, simple, rng.uniform(1.1, 2.0), rng.uniform(0.36, 0.48), low + rng.uniform(0.28, 0.42), low
    )
    gap: Layout = rng.choice(
        ["open", ("z", [(1.0, "open"), (1.0, "open")]), ("z", [(1.0, "drawer"), (1.0, "open")])]
    )
    closed = rng.choice(["door", "drawer", "two"])
    ends = {"door": ["door-", "door+"], "drawer": ["drawer"] * 2, "two": [_rows(rng, 2, "drawer", 0.0)] * 2}[
        closed
    ]
    layout = rng.choice(
        [
            _columns([ends[0], gap, ends[1]], [1.0, rng.uniform(0.8, 1.6), 1.0]),
            _columns([ends[0], gap]),
            _columns([gap, gap]),
        ]
        + [_columns([ends[0], gap, gap, ends[1]]), _columns([ends[0], "drawer", ends[1]])]
    )
    top = rng.weighted({"none": 3.0, "top": 3.0})
    return _whole(rng, box, layout, made, style, base, top, simple), {"base": base}


def bathroom(rng: Rng, made: Look, style: Style, simple: bool) -> Built:
    """A vanity with a basin, a mirror cabinet, or a glossy tall unit."""
    if rng.chance(0.5):
        made = replace(
            made,
            main=materials.paint(rng, (0.92, 0.92, 0.91), 0.2),
            front=materials.paint(rng, (0.92, 0.92, 0.91), 0.15),
        )
    kind = rng.weighted({"vanity": 5.0, "mirror": 2.5, "tall": 2.0})
    if kind == "mirror":
        box = _box(rng, False, rng.uniform(0.45, 0.95), rng.uniform(0.13, 0.2), rng.uniform(0.5, 0.75), 0.0)
        cells: list[Layout] = ["glass-", "glass+"] if box.width < 0.7 else ["glass-", "glasses"]
        layout: Layout = _columns(cells, [1.0, 2.0] if cells[1] == "glasses" else None)
        if rng.chance(0.4):
            layout = ("z", [(0.25, "open"), (0.75, layout)])
        style = replace(style, rail=min(style.rail, 0.03), handle=rng.choice(["none", "knob"]))
        return _whole(rng, box, layout, made, style, "none", "none", simple), {"kind": kind}
    base, low = _stand(rng, simple, {"none": 1.0, "plinth": 2.0, "block": 2.0, "round": 1.5, "tapered": 1.0})
    if kind == "tall":
        box = _box(rng, simple, rng.uniform(0.3, 0.45), rng.uniform(0.28, 0.38), rng.uniform(1.4, 1.9), low)
        layout = (
            "z",
            [(1.0, "door+"), (rng.choice([0.3, 0.5]), rng.choice(["open", "drawer"])), (0.9, "door+")],
        )
        return _whole(rng, box, layout, made, style, base, "none", simple), {"kind": kind, "base": base}
    box = _box(rng, simple, rng.uniform(0.5, 1.1), rng.uniform(0.42, 0.52), rng.uniform(0.72, 0.84), low)
    drawers = _rows(rng, 2, "drawer", 0.0)
    layout = rng.choice(
        ["doors", drawers, ("z", [(1.0, "doors"), (0.4, "drawer")]), _columns(["doors", drawers])]
    )
    parts = _whole(rng, box, layout, made, style, base, "none", simple)
    slab = board(
        (-box.width / 2 - 0.01, box.front - 0.03, box.high - 0.001),
        (box.width / 2 + 0.01, box.back, box.high + 0.025),
    )
    parts += parts_of("body", made.second, slab)
    return parts + sink(replace(box, high=box.high + 0.025), -0.03, made), {"kind": kind, "base": base}


def tall(rng: Rng, made: Look, style: Style, simple: bool) -> Built:
    """A narrow high cupboard: linen press, curio, stacked doors and drawers."""
    base, low = _stand(rng, simple, LEGS)
    box = _box(rng, simple, rng.uniform(0.36, 0.62), rng.uniform(0.32, 0.46), rng.uniform(1.3, 1.95), low)
    layouts: list[Layout] = [
        ("z", [(1.0, "door+"), (1.0, "door+")]),
        ("z", [(0.3, "drawer"), (0.3, "drawer"), (1.0, "door-")]),
        ("z", [(0.8, "door+"), (1.0, "glass+")]),
        ("z", [(1.0, "doors"), (0.3, "drawer"), (0.8, "open")]),
        ("z", [(1.0, "door-"), (0.35, "open"), (0.5, "open")]),
        "door+",
    ]
    top = rng.weighted({"none": 3.0, "top": 3.0, "cornice": 2.0, "arch": 0.7})
    return _whole(rng, box, rng.choice(layouts), made, style, base, top, simple), {"base": base, "crown": top}


def dresser(rng: Rng, made: Look, style: Style, simple: bool) -> Built:
    """Two tiers: a deep base of doors and drawers, shelves or glass doors above."""
    base, low = _stand(rng, simple, LOW)
    width, depth = rng.uniform(0.8, 1.4), rng.uniform(0.42, 0.52)
    box = _box(rng, simple, width, depth, rng.uniform(0.78, 0.92), low)
    lower: Layout = rng.choice(
        [("z", [(1.0, "doors"), (0.35, _columns(["drawer"] * 2))]), "doors", _rows(rng, 3, "drawer")]
    )
    if width > 1.1 and lower == "doors":
        lower = _columns(["doors", "doors"])
    parts = carcass(rng, box, lower, made, style) + feet(rng, base, box, made, simple)
    x, z = width / 2 + 0.015, box.high + rng.uniform(0.025, 0.045)
    parts += parts_of(
        "body", made.second, board((-x, box.front - 0.035, box.high - 0.001), (x, box.back, z), 0.006, 2)
    )
    upper = replace(
        box, width=width - 0.03, front=box.back - 0.65 * depth, low=z - 0.001, high=z + rng.uniform(0.75, 1.1)
    )
    shelves: Layout = ("z", [(1.0, "open")] * 3)
    cells: list[Layout] = [shelves, "glasses", ("z", [(0.35, "open"), (1.0, "glasses")])]
    if width > 1.1:
        cells.append(_columns(["glass-", shelves, "glass+"]))
    top = rng.weighted({"none": 1.0, "cornice": 4.0, "arch": 1.0, "top": 1.0})
    parts += carcass(rng, upper, rng.choice(cells), made, style) + crown(rng, top, upper, made, simple)
    return parts, {"base": base, "crown": top}


def office(rng: Rng, made: Look, style: Style, simple: bool) -> Built:
    """Steel: filing cabinets, lockers and two-door cupboards."""
    color = rng.choice([(0.62, 0.64, 0.65), (0.32, 0.34, 0.36), (0.85, 0.85, 0.83), any_color(rng, 0.8)])
    steel = materials.paint(rng, color, 0.4)
    front = steel if rng.chance(0.7) else materials.paint(rng, any_color(rng, 0.9), 0.4)
    made = replace(made, main=steel, front=front, leg=steel)
    kind = rng.choice(["filing", "filing", "lockers", "cupboard"])
    style = replace(style, panel="flat", handle=rng.choice(["bar", "cup", "groove"]))
    base, low = _stand(rng, simple, {"none": 2.0, "plinth": 2.0, "block": 0.7})
    if kind == "filing":
        count = rng.choice([2, 3, 4])
        box = _box(rng, simple, rng.uniform(0.4, 0.5), rng.uniform(0.5, 0.65), low + 0.31 * count + 0.03, low)
        layout: Layout = ("z", [(1.0, "drawer")] * count)
    elif kind == "lockers":
        count = rng.choice([1, 2, 3])
        box = _box(
            rng, False, count * rng.uniform(0.3, 0.38), rng.uniform(0.45, 0.5), rng.uniform(1.7, 1.85), low
        )
        one: Layout = rng.choice(["door+", ("z", [(1.0, "door+"), (1.0, "door+")])])
        layout = _columns([one] * count)
        style = replace(style, panel=rng.choice(["louvre", "flat", "raised"]))
    else:
        box = _box(rng, simple, rng.uniform(0.75, 1.0), rng.uniform(0.4, 0.48), rng.uniform(1.0, 1.95), low)
        layout = "doors"
    return _whole(rng, box, layout, made, style, base, "none", simple), {"kind": kind, "base": base}


def kitchen(rng: Rng, made: Look, style: Style, simple: bool) -> Built:
    """A base unit under a worktop, with wall units over it at times."""
    low, height = rng.uniform(0.08, 0.14), rng.uniform(0.82, 0.9)
    count = rng.choice([1, 2, 2, 3])
    box = _box(rng, simple, count * rng.uniform(0.45, 0.6), rng.uniform(0.52, 0.6), height, low)
    options: list[Layout] = [
        _rows(rng, 3, "drawer"),
        ("z", [(1.0, "door+"), (0.28, "drawer")]),
        ("z", [(1.0, "doors"), (0.28, "drawer")]),
        "door-",
    ]
    layout = _columns([rng.choice(options) for _ in range(count)])
    x, thick = box.width / 2, rng.uniform(0.05, 0.08) if simple else rng.uniform(0.025, 0.04)
    parts = carcass(rng, box, layout, made, style)
    kick = board((-x + 0.01, box.front + 0.06, 0), (x - 0.01, box.back - 0.01, low + 0.002))
    top = board(
        (-x - 0.015, box.front - 0.035, height - 0.001), (x + 0.015, box.back, height + thick), 0.005, 2
    )
    parts += parts_of("body", made.main, kick) + parts_of("body", made.second, top)
    return parts, {"units": count}


BUILDERS = {
    "wardrobe": wardrobe,
    "sideboard": sideboard,
    "chest": chest,
    "bookcase": bookcase,
    "nightstand": nightstand,
    "tv": tv,
    "bathroom": bathroom,
    "tall": tall,
    "dresser": dresser,
    "office": office,
    "kitchen": kitchen,
}
