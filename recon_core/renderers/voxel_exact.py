# SPDX-License-Identifier: Apache-2.0
"""DPC's volume without a grid's approximations: every point's Gaussian at every cell, the slow reference.

"Unsupervised Learning of Shape and Pose with Differentiable Point Clouds" (DPC), Insafutdinov and Dosovitskiy 2018: the
occupancy of a cell is the sum of all points' Gaussians there, clamped to [0, 1]. O(N D H W) operations; rendered in
blocks of cells, so that memory is bounded without gradients.
"""

import math
from typing import Literal

import torch

from ..errors import InputError
from .voxel import Frustum

# Point-cell pairs that are held at once.
_PAIRS_AT_ONCE = 2**22

Normaliser = Literal["analytic", "numeric"] | None


def exact_occupancy(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    frustum: Frustum,
    sigma_voxels: float | torch.Tensor,
    scale: torch.Tensor | None = None,
    weight: torch.Tensor | None = None,
    normaliser: Normaliser = "analytic",
) -> torch.Tensor:
    """Occupancies (B,D,H,W) of projected points uv_px (B,N,2) with planar depth (B,N); sigma in cells of every axis.

    normaliser: each Gaussian has sum 1 over an unbounded grid (analytic, (2 pi sigma^2)^(3/2); the released code's
    constant 1.7898 is this for 32 nodes over a cube of side 2), or sum 1 over this frustum's cells (numeric), or
    maximum 1 (None). scale (B,) and weight (B,N) as in voxel_mask. Raises InputError for another normaliser.
    """
    if normaliser not in ("analytic", "numeric", None):
        raise InputError(f"normaliser must be 'analytic', 'numeric' or None, got {normaliser!r}.")
    sigma = torch.as_tensor(sigma_voxels, dtype=uv_px.dtype, device=uv_px.device)
    positions, inside = frustum.positions(uv_px, depth)
    amount = (
        inside.to(uv_px.dtype) if weight is None else torch.where(inside, weight, torch.zeros_like(weight))
    )
    # A 3D Gaussian is a product over the axes: (B, N, D), (B, N, H), (B, N, W).
    along = [_gaussian(place, count, frustum.margin, sigma) for place, count in zip(positions, frustum.cells)]
    if normaliser == "analytic":
        amount = amount / (math.sqrt(2 * math.pi) * sigma) ** 3
    elif normaliser == "numeric":
        mass = along[0].sum(-1) * along[1].sum(-1) * along[2].sum(-1)
        amount = amount / mass.clamp(min=torch.finfo(mass.dtype).tiny)
    volume = _sum_of_products(amount[..., None] * along[0], along[1], along[2])
    volume = volume if scale is None else volume * scale[:, None, None, None]
    return volume.clamp(0, 1)


def _gaussian(place: torch.Tensor, count: int, margin: int, sigma: torch.Tensor) -> torch.Tensor:
    """Gaussian of maximum 1 (B,N,count) of points at place (B,N) at an axis's cells."""
    nodes = torch.arange(count, dtype=place.dtype, device=place.device) + margin
    return torch.exp(-0.5 * ((nodes - place[..., None]) / sigma) ** 2)


def _sum_of_products(depth: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """sum_n depth (B,N,D) rows (B,N,H) columns (B,N,W) -> (B,D,H,W), a few depths at a time."""
    batch, points, _ = depth.shape
    at_once = max(_PAIRS_AT_ONCE // max(batch * points * rows.shape[-1], 1), 1)
    blocks = []
    for block in depth.split(at_once, -1):
        slabs = torch.einsum("bnd,bnh->bdhn", block, rows)  # (B, d, H, N)
        blocks.append(torch.einsum("bdhn,bnw->bdhw", slabs, columns))
    return torch.cat(blocks, 1)
