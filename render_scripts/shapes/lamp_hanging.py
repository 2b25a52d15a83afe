# SPDX-License-Identifier: GPL-3.0-or-later
"""Lamps that hang: pendants alone and in rows, chandeliers, ceiling lights; the canopy is on top."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import kit, sweeps
from . import lamp_stands as stands
from .chair_frame import any_metal
from .lamp_shades import hood_material, lifted, shade
from .materials import Material
from .mesh import Part, around, parts_of
from .rng import Rng

HOODS = {"dome": 3.0, "cone": 2.0, "bell": 2.0, "factory": 1.5, "cylinder": 1.5}

Built = tuple[list[Part], int, dict]


def pendant(rng: Rng, simple: bool) -> Built:
    """One shade on a cord, chain or rod under a canopy."""
    name = rng.weighted(
        {**HOODS, "drum": 1.5, "empire": 0.7, "globe": 1.8, "drop": 0.8, "lantern": 1.5, "cage": 1.2}
    )
    wide = rng.uniform(0.13, 0.27)
    top = shade(rng, name, wide, wide * rng.uniform(0.6, 1.4), simple)
    cord = rng.uniform(0.25, 0.8)
    thin = rng.uniform(0.008, 0.014) if simple else rng.uniform(0.003, 0.008)
    made = any_metal(rng)
    hung = top.hold if name in ("drum", "empire") else top.height - 0.004
    ceiling = top.height + cord
    parts = lifted(top, 0.0)
    parts += parts_of("tube", made, stands.stem(hung - 0.002, ceiling - 0.01, thin))
    parts += parts_of("canopy", made, stands.canopy(rng, rng.uniform(0.045, 0.075), ceiling))
    if name not in ("drum", "empire", "cage"):
        cap = kit.lathe(kit.rounded_profile([(0.028, -0.012), (0.022, 0.03)], 0.004, 2), 24)
        parts += parts_of("tube", made, cap.moved(z=top.height))
    return parts, top.order, {"shade": name}


def cluster(rng: Rng, simple: bool) -> Built:
    """Several pendants side by side under one long canopy."""
    count = rng.choice([2, 3, 3, 4])
    name = rng.weighted({**HOODS, "globe": 3.0, "drop": 1.0})
    wide = rng.uniform(0.07, 0.12)
    pitch, made = wide * rng.uniform(2.4, 3.2), any_metal(rng)
    top = shade(rng, name, wide, wide * rng.uniform(1.0, 1.8), simple)
    cord, thin = rng.uniform(0.3, 0.7), 0.008 if simple else 0.004
    ceiling = top.height + cord
    bar = kit.rounded_box(pitch * (count - 1) + 0.12, 0.07, 0.035, 0.008, 2).moved(z=ceiling - 0.0175)
    parts = parts_of("canopy", made, bar)
    uneven = rng.uniform(0.05, 0.2) if rng.chance(0.4) else 0.0
    for k in range(count):
        x, lift = pitch * (k - (count - 1) / 2), uneven * (k % 2)
        parts += [replace(p, mesh=p.mesh.moved(x=x)) for p in lifted(top, lift)]
        cable = stands.stem(top.height + lift - 0.006, ceiling - 0.01, thin).moved(x=x)
        parts += parts_of("tube", made, cable)
    return parts, 1 if uneven and count % 2 == 0 else 2, {"shade": name, "count": count}


def chandelier(rng: Rng, simple: bool) -> Built:
    """Arms about a stem, each with a small shade, a candle or a globe."""
    count, made = rng.choice([3, 4, 5, 6, 8]), stands.stand_material(rng, simple)
    made = any_metal(rng) if made.kind == "stone" else made
    reach, drop = rng.uniform(0.22, 0.4), rng.uniform(0.3, 0.6)
    thin = rng.uniform(0.012, 0.018) if simple else rng.uniform(0.005, 0.009)
    kind = rng.choice(["swan", "straight", "wheel"])
    knots = [[0.0, 0, 0.1], [0.35 * reach, 0, 0.0], [0.75 * reach, 0, -0.02], [reach, 0, 0.08]]
    if kind != "swan":
        knots = [[0.0, 0, 0.06], [reach, 0, 0.06], [reach, 0, 0.085]]
    path = sweeps.catmull_rom(knots, 6) if kind == "swan" else sweeps.filleted(knots, 0.015, 4)
    arms = around(sweeps.tube(path, thin, 10), count, 90.0)
    if kind == "wheel":
        arms.append(sweeps.tube(sweeps.arc(reach, 0, 360, 48, 0.06)[:-1], thin * 1.4, 10, loop=True))
    profile = [
        (0, -0.06),
        (0.018, -0.05),
        (0.03, 0.0),
        (0.018, 0.04),
        (0.034, 0.08),
        (0.02, 0.13),
        (0.012, 0.16),
        (0, 0.165),
    ]
    hub = kit.lathe(np.array(profile) * (1.4 if simple else 1.0), 24)
    ceiling = 0.1 + drop
    cable = stands.stem(0.12, ceiling - 0.01, thin)
    parts = parts_of("tube", made, hub, cable, *arms)
    parts += parts_of("canopy", made, stands.canopy(rng, rng.uniform(0.055, 0.08), ceiling))
    parts += _chandelier_lights(rng, simple, count, reach, float(path[-1, 2]), made)
    return parts, count, {"arms": count, "kind": kind}


def _chandelier_lights(
    rng: Rng, simple: bool, count: int, reach: float, z: float, made: Material
) -> list[Part]:
    """The lights on the ends of the arms: candles, globes or small shades."""
    wide = min(rng.uniform(0.045, 0.075), 0.42 * reach * np.sin(np.pi / count) * 2)
    cup = kit.lathe(kit.rounded_profile([(0.016, -0.006), (0.026, 0.012)], 0.003, 1), 16).moved(x=reach, z=z)
    parts = parts_of("tube", made, *around(cup, count, 90.0))
    kind = rng.choice(["candle", "globe", "empire", "bell"])
    if kind == "candle":
        knots = [(0, 0), (0.012, 0), (0.012, 0.075), (0.009, 0.08), (0.017, 0.1), (0.012, 0.125), (0, 0.15)]
        light = kit.lathe(np.array(knots) * (1.5 if simple else 1.0), 14)
        white = Material("glass", (0.96, 0.94, 0.86), 0.3)
        return parts + parts_of("lampshade", white, *around(light.moved(x=reach, z=z + 0.008), count, 90.0))
    top = shade(rng, kind, wide, wide * 1.3, simple)
    for part in top.parts:
        mesh = part.mesh
        if kind == "empire":
            mesh = mesh.moved(z=0.02)
        if kind == "bell":  # opens upwards
            mesh = mesh.rotated("x", 180).moved(z=top.height - 0.002)
        parts += parts_of("lampshade", part.material, *around(mesh.moved(x=reach, z=z + 0.008), count, 90.0))
    if kind == "empire":
        stub = stands.stem(0.0, 0.02 + top.hold, 0.009).moved(x=reach, z=z + 0.008)
        parts += parts_of("tube", made, *around(stub, count, 90.0))
    return parts


def ceiling(rng: Rng, simple: bool) -> Built:
    """A light close under the ceiling: a bowl or a drum on a broad canopy."""
    radius, made = rng.uniform(0.14, 0.24), any_metal(rng)
    kind = rng.choice(["bowl", "drum", "disc", "globe"])
    opal = Material("glass", (0.96, 0.95, 0.91), 0.2)
    if kind == "globe":
        radius *= 0.7
        body, depth = kit.lathe(_sphere(radius), 36), 2 * radius
    elif kind == "bowl":
        depth = radius * rng.uniform(0.35, 0.6)
        t = np.linspace(0, np.pi / 2, 12)
        curve = np.stack([radius * np.sin(t), depth * (1 - np.cos(t))], 1)
        body = kit.lathe(np.concatenate([curve, [[0.0, depth]]]), 40)
    else:
        depth = rng.uniform(0.09, 0.16) if kind == "drum" else rng.uniform(0.04, 0.07)
        body = kit.lathe(kit.rounded_profile([(radius, 0), (radius, depth)], 0.25 * depth, 4), 40)
    share = rng.uniform(0.5, 1.08) if kind != "globe" else rng.uniform(0.5, 0.7)
    neck = rng.choice([0.0, rng.uniform(0.04, 0.12)])
    plate = kit.lathe(kit.rounded_profile([(radius * share, 0), (radius * share, 0.03)], 0.008, 2), 40)
    parts = parts_of("lampshade", opal if rng.chance(0.7) else hood_material(rng, simple), body)
    parts += parts_of("canopy", made, plate.moved(z=depth + neck - 0.004))
    if neck:
        parts += parts_of("tube", made, stands.stem(depth - 0.006, depth + neck, 0.2 * radius))
    return parts, 0, {"shade": kind, "neck": neck > 0}


def _sphere(radius: float) -> np.ndarray:
    """(17,2) profile of a ball that stands on z = 0."""
    t = np.linspace(0, np.pi, 17)
    profile = np.stack([radius * np.sin(t), radius * (1 - np.cos(t))], 1)
    profile[[0, -1], 0] = 0.0
    return profile
