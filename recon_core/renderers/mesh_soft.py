# SPDX-License-Identifier: Apache-2.0
"""DIB-R's soft mask: pixels that no face covers get a probability from the faces near them.

Chen et al., DIB-R, NeurIPS 2019, its aggregation for background pixels: face f influences an uncovered pixel by
A_f = exp(-d_f^2 / delta), d_f its distance on the screen, and the pixel's coverage is 1 - prod_f (1 - A_f); a covered
pixel has 1. Silhouettes thus pull faces over pixels that they do not yet touch. Distances are in units of half the
image (x and y run from -1 to 1, so that the blur is not round in an image that is not square), 1 / delta = sigmainv.

Two modes. knum=None: all faces within reach count, the result does not depend on their order, and the cut is where A
has fallen to 0.001. knum=30, boxlen=0.02: as the released CUDA code computes it, the first 30 faces by index whose
bounding box, enlarged by boxlen, holds the pixel; then A steps by up to 0.06 at the cut. Front and back faces count in
both, and the distance is to a face's outline, also from within a face that is not drawn.

Cost per view: O(F + H W + P), P the uncovered pixels near faces; kept for the backward pass: 8 bytes per pair.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from ..errors import InputError
from .mesh_pairs import NEAR, Triangles, expand, pack_triangles, pixel_boxes, row_spans, sum_rows, view_groups

# DIB-R's and kaolin's defaults.
SIGMAINV = 7000.0
BOXLEN = 0.02
KNUM = 30
# Where the order-free mode stops looking.
_LEAST_PROBABILITY = 1e-3
# A pixel on an outline has A = 1, and log(1 - A) no value.
_MOST_PROBABILITY = 1 - 1e-7


def soft_mask(
    face: torch.Tensor,
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    faces: torch.Tensor,
    *,
    sigmainv: float = SIGMAINV,
    boxlen: float | None = None,
    knum: int | None = None,
    near: float = NEAR,
) -> torch.Tensor:
    """Soft coverage (B,H,W) in [0,1] of the meshes whose visible faces are `face` (B,H,W), from visible_faces.

    Other arguments as rasterize. boxlen: reach of a face in half image sizes; left out, where A = 0.001 (knum=None) or
    0.02. Gradients reach uv_px. Raises InputError on values out of range.
    """
    if not sigmainv > 0 or (boxlen is not None and not boxlen > 0) or (knum is not None and knum < 1):
        raise InputError(
            f"sigmainv and boxlen must be above 0 and knum at least 1; got {sigmainv}, {boxlen}, {knum}."
        )
    if face.ndim != 3 or len(face) != len(uv_px):
        raise InputError(f"face must be (B,H,W) with B = {len(uv_px)}, got {tuple(face.shape)}.")
    if boxlen is None:
        boxlen = math.sqrt(-math.log(_LEAST_PROBABILITY) / sigmainv) if knum is None else BOXLEN
    triangles = pack_triangles(uv_px, depth, faces, near)
    mask = _SoftMask.apply(uv_px.reshape(-1, 2), triangles, face, float(sigmainv), boxlen, knum)
    assert isinstance(mask, torch.Tensor)
    return mask


class _SoftMask(torch.autograd.Function):
    """The mask; distances are computed again in the backward pass from the pairs that were kept."""

    @staticmethod
    def forward(ctx: Any, uv, triangles: Triangles, face, sigmainv: float, boxlen: float, knum: int | None):
        batch, height, width = face.shape
        mask = uv.new_ones(face.shape)
        kept = []
        for views in view_groups(batch, triangles.per_view, (height, width), uv.device):
            part = triangles.views(views.start, views.stop)
            log_empty = uv.new_zeros(mask[views].numel())
            pairs = []
            for triangle, pixel in _near_pairs(part, face[views] < 0, boxlen, knum):
                distance2 = _Closest(part.xy, triangle, pixel, (height, width)).distance2
                if knum is None:
                    near = torch.nonzero(distance2 <= boxlen**2)[:, 0]
                    triangle, pixel, distance2 = (
                        t.index_select(0, near) for t in (triangle, pixel, distance2)
                    )
                probability = torch.exp(-sigmainv * distance2).clamp(max=_MOST_PROBABILITY)
                log_empty += sum_rows(pixel, torch.log1p(-probability), len(log_empty))
                pairs.append((triangle.int(), pixel.int()))
            soft = -torch.expm1(log_empty).view(mask[views].shape)
            mask[views] = torch.where(face[views] < 0, soft, mask[views])
            kept.append(_joined(pairs))
        ctx.settings = triangles.per_view, sigmainv
        ctx.save_for_backward(uv, triangles.corners, mask, *(tensor for pair in kept for tensor in pair))
        return mask

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor):
        uv, corners, mask, *kept = ctx.saved_tensors
        per_view, sigmainv = ctx.settings
        batch, height, width = mask.shape
        to_uv = torch.zeros_like(uv)
        groups = view_groups(batch, per_view, (height, width), uv.device)
        for views, triangle, pixel in zip(groups, kept[::2], kept[1::2]):
            if not len(triangle):
                continue
            index = corners[views.start * per_view : views.stop * per_view]
            closest = _Closest(uv[index], triangle, pixel, (height, width))
            probability = torch.exp(-sigmainv * closest.distance2)
            others = (1 - mask[views].reshape(-1).index_select(0, pixel)) / (
                1 - probability.clamp(max=_MOST_PROBABILITY)
            )
            pull = (
                -sigmainv * grad[views].reshape(-1).index_select(0, pixel) * others * probability
            )  # dL / d(d^2)
            for corner, amount in closest.corner_gradients(pull):
                to_uv += sum_rows(index.view(-1)[corner], amount, len(uv))
        return to_uv, None, None, None, None, None


def _joined(pairs: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    if not pairs:
        return torch.zeros(0, dtype=torch.int32), torch.zeros(0, dtype=torch.int32)
    triangle, pixel = (torch.cat(column) for column in zip(*pairs))
    return triangle, pixel


def _near_pairs(
    triangles: Triangles, empty: torch.Tensor, boxlen: float, knum: int | None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(triangle, pixel), each (P,), of the pixels of `empty` (B,H,W) in the enlarged boxes, by triangle.

    With knum, only the first knum triangles of a pixel.
    """
    height, width = empty.shape[1:]
    reach_px = (boxlen * width / 2, boxlen * height / 2)
    spans = row_spans(pixel_boxes(triangles.xy, triangles.usable, (height, width), reach_px))
    base = (spans.triangle // max(triangles.per_view, 1) * height + spans.row) * width
    # Most boxes hold few empty pixels or none. Those of a row's run lie side by side in the list of empty pixels.
    pixels = torch.nonzero(empty.reshape(-1))[:, 0]
    before = torch.cat((pixels.new_zeros(1), empty.reshape(-1).cumsum(0)))
    start, stop = (before.index_select(0, base + column) for column in (spans.start, spans.stop))
    for span, position in expand(start, stop, whole=knum is not None):
        triangle = spans.triangle.index_select(0, span)
        pixel = pixels.index_select(0, position)
        if knum is not None:
            first = _first_of_each(pixel, knum)
            triangle, pixel = triangle.index_select(0, first), pixel.index_select(0, first)
        yield triangle, pixel


def _first_of_each(pixel: torch.Tensor, knum: int) -> torch.Tensor:
    """Positions of the first knum entries of every pixel (P,), in their order."""
    ordered, order = torch.sort(pixel, stable=True)
    start = torch.searchsorted(ordered, ordered)
    return order[torch.arange(len(pixel), device=pixel.device) - start < knum].sort().values


class _Closest:
    """The point of each triangle's outline that is closest to each pixel of P pairs.

    On the edge from a to b it is q = a + t (b - a), t clamped to [0, 1]. As q is the closest, d(d^2)/da is
    -2 (1 - t) (p - q) and d(d^2)/db is -2 t (p - q): the released code's six cases (three edges, three corners) in one.
    """

    def __init__(self, xy, triangle, pixel, size: tuple[int, int]) -> None:
        height, width = size
        self.half, self.triangle = (width / 2, height / 2), triangle.long()
        row = torch.div(pixel, width, rounding_mode="floor")
        x = ((pixel - row * width).to(xy.dtype) + 0.5) / self.half[0]
        y = (torch.remainder(row, height).to(xy.dtype) + 0.5) / self.half[1]
        scaled = xy / xy.new_tensor(self.half)
        picked = [corner.index_select(0, self.triangle) for corner in scaled.reshape(-1, 6).T.contiguous()]
        best = None
        for edge in range(3):
            a, b = 2 * edge, (2 * edge + 2) % 6
            found = _on_segment(x, y, picked[a], picked[a + 1], picked[b], picked[b + 1])
            if best is None:
                best, self.edge = found, torch.zeros_like(self.triangle)
                continue
            closer = found[0] < best[0]  # the first edge wins ties
            best = [torch.where(closer, new, old) for new, old in zip(found, best)]
            self.edge = torch.where(closer, edge, self.edge)
        assert best is not None
        self.distance2, self.t, self.dx, self.dy = best

    def corner_gradients(self, pull: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Both ends' packed corner (P,) and gradient in pixels (P,2), for dL/d(d^2) = pull (P,)."""
        towards = torch.stack((self.dx / self.half[0], self.dy / self.half[1]), -1) * (-2 * pull)[:, None]
        second = torch.where(self.edge == 2, 0, self.edge + 1)
        return [
            (3 * self.triangle + self.edge, towards * (1 - self.t)[:, None]),
            (3 * self.triangle + second, towards * self.t[:, None]),
        ]


def _on_segment(x, y, ax, ay, bx, by) -> list[torch.Tensor]:
    """Squared distance of (x, y) to the segment, place t of the closest point on it, and the way from there."""
    ex, ey = bx - ax, by - ay
    length2 = ex * ex + ey * ey
    t = ((x - ax) * ex + (y - ay) * ey) / torch.where(length2 > 0, length2, 1.0)
    t = t.clamp(0, 1)
    dx, dy = x - ax - t * ex, y - ay - t * ey
    return [dx * dx + dy * dy, t, dx, dy]
