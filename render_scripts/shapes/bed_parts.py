# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of a bed: bedding, head and foot boards, rails, posts; and the measures and materials they share."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from . import kit, materials, sweeps
from .chair_frame import any_color, any_metal, any_wood, post
from .chair_legs import turned
from .materials import Material
from .mesh import Mesh, Part, both_sides, parts_of
from .rng import Rng
from .upholstery import any_tone, block, cover, drape, leaned, pad, pillow, plain, tufts

WOODEN_BOARDS = ("panel", "arched", "framed", "slats", "ladder", "planks")
SOFT_BOARDS = ("padded", "channels", "tufted", "cushions", "winged")
BLANKETS = {"none": 1.0, "duvet": 5.0, "tucked": 2.0, "throw": 1.5}


@dataclass(frozen=True)
class Bed:
    """Measures in metres; the head is at +Y, the mattress is centred on the Z axis.

    width, length: of the mattress; deck: height of its underside; thick: its thickness; rail_low,
    rail_top: lower and upper edge of the side rails; rail: their thickness; head, foot: heights of the
    boards' tops (foot 0: none); soft: radius of edges, in `facets` steps.
    """

    width: float
    length: float
    deck: float
    thick: float
    rail_low: float
    rail_top: float
    rail: float
    head: float
    foot: float
    soft: float
    facets: int

    @property
    def top(self) -> float:
        """Height of the mattress's upper face."""
        return self.deck + self.thick

    @property
    def half(self) -> float:
        """x of a side rail's inner face."""
        return self.width / 2 + 0.008

    @property
    def outer(self) -> float:
        """x of a side rail's outer face."""
        return self.half + self.rail

    @property
    def end(self) -> float:
        """y of the mattress's head end."""
        return self.length / 2


@dataclass(frozen=True)
class Linen:
    """Materials: frame, mattress, blanket, turned-down sheet or throw, pillows, feet, grips of drawers."""

    frame: Material
    mattress: Material
    blanket: Material
    sheet: Material
    pillows: tuple[Material, Material]
    feet: Material
    grips: Material


def linen(rng: Rng, frame: str, flat: bool = False) -> Linen:
    """Materials that go together; frame: "wood", "metal", "soft"; flat: plain colours only."""
    cloth = plain if flat else (lambda rng: plain(rng) if rng.chance(0.4) else cover(rng))
    white = Material("fabric", (0.93, 0.92, 0.9), 0.9)
    tint = Material("fabric", any_color(rng, 0.6), 0.9)
    mattress = white if rng.chance(0.7) else tint
    blanket, sheet = cloth(rng), white if rng.chance(0.5) else cloth(rng)
    first = white if rng.chance(0.55) else cloth(rng)
    upholstery = cover(rng)
    coat = materials.paint(rng, any_tone(rng), rng.uniform(0.3, 0.7))
    brown = materials.paint(rng, (0.55 * rng.uniform(0.5, 1.4), 0.34 * rng.uniform(0.8, 1.2), 0.2), 0.7)
    timber = (brown if rng.chance(0.6) else coat) if flat else (any_wood(rng) if rng.chance(0.75) else coat)
    body = {"wood": timber, "metal": any_metal(rng), "soft": upholstery}[frame]
    feet = timber if frame != "metal" else body
    return Linen(body, mattress, blanket, sheet, (first, cloth(rng)), feet, any_metal(rng))


def bedding(
    bed: Bed, made: Linen, rng: Rng, free: bool = False, blocky: bool = False
) -> tuple[list[Part], str]:
    """Mattress, blanket, pillows, and the blanket's kind.

    free: nothing stands beside the mattress above its underside, so that a blanket may hang down all of
    it; blocky: plain slabs instead of folds.
    """
    x, y = bed.width / 2, bed.end
    box = (-x, -y, bed.deck - 0.004), (x, y, bed.top)
    soft = min(0.06, 0.3 * bed.thick)
    mesh = block(*box, bed.soft, bed.facets) if blocky else block(*box, soft, 4)
    parts = parts_of("mattress", made.mattress, mesh)
    kind = rng.weighted({"none": 1, "slab": 5} if blocky else BLANKETS)
    if kind == "slab":
        parts += _slab(bed, made, rng, free)
    elif kind != "none":
        parts += _blanket(bed, made, rng, kind, free)
    return parts + _pillows(bed, made, rng, blocky), kind


def _slab(bed: Bed, made: Linen, rng: Rng, free: bool) -> list[Part]:
    """A blanket as a shell around the mattress, with a turned-down strip at times."""
    over, up = rng.uniform(0.012, 0.03), rng.uniform(0.015, 0.05)
    x, y = bed.width / 2 + over, -bed.end - (over if bed.foot < bed.top else 0.0)
    low = bed.deck if free else max(bed.rail_top - 0.02, bed.deck)
    low = min(low + (rng.uniform(0.0, 0.5) * bed.thick if free else 0.0), bed.top - 0.04)
    x = x if free or bed.rail_top < bed.top - 0.05 else bed.width / 2 - 0.002
    head = bed.end - bed.length * rng.uniform(0.26, 0.42)
    parts = parts_of(
        "mattress", made.blanket, block((-x, y, low), (x, head, bed.top + up), bed.soft, bed.facets)
    )
    if rng.chance(0.4):
        strip = rng.uniform(0.1, 0.22)
        fold = block(
            (-x - 0.006, head - strip, low + 0.004),
            (x + 0.006, head + 0.004, bed.top + up + 0.012),
            bed.soft,
            bed.facets,
        )
        parts += parts_of("mattress", made.sheet, fold)
    return parts


def _blanket(bed: Bed, made: Linen, rng: Rng, kind: str, free: bool) -> list[Part]:
    """A duvet, a tucked blanket or a throw across the foot of the bed."""
    thick = {"duvet": rng.uniform(0.035, 0.075), "tucked": 0.018, "throw": 0.016}[kind]
    ends = free or bed.foot <= bed.top
    reach = bed.top - (bed.deck if free else max(bed.rail_top, bed.deck))
    hang = max(0.03, reach * (rng.uniform(0.55, 1.15) if free else rng.uniform(0.5, 0.8)))
    bend = 0.35 * thick + 0.02
    half = bed.width / 2 + (-0.012 if free else 0.004 - bend)
    ripple = rng.uniform(0.0, 0.012) if free else 0.0
    y0 = -bed.end + (0.012 if free else bend - 0.004)
    y1 = bed.end - bed.length * rng.uniform(0.2, 0.42)
    if kind == "throw":
        y0, y1 = y0 + rng.uniform(0.05, 0.3), -bed.end + bed.length * rng.uniform(0.3, 0.45)
    top = bed.top + 0.4 * thick
    foot = (
        hang * rng.uniform(0.6, 1.0) if ends and kind != "throw" and bed.foot < bed.rail_top + 0.02 else 0.0
    )
    sheet = drape(half, y0, y1, top, hang, foot, thick, ripple)
    parts = parts_of("mattress", made.blanket, sheet)
    if kind != "throw" and rng.chance(0.5):
        strip = rng.uniform(0.15, 0.3)
        fold = drape(half + 0.004, y1 - strip, y1 + 0.02, top + 0.5 * thick, 0.95 * hang, 0.0, 0.02, 0.0)
        parts += parts_of("mattress", made.sheet, fold)
    return parts


def _pillows(bed: Bed, made: Linen, rng: Rng, blocky: bool) -> list[Part]:
    """One pillow per sleeper, at times a second row of smaller ones before it."""
    count = 1 if bed.width < 1.15 else 2
    wide = min(rng.uniform(0.5, 0.75), 0.92 * bed.width / count)
    tall, thick = rng.uniform(0.32, 0.48), rng.uniform(0.1, 0.18)
    tilt = rng.uniform(4, 16) if rng.chance(0.65) else rng.uniform(35, 60)
    kind = rng.choice(["block", "cushion"]) if blocky else rng.choice(["pillow", "pillow", "cushion"])
    first = _one_pillow(kind, wide, tall, thick, bed).rotated("x", tilt)
    rows = [(made.pillows[0], first, 0.04)]
    if rng.chance(0.3):
        small = _one_pillow(kind, 0.7 * wide, 0.75 * tall, 0.9 * thick, bed).rotated("x", tilt + 6)
        extent = float(first.bounds()[1][1] - first.bounds()[0][1])
        rows.append((made.pillows[1], small, 0.04 + extent * (0.9 if tilt < 20 else 0.6)))
    parts: list[Part] = []
    for material, one, ahead in rows:
        low, high = one.bounds()
        y, z = bed.end - ahead - float(high[1]), bed.top - float(low[2]) - 0.012
        spread = bed.width / 4 * rng.uniform(0.92, 1.05) if count == 2 else 0.0
        places = (-spread, spread) if count == 2 else (rng.uniform(-0.03, 0.03),)
        parts += parts_of("pillow", material, *(one.moved(x, y, z) for x in places))
    return parts


def _one_pillow(kind: str, width: float, height: float, thick: float, bed: Bed) -> Mesh:
    if kind == "block":
        return kit.rounded_box(width, height, thick, min(max(bed.soft, 0.03), 0.4 * thick), bed.facets)
    if kind == "cushion":
        return kit.cushion(width, height, thick, 5.0, 2.6, 32)
    return pillow(width, height, 1.15 * thick, 0.07)


def rails(bed: Bed, made: Linen, ends: bool = True) -> list[Part]:
    """Side rails, a slatted deck as one board, and rails at head and foot."""
    soft, steps = min(bed.soft, 0.02, 0.3 * bed.rail), max(1, min(bed.facets, 3))
    side = block((bed.half - 0.004, -bed.end, bed.rail_low), (bed.outer, bed.end, bed.rail_top), soft, steps)
    low = max(bed.rail_low + 0.01, bed.deck - 0.04)
    board = block((-bed.half, -bed.end, low), (bed.half, bed.end, bed.deck), 0.003, 1)
    meshes = [*both_sides(side), board]
    if ends:
        across = (
            (-bed.outer + 0.01, -bed.end - bed.rail, bed.rail_low),
            (bed.outer - 0.01, -bed.end + 0.004, bed.rail_top),
        )
        foot = block(*across, soft, steps)
        meshes += [foot, foot.moved(y=bed.length + bed.rail - 0.004)]
    return parts_of("frame", made.frame, *meshes)


def corner_posts(
    bed: Bed, made: Linen, rng: Rng, kind: str, size: float, heights: tuple[float, float]
) -> list[Part]:
    """Four posts at the corners: legs up to the rails, frame above, (foot, head) `heights` tall.

    kind: "square", "round", "turned", or "none" for legs only.
    """
    x, y = bed.outer - size / 2 + 0.006, bed.end + size / 2 - 0.006
    parts: list[Part] = []
    split = bed.rail_low + 0.015
    leg = turned(rng, split, size) if kind == "turned" else post(size, size, split, kind != "round")
    finial = rng.choice(["none", "ball", "cap"])
    for s, high in ((-y, heights[0]), (y, heights[1])):
        parts += parts_of("leg", made.feet, *both_sides(leg.moved(x, s)))
        if high <= split + 0.05:
            continue
        shaft = _shaft(rng, kind, size, high - split)
        parts += parts_of("frame", made.frame, *both_sides(shaft.moved(x, s, split - 0.004)))
        if finial != "none" and kind != "none":
            knob = _finial(finial, size).moved(x, s, high - 0.006)
            parts += parts_of("frame", made.frame, *both_sides(knob))
    return parts


def _shaft(rng: Rng, kind: str, size: float, height: float) -> Mesh:
    if kind == "turned":
        return turned(rng, height, size)
    return post(size, size * (0.85 if kind == "round" else 1.0), height, kind == "square")


def _finial(kind: str, size: float) -> Mesh:
    """Ball or flat cap on a post whose top is at z = 0."""
    r = 0.62 * size
    if kind == "cap":
        return kit.rounded_box(1.3 * size, 1.3 * size, 0.02, 0.006, 1).moved(z=0.008)
    angle = np.linspace(-np.pi / 2, np.pi / 2, 9)
    profile = np.stack([r * np.cos(angle), 0.85 * r + r * np.sin(angle)], 1)
    profile[[0, -1], 0] = 0.0
    return kit.lathe(profile, 16)


def board(kind: str, width: float, low: float, high: float, thick: float, bed: Bed, rng: Rng) -> list[Mesh]:
    """A head or foot board in XZ around y = 0, `width` wide, from `low` to `high`."""
    half, t = width / 2, thick / 2
    soft = min(bed.soft, 0.4 * thick)
    whole = block((-half, -t, low), (half, t, high), soft, bed.facets)
    if kind == "panel":
        return [whole]
    if kind == "arched":
        return [_arched(width, low, high, thick, rng)]
    if kind == "planks":
        gaps = np.linspace(low, high, rng.integer(3, 5) + 1)
        slabs = [
            block((-half, -t, a + 0.004), (half, t, b - 0.004), 0.008) for a, b in itertools.pairwise(gaps)
        ]
        stiles = [
            block((s - 0.03, t - 0.006, low), (s + 0.03, t + 0.012, high)) for s in (-0.7 * half, 0.7 * half)
        ]
        return slabs + stiles
    beam = min(0.09, 0.3 * (high - low))
    top = block((-half, -t, high - beam), (half, t, high), min(0.012, soft), 2)
    base = top.moved(z=low + beam - high)
    if kind == "framed":
        inner = block((-half, -0.3 * t, low + 0.02), (half, 0.3 * t, high - 0.02), 0.002, 1)
        xs = np.linspace(-half + 0.03, half - 0.03, rng.integer(2, 4))
        stiles = [block((s - 0.035, -0.9 * t, low + 0.01), (s + 0.035, 0.9 * t, high - 0.01)) for s in xs]
        return [top, base, inner, *stiles]
    if kind == "ladder":
        count = max(1, round((high - low) / 0.16) - 1)
        zs = np.linspace(low + beam, high - beam, count + 2)[1:-1]
        stile = block((half - 0.05, -0.8 * t, low + 0.01), (half, 0.8 * t, high - 0.01))
        rungs = [block((-half, -0.6 * t, z - 0.03), (half, 0.6 * t, z + 0.03)) for z in zs]
        return [top, base, *both_sides(stile), *rungs]
    count = max(4, round(width / rng.uniform(0.1, 0.17)))
    xs = np.linspace(-half, half, count + 2)[1:-1]
    w = rng.uniform(0.01, 0.028)
    return [top, base, *(block((s - w, -0.5 * t, low + 0.02), (s + w, 0.5 * t, high - 0.02)) for s in xs)]


def _arched(width: float, low: float, high: float, thick: float, rng: Rng) -> Mesh:
    """A board whose upper edge is a bow or a bow between shoulders."""
    half, rise = width / 2, rng.uniform(0.06, 0.16)
    rise = min(rise, 0.5 * (high - low))
    x = np.linspace(half, -half, 21)
    flat = rng.choice([0.0, 0.0, 0.3])
    u = np.clip(np.abs(x) / half / (1 - flat), 0, 1)
    z = high - rise * (1 - np.cos(np.pi * u)) / 2 if flat else high - rise * u**2
    outline = [[-half, low], [half, low], *np.stack([x, z], 1).tolist()]
    plate = kit.extrude(outline, thick, min(0.008, 0.3 * thick), 2, grain="x")
    return plate.rotated("x", 90)


def soft_board(kind: str, width: float, low: float, high: float, thick: float, rng: Rng) -> list[Mesh]:
    """An upholstered head board in XZ whose rear face is at y = `thick`."""
    half = width / 2
    if kind == "channels":
        count = rng.integer(4, 10)
        xs = np.linspace(-half, half, count + 1)
        pads = [pad((a + 0.002, 0, low), (b - 0.002, thick, high), 8, 2.8) for a, b in itertools.pairwise(xs)]
        return [*pads, block((-half + 0.01, 0.5 * thick, low), (half - 0.01, thick, high - 0.02))]
    back = block((-half, 0, low), (half, thick, high), min(0.03, 0.3 * thick), 3)
    if kind == "tufted":
        rows = 2 if high - low < 0.6 else 3
        panel = tufts(
            width - 0.04, high - low - 0.04, 0.03, rng.uniform(0.025, 0.04), round(width / 0.2), rows
        )
        return [back, panel.moved(y=0.008, z=low + 0.02)]
    if kind == "cushions":
        pads = [
            pad((a, -0.06, high - 0.42), (b, 0.5 * thick, high - 0.02), 7, 2.8)
            for a, b in ((-half + 0.01, -0.005), (0.005, half - 0.01))
        ]
        return [back, *leaned(pads, 0.08, high - 0.42)]
    if kind == "winged":
        deep = rng.uniform(0.12, 0.24)
        wing = block((half - 0.03, -deep, low), (half + 0.04, thick, high), 0.02, 3)
        return [back, *both_sides(wing)]
    return [pad((-half, 0, low), (half, thick, high), rng.uniform(6, 14), 4)]


def metal_end(bed: Bed, rng: Rng, high: float, radius: float, shape: str, bars: int) -> list[Mesh]:
    """A barred end of tubes in XZ around y = 0, from the rails up to `high`; shape: "square", "round" or "bow"."""
    x, low = bed.outer - radius, bed.rail_low
    if shape == "bow":
        t = np.linspace(-1, 1, 17)
        rise = min(0.18, 0.4 * (high - low))
        bow = np.stack([x * t, 0 * t, high - rise * t**2], 1)
        path = np.concatenate([[[-x, 0, low]], bow, [[x, 0, low]]])
        top = lambda s: high - rise * (s / x) ** 2  # noqa: E731
    else:
        fillet = 0.02 if shape == "square" else min(0.2, 0.45 * (high - low))
        path = sweeps.filleted([[-x, 0, low], [-x, 0, high], [x, 0, high], [x, 0, low]], fillet, 6)
        top = lambda s: high - max(0.0, abs(s) - x + fillet) * 0.4  # noqa: E731
    middle = low + 0.08
    meshes = [sweeps.tube(path, radius, 10), sweeps.bar([-x, 0, middle], [x, 0, middle], 0.8 * radius)]
    for s in np.linspace(-x, x, bars + 2)[1:-1]:
        meshes.append(sweeps.bar([s, 0, middle], [s, 0, float(top(s))], 0.5 * radius, 8))
    if rng.chance(0.3):
        z = low + 0.62 * (high - low)
        meshes.append(sweeps.bar([-x, 0, z], [x, 0, z], 0.6 * radius))
    return meshes
