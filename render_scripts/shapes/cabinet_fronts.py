# SPDX-License-Identifier: GPL-3.0-or-later
"""Doors and drawer fronts with their handles: one style for a whole piece of furniture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kit, sweeps
from .furniture import Look, board
from .materials import Material
from .mesh import Mesh, Part, parts_of
from .rng import Rng


@dataclass(frozen=True)
class Style:
    """How the fronts of one piece look.

    panel: "flat", "framed" (recessed field), "raised" (a plate on the front) or "louvre";
    handle: "knob", "bar", "cup", "ring", "groove" or "none"; size: of the handle, metres;
    thick: of a front; rail: width of its frame; steel: handles of metal, else of the front's material.
    """

    panel: str
    handle: str
    size: float
    thick: float
    rail: float
    steel: bool

    @classmethod
    def draw(cls, rng: Rng, simple: bool) -> Style:
        """A random style; simple ones are flat or raised, with large handles."""
        panels = {"flat": 4.0, "framed": 3.0, "raised": 1.6, "louvre": 0.6}
        handles = {"knob": 3.5, "bar": 3.0, "cup": 1.2, "ring": 0.7, "groove": 0.9, "none": 1.0}
        if simple:
            panels = {"flat": 3.0, "framed": 0.8, "raised": 3.0}
            handles = {"knob": 4.0, "bar": 3.0, "none": 0.5}
        size = rng.uniform(0.024, 0.045) if simple else rng.uniform(0.012, 0.022)
        return cls(
            rng.weighted(panels), rng.weighted(handles), size, rng.uniform(0.016, 0.026), rng.uniform(0.045, 0.075),
            rng.chance(0.7),
        )  # fmt: skip


def drawer_front(
    style: Style, look: Look, label: str, x0: float, x1: float, z0: float, z1: float, y: float
) -> list[Part]:
    """A drawer's front between x0..x1 and z0..z1, its rear face at y, facing -Y, with handles."""
    low = z1 - z0 < 0.13
    panel = {"louvre": "flat", "framed": "raised" if low else "framed"}.get(style.panel, style.panel)
    parts = _panel(panel, style, look.front, look.front, label, x0, x1, z0, z1, y)
    middle = (z0 + z1) / 2
    face = y - style.thick * (0.55 if panel == "framed" and style.handle != "groove" else 1.0)
    width = x1 - x0
    spots = (
        [(x0 + x1) / 2] if width < 0.62 or style.handle == "bar" else [x0 + 0.25 * width, x1 - 0.25 * width]
    )
    height = z1 - 0.03 if style.handle == "groove" else middle
    reach = min(0.6 * width, 0.16 + 2.0 * style.size)
    for x in spots:
        parts += _handle(style, look, label, x, face, height, reach, False, 0.4 * (z1 - z0))
    return parts


def door(
    style: Style,
    look: Look,
    label: str,
    x0: float,
    x1: float,
    z0: float,
    z1: float,
    y: float,
    hinge: int,
    glazing: Material | None = None,
) -> list[Part]:
    """A door hung on its left (hinge -1) or right (+1) edge; with `glazing`, a pane in a frame."""  # fmt: skip
    panel = "glazed" if glazing else style.panel
    field = glazing or look.front
    parts = _panel(panel, style, look.front, field, label, x0, x1, z0, z1, y)
    rail = min(style.rail, 0.28 * (x1 - x0), 0.28 * (z1 - z0))
    inset = 0.5 * rail if panel in ("framed", "louvre", "glazed") else max(0.5 * rail, style.size + 0.004)
    x = x1 - inset if hinge < 0 else x0 + inset
    tall = z1 - z0
    z = z0 + 0.5 * tall if z0 < 0.9 < z1 or tall > 0.9 else (z1 - 0.3 * tall if z1 < 1.0 else z0 + 0.3 * tall)
    reach = min(0.4 * tall, 0.16 + 3.0 * style.size)
    return parts + _handle(style, look, label, x, y - style.thick, z, reach, True, 0.3 * tall)


def _panel(
    panel: str, style: Style, frame: Material, field: Material, label: str,
    x0: float, x1: float, z0: float, z1: float, y: float,
) -> list[Part]:  # fmt: skip
    """The front itself, `thick` before y."""
    t = style.thick
    rail = min(style.rail, 0.28 * (x1 - x0), 0.28 * (z1 - z0))
    if panel == "flat":
        return parts_of(label, frame, board((x0, y - t, z0), (x1, y, z1), 0.003))
    if panel == "raised":
        plate = board((x0 + rail, y - t - 0.007, z0 + rail), (x1 - rail, y - 0.5 * t, z1 - rail), 0.006, 2)
        return parts_of(label, frame, board((x0, y - t, z0), (x1, y, z1), 0.003), plate)
    stiles = [board((a, y - t, z0), (a + rail, y, z1), 0.003) for a in (x0, x1 - rail)]
    d = 0.0008  # rails a little behind the stiles: no two faces in one plane
    rails = [
        board(
            (x0 + 0.5 * rail, y - t + d, b + d * (b == z0)),
            (x1 - 0.5 * rail, y - d, b + rail - d * (b != z0)),
            0.003,
        )
        for b in (z0, z1 - rail)
    ]
    inner = [
        (x0 + rail * 0.8, y - 0.55 * t, z0 + rail * 0.8),
        (x1 - rail * 0.8, y - 0.1 * t, z1 - rail * 0.8),
    ]
    middle = [board((inner[0][0], inner[0][1], inner[0][2]), (inner[1][0], inner[1][1], inner[1][2]), 0.001)]
    parts = parts_of(label, frame, *stiles, *rails) + parts_of(label, field, *middle)
    if panel == "louvre":
        count = min(max(int((z1 - z0 - 2 * rail) / 0.05), 2), 18)
        slat = kit.rounded_box(x1 - x0 - 1.4 * rail, 0.012, 0.04, 0.003).rotated("x", 28)
        levels = np.linspace(z0 + rail + 0.02, z1 - rail - 0.02, count)
        slats = [slat.moved((x0 + x1) / 2, y - 0.6 * t, float(z)) for z in levels]
        parts += parts_of(label, frame, *slats)
    return parts


def _handle(
    style: Style,
    look: Look,
    label: str,
    x: float,
    y: float,
    z: float,
    reach: float,
    upright: bool,
    room: float,
) -> list[Part]:
    """A handle on the face at y; long ones lie along X, or stand when `upright`; room: half its height's limit."""
    s = min(style.size, max(0.5 * room, 0.006))
    made = look.metal if style.steel else look.leg
    if style.handle == "none":
        return []
    if style.handle in ("knob", "ring"):
        knots = [
            (0.0, 0.002),
            (0.45, 0.002),
            (0.4, -0.4),
            (0.5, -0.6),
            (1.0, -0.95),
            (0.95, -1.35),
            (0.0, -1.6),
        ]
        knob = kit.lathe(np.array(knots) * s, 14).rotated("x", -90)
        meshes = [knob.moved(x, y, z)]
        if style.handle == "ring":
            circle = sweeps.arc(1.6 * s, 0, 360, 16)[:-1] @ np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]])
            meshes.append(sweeps.tube(circle + [x, y - 0.8 * s, z - 1.4 * s], 0.22 * s, 6, loop=True))
        return parts_of(label, made, *meshes)
    if style.handle == "cup":
        shell = kit.cushion(5.0 * s, 2.4 * s, 2.2 * s, 2.5, 2.4, 20, 6)
        return parts_of(label, made, shell.moved(x, y, z))
    if style.handle == "groove":
        strip = board((-reach / 2, -0.008, -0.007), (reach / 2, 0.004, 0.007), 0.003)
        return parts_of(label, made, _turned(strip, upright).moved(x, y, z))
    out, bar = 1.9 * s, 0.42 * s
    path = [[-reach / 2, 0.002, 0], [-reach / 2, -out, 0], [reach / 2, -out, 0], [reach / 2, 0.002, 0]]
    loop = sweeps.tube(sweeps.filleted(path, 0.6 * s, 3), bar, 8)
    return parts_of(label, made, _turned(loop, upright).moved(x, y, z))


def _turned(mesh: Mesh, upright: bool) -> Mesh:
    return mesh.rotated("y", 90) if upright else mesh
