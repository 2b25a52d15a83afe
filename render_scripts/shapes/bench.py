# SPDX-License-Identifier: GPL-3.0-or-later
"""Benches: park and garden benches, pews, planks on legs, stone, boxes, upholstered ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import bench_sides, kit, materials, sweeps
from .chair_frame import any_metal, any_wood
from .materials import Material
from .mesh import Mesh, Model, Part, both_sides, parts_of
from .rng import Rng
from .upholstery import any_tone, block, cover, feet, leaned, pad, standing, tufts

PARTS = ("back", "seat", "leg", "arm")

FAMILIES = {
    "park": 24.0,
    "garden": 18.0,
    "plank": 18.0,
    "upholstered": 16.0,
    "chunky": 14.0,
    "pew": 5.0,
    "stone": 5.0,
}


@dataclass(frozen=True)
class Bench:
    """Measures in metres: seat's width, depth and height; top of the back (0: none); backward shift per
    metre above the seat; height of the arms' tops (0: none)."""

    width: float
    depth: float
    height: float
    top: float
    lean: float
    arm_top: float

    @property
    def half(self) -> float:
        """Half of the width."""
        return self.width / 2

    @property
    def rear(self) -> float:
        """y of the seat's rear edge."""
        return self.depth / 2


Built = tuple[list[Part], int, dict]


def build(rng: Rng) -> Model:
    """One bench, facing -Y, its lowest point at z = 0, its box centred on the Z axis."""
    family = rng.weighted(FAMILIES)
    parts, order, style = BUILDERS[family](rng)
    return Model(standing(parts), order, {"type": family, **style})


def measures(rng: Rng, backed: float = 1.0, armed: float = 0.5) -> Bench:
    """Measures of a bench; backed, armed: how likely it has a back and, with one, arms."""
    height = rng.uniform(0.4, 0.48)
    back = rng.chance(backed)
    return Bench(
        width=rng.uniform(1.0, 1.9),
        depth=rng.uniform(0.38, 0.52),
        height=height,
        top=height + rng.uniform(0.32, 0.5) if back else 0.0,
        lean=rng.uniform(0.1, 0.35) if back else 0.0,
        arm_top=height + rng.uniform(0.17, 0.25) if back and rng.chance(armed) else 0.0,
    )


def timber(rng: Rng) -> Material:
    """Bare or painted wood."""
    return any_wood(rng) if rng.chance(0.7) else materials.paint(rng, any_tone(rng), rng.uniform(0.35, 0.7))


def seat_slats(bench: Bench, count: int, thick: float, gap: float) -> list[Mesh]:
    """Boards along X side by side, their upper faces at the seat's height."""
    edges = np.linspace(-bench.rear, bench.rear, count + 1)
    z = bench.height
    return [
        block((-bench.half, a + gap / 2, z - thick), (bench.half, b - gap / 2, z), 0.005, 1)
        for a, b in itertools.pairwise(edges)
    ]


def back_slats(bench: Bench, count: int, thick: float, gap: float) -> list[Mesh]:
    """Boards along X one above the other behind the seat, leaning."""
    edges = np.linspace(bench.height + rise_of(bench), bench.top, count + 1)
    y = bench.rear
    boards = [
        block((-bench.half, y, a + gap / 2), (bench.half, y + thick, b - gap / 2), 0.005, 1)
        for a, b in itertools.pairwise(edges)
    ]
    return leaned(boards, bench.lean, bench.height)


def rise_of(bench: Bench) -> float:
    """Height of the open gap between the seat and the back's boards."""
    return 0.22 * (bench.top - bench.height)


def park(rng: Rng) -> Built:
    """Slats on iron or wooden side frames, with or without back and arms."""
    bench = measures(rng, 0.85, 0.6)
    wood = timber(rng)
    iron = any_metal(rng) if rng.chance(0.6) else materials.paint(rng, (0.06, 0.08, 0.07), 0.5)
    gap = rng.uniform(0.008, 0.025)
    thick = rng.uniform(0.025, 0.045)
    parts = parts_of("seat", wood, *seat_slats(bench, rng.integer(3, 7), thick, gap))
    if bench.top:
        parts += parts_of("back", wood, *back_slats(bench, rng.integer(2, 5), thick, gap))
    kind = rng.choice(["curl", "tube", "strap", "block"])
    frame = wood if kind == "block" and rng.chance(0.5) else iron
    inset = rng.uniform(0.06, 0.2) if bench.width > 1.2 else 0.05
    parts += bench_sides.sides(bench, frame, rng, kind, bench.half - inset, thick)
    order = 1 if bench.top else 2
    return parts, order, {"sides": kind, "arms": bool(bench.arm_top), "back": bool(bench.top)}


def garden(rng: Rng) -> Built:
    """A wooden frame of posts and rails, bars or boards in the back, arms."""
    bench = measures(rng, 1.0, 0.85)
    wood, t = timber(rng), rng.uniform(0.045, 0.07)
    parts = parts_of("seat", wood, *seat_slats(bench, rng.integer(4, 7), 0.022, 0.012))
    low = bench.height - 0.1
    rails = [
        block((-bench.half, y - 0.015, low), (bench.half, y + 0.015, bench.height - 0.018), 0.004)
        for y in (-bench.rear + 0.03, bench.rear - 0.03)
    ]
    parts += parts_of("seat", wood, *rails)
    parts += bench_sides.posts(bench, wood, t)
    style = rng.choice(["bars", "boards", "panel", "cross"])
    parts += parts_of("back", wood, *leaned(_garden_back(bench, rng, style, t), bench.lean, bench.height))
    if rng.chance(0.25):
        x, y, z = bench.half - 0.01, bench.rear, bench.height
        cushion = pad((-x, -y, z - 0.01), (x, y - 0.01, z + 0.06))
        parts += parts_of("seat", cover(rng), cushion)
    return parts, 1, {"sides": "posts", "arms": bool(bench.arm_top), "back": style}


def _garden_back(bench: Bench, rng: Rng, style: str, t: float) -> list[Mesh]:
    """Top and lower rail and what is between them, upright at the seat's rear."""
    y, z0, z1 = bench.rear, bench.height + 0.06, bench.top
    crown = rng.choice([0.0, rng.uniform(0.04, 0.1)])
    x = np.linspace(-bench.half, bench.half, 13)
    lift = crown * (1 - (x / bench.half) ** 2)
    path = np.stack([x, np.full(13, y), z1 - 0.035 + lift], 1)
    section = kit.rounded_rectangle(2, 2, 0.3, 1)
    size = np.tile([0.016, 0.035], (13, 1))
    out = [sweeps.tube(path, size, section=section, up=(0, 0, 1))]
    out.append(block((-bench.half, y - 0.014, z0), (bench.half, y + 0.014, z0 + 0.05), 0.004))
    if style == "panel":
        return [
            *out,
            block((-bench.half, y - 0.008, z0 + 0.02), (bench.half, y + 0.008, z1 - 0.04), 0.002, 1),
        ]
    if style == "boards":
        zs = np.linspace(z0 + 0.05, z1 - 0.07, rng.integer(1, 3) + 2)[1:-1]
        return out + [
            block((-bench.half, y - 0.01, z - 0.03), (bench.half, y + 0.01, z + 0.03), 0.004) for z in zs
        ]
    if style == "cross":
        count = max(2, round(bench.width / 0.6))
        edges = np.linspace(-bench.half, bench.half, count + 1)
        for a, b in itertools.pairwise(edges):
            out.append(sweeps.plank([a, y, z0 + 0.03], [b, y, z1 - 0.04], 0.018, 0.03, up=(0, 1, 0)))
            out.append(sweeps.plank([b, y, z0 + 0.03], [a, y, z1 - 0.04], 0.018, 0.03, up=(0, 1, 0)))
        return out
    count = round(bench.width / rng.uniform(0.09, 0.16))
    for s in np.linspace(-bench.half, bench.half, count + 1)[1:-1]:
        rise = crown * (1 - (s / bench.half) ** 2)
        out.append(block((s - 0.02, y - 0.008, z0 + 0.02), (s + 0.02, y + 0.008, z1 - 0.04 + rise), 0.003, 1))
    return out


def plank(rng: Rng) -> Built:
    """A board on four legs, two trestles, two slabs or bent metal; no back."""
    bench, wood = measures(rng, 0.0), timber(rng)
    thick = rng.uniform(0.025, 0.07)
    soft = rng.choice([0.004, 0.3 * thick])
    top = block(
        (-bench.half, -bench.rear, bench.height - thick), (bench.half, bench.rear, bench.height), soft, 2
    )
    if rng.chance(0.25):
        parts = parts_of("seat", wood, *seat_slats(bench, rng.integer(2, 4), thick, 0.012))
        y, z = bench.rear - 0.03, bench.height - thick - 0.028
        cleats = block((-0.02, -y, z), (0.02, y, z + 0.03))
        x = 0.6 * bench.half
        parts += parts_of("seat", wood, cleats.moved(-x), cleats.moved(x))
    else:
        parts = parts_of("seat", wood, top)
    kind = rng.choice(["legs", "slabs", "trestle", "hairpin", "loop", "splayed"])
    metal = any_metal(rng)
    parts += bench_sides.plain_legs(bench, metal if kind in ("hairpin", "loop") else wood, rng, kind, thick)
    return parts, 2, {"sides": kind, "arms": False, "back": False}


def upholstered(rng: Rng) -> Built:
    """A padded bench: at the foot of a bed, in a hall, or with a low back and arms."""
    bench, made, wood = measures(rng, 0.3, 0.5), cover(rng), any_wood(rng)
    pad_height = rng.uniform(0.06, 0.18)
    low = bench.height - pad_height
    top = (-bench.half, -bench.rear, low), (bench.half, bench.rear, bench.height)
    soft = rng.choice(["box", "pad", "frame"])
    parts = parts_of(
        "seat", made, block(*top, min(0.03, 0.3 * pad_height), 3) if soft == "box" else pad(*top, 10, 4)
    )
    if soft == "frame":
        rim = block((-bench.half, -bench.rear, low - 0.05), (bench.half, bench.rear, low + 0.015), 0.006)
        parts += parts_of("seat", wood, rim)
        low -= 0.05
    if bench.top:
        back = block((-bench.half, bench.rear - 0.09, low), (bench.half, bench.rear, bench.top), 0.025, 3)
        parts += parts_of("back", made, *leaned([back], 0.5 * bench.lean, bench.height))
        if rng.chance(0.4):
            panel = tufts(
                bench.width - 0.1, bench.top - bench.height - 0.05, 0.03, 0.03, round(bench.width / 0.2), 2
            )
            panel = panel.moved(y=bench.rear - 0.085, z=bench.height + 0.02)
            parts += parts_of("back", made, *leaned([panel], 0.5 * bench.lean, bench.height))
    armed = bool(bench.arm_top) or (not bench.top and rng.chance(0.2))
    if armed:
        high = bench.height + rng.uniform(0.12, 0.22)
        side = block(
            (bench.half - 0.02, -bench.rear, low), (bench.half + 0.07, bench.rear, high - 0.03), 0.02, 3
        )
        roll = kit.cylinder(0.055, bench.depth + 0.01, 0.01, 24, 2).rotated("x", 90)
        roll = roll.moved(bench.half + 0.03, 0, high - 0.04)
        parts += parts_of("arm", made, *both_sides(side), *both_sides(roll))
    kind = rng.choice(["legs", "splayed", "hairpin", "loop", "cross"])
    metal = any_metal(rng) if kind in ("hairpin", "loop", "cross") else wood
    parts += bench_sides.plain_legs(bench, metal, rng, kind, bench.height - low)
    return parts, 1 if bench.top else 2, {"sides": kind, "arms": armed, "back": bool(bench.top)}


def chunky(rng: Rng) -> Built:
    """Thick boards and blocks in plain colours, of few facets."""
    bench = measures(rng, 0.65, 0.4)
    tone = materials.paint(rng, any_tone(rng) if rng.chance(0.5) else (0.55, 0.36, 0.22), 0.75)
    other = materials.paint(rng, any_tone(rng), 0.75) if rng.chance(0.5) else tone
    thick, facets = rng.uniform(0.06, 0.12), rng.choice([1, 1, 2])
    count = rng.choice([1, 1, 2, 3])
    edges = np.linspace(-bench.rear, bench.rear, count + 1)
    gap = 0.02 if count > 1 else 0.0
    z, h = bench.height, bench.half
    boards = [
        block((-h, a + gap / 2, z - thick), (h, b - gap / 2, z), 0.02, facets)
        for a, b in itertools.pairwise(edges)
    ]
    parts = parts_of("seat", tone, *boards)
    w, x = rng.uniform(0.08, 0.16), bench.half * rng.uniform(0.6, 0.92)
    x = min(x, bench.half - w / 2)
    y = bench.rear
    if rng.chance(0.5):
        leg = block((x - w / 2, 0.02 - y, 0), (x + w / 2, y - 0.02, z - thick + 0.015), 0.012, facets)
        parts += parts_of("leg", other, *both_sides(leg))
    else:
        places = [(s * x, t * (y - w / 2 - 0.01)) for s in (-1, 1) for t in (-1, 1)]
        strap = block(
            (x - w / 2, 0.01 - y, z - thick - 0.05), (x + w / 2, y - 0.01, z - thick + 0.015), 0.008, 1
        )
        parts += parts_of("leg", other, *feet(rng, rng.choice(["block", "tapered"]), places, z - thick, w))
        parts += parts_of("leg", other, *both_sides(strap))
    if bench.top:
        deep = rng.uniform(0.05, 0.09)
        rows = np.linspace(z + rng.choice([-0.02, 0.08]), bench.top, rng.choice([1, 1, 2]) + 1)
        slabs = [
            block((-h, y, a + 0.01), (h, y + deep, b - 0.01), 0.02, facets)
            for a, b in itertools.pairwise(rows)
        ]
        a, b, far = x - w / 2, x + w / 2, y + 1.4 * deep
        stay = block((a, y + 0.3 * deep, z - thick - 0.02), (b, far, bench.top - 0.05), 0.012, 1)
        hold = block((a, y - 0.1, z - thick - 0.04), (b, far, z - thick + 0.015), 0.008, 1)
        parts += parts_of("back", tone, *leaned(slabs, 0.6 * bench.lean, z))
        parts += parts_of("back", other, *leaned(both_sides(stay), 0.6 * bench.lean, z))
        parts += parts_of("leg", other, *both_sides(hold))
    if bench.arm_top:
        side = block((h - w, -y, z - 0.02), (h, y + 0.02, bench.arm_top), 0.02, facets)
        parts += parts_of("arm", tone, *both_sides(side))
    return (
        parts,
        1 if bench.top else 2,
        {"sides": "blocks", "arms": bool(bench.arm_top), "back": bool(bench.top)},
    )


def pew(rng: Rng) -> Built:
    """Solid shaped ends, a closed back, a seat board."""
    bench, wood = measures(rng, 1.0, 0.0), timber(rng)
    thick, y, h = 0.03, bench.rear, bench.half
    parts = parts_of(
        "seat", wood, block((-h, -y, bench.height - thick), (h, y + 0.02, bench.height), 0.008, 2)
    )
    panel = block((-h, y, bench.height - rng.choice([0.05, 0.3])), (h, y + 0.025, bench.top), 0.006)
    cap = block((-h, y - 0.02, bench.top - 0.02), (h, y + 0.045, bench.top + 0.015), 0.008, 2)
    parts += parts_of("back", wood, *leaned([panel, cap], 0.5 * bench.lean, bench.height))
    parts += bench_sides.ends(bench, wood, rng)
    return parts, 1, {"sides": "ends", "arms": True, "back": True}


def stone(rng: Rng) -> Built:
    """A slab of stone or concrete on two blocks."""
    bench = measures(rng, 0.0)
    grey = rng.uniform(0.45, 0.8)
    rock = materials.plastic(rng, (grey, 0.98 * grey, 0.94 * grey), True)
    thick = rng.uniform(0.07, 0.14)
    slab = block(
        (-bench.half, -bench.rear, bench.height - thick), (bench.half, bench.rear, bench.height), 0.02, 3
    )
    x, w = bench.half * rng.uniform(0.5, 0.8), rng.uniform(0.1, 0.22)
    z = bench.height - thick + 0.01
    if rng.chance(0.5):
        leg = block((x - w / 2, 0.04 - bench.rear, 0), (x + w / 2, bench.rear - 0.04, z), 0.012, 2)
    else:
        r = bench.rear - 0.05
        knots = [(r, 0.0), (r, 0.06), (0.6 * r, 0.12), (0.5 * r, 0.5 * z), (0.6 * r, z - 0.09), (r, z - 0.04)]
        leg = kit.lathe(kit.rounded_profile([*knots, (r, z)], 0.02, 2), 24).scaled(x=0.7).moved(x=x)
    wood = any_wood(rng)
    parts = parts_of("seat", rock, slab) + parts_of("leg", rock, *both_sides(leg))
    if rng.chance(0.3):
        boards = [m.moved(z=0.03) for m in seat_slats(bench, 4, 0.035, 0.015)]
        parts += parts_of("seat", wood, *boards)
    return parts, 2, {"sides": "blocks", "arms": False, "back": False}


BUILDERS: dict[str, Callable[[Rng], Built]] = {
    "park": park,
    "garden": garden,
    "plank": plank,
    "upholstered": upholstered,
    "chunky": chunky,
    "pew": pew,
    "stone": stone,
}
