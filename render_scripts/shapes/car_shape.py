# SPDX-License-Identifier: GPL-3.0-or-later
"""The measures of a car and the families they are drawn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .rng import Rng

Span = tuple[float, float]


@dataclass(frozen=True)
class CarShape:
    """All measures of one car in metres, y from the front bumper (-length/2) to the rear one.

    front_z, cowl_z, belt_z, deck_z, rear_z: the lower body's top at the grille, at the windscreen's foot,
    along the cabin, behind it, at the tail. cowl_y, screen_y, roof_y, back_y: foot and head of the
    windscreen, head and foot of the rear glass. front_wheel_y, rear_wheel_y: axles. bed: y from and to of
    a load bed, or None. windows: panes on each side; glazed: how many of them are glass.
    """

    kind: str
    length: float
    width: float
    height: float
    tyre: float
    sill_z: float
    front_z: float
    cowl_z: float
    belt_z: float
    deck_z: float
    rear_z: float
    cowl_y: float
    screen_y: float
    roof_y: float
    back_y: float
    front_wheel_y: float
    rear_wheel_y: float
    tumblehome: float
    nose_round: float
    tail_round: float
    windows: int
    glazed: int
    bed: tuple[float, float] | None = None

    @property
    def arch(self) -> float:
        """Radius of the wheel arches in metres."""
        return self.tyre * (1.05 if self.kind == "sports" else 1.1) + 0.025

    def sill(self, y: np.ndarray | float) -> np.ndarray:
        """z of the body side's lower edge without the arches: it rises towards both ends."""
        near_end = np.clip(np.abs(np.asarray(y, float)) / (self.length / 2) - 0.8, 0, 1) / 0.2
        return self.sill_z + 0.15 * self.tyre * near_end

    def fender(self, y: np.ndarray | float) -> np.ndarray:
        """Metres that the shoulders rise over `top` at y, so that an arch never cuts through them."""
        out = np.zeros(np.shape(y))
        for axle in (self.front_wheel_y, self.rear_wheel_y):
            lack = max(self.tyre + self.arch + 0.1 - float(self.top(axle)), 0.0)
            turn = np.clip((np.asarray(y, float) - axle) / (1.9 * self.arch), -1, 1)
            out = np.maximum(out, lack * np.cos(np.pi / 2 * turn) ** 2)
        return out

    def top(self, y: np.ndarray | float) -> np.ndarray:
        """z of the lower body's top at y: hood, belt line, deck."""
        half = self.length / 2
        y_knots = [
            -half,
            -half + 0.05 * self.length,
            self.cowl_y,
            0.5 * (self.cowl_y + self.back_y),
            self.back_y,
            half,
        ]
        z_knots = [self.front_z - 0.03, self.front_z, self.cowl_z, self.belt_z, self.deck_z, self.rear_z]
        grid = np.linspace(-half, half, 161)
        z = np.interp(grid, y_knots, z_knots)
        kernel = np.ones(9) / 9
        for _ in range(2):
            z = np.convolve(np.pad(z, 4, mode="reflect", reflect_type="odd"), kernel, mode="valid")
        return np.asarray(np.interp(y, grid, z))

    def half_width(self, y: np.ndarray | float) -> np.ndarray:
        """Widest x of the lower body at y: the plan narrows towards both ends."""
        t = 2 * np.asarray(y, float) / self.length
        taper = np.where(t < 0, 0.13 * self.nose_round, 0.1 * self.tail_round)
        return self.width / 2 * (1 - taper * np.abs(t) ** 3.5)


# (length, width, height), tyre radius, sill; then heights as parts of the height, places as parts of the length
FAMILIES: dict[str, dict[str, Span]] = {
    "sedan": {
        "length": (4.3, 5.0), "width": (1.72, 1.9), "height": (1.38, 1.5), "tyre": (0.30, 0.34), "sill": (0.17, 0.22),
        "front": (0.5, 0.57), "cowl": (0.62, 0.67), "belt": (0.63, 0.67), "deck": (0.65, 0.72), "rear": (0.58, 0.68),
        "cowl_y": (-0.2, -0.15), "screen_y": (-0.06, -0.01), "roof_y": (0.15, 0.21), "back_y": (0.28, 0.34),
        "front_axle": (0.17, 0.2), "rear_axle": (0.19, 0.23), "tumblehome": (0.1, 0.16), "round": (0.6, 1.3),
    },
    "hatchback": {
        "length": (3.5, 4.3), "width": (1.6, 1.8), "height": (1.42, 1.56), "tyre": (0.28, 0.33), "sill": (0.17, 0.22),
        "front": (0.51, 0.58), "cowl": (0.61, 0.66), "belt": (0.62, 0.67), "deck": (0.64, 0.7), "rear": (0.58, 0.66),
        "cowl_y": (-0.26, -0.19), "screen_y": (-0.12, -0.04), "roof_y": (0.31, 0.4), "back_y": (0.43, 0.475),
        "front_axle": (0.17, 0.2), "rear_axle": (0.14, 0.17), "tumblehome": (0.09, 0.15), "round": (0.7, 1.4),
    },
    "wagon": {
        "length": (4.4, 4.95), "width": (1.72, 1.9), "height": (1.42, 1.52), "tyre": (0.30, 0.34), "sill": (0.17, 0.22),
        "front": (0.5, 0.57), "cowl": (0.6, 0.66), "belt": (0.61, 0.66), "deck": (0.62, 0.69), "rear": (0.58, 0.66),
        "cowl_y": (-0.21, -0.16), "screen_y": (-0.08, -0.02), "roof_y": (0.36, 0.42), "back_y": (0.455, 0.48),
        "front_axle": (0.17, 0.2), "rear_axle": (0.19, 0.22), "tumblehome": (0.08, 0.13), "round": (0.6, 1.2),
    },
    "suv": {
        "length": (4.1, 5.0), "width": (1.78, 2.0), "height": (1.64, 1.9), "tyre": (0.36, 0.41), "sill": (0.27, 0.36),
        "front": (0.54, 0.61), "cowl": (0.61, 0.66), "belt": (0.61, 0.66), "deck": (0.62, 0.68), "rear": (0.57, 0.65),
        "cowl_y": (-0.24, -0.18), "screen_y": (-0.14, -0.06), "roof_y": (0.36, 0.45), "back_y": (0.455, 0.485),
        "front_axle": (0.17, 0.2), "rear_axle": (0.17, 0.2), "tumblehome": (0.06, 0.12), "round": (0.4, 1.0),
    },
    "van": {
        "length": (4.5, 5.7), "width": (1.8, 2.05), "height": (1.9, 2.5), "tyre": (0.32, 0.36), "sill": (0.22, 0.28),
        "front": (0.4, 0.45), "cowl": (0.50, 0.54), "belt": (0.5, 0.53), "deck": (0.5, 0.53), "rear": (0.49, 0.52),
        "cowl_y": (-0.385, -0.345), "screen_y": (-0.29, -0.22), "roof_y": (0.455, 0.475), "back_y": (0.478, 0.486),
        "front_axle": (0.16, 0.18), "rear_axle": (0.18, 0.22), "tumblehome": (0.02, 0.07), "round": (0.5, 1.0),
    },
    "pickup": {
        "length": (4.9, 5.7), "width": (1.78, 2.02), "height": (1.68, 1.9), "tyre": (0.36, 0.41), "sill": (0.3, 0.38),
        "front": (0.55, 0.61), "cowl": (0.61, 0.65), "belt": (0.61, 0.64), "deck": (0.58, 0.63), "rear": (0.58, 0.62),
        "cowl_y": (-0.24, -0.2), "screen_y": (-0.15, -0.11), "roof_y": (0.0, 0.03), "back_y": (0.03, 0.05),
        "front_axle": (0.16, 0.18), "rear_axle": (0.2, 0.23), "tumblehome": (0.07, 0.13), "round": (0.3, 0.8),
    },
    "sports": {
        "length": (4.0, 4.7), "width": (1.78, 2.0), "height": (1.12, 1.3), "tyre": (0.31, 0.35), "sill": (0.11, 0.15),
        "front": (0.46, 0.54), "cowl": (0.62, 0.68), "belt": (0.64, 0.69), "deck": (0.67, 0.75), "rear": (0.6, 0.7),
        "cowl_y": (-0.21, -0.1), "screen_y": (-0.04, 0.02), "roof_y": (0.13, 0.2), "back_y": (0.3, 0.39),
        "front_axle": (0.18, 0.21), "rear_axle": (0.17, 0.2), "tumblehome": (0.16, 0.24), "round": (0.9, 1.7),
    },
}  # fmt: skip


def draw_shape(rng: Rng, kind: str) -> CarShape:
    """One car of a family."""
    spans = FAMILIES[kind]
    draw = {name: rng.uniform(*span) for name, span in spans.items()}
    length, height, tyre = draw["length"], draw["height"], draw["tyre"]
    roof_y, back_y, windows, glazed, bed = draw["roof_y"], draw["back_y"], 2, 2, None
    if kind in ("wagon", "suv", "van") or (kind in ("sedan", "hatchback") and rng.chance(0.3)):
        windows = glazed = 3
    if kind == "van":
        glazed = rng.choice([1, 1, 3])
    if kind == "pickup":
        crew = rng.chance(0.5)
        roof_y, back_y = roof_y + 0.11 * crew, back_y + 0.11 * crew
        windows = glazed = 1 + crew
        bed = ((back_y + 0.02) * length, (0.5 - 0.018) * length)
    if kind == "sports" or (kind in ("hatchback", "sedan") and rng.chance(0.15)):
        windows = glazed = rng.choice([1, 2])
    return CarShape(
        kind, length, draw["width"], height, tyre, draw["sill"],
        height * draw["front"], height * draw["cowl"], height * draw["belt"], height * draw["deck"],
        height * draw["rear"], length * draw["cowl_y"], length * draw["screen_y"], length * roof_y, length * back_y,
        length * (draw["front_axle"] - 0.5), length * (0.5 - draw["rear_axle"]), draw["tumblehome"],
        draw["round"], rng.uniform(*spans["round"]), windows, glazed, bed,
    )  # fmt: skip
