# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials and their small tileable textures, computed by numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .rng import Rng

Color = Sequence[float]  # sRGB, each in 0..1


@dataclass(frozen=True)
class Material:
    """A PBR surface.

    kind: word used in names ("wood"); color: sRGB in 0..1; roughness, metallic: 0..1;
    texture: (H,W,3) uint8 sRGB, tileable, row 0 at v = 0, or None for the plain colour;
    tile: width and height of one texture tile in metres.
    """

    kind: str
    color: tuple[float, float, float]
    roughness: float = 0.5
    metallic: float = 0.0
    texture: np.ndarray | None = field(default=None, repr=False, compare=False)
    tile: tuple[float, float] = (0.25, 0.25)

    def colors_at(self, uv: np.ndarray) -> np.ndarray:
        """(N,3) uint8 sRGB at uv (N,2) metres: the nearest texel of the repeated texture."""
        if self.texture is None:
            return np.broadcast_to(np.rint(np.array(self.color) * 255).astype(np.uint8), (len(uv), 3))
        height, width = self.texture.shape[:2]
        cells = np.floor(uv / np.array(self.tile) * np.array([width, height])).astype(np.int64)
        return self.texture[cells[:, 1] % height, cells[:, 0] % width]


def noise(rng: Rng, height: int, width: int, across: float, along: float) -> np.ndarray:
    """(H,W) tileable noise, mean 0, deviation 1: features `across` texels wide and `along` high."""
    spectrum = np.fft.rfft2(rng.random(height, width) - 0.5)
    fy = np.fft.fftfreq(height)[:, None] * along
    fx = np.fft.rfftfreq(width)[None] * across
    spectrum *= np.exp(-((fy**2 + fx**2) * 2.0))
    spectrum[0, 0] = 0.0
    out = np.fft.irfft2(spectrum, (height, width))
    return out / max(float(out.std()), 1e-12)


def shaded(color: Color, amount: np.ndarray) -> np.ndarray:
    """(H,W,3) uint8: the sRGB colour times (1 + amount (H,W))."""
    return np.rint(np.clip(np.asarray(color, float) * (1.0 + amount[..., None]), 0, 1) * 255).astype(np.uint8)


def wood(rng: Rng, color: Color, roughness: float = 0.5, contrast: float = 0.10) -> Material:
    """Planed wood: annual rings that wander, cut lengthwise, and fine pores; grain along v."""
    warp = noise(rng, 128, 64, 24, 90) * 0.22
    u = np.arange(64)[None] / 64.0
    rings = np.sin(2 * np.pi * (rng.integer(3, 7) * u + warp)) * 0.5
    pores = noise(rng, 128, 64, 1.2, 22) * 0.35
    texture = shaded(color, contrast * (rings + pores + noise(rng, 128, 64, 10, 60) * 0.4))
    return Material("wood", _tuple(color), roughness, 0.0, texture, (0.12, 0.48))


def fabric(rng: Rng, color: Color, stripe: Color | None = None) -> Material:
    """Plain weave with uneven yarn; with `stripe`, bands of a second colour along v."""
    y, x = np.mgrid[0:64, 0:64]
    threads = rng.choice([8, 16])
    phase = np.pi * threads / 64.0
    warp, weft = np.abs(np.sin((x + 0.5) * phase)), np.abs(np.sin((y + 0.5) * phase))
    over = ((x * threads // 64) + (y * threads // 64)) % 2 == 0
    weave = np.where(over, warp, weft * 0.9) - 0.6
    shade = 0.28 * weave + 0.06 * noise(rng, 64, 64, 4, 4)
    texture = shaded(color, shade)
    if stripe is not None:
        band = (x // 16) % 2 == 0
        texture = np.where(band[..., None], shaded(stripe, shade), texture)
    return Material("fabric", _tuple(color), 0.92, 0.0, texture, (0.08, 0.08))


def leather(rng: Rng, color: Color) -> Material:
    """Leather: soft blotches under a fine pebble grain."""
    grain = noise(rng, 64, 64, 3, 3)
    shade = 0.025 * noise(rng, 64, 64, 16, 16) - 0.08 * np.maximum(grain - 0.4, 0)
    return Material(
        "leather", _tuple(color), rng.uniform(0.35, 0.55), 0.0, shaded(color, shade), (0.15, 0.15)
    )


def metal(rng: Rng, color: Color, roughness: float = 0.3, brushed: bool = True) -> Material:
    """Bare or chromed metal; `brushed` draws fine lines along v."""
    if not brushed:
        return Material("metal", _tuple(color), roughness, 1.0)
    lines = noise(rng, 64, 64, 1.0, 40)
    return Material("metal", _tuple(color), roughness, 1.0, shaded(color, 0.06 * lines), (0.1, 0.3))


def paint(rng: Rng, color: Color, roughness: float = 0.4, metallic: float = 0.0) -> Material:
    """A painted or lacquered surface: one colour."""
    del rng
    return Material("paint", _tuple(color), roughness, metallic)


def plastic(rng: Rng, color: Color, textured: bool = False) -> Material:
    """Moulded plastic, plain or with a fine sandblasted texture."""
    roughness = rng.uniform(0.25, 0.6)
    texture = shaded(color, 0.05 * noise(rng, 64, 64, 2, 2)) if textured else None
    return Material("plastic", _tuple(color), roughness, 0.0, texture, (0.05, 0.05))


def rubber(rng: Rng, color: Color = (0.06, 0.06, 0.065)) -> Material:
    """Dull dark rubber: tyres, casters, glides."""
    del rng
    return Material("rubber", _tuple(color), 0.9)


def glass(rng: Rng, color: Color = (0.08, 0.11, 0.14)) -> Material:
    """Dark glazing, opaque so that masks and depth stay whole."""
    del rng
    return Material("glass", _tuple(color), 0.06)


def hsv(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """sRGB in 0..1 of hue (turns), saturation and value in 0..1."""
    r, g, b = (value * (1 - saturation * min(max(_ramp(hue + shift), 0), 1)) for shift in (0, 2 / 3, 1 / 3))
    return r, g, b


def _ramp(turns: float) -> float:
    """0 within a sixth of a turn of whole turns, rising to 1 at a third."""
    return abs((turns + 0.5) % 1.0 - 0.5) * 6 - 1


def _tuple(color: Color) -> tuple[float, float, float]:
    r, g, b = (float(c) for c in color)
    return r, g, b
