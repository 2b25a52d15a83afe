# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of a cabinet: boards around and between its cells, and what is put into each cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kit, materials
from .cabinet_fronts import Style, door, drawer_front
from .chair_frame import any_color
from .furniture import Look, board, clear_glass
from .mesh import Part, parts_of
from .rng import Rng

Layout = (
    str | tuple[str, list]
)  # a kind of cell, or ("x" | "z", [(share, Layout), ...]), left to right, upwards


@dataclass(frozen=True)
class Box:
    """Outer measures of a body in metres, centred on x = 0 with its front edges at y = front.

    back: y of the rear face; low, high: z; thick: of the boards; inset: fronts lie within the frame;
    backed: a board closes the rear; ajar: angle of open doors in degrees, 0 closed.
    """

    width: float
    front: float
    back: float
    low: float
    high: float
    thick: float
    inset: bool = False
    backed: bool = True
    ajar: float = 0.0


@dataclass(frozen=True)
class Cell:
    """A rectangle of the front between the middles of the boards around it, and what it holds."""

    x0: float
    x1: float
    z0: float
    z1: float
    kind: str


def carcass(rng: Rng, box: Box, layout: Layout, look: Look, style: Style) -> list[Part]:
    """Boards, cells and fronts of one body."""
    x, t = box.width / 2, box.thick
    bevel = min(0.3 * t, 0.012)
    steps = 2 if t > 0.026 else 1
    outer = [
        board(
            (s * x - t * (s > 0), box.front, box.low), (s * x + t * (s < 0), box.back, box.high), bevel, steps
        )
        for s in (-1, 1)
    ]
    inner = x - 0.5 * t
    outer += [
        board((-inner, box.front + 0.001, z - t), (inner, box.back - 0.001, z), bevel)
        for z in (box.low + t, box.high - 0.0005)
    ]
    if box.backed:
        outer.append(
            board(
                (-inner, box.back - 0.012, box.low + 0.5 * t),
                (inner, box.back - 0.002, box.high - 0.5 * t),
                0.001,
            )
        )
    cells: list[Cell] = []
    whole = Cell(-x + 0.5 * t, x - 0.5 * t, box.low + 0.5 * t, box.high - 0.5 * t, "")
    dividers = _split(whole, layout, box, cells)
    parts = parts_of("body", look.main, *outer, *dividers)
    for cell in cells:
        parts += _filled(rng, box, cell, look, style)
    return parts


def _split(cell: Cell, layout: Layout, box: Box, cells: list[Cell]) -> list:
    """Append the cells of a layout within `cell`; the boards between them."""
    if isinstance(layout, str):
        cells.append(Cell(cell.x0, cell.x1, cell.z0, cell.z1, layout))
        return []
    axis, children = layout
    total = np.cumsum([0.0, *(share for share, _ in children)])
    low, high = (cell.x0, cell.x1) if axis == "x" else (cell.z0, cell.z1)
    edges = [float(low + (high - low) * value / total[-1]) for value in total]
    boards, half = [], 0.5 * min(box.thick, 0.03)
    for k, (_, child) in enumerate(children):
        a, b = edges[k], edges[k + 1]
        part = Cell(a, b, cell.z0, cell.z1, "") if axis == "x" else Cell(cell.x0, cell.x1, a, b, "")
        boards += _split(part, child, box, cells)
        if k:
            y0, y1 = box.front + 0.002, box.back - 0.003
            if axis == "x":
                boards.append(board((a - half, y0, cell.z0), (a + half, y1, cell.z1), 0.002))
            else:
                boards.append(board((cell.x0, y0 + 0.0015, a - half), (cell.x1, y1 - 0.001, a + half), 0.002))
    return boards


def _filled(rng: Rng, box: Box, cell: Cell, look: Look, style: Style) -> list[Part]:
    """What a cell holds; behind a closed front the body is solid, so that nothing unseen is sampled."""
    kind = cell.kind
    if kind == "open":
        return []
    if kind == "books":
        return books(rng, box, cell)
    closed = not (box.ajar and kind in ("door-", "door+", "doors"))
    solid = board(
        (cell.x0, box.front + 0.0025 + (style.thick if box.inset else 0.0), cell.z0),
        (cell.x1, box.back - 0.0035, cell.z1),
        0.001,
    )
    parts = parts_of("body", look.main, solid) if closed else _shelf(box, cell, look)
    margin = 0.5 * box.thick + 0.0015 if box.inset else 0.002
    x0, x1, z0, z1 = cell.x0 + margin, cell.x1 - margin, cell.z0 + margin, cell.z1 - margin
    y = box.front + 0.003 + (style.thick if box.inset else 0.0)
    if not box.inset:  # lap the outer boards
        lap = 0.5 * box.thick - 0.002
        x0 -= lap * (cell.x0 <= -box.width / 2 + 0.51 * box.thick)
        x1 += lap * (cell.x1 >= box.width / 2 - 0.51 * box.thick)
        z0 -= lap * (cell.z0 <= box.low + 0.51 * box.thick)
        z1 += lap * (cell.z1 >= box.high - 0.51 * box.thick)
    if kind == "drawer":
        return parts + drawer_front(style, look, "drawer", x0, x1, z0, z1, y)
    glazing = clear_glass(rng) if kind.startswith("glass") else None
    if kind in ("doors", "glasses"):
        middle = (x0 + x1) / 2
        leaves = [(x0, middle - 0.0012, -1), (middle + 0.0012, x1, 1)]
    else:
        leaves = [(x0, x1, -1 if kind.endswith("-") else 1)]
    for a, b, hinge in leaves:
        leaf = door(style, look, "door", a, b, z0, z1, y, hinge, glazing)
        parts += leaf if closed else _swung(leaf, a if hinge < 0 else b, y, hinge * box.ajar)
    return parts


def _swung(leaf: list[Part], x: float, y: float, degrees: float) -> list[Part]:
    """A door turned open about its hinge."""
    return [Part(p.label, p.mesh.rotated("z", degrees, (x, y, 0.0)), p.material) for p in leaf]


def _shelf(box: Box, cell: Cell, look: Look) -> list[Part]:
    """Shelves seen through an open door."""
    count = max(int((cell.z1 - cell.z0) / 0.45), 1)
    levels = np.linspace(cell.z0, cell.z1, count + 2)[1:-1]
    shelves = [
        board((cell.x0, box.front + 0.03, float(z) - 0.009), (cell.x1, box.back - 0.003, float(z) + 0.009))
        for z in levels
    ]
    return parts_of("body", look.main, *shelves)


def books(rng: Rng, box: Box, cell: Cell) -> list[Part]:
    """A row of books on the cell's floor, from its left side to somewhere before its right side."""
    half = 0.5 * box.thick
    x, end, floor = cell.x0 + half, cell.x1 - half, cell.z0 + 0.5 * min(box.thick, 0.03)
    room, deep = cell.z1 - cell.z0 - box.thick - 0.01, box.back - box.front
    end = x + (end - x) * rng.uniform(0.45, 1.0)
    parts: list[Part] = []
    while len(parts) < 14:
        wide = rng.uniform(0.022, 0.055)
        tall, far = room * rng.uniform(0.62, 0.97), deep * rng.uniform(0.55, 0.75)
        if x + wide > end:
            break
        y1 = box.back - 0.014
        cover = materials.paint(rng, any_color(rng, 0.8), 0.6)
        parts += parts_of(
            "body", cover, board((x, y1 - far, floor - 0.001), (x + wide - 0.001, y1, floor + tall), 0.002)
        )
        x += wide
    return parts


def sink(box: Box, y: float, look: Look) -> list[Part]:
    """A basin standing on the top, with a tap behind it."""
    radius = min(0.21, 0.38 * (box.back - box.front), 0.42 * box.width)
    white = materials.Material("ceramic", (0.93, 0.93, 0.92), 0.1)
    profile = [(0, 0), (0.6, 0), (0.85, 0.35), (1.0, 0.62), (0.96, 0.64), (0.8, 0.4), (0.55, 0.12), (0, 0.1)]
    basin = kit.lathe(np.array(profile) * radius, 32).moved(0, y, box.high - 0.001)
    post = kit.cylinder(0.013, 0.2, 0.002, 12).moved(0, box.back - 0.05, box.high + 0.099)
    spout = board((-0.01, box.back - 0.16, box.high + 0.17), (0.01, box.back - 0.04, box.high + 0.19), 0.004)
    return parts_of("body", white, basin) + parts_of("body", look.metal, post, spout)
