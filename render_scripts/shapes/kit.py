# SPDX-License-Identifier: GPL-3.0-or-later
"""Solid primitives: boxes, turned bodies, extrusions, lofts, bent sheets, cushions.

All are centred on the origin unless said otherwise, closed, outward, in metres; place them with
Mesh.moved / rotated / warped. See sweeps.py for tubes and curves.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .mesh import Mesh
from .skin import box_mapped, face_normals, skin

TAU = 2 * np.pi


def rounded_rectangle(width: float, height: float, radius: float, steps: int = 3) -> np.ndarray:
    """(4*(steps+1),2) counter-clockwise outline centred on the origin; `steps` edges per corner."""
    radius = min(radius, width / 2 - 1e-6, height / 2 - 1e-6)
    angle = np.linspace(0, TAU / 4, steps + 1)[None] + TAU / 4 * np.arange(4)[:, None]  # (4, steps+1)
    centre = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [width / 2 - radius, height / 2 - radius]
    arc = radius * np.stack([np.cos(angle), np.sin(angle)], -1)
    return (centre[:, None] + arc).reshape(-1, 2)


def superellipse(width: float, height: float, power: float = 2.5, sides: int = 24) -> np.ndarray:
    """(sides,2) counter-clockwise |x/a|^p + |y/b|^p = 1: 2 is an ellipse, larger is boxier."""
    t = TAU * np.arange(sides) / sides
    c, s = np.cos(t), np.sin(t)
    scale = (np.abs(c) ** power + np.abs(s) ** power) ** (-1.0 / power)
    return np.stack([c * scale * width / 2, s * scale * height / 2], -1)


def rounded_box(
    x: float, y: float, z: float, bevel: float = 0.004, steps: int = 1, grain: str | None = None
) -> Mesh:
    """Box of the given outer size whose edges are rounded by `bevel` in `steps` facets (1 = chamfer).

    grain: axis that the texture's v follows, the longest by default.
    """
    bevel = min(bevel, 0.49 * min(x, y, z))
    angle = np.linspace(0, TAU / 4, steps + 1)
    inset = bevel * (1 - np.sin(angle))
    height = -z / 2 + bevel * (1 - np.cos(angle))
    inset, height = np.concatenate([inset, inset[::-1]]), np.concatenate([height, -height[::-1]])
    rings = [
        _at_height(rounded_rectangle(x - 2 * i, y - 2 * i, max(bevel - i, 0.2 * bevel), steps), h)
        for i, h in zip(inset, height)
    ]
    return skin(np.stack(rings), uv="box", grain=grain)


def lathe(profile: Sequence[Sequence[float]] | np.ndarray, sides: int = 24) -> Mesh:
    """Surface of revolution about Z of profile points (radius, z), bottom to top or top to bottom.

    Ends with radius 0 close in a pole, others in a flat cap. Crisp edges need no doubled points: normals
    split by angle. See rounded_profile for discs and columns.
    """
    profile = np.asarray(profile, float)
    t = TAU * np.arange(sides) / sides
    circle = np.stack([np.cos(t), np.sin(t)], -1)
    rings = np.concatenate(
        [
            profile[:, None, :1] * circle[None],
            np.broadcast_to(profile[:, None, 1:], (len(profile), sides, 1)),
        ],
        -1,
    )
    mesh = skin(rings)
    normal = face_normals(mesh)
    level = np.abs(normal[:, 2]) > 0.8 * np.linalg.norm(normal, axis=1)  # planks, not rays, on flat faces
    return replace(mesh, uv=np.where(level[:, None, None], box_mapped(mesh, "y").uv, mesh.uv))


def cylinder(radius: float, height: float, bevel: float = 0.002, sides: int = 24, steps: int = 1) -> Mesh:
    """Upright cylinder with rounded rims."""
    bevel = min(bevel, 0.49 * height, 0.9 * radius)
    return lathe(rounded_profile([(radius, -height / 2), (radius, height / 2)], bevel, steps), sides)


def rounded_profile(corners: Sequence[Sequence[float]], bevel: float, steps: int = 2) -> np.ndarray:
    """Lathe profile through (radius, z) corners, closed to the axis, every corner cut by `bevel`.

    The path runs from the axis at the first z, through the corners, back to the axis at the last z.
    """
    points = np.asarray(corners, float)
    path = np.concatenate([[[0.0, points[0, 1]]], points, [[0.0, points[-1, 1]]]])
    out = [path[0]]
    for before, here, after in zip(path[:-2], path[1:-1], path[2:]):
        out.extend(_corner(before, here, after, bevel, steps))
    return np.array([*out, path[-1]])


def extrude(
    outline: Sequence[Sequence[float]] | np.ndarray,
    depth: float,
    bevel: float = 0.003,
    steps: int = 1,
    grain: str | None = None,
) -> Mesh:
    """Plate of a simple polygon (S,2) in XY, either direction, `depth` thick along Z, edges bevelled.

    Concave outlines are fine; bevel must be small against the outline's features.
    """
    outline = np.asarray(outline, float)
    outline = outline if _area(outline) > 0 else outline[::-1]
    angle = np.linspace(0, TAU / 4, steps + 1)
    inset = bevel * (1 - np.sin(angle))
    height = -depth / 2 + bevel * (1 - np.cos(angle))
    inset, height = np.concatenate([inset, inset[::-1]]), np.concatenate([height, -height[::-1]])
    rings = np.stack([_at_height(_inset(outline, i), h) for i, h in zip(inset, height)])
    sides = len(outline)
    body = skin(rings)
    quads = len(body.faces) - 2 * sides  # drop skin's fans, which suit star shapes only
    ears = ear_clip(rings[0][:, :2])
    top = ears + (len(rings) - 1) * sides
    caps = np.concatenate([ears[:, ::-1], top])
    caps = np.concatenate([caps, np.full((len(caps), 1), -1)], 1)
    faces = np.concatenate([body.faces[:quads], caps])
    mesh = Mesh(body.vertices[: len(rings) * sides], faces, np.zeros((len(faces), 4, 2)))
    return box_mapped(mesh, grain)


def loft(
    sections: Sequence[np.ndarray], loop: bool = False, uv: str = "wrap", grain: str | None = None
) -> Mesh:
    """Body through cross-sections, each (S,3) with the same S and matching order (wings, hulls).

    A section shrunk to a point closes in a pole; other ends get flat fan caps, so they must be
    star-shaped. Use catmull_rom (sweeps.py) on stacked sections to smooth along the length.
    """
    return skin(np.stack([np.asarray(s, float) for s in sections]), loop, uv, grain)


def sheet(
    grid: np.ndarray,
    thickness: float | np.ndarray,
    steps: int = 3,
    normals: np.ndarray | None = None,
    flat_rows: Sequence[int] = (),
) -> Mesh:
    """Bent panel: mid-surface grid (R,C,3) with a thickness (metres, scalar or (R,C)) and round edges.

    Curved backs, moulded shells, saddle seats. The outline is the grid's border; bend or round the grid
    itself (see squircle_grid). uv follows rows (v) and columns (u) in metres. flat_rows: 0 and/or -1, end
    rows that are cut flat because another sheet goes on there; see split_sheet.
    """
    grid = np.asarray(grid, float)
    rows, cols = grid.shape[:2]
    normal = sheet_normals(grid) if normals is None else normals
    half = np.broadcast_to(np.asarray(thickness, float) / 2, (rows, cols))[..., None]
    front, back = (grid + normal * half).reshape(-1, 3), (grid - normal * half).reshape(-1, 3)
    border = _border(rows, cols)
    outward = _unit(_border_outward(grid, normal, border))
    for row in flat_rows:
        _cut_flat(outward, border, grid, row % rows)
    mid, lift = grid.reshape(-1, 3)[border], half.reshape(-1, 1)[border]
    theta = TAU / 2 * np.arange(1, steps) / steps
    rim = [mid + lift * (np.cos(t) * normal.reshape(-1, 3)[border] + np.sin(t) * outward) for t in theta]
    vertices = np.concatenate([front, back, *rim])
    return _sheet_mesh(vertices, grid, border, steps).outward()


def split_sheet(grid: np.ndarray, thickness: float, rows: Sequence[int], steps: int = 3) -> list[Mesh]:
    """A sheet cut into closed pieces that meet without a gap or a ridge at the given grid rows."""
    grid = np.asarray(grid, float)
    normals = sheet_normals(grid)
    ends = [0, *rows, len(grid) - 1]
    pieces = []
    for first, last in itertools.pairwise(ends):
        flat = [r for r, inner in ((0, first > 0), (-1, last < len(grid) - 1)) if inner]
        cut = slice(first, last + 1)
        pieces.append(sheet(grid[cut], thickness, steps, normals[cut], flat))
    return pieces


def sheet_normals(grid: np.ndarray) -> np.ndarray:
    """(R,C,3) unit normals of a grid surface (R,C,3): columns cross rows."""
    return _unit(np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0)))


def squircle_grid(width: float, height: float, roundness: float, rows: int = 9, cols: int = 9) -> np.ndarray:
    """(rows,cols,2) grid over a rectangle whose corners are pulled in: roundness 0 square, 1 ellipse."""
    v, u = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, cols), indexing="ij")
    x = u * np.sqrt(1 - roundness * v**2 / 2)
    y = v * np.sqrt(1 - roundness * u**2 / 2)
    return np.stack([x * width / 2, y * height / 2], -1)


def cushion(
    x: float, y: float, z: float, power: float = 5.0, edge: float = 2.5, sides: int = 32, rings: int = 8
) -> Mesh:
    """Pillow of the given outer size: superellipse outline `power` (2 round, 6 square), edge profile
    `edge` (2 elliptic, 4 boxy with a rounded rim)."""
    t = TAU / 2 * np.arange(rings + 1) / rings
    c, s = np.cos(t), np.sin(t)
    scale = (np.abs(c) ** edge + np.abs(s) ** edge) ** (-1.0 / edge)
    outline = superellipse(x, y, power, sides)
    spread, height = np.abs(s) * scale, -c * scale * z / 2
    spread[[0, -1]] = 0.0
    stack = [_at_height(outline * w, h) for w, h in zip(spread, height)]
    return skin(np.stack(stack), uv="box", grain="y")


def ear_clip(polygon: np.ndarray) -> np.ndarray:
    """(S-2,3) triangles, counter-clockwise, of a simple counter-clockwise polygon (S,2)."""
    left = list(range(len(polygon)))
    out = []
    while len(left) > 3:
        ear = next((k for k in range(len(left)) if _is_ear(polygon, left, k)), 0)
        out.append([left[ear - 1], left[ear], left[(ear + 1) % len(left)]])
        del left[ear]
    return np.array([*out, left])


def _is_ear(polygon: np.ndarray, left: list[int], k: int) -> bool:
    """True where the corner is convex and no other corner lies in its triangle."""
    a, b, c = polygon[left[k - 1]], polygon[left[k]], polygon[left[(k + 1) % len(left)]]
    if _cross(b - a, c - a) <= 1e-14:
        return False
    skip = {left[k - 1], left[k], left[(k + 1) % len(left)]}
    p = polygon[[i for i in left if i not in skip]]
    inside = (_cross(b - a, p - a) >= 0) & (_cross(c - b, p - b) >= 0) & (_cross(a - c, p - c) >= 0)
    return not inside.any()


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _area(outline: np.ndarray) -> float:
    return float(_cross(outline, np.roll(outline, -1, 0)).sum() / 2)


def _at_height(outline: np.ndarray, z: float) -> np.ndarray:
    return np.concatenate([outline, np.full((len(outline), 1), z)], 1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _inset(outline: np.ndarray, distance: float) -> np.ndarray:
    """The counter-clockwise outline moved inwards, with mitred corners (at most 4 distances long)."""
    before = _unit(outline - np.roll(outline, 1, 0))
    after = np.roll(before, -1, 0)
    normal_before = np.stack([-before[:, 1], before[:, 0]], -1)
    normal_after = np.stack([-after[:, 1], after[:, 0]], -1)
    miter = _unit(normal_before + normal_after)
    return outline + distance * miter / np.maximum((miter * normal_after).sum(-1, keepdims=True), 0.25)


def _corner(before: np.ndarray, here: np.ndarray, after: np.ndarray, bevel: float, steps: int) -> np.ndarray:
    """(steps+1,2) quadratic curve that replaces a profile corner, never past half of an edge."""
    to, away = before - here, after - here
    start = here + to * min(bevel / max(float(np.hypot(*to)), 1e-9), 0.49)
    end = here + away * min(bevel / max(float(np.hypot(*away)), 1e-9), 0.49)
    t = np.linspace(0, 1, steps + 1)[:, None]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * here + t**2 * end


def _cut_flat(outward: np.ndarray, border: np.ndarray, grid: np.ndarray, row: int) -> None:
    """Change `outward` so that the rim along one row does not bulge; its two corners bulge sideways."""
    cols = grid.shape[1]
    for k in np.flatnonzero(border // cols == row):
        col = border[k] % cols
        side = {0: grid[row, 0] - grid[row, 1], cols - 1: grid[row, -1] - grid[row, -2]}.get(col)
        outward[k] = 0.0 if side is None else _unit(side)


def _border(rows: int, cols: int) -> np.ndarray:
    """Indices of the grid's border, counter-clockwise for columns to the right and rows upwards."""
    index = np.arange(rows * cols).reshape(rows, cols)
    return np.concatenate([index[0, :-1], index[:-1, -1], index[-1, :0:-1], index[:0:-1, 0]])


def _border_outward(grid: np.ndarray, normal: np.ndarray, border: np.ndarray) -> np.ndarray:
    """(L,3) directions in the surface that point out of it along the border."""
    points = grid.reshape(-1, 3)[border]
    tangent = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    return np.cross(tangent, normal.reshape(-1, 3)[border])


def _sheet_mesh(vertices: np.ndarray, grid: np.ndarray, border: np.ndarray, steps: int) -> Mesh:
    """Faces and uv of sheet: front grid, back grid, rim strips from front to back."""
    rows, cols = grid.shape[:2]
    index = np.arange(rows * cols).reshape(rows, cols)
    front = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], -1).reshape(-1, 4)
    count, loop = rows * cols, len(border)
    rings = [border, *(2 * count + k * loop + np.arange(loop) for k in range(steps - 1)), border + count]
    strips = [np.stack([a, b, np.roll(b, -1), np.roll(a, -1)], -1) for a, b in itertools.pairwise(rings)]
    faces = np.concatenate([front, (front + count)[:, ::-1], *strips])
    u = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(grid, axis=1), axis=-1).mean(0))])
    v = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(grid, axis=0), axis=-1).mean(1))])
    flat = np.stack(np.meshgrid(u, v), -1).reshape(-1, 2)
    corner_uv = np.concatenate([flat, flat, *([flat[border]] * (steps - 1))])
    return Mesh(vertices, faces, corner_uv[faces])
