# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves in space, and tubes of any cross-section swept along them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .kit import TAU, superellipse
from .mesh import Mesh
from .skin import skin

Points = Sequence[Sequence[float]] | np.ndarray


def catmull_rom(points: Points, steps: int = 6, loop: bool = False) -> np.ndarray:
    """Smooth curve through points (N, ...) with `steps` pieces per span; any trailing shape, so
    stacked sections (N,S,3), profiles (N,2) and radii (N,) are smoothed the same way."""
    p = np.asarray(points, float)
    ends = (p[-1:], p[:2]) if loop else (2 * p[:1] - p[1:2], 2 * p[-1:] - p[-2:-1])
    q = np.concatenate([ends[0], p, ends[1]])
    spans = len(p) if loop else len(p) - 1
    t = (np.arange(steps) / steps).reshape((-1,) + (1,) * (p.ndim - 1))
    out = [_hermite(q[k : k + 4], t) for k in range(spans)]
    return np.concatenate(out if loop else [*out, p[-1:]])


def _hermite(q: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The Catmull-Rom span between q[1] and q[2] at t (T, 1...)."""
    a, b, c, d = q[0], q[1], q[2], q[3]
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def filleted(points: Points, radius: float, steps: int = 5, loop: bool = False) -> np.ndarray:
    """Polyline (N,3) whose corners are rounded like a bent tube; radius shrinks where edges are short."""
    p = np.asarray(points, float)
    out = [] if loop else [p[:1]]
    for k in range(0 if loop else 1, len(p) if loop else len(p) - 1):
        out.append(_arc_corner(p[k - 1], p[k], p[(k + 1) % len(p)], radius, steps))
    return np.concatenate(out if loop else [*out, p[-1:]])


def _arc_corner(
    before: np.ndarray, here: np.ndarray, after: np.ndarray, radius: float, steps: int
) -> np.ndarray:
    """(steps+1,3) circular arc tangent to both edges of a corner."""
    to, away = before - here, after - here
    to_length, away_length = np.linalg.norm(to), np.linalg.norm(away)
    to, away = to / to_length, away / away_length
    half = np.arccos(np.clip(to @ away, -1, 1)) / 2  # half of the inner angle
    if half > TAU / 4 - 1e-4:
        return here[None]
    cut = min(radius / np.tan(half), 0.49 * to_length, 0.49 * away_length)
    bend = cut * np.tan(half)
    middle = (to + away) / np.linalg.norm(to + away)
    centre = here + middle * (bend / np.sin(half))
    side = (to - away) / np.linalg.norm(to - away)
    turn = np.linspace(1, -1, steps + 1)[:, None] * (TAU / 4 - half)
    return centre + bend * (np.sin(turn) * side - np.cos(turn) * middle)


def arc(radius: float, start_deg: float, end_deg: float, steps: int = 12, z: float = 0.0) -> np.ndarray:
    """(steps+1,3) circular arc about Z at height z, angles from +X towards +Y."""
    t = np.radians(np.linspace(start_deg, end_deg, steps + 1))
    return np.stack([radius * np.cos(t), radius * np.sin(t), np.full(len(t), z)], -1)


def tube(
    path: Points,
    radius: float | Sequence[float] | np.ndarray,
    sides: int = 12,
    section: np.ndarray | None = None,
    loop: bool = False,
    up: Sequence[float] | None = None,
    ends: str = "flat",
) -> Mesh:
    """Solid swept along path (N,3).

    radius: metres, one, one per path point (N,), or (N,2) for different width and height.
    section: (S,2) outline in units of the radius, default a circle of `sides`; its x axis is horizontal
    (square to `up`) and its y axis nearest to `up` when `up` is given, else carried along without twist.
    ends: "flat" with a small chamfer, "round" half-balls, "sharp" plain caps. loop: join end to start.
    """
    path = np.asarray(path, float)
    outline = superellipse(2.0, 2.0, 2.0, sides) if section is None else np.asarray(section, float)
    size = np.asarray(radius, float)
    size = size[:, None] if size.ndim == 1 else size
    size = np.broadcast_to(size, (len(path), 2))
    tangent = _tangents(path, loop)
    x, y = _frames(tangent, up)
    if not loop and ends != "sharp":
        path, size, x, y = _with_ends(path, size, tangent, x, y, ends)
    scaled = outline[None] * size[:, None]  # (N, S, 2)
    rings = path[:, None] + scaled[..., :1] * x[:, None] + scaled[..., 1:] * y[:, None]
    return skin(rings, loop)


def bar(
    start: Sequence[float], end: Sequence[float], radius: float, sides: int = 10, bulge: float = 0.0
) -> Mesh:
    """Straight round bar between two points; bulge 0.3 makes the middle 30 % thicker."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    t = np.linspace(0, 1, 7 if bulge else 2)
    return tube(a + (b - a) * t[:, None], radius * (1 + bulge * np.sin(np.pi * t)), sides)


def plank(
    start: Sequence[float],
    end: Sequence[float],
    width: float,
    height: float,
    up: Sequence[float] = (0.0, 0.0, 1.0),
    taper: float = 1.0,
    bevel: float = 0.003,
) -> Mesh:
    """Straight squared bar: `height` along `up`, `width` across; the end's section is times `taper`."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    cut = min(bevel, 0.4 * width, 0.4 * height)
    w, h = width / 2, height / 2
    outline = np.array(
        [
            [w - cut, -h],
            [w, cut - h],
            [w, h - cut],
            [w - cut, h],
            [cut - w, h],
            [-w, h - cut],
            [-w, cut - h],
            [cut - w, -h],
        ]
    )
    size = np.array([1.0, taper])
    return tube(np.stack([a, b]), size, section=outline, up=up)


def _tangents(path: np.ndarray, loop: bool) -> np.ndarray:
    """(N,3) unit directions; at a corner the mean of its two edges."""
    edges = np.diff(np.concatenate([path, path[:1]]) if loop else path, axis=0)
    edges = edges / np.maximum(np.linalg.norm(edges, axis=1, keepdims=True), 1e-12)
    if loop:
        out = edges + np.roll(edges, 1, 0)
    else:
        out = np.concatenate([edges[:1], edges[1:] + edges[:-1], edges[-1:]])
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)


def _frames(tangent: np.ndarray, up: Sequence[float] | None) -> tuple[np.ndarray, np.ndarray]:
    """(N,3) x and y axes of the cross-sections, right-handed with the tangent."""
    if up is not None:
        x = np.cross(np.asarray(up, float), tangent)
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
        return x, np.cross(tangent, x)
    start = np.cross([0.0, 0.0, 1.0], tangent[0])
    if np.linalg.norm(start) < 1e-3:
        start = np.array([1.0, 0.0, 0.0])
    rows = []
    for direction in tangent:  # carry the axis along, square to each tangent
        start = start - (start @ direction) * direction
        start = start / max(float(np.linalg.norm(start)), 1e-12)
        rows.append(start)
    x = np.stack(rows)
    return x, np.cross(tangent, x)


def _with_ends(path, size, tangent, x, y, ends: str):
    """The sweep with rings added inside (flat) or beyond (round) its two ends."""
    if ends == "round":
        t = np.linspace(0, TAU / 4, 4)[1:]
        along, shrink = np.sin(t), np.maximum(np.cos(t), 1e-12)
        shrink[-1] = 0.0
    else:
        along, shrink = np.array([0.15]), np.array([0.85])
    reach = size.min(1)
    first = path[0] - tangent[0] * (along[::-1, None] - (along.max() if ends == "flat" else 0)) * reach[0]
    last = path[-1] + tangent[-1] * (along[:, None] - (along.max() if ends == "flat" else 0)) * reach[-1]
    body = path.copy()
    if ends == "flat":  # keep the length: the chamfer is cut from the end, not added
        body[0] = body[0] + tangent[0] * 0.15 * reach[0]
        body[-1] = body[-1] - tangent[-1] * 0.15 * reach[-1]
    count = len(along)
    sizes = np.concatenate([size[:1] * shrink[::-1, None], size, size[-1:] * shrink[:, None]])
    order = np.concatenate([np.zeros(count, int), np.arange(len(path)), np.full(count, len(path) - 1)])
    return np.concatenate([first, body, last]), sizes, x[order], y[order]
