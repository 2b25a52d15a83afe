# SPDX-License-Identifier: GPL-3.0-or-later
"""The glasshouse of a car: pillars and roof in one loft from the belt line up, panes laid on its grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kit
from .car_shape import CarShape
from .mesh import Mesh

LEVELS = (-0.35, 0.0, 0.07, 0.3, 0.6, 0.86, 0.95, 1.0)  # ring heights as parts of the way to the roof's rim
PANE_ROWS = slice(2, 6)
ROOF = ((0.965, 0.3), (0.86, 0.66), (0.6, 0.9), (0.3, 0.98), (0.0, 1.0))  # plan scale, part of the crown
FRONT = 4  # grid steps from the windscreen's middle to its edge


@dataclass(frozen=True)
class Cabin:
    """The loft (roof and pillars) and its panes: windscreen, rear glass, side panes front to back."""

    shell: Mesh
    screens: list[Mesh]
    sides: list[Mesh]


def make_cabin(shape: CarShape, crown: float) -> Cabin:
    """Cabin of a car; crown: metres that the roof's middle rises over its rim."""
    side, panes = _side_places(shape)
    foot, head = _outline(shape, side, 0.0), _outline(shape, side, 1.0)
    foot[:, 2] = shape.top(foot[:, 1]) + 0.012
    head[:, 2] = _rim_height(shape, head[:, 1], crown)
    rings = [_level(shape, foot, head, t) for t in LEVELS]
    middle = np.array([0.0, (head[:, 1].min() + head[:, 1].max()) / 2, 0.0])
    top = head[:, 2].mean()
    for scale, part in ROOF:
        ring = middle + (head - middle) * scale
        ring[:, 2] = top + (head[:, 2] - top) * scale + crown * part
        rings.append(ring)
    grid = np.stack([_closed_half(r) for r in rings])
    half = len(foot)
    around = 2 * half - 2
    front = [k % around for k in range(-FRONT, FRONT + 1)]
    rear = list(range(half - 1 - FRONT, half + FRONT))
    screens = [_pane(grid, front), _pane(grid, rear)]
    sides = []
    for first, last in panes:
        columns = list(range(FRONT + 1 + first, FRONT + 2 + last))
        mirrored = [(around - k) % around for k in columns]
        sides += [_pane(grid, columns), _pane(grid, mirrored)]
    return Cabin(kit.loft(list(grid)), screens, sides)


def _pane(grid: np.ndarray, columns: list[int]) -> Mesh:
    """Glass over part of the loft's grid, 6 mm proud."""
    return kit.sheet(grid[PANE_ROWS][:, columns], 0.012, 1)


def _side_places(shape: CarShape) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Parts (0..1) of the way along the side where the grid has columns, and the columns of each pane."""
    shares = {1: [1.0], 2: [0.52, 0.48], 3: [0.38, 0.36, 0.26]}[shape.windows]
    if shape.windows == 1 and shape.kind == "sports":
        shares = [0.8]
    front, rear = 0.025, (0.03 if shape.kind in ("suv", "wagon", "van", "pickup") else 0.075)
    pillar = 0.022
    if shape.kind == "sports" and shape.windows == 1:
        rear = 0.25
    room = 1 - front - rear - pillar * (len(shares) - 1)
    places, panes, at = [], [], front
    for share in shares:
        width = room * share / sum(shares)
        first = len(places)
        places += list(at + width * np.linspace(0, 1, 5))
        panes.append((first, len(places) - 1))
        at += width + pillar
    return np.array(places), panes


def _outline(shape: CarShape, side: np.ndarray, up: float) -> np.ndarray:
    """(N,3) right half of the plan, front middle to rear middle, at the foot (0) or the head (1); z = 0."""
    lean = shape.tumblehome * up
    start, end = (shape.cowl_y, shape.back_y) if up == 0 else (shape.screen_y, shape.roof_y)
    length = end - start
    y = start + 0.012 + (length - 0.024) * side
    x = (0.955 if shape.kind == "van" else 0.9) * shape.half_width(y) - lean
    plan = 1 - 0.05 * np.abs(2 * side - 1) ** 3
    x = x * plan
    screen = np.linspace(0, 1, FRONT + 1)
    corner = 0.965
    bow = 0.1 * (1 - 0.4 * up)
    ahead = np.stack([screen * corner * x[0], start + bow * (screen**2 - 0.75), np.zeros(FRONT + 1)], -1)
    bow_rear = 0.07 * (1 - 0.3 * up)
    behind = np.stack([screen * corner * x[-1], end - bow_rear * (screen**2 - 0.75), np.zeros(FRONT + 1)], -1)
    flank = np.stack([x, y, np.zeros(len(y))], -1)
    return np.concatenate([ahead, flank, behind[::-1]])


def _rim_height(shape: CarShape, y: np.ndarray, crown: float) -> np.ndarray:
    """z of the roof's rim: highest a third of the way back, lower at both ends."""
    t = (y - shape.screen_y) / max(shape.roof_y - shape.screen_y, 1e-6)
    drop = 0.03 if shape.kind in ("van", "pickup", "suv") else 0.05
    return shape.height - crown - drop * np.clip(np.abs(t - 0.4) / 0.6, 0, 1.3) ** 2


def _level(shape: CarShape, foot: np.ndarray, head: np.ndarray, t: float) -> np.ndarray:
    """The half outline at height t, sides and screens slightly arched outwards."""
    out = foot + (head - foot) * t
    if t < 0:
        out[:, :2] = foot[:, :2]
    arch = 0.035 * np.sin(np.pi * np.clip(t, 0, 1))
    out[:, 0] += arch * np.sign(out[:, 0]) * np.minimum(np.abs(out[:, 0]) / 0.3, 1) * 0.6
    ends = (out[:, 1] - shape.cowl_y) / (shape.back_y - shape.cowl_y)
    out[:, 1] += arch * np.where(ends < 0.5, -1.0, 1.0) * np.clip(np.abs(2 * ends - 1), 0, 1) ** 4
    return out


def _closed_half(half: np.ndarray) -> np.ndarray:
    """(2N-2,3) ring of a right half and its mirror image."""
    return np.concatenate([half, half[-2:0:-1] * np.array([-1, 1, 1])])
