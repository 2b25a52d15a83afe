# SPDX-License-Identifier: GPL-3.0-or-later
"""Soft things that sofas and beds share: boxes and pads between corners, pillows, blankets, covers, feet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from . import kit, materials, sweeps
from .chair_frame import any_color, any_upholstery, post
from .chair_legs import turned
from .materials import Material
from .mesh import Mesh, Part
from .rng import Rng

Corner = Sequence[float]
TONES = (
    (0.55, 0.53, 0.50), (0.36, 0.37, 0.39), (0.80, 0.76, 0.69), (0.62, 0.52, 0.41), (0.22, 0.28, 0.38),
    (0.30, 0.40, 0.35), (0.45, 0.30, 0.24), (0.88, 0.86, 0.82), (0.16, 0.16, 0.18), (0.66, 0.35, 0.30),
)  # fmt: skip


def block(low: Corner, high: Corner, bevel: float = 0.01, steps: int = 2) -> Mesh:
    """Rounded box between two opposite corners (x, y, z) in metres."""
    a, b = np.asarray(low, float), np.asarray(high, float)
    x, y, z = (float(length) for length in b - a)
    return kit.rounded_box(x, y, z, min(bevel, 0.45 * min(x, y, z)), steps).moved(*((a + b) / 2))


def pad(low: Corner, high: Corner, power: float = 9.0, edge: float = 4.0) -> Mesh:
    """Cushion (kit.cushion) that fills the box between two opposite corners."""
    a, b = np.asarray(low, float), np.asarray(high, float)
    x, y, z = (float(length) for length in b - a)
    return kit.cushion(x, y, z, power, edge, 40).moved(*((a + b) / 2))


def pillow(width: float, height: float, thick: float, pinch: float = 0.08, cells: int = 12) -> Mesh:
    """Filled pillow lying in XY, thick in the middle, its corners drawn out by `pinch` of its size."""
    v, u = np.meshgrid(np.linspace(-1, 1, cells + 1), np.linspace(-1, 1, cells + 1), indexing="ij")
    x = u * (1 - pinch * (1 - v**2)) * width / 2
    y = v * (1 - pinch * (1 - u**2)) * height / 2
    swell = np.sqrt(np.clip((1 - u**4) * (1 - v**4), 0, 1))
    rim = 0.12 * thick
    return kit.sheet(np.stack([x, y, 0 * x], -1), rim + (thick - rim) * swell, 3)


def drape(
    half: float, y0: float, y1: float, top: float, hang: float, foot: float, thick: float, ripple: float
) -> Mesh:
    """Blanket over a mattress: from y0 (foot) to y1 (head), down both sides by `hang`, over the foot end
    by `foot` (0: ends on top), with folds of `ripple` metres in what hangs."""
    side, end = np.linspace(0, max(hang, 0.02), 7), np.linspace(0, foot, 6) if foot > 0 else np.zeros(1)
    flat_x, flat_y = np.linspace(-half, half, 13), np.linspace(y0, y1, 12)
    u = np.concatenate([-half - side[:0:-1], flat_x, half + side[1:]])
    v = np.concatenate([y0 - end[:0:-1], flat_y])
    v, u = np.meshgrid(v, u, indexing="ij")
    over_x, over_y = np.maximum(np.abs(u) - half, 0), np.maximum(y0 - v, 0)
    bend = 0.35 * thick + 0.02
    out_x, out_y = (bend * np.sin(np.minimum(d / bend, np.pi / 2)) + 0.04 * d for d in (over_x, over_y))
    drop = np.maximum(over_x, over_y)
    down = bend * (1 - np.cos(np.minimum(drop / bend, np.pi / 2))) + np.maximum(drop - bend * np.pi / 2, 0)
    fold = ripple * np.clip(drop / max(hang, foot, 1e-6), 0, 1)
    x = np.clip(u, -half, half) + np.sign(u) * (out_x + fold * (over_x > 0) * np.sin(17 * v + 1))
    y = np.maximum(v, y0) - out_y - fold * (over_y > 0) * np.sin(15 * u)
    puff = 0.25 * thick * (np.cos(2.5 * np.pi * u / half) * np.cos(9 * v)) * (drop == 0)
    return kit.sheet(np.stack([x, y, top + puff - down], -1), thick, 4)


def tufts(width: float, height: float, thick: float, depth: float, columns: int, rows: int) -> Mesh:
    """Buttoned panel standing in XZ, facing -Y, with dimples in a diamond pattern `depth` metres deep."""
    x = np.linspace(-width / 2, width / 2, 6 * columns + 1)
    z = np.linspace(0, height, 6 * rows + 1)
    z, x = np.meshgrid(z, x, indexing="ij")
    u, v = x / width * columns * np.pi, z / height * rows * np.pi
    swell = np.abs(np.sin(u + v) * np.sin(u - v)) ** 0.5
    border = np.minimum(np.minimum(z, height - z), width / 2 - np.abs(x))
    lift = depth * swell * np.clip(border / (0.12 * height), 0, 1)
    return kit.sheet(np.stack([x, -lift, z], -1), thick, 4)


def leaned(meshes: Iterable[Mesh], lean: float, above: float) -> list[Mesh]:
    """The meshes sheared backwards (+Y) by `lean` metres per metre above height `above`."""

    def shear(p: np.ndarray) -> np.ndarray:
        return p + lean * np.maximum(p[:, 2:] - above, 0) * np.array([0.0, 1.0, 0.0])

    return [mesh.warped(shear) for mesh in meshes]


def mapped(parts: Iterable[Part], function: Callable[[Mesh], Mesh]) -> list[Part]:
    """The parts with function applied to each mesh."""
    return [replace(part, mesh=function(part.mesh)) for part in parts]


def standing(parts: list[Part]) -> list[Part]:
    """The parts moved so that their box is centred on the Z axis and the lowest point is at z = 0."""
    bounds = np.array([part.mesh.bounds() for part in parts])
    low, high = bounds[:, 0].min(0), bounds[:, 1].max(0)
    x, y = -(low + high)[:2] / 2
    return mapped(parts, lambda mesh: mesh.moved(float(x), float(y), -float(low[2])))


def plain(rng: Rng, kind: str = "fabric") -> Material:
    """One flat colour without texture, as simple models have."""
    return Material(kind, any_tone(rng), rng.uniform(0.7, 0.95))


def any_tone(rng: Rng) -> tuple[float, float, float]:
    """A furnishing colour: a muted tone, a neutral or a vivid hue."""
    if rng.chance(0.45):
        factor = rng.uniform(0.8, 1.12)
        r, g, b = (min(c * factor, 1.0) for c in rng.choice(TONES))
        return r, g, b
    return any_color(rng, 0.75)


def cover(rng: Rng) -> Material:
    """Upholstery: woven, leather, or flat."""
    kind = rng.weighted({"any": 3, "woven": 4, "plain": 4})
    if kind == "any":
        return any_upholstery(rng)
    return plain(rng) if kind == "plain" else materials.fabric(rng, any_tone(rng))


FEET = ("block", "tapered", "round", "bun", "splayed", "turned", "pin")


def feet(rng: Rng, kind: str, places: Iterable[Corner], height: float, size: float) -> list[Mesh]:
    """One foot of a kind in FEET at each place (x, y), `height` tall from z = 0, `size` wide at the top.

    Splayed feet lean away from the Z axis.
    """
    leg = _foot(rng, kind, height, size)
    out = []
    for x, y in places:
        lean = 0.25 * height * np.array([np.sign(x), np.sign(y)]) if kind == "splayed" else np.zeros(2)
        out.append(leg.warped(lambda p, lean=lean: _sheared(p, lean, height)).moved(x, y))
    return out


def _foot(rng: Rng, kind: str, height: float, size: float) -> Mesh:
    if kind == "bun":
        r, h = size / 2, height
        knots = [(0.45 * r, 0.0), (1.0 * r, 0.3 * h), (0.95 * r, 0.6 * h), (0.6 * r, 0.85 * h), (0.9 * r, h)]
        return kit.lathe(sweeps.catmull_rom(knots, 3), 16)
    if kind == "turned":
        return turned(rng, height, size)
    if kind == "pin":
        return post(0.35 * size, 0.35 * size, height, False)
    foot = {"block": 1.0, "tapered": 0.6, "round": 0.7, "splayed": 0.55}[kind]
    return post(size * foot, size, height, kind in ("block", "tapered"))


def _sheared(p: np.ndarray, lean: np.ndarray, height: float) -> np.ndarray:
    return p + np.concatenate([lean * (1 - p[:, 2:] / height), np.zeros((len(p), 1))], 1)
