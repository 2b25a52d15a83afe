# SPDX-License-Identifier: GPL-3.0-or-later
"""What a chair stands on: legs and stretchers, pedestals, star bases, sleds, cantilevers, rockers."""

from __future__ import annotations

import numpy as np

from . import kit, materials, sweeps
from .chair_frame import Finish, Frame, Stance, beam, post
from .mesh import Mesh, Part, around, both_sides, parts_of
from .rng import Rng


def corner_stance(frame: Frame, inset: float, splay: float, rear_splay: float, bow: float = 0.0) -> Stance:
    """Four legs: front left, front right, rear right, rear left; splay in metres outwards at the floor."""
    y0, y1 = -frame.depth / 2 + inset, frame.depth / 2 - inset
    x0, x1 = frame.half_width(y0) - inset, frame.half_width(y1) - inset
    if frame.outline == "round":
        x0 = x1 = 0.68 * (frame.width / 2 - inset)
        y0, y1 = -0.68 * (frame.depth / 2 - inset), 0.68 * (frame.depth / 2 - inset)
    top = np.array([[-x0, y0], [x0, y0], [x1, y1], [-x1, y1]])
    shift = np.array(
        [[-splay, -splay], [splay, -splay], [0.6 * splay, rear_splay], [-0.6 * splay, rear_splay]]
    )
    return Stance(top, top + shift, frame.underside + 0.01, bow)


def leg_shape(rng: Rng, style: str, height: float, size: float) -> Mesh:
    """One upright leg of a named style, foot at z = 0."""
    if style == "turned":
        return turned(rng, height, size)
    if style in ("tube", "dowel"):
        return post(size * (1.0 if style == "tube" else 0.62), size, height, False, 4)
    foot = {"straight": 1.0, "tapered": rng.uniform(0.5, 0.7), "sabre": 0.72}[style]
    return post(size * foot, size, height, True, 6 if style == "sabre" else 1)


def turned(rng: Rng, height: float, size: float) -> Mesh:
    """A lathe-turned leg: foot, vase, rings and a plain top, drawn through random knots."""
    r = size / 2
    knots = [(0.55, 0.0), (0.75, 0.02), (0.5, 0.06)]
    z = 0.1
    while z < 0.68:
        knots += [(rng.uniform(0.55, 0.75), z), (rng.uniform(0.85, 1.1), z + rng.uniform(0.05, 0.12))]
        z += rng.uniform(0.18, 0.32)
    knots += [(0.7, 0.8), (1.05, 0.84), (0.72, 0.88), (1.0, 0.93), (1.0, 1.0)]
    profile = np.array(sorted(knots, key=lambda k: k[1]))
    curve = sweeps.catmull_rom(profile, 4)
    curve[:, 0] = np.maximum(curve[:, 0], 0.4)
    return kit.lathe(curve * [r, height], 14)


def four_legs(
    frame: Frame, finish: Finish, rng: Rng, style: str, splay: float = 0.0
) -> tuple[list[Part], Stance]:
    """Four legs of one style with or without stretchers, and where they stand."""
    size = rng.uniform(0.03, 0.045) if finish.frame.kind != "metal" else rng.uniform(0.018, 0.026)
    if style == "tube":
        size = rng.uniform(0.018, 0.028)
    bow = -rng.uniform(0.012, 0.03) if style == "sabre" else 0.0
    rear = splay + (rng.uniform(0.02, 0.08) if rng.chance(0.6) else 0.0)
    inset = size / 2 + (0.006 if splay == 0 else rng.uniform(0.01, 0.05))
    stance = corner_stance(frame, inset, splay, rear, bow)
    leg = leg_shape(rng, style, stance.height, size)
    meshes = [stance.placed(k, leg) for k in range(4)]
    if frame.height < 0.6 and style == "sabre":
        return parts_of("leg", finish.frame, *meshes), stance
    pattern = rng.weighted({"none": 5, "box": 2.5, "H": 2.5, "sides": 1.5, "X": 0.8})
    if frame.height > 0.58:
        pattern = "box"
    meshes += stretchers(stance, pattern, rng, size * 0.7, style in ("straight", "tapered"))
    return parts_of("leg", finish.frame, *meshes), stance


def stretchers(stance: Stance, pattern: str, rng: Rng, size: float, square: bool) -> list[Mesh]:
    """Bars between four legs: "none", "sides", "H", "box" or "X"."""
    low = rng.uniform(0.10, 0.20) * stance.height / 0.45
    high = low + rng.uniform(0.02, 0.07)

    def link(a: list[float], b: list[float]) -> Mesh:
        if square:
            return sweeps.plank(a, b, size * 0.8, size * 1.3)
        return sweeps.bar(a, b, size / 2, 10, rng.choice([0.0, 0.35]))

    sides = [link(stance.at(0, low), stance.at(3, low)), link(stance.at(1, low), stance.at(2, low))]
    if pattern == "none":
        return []
    if pattern == "X":
        return [link(stance.at(0, low), stance.at(2, low)), link(stance.at(1, low), stance.at(3, low))]
    if pattern == "H":
        ends = [np.mean([stance.at(a, low), stance.at(b, low)], 0).tolist() for a, b in ((0, 3), (1, 2))]
        return [*sides, link(*ends)]
    if pattern == "box":
        return [
            *sides,
            link(stance.at(0, high), stance.at(1, high)),
            link(stance.at(3, high), stance.at(2, high)),
        ]
    return sides


def hairpin(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Four bent-wire legs, each a narrow V with a round foot."""
    radius, spread = rng.uniform(0.005, 0.007), rng.uniform(0.09, 0.13)
    stance = corner_stance(frame, 0.06, 0.045, 0.06)
    meshes = []
    for k in range(4):
        top, foot = np.array(stance.at(k, frame.underside + 0.004)), np.array(stance.at(k, radius))
        side = np.array([-np.sign(top[0]) * spread, 0, 0])
        back = np.array([0, -np.sign(top[1]) * spread, 0])
        path = sweeps.filleted(np.stack([top + side, foot, top + back]), 0.02, 6)
        low, high = path[:, 2].min(), path[:, 2].max()  # the bend cuts the corner: draw it to the floor
        path[:, 2] = radius + (path[:, 2] - low) * (high - radius) / (high - low)
        meshes.append(sweeps.tube(path, radius, 8))
    return parts_of("leg", finish.metal, *meshes)


def eiffel(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Splayed dowels tied by crossed thin rods."""
    stance = corner_stance(frame, 0.10, rng.uniform(0.06, 0.1), rng.uniform(0.06, 0.1))
    legs = [stance.placed(k, leg_shape(rng, "dowel", stance.height, 0.034)) for k in range(4)]
    rods = []
    for a, b in ((0, 1), (1, 2), (2, 3), (3, 0)):
        rods.append(sweeps.bar(stance.at(a, 0.17), stance.at(b, frame.underside), 0.004, 8))
        rods.append(sweeps.bar(stance.at(b, 0.17), stance.at(a, frame.underside), 0.004, 8))
    return parts_of("leg", finish.frame, *legs) + parts_of("leg", finish.metal, *rods)


def pedestal(frame: Frame, finish: Finish, rng: Rng, foot: str) -> list[Part]:
    """A column on a "round", "trumpet" or "square" foot."""
    radius = rng.uniform(0.42, 0.52) * min(frame.width, frame.depth) + 0.03
    stem, top = rng.uniform(0.022, 0.035), frame.underside + 0.005
    if foot == "trumpet":
        knots = [(radius, 0.0), (radius, 0.008), (0.62 * radius, 0.03), (0.2 * radius + stem, 0.10)]
        knots += [(stem, 0.5 * top), (stem * 1.4, 0.88 * top), (stem * 2.6, top)]
        curve = sweeps.catmull_rom(knots[1:], 5)
        return parts_of("leg", finish.frame, kit.lathe(np.concatenate([[knots[0]], curve]), 32))
    plate = kit.rounded_profile([(radius, 0.0), (radius, 0.012), (stem * 1.5, 0.028)], 0.006, 2)
    base = kit.lathe(plate, 40)
    if foot == "square":
        base = kit.rounded_box(1.8 * radius, 1.8 * radius, 0.022, 0.006, 3).moved(z=0.011)
    column = kit.lathe(kit.rounded_profile([(stem, 0.01), (stem, top - 0.02), (stem * 3, top)], 0.004, 1), 24)
    return parts_of("leg", finish.frame, base, column)


def footrest(finish: Finish, radius: float, z: float, stem: float = 0.0) -> list[Part]:
    """A ring to rest the feet on; with `stem` > 0 also the spokes to the column."""
    ring = sweeps.tube(sweeps.arc(radius, 0, 360, 40, z)[:-1], 0.011, 10, loop=True)
    spokes = around(sweeps.bar([0, 0, z], [radius, 0, z], 0.008), 4, 45) if stem else []
    return parts_of("leg", finish.metal, ring, *spokes)


def star(frame: Frame, finish: Finish, rng: Rng, arms: int, casters: bool) -> list[Part]:
    """A column on spokes with casters or glides; exactly `arms`-fold about Z."""
    reach = rng.uniform(0.27, 0.32) * (0.85 if arms < 5 else 1.0)
    hub, foot = 0.085 if casters else 0.06, 0.066 if casters else 0.016
    spoke_path = sweeps.catmull_rom(
        [[0.02, 0, hub + 0.03], [0.4 * reach, 0, hub + 0.012], [reach, 0, foot + 0.01]], 4
    )
    t = np.linspace(1, 0, len(spoke_path))
    size = np.stack([0.014 + 0.012 * t, 0.009 + 0.012 * t], 1)
    section = kit.rounded_rectangle(2, 2, 0.7, 2)
    spoke = sweeps.tube(spoke_path, size, section=section, up=(0, 0, 1), ends="round")
    start = 360.0 / arms / 2 - 90
    meshes = around(spoke, arms, start)
    top = frame.underside + 0.01
    sleeve = 0.45 * (top - hub) + hub
    cover = kit.rounded_profile(
        [(0.042, hub - 0.02), (0.032, hub + 0.06), (0.028, sleeve), (0.016, sleeve + 0.01), (0.016, top)],
        0.004,
        1,
    )
    meshes.append(kit.lathe(cover, 24))
    out = parts_of("leg", finish.frame, *meshes)
    plate = kit.cylinder(0.09, 0.02, 0.004).moved(z=frame.underside - 0.006)
    return out + parts_of("leg", finish.frame, plate) + _feet(rng, arms, start, reach, foot, casters)


def _feet(rng: Rng, arms: int, start: float, reach: float, foot: float, casters: bool) -> list[Part]:
    """Twin-wheel casters or glides under the ends of star spokes."""
    dark = materials.plastic(rng, (0.08, 0.08, 0.085))
    if not casters:
        glide = kit.cylinder(0.018, foot + 0.012, 0.004, 16).moved(reach - 0.008, 0, (foot + 0.012) / 2)
        return parts_of("leg", dark, *around(glide, arms, start))
    wheel = kit.cylinder(0.026, 0.016, 0.006, 18, 2).rotated("x", 90)
    stem = kit.cylinder(0.008, 0.05, 0.001, 10).moved(z=0.05)
    hood = kit.rounded_box(0.04, 0.018, 0.026, 0.006, 2).moved(z=0.04)
    meshes = [wheel.moved(0, 0.016, 0.026), wheel.moved(0, -0.016, 0.026), stem, hood]
    return parts_of("leg", dark, *(m for w in meshes for m in around(w.moved(x=reach - 0.006), arms, start)))


def sled(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Two bent tubes that run along the floor, joined under the seat and by floor rods."""
    radius = rng.uniform(0.009, 0.013)
    x, top = frame.rear_width / 2 - rng.uniform(0.01, 0.05), frame.underside - radius + 0.006
    front, rear = -frame.depth / 2 + 0.04, frame.depth / 2 - 0.04
    out_front, out_rear = rng.uniform(-0.02, 0.05), rng.uniform(0.02, 0.09)
    corners = [[x, rear, top], [x, front, top], [x, front - out_front, radius], [x, rear + out_rear, radius]]
    side = sweeps.tube(sweeps.filleted(corners, rng.uniform(0.03, 0.07), 6, loop=True), radius, 12, loop=True)
    cross = [
        sweeps.bar([-x, y, z], [x, y, z], radius * 0.9) for y, z in ((front + 0.08, top), (rear - 0.08, top))
    ]
    if rng.chance(0.5):
        cross.append(
            sweeps.bar(
                [-x, rear + out_rear - 0.08, radius], [x, rear + out_rear - 0.08, radius], radius * 0.9
            )
        )
    return parts_of("leg", finish.metal, *both_sides(side), *cross)


def cantilever(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """One bent tube: under the seat from the rear, down in front, back along the floor and across."""
    radius = rng.uniform(0.011, 0.014)
    x, top = frame.rear_width / 2 - 0.012, frame.underside - radius + 0.006
    front, rear = -frame.depth / 2 + 0.02, frame.depth / 2 - 0.01
    swing = rng.uniform(0.0, 0.06)
    half = [
        [x, rear, top],
        [x, front, top],
        [x, front + swing, radius],
        [x, rear + rng.uniform(0, 0.05), radius],
    ]
    whole = half + [[-p[0], p[1], p[2]] for p in half[::-1]]
    tube = sweeps.tube(sweeps.filleted(whole, rng.uniform(0.05, 0.09), 7), radius, 12)
    cross = sweeps.bar([-x, 0.3 * rear, top], [x, 0.3 * rear, top], radius * 0.8)
    return parts_of("leg", finish.metal, tube, cross)


def slab_sides(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Two upright boards under the seat, with a rail between them."""
    depth, thick = frame.depth * rng.uniform(0.75, 0.95), rng.uniform(0.022, 0.035)
    x, height = frame.rear_width / 2 - thick, frame.underside + 0.004
    cut = rng.uniform(0.15, 0.3) * depth
    feet = [
        [-depth / 2, 0],
        [-depth / 2 + cut, 0],
        [-depth / 2 + cut * 1.3, 0.06],
        [depth / 2 - cut * 1.3, 0.06],
    ]
    outline = [*feet, [depth / 2 - cut, 0], [depth / 2, 0], [depth / 2, height], [-depth / 2, height]]
    side = kit.extrude(outline, thick, 0.003, 1, grain="y").rotated("x", 90).rotated("z", 90).moved(x=x)
    rail = kit.rounded_box(2 * x, 0.02, 0.08, 0.003).moved(z=height * 0.62)
    return parts_of("leg", finish.frame, *both_sides(side), rail)


def crossed(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Folding legs that cross at the sides, with floor bars."""
    size = rng.uniform(0.022, 0.032)
    x, top = frame.rear_width / 2 - size, frame.underside + 0.004
    front, rear = -frame.depth / 2 + 0.02, frame.depth / 2 - 0.02
    one = beam(np.array([[x, front, 0.004], [x, rear, top]]), 0.6 * size, size, (0, 0, 1))
    two = beam(np.array([[x - size, rear, 0.004], [x - size, front, top]]), 0.6 * size, size, (0, 0, 1))
    bars = [
        sweeps.plank([-x, y, z], [x, y, z], size * 0.7, size)
        for y, z in ((front + 0.05, 0.06), (rear - 0.05, 0.06))
    ]
    bolt = kit.cylinder(0.008, size * 2.2, 0.002, 12).rotated("y", 90).moved(x - size / 2, 0, top / 2)
    return parts_of("leg", finish.frame, *both_sides(one), *both_sides(two), *bars) + parts_of(
        "leg", finish.metal, *both_sides(bolt)
    )


def rockers(stance: Stance, finish: Finish, rng: Rng) -> list[Part]:
    """Two curved runners under four legs whose feet stand at z = 0."""
    reach, drop = rng.uniform(0.12, 0.2), rng.uniform(0.03, 0.05)
    y0, y1 = stance.bottom[0][1] - reach * 0.6, stance.bottom[2][1] + reach
    x = (stance.bottom[1][0] + stance.bottom[2][0]) / 2
    t = np.linspace(-1, 1, 17)
    path = np.stack([np.full(17, x), (y0 + y1) / 2 + t * (y1 - y0) / 2, drop * (t**2 - 0.25) + 0.006], 1)
    return parts_of("leg", finish.frame, *both_sides(beam(path, 0.03, 0.036, (0, 0, 1), 0.25)))


def short_legs(frame: Frame, finish: Finish, rng: Rng, height: float) -> list[Part]:
    """Stub legs, a recessed plinth or a floor frame under an upholstered body whose base is at `height`."""
    kind = rng.choice(["tapered", "block", "plinth", "round"])
    x, y = frame.width / 2 - 0.05, frame.depth / 2 - 0.05
    if kind == "plinth":
        base = kit.rounded_box(2 * x, 2 * y, height + 0.01, 0.004).moved(z=(height + 0.01) / 2)
        return parts_of("leg", finish.frame, base)
    foot = {"tapered": 0.6, "block": 1.0, "round": 0.55}[kind]
    leg = post(0.05 * foot, 0.05, height + 0.01, kind != "round")
    return parts_of("leg", finish.frame, *(leg.moved(sx * x, sy * y) for sx in (-1, 1) for sy in (-1, 1)))
