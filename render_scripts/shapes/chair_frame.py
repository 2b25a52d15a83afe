# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pieces of a chair agree on: its measures, its back surface, its feet, its materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import kit, materials, sweeps
from .materials import Material
from .mesh import Mesh
from .rng import Rng


@dataclass(frozen=True)
class Frame:
    """Measures in metres; the seat is centred on the Z axis, its front edge at y = -depth/2.

    width: of the seat at the front; rear_width: at the back; height: of the sitting surface;
    board: thickness of what carries the seat; pad: height of the upholstery on it;
    back_height: of the back's top above the seat; lean: backward shift per metre of height;
    bend: further shift per squared metre; curve: how far the back's edges come forward;
    outline: "square", "round" or "tapered" seat.
    """

    width: float
    depth: float
    height: float
    rear_width: float
    board: float = 0.03
    pad: float = 0.0
    back_height: float = 0.4
    lean: float = 0.15
    bend: float = 0.0
    curve: float = 0.0
    outline: str = "square"

    @property
    def board_top(self) -> float:
        """Height of the board's upper face."""
        return self.height - self.pad

    @property
    def underside(self) -> float:
        """Height of the board's lower face."""
        return self.board_top - self.board

    @property
    def top(self) -> float:
        """Height of the back's upper edge."""
        return self.height + self.back_height

    @property
    def back_y(self) -> float:
        """Where the back's middle surface meets the seat."""
        return self.depth / 2 - 0.02

    def half_width(self, y: float) -> float:
        """Half of the seat's width at depth y."""
        t = min(max(y / self.depth + 0.5, 0.0), 1.0)
        return (self.width + (self.rear_width - self.width) * t) / 2

    def back_point(self, x: float, z: float) -> list[float]:
        """Point of the back's middle surface."""
        return [x, float(self.back_depth(np.array(x), np.array(z))), z]

    def back_depth(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """y of the back's middle surface at x and height z."""
        rise = z - self.board_top
        return (
            self.back_y + self.lean * rise + self.bend * rise**2 - self.curve * (2 * x / self.rear_width) ** 2
        )

    def on_back(self, mesh: Mesh, z: float = 0.0) -> Mesh:
        """Wrap a mesh drawn flat (x across, y up, z towards the sitter) onto the back, its y = 0 at z."""

        def wrap(p: np.ndarray) -> np.ndarray:
            height = p[:, 1] + z
            return np.stack([p[:, 0], self.back_depth(p[:, 0], height) - p[:, 2], height], 1)

        return mesh.warped(wrap)

    def back_path(self, points: Sequence[Sequence[float]] | np.ndarray) -> np.ndarray:
        """(N,3) points on the back of (N,2) or longer rows (x, z)."""
        p = np.asarray(points, float)
        return np.stack([p[:, 0], self.back_depth(p[:, 0], p[:, 1]), p[:, 1]], 1)


@dataclass(frozen=True)
class Finish:
    """The materials of one chair: its structure, its seat, its upholstery, its metal fittings."""

    frame: Material
    seat: Material
    back: Material
    pad: Material
    metal: Material
    arm: Material
    name: str


@dataclass(frozen=True)
class Stance:
    """Where legs stand: top and bottom (N,2) in the plane, heights 0..height, bow sideways in between."""

    top: np.ndarray
    bottom: np.ndarray
    height: float
    bow: float = 0.0

    def at(self, k: int, z: float) -> list[float]:
        """Point of leg k's axis at height z."""
        t = z / self.height
        outward = self.bottom[k] / max(float(np.hypot(*self.bottom[k])), 1e-9)
        xy = self.bottom[k] + (self.top[k] - self.bottom[k]) * t - outward * self.bow * 4 * t * (1 - t)
        return [float(xy[0]), float(xy[1]), z]

    def placed(self, k: int, leg: Mesh) -> Mesh:
        """An upright leg (axis Z, foot at z = 0) sheared onto leg k's axis; the foot stays flat."""

        def shear(p: np.ndarray) -> np.ndarray:
            t = (p[:, 2] / self.height)[:, None]
            outward = self.bottom[k] / max(float(np.hypot(*self.bottom[k])), 1e-9)
            xy = self.bottom[k] + (self.top[k] - self.bottom[k]) * t - outward * self.bow * 4 * t * (1 - t)
            return np.concatenate([p[:, :2] + xy, p[:, 2:]], 1)

        return leg.warped(shear)


def beam(
    path: np.ndarray, width: float, height: float | np.ndarray, up: Sequence[float], cut: float = 0.2
) -> Mesh:
    """Squared timber along a path: `height` along `up`, edges cut by that share of the thinner side."""
    heights = np.broadcast_to(np.asarray(height, float), (len(path),))
    c = cut * min(width, float(heights.min()))
    a, b = 1 - 2 * c / width, 1 - 2 * c / float(heights.mean())
    outline = np.array([[a, -1], [1, -b], [1, b], [a, 1], [-a, 1], [-1, b], [-1, -b], [-a, -1]])
    size = np.stack([np.full(len(path), width / 2), heights / 2], 1)
    return sweeps.tube(path, size, section=outline, up=up)


def post(foot: float, head: float, height: float, square: bool, steps: int = 1) -> Mesh:
    """Upright leg from z = 0: square or round, `foot` and `head` are its widths in metres."""
    z = np.array([0.0, 0.004, *np.linspace(0, 1, steps + 1)[1:-1] * height, height - 0.004, height])
    size = foot + (head - foot) * z / height
    size[[0, -1]] *= 0.9
    if not square:
        return kit.lathe(np.stack([size / 2, z], 1), 14)
    rings = [kit.rounded_rectangle(s, s, 0.14 * s, 1) for s in size]
    return kit.loft([np.concatenate([r, np.full((len(r), 1), h)], 1) for r, h in zip(rings, z)])


WOODS = {
    "oak": (0.76, 0.60, 0.42),
    "beech": (0.83, 0.67, 0.49),
    "pine": (0.87, 0.73, 0.52),
    "walnut": (0.40, 0.27, 0.18),
    "cherry": (0.58, 0.33, 0.20),
    "mahogany": (0.37, 0.17, 0.11),
    "teak": (0.60, 0.42, 0.25),
    "ebony": (0.19, 0.15, 0.13),
    "ash": (0.80, 0.74, 0.64),
}
NEUTRALS = ((0.92, 0.91, 0.89), (0.12, 0.12, 0.13), (0.5, 0.5, 0.5), (0.76, 0.72, 0.65), (0.28, 0.30, 0.33))


def any_color(rng: Rng, vivid: float = 0.5) -> tuple[float, float, float]:
    """A furniture colour: a neutral, or a hue of varied strength."""
    if not rng.chance(vivid):
        return rng.choice(NEUTRALS)
    return materials.hsv(rng.uniform(0, 1), rng.uniform(0.2, 0.75), rng.uniform(0.3, 0.85))


def any_wood(rng: Rng) -> Material:
    """One of the named woods, a little lighter or darker."""
    base, factor = WOODS[rng.choice(list(WOODS))], rng.uniform(0.85, 1.12)
    return materials.wood(rng, [min(c * factor, 1.0) for c in base], rng.uniform(0.35, 0.65))


def any_metal(rng: Rng) -> Material:
    """Chrome, brushed steel, brass or a painted tube."""
    kind = rng.weighted({"chrome": 3, "steel": 2, "brass": 0.7, "black": 3, "white": 1, "color": 1.5})
    if kind in ("chrome", "steel"):
        return materials.metal(rng, (0.8, 0.81, 0.83), 0.18 if kind == "chrome" else 0.4, kind == "steel")
    if kind == "brass":
        return materials.metal(rng, (0.80, 0.62, 0.30), 0.3)
    color = {"black": (0.07, 0.07, 0.08), "white": (0.9, 0.9, 0.9)}.get(kind) or any_color(rng, 1.0)
    return materials.paint(rng, color, 0.35)


def any_upholstery(rng: Rng) -> Material:
    """Plain or striped fabric, or leather."""
    if rng.chance(0.3):
        tan = rng.choice([(0.36, 0.2, 0.11), (0.55, 0.34, 0.19), (0.08, 0.07, 0.07), (0.85, 0.82, 0.76)])
        return materials.leather(rng, tan if rng.chance(0.7) else any_color(rng, 1.0))
    stripe = any_color(rng) if rng.chance(0.18) else None
    return materials.fabric(rng, any_color(rng, 0.65), stripe)


def finish(rng: Rng, kind: str) -> Finish:
    """A consistent set of materials; kind is "wood", "painted", "metal" or "plastic"."""
    pad, fittings = any_upholstery(rng), any_metal(rng)
    if kind == "wood":
        timber = any_wood(rng)
        return Finish(timber, timber, timber, pad, fittings, timber, kind)
    if kind == "painted":
        coat = materials.paint(rng, any_color(rng, 0.7), rng.uniform(0.25, 0.6))
        seat = any_wood(rng) if rng.chance(0.35) else coat
        return Finish(coat, seat, coat, pad, fittings, coat, kind)
    if kind == "plastic":
        shell = materials.plastic(rng, any_color(rng, 0.75), rng.chance(0.4))
        legs = fittings if rng.chance(0.6) else any_wood(rng)
        return Finish(legs, shell, shell, pad, fittings, shell, kind)
    surface = any_wood(rng) if rng.chance(0.6) else materials.plastic(rng, any_color(rng))
    arm = surface if rng.chance(0.6) else materials.plastic(rng, (0.08, 0.08, 0.08))
    return Finish(fittings, surface, surface, pad, fittings, arm, kind)
