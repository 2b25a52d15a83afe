# SPDX-License-Identifier: GPL-3.0-or-later
"""Backs of wood: frames with slats, ladders, crosses or spindles, panels, hoops, boards."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import kit, sweeps
from .chair_frame import Finish, Frame, beam
from .mesh import Mesh, Part, both_sides, parts_of
from .rng import Rng

UP, FORWARD = (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)


def posts(
    frame: Frame, rng: Rng, size: float, half: float, top: float, round_post: bool = False
) -> list[Mesh]:
    """Two uprights on the back surface from below the seat to `top`."""
    z = np.linspace(frame.underside + 0.005, top, 8)
    taper = np.linspace(1.0, rng.uniform(0.65, 1.0), 8)
    path = frame.back_path(np.stack([np.full(8, half), z], 1))
    if round_post:
        return both_sides(sweeps.tube(path, size / 2 * taper, 12, ends="round"))
    return both_sides(beam(path, size * 0.9, size * taper, FORWARD, 0.15))


def rail(frame: Frame, half: float, z: float, height: float, thick: float, crown: float = 0.0) -> Mesh:
    """A board across the back at height z; crown: how far its upper edge rises in the middle."""
    x = np.linspace(-half, half, 13)
    lift = crown * (1 - (x / half) ** 2)
    path = frame.back_path(np.stack([x, z + lift / 2], 1))
    return beam(path, thick, height + lift, UP, 0.15)


def framed(frame: Frame, finish: Finish, rng: Rng, fill: Callable[..., list[Mesh]]) -> list[Part]:
    """Two posts, a crest rail, and what `fill(frame, rng, half, z0, z1)` puts between them."""
    size = rng.uniform(0.026, 0.038)
    half = frame.rear_width / 2 - size / 2 - rng.uniform(0.0, 0.02)
    crest = rng.uniform(0.04, 0.09)
    over = rng.chance(0.4)  # the crest sits on the posts, or between them
    top = frame.top - (crest * 0.6 if over else 0.0)
    crown = rng.uniform(0.01, 0.035) if rng.chance(0.5) else 0.0
    meshes = posts(frame, rng, size, half, top, rng.chance(0.3))
    reach = half + (size / 2 + rng.uniform(0.0, 0.02) if over else 0.0)
    meshes.append(rail(frame, reach, frame.top - crest / 2, crest, size * (0.75 if over else 0.6), crown))
    meshes += fill(frame, rng, half, frame.board_top, frame.top - crest)
    return parts_of("back", finish.back, *meshes)


def fill_slats(frame: Frame, rng: Rng, half: float, z0: float, z1: float) -> list[Mesh]:
    """Upright slats between the crest and a lower rail, or one wide splat."""
    low = z0 + rng.uniform(0.04, 0.12)
    count = rng.choice([1, 3, 3, 4, 5, 5, 6, 7])
    share = {1: rng.uniform(0.28, 0.42)}.get(count, rng.uniform(0.3, 0.55))
    width = 2 * half / max(count, 1) * share if count > 1 else 2 * half * share
    meshes = [rail(frame, half, low, rng.uniform(0.025, 0.04), 0.016)]
    waist = rng.uniform(0.0, 0.35) if count == 1 else rng.uniform(0.0, 0.12)
    for k in range(count):
        x = (k - (count - 1) / 2) * 2 * half / (count + 0.15)
        z = np.linspace(low, z1 + 0.015, 9)
        t = np.linspace(-1, 1, 9)
        widths = width * (1 - waist * np.cos(t * np.pi / 2) ** 2)
        path = frame.back_path(np.stack([np.full(9, x), z], 1))
        meshes.append(
            sweeps.tube(path, np.stack([widths / 2, np.full(9, 0.006)], 1), section=SLAT, up=FORWARD)
        )
    return meshes


SLAT = np.array([[0.92, -1], [1, -0.5], [1, 0.5], [0.92, 1], [-0.92, 1], [-1, 0.5], [-1, -0.5], [-0.92, -1]])


def fill_ladder(frame: Frame, rng: Rng, half: float, z0: float, z1: float) -> list[Mesh]:
    """Two to four cross rails, flat or crowned."""
    count = rng.integer(1, 4)
    height = rng.uniform(0.03, 0.06) if count > 2 else rng.uniform(0.04, 0.09)
    crown = rng.uniform(0.008, 0.02) if rng.chance(0.4) else 0.0
    start = z0 + rng.uniform(0.05, 0.12)
    gap = (z1 - start) / count
    height = min(height, gap * 0.7)
    return [rail(frame, half, start + (k + 0.4) * gap, height, 0.016, crown) for k in range(count)]


def fill_cross(frame: Frame, rng: Rng, half: float, z0: float, z1: float) -> list[Mesh]:
    """Two curved diagonals and a lower rail."""
    low = z0 + rng.uniform(0.03, 0.1)
    t = np.linspace(-1, 1, 15)
    bow = rng.uniform(0.0, 0.45)
    x = half * (t * (1 - bow) + bow * t**3)
    path = frame.back_path(np.stack([x, (low + z1) / 2 + t * (z1 - low + 0.02) / 2], 1))
    cross = beam(path, rng.uniform(0.012, 0.018), rng.uniform(0.022, 0.034), FORWARD, 0.2)
    return [cross.moved(y=-0.004), cross.mirrored("x").moved(y=0.004), rail(frame, half, low, 0.026, 0.016)]


def fill_spindles(frame: Frame, rng: Rng, half: float, z0: float, z1: float) -> list[Mesh]:
    """Thin turned uprights from the seat to the crest."""
    count = rng.integer(5, 9)
    radius = rng.uniform(0.006, 0.009)
    bulge = rng.uniform(0.2, 0.6)
    out = []
    for k in range(count):
        x = (k - (count - 1) / 2) * 2 * half / (count + 0.3)
        start, end = frame.back_point(x * 0.92, z0 - 0.01), frame.back_point(x, z1 + 0.02)
        out.append(sweeps.bar(start, end, radius, 8, bulge))
    return out


def fill_panel(frame: Frame, rng: Rng, half: float, z0: float, z1: float) -> list[Mesh]:
    """A thin board or woven panel between the posts."""
    low = z0 + rng.choice([0.03, 0.1, 0.18])
    low = min(low, z1 - 0.12)
    grid = kit.squircle_grid(2 * half, z1 - low + 0.02, 0.0, 7, 11)
    return [wrapped(frame, grid, (low + z1) / 2, rng.uniform(0.012, 0.018))]


def wrapped(frame: Frame, grid: np.ndarray, z: float, thickness: float | np.ndarray) -> Mesh:
    """A sheet over a flat grid (R,C,2) laid on the back, its origin at height z."""
    height = grid[..., 1] + z
    return kit.sheet(
        np.stack([grid[..., 0], frame.back_depth(grid[..., 0], height), height], -1), thickness, 4
    )


def panel(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """One moulded board: rounded or nearly square, whole or held above the seat by two stems."""
    gap = rng.choice([0.0, 0.0, rng.uniform(0.06, 0.2)])
    z0 = frame.underside + 0.005 if gap == 0 else frame.board_top + gap
    z0 = min(z0, frame.top - 0.16)
    roundness = rng.choice([0.05, 0.2, 0.5, 0.9])
    widen = rng.uniform(0.88, 1.04)
    grid = kit.squircle_grid(frame.rear_width * widen, frame.top - z0, roundness, 13, 13)
    if gap == 0:  # keep the lower corners, so that the board meets the seat along its whole width
        low = grid[..., 1] < 0
        square = kit.squircle_grid(frame.rear_width * widen, frame.top - z0, 0.0, 13, 13)
        grid = np.where(low[..., None], square, grid)
    thickness = rng.uniform(0.012, 0.026)
    parts = parts_of("back", finish.back, wrapped(frame, grid, (z0 + frame.top) / 2, thickness))
    return parts if gap == 0 else parts + stems(frame, finish, rng, z0 + 0.45 * (frame.top - z0), thickness)


def stems(frame: Frame, finish: Finish, rng: Rng, top: float, thickness: float) -> list[Part]:
    """Two uprights behind a panel that ends above the seat."""
    half = frame.rear_width * rng.uniform(0.26, 0.42)
    metal = finish.frame.kind in ("metal", "paint") or finish.name == "plastic"
    behind = thickness / 2 + 0.006
    z = np.linspace(frame.underside + 0.005, top, 8)
    path = frame.back_path(np.stack([np.full(8, half), z], 1)) + [0, behind, 0]
    path[:2, 1] = np.minimum(path[:2, 1], frame.depth / 2 - 0.008)
    if metal:
        stem = sweeps.tube(path, rng.uniform(0.008, 0.012), 10, ends="round")
    else:
        stem = beam(path, 0.032, 0.02, FORWARD, 0.2)
    return parts_of("back", finish.metal if metal else finish.frame, *both_sides(stem))


def bow(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Windsor: one bent hoop with spindles fanned inside it."""
    half, z0 = frame.rear_width / 2 - 0.03, frame.board_top - 0.012
    hoop = _hoop(half, z0, frame.top, rng.uniform(2.0, 3.2), rng.uniform(0.0, 0.12))
    path = frame.back_path(hoop)
    meshes = [sweeps.tube(path, rng.uniform(0.010, 0.014), 10)]
    count = rng.choice([5, 6, 7, 7, 8, 9])
    for k in range(count):
        s = (k - (count - 1) / 2) / ((count - 1) / 2 + 0.9)
        z = float(np.interp(s * 1.05 * half, *_upper(hoop)))
        meshes.append(_spindle(frame, s * 0.85 * half, z0, s * 1.05 * half, z))
    if rng.chance(0.3):
        splat = kit.extrude(_vase(0.07, frame.top - z0 - 0.01), 0.010, 0.002, 1, grain="y")
        meshes = meshes[:1] + [m for m in meshes[1:] if abs(float(m.vertices[:, 0].mean())) > 0.05]
        meshes.append(frame.on_back(splat, (frame.top + z0) / 2))
    return parts_of("back", finish.back, *meshes)


def _spindle(frame: Frame, x0: float, z0: float, x1: float, z1: float) -> Mesh:
    """A turned spindle, thickest at a third of its height, that follows the back's surface."""
    t = np.linspace(0, 1, 7)
    path = frame.back_path(np.stack([x0 + (x1 - x0) * t, z0 + (z1 - z0) * t], 1))
    return sweeps.tube(path, 0.0055 + 0.004 * np.sin(np.pi * t**0.7), 8)


def _hoop(half: float, z0: float, top: float, power: float, waist: float) -> np.ndarray:
    """(N,2) arch of (x, z) from left to right; power 2 is an ellipse; the feet come in by `waist`."""
    t = np.linspace(np.pi, 0, 33)
    c, s = np.cos(t), np.sin(t)
    x = half * np.sign(c) * np.abs(c) ** (2 / power)
    z = z0 + (top - z0) * np.abs(s) ** (2 / power)
    return np.stack([x * (1 - waist * (1 - s) ** 2), z], 1)


def _upper(hoop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and z of the hoop in order of x, for interpolation."""
    order = np.argsort(hoop[:, 0], kind="stable")
    return hoop[order, 0], hoop[order, 1]


def _vase(width: float, height: float) -> np.ndarray:
    """(S,2) outline of a fiddle-shaped splat, centred."""
    knots = np.array([[0.6, -1], [0.8, -0.7], [1.3, -0.2], [0.75, 0.3], [0.8, 0.6], [1.1, 0.85], [1.0, 1]])
    right = sweeps.catmull_rom(knots, 3) * [width / 2, height / 2]
    return np.concatenate([right, right[::-1] * [-1, 1]])


def comb(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Windsor: spindles fanned out to a curved crest board."""
    half, z0 = frame.rear_width / 2 - 0.04, frame.board_top - 0.012
    crest, spread = rng.uniform(0.05, 0.08), rng.uniform(1.0, 1.18)
    crown = rng.uniform(0.0, 0.03)
    top = frame.top - crest
    meshes = [rail(frame, half * spread + 0.02, frame.top - crest / 2, crest, 0.018, crown)]
    count = rng.integer(5, 9)
    for k in range(count):
        s = (k - (count - 1) / 2) / ((count - 1) / 2)
        meshes.append(_spindle(frame, s * half, z0, s * half * spread * 0.95, top + 0.02))
    return parts_of("back", finish.back, *meshes)


def bentwood(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Cafe chair: an outer hoop with a smaller hoop, a cane panel, or rails inside it."""
    half, z0 = 0.43 * frame.rear_width, frame.underside + 0.008
    path = _hoop(half, z0, frame.top, 2.6, 0.18)
    meshes = [sweeps.tube(frame.back_path(path), 0.014, 12)]
    kind = rng.choice(["hoop", "double", "panel"])
    if kind == "panel":
        height = (frame.top - z0) * 0.5
        grid = kit.squircle_grid(2 * half * 0.96, height, 0.9, 9, 11)
        meshes.append(wrapped(frame, grid, frame.top - 0.01 - height / 2, 0.012))
    else:
        for share in (0.62, 0.3)[: 2 if kind == "double" else 1]:
            inner = _hoop(half * share, z0, z0 + (frame.top - z0) * (0.55 + 0.4 * share), 2.4, 0.05)
            meshes.append(sweeps.tube(frame.back_path(inner), 0.009, 10))
    return parts_of("back", finish.back, *meshes)


def horizontal_boards(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Garden chair: broad boards across two posts."""
    half, count = frame.rear_width / 2 - 0.03, rng.integer(3, 5)
    meshes = posts(frame, rng, 0.032, half, frame.top - 0.01)
    start = frame.board_top + rng.uniform(0.05, 0.1)
    gap = (frame.top - start) / count
    meshes += [
        rail(frame, half + 0.02, start + (k + 0.5) * gap, gap * 0.78, 0.016).moved(y=-0.022)
        for k in range(count)
    ]
    return parts_of("back", finish.back, *meshes)


def fan_boards(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Adirondack: upright boards side by side under an arched top, on two cross rails."""
    count = rng.choice([5, 6, 7])
    span = frame.rear_width - 0.02
    meshes = []
    for k in range(count):
        s = (k - (count - 1) / 2) / (count / 2)
        top = frame.top - 0.16 * frame.back_height * s**2
        x0, x1 = s * span / 2, s * span / 2 * 1.08
        z = np.linspace(frame.underside + 0.005, top, 6)
        path = frame.back_path(np.stack([np.linspace(x0, x1, 6), z], 1))
        size = np.tile([span / count * 0.44, 0.008], (6, 1))
        meshes.append(sweeps.tube(path, size, section=SLAT, up=FORWARD))
    for share in (0.25, 0.75):
        meshes.append(
            rail(frame, span / 2, frame.board_top + share * frame.back_height, 0.04, 0.018).moved(y=0.016)
        )
    return parts_of("back", finish.back, *meshes)
