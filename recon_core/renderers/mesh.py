# SPDX-License-Identifier: Apache-2.0
"""Differentiable mesh rasteriser: projected triangles to the visible face of every pixel, and attributes on it.

After Chen et al., "Learning to Predict 3D Objects with an Interpolation-based Differentiable Renderer" (DIB-R,
NeurIPS 2019), its interpolation equation for foreground pixels: a covered pixel shows one face, chosen by depth; its
value is I = sum_i w_i f_i with barycentric weights w of the pixel centre, so gradients reach the corners' attributes
(dI/df_i = w_i) and, through the weights, their positions. Pixels beside the mesh have a probability: see mesh_soft.

Weights, two modes: "affine" is linear on the screen, as the released code and kaolin compute it (a texture swims on
large triangles); "perspective" divides by depth, as the paper's geometry asks and graphics hardware does.

Cost per view: O(F + P), P the pixels in the faces' bounding boxes, in time; images that are returned, one int32 per
pixel and the working set of a few views in memory. Every face against every pixel would be O(F H W).
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.autograd.function import once_differentiable

from ..errors import InputError
from .mesh_pairs import (
    MIN_DOUBLE_AREA_PX2,
    NEAR,
    Size,
    Spans,
    Triangles,
    double_area,
    edge_table,
    edge_values,
    expand,
    height_width,
    pack_corners,
    pack_triangles,
    pixel_boxes,
    row_spans,
    sum_rows,
    view_groups,
)

Interpolation = Literal["affine", "perspective"]
_NO_FACE = torch.iinfo(torch.int32).max


@dataclass(frozen=True)
class Fragments:
    """What every pixel sees: the nearest face (-1: none), the weights of its corners, planar depth (0: none)."""

    face: torch.Tensor  # (B, H, W) int64
    barycentrics: torch.Tensor  # (B, H, W, 3), summing to 1 on faces
    depth: torch.Tensor  # (B, H, W)


def rasterize(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    faces: torch.Tensor,
    size: Size,
    *,
    cull: bool = False,
    interpolation: Interpolation = "affine",
    near: float = NEAR,
    face_mask: torch.Tensor | None = None,
) -> Fragments:
    """Fragments of meshes with projected vertices uv_px (B,V,2) (pixels) and depth (B,V), as Cameras.project gives.

    faces: (F,3), shared, or (B,F,3) padded with -1. A face is left out whole if a corner is nearer than `near`, not
    finite, or, with `cull`, if it shows its back (corners clockwise as seen). face_mask (B,F): draw only these
    (kaolin's valid_faces; for its culling by normal see forward_normals). At equal depth the lowest face index wins.
    Gradients reach uv_px (through barycentrics and depth) and depth; which face is seen has none.
    Raises InputError on shapes that do not fit.
    """
    face = visible_faces(
        uv_px, depth, faces, size, cull=cull, interpolation=interpolation, near=near, face_mask=face_mask
    )
    corners, _ = pack_corners(faces, *depth.shape)
    identity = torch.eye(3, dtype=uv_px.dtype, device=uv_px.device)
    if interpolation == "perspective" and len(corners):
        inverse = _inverse(depth).reshape(-1)[corners]  # (T, 3)
        rows = (inverse[..., None] * identity).reshape(-1, 3)  # (3 T, 3)
        index = torch.arange(len(rows), device=rows.device).view(-1, 3)
        scaled = _interpolate(uv_px, rows, corners, index, face)
        total = scaled.sum(-1)
        safe = torch.where(face >= 0, total, torch.ones_like(total))
        return Fragments(face.long(), scaled / safe[..., None], torch.where(face >= 0, 1 / safe, 0.0))
    index = torch.arange(3, device=uv_px.device).expand(len(corners), 3)
    weights = _interpolate(uv_px, identity, corners, index, face)
    return Fragments(face.long(), weights, interpolate(face, uv_px, depth, faces, depth[..., None])[..., 0])


def visible_faces(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    faces: torch.Tensor,
    size: Size,
    *,
    cull: bool = False,
    interpolation: Interpolation = "affine",
    near: float = NEAR,
    face_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Nearest face (B,H,W) int32 of every pixel, -1 where there is none, without gradient; arguments as rasterize."""
    triangles = pack_triangles(uv_px, depth, faces, near)
    drawn = triangles.usable & _facing(triangles.xy, cull)
    if face_mask is not None:
        if face_mask.shape != (len(uv_px), triangles.per_view):
            raise InputError(
                f"face_mask must be (B,F) = {(len(uv_px), triangles.per_view)}, got {tuple(face_mask.shape)}."
            )
        drawn = drawn & face_mask.reshape(-1)
    triangles = Triangles(triangles.xy, triangles.depth, drawn, triangles.corners, triangles.per_view)
    height, width = height_width(size)
    image = torch.full((len(uv_px), height, width), -1, dtype=torch.int32, device=uv_px.device)
    for views in view_groups(len(uv_px), triangles.per_view, (height, width), uv_px.device):
        image[views] = _nearest(
            triangles.views(views.start, views.stop), image[views].shape, interpolation == "perspective"
        )
    return image


def interpolate(
    face: torch.Tensor,
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    faces: torch.Tensor,
    attributes: torch.Tensor,
    *,
    attribute_faces: torch.Tensor | None = None,
    interpolation: Interpolation = "affine",
) -> torch.Tensor:
    """Attributes (B,H,W,C) at the visible faces (B,H,W) of meshes as in rasterize; 0 where there is none.

    attributes: (B,A,C), indexed by attribute_faces ((F,3) or (B,F,3); `faces`, and A = V, if left out), so that a
    texture coordinate may differ between the faces at a vertex. Gradients reach attributes, uv_px and, in perspective,
    depth.
    """
    batch, _, channels = _check_attributes(attributes, uv_px, face)
    attributes = attributes.to(uv_px.dtype)  # a network's colours may be in half precision
    corners, _ = pack_corners(faces, *depth.shape)
    if attribute_faces is None:
        attribute_faces = faces
    index, _ = pack_corners(attribute_faces, batch, attributes.shape[1])
    if index.shape != corners.shape:
        raise InputError(f"There are {len(corners)} faces, but {len(index)} rows of attribute_faces.")
    if not (len(corners) and depth.shape[1] and attributes.shape[1] and channels):
        return attributes.new_zeros(*face.shape, channels)
    if interpolation == "affine":
        return _interpolate(uv_px, attributes.reshape(-1, channels), corners, index, face)
    # Attribute / depth and 1 / depth are linear on the screen; their quotient is linear on the face.
    inverse = _inverse(depth).reshape(-1)[corners][..., None]  # (T, 3, 1)
    values = torch.cat((attributes.reshape(-1, channels)[index] * inverse, inverse), -1).flatten(0, 1)
    rows = torch.arange(len(values), device=values.device).view(-1, 3)
    image = _interpolate(uv_px, values, corners, rows, face)
    return image[..., :-1] / torch.where(face >= 0, image[..., -1], 1.0)[..., None]


def forward_normals(xyz_cam: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Faces (B,F) whose normal has z >= 0 in the camera frame, of vertices xyz_cam (B,V,3): DIB-R's culling.

    Under perspective that is not quite what faces the camera: rasterize's cull goes by what the image shows.
    """
    batch, count, _ = xyz_cam.shape
    corners, present = pack_corners(faces, batch, count)
    points = xyz_cam.reshape(-1, 3)[corners]  # (T, 3, 3)
    normal = torch.linalg.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0], dim=-1)
    return ((normal[:, 2] >= 0) & present).view(batch, -1)


def _check_attributes(attributes: torch.Tensor, uv_px: torch.Tensor, face: torch.Tensor) -> torch.Size:
    if attributes.ndim != 3 or len(attributes) != len(uv_px) or len(face) != len(uv_px) or face.ndim != 3:
        raise InputError(
            f"Expected attributes (B,A,C) and face (B,H,W) with B = {len(uv_px)}; got {tuple(attributes.shape)} and "
            f"{tuple(face.shape)}."
        )
    return attributes.shape


def _inverse(depth: torch.Tensor) -> torch.Tensor:
    """1 / depth, and 0 behind the camera, where no face is seen."""
    front = depth > 0
    return torch.where(front, 1 / torch.where(front, depth, 1.0), 0.0)


def _facing(xy: torch.Tensor, cull: bool) -> torch.Tensor:
    """Triangles (T,) that are large enough to draw and, with `cull`, show their front."""
    area = double_area(xy)
    return (-area if cull else area.abs()) > MIN_DOUBLE_AREA_PX2


def _nearest(triangles: Triangles, shape: torch.Size, perspective: bool) -> torch.Tensor:
    """Z-buffer: the nearest face (B,H,W) int32; of faces at the same depth the first."""
    batch, height, width = shape
    spans = row_spans(pixel_boxes(triangles.xy, triangles.usable, (height, width)))
    table = edge_table(triangles.xy)
    edges = [_edge_along_row(table, k, spans) for k in range(3)]
    view, face = _divmod(spans.triangle, triangles.per_view)
    base, face = (view * height + spans.row) * width, face.int()
    nearest = table.new_full((batch * height * width,), torch.inf)
    winner = torch.full_like(nearest, _NO_FACE, dtype=torch.int32)
    for span, column in expand(spans.start, spans.stop):
        x = column.to(table.dtype) + 0.5
        values = [
            across.index_select(0, span) - dy.index_select(0, span) * (x - ox.index_select(0, span))
            for across, dy, ox in edges
        ]
        inside = torch.nonzero((values[0] >= 0) & (values[1] >= 0) & (values[2] >= 0))[:, 0]
        span, values = span.index_select(0, inside), [value.index_select(0, inside) for value in values]
        pixel = base.index_select(0, span) + column.index_select(0, inside)
        z = _depth_at(
            values, triangles.depth.index_select(0, spans.triangle.index_select(0, span)), perspective
        )
        # Pieces come in the order of faces: an equal depth in a later one does not win.
        closer = z < nearest.index_select(0, pixel)
        nearest.scatter_reduce_(0, pixel, z, "amin")
        won = torch.nonzero(closer & (z == nearest.index_select(0, pixel)))[:, 0]
        place = pixel.index_select(0, won)
        winner.index_fill_(0, place, _NO_FACE)
        winner.scatter_reduce_(0, place, face.index_select(0, span.index_select(0, won)), "amin")
    return winner.masked_fill_(winner == _NO_FACE, -1).view(shape)


def _edge_along_row(
    table: torch.Tensor, k: int, spans: Spans
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What E_k is made of on each span (S,): its part that is fixed there, its fall per column, its origin's column."""
    ox, oy, dx, dy = (table[4 * k + row].index_select(0, spans.triangle) for row in range(4))
    return dx * (spans.row + 0.5 - oy), dy, ox


def _divmod(index: torch.Tensor, divisor: int) -> tuple[torch.Tensor, torch.Tensor]:
    quotient = torch.div(index, max(divisor, 1), rounding_mode="floor")
    return quotient, index - quotient * divisor


def _depth_at(values: list[torch.Tensor], corner_depth: torch.Tensor, perspective: bool) -> torch.Tensor:
    """Depth (P,) at pixels with edge values E_k, of triangles with corner_depth (P,3)."""
    total = values[0] + values[1] + values[2]
    z = corner_depth.unbind(1)
    if perspective:
        return total / (values[0] / z[0] + values[1] / z[1] + values[2] / z[2])
    return (values[0] * z[0] + values[1] * z[1] + values[2] * z[2]) / total


def _interpolate(
    uv_px: torch.Tensor, rows: torch.Tensor, corners: torch.Tensor, index: torch.Tensor, face: torch.Tensor
) -> torch.Tensor:
    """Screen-affine interpolation (B,H,W,C) of attribute rows (A,C); corners, index (T,3) into vertices and rows."""
    image = _AffineInterpolation.apply(uv_px.reshape(-1, 2), rows, corners, index, face)
    assert isinstance(image, torch.Tensor)
    return image


class _AffineInterpolation(torch.autograd.Function):
    """I = sum_i w_i f_i per covered pixel; weights are computed again in the backward pass, not kept.

    Moving corner i by d changes weight j by -w_i grad(w_j) . d, hence dL/dv_i = -sum_c (dL/df_ic) grad(I_c): the
    attributes' gradient, summed over a face's pixels, holds all that the positions' needs.
    """

    @staticmethod
    def forward(ctx: Any, uv, rows, corners, index, face) -> torch.Tensor:
        ctx.save_for_backward(uv, rows, corners, index, face)
        image = rows.new_zeros(*face.shape, rows.shape[1])
        for views in _groups(face, corners):
            part = _Covered(uv, corners, face, views)
            if part.empty:
                continue
            picked = index[part.triangles].index_select(0, part.triangle)  # (P, 3)
            value = sum(
                weight[:, None] * rows.index_select(0, picked[:, k]) for k, weight in enumerate(part.weights)
            )
            image[views].view(-1, rows.shape[1]).index_copy_(0, part.pixel, value)
        return image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor):
        uv, rows, corners, index, face = ctx.saved_tensors
        to_uv, to_rows = torch.zeros_like(uv), torch.zeros_like(rows)
        channels = rows.shape[1]
        for views in _groups(face, corners):
            part = _Covered(uv, corners, face, views)
            if part.empty:
                continue
            pulled = grad[views].reshape(-1, channels).index_select(0, part.pixel)  # (P, C)
            weighted = torch.cat([weight[:, None] * pulled for weight in part.weights], 1)
            sums = sum_rows(part.triangle, weighted, part.count).view(-1, 3, channels)  # dL/df per corner
            values = rows[index[part.triangles]]  # (T, 3, C)
            slope = torch.einsum("tkc,tkx->tcx", values, part.slopes())  # grad of I_c
            moved = -torch.einsum("tkc,tcx->tkx", sums, slope)
            to_uv += sum_rows(corners[part.triangles].flatten(), moved.flatten(0, 1), len(uv))
            to_rows += sum_rows(index[part.triangles].flatten(), sums.flatten(0, 1), len(rows))
        return to_uv, to_rows, None, None, None


def _groups(face: torch.Tensor, corners: torch.Tensor):
    batch, height, width = face.shape
    return view_groups(batch, len(corners) // max(batch, 1), (height, width), face.device)


class _Covered:
    """Covered pixels of a run of views: pixel and triangle (P,), counted from the run's start, and weights 3 x (P,)."""

    def __init__(self, uv: torch.Tensor, corners: torch.Tensor, face: torch.Tensor, views: slice) -> None:
        _, height, width = face.shape
        per_view = len(corners) // max(len(face), 1)
        self.triangles = slice(views.start * per_view, views.stop * per_view)
        self.count = self.triangles.stop - self.triangles.start
        view, row, column = torch.nonzero(face[views] >= 0, as_tuple=True)
        self.empty = not len(view)
        if self.empty:
            return
        self.pixel = (view * height + row) * width + column
        self.triangle = face[views].reshape(-1).index_select(0, self.pixel) + view * per_view
        self.table = edge_table(uv[corners[self.triangles]])
        values = edge_values(self.table, self.triangle, column + 0.5, row + 0.5)
        total = values[0] + values[1] + values[2]
        self.weights = [value / total for value in values]

    def slopes(self) -> torch.Tensor:
        """Gradient of each weight over the image (T,3,2), per pixel; 0 for triangles without area."""
        _, _, dx, dy = self.table.view(3, 4, -1).unbind(1)  # (3, T)
        start = self.table.view(3, 4, -1)[:, :2]  # (3, 2, T)
        total = sum(
            dx[k] * (start[0, 1] - start[k, 1]) - dy[k] * (start[0, 0] - start[k, 0]) for k in range(3)
        )
        assert isinstance(total, torch.Tensor)
        inverse = torch.where(total > MIN_DOUBLE_AREA_PX2, 1 / total, torch.zeros_like(total))
        return torch.stack((-dy * inverse, dx * inverse), -1).transpose(0, 1)
