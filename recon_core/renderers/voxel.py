# SPDX-License-Identifier: Apache-2.0
"""DPC's renderer: points become a blurred volume of occupancies over the camera's frustum, and rays end in it.

"Unsupervised Learning of Shape and Pose with Differentiable Point Clouds" (DPC), Insafutdinov and Dosovitskiy, NeurIPS
2018. Coordinates of the volume are the projection u, v and the planar depth between two planes: trilinear scatter of
the points, clamp to [0, 1], separable Gaussian, times a learned scale, clamp, ray termination along the depth axis.

The blur is one banded Toeplitz matrix product per axis. Cost per view of D x H x W cells and N points: 8 N additions
and 2 DHW (D + H + W) operations forward, about three times that with the backward pass; the mask keeps no volume at all
beyond the views that are rendered at once (elements of the batch are rendered in turns, and again for their gradient).

Where the paper and the released code differ: the paper clamps the sum of the points' Gaussians, the code's fast path
clamps the scattered points before the blur, too: `Blur.clamp_first`. The code limits occupancies to [1e-5, 1 - 1e-5]:
`clip`. The code's nodes are aligned with the corners of the frame, our cameras' pixels are centred: `Frustum.grid`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from ..errors import InputError
from .rays import Space, expected_depth, expected_features, silhouette, termination
from .scatter import linear_scatter
from .turns import in_turns

# DPC's released code: occupancies are limited by this before logarithms, rays that escape have this depth, and blurred
# colours are divided by the blurred number of points plus this.
DPC_CLIP, DPC_BACKGROUND_DEPTH, DPC_DIVISOR = 1e-5, 10.0, 0.01
# Cells rendered at once: on a CPU about what its caches hold, on a GPU enough to fill it.
_CELLS_AT_ONCE = {"cpu": 2**18, "cuda": 2**25}

Size = int | tuple[int, int]


@dataclass(frozen=True)
class Frustum:
    """A volume of cells (D,H,W) over an image of (H,W) pixels between the planar depths near and far.

    grid "corner": the first and the last nodes of an axis lie on the ends of its range, as in DPC. "centre": cells have
    equal shares of the range and their nodes in the middle, as pixels have. Points outside, on any side, are dropped.
    """

    image_size: Size
    cells: tuple[int, int, int]
    near: float
    far: float
    grid: Literal["corner", "centre"] = "corner"

    def __post_init__(self) -> None:
        """Refuse volumes without cells or without depth."""
        if min(self.cells) < 1 or not 0 <= self.near < self.far:
            raise InputError(
                f"A frustum needs at least one cell per axis and 0 <= near < far; got cells {self.cells}, near "
                f"{self.near}, far {self.far}."
            )

    @property
    def margin(self) -> int:
        """Cells beyond each end: a point in the outer half of a centred border cell is shared with the next one."""
        return 1 if self.grid == "centre" else 0

    @property
    def padded(self) -> tuple[int, int, int]:
        """Cells with their margins."""
        depth, height, width = (count + 2 * self.margin for count in self.cells)
        return depth, height, width

    def positions(self, uv_px: torch.Tensor, depth: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Positions (B,N) along depth, rows and columns in padded cells, 0 for points outside, and which are inside."""
        height, width = _height_width(self.image_size)
        shares = ((depth - self.near) / (self.far - self.near), uv_px[..., 1] / height, uv_px[..., 0] / width)
        inside = depth > 0
        for share in shares:
            inside = inside & (share >= 0) & (share <= 1)  # NaN is outside
        placed = []
        for share, count in zip(shares, self.cells):
            place = share * (count - 1) if self.grid == "corner" else share * count + (self.margin - 0.5)
            placed.append(torch.where(inside, place, torch.zeros_like(place)))
        return placed, inside

    def cell_depths(self, like: torch.Tensor, released: bool = False) -> torch.Tensor:
        """Planar depth (D,) of the cells' nodes; released: near + i / D of the range, as in DPC's code."""
        count = self.cells[0]
        index = torch.arange(count, dtype=like.dtype, device=like.device)
        if self.grid == "centre" and not released:
            index = index + 0.5
        steps = max(count - 1, 1) if self.grid == "corner" and not released else count
        return self.near + index / steps * (self.far - self.near)


def dpc_frustum(
    image_size: Size, cells: int = 64, depth_cells: int | None = None, distance: float = 2.0
) -> Frustum:
    """DPC's volume: cells^2 nodes aligned with the frame's corners, and as many in depth, distance -+ 0.5."""
    return Frustum(image_size, (depth_cells or cells, cells, cells), distance - 0.5, distance + 0.5)


@dataclass(frozen=True)
class Blur:
    """The Gaussian that makes points of scattered cells."""

    sigma_voxels: float | torch.Tensor | Sequence[float] | None
    """In cells: a number or scalar tensor, or three (depth, rows, columns); gradients reach it. None: no blur."""
    taps: int | None = None
    """Odd number of cells that the kernel covers (DPC: 11, or 21 in its experiments); None covers all."""
    clamp_first: bool = True
    """Clamp the scattered points to [0, 1] before the blur, as DPC's code does; the paper clamps afterwards only."""

    def __post_init__(self) -> None:
        """Refuse kernels without a middle."""
        if self.taps is not None and (self.taps < 1 or self.taps % 2 == 0):
            raise InputError(f"A kernel needs an odd number of taps, got {self.taps}.")

    def matrices(self, frustum: Frustum, like: torch.Tensor) -> list[torch.Tensor]:
        """One matrix (n, padded n) per axis: depth, rows, columns."""
        if self.sigma_voxels is None:
            sizes = zip(frustum.cells, frustum.padded)
            eyes = [torch.eye(wide, dtype=like.dtype, device=like.device) for _, wide in sizes]
            return [eye[frustum.margin : len(eye) - frustum.margin] for eye in eyes]
        sigma = torch.as_tensor(self.sigma_voxels, dtype=like.dtype, device=like.device).expand(3)
        return [
            gaussian_matrix(count, frustum.margin, sigma[axis], self.taps)
            for axis, count in enumerate(frustum.cells)
        ]


def gaussian_matrix(
    length: int, margin: int, sigma_cells: torch.Tensor, taps: int | None = None
) -> torch.Tensor:
    """Toeplitz matrix (length, length + 2 margin) of a Gaussian of sum 1 over `taps` cells, or over all of them.

    sigma_cells: scalar > 0, in cells; gradients reach it. What falls off the ends is lost (zero padding).
    """
    place = {"dtype": sigma_cells.dtype, "device": sigma_cells.device}
    target = torch.arange(length, **place) + margin
    offsets = torch.arange(length + 2 * margin, **place)[None] - target[:, None]
    # Without taps the sum runs over 4 lengths to each side, so that wide kernels are normalised as well.
    reach = 4 * length if taps is None else taps // 2
    mass = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, **place) / sigma_cells) ** 2).sum()
    kernel = torch.exp(-0.5 * (offsets / sigma_cells) ** 2) / mass
    return kernel if taps is None else kernel * (offsets.abs() <= reach)


@dataclass(frozen=True)
class FeatureBlur:
    """How points' features become cells' features; by default the mean of the points, weighted as the blur does."""

    divisor: float | None = 1e-6
    """Blurred features are divided by the blurred number of points plus this; None: they are sums."""
    stop_divisor: bool = False
    """No gradient through that number."""
    clamp: Literal["before", "after"] | None = None
    """Clamp the features' sums to [0, 1] before the blur, or the result after it."""
    stop_positions: bool = False
    """Features do not move points, but for the rays' ends."""


DPC_COLOR = FeatureBlur(DPC_DIVISOR, stop_divisor=True, clamp="before")


@dataclass(frozen=True)
class VoxelImages:
    """What rays see: mask (B,H,W), expected planar depth (B,H,W), expected features (B,H,W,C) if there were any."""

    mask: torch.Tensor
    depth: torch.Tensor
    features: torch.Tensor | None = None


def voxel_mask(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    frustum: Frustum,
    blur: Blur,
    scale: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    clip: float = 0.0,
) -> torch.Tensor:
    """Silhouettes (B,H,W) = 1 - prod_i (1 - o_i) of projected points uv_px (B,N,2) with planar depth (B,N).

    scale: learned occupancy scale (B,). weight: each point's share (B,N), 1 if not given. clip: 1e-5 for DPC's floor,
    see rays.silhouette. Raises InputError on bad shapes.
    """

    def render(uv_px, depth, weight, scale, *kernels):
        volume = _blurred(_counts(uv_px, depth, weight, frustum)[:, None], kernels, blur.clamp_first)[:, 0]
        return silhouette(volume, scale, clip)

    inputs = _checked(uv_px, depth, weight, scale)
    return _render(render, inputs, blur, frustum)


def voxel_maximum(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    frustum: Frustum,
    blur: Blur,
    scale: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Silhouettes (B,H,W) = max_i o_i, the projection of perspective transformer nets (PTN); arguments: voxel_mask."""

    def render(*inputs):
        return _occupancy(inputs, frustum, blur).amax(1)

    inputs = _checked(uv_px, depth, weight, scale)
    return _render(render, inputs, blur, frustum)


def voxel_occupancy(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    frustum: Frustum,
    blur: Blur,
    scale: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Occupancies (B,D,H,W) in [0, 1], near to far, row 0 on top; arguments as voxel_mask."""
    inputs = _checked(uv_px, depth, weight, scale)
    return _occupancy((*inputs, *blur.matrices(frustum, uv_px)), frustum, blur)


def voxel_render(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    frustum: Frustum,
    blur: Blur,
    features: torch.Tensor | None = None,
    background: torch.Tensor | None = None,
    scale: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    clip: float = 0.0,
    space: Space = "log",
    background_depth: float = DPC_BACKGROUND_DEPTH,
    released_depth: bool = False,
    feature_blur: FeatureBlur = FeatureBlur(),
) -> VoxelImages:
    """Mask, expected depth and features of rays through points, other arguments as voxel_mask, by ray termination.

    features (B,N,C) of points, background (C,) behind them (1, white, if not given). The mask is voxel_mask's for
    clip 0. For DPC's released numbers: clip DPC_CLIP, released_depth True, feature_blur DPC_COLOR. Costs 2 + C blurs
    for C features, and at its peak about 12 + 6 C volumes of the views rendered at once.
    """

    def render(uv_px, depth, weight, scale, features, *shared):
        *kernels, behind = shared
        occupancy = _occupancy((uv_px, depth, weight, scale, *kernels), frustum, blur)
        ends = termination(occupancy, clip, space)
        depths = expected_depth(ends, frustum.cell_depths(ends, released_depth), background_depth)
        images = torch.stack((ends[:, :-1].sum(1), depths), -1)
        if features is None:
            return images
        cells = _cell_features(uv_px, depth, weight, features, kernels, frustum, feature_blur)
        return torch.cat((images, expected_features(ends, cells, behind)), -1)

    inputs = (*_checked(uv_px, depth, weight, scale), _checked_features(features, depth))
    behind = uv_px.new_ones(()) if background is None else background
    images = _render(render, inputs, blur, frustum, (behind,))
    return VoxelImages(images[..., 0], images[..., 1], None if features is None else images[..., 2:])


def _height_width(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _checked(
    uv_px: torch.Tensor, depth: torch.Tensor, weight: torch.Tensor | None, scale: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    if uv_px.ndim != 3 or uv_px.shape[-1] != 2 or depth.shape != uv_px.shape[:2]:
        raise InputError(
            f"Expected uv_px (B,N,2) and depth (B,N); got {tuple(uv_px.shape)} and {tuple(depth.shape)}."
        )
    for name, given, expected in (("weight", weight, depth.shape), ("scale", scale, depth.shape[:1])):
        if given is not None and given.shape != expected:
            raise InputError(f"{name} must have shape {tuple(expected)}, got {tuple(given.shape)}.")
    return uv_px, depth, weight, scale


def _checked_features(features: torch.Tensor | None, depth: torch.Tensor) -> torch.Tensor | None:
    if features is not None and (features.ndim != 3 or features.shape[:2] != depth.shape):
        raise InputError(
            f"features must be (B,N,C) with B,N = {tuple(depth.shape)}, got {tuple(features.shape)}."
        )
    return features


def _render(
    render: Callable[..., torch.Tensor],
    inputs: Sequence[torch.Tensor | None],
    blur: Blur,
    frustum: Frustum,
    shared: Sequence[torch.Tensor] = (),
) -> torch.Tensor:
    """render(*inputs, *kernels, *shared), a few batch elements at a time where the volumes are large."""
    uv_px = inputs[0]
    assert uv_px is not None
    cells = math.prod(frustum.padded)
    at_once = max(_CELLS_AT_ONCE.get(uv_px.device.type, 2**22) // cells, 1)
    return in_turns(render, inputs, [*blur.matrices(frustum, uv_px), *shared], at_once)


def _scattered(
    uv_px: torch.Tensor, depth: torch.Tensor, values: torch.Tensor, frustum: Frustum
) -> torch.Tensor:
    """Sums (B,C,*padded) of values (B,N,C) of the points inside."""
    positions, inside = frustum.positions(uv_px, depth)
    # Not a product: what is outside may not be a number.
    values = torch.where(inside[..., None], values, torch.zeros_like(values))
    return linear_scatter(positions, values, frustum.padded).movedim(-1, 1)


def _counts(
    uv_px: torch.Tensor, depth: torch.Tensor, weight: torch.Tensor | None, frustum: Frustum
) -> torch.Tensor:
    """Points per cell (B,*padded), each counted with its weight (B,N)."""
    each = torch.ones_like(depth) if weight is None else weight
    return _scattered(uv_px, depth, each[..., None], frustum)[:, 0]


def _blurred(volume: torch.Tensor, kernels: Sequence[torch.Tensor], clamp_first: bool) -> torch.Tensor:
    """Blur (B,C,*padded) to (B,C,D,H,W): one matrix product per axis."""
    along_depth, along_rows, along_columns = kernels
    volume = volume.clamp(0, 1) if clamp_first else volume
    volume = along_rows @ (volume @ along_columns.T)
    return (along_depth @ volume.flatten(3)).unflatten(3, volume.shape[3:])


def _occupancy(inputs: Sequence[torch.Tensor | None], frustum: Frustum, blur: Blur) -> torch.Tensor:
    """Occupancies (B,D,H,W) from uv_px, depth, weight, scale and three kernels."""
    uv_px, depth, weight, scale, *kernels = inputs
    assert uv_px is not None
    assert depth is not None
    volume = _blurred(
        _counts(uv_px, depth, weight, frustum)[:, None],
        [k for k in kernels if k is not None],
        blur.clamp_first,
    )[:, 0]
    return (volume if scale is None else volume * scale[:, None, None, None]).clamp(0, 1)


def _cell_features(
    uv_px, depth, weight, features, kernels, frustum: Frustum, mode: FeatureBlur
) -> torch.Tensor:
    """Features (B,C,D,H,W) of cells."""
    place = (uv_px.detach(), depth.detach()) if mode.stop_positions else (uv_px, depth)
    values = features if weight is None else features * weight[..., None]
    cells = _blurred(_scattered(*place, values, frustum), kernels, mode.clamp == "before")
    if mode.divisor is not None:
        count = _blurred(_counts(*place, weight, frustum)[:, None], kernels, clamp_first=False)
        cells = cells / ((count.detach() if mode.stop_divisor else count) + mode.divisor)
    return cells.clamp(0, 1) if mode.clamp == "after" else cells
