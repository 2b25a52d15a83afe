# SPDX-License-Identifier: GPL-3.0-or-later
"""What toy vehicles are put together from: prisms along X, boxes, lamps, wheels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kit
from .materials import Material
from .mesh import Mesh, Part, both_sides
from .rng import Rng


@dataclass(frozen=True)
class Paints:
    """The materials of one vehicle."""

    coat: Material
    second: Material
    glass: Material
    dark: Material
    light: Material
    tyre: Material


def prism(outline: np.ndarray, width: float, bevel: float) -> Mesh:
    """Body of a side view (S,2) of y and z, `width` metres along X about x = 0."""
    # extrude's X, Y, Z are this body's Y, Z, X: a turn, so that faces stay outward.
    return kit.extrude(outline, width, bevel).warped(lambda v: v[:, [2, 0, 1]])


def narrowed(mesh: Mesh, low: float, high: float, by: float) -> Mesh:
    """The mesh with x scaled down from 1 at z = low to 1 - by at z = high."""

    def squeeze(v: np.ndarray) -> np.ndarray:
        share = np.clip((v[:, 2] - low) / (high - low), 0, 1)
        return np.stack([v[:, 0] * (1 - by * share), v[:, 1], v[:, 2]], -1)

    return mesh.warped(squeeze)


def box(x: float, y: float, z: float, at_x: float, at_y: float, at_z: float) -> Mesh:
    """A box of a size, its edges cut a little, centred at a place."""
    return kit.rounded_box(x, y, z, 0.012).moved(at_x, at_y, at_z)


def discs(is_round: bool, x: float, y: float, z: float, size: float, material: Material) -> list[Part]:
    """A pair of lamps, discs or boxes, on an end face."""
    if is_round:
        lamp = kit.cylinder(size, 0.05, 0.01, 10).rotated("x", 90).moved(x, y, z)
    else:
        lamp = box(2 * size, 0.05, 1.3 * size, x, y, z)
    return [Part("body", side, material) for side in both_sides(lamp)]


def wheels_at(rng: Rng, axles: tuple[float, ...], width: float, tyre: float, paints: Paints) -> list[Part]:
    """Wheels with plain hubs on both ends of every axle (y), standing on z = 0; width: of the vehicle."""
    wide, sides = tyre * rng.uniform(0.45, 0.8), rng.choice([8, 10, 12, 16, 20])
    hub = rng.choice([paints.light, paints.light, paints.second, paints.dark])
    out = rng.uniform(-0.02, 0.35) * wide
    rubber = kit.cylinder(tyre, wide, tyre * rng.uniform(0.03, 0.2), sides).rotated("y", 90)
    cap = kit.cylinder(tyre * rng.uniform(0.35, 0.65), wide + 0.04, 0.01, sides).rotated("y", 90)
    parts: list[Part] = []
    for axle in axles:
        x = 0.5 * width - 0.5 * wide + out
        for mesh, material in ((rubber, paints.tyre), (cap, hub)):
            parts += [Part("wheel", side, material) for side in both_sides(mesh.moved(x, axle, tyre))]
    return parts
