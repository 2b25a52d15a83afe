# SPDX-License-Identifier: GPL-3.0-or-later
"""Lamps that stand and lamps that hang; a hanging lamp's lowest point is at z = 0, its canopy on top.

Parts are those of the ShapeNet part annotation: base (what stands on the floor or table), lampshade (with bulb
and holder), canopy (what covers the ceiling outlet) and tube (stems, arms, cords).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import kit, materials, sweeps
from . import lamp_stands as stands
from .chair_frame import any_metal
from .furniture import on_floor
from .lamp_hanging import Built, ceiling, chandelier, cluster, pendant
from .lamp_shades import hood_material, lifted, shade
from .mesh import Model, around, parts_of
from .rng import Rng

PARTS = ("base", "lampshade", "canopy", "tube")

TYPES = {
    "table": 23.0,
    "floor": 15.0,
    "pendant": 20.0,
    "desk": 11.0,
    "tripod": 7.0,
    "chandelier": 7.0,
    "arc": 5.0,
    "mushroom": 5.0,
    "ceiling": 4.0,
    "globe": 5.0,
    "torch": 3.0,
    "cluster": 3.0,
}
CLOTH = {"drum": 3.0, "empire": 4.0, "flare": 1.5, "square": 1.0, "pleated": 1.0}


def build(rng: Rng) -> Model:
    """One lamp; a jointed or bowed one reaches towards -Y or to the side."""
    kind = rng.weighted(TYPES)
    simple = rng.chance(0.35)
    parts, order, style = BUILDERS[kind](rng, simple)
    return Model(on_floor(parts), order, {"type": kind, "simple": simple, **style})


def _common(*orders: int) -> int:
    """Order of symmetry that all bodies share: their greatest common divisor, 0 for turned ones."""
    return int(np.gcd.reduce(orders))


def table(rng: Rng, simple: bool) -> Built:
    """A vase, a turned column or a block under a cloth shade."""
    height = rng.uniform(0.2, 0.38)
    kind = rng.choice([*stands.BODIES, "turned", "turned", "block", "stem"])
    radius = height * (rng.uniform(0.24, 0.42) if kind != "turned" else rng.uniform(0.2, 0.3))
    made, order = stands.stand_material(rng, simple), 0
    name = rng.weighted({**CLOTH, "dome": 0.8, "cone": 0.8, "bell": 0.8})
    wide = max(radius * rng.uniform(1.15, 1.8), 0.09)
    top = shade(rng, name, wide, wide * rng.uniform(0.9, 1.6), simple)
    thin = rng.uniform(0.011, 0.02) if simple else rng.uniform(0.005, 0.009)
    gap = rng.uniform(-0.05, 0.25) * top.height
    rim = height - min(gap, 0.2 * height) if top.order == 0 else height - gap * 0.5
    low = 0.7 * height
    if kind == "block":
        body = kit.rounded_box(1.2 * radius, 1.2 * radius, height, 0.01 + 0.1 * radius, 2).moved(z=height / 2)
        bodies, order = [body], 4
    elif kind == "stem":
        plate, order = stands.foot(
            rng, rng.choice(["disc", "dome", "step", "square"]), radius, 0.03 if simple else 0.018
        )
        bodies, low = [plate], 0.006
    else:
        bodies = [stands.turned_body(rng, kind, radius, height)]
        if rng.chance(0.3) and kind != "turned":
            plinth, order = stands.foot(rng, rng.choice(["disc", "square"]), 0.9 * radius, 0.02)
            bodies = [plinth, bodies[0].moved(z=0.0195)]
    metal = made if simple or kind == "stem" else any_metal(rng)
    parts = parts_of("base", made, *bodies) + lifted(top, rim)
    parts += parts_of("tube", metal, stands.stem(low, rim + top.hold, thin))
    return parts, _common(order, top.order), {"base": kind, "shade": name}


def floor(rng: Rng, simple: bool) -> Built:
    """A long stem on a plate, a shade on top, a tray on some."""
    name = rng.weighted({**CLOTH, "dome": 1.0, "cone": 1.0})
    wide = rng.uniform(0.16, 0.27)
    top = shade(rng, name, wide, wide * rng.uniform(0.8, 1.5), simple)
    height = rng.uniform(1.1, 1.4) * (0.8 if simple else 1.0)
    thin = rng.uniform(0.018, 0.034) if simple else rng.uniform(0.008, 0.014)
    kind = rng.choice(["disc", "dome", "step", "square", "cross"])
    made = stands.stand_material(rng, simple)
    radius = rng.uniform(0.13, 0.19)
    if kind == "cross":
        order = rng.choice([3, 4])
        arm = sweeps.catmull_rom([[0, 0, 0.09], [0.4 * radius, 0, 0.07], [1.2 * radius, 0, thin]], 4)
        feet = around(sweeps.tube(arm, thin, 10, ends="round"), order, -90.0 if order == 3 else 45.0)
    else:
        plate, order = stands.foot(rng, kind, radius, 0.035 if simple else 0.02)
        feet = [plate]
    rod = [stands.stem(0.01, height + top.hold, thin)]
    if rng.chance(0.15):
        tray = kit.lathe(kit.rounded_profile([(0.17, 0), (0.17, 0.016)], 0.005, 2), 36).moved(z=0.45 * height)
        rod.append(tray)
    parts = parts_of("base", made, *feet) + parts_of("tube", made, *rod) + lifted(top, height)
    return parts, _common(order, top.order), {"base": kind, "shade": name}


def torch(rng: Rng, simple: bool) -> Built:
    """A floor lamp with a bowl that opens upwards."""
    height, radius = rng.uniform(1.35, 1.6), rng.uniform(0.14, 0.2)
    made = stands.stand_material(rng, simple)
    thin = rng.uniform(0.016, 0.028) if simple else rng.uniform(0.009, 0.014)
    plate, order = stands.foot(rng, rng.choice(["disc", "dome", "step"]), rng.uniform(0.13, 0.17), 0.025)
    depth = radius * rng.uniform(0.5, 1.0)
    out = sweeps.catmull_rom(
        [(0.03, 0.0), (0.45 * radius, 0.18 * depth), (0.85 * radius, 0.6 * depth), (radius, depth)], 4
    )
    inner = out[::-1] + [-0.006, 0.0]
    inner[:, 1] = np.maximum(inner[:, 1], 0.012)
    path = [(0.0, 0.0), *out.tolist(), *inner[inner[:, 0] > 0.02].tolist(), (0.0, 0.012)]
    bowl = kit.lathe(np.array(path), 40).moved(z=height)
    parts = parts_of("base", made, plate) + parts_of("tube", made, stands.stem(0.01, height + 0.008, thin))
    return (
        parts + parts_of("lampshade", hood_material(rng, simple), bowl),
        order,
        {"base": "plate", "shade": "bowl"},
    )


def tripod(rng: Rng, simple: bool) -> Built:
    """Three or four slanting legs under a cloth shade, for the floor or a table."""
    tall = rng.chance(0.7)
    height = rng.uniform(0.95, 1.25) if tall else rng.uniform(0.25, 0.38)
    count = rng.choice([3, 3, 3, 4])
    radius = height * (rng.uniform(0.016, 0.026) if simple else rng.uniform(0.009, 0.014)) + 0.004
    made = stands.stand_material(rng, simple)
    legs = stands.tripod(rng, count, height * rng.uniform(0.25, 0.36), height, radius, rng.chance(0.4))
    name = rng.weighted({**CLOTH, "dome": 0.8})
    wide = rng.uniform(0.19, 0.27) if tall else rng.uniform(0.12, 0.18)
    top = shade(rng, name, wide, wide * rng.uniform(0.8, 1.3), simple)
    rim = height + rng.uniform(0.03, 0.12)
    hub = float(legs[0].bounds()[0][2])
    stem = stands.stem(hub + 0.005, rim + top.hold, 0.012 if tall else 0.008)
    parts = parts_of("base", made, *legs) + parts_of("tube", made, stem) + lifted(top, rim)
    return parts, _common(count, top.order), {"base": f"{count} legs", "shade": name}


def mushroom(rng: Rng, simple: bool) -> Built:
    """A dome on a short thick stem, all turned."""
    height, radius = rng.uniform(0.2, 0.36), rng.uniform(0.13, 0.2)
    made = stands.stand_material(rng, simple)
    knots = [(0.55, 0.0), (0.56, 0.04), (0.4, 0.14), (0.26, 0.4), (0.24, 0.8), (0.4, 1.0)]
    if rng.chance(0.4):
        knots = [(0.32, 0.0), (0.4, 0.04), (0.5, 0.35), (0.42, 0.7), (0.3, 1.0)]
    curve = sweeps.catmull_rom(np.array(knots) * [radius, height], 4)
    curve[:, 1] = np.clip(curve[:, 1], 0, height)
    kind = rng.choice(["cap", "cap", "cone"])
    t = np.linspace(0, np.pi / 2, 12)
    cap = np.stack([radius * np.cos(t), radius * rng.uniform(0.55, 0.95) * np.sin(t)], 1)
    if kind == "cone":
        cap = np.array(
            [[radius, 0], [0.93 * radius, 0.04], [0.5 * radius, 0.4 * radius], [0.12 * radius, 0.62 * radius]]
        )
    cap[-1, 0] *= kind == "cone"
    rim = [(0.0, 0.012), (0.85 * radius, 0.012), (0.94 * radius, 0.0)]
    path = [*rim, *cap.tolist(), *([(0.0, float(cap[-1, 1]))] if kind == "cone" else [])]
    hood = kit.lathe(np.array(path), 40).moved(z=height - 0.014)
    top = made if rng.chance(0.35) else hood_material(rng, simple)
    return parts_of("base", made, kit.lathe(curve, 32)) + parts_of("lampshade", top, hood), 0, {"shade": kind}


def globe(rng: Rng, simple: bool) -> Built:
    """A ball or drop of opal glass on a foot or a stem, for the table or the floor."""
    tall = rng.chance(0.35)
    height = rng.uniform(0.9, 1.3) if tall else rng.choice([0.03, rng.uniform(0.08, 0.24)])
    radius = rng.uniform(0.1, 0.17)
    name = rng.choice(["globe", "globe", "drop", "lantern"])
    top = shade(rng, name, radius, radius * rng.uniform(1.8, 2.6), simple)
    made = stands.stand_material(rng, simple)
    plate, order = stands.foot(
        rng, rng.choice(["disc", "step", "dome", "square"]), radius * rng.uniform(0.6, 0.95), 0.022
    )
    collar = kit.lathe(
        kit.rounded_profile([(0.3 * radius, 0), (0.45 * radius, 0.05 + 0.1 * radius)], 0.004, 2), 32
    )
    thin = rng.uniform(0.016, 0.03) if simple else rng.uniform(0.007, 0.014)
    parts = parts_of("base", made, plate) + parts_of("tube", made, stands.stem(0.008, height + 0.03, thin))
    parts += parts_of("lampshade", made, collar.moved(z=height + 0.01)) + lifted(top, height + 0.025)
    return parts, order, {"shade": name, "tall": tall}


def desk(rng: Rng, simple: bool) -> Built:
    """An arm of one, two or three pieces with a hood at its end, reaching towards -Y."""
    made = stands.stand_material(rng, simple)
    made = materials.paint(rng, made.color, 0.35) if made.kind in ("wood", "stone") else made
    thin = rng.uniform(0.012, 0.018) if simple else rng.uniform(0.005, 0.009)
    radius = rng.uniform(0.085, 0.12)
    plate, _ = stands.foot(
        rng, rng.choice(["disc", "disc", "dome", "step", "square"]), radius, 0.03 if simple else 0.02
    )
    kind = rng.choice(["jointed", "jointed", "jointed", "gooseneck", "straight"])
    scale = 2.6 if rng.chance(0.18) else 1.0
    points = _arm(rng, kind) * scale
    start = np.array([0.0, 0.0, 0.01])
    parts = parts_of("base", made, plate.scaled(scale**0.5, scale**0.5, 1.0))
    path = np.concatenate([[start], points])
    thin *= scale**0.4
    if kind == "gooseneck":
        meshes = [sweeps.tube(sweeps.catmull_rom(path, 6), thin * 1.2, 12)]
    else:
        meshes = [stands.rod(path[k : k + 2], thin) for k in range(len(path) - 1)]
        meshes += [stands.joint(p, 2.0 * thin, 3.4 * thin) for p in path[1:]]
        if kind == "jointed" and rng.chance(0.4):
            meshes += [m.moved(x=2.2 * thin) for m in meshes[1:3]]
    name = rng.weighted({"cone": 3.0, "dome": 3.0, "bell": 1.5, "cylinder": 1.5})
    wide = rng.uniform(0.065, 0.1) * scale**0.4
    hood = shade(rng, name, wide, wide * rng.uniform(1.0, 1.8), simple)
    tilt = rng.uniform(-50, 5)
    for part in hood.parts:
        mesh = part.mesh.moved(z=-hood.height + 0.004).rotated("x", tilt)
        parts.append(replace(part, mesh=mesh.moved(*(float(v) for v in path[-1]))))
    return parts + parts_of("tube", made, *meshes), 1, {"arm": kind, "shade": name}


def _arm(rng: Rng, kind: str) -> np.ndarray:
    """(N,3) joints of an arm above the foot, the last one at the hood."""
    if kind == "gooseneck":
        h, r = rng.uniform(0.3, 0.4), rng.uniform(0.16, 0.24)
        return np.array([[0, 0.01, 0.5 * h], [0, 0.0, h], [0, -0.45 * r, h + 0.09], [0, -r, h + 0.05]])
    if kind == "straight":
        h = rng.uniform(0.28, 0.4)
        return np.array([[0, 0.0, h], [0, -rng.uniform(0.12, 0.22), h + rng.uniform(-0.03, 0.06)]])
    first, second = np.radians(rng.uniform(95, 130)), np.radians(rng.uniform(20, 60))
    a, b = rng.uniform(0.2, 0.3), rng.uniform(0.2, 0.3)
    elbow = np.array([0, -a * np.cos(first), 0.05 + a * np.sin(first)])
    head = elbow + [0, -b * np.cos(second), b * np.sin(second)]
    return np.array([[0, 0, 0.05], elbow, head])


def arc(rng: Rng, simple: bool) -> Built:
    """A floor lamp on a bowed stem that carries its shade far out to the side."""
    reach, height = rng.uniform(0.7, 1.1), rng.uniform(1.45, 1.9)
    thin = rng.uniform(0.018, 0.028) if simple else rng.uniform(0.009, 0.014)
    made = any_metal(rng) if not simple else stands.stand_material(rng, True)
    t = np.linspace(0, 1, 25)
    turn = np.pi * rng.uniform(0.78, 0.95) * t
    low = rng.uniform(0.3, 0.55) * height
    x = -0.5 * reach * np.cos(turn) + 0.5 * reach - 0.5 * reach
    curve = np.stack([x, 0 * t, low + (height - low) * np.sin(turn)], 1)
    path = np.concatenate([[[curve[0, 0], 0, 0.02]], curve])
    plate, _ = stands.foot(
        rng, rng.choice(["disc", "square", "dome"]), rng.uniform(0.15, 0.2), rng.uniform(0.03, 0.07)
    )
    name = rng.weighted({"dome": 4.0, "drum": 2.0, "empire": 1.0, "globe": 1.5, "bell": 1.0})
    wide = rng.uniform(0.14, 0.22)
    top = shade(rng, name, wide, wide * rng.uniform(0.7, 1.1), simple)
    end = path[-1]
    at = top.hold if name in ("drum", "empire") else top.height - 0.006
    drop = rng.uniform(0.02, 0.08)
    rim = float(end[2]) - drop - at
    parts = parts_of("base", made, plate.moved(x=float(path[0, 0])))
    parts += parts_of("tube", made, sweeps.tube(path, thin, 12, up=(0, 1, 0), ends="round"))
    hanger = sweeps.bar([end[0], 0, end[2] + 0.002], [end[0], 0, rim + at - 0.004], 0.6 * thin)
    parts += parts_of("tube", made, hanger)
    parts += [replace(p, mesh=p.mesh.moved(x=float(end[0]))) for p in lifted(top, rim)]
    if rng.chance(0.5):
        parts = [replace(p, mesh=p.mesh.mirrored("x")) for p in parts]
    return parts, 1, {"shade": name}


BUILDERS = {
    "table": table,
    "floor": floor,
    "pendant": pendant,
    "desk": desk,
    "tripod": tripod,
    "chandelier": chandelier,
    "arc": arc,
    "mushroom": mushroom,
    "ceiling": ceiling,
    "globe": globe,
    "torch": torch,
    "cluster": cluster,
}
