# SPDX-License-Identifier: Apache-2.0
"""DPC's terms: silhouette and colour of a blurred volume of occupancies.

"Unsupervised Learning of Shape and Pose with Differentiable Point Clouds" (DPC), Insafutdinov and Dosovitskiy, NeurIPS
2018. Sigma and the share of points that are rendered grow linearly over the run, as there.
"""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch.nn.functional import adaptive_avg_pool2d

from ...losses.silhouette import silhouette_loss
from ...pointcloud import Points
from ...renderers.voxel import (
    DPC_CLIP,
    DPC_COLOR,
    Blur,
    FeatureBlur,
    Frustum,
    voxel_mask,
    voxel_maximum,
    voxel_render,
)
from ..config import geometric, linear
from .base import Positive, TermConfig, Views, pick_views

Share = Annotated[float, Field(gt=0, le=1)]


class _VoxelTerm(TermConfig):
    grid: Annotated[int, Field(ge=4, le=256)] = 64
    """Cells along the image's width, at most its pixels; rows in proportion."""
    depth_cells: Annotated[int, Field(ge=2, le=256)] | None = None
    """Cells along the depth; as many as `grid` if not given."""
    half_depth: Positive = 0.5
    """The volume reaches this far before and behind the world's origin, in world units; points beyond are dropped."""
    sigma_voxels: tuple[Positive, Positive] = (3.0, 0.2)
    """Width of the Gaussian at the start and the end of the run, in cells."""
    taps: Annotated[int, Field(ge=1, le=511)] | None = 21
    """Cells that the Gaussian covers, an odd number; null: all."""
    keep: tuple[Share, Share] = (0.07, 1.0)
    """Share of each object's points that is rendered at the start and the end; all its views see the same ones."""
    schedule: Literal["linear", "geometric"] = "linear"
    """How sigma_voxels and keep go from start to end."""
    nodes: Literal["centre", "corner"] = "centre"
    """Whether cells are centred as pixels are, or aligned with the frame's corners as in DPC's code."""
    released: bool = False
    """DPC's code to the letter: occupancies are limited to [1e-5, 1 - 1e-5], colours as there."""

    @field_validator("taps")
    @classmethod
    def _has_a_middle(cls, taps: int | None) -> int | None:
        if taps is not None and taps % 2 == 0:
            raise ValueError("a kernel needs an odd number of taps")
        return taps

    def at(self, schedule: tuple[float, float], progress: float) -> float:
        """Value of a schedule at progress in [0, 1]."""
        return (linear if self.schedule == "linear" else geometric)(schedule, progress)

    def cells(self, views: Views) -> tuple[int, int, int]:
        """Cells in depth, rows and columns: fewer where views have fewer pixels, as in a search of poses."""
        _, _, height, width = views.shape
        columns = min(self.grid, width)
        depth = round((self.depth_cells or self.grid) * columns / self.grid)
        return max(depth, 1), max(round(columns * height / width), 1), columns

    def blur(self, progress: float, views: Views) -> Blur:
        """The Gaussian at this progress; it is as wide in the object where there are fewer cells."""
        return Blur(self.at(self.sigma_voxels, progress) * self.cells(views)[2] / self.grid, self.taps)

    def frustum(self, views: Views) -> Frustum:
        """The volume about the world's origin, which `project` puts at depth 1 + half_depth."""
        return Frustum(views.shape[2:], self.cells(views), 1.0, 1.0 + 2 * self.half_depth, self.nodes)

    def project(self, points: Points, views: Views) -> tuple[torch.Tensor, torch.Tensor]:
        """uv_px (B*V,N,2), and depth (B*V,N) shifted so that the world's origin has 1 + half_depth in every view."""
        xyz = points.xyz.repeat_interleave(views.shape[1], 0)  # (B*V, N, 3)
        uv_px, depth = views.cameras.project(xyz)
        origin = -views.cameras.world_to_cam[:, 2, 3]
        shifted = depth - origin[:, None] + (1 + self.half_depth)
        return uv_px, torch.where(depth > 0, shifted, torch.zeros_like(shifted))

    def subset(self, points: Points, progress: float) -> Points:
        """The kept share of each object's points, the same for all that asks at this progress."""
        batch, total = points.xyz.shape[:2]
        count = max(int(total * self.at(self.keep, progress)), 1)
        if count >= total:
            return points
        # The subset is drawn anew at every step, and is the same again after a restart and for every hypothesis of a
        # pose: the generator is seeded by the progress.
        generator = torch.Generator().manual_seed(int(progress * 2**48))
        kept = torch.rand(batch, total, generator=generator).topk(count, 1).indices.to(points.xyz.device)
        rows = torch.arange(batch, device=kept.device)[:, None]
        return points.map(lambda value: value[rows, kept] if value.shape[:2] == (batch, total) else value)


class VoxelSilhouette(_VoxelTerm):
    """Silhouette of a volume, by ray termination: DPC's term."""

    kind: Literal["voxel_silhouette"] = "voxel_silhouette"
    projection: Literal["rays", "maximum"] = "rays"
    """Ray termination, or the largest occupancy (perspective transformer nets)."""
    mask_sampling: Literal["mean", "stride"] = "mean"
    """Masks are averaged over cells, or every n-th pixel is taken, as DPC's code does."""
    loss: Literal["l2_half_sum", "l2", "l1", "bce", "iou"] = "l2_half_sum"
    """Comparison with the mask; half the sum of squares over pixels is DPC's, the others are means or ratios."""

    def render(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Silhouettes (B,V,rows,columns)."""
        batch, count, _, _ = views.shape
        points = self.subset(points, progress)
        weight, scale = _weight_and_scale(points, count)
        arguments = (
            *self.project(points, views),
            self.frustum(views),
            self.blur(progress, views),
            scale,
            weight,
        )
        if self.projection == "maximum":
            return voxel_maximum(*arguments).unflatten(0, (batch, count))
        return voxel_mask(*arguments, DPC_CLIP if self.released else 0.0).unflatten(0, (batch, count))

    def target_masks(self, views: Views) -> torch.Tensor:
        """Masks (B,V,rows,columns)."""
        _, rows, columns = self.cells(views)
        _, _, height, width = views.shape
        if self.mask_sampling == "stride" and height % rows == 0 and width % columns == 0:
            return views.masks[..., :: height // rows, :: width // columns]
        return adaptive_avg_pool2d(views.masks, (rows, columns))

    def evaluate(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V)."""
        return silhouette_loss(self.render(points, views, progress), self.target_masks(views), self.loss)


class VoxelColor(_VoxelTerm):
    """Expected colour of rays before a white background, DPC's colour term: half the sum of squared differences."""

    head: ClassVar[str | None] = "color"
    target: ClassVar[str | None] = "images"

    kind: Literal["voxel_color"] = "voxel_color"
    grid: Annotated[int, Field(ge=4, le=256)] = 32
    """Cells along the image's width, at most its pixels; rows in proportion."""
    views: Annotated[int, Field(ge=1)] = 2
    """Views per object and step that this term looks at."""
    move_points: bool = False
    """Whether differences of colour may also move points."""

    def evaluate(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V)."""
        assert points.color is not None
        views = pick_views(views, self.views)
        assert views.images is not None
        batch, count, _, _ = views.shape
        points = self.subset(points, progress)
        geometry = points if self.move_points else points.detach()
        weight, scale = _weight_and_scale(geometry, count)
        assert points.color is not None
        images = voxel_render(
            *self.project(geometry, views),
            self.frustum(views),
            self.blur(progress, views),
            points.color.repeat_interleave(count, 0),
            scale=scale,
            weight=weight,
            clip=DPC_CLIP if self.released else 0.0,
            feature_blur=DPC_COLOR if self.released else FeatureBlur(),
        )
        assert images.features is not None
        predicted = images.features.unflatten(0, (batch, count))
        return 0.5 * (predicted - _over_white(views, self.frustum(views))).square().sum((-1, -2, -3))


def _weight_and_scale(points: Points, views: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Points' opacities (B*V,N) and objects' learned occupancy scales (B*V,), where the model predicts them."""
    scale = points.occupancy_scale
    given = (points.opacity, None if scale is None else scale.flatten())
    weight, scale = (None if value is None else value.repeat_interleave(views, 0) for value in given)
    return weight, scale


def _over_white(views: Views, frustum: Frustum) -> torch.Tensor:
    """Images (B,V,rows,columns,3) before white, averaged over cells."""
    assert views.images is not None
    coverage = views.masks[..., None]
    mixed = (views.images * coverage + 1 - coverage).movedim(-1, 2).flatten(0, 1)  # (B*V, 3, H, W)
    return adaptive_avg_pool2d(mixed, frustum.cells[1:]).unflatten(0, views.shape[:2]).movedim(2, -1)
