# SPDX-License-Identifier: GPL-3.0-or-later
"""How airplanes are painted: palettes, airline and military schemes, windows as texture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import materials
from .airplane_parts import Hull
from .materials import Material
from .painting import Painter, filled
from .rng import Rng

Tint = tuple[float, float, float]
GLASS: Tint = (0.06, 0.09, 0.13)
WHITES: tuple[Tint, ...] = ((0.9, 0.9, 0.9), (0.93, 0.92, 0.88), (0.82, 0.84, 0.86), (0.7, 0.72, 0.75))
CAMOUFLAGE: tuple[tuple[Tint, Tint, Tint], ...] = (
    ((0.30, 0.34, 0.22), (0.22, 0.24, 0.16), (0.6, 0.64, 0.66)),
    ((0.52, 0.46, 0.34), (0.34, 0.27, 0.19), (0.62, 0.68, 0.72)),
    ((0.5, 0.53, 0.57), (0.38, 0.41, 0.46), (0.62, 0.65, 0.68)),
    ((0.42, 0.52, 0.56), (0.30, 0.38, 0.43), (0.6, 0.68, 0.7)),
    ((0.28, 0.3, 0.33), (0.24, 0.26, 0.29), (0.33, 0.35, 0.38)),
)


@dataclass(frozen=True)
class Livery:
    """Colours of one airplane: main, belly, accent, and the scheme's name; sRGB in 0..1."""

    scheme: str
    main: Tint
    belly: Tint
    accent: Tint
    second: Tint

    def plain(self, color: Tint, roughness: float = 0.35, metallic: float = 0.0) -> Material:
        """One colour as a material."""
        return Material("paint", color, roughness, metallic)


def airline(rng: Rng) -> Livery:
    """A civil transport's colours."""
    scheme = rng.weighted(
        {"plain": 2, "cheatline": 3, "belly": 2, "sweep": 3, "full": 1.5, "metal": 1, "front": 1}
    )
    hue = rng.uniform(0, 1)
    accent = materials.hsv(hue, rng.uniform(0.6, 0.95), rng.uniform(0.3, 0.85))
    second = materials.hsv(
        (hue + rng.choice([0.08, 0.5, 0.33])) % 1.0, rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.9)
    )
    main = rng.choice(WHITES[:3])
    if scheme == "full":
        main = materials.hsv(hue, rng.uniform(0.25, 0.9), rng.uniform(0.35, 0.9))
        accent = second
    if scheme == "metal":
        main = (0.68, 0.7, 0.72)
    belly = accent if scheme == "belly" else rng.choice([main, main, (0.62, 0.64, 0.66)])
    return Livery(scheme, main, belly, accent, second)


def military(rng: Rng) -> Livery:
    """Camouflage, or one dull colour."""
    top, blotch, belly = rng.choice(CAMOUFLAGE)
    scheme = rng.weighted({"camouflage": 3, "two_tone": 2, "dull": 2})
    accent = materials.hsv(rng.choice([0.0, 0.6, 0.13]), 0.8, rng.uniform(0.5, 0.8))
    return Livery(scheme, top, belly if scheme != "dull" else top, accent, blotch)


def sporting(rng: Rng) -> Livery:
    """Two bright colours: club, acrobatic and private planes."""
    hue = rng.uniform(0, 1)
    bright = materials.hsv(hue, rng.uniform(0.7, 0.95), rng.uniform(0.4, 0.9))
    scheme = rng.weighted({"cheatline": 3, "belly": 2, "full": 3, "front": 2, "sweep": 2})
    main = rng.choice(WHITES[:2]) if scheme != "full" or rng.chance(0.2) else bright
    accent = bright if main != bright else rng.choice([WHITES[0], materials.hsv((hue + 0.5) % 1, 0.8, 0.6)])
    second = materials.hsv((hue + 0.55) % 1, 0.7, rng.uniform(0.2, 0.8))
    return Livery(scheme, main, bright if scheme == "belly" else main, accent, second)


def base_coat(hull: Hull, livery: Livery) -> Painter:
    """The scheme without windows, in the frame of the hull."""
    length = float(hull.y[-1] - hull.y[0])
    half = float((hull.top - hull.bottom).max()) / 2

    def paint(p: np.ndarray) -> np.ndarray:
        t, h = (p[..., 1] - hull.y[0]) / length, p[..., 2] / half  # 0 nose to 1 tail; -1 belly to 1 back
        out = filled(p, livery.main)
        out[h < -0.35] = livery.belly
        if livery.scheme == "cheatline":
            out[(h > -0.08) & (h < 0.42)] = livery.accent
            out[(h > -0.2) & (h < -0.12)] = livery.second
        elif livery.scheme == "sweep":
            out[t + 0.07 * h > 0.76] = livery.second
            out[t + 0.07 * h > 0.8] = livery.accent
        elif livery.scheme == "front":
            out[t - 0.05 * h < 0.27] = livery.accent
        elif livery.scheme == "camouflage":
            _blotches(out, p / length, livery)
        return out

    return paint


def _blotches(out: np.ndarray, p: np.ndarray, livery: Livery) -> None:
    """Paint wavy patches of the second colour; p in plane lengths."""
    x, y, z = p[..., 0], p[..., 1], p[..., 2]
    wave = np.sin(23 * y + 9 * x + 2 * np.sin(17 * x)) + np.sin(11 * x - 19 * y + 30 * z + 1.3)
    out[(wave > 0.25) & (out == np.asarray(livery.main)).all(-1)] = livery.second


def airline_coat(hull: Hull, livery: Livery, nose: float, tail: float, pitch: float, row: float) -> Painter:
    """Base coat, cabin windows `pitch` metres apart at height `row` (half heights), doors, windscreen."""
    base = base_coat(hull, livery)
    half = float((hull.top - hull.bottom).max()) / 2
    front, rear = float(hull.y[0]), float(hull.y[-1])

    def paint(p: np.ndarray) -> np.ndarray:
        out = base(p)
        y, h = p[..., 1], p[..., 2] / half
        side = np.abs(p[..., 0]) > 0.5 * half
        cabin = (y > front + 1.05 * nose) & (y < rear - 0.78 * tail) & side
        glazed = (np.mod(y - front, pitch) < 0.55 * pitch) & (np.abs(h - row) < 0.085)
        out[cabin & glazed] = GLASS
        for at in (front + 0.92 * nose, rear - 0.72 * tail):
            door = (np.abs(np.abs(y - at) - 0.45) < 0.1) & (h > -0.3) & (h < 0.55) & side
            out[door] = out[door] * 0.55
        out[_windscreen(p, hull, nose, half)] = GLASS
        return out

    return paint


def _windscreen(p: np.ndarray, hull: Hull, nose: float, half: float) -> np.ndarray:
    """True on the cockpit's panes: a band round the upper nose with a gap in the middle."""
    y, h = (p[..., 1] - hull.y[0]) / nose, p[..., 2] / half
    pillar = (np.abs(np.abs(p[..., 0]) - 0.42 * half) < 0.03 * half) | (np.abs(p[..., 0]) < 0.03 * half)
    return (h > 0.3 - 0.1 * (y - 0.4)) & (h < 0.66) & (y > 0.1) & (y < 0.72) & ~pillar


def cabin_coat(hull: Hull, livery: Livery, start: float, end: float, sill: float, roof: float) -> Painter:
    """Base coat with a light plane's windscreen and side windows from y = start to end, z = sill to roof."""
    base = base_coat(hull, livery)
    rake = 0.5 * (roof - sill)

    def paint(p: np.ndarray) -> np.ndarray:
        out = base(p)
        y, z = p[..., 1], p[..., 2]
        rise = np.clip((z - sill) / max(roof - sill, 1e-6), -1, 2)
        first, last = start + 2.2 * rake * rise, end - rake * rise
        along = (y - start - 2.2 * rake) / (end - start - 2.2 * rake)
        pillar = (np.abs(along) < 0.035) | (np.abs(along - 0.48) < 0.035)
        side = np.abs(p[..., 0]) > 0.3 * hull.half_width.max()
        out[(y > first) & (y < last) & (rise > 0) & (rise < 0.9) & ~(pillar & side)] = GLASS
        return out

    return paint


def glasshouse_coat(livery: Livery, length: float, height: float) -> Painter:
    """A glazed cabin about the origin: glass, a roof of the main colour, and pillars."""

    def paint(p: np.ndarray) -> np.ndarray:
        out = filled(p, GLASS)
        y, z = p[..., 1] / length, p[..., 2] / height
        out[(np.abs(y + 0.12) < 0.02) | (np.abs(y - 0.14) < 0.02) | (np.abs(p[..., 0]) < 0.012 * length)] = (
            livery.main
        )
        out[(y > 0.3) | ((z > 0.42) & (y > -0.1)) | (z < 0.02)] = livery.main
        return out

    return paint
