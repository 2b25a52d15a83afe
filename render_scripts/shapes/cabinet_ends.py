# SPDX-License-Identifier: GPL-3.0-or-later
"""What is under and over a cabinet's body: feet, plinths, frames; tops, cornices, arches."""

from __future__ import annotations

import numpy as np

from . import kit
from . import table_bases as bases
from .cabinet_carcass import Box
from .furniture import Look, board, quarters
from .mesh import Mesh, Part, both_sides, parts_of
from .rng import Rng


def feet(rng: Rng, kind: str, box: Box, look: Look, simple: bool) -> list[Part]:
    """Support from the floor to the body at box.low: "none" only where box.low is 0."""
    if kind == "none":
        return []
    x, deep, height = box.width / 2, box.back - box.front, box.low + 0.002
    y = (box.front + box.back) / 2
    if kind == "plinth":
        low, high = (-x + 0.015, box.front + 0.03, 0.0), (x - 0.015, box.back - 0.01, height)
        return parts_of("body", look.main, board(low, high))
    if kind == "bracket":
        return parts_of("leg", look.leg, *_brackets(rng, box, height))
    if kind == "hoop":
        size = 0.05 if simple else rng.uniform(0.018, 0.03)
        inner = x - size - 0.04
        hoops = [m.moved(y=y) for m in bases.hoops("rectangle", inner, deep / 2 - 0.02, height, size)]
        return parts_of("leg", look.metal, *hoops)
    size = rng.uniform(0.06, 0.1) if simple else rng.uniform(0.035, 0.055)
    splay = min(rng.uniform(0.03, 0.06), 0.4 * box.low) if kind == "splayed" else 0.0
    inset = size / 2 + (0.03 if splay else 0.005) + splay * 0.8
    a, b = x - inset, deep / 2 - inset
    if kind == "hairpin":
        meshes = bases.hairpins(quarters(x - 0.07, deep / 2 - 0.06), height, 0.006)
    elif kind == "bun":
        r = min(0.9 * size, 0.05)
        knots = [(0, 0), (0.6, 0), (0.95, 0.25), (1.0, 0.5), (0.85, 0.8), (0.5, 0.9), (0.6, 1.0), (0, 1.0)]
        one = kit.lathe(np.array(knots) * [r, height], 16)
        meshes = [one.moved(float(p), float(q)) for p, q in quarters(a, b)]
    else:
        shape = {"splayed": "cone", "round": "tube", "block": "straight"}.get(kind, kind)
        meshes = bases.four(rng, shape, a, b, height, size, splay)
    meshes = [mesh.moved(y=y) for mesh in meshes]
    if box.width > 1.3 and kind in ("splayed", "block", "tapered", "round"):
        meshes.append(bases.leg(rng, "straight", height, size).moved(0.0, y))
    return parts_of("leg", look.metal if kind == "hairpin" else look.leg, *meshes)


def _brackets(rng: Rng, box: Box, height: float) -> list[Mesh]:
    """Cut-out skirts in front and at the sides that form feet at the corners."""
    x, deep, thick = box.width / 2, box.back - box.front, 0.022

    def skirt(half: float) -> Mesh:
        foot, rise = min(0.3 * half, 0.14), 0.65 * height
        arch = [(half - foot, 0.0), (half - 1.25 * foot, 0.6 * rise), (half - 1.7 * foot, rise)]
        inner = [*arch, *((-a, b) for a, b in arch[::-1])]
        outline = [(-half, 0.0), (-half, height), (half, height), (half, 0.0), *inner]
        return kit.extrude(outline, thick, 0.002, 1, "x").rotated("x", 90)

    front = skirt(x - 0.002).moved(y=box.front + thick / 2 + 0.002)
    side = (
        skirt(deep / 2 - 0.004).rotated("z", 90).moved(x=x - thick / 2 - 0.002, y=(box.front + box.back) / 2)
    )
    rear = board((-x + 0.03, box.back - 0.03, 0.5 * height), (x - 0.03, box.back - 0.01, height))
    return [front, *both_sides(side), rear]


def crown(rng: Rng, kind: str, box: Box, look: Look, simple: bool) -> list[Part]:
    """What closes the body above box.high."""
    x, z = box.width / 2, box.high
    front, back = box.front - 0.02, box.back
    if kind == "top":
        over = rng.uniform(0.01, 0.035)
        thick = rng.uniform(0.04, 0.075) if simple else rng.uniform(0.015, 0.035)
        low, high = (-x - over, front - over, z - 0.001), (x + over, back, z + thick)
        return parts_of("body", look.second, board(low, high, 0.35 * thick if simple else 0.006, 2))
    if kind == "cornice":
        return parts_of("body", look.main, _cornice(rng, x, front, back, z))
    if kind == "arch":
        rise = rng.uniform(0.06, 0.14) * min(box.width, 1.4) + 0.03
        t = np.linspace(0, np.pi, 17)
        curve = [(x * float(np.cos(a)), 0.03 + rise * float(np.sin(a)) ** rng.choice([1, 2])) for a in t]
        outline = [(x, 0.0), *curve, (-x, 0.0)]
        plate = kit.extrude(outline, 0.03, 0.003, 1, "x").rotated("x", 90)
        return parts_of("body", look.main, plate.moved(y=front + 0.02, z=z - 0.001)) + parts_of(
            "body", look.main, board((-x, front + 0.02, z - 0.001), (x, back, z + 0.015))
        )
    if kind == "rail":
        return parts_of(
            "body", look.main, board((-x, back - 0.02, z - 0.001), (x, back, z + rng.uniform(0.05, 0.12)))
        )
    return []


def _cornice(rng: Rng, x: float, front: float, back: float, z: float) -> Mesh:
    """A moulding that widens upwards in an S, flush at the rear."""
    tall, reach = rng.uniform(0.05, 0.11), rng.uniform(0.03, 0.07)
    steps = [(0.0, 0.0), (0.05, 0.12), (0.2, 0.3), (0.55, 0.5), (0.85, 0.68), (1.0, 0.8), (1.0, 1.0)]
    rings = []
    for out, up in steps:
        o, h = out * reach, z - 0.001 + up * tall
        rings.append([(-x - o, front - o, h), (x + o, front - o, h), (x + o, back, h), (-x - o, back, h)])
    return kit.loft([np.array(ring) for ring in rings], uv="box", grain="x")
