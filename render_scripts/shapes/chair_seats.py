# SPDX-License-Identifier: GPL-3.0-or-later
"""Seats: boards, saddles, slats, upholstery, cushions, and the rails under them."""

from __future__ import annotations

import numpy as np

from . import kit
from .chair_frame import Finish, Frame, beam
from .mesh import Mesh, Part, parts_of
from .rng import Rng


def outline(frame: Frame, overhang: float = 0.0, corner: float = 0.03, steps: int = 3) -> np.ndarray:
    """(S,2) counter-clockwise outline of the seat, grown by `overhang`."""
    if frame.outline == "round":
        return kit.superellipse(frame.width + 2 * overhang, frame.depth + 2 * overhang, 2.0, 48)
    flat = kit.rounded_rectangle(frame.width + 2 * overhang, frame.depth + 2 * overhang, corner, steps)
    return tapered(flat, frame)


def tapered(points: np.ndarray, frame: Frame) -> np.ndarray:
    """Points (N,2 or 3) of a straight seat narrowed towards the rear as the frame is."""
    t = np.clip(points[:, 1] / frame.depth + 0.5, 0, 1)
    out = points.copy()
    out[:, 0] *= 1 + (frame.rear_width / frame.width - 1) * t
    return out


def board(frame: Frame, finish: Finish, rng: Rng, corner: float = 0.03) -> list[Part]:
    """A flat board with rounded corners and edges."""
    bevel = min(rng.uniform(0.004, 0.014), 0.45 * frame.board)
    plate = kit.extrude(outline(frame, 0.0, corner, 4), frame.board, bevel, 3, grain="y")
    return parts_of("seat", finish.seat, plate.moved(z=frame.board_top - frame.board / 2))


def saddle(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """A board hollowed for the sitter, with soft edges."""
    roundness = 1.0 if frame.outline == "round" else rng.uniform(0.12, 0.5)
    grid = kit.squircle_grid(frame.width, frame.depth, roundness, 13, 13)
    if frame.outline != "round":
        grid = tapered(grid.reshape(-1, 2), frame).reshape(grid.shape)
    u, v = 2 * grid[..., 0] / frame.width, 2 * grid[..., 1] / frame.depth
    dip = rng.uniform(0.010, 0.02)
    hollow = dip * (1.0 * u**2 + 0.6 * v**2 - 0.8 * u**2 * v**2 * (v < 0)) - dip
    thickness = 0.9 * frame.board
    z = frame.board_top - thickness / 2 + hollow
    mesh = kit.sheet(np.concatenate([grid, z[..., None]], -1), thickness, 4)
    return parts_of("seat", finish.seat, mesh)


def slats(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """Boards side by side on two bearers, with gaps."""
    lengthwise = rng.chance(0.3)
    count = rng.integer(4, 7)
    span = frame.width if lengthwise else frame.depth
    pitch = span / count
    z = frame.board_top - 0.009
    out: list[Mesh] = []
    for k in range(count):
        at = -span / 2 + (k + 0.5) * pitch
        length = frame.depth if lengthwise else 2 * frame.half_width(at)
        size = (pitch * 0.8, length) if lengthwise else (length, pitch * 0.8)
        slat = kit.rounded_box(*size, 0.018, 0.004, 2)
        out.append(slat.moved(at, 0, z) if lengthwise else slat.moved(0, at, z))
    for side in (-0.5, 0.5):
        x, y = (frame.rear_width - 0.06) * side, (frame.depth - 0.06) * side
        a, b = (
            ([-frame.rear_width / 2, y], [frame.rear_width / 2, y])
            if lengthwise
            else ([x, -frame.depth / 2], [x, frame.depth / 2])
        )
        path = np.array([[*a, frame.underside + 0.008], [*b, frame.underside + 0.008]])
        out.append(beam(path, 0.03, frame.board - 0.012, (0, 0, 1)))
    return parts_of("seat", finish.seat, *out)


def upholstered(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """A thin board under a fixed pad that follows its outline."""
    parts = board(frame, finish, rng) if frame.board > 0.005 else []
    power = 2.0 if frame.outline == "round" else rng.uniform(5, 10)
    pad = kit.cushion(
        frame.width * 0.985, frame.depth * 0.985, 2 * frame.pad, power, rng.uniform(2.2, 3.5), 40
    )
    pad = pad.scaled(z=0.6).warped(lambda p: _flat_below(p, 0.25 * frame.pad))
    if frame.outline != "round":
        pad = pad.warped(lambda p: tapered(p, frame))
    low, high = pad.bounds()
    fit = (frame.pad + 0.004) / (high[2] - low[2])
    pad = pad.moved(z=-low[2]).scaled(z=fit).moved(z=frame.board_top - 0.004)
    return [*parts, *parts_of("seat", finish.pad, pad)]


def _flat_below(p: np.ndarray, depth: float) -> np.ndarray:
    out = p.copy()
    out[:, 2] = np.where(p[:, 2] < 0, p[:, 2] * depth / max(-float(p[:, 2].min()), 1e-9), p[:, 2])
    return out


def loose_cushion(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """A cushion lying on the seat; the frame's pad is its height."""
    power = 2.0 if frame.outline == "round" else rng.uniform(3.5, 7)
    size = rng.uniform(0.86, 0.95)
    inset = 0.03 if frame.outline != "round" else 0.0
    pad = kit.cushion(
        frame.width * size, (frame.depth - inset) * size, frame.pad + 0.012, power, rng.uniform(2, 2.8)
    )
    if frame.outline != "round":
        pad = pad.warped(lambda p: tapered(p, frame))
    return parts_of("seat", finish.pad, pad.moved(0, -inset / 2, frame.board_top + frame.pad / 2 - 0.006))


def apron(frame: Frame, finish: Finish, rng: Rng, inset: float = 0.03) -> list[Part]:
    """Four rails under the seat, between the legs; straight or arched below."""
    height, thick = rng.uniform(0.045, 0.075), 0.02
    arch = rng.uniform(0.3, 0.5) if rng.chance(0.25) else 0.0
    front, rear = -frame.depth / 2 + inset, frame.depth / 2 - inset
    wf, wr = frame.half_width(front) - inset, frame.half_width(rear) - inset
    corners = [
        ([-wf, front], [wf, front]),
        ([-wr, rear], [wr, rear]),
        ([-wf, front], [-wr, rear]),
        ([wf, front], [wr, rear]),
    ]
    out = []
    for a, b in corners:
        t = np.linspace(0, 1, 9 if arch else 2)[:, None]
        heights = height * (1 - arch * np.sin(np.pi * t[:, 0]))
        xy = np.array(a) + (np.array(b) - np.array(a)) * t
        path = np.concatenate([xy, (frame.underside + 0.004 - heights / 2)[:, None]], 1)
        out.append(beam(path, thick, heights, (0, 0, 1), 0.1))
    return parts_of("seat", finish.frame, *out)


def weave(frame: Frame, finish: Finish, rng: Rng) -> list[Part]:
    """A woven seat: four round rails and a thin sagging sheet between them."""
    grid = kit.squircle_grid(frame.width, frame.depth, 0.02, 9, 9)
    grid = tapered(grid.reshape(-1, 2), frame).reshape(grid.shape)
    u, v = 2 * grid[..., 0] / frame.width, 2 * grid[..., 1] / frame.depth
    sag = -0.012 * (1 - np.abs(u) ** 3) * (1 - np.abs(v) ** 3) * rng.uniform(0.5, 1.3)
    z = frame.board_top - frame.board / 2 + sag
    thickness = frame.board * (0.55 + 0.45 * np.maximum(np.abs(u), np.abs(v)) ** 6)
    mesh = kit.sheet(np.concatenate([grid, z[..., None]], -1), thickness, 4)
    return parts_of("seat", finish.pad, mesh)
