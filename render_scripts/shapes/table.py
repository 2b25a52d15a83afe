# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables: which top goes on which legs, in what measures, with what materials."""

from __future__ import annotations

from dataclasses import dataclass

from . import table_bases as bases
from .furniture import Look, board, clear_glass, look, on_floor, plate
from .materials import fabric
from .mesh import Model, Part, parts_of
from .rng import Rng
from .table_desks import corner_desk, desk, picnic, workbench
from .table_tops import apron, apron_drawers, cloth, planks

PARTS = ("top", "leg", "drawer", "shelf")

TYPES = {
    "dining": 22.0,
    "coffee": 18.0,
    "pedestal": 15.0,
    "side": 11.0,
    "desk": 12.0,
    "trestle": 7.0,
    "console": 5.0,
    "cloth": 3.0,
    "corner": 3.0,
    "workbench": 3.0,
    "picnic": 2.0,
}
LEGS = {
    "straight": 4.0,
    "tapered": 4.0,
    "turned": 2.0,
    "bulb": 0.6,
    "cabriole": 0.8,
    "cone": 2.0,
    "tube": 1.5,
    "hairpin": 0.8,
}


@dataclass(frozen=True)
class Plan:
    """Outer measures in metres, the top's outline, and whether the piece is drawn simple and thick."""

    width: float
    depth: float
    height: float
    thick: float
    outline: str
    simple: bool
    corner: float = 0.0

    @property
    def under(self) -> float:
        """Height of the top's lower face."""
        return self.height - self.thick

    @property
    def order(self) -> int:
        """Symmetry of the outline on four legs."""
        return 4 if self.width == self.depth else 2


def build(rng: Rng) -> Model:
    """One table, its front (drawers, if any) to -Y, its feet at z = 0."""
    kind = rng.weighted(TYPES)
    simple = rng.chance(0.38)
    made = look(rng, simple)
    parts, order, style = BUILDERS[kind](rng, made, simple)
    return Model(on_floor(parts), order, {"type": kind, "finish": made.name, "simple": simple, **style})


Built = tuple[list[Part], int, dict]


def _plan(rng: Rng, simple: bool, width: tuple, depth: tuple, height: tuple, outlines: dict) -> Plan:
    """Random measures within ranges; round and square ones have width = depth."""
    outline = rng.weighted(outlines)
    w, d = rng.uniform(*width), rng.uniform(*depth)
    thick = rng.uniform(0.045, 0.11) if simple else rng.uniform(0.016, 0.042)
    if outline in ("disc", "even"):
        w = d
    shape = {"disc": "round", "oval": "round", "even": "square"}.get(outline, outline)
    corner = rng.choice([0.0, 0.0, 0.015, 0.04, 0.1]) if shape == "square" else 0.0
    return Plan(
        w, d, rng.uniform(*height) * (0.9 if simple else 1.0), thick, shape, simple, min(corner, 0.3 * d)
    )


def _top(rng: Rng, plan: Plan, made: Look, glass: float = 0.0) -> list[Part]:
    """The top board: of the main, a second or glassy material."""
    thick = plan.thick
    material = made.main if rng.chance(0.75) else made.second
    if rng.chance(glass):
        material = clear_glass(rng)
    bevel = thick * rng.uniform(0.1, 0.45) if plan.simple or rng.chance(0.4) else 0.004
    mesh = plate(plan.outline, plan.width, plan.depth, thick, bevel, plan.corner, 3 if bevel > 0.008 else 1)
    return parts_of("top", material, mesh.moved(z=plan.height - thick / 2))


def _stance(rng: Rng, plan: Plan, size: float) -> tuple[float, float]:
    """Half distances of the legs' axes: at the corners, or well inside of a curved outline."""
    if plan.outline == "round":
        return 0.60 * plan.width / 2, 0.60 * plan.depth / 2
    inset = size / 2 + rng.choice([0.0, 0.012, 0.05])
    if plan.outline == "boat":
        inset += 0.07 * plan.depth
    inset += 0.25 * plan.corner
    return plan.width / 2 - inset, plan.depth / 2 - inset


def _legged(
    rng: Rng, plan: Plan, made: Look, kinds: dict[str, float], front: float = 0.0
) -> tuple[list[Part], str, float, float]:
    """Four legs with an apron and ties on some; the style and the half distances of the legs.

    front: probability of drawers in the apron.
    """
    style = rng.weighted(kinds)
    short = plan.height < 0.6
    size = rng.uniform(0.035, 0.06) if short else rng.uniform(0.045, 0.08)
    size = size * rng.uniform(1.3, 2.0) if plan.simple else size
    size *= {"tube": 0.7, "hairpin": 0.9, "bulb": 1.35, "turned": 1.1}.get(style, 1.0)
    size = min(size, 0.3 * plan.depth)
    x, y = _stance(rng, plan, size)
    splay = min(rng.choice([0.0, 0.0, rng.uniform(0.02, 0.08)]), 0.08 * plan.depth)
    splay = 0.0 if style in ("cabriole", "turned", "bulb", "hairpin") else splay
    if plan.outline == "square" and style != "hairpin":
        x, y = x - splay, y - splay
    under = plan.under + 0.002
    metal = style == "hairpin"
    parts = parts_of(
        "leg", made.metal if metal else made.leg, *bases.four(rng, style, x, y, under, size, splay)
    )
    drawers = rng.chance(front) and plan.outline == "square" and not metal
    if not metal and (drawers or style == "cabriole" or rng.chance(0.55)):
        parts += _apron(rng, plan, made, x, y, size, drawers)
    if splay == 0.0 and style not in ("hairpin", "cabriole") and rng.chance(0.2):
        pattern = rng.choice(["box", "H", "X"])
        z = plan.height * rng.uniform(0.14, 0.25)
        parts += parts_of("leg", made.leg, *bases.ties(rng, pattern, x, y, z, size * 0.6))
    return parts, style, x + 0.65 * splay, y + 0.65 * splay


def _apron(rng: Rng, plan: Plan, made: Look, x: float, y: float, size: float, drawers: bool) -> list[Part]:
    """Rails between the legs, with drawers in the front one if asked for."""
    tall = rng.uniform(0.1, 0.16) if drawers else rng.uniform(0.05, 0.1) * (1.0 if plan.height > 0.6 else 0.8)
    if plan.outline == "round":
        return parts_of("leg", made.leg, *apron("round", x * 1.3, y * 1.3, plan.under + 0.001, tall, 0.02))
    face = 0.3 * size
    rails = apron("square", x + face, y + face, plan.under + 0.001, tall, 0.022)
    parts = parts_of("leg", made.leg, *rails)
    if drawers:
        count = 1 if plan.width < 0.8 else rng.choice([1, 2, 2, 3])
        z1 = plan.under
        parts += apron_drawers(
            rng, made, -x + size / 2, x - size / 2, -y - face + 0.004, z1 - tall, z1, count
        )
    return parts


def _has_drawer(parts: list[Part]) -> bool:
    return any(part.label == "drawer" for part in parts)


def _low_shelf(rng: Rng, plan: Plan, made: Look, x: float, y: float, share: float) -> list[Part]:
    """A shelf between the legs at a share of the height, boarded or whole."""
    z = plan.height * share
    thick = min(plan.thick * 0.8, 0.05)
    width, depth = 2 * x, 2 * y
    if plan.outline == "round":
        disc = plate("round", width * 1.46, depth * 1.46, thick, 0.004)
        return parts_of("shelf", made.main, disc.moved(z=z))
    if rng.chance(0.3):
        slats = planks(width, depth, thick, rng.integer(3, 6), 0.02)
        slats += [board((s * x - 0.02, -y, -0.7 * thick), (s * x + 0.02, y, -0.4 * thick)) for s in (-1, 1)]
        return parts_of("shelf", made.main, *(slat.moved(z=z) for slat in slats))
    return parts_of("shelf", made.main, plate("square", width, depth, thick, 0.004).moved(z=z))


def dining(rng: Rng, made: Look, simple: bool) -> Built:
    """A table for meals on four legs or end frames."""
    outlines = {"square": 5.0, "even": 1.2, "oval": 1.0, "disc": 1.2, "boat": 1.0}
    plan = _plan(rng, simple, (1.15, 2.2), (0.75, 1.05), (0.71, 0.78), outlines)
    parts = _top(rng, plan, made, 0.06)
    if plan.outline == "square" and plan.width > plan.depth and rng.chance(0.25):
        more, style = _ends(rng, plan, made)
        return parts + more, 2, {"top": plan.outline, "base": style}
    more, style, _, _ = _legged(rng, plan, made, LEGS, 0.06)
    parts += more
    return parts, 1 if _has_drawer(parts) else plan.order, {"top": plan.outline, "base": style}


def _ends(rng: Rng, plan: Plan, made: Look) -> tuple[list[Part], str]:
    """Two frames or boards at the ends."""
    style = rng.choice(["slab", "rectangle", "trapeze", "vee"])
    y = plan.depth / 2 * rng.uniform(0.8, 0.98)
    if style == "slab":
        thick = max(plan.thick, 0.03) if rng.chance(0.5) else rng.uniform(0.03, 0.07)
        x = plan.width / 2 - rng.choice([0.001, rng.uniform(0.05, 0.2) * plan.width])
        return parts_of("leg", made.leg, *bases.slabs(rng, x, y, plan.under + 0.002, thick)), style
    size = rng.uniform(0.04, 0.09) if plan.simple or rng.chance(0.4) else rng.uniform(0.02, 0.04)
    x = plan.width / 2 - size - rng.uniform(0.0, 0.12) * plan.width
    hoops = bases.hoops(style, x, y, plan.under + 0.002, size)
    rail = board((-x, -0.02, plan.under - 0.03), (x, 0.02, plan.under + 0.001))
    return parts_of("leg", made.metal if rng.chance(0.6) else made.leg, *hoops, rail), style


def coffee(rng: Rng, made: Look, simple: bool) -> Built:
    """A low table: on legs, frames or boards, with a shelf, a drawer or a glass top at times."""
    outlines = {"square": 4.5, "even": 1.0, "oval": 1.2, "disc": 2.2, "boat": 0.6}
    plan = _plan(rng, simple, (0.8, 1.35), (0.48, 0.75), (0.34, 0.48), outlines)
    kind = rng.weighted({"legs": 5.0, "ends": 2.0, "drum": 1.0, "box": 1.4})
    if kind == "drum" and plan.outline != "square":
        return _drum(rng, plan, made)
    if kind == "box" and plan.outline == "square":
        return _open_box(rng, plan, made)
    parts = _top(rng, plan, made, 0.2)
    if kind == "ends" and plan.outline == "square":
        more, style = _ends(rng, plan, made)
        return parts + more, 2, {"top": plan.outline, "base": style}
    more, style, x, y = _legged(rng, plan, made, {**LEGS, "cabriole": 0.4, "hairpin": 2.0}, 0.15)
    shelf = rng.chance(0.3) and style != "hairpin"
    low = _low_shelf(rng, plan, made, x, y, rng.uniform(0.25, 0.4)) if shelf else []
    parts += more + low
    order = 1 if _has_drawer(parts) else (2 if shelf and len(low) > 1 else plan.order)
    return parts, order, {"top": plan.outline, "base": style, "shelf": shelf}


def _drum(rng: Rng, plan: Plan, made: Look) -> Built:
    """A turned block under the top, as wide as the table or narrower."""
    share = rng.choice([0.99, rng.uniform(0.5, 0.8)])
    meshes, _ = bases.column(rng, "drum", plan.depth / 2 * share, plan.under + 0.002, 0.03)
    stretch = plan.width / plan.depth
    body = [mesh.scaled(x=stretch) for mesh in meshes]
    order = 0 if plan.width == plan.depth else 2
    return (
        _top(rng, plan, made, 0.15) + parts_of("leg", made.leg, *body),
        order,
        {"top": "round", "base": "drum"},
    )


def _open_box(rng: Rng, plan: Plan, made: Look) -> Built:
    """Boards at the ends, a shelf between them, drawers at the front of some."""
    parts = _top(rng, plan, made, 0.08)
    thick = max(plan.thick, 0.02)
    x, y = plan.width / 2 - rng.choice([0.0, 0.03]), plan.depth / 2 - rng.choice([0.0, 0.02])
    sides = [
        board((s * x - thick * (s > 0), -y, 0), (s * x + thick * (s < 0), y, plan.under + 0.001))
        for s in (-1, 1)
    ]
    z = plan.height * rng.uniform(0.2, 0.45)
    parts += parts_of("leg", made.leg, *sides)
    parts += parts_of(
        "shelf", made.main, board((-x + 0.5 * thick, -y + 0.01, z), (x - 0.5 * thick, y - 0.01, z + thick))
    )
    if plan.under - z - thick > 0.12 and rng.chance(0.5):
        z0 = z + thick
        back = board(
            (-x + 0.5 * thick, -y + 0.03, z0 - 0.001), (x - 0.5 * thick, y - 0.02, plan.under + 0.001)
        )
        parts += parts_of("drawer", made.main, back)
        parts += apron_drawers(
            rng, made, -x + thick, x - thick, -y + 0.031, z0, plan.under, rng.choice([1, 2, 2])
        )
        return parts, 1, {"top": "square", "base": "box"}
    return parts, 2, {"top": "square", "base": "box", "shelf": True}


def pedestal(rng: Rng, made: Look, simple: bool) -> Built:
    """A top on one central support: bistro, bar, tulip and occasional tables."""
    height = rng.choice([(0.7, 0.77), (0.7, 0.77), (0.98, 1.1), (0.45, 0.6)])
    size = rng.uniform(0.5, 0.75) if height[0] in (0.98, 0.45) else rng.uniform(0.6, 1.25)
    plan = _plan(rng, simple, (size, size), (size, size), height, {"disc": 6.0, "even": 1.5, "oval": 1.0})
    if plan.outline == "round" and rng.chance(0.12):
        plan = Plan(size * 1.5, size, plan.height, plan.thick, "round", simple)
    kind = rng.weighted({"trumpet": 2.5, "disc": 2.5, "square": 1.2, "drum": 1.2, "cross": 1.5, "claws": 2.5})
    radius = size * (rng.uniform(0.22, 0.32) if kind == "drum" else rng.uniform(0.3, 0.4))
    stem = rng.uniform(0.05, 0.09) if simple else rng.uniform(0.026, 0.05)
    stem *= 1.25 if kind == "claws" else 1.0
    meshes, order = bases.column(rng, kind, radius, plan.under + 0.003, stem)
    made_leg = made.metal if kind in ("disc", "trumpet", "square") and rng.chance(0.4) else made.leg
    style = {"top": "round" if plan.outline == "round" else "square", "base": kind}
    return _top(rng, plan, made, 0.12) + parts_of("leg", made_leg, *meshes), _common(plan, order), style


def _common(plan: Plan, order: int) -> int:
    """Symmetry shared by a top and a central support of the given order."""
    outline = 2 if plan.width != plan.depth else (0 if plan.outline == "round" else 4)
    if outline == 0 or order == 0:
        return outline or order
    return 1 if order == 3 else min(outline, order)


def side(rng: Rng, made: Look, simple: bool) -> Built:
    """A small table beside a sofa or bed: three or four legs, a shelf, a drawer."""
    outlines = {"even": 3.0, "square": 1.5, "disc": 3.5}
    plan = _plan(rng, simple, (0.42, 0.6), (0.36, 0.5), (0.42, 0.68), outlines)
    parts = _top(rng, plan, made, 0.12)
    if plan.outline == "round" and rng.chance(0.4):
        size = rng.uniform(0.045, 0.07) if simple else rng.uniform(0.026, 0.042)
        style = rng.choice(["cone", "tube", "straight"])
        splay = rng.uniform(0.03, 0.09)
        reach = 0.62 * plan.width / 2
        parts += parts_of("leg", made.leg, *bases.three(rng, style, reach, plan.under + 0.002, size, splay))
        return parts, 3, {"top": "round", "base": f"three {style}"}
    more, style, x, y = _legged(rng, plan, made, {**LEGS, "bulb": 0.2}, 0.5)
    shelf = rng.chance(0.4) and style not in ("hairpin", "cabriole")
    low = _low_shelf(rng, plan, made, x, y, rng.uniform(0.2, 0.4)) if shelf else []
    parts += more + low
    order = 1 if _has_drawer(parts) else (2 if len(low) > 1 else plan.order)
    return parts, order, {"top": plan.outline, "base": style, "shelf": shelf}


def console(rng: Rng, made: Look, simple: bool) -> Built:
    """A long narrow table for a wall, with drawers or a shelf."""
    plan = _plan(rng, simple, (0.9, 1.5), (0.28, 0.42), (0.74, 0.92), {"square": 1.0})
    kinds = {"straight": 3.0, "tapered": 3.0, "turned": 1.5, "tube": 1.0, "cabriole": 1.0}
    parts = _top(rng, plan, made, 0.1)
    more, style, x, y = _legged(rng, plan, made, kinds, 0.6)
    shelf = rng.chance(0.55) and style != "cabriole"
    parts += more + (_low_shelf(rng, plan, made, x, y, rng.uniform(0.12, 0.3)) if shelf else [])
    return parts, 1 if _has_drawer(parts) else 2, {"top": "square", "base": style, "shelf": shelf}


def trestle(rng: Rng, made: Look, simple: bool) -> Built:
    """A long top on two trestles."""
    plan = _plan(rng, simple, (1.3, 2.3), (0.7, 0.98), (0.71, 0.77), {"square": 5.0, "boat": 1.0})
    kind = rng.choice(["a", "x", "t"])
    size = rng.uniform(0.08, 0.13) if simple else rng.uniform(0.05, 0.085)
    x, y = plan.width / 2 * rng.uniform(0.62, 0.8), plan.depth / 2 * 0.95
    legs = parts_of("leg", made.leg, *bases.trestle(rng, kind, x, y, plan.under + 0.002, size))
    if plan.outline == "square" and rng.chance(0.45):
        boards = planks(plan.width, plan.depth, plan.thick, rng.integer(3, 6), rng.choice([0.004, 0.012]))
        top = parts_of("top", made.main, *(b.moved(z=plan.height - plan.thick / 2) for b in boards))
        x1, z = plan.width / 2 * 0.8, plan.under
        cleats = [
            board((s * x1 - 0.04, -0.9 * y, z - 0.02), (s * x1 + 0.04, 0.9 * y, z + 0.001)) for s in (-1, 1)
        ]
        top += parts_of("top", made.main, *cleats)
    else:
        top = _top(rng, plan, made, 0.08)
    return top + legs, 2, {"top": plan.outline, "base": f"trestle {kind}"}


def draped(rng: Rng, made: Look, simple: bool) -> Built:
    """A table under a cloth."""
    outline = rng.choice(["disc", "disc", "square"])
    plan = _plan(rng, False, (1.2, 1.8), (0.75, 1.05), (0.72, 0.76), {outline: 1.0})
    folds = rng.choice([12, 16, 20])
    drop = plan.height * rng.choice([rng.uniform(0.25, 0.45), rng.uniform(0.6, 0.93)])
    drape = cloth(plan.outline, plan.width, plan.depth, plan.height, drop, folds, rng.uniform(0.006, 0.022))
    textile = fabric(rng, made.second.color) if rng.chance(0.5) else fabric(rng, (0.9, 0.89, 0.86))
    parts = _top(rng, plan, made) + parts_of("top", textile, drape)
    if plan.outline == "round" and rng.chance(0.5):
        meshes, _ = bases.column(rng, "disc", 0.32 * plan.width, plan.under + 0.003, 0.05)
        return parts + parts_of("leg", made.leg, *meshes), folds, {"top": "round", "base": "disc"}
    size = 0.09 if simple else 0.055
    x, y = _stance(rng, plan, size)
    x, y = x - 0.03, y - 0.03
    legs = bases.four(rng, rng.choice(["straight", "tapered", "tube"]), x, y, plan.under + 0.002, size, 0.0)
    return parts + parts_of("leg", made.leg, *legs), plan.order, {"top": plan.outline, "base": "legs"}


BUILDERS = {
    "dining": dining,
    "coffee": coffee,
    "pedestal": pedestal,
    "side": side,
    "desk": desk,
    "trestle": trestle,
    "console": console,
    "cloth": draped,
    "corner": corner_desk,
    "workbench": workbench,
    "picnic": picnic,
}
