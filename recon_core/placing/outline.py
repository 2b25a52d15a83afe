# SPDX-License-Identifier: Apache-2.0
"""Silhouettes of many views at once, how far they are from a mask's, and Gauss-Newton's normal equations of that.

A point set's optical depth A (recon_core/renderers/splat.py) is brought to about LAYER everywhere inside the outline,
so that coverage 1 - exp(-A) is that of an even plate, and the mask is made one too and blurred alike: outlines then
fall together at every sigma instead of swelling with it. The derivative of A along a motion (du, dv) of the points is
-(d/dx blur(tau du) + d/dy blur(tau dv)), and all motions are made of nine functions (views.py): nine splats give the
whole Jacobian.
"""

import math
from dataclasses import dataclass

import torch

from ..renderers.scatter import linear_scatter
from .views import Views

# Optical depth inside the outline.
LAYER = 3.0
# Points are given this many times as much: where they lie thin there is still a whole layer; the rest is taken away.
SPARE = 5.0
_SCATTER_VARIANCE = 1.0 / 6.0  # of the bilinear scatter, as in splat.py
_MIN_VARIANCE = 0.02


@dataclass(frozen=True)
class Level:
    """The mask at one size: coverage (S,S) in [0,1], what is inside the photograph (S,S), and the blur in pixels."""

    mask: torch.Tensor
    valid: torch.Tensor
    sigma_px: float
    points: int

    @property
    def size(self) -> int:
        """Side of the square in pixels."""
        return self.mask.shape[-1]

    def plate(self) -> torch.Tensor:
        """Coverage (S,S) of a plate of optical depth LAYER that fills the mask, blurred."""
        margin = _margin(self.sigma_px)
        padded = torch.nn.functional.pad(self.mask[None, None], (margin,) * 4, mode="replicate")[0, 0]
        kernel, _ = _kernels(self.size, margin, self.sigma_px**2 + 1.0 / 12.0, self.mask)
        return -torch.expm1(-LAYER * (kernel @ padded @ kernel.T))


@dataclass(frozen=True)
class Normal:
    """Costs (B,), their Gauss-Newton matrices (B,P,P) and right sides (B,P)."""

    cost: torch.Tensor
    matrix: torch.Tensor
    slope: torch.Tensor


def optical_depth_image(views: Views, xyz: torch.Tensor, level: Level) -> torch.Tensor:
    """Levelled optical depth (B,S,S) of points (N,3): about LAYER inside the outline."""
    uv, depth = views.project(xyz)
    grid, margin = _scattered(uv, _levelled(uv, depth, level)[..., None], level)
    kernel, _ = _kernels(level.size, margin, level.sigma_px**2, xyz)
    return (kernel @ grid @ kernel.T)[:, 0]


def costs(views: Views, xyz: torch.Tensor, level: Level, plate: torch.Tensor) -> torch.Tensor:
    """Squared difference (B,) of coverage and plate over the photograph's pixels, in shares of the plate's area."""
    cover = -torch.expm1(-optical_depth_image(views, xyz, level))
    return ((cover - plate) * level.valid).square().sum((1, 2)) / _area(plate, level)


def normal_equations(
    views: Views, xyz: torch.Tensor, level: Level, plate: torch.Tensor, free: torch.Tensor
) -> Normal:
    """Costs and Gauss-Newton's equations over the steps `free` (P,) of the views."""
    uv, depth, basis = views.flow_basis(xyz)
    weight = _levelled(uv, depth, level)
    grid, margin = _scattered(uv, basis * weight[..., None], level)  # (B, 9, S', S')
    kernel, slope = _kernels(level.size, margin, level.sigma_px**2, xyz)
    # The first function is 1: its blur is the optical depth itself.
    along_rows = grid @ kernel.T
    thickness = (kernel @ along_rows[:, :1])[:, 0]
    across, down = kernel @ (grid @ slope.T), slope @ along_rows  # (B, 9, S, S)
    du, dv = (coefficients[..., free] * level.size for coefficients in views.flow())  # (B, 9, P)
    rate = -(du.mT @ across.flatten(2) + dv.mT @ down.flatten(2))  # (B, P, SS) of optical depth
    through = torch.exp(-thickness) * level.valid
    jacobian = rate * through.flatten(1)[:, None]
    residual = ((-torch.expm1(-thickness) - plate) * level.valid).flatten(1)
    area = _area(plate, level)
    return Normal(
        residual.square().sum(1) / area,
        jacobian @ jacobian.mT / area,
        (jacobian @ residual[..., None])[..., 0] / area,
    )


def _area(plate: torch.Tensor, level: Level) -> torch.Tensor:
    return (plate * level.valid).sum().clamp(min=1.0)


def _levelled(uv: torch.Tensor, depth: torch.Tensor, level: Level) -> torch.Tensor:
    """Optical depth (B,N) in pixels^2 of each point: alike, less where many are seen through one another."""
    share = float(level.mask.mean()) * level.size**2 / max(uv.shape[1], 1)
    tau = torch.where(depth > 1e-3, SPARE * LAYER * share, 0.0)
    grid, margin = _scattered(uv, tau[..., None], level)
    kernel, _ = _kernels(level.size, margin, level.sigma_px**2, uv)
    thick = (kernel @ grid @ kernel.T)[:, 0]  # (B, S, S)
    cell = (uv * level.size).long().clamp(0, level.size - 1)
    seen = thick.flatten(1).gather(1, cell[..., 1] * level.size + cell[..., 0])
    return tau * (LAYER / seen.clamp(min=LAYER))


def _scattered(uv: torch.Tensor, values: torch.Tensor, level: Level) -> tuple[torch.Tensor, int]:
    """Values (B,N,C) summed into (B,C,S',S'), with a margin on every side that the blur needs."""
    margin = _margin(level.sigma_px)
    extent = level.size + 2 * margin
    x, y = (uv * level.size + (margin - 0.5)).unbind(-1)
    inside = (x >= 0) & (x < extent - 1) & (y >= 0) & (y < extent - 1)  # NaN is outside
    x, y = x.masked_fill(~inside, 0), y.masked_fill(~inside, 0)
    grid = linear_scatter((y, x), values * inside[..., None], (extent, extent))
    return grid.permute(0, 3, 1, 2).contiguous(), margin


def _margin(sigma_px: float) -> int:
    return math.ceil(4 * max(sigma_px, 0.5)) + 1


def _kernels(
    size: int, margin: int, variance: float, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussian (S,S') of unit mass in pixels, for values scattered linearly, and its derivative along the image."""
    narrowed = max(variance - _SCATTER_VARIANCE, _MIN_VARIANCE)
    target = torch.arange(size, dtype=like.dtype, device=like.device) + margin
    source = torch.arange(size + 2 * margin, dtype=like.dtype, device=like.device)
    offset = target[:, None] - source
    weight = torch.exp(-0.5 * offset**2 / narrowed)
    steps = torch.arange(-margin, margin + 1, dtype=like.dtype, device=like.device)
    weight = weight / torch.exp(-0.5 * steps**2 / narrowed).sum()
    return weight, -offset / narrowed * weight
