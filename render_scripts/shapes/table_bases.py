# SPDX-License-Identifier: GPL-3.0-or-later
"""What a table stands on: legs, frames, slabs, trestles, crossed legs, columns and drums."""

from __future__ import annotations

import numpy as np

from . import kit, sweeps
from .chair_frame import Stance, beam, post
from .chair_legs import turned
from .furniture import board, quarters
from .mesh import Mesh, around, both_sides
from .rng import Rng

SQUARE = kit.rounded_rectangle(2, 2, 0.25, 1)


def leg(rng: Rng, style: str, height: float, size: float) -> Mesh:
    """One upright leg of a named style, foot at z = 0."""
    if style == "turned":
        return turned(rng, height, size)
    if style in ("tube", "cone"):
        return post(size * (1.0 if style == "tube" else 0.5), size, height, False)
    if style == "bulb":
        knots = [
            (0.5, 0.0),
            (0.62, 0.05),
            (0.42, 0.12),
            (1.15, 0.42),
            (0.95, 0.6),
            (0.5, 0.72),
            (0.95, 0.8),
            (0.95, 1.0),
        ]
        return kit.lathe(sweeps.catmull_rom(knots, 4) * [size / 2, height], 14)
    return post(size * (1.0 if style == "straight" else 0.55), size, height, True)


def cabriole(x: float, y: float, height: float, size: float) -> Mesh:
    """A curved leg at the corner (x, y): knee outwards, ankle inwards, a small foot."""
    out = np.array([np.sign(x), np.sign(y)]) * 0.7071
    t = np.array([0.0, 0.02, 0.1, 0.3, 0.55, 0.8, 0.92, 1.0])
    shift = np.array([0.034, 0.03, 0.012, -0.006, 0.008, 0.03, 0.022, 0.0]) * height / 0.6
    width = np.array([0.6, 0.62, 0.42, 0.46, 0.66, 1.0, 1.05, 1.0]) * size / 2
    path = np.stack([x + out[0] * shift, y + out[1] * shift, t * height], 1)
    fine, wide = sweeps.catmull_rom(path, 3), sweeps.catmull_rom(width, 3)
    fine[:, 2] = np.maximum.accumulate(np.clip(fine[:, 2], 0, height))
    return sweeps.tube(fine, wide, 10)


def four(rng: Rng, style: str, x: float, y: float, height: float, size: float, splay: float) -> list[Mesh]:
    """Four equal legs under the corners of a rectangle of half sides x, y."""
    spots = quarters(x, y)
    if style == "cabriole":
        return [cabriole(a, b, height, size) for a, b in spots]
    if style == "hairpin":
        return hairpins(spots, height, rng.uniform(0.005, 0.008))
    stance = Stance(spots, spots + np.sign(spots) * splay, height)
    one = leg(rng, style, height, size)
    return [stance.placed(k, one) for k in range(4)]


def hairpins(spots: np.ndarray, height: float, radius: float) -> list[Mesh]:
    """Bent-wire legs, each a narrow V with a round foot."""
    meshes = []
    for x, y in spots:
        across = min(0.13, 0.8 * abs(x), 0.8 * abs(y))
        foot = [x + 0.03 * np.sign(x), y + 0.03 * np.sign(y), radius]
        ends = [[x - np.sign(x) * across, y, height], [x, y - np.sign(y) * across, height]]
        path = sweeps.filleted([ends[0], foot, ends[1]], 0.02, 5)
        path[:, 2] = radius + (path[:, 2] - path[:, 2].min()) * (height - radius) / np.ptp(path[:, 2])
        meshes.append(sweeps.tube(path, radius, 8))
    return meshes


def ties(rng: Rng, pattern: str, x: float, y: float, z: float, size: float) -> list[Mesh]:
    """Bars between four upright legs at height z: "box", "H", "X" or "none"."""
    spots = [[a, b, z] for a, b in quarters(x, y)]

    def link(a: list[float], b: list[float]) -> Mesh:
        return sweeps.plank(a, b, size * 0.7, size)

    if pattern == "box":
        return [link(spots[a], spots[b]) for a, b in ((0, 1), (1, 2), (3, 2), (0, 3))]
    if pattern == "X":
        return [link(spots[0], spots[2]), link(spots[1], spots[3])]
    if pattern == "H":
        return [link(spots[0], spots[3]), link(spots[1], spots[2]), link([-x, 0, z], [x, 0, z])]
    return []


def hoops(kind: str, x: float, y: float, height: float, size: float) -> list[Mesh]:
    """Two closed frames at the ends, "rectangle", "trapeze" or "vee", of square tube."""
    foot = {"rectangle": y, "trapeze": 0.72 * y, "vee": 0.25 * y}[kind]
    corners = [
        [x, -y, height - size / 2],
        [x, y, height - size / 2],
        [x, foot, size / 2],
        [x, -foot, size / 2],
    ]
    path = sweeps.filleted(corners, size * 0.6, 3, loop=True)
    return both_sides(sweeps.tube(path, size / 2, section=SQUARE, loop=True, up=(1, 0, 0)))


def slabs(rng: Rng, x: float, y: float, height: float, thick: float) -> list[Mesh]:
    """Two upright boards at the ends, plain or with a cut-out at the floor, and a rail on some."""
    if rng.chance(0.5):
        side = board((x - thick, -y, 0), (x, y, height), min(0.008, 0.2 * thick), 2)
    else:
        cut = rng.uniform(0.35, 0.6) * y
        arch = [[cut * np.cos(t), min(0.14, 0.35 * height) * np.sin(t)] for t in np.linspace(0.0, np.pi, 9)]
        outline = [[-y, 0], *arch[::-1], [y, 0], [0.85 * y, height], [-0.85 * y, height]]
        side = (
            kit.extrude(outline, thick, 0.003, 1, "y")
            .rotated("x", 90)
            .rotated("z", 90)
            .moved(x=x - thick / 2)
        )
    rail = board((-x + thick / 2, -0.012, height * 0.45), (x - thick / 2, 0.012, height * 0.7))
    return [*both_sides(side), rail] if rng.chance(0.6) else both_sides(side)


def trestle(rng: Rng, kind: str, x: float, y: float, height: float, size: float) -> list[Mesh]:
    """Two end frames, "a" (sawhorse), "x" (crossed) or "t" (post on a foot), tied lengthwise."""
    meshes: list[Mesh] = []
    w = size * rng.uniform(0.9, 1.5)
    beams = {"a": 0.16, "x": 1.0, "t": 0.0}[kind]
    if kind == "t":
        foot = board((x - w / 2, -0.85 * y, 0), (x + w / 2, 0.85 * y, size), 0.25 * size, 2)
        head = board((x - w / 2, -0.7 * y, height - size), (x + w / 2, 0.7 * y, height), 0.15 * size, 1)
        column = board((x - 0.4 * w, -0.9 * w, 0.5 * size), (x + 0.4 * w, 0.9 * w, height - 0.5 * size))
        meshes += [*both_sides(foot), *both_sides(head), *both_sides(column)]
    elif kind == "x":
        step = 0.5 * size
        for sign, offset in ((1, 0.0), (-1, -step)):
            ends = np.array([[x + offset, -sign * 0.9 * y, 0.0], [x + offset, sign * 0.85 * y, height]])
            one = _level(beam(ends, 0.5 * size, size, (0, 0, 1)), height)
            meshes += [one, one.rotated("z", 180)]
    else:
        for sign in (-1, 1):
            for shift in (-1, 1):
                ends = [[x + 0.16 * shift, sign * 0.8 * y, 0.0], [x + 0.1 * shift, sign * beams * y, height]]
                meshes += both_sides(_level(beam(np.array(ends), 0.6 * size, size, (1, 0, 0)), height))
        meshes += both_sides(board((x - 0.16, -0.3 * y, height - size), (x + 0.16, 0.3 * y, height)))
        for sign in (-1, 1):
            at = 0.8 - 0.64 * 0.35
            a, b = [x - 0.14, sign * at * y, 0.35 * height], [x + 0.14, sign * at * y, 0.35 * height]
            meshes += both_sides(sweeps.plank(a, b, 0.5 * size, 0.8 * size))
        return meshes
    z = height * (0.3 if kind == "t" else 0.5)
    return [*meshes, board((-x, -0.3 * size, z - 0.7 * size), (x, 0.3 * size, z + 0.7 * size))]


def _level(mesh: Mesh, height: float) -> Mesh:
    """A slanted beam whose ends are cut level, at the floor and under the top."""

    def clip(p: np.ndarray) -> np.ndarray:
        low, high = p[:, 2].min(), p[:, 2].max()
        out = p.copy()
        out[:, 2] = (p[:, 2] - low) * height / (high - low)
        return out

    return mesh.warped(clip)


def column(rng: Rng, kind: str, radius: float, top: float, stem: float) -> tuple[list[Mesh], int]:
    """One central support and its order of symmetry (0 for a turned one)."""
    if kind == "trumpet":
        knots = [(radius, 0.006), (0.9 * radius, 0.02), (0.5 * radius, 0.06 * top), (stem, 0.38 * top)]
        knots += [(stem * 0.9, 0.6 * top), (stem * 1.5, 0.86 * top), (stem * 3.2, top)]
        curve = sweeps.catmull_rom(knots, 4)
        curve[:, 1] = np.maximum.accumulate(np.clip(curve[:, 1], 0.005, top))
        return [kit.lathe(np.concatenate([[(radius, 0.0)], curve]), 32)], 0
    if kind == "disc":
        foot = kit.rounded_profile([(radius, 0), (radius, 0.02), (stem * 1.4, 0.035)], 0.008, 2)
        pole = kit.rounded_profile([(stem, 0.01), (stem, top - 0.02), (stem * 3, top)], 0.004, 1)
        return [kit.lathe(foot, 40), kit.lathe(pole, 20)], 0
    if kind == "square":
        foot = kit.rounded_box(1.6 * radius, 1.6 * radius, 0.03, 0.008, 2).moved(z=0.015)
        return [foot, kit.rounded_box(2 * stem, 2 * stem, top - 0.01, 0.005).moved(z=top / 2 + 0.005)], 4
    if kind == "drum":
        waist = rng.choice([1.0, rng.uniform(0.45, 0.8)])
        knots = [(radius, 0), (radius * (1 + waist) / 2, 0.25 * top), (radius * waist, 0.5 * top)]
        knots += [(radius * (1 + waist) / 2, 0.75 * top), (radius, top)]
        ends = [(0.0, 0.0), *sweeps.catmull_rom(knots, 4).tolist(), (0.0, top)]
        return [kit.lathe(ends, 40)], 0
    if kind == "cross":
        arm = board((-radius, -stem, 0), (radius, stem, 0.05), 0.01, 2)
        block = kit.rounded_box(3 * stem, 3 * stem, top - 0.02, 0.01, 2).moved(z=top / 2 + 0.01)
        return [arm, arm.rotated("z", 90).moved(z=0.0005), block], 4
    return _claws(rng, radius, top, stem)


def _claws(rng: Rng, radius: float, top: float, stem: float) -> tuple[list[Mesh], int]:
    """A turned column on three or four curved feet."""
    count = rng.choice([3, 4])
    knots = [
        (0.7, 0.12),
        (1.0, 0.2),
        (1.5, 0.3),
        (0.9, 0.42),
        (0.75, 0.7),
        (1.1, 0.78),
        (0.8, 0.86),
        (2.4, 1.0),
    ]
    curve = sweeps.catmull_rom(knots, 4) * [stem, top]
    path = [
        [0.5 * stem, 0, 0.3 * top],
        [0.45 * radius, 0, 0.22 * top],
        [0.8 * radius, 0, 0.06 * top],
        [radius, 0, 0.025],
    ]
    fine = sweeps.catmull_rom(path, 4)
    size = np.linspace(1.0, 0.6, len(fine))
    foot = sweeps.tube(fine, np.stack([0.55 * stem * size, 0.8 * stem * size], 1), up=(0, 0, 1), ends="round")
    low = foot.bounds()[0][2]
    feet = around(foot.moved(z=-float(low)), count, -90.0 if count == 3 else 45.0)
    return [kit.lathe(curve, 20), *feet], count


def three(rng: Rng, style: str, reach: float, height: float, size: float, splay: float) -> list[Mesh]:
    """Three equal legs, one of them in front."""
    stance = Stance(np.array([[reach, 0.0]]), np.array([[reach + splay, 0.0]]), height)
    return around(stance.placed(0, leg(rng, style, height, size)), 3, -90.0)


def slanted(x: float, y0: float, y1: float, height: float, width: float, thick: float) -> Mesh:
    """A board from (x, y0) on the floor to (x, y1) at `height`, its ends cut level."""
    ends = np.array([[x, y0, 0.0], [x, y1, height]])
    return _level(beam(ends, thick, width, (0, 0, 1)), height)
