# SPDX-License-Identifier: GPL-3.0-or-later
"""Chairs."""

from __future__ import annotations

from . import kit, materials, sweeps
from .mesh import Model, Part, both_sides, parts_of
from .rng import Rng

PARTS = ("back", "seat", "leg", "arm")


def build(rng: Rng) -> Model:
    """One chair."""
    wood = materials.wood(rng, materials.hsv(rng.uniform(0.05, 0.1), 0.6, rng.uniform(0.3, 0.8)))
    cloth = materials.fabric(rng, materials.hsv(rng.uniform(0, 1), 0.5, 0.5))
    w, d, h = rng.uniform(0.4, 0.5), rng.uniform(0.38, 0.46), rng.uniform(0.43, 0.48)
    parts: list[Part] = []
    parts += parts_of("seat", wood, kit.rounded_box(w, d, 0.03, 0.006, 3).moved(z=h - 0.015))
    parts += parts_of("seat", cloth, kit.cushion(w * 0.9, d * 0.9, 0.05).moved(z=h + 0.02))
    leg = sweeps.plank(
        [w / 2 - 0.03, -d / 2 + 0.03, h - 0.03],
        [w / 2 - 0.02, -d / 2 + 0.02, 0],
        0.04,
        0.04,
        up=[0, 1, 0],
        taper=0.6,
    )
    parts += parts_of("leg", wood, *both_sides(leg), *both_sides(leg.mirrored("y")))
    profile = sweeps.catmull_rom([[0.018, 0], [0.012, 0.1], [0.02, 0.2], [0.014, 0.4]])
    spindle = kit.lathe(profile, 12).moved(y=d / 2 - 0.03, z=h)
    for k in range(5):
        parts += parts_of("back", wood, spindle.moved(x=(k - 2) * w / 6))
    rail = sweeps.tube(
        sweeps.filleted(
            [
                [-w / 2, d / 2 - 0.03, h],
                [-w / 2, d / 2 - 0.03, h + 0.4],
                [w / 2, d / 2 - 0.03, h + 0.4],
                [w / 2, d / 2 - 0.03, h],
            ],
            0.1,
        ),
        0.012,
    )
    parts += parts_of("back", wood, rail)
    return Model(parts, 1, {"style": "first"})
