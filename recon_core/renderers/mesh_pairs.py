# SPDX-License-Identifier: Apache-2.0
"""Packed triangles of a batch of views, their pixel boxes, and the ragged list of (triangle, pixel) pairs.

What the mesh rasteriser and the soft mask share. A triangle's packed index is view * F + face; pairs are listed by
triangle, then row, then column, so that everything summed over them has one fixed order.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ..errors import InputError

Size = int | tuple[int, int]

# Faces that reach nearer to the camera than this (object units) are left out whole: there is no clipping.
NEAR = 1e-3
# Triangles smaller than this (twice the area, pixels^2) hide nothing and have unusable barycentric slopes.
MIN_DOUBLE_AREA_PX2 = 1e-9
# Work is cut into pieces of about this many pairs and pixels: small enough for a CPU's cache, large enough that
# the calls themselves cost little; a GPU wants more at once.
_PIECE = {"cpu": 1 << 17, "cuda": 1 << 23}


@dataclass(frozen=True)
class Triangles:
    """Triangles of B views with F faces each, T = B * F."""

    xy: torch.Tensor  # (T, 3, 2) pixels
    depth: torch.Tensor  # (T, 3)
    usable: torch.Tensor  # (T,) bool: a face, wholly beyond the near plane, finite
    corners: torch.Tensor  # (T, 3) int64 into the B * V vertices; 0 where there is no face
    per_view: int  # F

    def views(self, first: int, last: int) -> "Triangles":
        """The triangles of views first .. last - 1; corners still point into all vertices."""
        rows = slice(first * self.per_view, last * self.per_view)
        return Triangles(
            self.xy[rows], self.depth[rows], self.usable[rows], self.corners[rows], self.per_view
        )


def height_width(size: Size) -> tuple[int, int]:
    """(H, W) of a size given as one number or as a pair."""
    return (size, size) if isinstance(size, int) else size


def pack_corners(faces: torch.Tensor, batch: int, vertices: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Packed vertex indices (B*F,3) of faces (F,3), shared, or (B,F,3), padded with -1; and which are faces (B*F,).

    Raises InputError on a wrong shape or type and on an index outside the vertices.
    """
    if faces.ndim not in (2, 3) or faces.shape[-1] != 3 or faces.dtype not in (torch.int64, torch.int32):
        raise InputError(
            f"faces must be integers (F,3), or (B,F,3) padded with -1; got {faces.dtype} {tuple(faces.shape)}."
        )
    if faces.ndim == 3 and len(faces) != batch:
        raise InputError(f"faces are for {len(faces)} meshes, the vertices for {batch}.")
    if faces.numel() and not (int(faces.min()) >= -1 and int(faces.max()) < vertices):
        raise InputError(
            f"Face indices run from {int(faces.min())} to {int(faces.max())}, but there are {vertices} vertices: "
            "indices start at 0, and -1 only fills up rows of meshes with fewer faces."
        )
    faces = faces.long().expand(batch, *faces.shape[-2:])
    present = (faces >= 0).all(-1)
    offset = torch.arange(batch, device=faces.device)[:, None, None] * vertices
    corners = torch.where(present[..., None], faces + offset, torch.zeros_like(faces))
    return corners.reshape(-1, 3), present.reshape(-1)


def pack_triangles(
    uv_px: torch.Tensor, depth: torch.Tensor, faces: torch.Tensor, near: float = NEAR
) -> Triangles:
    """Triangles of projected vertices uv_px (B,V,2), depth (B,V) and faces, without gradient.

    Raises InputError on shapes or types that do not fit.
    """
    if uv_px.ndim != 3 or uv_px.shape[-1] != 2 or depth.shape != uv_px.shape[:2]:
        raise InputError(
            f"Expected uv_px (B,V,2) and depth (B,V); got {tuple(uv_px.shape)} and {tuple(depth.shape)}."
        )
    if uv_px.dtype not in (torch.float32, torch.float64):
        raise InputError(f"Meshes are drawn in float32 or float64, not {uv_px.dtype}: cast the vertices.")
    batch, vertices = depth.shape
    corners, present = pack_corners(faces, batch, vertices)
    per_view = len(present) // max(batch, 1)
    if not vertices:  # nothing to index
        corners, present, per_view = corners[:0], present[:0], 0
    xy = uv_px.detach().reshape(-1, 2)[corners]  # (T, 3, 2)
    z = depth.detach().reshape(-1)[corners]  # (T, 3)
    finite = torch.isfinite(xy).all(-1).all(-1) & torch.isfinite(z).all(-1)
    return Triangles(xy, z, present & finite & (z > near).all(-1), corners, per_view)


def view_groups(batch: int, per_view: int, size: tuple[int, int], device: torch.device) -> Iterator[slice]:
    """Cut the batch into runs of views whose images and triangle tables stay small."""
    piece = _PIECE.get(device.type, _PIECE["cuda"])
    step = max(1, piece // max(size[0] * size[1] + 4 * per_view, 1))
    for first in range(0, batch, step):
        yield slice(first, min(first + step, batch))


def pixel_boxes(
    xy: torch.Tensor, usable: torch.Tensor, size: tuple[int, int], reach_px: tuple[float, float] = (0.0, 0.0)
) -> torch.Tensor:
    """Boxes (4,T) int64 of pixels (column from, to, row from, to) whose centres lie in the triangles' boxes.

    The boxes (triangles xy (T,3,2), enlarged by reach_px along u and v) are half-open as kaolin's: left and bottom
    edges belong to them. Unusable triangles get an empty box.
    """
    low, high = xy.amin(1), xy.amax(1)  # (T, 2)
    height, width = size
    # Clamped as floats: far-away vertices would overflow an integer.
    left = (low[:, 0] - reach_px[0] - 0.5).clamp(-1, width).ceil().clamp(min=0)
    right = (high[:, 0] + reach_px[0] - 0.5).clamp(-1, width).ceil().clamp(min=0)
    top = ((low[:, 1] - reach_px[1] - 0.5).clamp(-1, height).floor() + 1).clamp(0, height)
    bottom = ((high[:, 1] + reach_px[1] - 0.5).clamp(-1, height).floor() + 1).clamp(0, height)
    boxes = torch.where(usable, torch.stack((left, right, top, bottom)), 0)
    return boxes.nan_to_num(0).long()


@dataclass(frozen=True)
class Spans:
    """Runs of pixels: columns start .. stop - 1 of one row of one triangle's box, each (S,) int64."""

    triangle: torch.Tensor
    row: torch.Tensor
    start: torch.Tensor
    stop: torch.Tensor


def row_spans(boxes: torch.Tensor) -> Spans:
    """Spans of boxes (4,T), by triangle and then row."""
    left, right, top, bottom = boxes
    rows = torch.where(right > left, bottom - top, 0).clamp(min=0)
    triangle = torch.repeat_interleave(rows)
    first = (top - (rows.cumsum(0) - rows)).index_select(0, triangle)
    row = first + torch.arange(len(triangle), device=rows.device)
    return Spans(triangle, row, left.index_select(0, triangle), right.index_select(0, triangle))


def expand(
    start: torch.Tensor, stop: torch.Tensor, whole: bool = False
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (span, position), each (P,) int64, of every position start .. stop - 1 of spans (S,), in pieces.

    A piece ends at a span's end; with `whole` there is one piece.
    """
    counts = (stop - start).clamp(min=0)
    if not len(counts) or not int((ends := counts.cumsum(0))[-1]):
        return
    for first, last in _pieces(ends, whole):
        count = counts[first:last]
        local = torch.repeat_interleave(count)  # (P,)
        shift = start[first:last] - (ends[first:last] - count) + (ends[first] - count[0])
        yield local + first, shift.index_select(0, local) + torch.arange(len(local), device=local.device)


def _pieces(ends: torch.Tensor, whole: bool) -> list[tuple[int, int]]:
    """Ranges of spans with about the wanted number of positions each; at least one span."""
    piece, total = _PIECE.get(ends.device.type, _PIECE["cuda"]), int(ends[-1])
    if whole or total <= piece:
        return [(0, len(ends))]
    marks = torch.arange(piece, total, piece, device=ends.device)
    cuts = torch.unique(torch.searchsorted(ends, marks, right=True)).tolist()
    cuts = [0, *(cut for cut in cuts if 0 < cut < len(ends)), len(ends)]
    return list(itertools.pairwise(cuts))


def edge_table(xy: torch.Tensor) -> torch.Tensor:
    """Edge functions (12,T) of triangles xy (T,3,2): for each edge k, opposite corner k, origin and direction.

    E_k(p) = dx_k (p_y - oy_k) - dy_k (p_x - ox_k) is twice the area of p and the edge, positive inside whatever the
    winding; E_0 + E_1 + E_2 is twice the triangle's area. Rows: ox, oy, dx, dy of edge 0, of edge 1, of edge 2.
    Both triangles at an edge start from the same end of it, so that their values differ in sign alone and no pixel
    falls between them by rounding.
    """
    area = _cross(xy[:, 1] - xy[:, 0], xy[:, 2] - xy[:, 0])
    sign = torch.where(area < 0, -torch.ones_like(area), torch.ones_like(area))
    rows = []
    for k in range(3):
        a, b = xy[:, (k + 1) % 3], xy[:, (k + 2) % 3]
        swap = (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))
        origin, end = torch.where(swap[:, None], b, a), torch.where(swap[:, None], a, b)
        along = (end - origin) * torch.where(swap, -sign, sign)[:, None]
        rows += [origin[:, 0], origin[:, 1], along[:, 0], along[:, 1]]
    return torch.stack(rows)


def edge_values(
    table: torch.Tensor, triangle: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> list[torch.Tensor]:
    """E_0, E_1, E_2, each (P,), of triangles (P,) of a table (12,T) at pixels x, y (P,)."""
    values = []
    for k in range(3):
        ox, oy, dx, dy = (table[4 * k + row].index_select(0, triangle) for row in range(4))
        values.append(dx * (y - oy) - dy * (x - ox))
    return values


def double_area(xy: torch.Tensor) -> torch.Tensor:
    """Twice the signed area (T,) of triangles xy (T,3,2); negative where counter-clockwise as seen (v runs down)."""
    return _cross(xy[:, 1] - xy[:, 0], xy[:, 2] - xy[:, 0])


def sum_rows(index: torch.Tensor, values: torch.Tensor, count: int) -> torch.Tensor:
    """Sums (count,...) of rows values (P,...) with the same index (P,), in one order on every run, differentiable."""
    total = values.new_zeros(count, *values.shape[1:])
    if values.device.type == "cpu":
        return total.index_add(0, index, values)
    # index_add is atomic on a GPU; an accumulating index_put sorts first and adds in order.
    return total.index_put((index,), values, accumulate=True)


def _cross(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
