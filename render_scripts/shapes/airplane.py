# SPDX-License-Identifier: GPL-3.0-or-later
"""Airplanes: which family, and what each family is put together from."""

from __future__ import annotations

from dataclasses import replace

from .airplane_jets import fighter
from .airplane_light import biplane, glider, light, warbird
from .airplane_transport import business_jet, transport
from .mesh import Model
from .rng import Rng

PARTS = ("body", "wing", "tail", "engine")

FAMILIES = {
    "airliner": (32.0, transport),
    "business_jet": (11.0, business_jet),
    "fighter": (22.0, fighter),
    "light": (17.0, light),
    "warbird": (9.0, warbird),
    "biplane": (5.0, biplane),
    "glider": (4.0, glider),
}


def build(rng: Rng) -> Model:
    """One airplane with its nose towards -Y; the lowest point is at z = 0."""
    kind = rng.weighted({name: weight for name, (weight, _) in FAMILIES.items()})
    parts, style = FAMILIES[kind][1](rng)
    low = min(float(part.mesh.bounds()[0][2]) for part in parts)
    grounded = [replace(part, mesh=part.mesh.moved(z=-low)) for part in parts]
    return Model(grounded, 1, {"type": kind, **style})
