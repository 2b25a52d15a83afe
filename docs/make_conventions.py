# SPDX-License-Identifier: Apache-2.0
"""The picture of docs/conventions.md, drawn through recon_core.cameras itself, so that it shows what the code does.

python docs/make_conventions.py [OUT.png]
"""

import itertools
import math
import sys
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from recon_core.cameras import Cameras, camera_to_world, orbit, pinhole
from recon_core.io.atomic import atomic_path

PANEL_PX, HEAD_PX, OVERSAMPLING = 420, 34, 3
RED, GREEN, BLUE = (205, 50, 45), (50, 140, 60), (45, 90, 205)
INK, GREY, PALE, WOOD = (40, 40, 45), (140, 140, 145), (215, 216, 220), (150, 105, 60)
# A chair in the object frame: box centre 0, diagonal 1, back towards +Y, as (low corner, high corner).
SIZE = (0.48, 0.50, 0.72)
LEGS = [
    ((sx * 0.24 - 0.05 * (sx > 0), sy * 0.25 - 0.05 * (sy > 0), -0.36), 0.05)
    for sx in (-1, 1)
    for sy in (-1, 1)
]
BOXES = [
    ((-0.24, -0.25, -0.02), (0.24, 0.25, 0.04)),
    ((-0.24, 0.20, 0.04), (0.24, 0.25, 0.36)),
    *((low, (low[0] + width, low[1] + width, -0.02)) for low, width in LEGS),
]


class Panel:
    """One square drawing seen by a camera; 3D points in, lines and text out."""

    def __init__(self, title: str, camera: Cameras | None = None) -> None:
        """Start white, with a title above."""
        self.scale, self.camera = OVERSAMPLING, camera
        self.image = Image.new("RGB", (PANEL_PX * self.scale, (PANEL_PX + HEAD_PX) * self.scale), "white")
        self.draw = ImageDraw.Draw(self.image)
        self.text((PANEL_PX / 2, -HEAD_PX / 2), title, INK, 17)

    def at(self, point) -> tuple[float, float]:
        """Canvas position of a 3D point, or of a 2D one in panel pixels."""
        if len(point) == 3:
            assert self.camera is not None
            uv, _ = self.camera.project(torch.tensor([[list(point)]], dtype=torch.float64))
            point = uv[0, 0].tolist()
        return point[0] * self.scale, (point[1] + HEAD_PX) * self.scale

    def line(self, points, color, width: float = 1.5) -> None:
        """A polyline through points."""
        self.draw.line([self.at(point) for point in points], fill=color, width=round(width * self.scale))

    def dashed(self, start, end, color, dashes: int = 14) -> None:
        """A dashed straight line."""
        for index in range(0, dashes, 2):
            self.line(
                [_between(start, end, index / dashes), _between(start, end, (index + 1) / dashes)], color, 1.2
            )

    def arrow(self, start, end, color, label: str = "", width: float = 2.5, reach: float = 16) -> None:
        """A line with a head, and a label beyond its tip."""
        (x0, y0), (x1, y1) = self.at(start), self.at(end)
        length = math.hypot(x1 - x0, y1 - y0)
        ux, uy, head = (x1 - x0) / length, (y1 - y0) / length, 9 * self.scale
        self.draw.line((x0, y0, x1 - ux * head, y1 - uy * head), fill=color, width=round(width * self.scale))
        base = (x1 - ux * head, y1 - uy * head)
        self.draw.polygon(
            [
                (x1, y1),
                (base[0] - uy * head / 2, base[1] + ux * head / 2),
                (base[0] + uy * head / 2, base[1] - ux * head / 2),
            ],
            fill=color,
        )
        if label:
            self._write((x1 + ux * reach * self.scale, y1 + uy * reach * self.scale), label, color, 15)

    def dot(self, point, color, radius: float = 4) -> None:
        """A filled circle."""
        x, y = self.at(point)
        r = radius * self.scale
        self.draw.ellipse((x - r, y - r, x + r, y + r), fill=color)

    def text(self, point, words: str, color=INK, size: int = 14) -> None:
        """Centred text."""
        self._write(self.at(point), words, color, size)

    def _write(self, place, words: str, color, size: int) -> None:
        self.draw.text(place, words, fill=color, font=ImageFont.load_default(size * self.scale), anchor="mm")


def _between(start, end, share: float) -> list[float]:
    return [a + (b - a) * share for a, b in zip(start, end)]


def viewer(azimuth_deg: float, elevation_deg: float, width_units: float) -> Cameras:
    """An orthographic look at the origin that shows `width_units` across a panel."""
    pose = orbit(torch.tensor([azimuth_deg]), torch.tensor([elevation_deg]), 10.0).double()
    camera = pinhole(pose, PANEL_PX)
    scale = torch.tensor([PANEL_PX / width_units], dtype=torch.float64)
    return Cameras(pose, scale, scale, camera.cx, camera.cy, PANEL_PX, PANEL_PX, orthographic=True)


def box_edges(low, high):
    """The twelve edges of a box."""
    corners = list(itertools.product(*zip(low, high)))
    return [(a, b) for a, b in itertools.combinations(corners, 2) if sum(x != y for x, y in zip(a, b)) == 1]


def frustum(panel: Panel, azimuth_deg: float, elevation_deg: float, label: str) -> None:
    """A camera of the default view set (distance 2), its viewing direction, and its name."""
    world = camera_to_world(orbit(torch.tensor([azimuth_deg]), torch.tensor([elevation_deg])).double())[0]
    half, depth = 0.5 / 1.875 * 0.55, 0.55
    corners = [(world @ torch.tensor([x * half, y * half, -depth, 1.0], dtype=torch.float64))[:3].tolist()
               for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]  # fmt: skip
    eye = world[:3, 3].tolist()
    for corner in corners:
        panel.line([eye, corner], INK)
    panel.line([*corners, corners[0]], INK)
    panel.dashed(_between(eye, (0, 0, 0), 0.3), _between(eye, (0, 0, 0), 0.8), GREY)
    panel.text([eye[0], eye[1], eye[2] + 0.40], label, INK, 13)


def world_panel() -> Panel:
    """The object frame with the object, the axes and two cameras of the orbit."""
    panel = Panel("Object (world) frame", viewer(38.0, 32.0, 4.5))
    ring = [(2 * math.sin(a), -2 * math.cos(a), -0.36) for a in torch.linspace(0, 2 * math.pi, 73).tolist()]
    panel.line(ring, PALE)
    panel.line(
        [(2 * math.sin(a), -2 * math.cos(a), -0.36) for a in torch.linspace(0, math.pi / 2, 19).tolist()],
        GREY,
        2,
    )
    panel.text((1.62, -1.62, -0.62), "azimuth 0° to 90°", GREY, 13)
    for low, high in BOXES:
        for edge in box_edges(low, high):
            panel.line(edge, WOOD, 1.2)
    half = [side / 2 for side in SIZE]
    for start, end in box_edges([-side for side in half], half):
        panel.dashed(start, end, GREY, 8)
    panel.arrow((0, 0, 0), (1.25, 0, 0), RED, "+X")
    panel.arrow((0, 0, 0), (0, 1.35, 0), GREEN, "+Y")
    panel.arrow((0, 0, 0), (0, 0, 1.25), BLUE, "+Z up")
    panel.arrow((0, -0.3, -0.36), (0, -1.2, -0.36), WOOD, "front", 1.5)
    frustum(panel, 0.0, 20.0, "azimuth 0°")
    frustum(panel, 90.0, 20.0, "azimuth 90°")
    panel.text(
        (PANEL_PX / 2, PANEL_PX - 14),
        "box centre at the origin, box diagonal 1, cameras at distance 2",
        GREY,
        13,
    )
    return panel


def camera_panel() -> Panel:
    """The camera frame, seen from behind the camera and from its right."""
    panel = Panel("Camera frame (OpenGL, Blender)", viewer(35.0, 25.0, 3.1))

    def place(x: float, y: float, z: float):
        return (x, -z - 0.6, y)  # the camera looks to world +Y here

    eye, depth, half = place(0, 0, 0), 1.3, 0.5
    corners = [place(x * half, y * half, -depth) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    for corner in corners:
        panel.line([eye, corner], GREY)
    panel.line([*corners, corners[0]], INK)
    panel.dot(place(-half, half, -depth), INK)
    panel.text(place(-half - 0.1, half + 0.16, -depth), "pixel (0, 0)", INK, 13)
    panel.dashed(eye, place(0, 0, -1.9), BLUE)
    panel.text(place(0.25, 0.34, -2.3), "looks along -Z", BLUE, 14)
    panel.arrow(eye, place(0.8, 0, 0), RED, "+X right", reach=36)
    panel.arrow(eye, place(0, 0.8, 0), GREEN, "+Y up")
    panel.arrow(eye, place(0, 0, 0.6), BLUE, "+Z")
    panel.text((PANEL_PX / 2, PANEL_PX - 34), "transform_matrix: camera to world, 4 x 4", GREY, 13)
    panel.text(
        (PANEL_PX / 2, PANEL_PX - 14), "depth = -z in this frame (planar), positive in front", GREY, 13
    )
    return panel


def pixel_panel() -> Panel:
    """The image plane of a picture 6 pixels wide and 4 high."""
    panel, columns, rows, cell, left, top = Panel("Pixels"), 6, 4, 50, 55, 62

    def place(u: float, v: float) -> tuple[float, float]:
        return (left + u * cell, top + v * cell)

    for column in range(columns + 1):
        panel.line([place(column, 0), place(column, rows)], PALE)
    for row in range(rows + 1):
        panel.line([place(0, row), place(columns, row)], PALE)
    panel.line([place(0, 0), place(columns, 0), place(columns, rows), place(0, rows), place(0, 0)], INK)
    panel.arrow(place(0, 0), place(2.4, 0), RED)
    panel.text(place(2.6, -0.25), "u", RED, 15)
    panel.arrow(place(0, 0), place(0, 2.4), GREEN)
    panel.text(place(-0.3, 2.4), "v", GREEN, 15)
    for u, v, words in ((0.5, 0.5, "(0.5, 0.5)"), (5.5, 3.5, "(5.5, 3.5)")):
        panel.dot(place(u, v), BLUE)
        panel.text(place(u, v - 0.28) if u > 1 else place(u + 0.95, v + 0.02), words, BLUE, 13)
    panel.dot(place(columns / 2, rows / 2), INK)
    panel.text(place(columns / 2 + 0.02, rows / 2 - 0.3), "(cx, cy) = (w/2, h/2)", INK, 13)
    for u, v, words in ((0, -0.32, "corner (0, 0)"), (columns, rows + 0.3, "corner (w, h)")):
        panel.text(place(u + 0.4 if u == 0 else u - 0.4, v), words, INK, 13)
    panel.text(place(columns + 0.55, 0.5), "row 0", GREY, 13)
    panel.text(
        (PANEL_PX / 2, PANEL_PX - 54), "u = cx + fl_x · x / depth,  v = cy - fl_y · y / depth", INK, 13
    )
    panel.text((PANEL_PX / 2, PANEL_PX - 34), "with x, y in the camera frame", GREY, 13)
    panel.text((PANEL_PX / 2, PANEL_PX - 14), "60 mm lens on a 32 mm sensor: fl = 1.875 w", GREY, 13)
    return panel


def main(argv: list[str]) -> int:
    """Put the three panels side by side."""
    path = Path(argv[0]) if argv else Path(__file__).parent / "images" / "conventions.png"
    panels = [world_panel(), camera_panel(), pixel_panel()]
    canvas = Image.new("RGB", (sum(panel.image.width for panel in panels), panels[0].image.height), "white")
    for index, panel in enumerate(panels):
        canvas.paste(panel.image, (index * panel.image.width, 0))
    small = canvas.resize(
        (canvas.width // OVERSAMPLING, canvas.height // OVERSAMPLING), Image.Resampling.LANCZOS
    )
    with atomic_path(path) as temporary:
        small.save(temporary, "PNG", optimize=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
