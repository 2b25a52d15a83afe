# SPDX-License-Identifier: GPL-3.0-or-later
"""Backs: medallions, pads, tubes and office backs; and the table of every kind of back."""

from __future__ import annotations

import itertools

import numpy as np

from . import chair_backs_wood as wood
from . import kit, sweeps
from .chair_backs_wood import FORWARD, wrapped
from .chair_frame import Finish, Frame, beam
from .mesh import Part, both_sides, parts_of
from .rng import Rng


def medallion(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """An oval or shield-shaped upholstered back in a wooden ring, on two stems."""
    gap = rng.uniform(0.03, 0.08)
    height = frame.back_height - gap
    width = min(frame.rear_width * 0.98, height * 1.05)
    middle = frame.top - height / 2
    outline = kit.superellipse(width, height, rng.choice([2.0, 2.6, 4.0]), 40)
    ring = sweeps.tube(frame.back_path(outline + [0, middle]), 0.015, 10, loop=True)
    pad = kit.cushion(width - 0.01, height - 0.01, 0.05, 2.2, 2.4, 36)
    stem_x = width * 0.3
    foot, head = (
        frame.back_point(stem_x, frame.underside + 0.005),
        frame.back_point(stem_x, middle - 0.42 * height),
    )
    stem = beam(np.array([foot, head]), 0.028, 0.028, FORWARD)
    return parts_of("back", finish.frame, ring, *both_sides(stem)) + parts_of(
        "back", finish.pad, frame.on_back(pad, middle)
    )


def padded(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """An upholstered slab on posts, with or without a gap above the seat."""
    gap = rng.choice([0.01, 0.01, 0.06, 0.12])
    height = frame.back_height - gap
    power, edge = rng.uniform(3.5, 8), rng.uniform(2.2, 3.5)
    width, thick = frame.rear_width * rng.uniform(0.92, 1.0), rng.uniform(0.04, 0.07)
    pad = frame.on_back(kit.cushion(width, height, thick, power, edge, 40), frame.top - height / 2)
    half = width / 2 - 0.05
    size = rng.uniform(0.024, 0.032)
    path_top = frame.top - height * rng.uniform(0.3, 0.6)
    z = np.linspace(frame.underside + 0.005, path_top, 8)
    path = frame.back_path(np.stack([np.full(8, half), z], 1)) + [0, 0.008, 0]
    post = beam(path, size, size, FORWARD)
    if finish.name in ("metal", "plastic"):
        post = sweeps.tube(path, 0.011, 12)
    material = finish.metal if finish.name in ("metal", "plastic") else finish.frame
    return parts_of("back", finish.pad, pad) + parts_of("back", material, *both_sides(post))


def tubular(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """A bent-tube frame with a panel, a pad or bars stretched inside it."""
    radius, half = rng.uniform(0.009, 0.013), frame.rear_width / 2 - 0.012
    z0 = frame.underside - 0.004
    arch = sweeps.filleted(
        [[-half, z0, 0], [-half, frame.top, 0], [half, frame.top, 0], [half, z0, 0]],
        rng.uniform(0.03, 0.12),
        8,
    )
    path = frame.back_path(np.concatenate([_dense(arch[:, :2])]))
    out = parts_of("back", finish.metal, sweeps.tube(path, radius, 12))
    kind = rng.choice(["panel", "panel", "pad", "bars"])
    low = frame.board_top + frame.back_height * rng.uniform(0.15, 0.5)
    if kind == "bars":
        z = np.linspace(low, frame.top - 0.06, rng.integer(2, 4))
        t = np.linspace(-half, half, 11)
        return out + parts_of(
            "back",
            finish.metal,
            *(sweeps.tube(frame.back_path([(x, h) for x in t]), radius * 0.8, 10) for h in z),
        )
    height = frame.top - low - 0.03
    if kind == "pad":
        pad = kit.cushion(2 * half - 0.006, height, 0.036, 7, 3, 40)
        return out + parts_of("back", finish.pad, frame.on_back(pad, low + height / 2))
    grid = kit.squircle_grid(2 * half + 2 * radius, height, rng.choice([0.05, 0.15]), 9, 13)
    return out + parts_of(
        "back", finish.back, wrapped(frame, grid, low + height / 2, 0.012).moved(y=-radius * 0.6)
    )


def _dense(path: np.ndarray, step: float = 0.05) -> np.ndarray:
    """The polyline with points added so that no edge is longer than `step`."""
    out = [path[:1]]
    for a, b in itertools.pairwise(path):
        count = max(int(np.ceil(np.hypot(*(b - a)) / step)), 1)
        out.append(a + (b - a) * np.linspace(0, 1, count + 1)[1:, None])
    return np.concatenate(out)


def office(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """A contoured pad or mesh on a spine that comes from under the seat; sometimes with a headrest."""
    gap = rng.uniform(0.04, 0.14)
    height = frame.back_height - gap
    middle, width = frame.top - height / 2, frame.rear_width * rng.uniform(0.85, 1.0)
    thin = rng.chance(0.4)
    if thin:
        grid = kit.squircle_grid(width, height, rng.uniform(0.15, 0.5), 13, 13)
        rest = parts_of("back", finish.pad, wrapped(frame, grid, middle, 0.016))
    else:
        pad = kit.cushion(width, height, rng.uniform(0.05, 0.09), rng.uniform(3, 5), 2.4, 36)
        rest = parts_of("back", finish.pad, frame.on_back(pad, middle))
    rise = np.linspace(frame.board_top + 0.02, middle + 0.1 * height, 6)
    upper = frame.back_path(np.stack([0 * rise, rise], 1)) + [0, 0.014 if thin else 0.024, 0]
    low = frame.underside - 0.012
    spine = sweeps.filleted([[0, 0.02, low], [0, upper[0, 1], low], *upper], 0.03, 5)
    section = kit.rounded_rectangle(2, 2, 0.6, 2)
    size = np.tile([0.032, 0.008], (len(spine), 1))
    rest += parts_of("back", finish.metal, sweeps.tube(spine, size, section=section, up=(0.0, -0.7, 0.7)))
    if rng.chance(0.3):
        head = kit.cushion(width * 0.6, 0.13, 0.05, 4, 2.4, 28)
        z_head = frame.top + 0.09
        neck = sweeps.bar(frame.back_point(0, frame.top - 0.06), frame.back_point(0, z_head), 0.012)
        rest += parts_of("back", finish.pad, frame.on_back(head, z_head)) + parts_of(
            "back", finish.metal, neck
        )
    return rest


FILLS = {
    "slats": wood.fill_slats,
    "ladder": wood.fill_ladder,
    "cross": wood.fill_cross,
    "spindles": wood.fill_spindles,
    "framed_panel": wood.fill_panel,
}
WHOLE = {
    "panel": wood.panel,
    "bow": wood.bow,
    "comb": wood.comb,
    "bentwood": wood.bentwood,
    "medallion": medallion,
    "padded": padded,
    "tubular": tubular,
    "office": office,
    "boards": wood.horizontal_boards,
    "fan": wood.fan_boards,
}


def build_back(kind: str, frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """The back named `kind`, a key of FILLS or WHOLE."""
    if kind in FILLS:
        return wood.framed(frame, finish, rng, FILLS[kind])
    return WHOLE[kind](frame, finish, rng)
