# SPDX-License-Identifier: GPL-3.0-or-later
"""What toy trucks carry behind their cabs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import kit
from .car_toy_parts import Paints, box, prism
from .mesh import Part, both_sides
from .rng import Rng

if TYPE_CHECKING:
    from .car_toy import Body


def add_load(rng: Rng, kind: str, body: Body, paints: Paints) -> list[Part]:
    """Walls of a pickup's bed; of a truck a box, a flat bed, a tank, a tipper or a collector."""
    deck = body.bed_z
    start, end = body.back_y + 0.1, body.length / 2 - 0.02
    if kind == "pickup":
        return _walls(body, paints, start - 0.05, end, deck, body.belt)
    choice = rng.weighted({"box": 4.0, "flat": 2.0, "tank": 1.0, "tipper": 2.0, "collector": 2.0})
    top = body.height * rng.uniform(0.92, 1.2)
    paint = paints.second if rng.chance(0.6) else paints.coat
    if choice == "box":
        mesh = kit.rounded_box(
            body.width * rng.uniform(0.96, 1.05), end - start, top - deck, rng.uniform(0.01, 0.08)
        )
        return [
            Part("body", mesh.moved(0, 0.5 * (start + end), 0.5 * (top + deck)), paint),
            *_door(rng, body, paints, deck, top),
        ]
    if choice == "flat":
        return _walls(body, paints, start, end, deck, deck + rng.uniform(0.05, 0.25))
    if choice == "tank":
        radius = 0.5 * min(body.width * 0.95, top - deck)
        tank = kit.cylinder(radius, end - start, 0.1, 14, 2).rotated("x", 90)
        return [Part("body", tank.moved(0, 0.5 * (start + end), deck + radius), paint)]
    slant = rng.uniform(0.1, 0.5)
    if choice == "tipper":
        walls = _walls(body, paints, start, end, deck, 0.5 * (deck + top))
        guard = prism(
            np.array(
                [(start, deck), (start + 0.08, deck), (start - slant, top), (start - slant - 0.08, top)]
            ),
            body.width,
            0.01,
        )
        return [*walls, Part("body", guard, paint)]
    shape = [
        (start, deck),
        (end, deck),
        (end + 0.1, 0.5 * (deck + top)),
        (end - slant, top),
        (start + 0.5 * slant, top),
    ]
    hopper = box(body.width * 0.8, 0.1, 0.4 * (top - deck), 0, end + 0.06, deck + 0.3 * (top - deck))
    return [
        Part("body", prism(np.array(shape), body.width * 0.98, 0.02), paint),
        Part("body", hopper, paints.dark),
    ]


def _walls(body: Body, paints: Paints, start: float, end: float, low: float, high: float) -> list[Part]:
    """A tailgate and two sides around an open bed."""
    thick, long, tall = 0.07, end - start, high - low + 0.02
    middle = 0.5 * (low + high) - 0.01
    side = box(thick, long, tall, 0.5 * body.width - 0.5 * thick, 0.5 * (start + end), middle)
    gate = box(body.width, thick, tall, 0, end - 0.5 * thick, middle)
    return [Part("body", gate, paints.coat), *(Part("body", one, paints.coat) for one in both_sides(side))]


def _door(rng: Rng, body: Body, paints: Paints, low: float, high: float) -> list[Part]:
    """Doors drawn on the rear of a box, or a stripe along it."""
    if rng.chance(0.5):
        return []
    gate = box(0.8 * body.width, 0.03, 0.8 * (high - low), 0, body.length / 2, 0.5 * (low + high))
    return [Part("body", gate, paints.dark if rng.chance(0.5) else paints.light)]
