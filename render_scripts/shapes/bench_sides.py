# SPDX-License-Identifier: GPL-3.0-or-later
"""What benches stand on: iron side frames with arms, wooden posts, pew ends, plain legs."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from . import kit, sweeps
from .chair_frame import beam
from .materials import Material
from .mesh import Mesh, Part, both_sides, parts_of
from .rng import Rng
from .upholstery import block, feet, leaned


class Measures(Protocol):
    """What is read of a bench; see bench.Bench."""

    @property
    def width(self) -> float: ...
    @property
    def depth(self) -> float: ...
    @property
    def height(self) -> float: ...
    @property
    def top(self) -> float: ...
    @property
    def lean(self) -> float: ...
    @property
    def arm_top(self) -> float: ...
    @property
    def half(self) -> float: ...
    @property
    def rear(self) -> float: ...


def sides(bench: Measures, frame: Material, rng: Rng, kind: str, x: float, thick: float) -> list[Part]:
    """Two or three frames at -x, x under slats `thick` thick: legs, the back's stays, arms.

    kind: "curl" cast iron, "tube", "strap" flat bars, "block" timber.
    """
    z, y = bench.height - thick, bench.rear
    wide, deep = {
        "curl": (0.03, 0.04),
        "tube": (0.034, 0.034),
        "strap": (0.045, 0.012),
        "block": (0.06, 0.07),
    }[kind]
    section = kit.superellipse(2, 2, 2.0, 10) if kind == "tube" else kit.rounded_rectangle(2, 2, 0.3, 1)

    def run(points, smooth: float = 0.0) -> Mesh:
        path = np.array([[x, *p] for p in points])
        path = sweeps.filleted(path, smooth, 4) if smooth else sweeps.catmull_rom(path, 4)
        size = np.tile([deep / 2, wide / 2], (len(path), 1))
        return sweeps.tube(path, size, section=section, up=(1, 0, 0))

    flat = deep / 2
    under = beam(
        np.array([[x, 0.01 - y, z - flat + 0.003], [x, y - 0.01, z - flat + 0.003]]), wide, deep, (0, 0, 1)
    )
    legs = _side_legs(kind, y, z - flat)
    meshes = [under, *(run(points, 0.05 if kind in ("tube", "strap") else 0.0) for points in legs)]
    bases = [_grounded(mesh) for mesh in meshes]
    parts = parts_of("leg", frame, *(m for mesh in bases for m in both_sides(mesh)))
    if not bench.top:
        return parts
    stay = block(
        (x - wide / 2, y + thick - 0.014, z - deep), (x + wide / 2, y + thick + deep, bench.top - 0.02), 0.004
    )
    foot = block((x - wide / 2, y - 0.06, z - deep), (x + wide / 2, y + thick + deep, z + 0.003), 0.004)
    parts += parts_of("back", frame, *both_sides(leaned([stay], bench.lean, bench.height)[0]))
    parts += parts_of("leg", frame, *both_sides(foot))
    if bench.arm_top:
        parts += parts_of("arm", frame, *both_sides(_side_arm(bench, x, wide, deep, thick, section)))
    return parts


def _side_legs(kind: str, y: float, z: float) -> list[list[list[float]]]:
    """Paths (y, z) of the two legs of a side frame, alike in front and behind."""
    if kind == "curl":
        front = [
            [-y + 0.02, z],
            [-y - 0.01, 0.7 * z],
            [-y + 0.06, 0.4 * z],
            [-y + 0.03, 0.12 * z],
            [-y - 0.03, 0.0],
        ]
    elif kind == "tube":
        front = [[-0.35 * y, z], [-0.75 * y, z - 0.01], [-y, 0.0]]
    elif kind == "strap":
        front = [[0.0, 0.006], [-y + 0.02, 0.006], [-y + 0.06, z]]
    else:
        front = [[-y + 0.06, z], [-y + 0.055, 0.0]]
    return [front, [[-a, b] for a, b in front]]


def _grounded(mesh: Mesh) -> Mesh:
    """The mesh cut off by flattening what lies below the floor."""
    low = mesh.vertices[:, 2] < 0.0

    def flat(p: np.ndarray) -> np.ndarray:
        out = p.copy()
        out[low, 2] *= 0.02
        return out

    return mesh.warped(flat)


def _side_arm(bench: Measures, x: float, wide: float, deep: float, thick: float, section: np.ndarray) -> Mesh:
    """A bow from the seat's front up and back to the stay."""
    y, z, top = bench.rear, bench.height - thick, bench.arm_top
    end = y + thick + bench.lean * (top - bench.height)
    path = sweeps.filleted([[x, -y + 0.03, z], [x, -y - 0.005, top], [x, end + 0.01, top - 0.01]], 0.07, 6)
    size = np.tile([deep / 2, wide / 2 * 1.1], (len(path), 1))
    return sweeps.tube(path, size, section=section, up=(1, 0, 0))


def posts(bench: Measures, wood: Material, t: float) -> list[Part]:
    """Four posts at the ends: rear ones go on as stays of the back, front ones carry the arms."""
    h, y, z = bench.half, bench.rear, bench.height
    split = z - 0.02
    legs = [
        block((h - 0.01, s * (y - t / 2) - t / 2, 0), (h + t - 0.01, s * (y - t / 2) + t / 2, split), 0.005)
        for s in (-1, 1)
    ]
    low = block((h, -y + t / 2, 0.1), (h + t - 0.02, y - t / 2, 0.15), 0.004)
    rail = block((h - 0.03, -y + t / 2, z - 0.09), (h + t - 0.014, y - t / 2, z - 0.018), 0.004)
    parts = parts_of("leg", wood, *(m for mesh in (*legs, low, rail) for m in both_sides(mesh)))
    stay = block((h - 0.01, y - t, split - 0.004), (h + t - 0.01, y + 0.016, bench.top), 0.006)
    parts += parts_of("back", wood, *both_sides(leaned([stay], bench.lean, z)[0]))
    if not bench.arm_top:
        return parts
    front = block((h - 0.01, -y, split - 0.004), (h + t - 0.01, t - y, bench.arm_top - 0.02), 0.005)
    end = y + bench.lean * (bench.arm_top - z)
    rest = block((h - 0.02, -y - 0.03, bench.arm_top - 0.028), (h + t, end - 0.01, bench.arm_top), 0.01, 3)
    return parts + parts_of("arm", wood, *both_sides(front), *both_sides(rest))


def ends(bench: Measures, wood: Material, rng: Rng) -> list[Part]:
    """Shaped boards that are a pew's ends: legs below the seat, arms above it."""
    y, z, top, t = bench.rear, bench.height, bench.top + 0.05, rng.uniform(0.03, 0.05)
    arm = z + rng.uniform(0.14, 0.24)
    rear = y + 0.06 + 0.5 * bench.lean * (top - z)
    curve = sweeps.catmull_rom(
        [[-y - 0.02, arm - 0.02], [-0.4 * y, arm - 0.03], [0.5 * y, arm + 0.08], [0.85 * rear, top - 0.03]], 5
    )
    upper = [[-y - 0.03, z - 0.03], [y + 0.05, z - 0.03], [rear, top], *curve[::-1].tolist()]
    lower = [[-y - 0.02, 0], [y + 0.05, 0], [y + 0.05, z - 0.028], [-y - 0.03, z - 0.028]]
    meshes = []
    for outline in (lower, upper):
        plate = kit.extrude(outline, t, 0.005, 2, grain="y").rotated("x", 90).rotated("z", 90)
        meshes.append(both_sides(plate.moved(x=bench.half + 0.4 * t)))
    return parts_of("leg", wood, *meshes[0]) + parts_of("arm", wood, *meshes[1])


def plain_legs(bench: Measures, made: Material, rng: Rng, kind: str, thick: float) -> list[Part]:
    """Legs under a seat `thick` thick, alike after half a turn.

    kind: "legs", "splayed", "slabs", "trestle", "hairpin", "loop", "cross".
    """
    z, y = bench.height - thick + 0.008, bench.rear
    x = bench.half - rng.uniform(0.05, 0.2)
    if kind in ("legs", "splayed"):
        size = rng.uniform(0.035, 0.07)
        shape = "splayed" if kind == "splayed" else rng.choice(["block", "tapered", "round", "turned"])
        places = [(s * x, t * (y - size / 2 - 0.012)) for s in (-1, 1) for t in (-1, 1)]
        meshes = feet(rng, shape, places, z, size)
        if shape == "block" and rng.chance(0.6):
            w, low = y - size - 0.006, z - 0.07
            meshes += [block((-x, s * w - 0.01, low), (x, s * w + 0.01, z), 0.003) for s in (-1, 1)]
        return parts_of("leg", made, *meshes)
    if kind == "slabs":
        t = rng.uniform(0.025, 0.06)
        side = block((x, 0.01 - y, 0), (x + t, y - 0.01, z), 0.004)
        rail = block((-x - 0.01, -0.015, 0.55 * z), (x + 0.01, 0.015, 0.55 * z + 0.08), 0.004)
        return parts_of("leg", made, *both_sides(side), rail)
    if kind in ("trestle", "cross"):
        t = rng.uniform(0.03, 0.055) if kind == "trestle" else 0.024
        a, b = y - 0.03, y - (0.09 if kind == "trestle" else 0.03)
        ends_ = ([[x, -a, 0.0], [x, b, z - 0.01]], [[x, a, 0.0], [x, -b, z - 0.01]])
        bars = [beam(np.array(e), t, t * 1.2, (1, 0, 0)) for e in ends_]
        bars = [_grounded(mesh) for mesh in bars]
        bars.append(block((x - t, -b - 0.03, z - 0.03), (x + t, b + 0.03, z), 0.004))
        tie = sweeps.plank([-x, 0, 0.5 * z], [x, 0, 0.5 * z], 0.6 * t, 1.2 * t)
        return parts_of("leg", made, *(m for mesh in bars for m in both_sides(mesh)), tie)
    r = rng.uniform(0.006, 0.009) if kind == "hairpin" else rng.uniform(0.012, 0.025)
    if kind == "loop":
        path = [[x, y - 0.03, z - r], [x, y - 0.03, r], [x, 0.03 - y, r], [x, 0.03 - y, z - r]]
        section = kit.rounded_rectangle(2, 2, 0.2, 1)
        loop = sweeps.tube(
            sweeps.filleted(path, 0.01, 2, loop=True), r, section=section, loop=True, up=(1, 0, 0)
        )
        return parts_of("leg", made, *both_sides(loop))
    meshes = []
    for s in (-1, 1):
        a, v = s * (y - 0.06), s * y
        path = sweeps.filleted([[x - 0.1, a, z], [x, v, r], [x, a - 0.1 * s, z]], 0.02, 5)
        low = path[:, 2].min()
        path[:, 2] = r + (path[:, 2] - low) * (z - r) / (z - low)
        meshes.append(sweeps.tube(path, r, 8))
    return parts_of("leg", made, *(m for mesh in meshes for m in both_sides(mesh)))
