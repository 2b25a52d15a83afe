# SPDX-License-Identifier: GPL-3.0-or-later
"""Arms: planks on posts, bent tubes, padded brackets, Windsor bows, upholstered sides."""

from __future__ import annotations

import numpy as np

from . import kit, sweeps
from .chair_frame import Finish, Frame, beam
from .mesh import Part, both_sides, parts_of
from .rng import Rng

UP = (0.0, 0.0, 1.0)


def build_arms(kind: str, frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """The arms named `kind`, a key of ARMS, or none."""
    return ARMS[kind](frame, finish, rng) if kind != "none" else []


def _rear(frame: Frame, x: float, z: float) -> list[float]:
    """Where an arm at height z meets the back's edge."""
    return frame.back_point(min(x, frame.rear_width / 2 - 0.015), z)


def wooden(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """A straight or curved plank from the back to a post on the seat's side."""
    z = frame.height + rng.uniform(0.19, 0.25)
    front = -frame.depth / 2 + rng.uniform(0.02, 0.12)
    x = frame.half_width(front) + rng.uniform(-0.005, 0.02)
    rear = _rear(frame, x, z)
    middle = [x + rng.uniform(0.0, 0.03), (front + rear[1]) / 2, z + rng.uniform(-0.01, 0.015)]
    path = sweeps.catmull_rom([rear, middle, [x, front - 0.03, z]], 6)
    t = np.linspace(0, 1, len(path))
    broad = rng.uniform(0.035, 0.06) * (0.7 + 0.3 * t)
    section = kit.rounded_rectangle(2, 2, 0.5, 2)
    arm = sweeps.tube(path, np.stack([broad / 2, np.full(len(t), 0.011)], 1), section=section, up=UP)
    foot = [frame.half_width(front) - 0.016, front + rng.uniform(0.0, 0.06), frame.underside + 0.004]
    if rng.chance(0.4):
        post = sweeps.bar(foot, [x, front, z - 0.004], 0.013, 12, rng.choice([0.0, 0.3]))
    else:
        bow = [(foot[0] + x) / 2, (foot[1] + front) / 2 + rng.uniform(-0.03, 0.02), (foot[2] + z) / 2]
        path = sweeps.catmull_rom([foot, bow, [x, front, z - 0.004]], 4)
        post = beam(path, 0.024, 0.028, (0, 1, 0))
    return parts_of("arm", finish.arm, *both_sides(arm), *both_sides(post))


def bent_tube(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """A tube that rises from the seat's side and bends back to the back; pads on top at times."""
    radius, z = rng.uniform(0.009, 0.013), frame.height + rng.uniform(0.18, 0.24)
    front = -frame.depth / 2 + rng.uniform(0.02, 0.1)
    foot = [frame.half_width(front) - 0.01, front + rng.uniform(0.0, 0.08), frame.underside + 0.006]
    x = frame.half_width(front) + rng.uniform(0.01, 0.035)
    path = [foot, [x, front, z], [*_rear(frame, x, z)]]
    tube = sweeps.tube(sweeps.filleted(path, rng.uniform(0.04, 0.1), 8), radius, 12)
    out = parts_of("arm", finish.metal, *both_sides(tube))
    if rng.chance(0.6):
        rear = path[2]
        direction = np.array([rear[0] - x, rear[1] - front])
        length = float(np.hypot(*direction)) * 0.62
        pad = kit.rounded_box(0.042, length, 0.022, 0.009, 3).rotated(
            "z", -np.degrees(np.arctan2(*direction))
        )
        pad = pad.moved((x + rear[0]) / 2, (front + rear[1]) / 2, z + radius * 0.7)
        out += parts_of("arm", finish.arm, *both_sides(pad))
    return out


def bracket(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Office arms: an L or T support from under the seat with a pad on it."""
    z, out = frame.height + rng.uniform(0.18, 0.24), rng.uniform(0.02, 0.05)
    y = frame.depth * rng.uniform(-0.05, 0.08)
    inner, outer = frame.half_width(y) - 0.09, frame.half_width(y) + out
    low = frame.underside - 0.006
    path = sweeps.filleted(
        [[inner, y, low], [outer, y, low], [outer + 0.015, y, z - 0.004]], rng.uniform(0.02, 0.06), 6
    )
    section = kit.rounded_rectangle(2, 2, 0.6, 2)
    size = np.tile([rng.uniform(0.018, 0.03), 0.009], (len(path), 1))
    support = sweeps.tube(path, size[:, ::-1] * [1, 1], section=section, up=(0, 1, 0))
    pad = kit.rounded_box(rng.uniform(0.06, 0.085), rng.uniform(0.22, 0.28), 0.028, 0.012, 3)
    pad = pad.moved(outer + 0.01, y - 0.02, z + 0.008)
    return parts_of("arm", finish.metal, *both_sides(support)) + parts_of("arm", finish.arm, *both_sides(pad))


def loop(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """A closed frame at each side: a rounded rectangle of tube or timber from seat to arm."""
    z, x = frame.height + rng.uniform(0.18, 0.24), frame.half_width(0) + 0.006
    front, rear = -frame.depth / 2 + 0.03, frame.depth / 2 - 0.04
    low = frame.underside + 0.01
    corners = [[x, front, low], [x, rear, low], [x, rear, z], [x, front - 0.02, z]]
    path = sweeps.filleted(corners, 0.05, 6, loop=True)
    material = finish.arm if finish.name in ("wood", "painted") else finish.metal
    radius = 0.014 if material is finish.arm else 0.011
    return parts_of("arm", material, *both_sides(sweeps.tube(path, radius, 12, loop=True)))


def windsor_bow(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """One bent rail around the sitter, on short spindles."""
    z = frame.height + rng.uniform(0.19, 0.24)
    rear, front = float(frame.back_depth(np.array(0.0), np.array(z))) + 0.012, -frame.depth / 2 + 0.08
    half = frame.half_width(0) + 0.03
    t = np.linspace(0, np.pi, 25)
    curve = np.stack(
        [
            half * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** 0.6,
            front + (rear - front) * np.abs(np.sin(t)) ** 0.75,
        ],
        1,
    )
    path = np.concatenate([curve, np.full((25, 1), z)], 1)
    section = kit.rounded_rectangle(2, 2, 0.6, 2)
    rail = sweeps.tube(path, np.tile([0.02, 0.009], (25, 1)), section=section, up=UP)
    spindles = []
    for y in (front + 0.02, front + 0.11, front + 0.2):
        x = float(np.interp(y, curve[:13, 1], curve[:13, 0]))
        foot = [frame.half_width(y) - 0.035, y + 0.01, frame.board_top - 0.012]
        spindles.append(sweeps.bar(foot, [x, y, z], 0.008, 8, 0.3))
    return parts_of("arm", finish.arm, rail, *(s for m in spindles for s in both_sides(m)))


def flat_board(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Garden chair: a broad flat board on a front post."""
    z, width = frame.height + rng.uniform(0.2, 0.26), rng.uniform(0.06, 0.1)
    front = -frame.depth / 2 - 0.03
    x = frame.half_width(0) + 0.012
    rear = frame.back_point(x, z)[1] + 0.05
    arm = kit.rounded_box(width, rear - front, 0.02, 0.005, 2).moved(x + 0.01, (rear + front) / 2, z + 0.01)
    low = frame.underside + 0.004
    post = kit.rounded_box(0.028, 0.05, z - low, 0.003).moved(x, front + 0.07, (z + low) / 2 + 0.003)
    back_post = kit.rounded_box(0.028, 0.05, z - low, 0.003).moved(
        x, frame.depth / 2 - 0.05, (z + low) / 2 + 0.003
    )
    return parts_of("arm", finish.arm, *both_sides(arm), *both_sides(post), *both_sides(back_post))


ARMS = {
    "wooden": wooden,
    "tube": bent_tube,
    "bracket": bracket,
    "loop": loop,
    "windsor": windsor_bow,
    "board": flat_board,
}
