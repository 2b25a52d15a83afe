# SPDX-License-Identifier: Apache-2.0
"""The yardstick of splat_bench: a dense D^3 voxel renderer (DPC) in its fastest plain-PyTorch form.

Trilinear splat, clamp, separable Gaussian blur as one matrix product per axis, and the telescoped silhouette
1 - prod(1 - o) in place of ray probabilities.
"""

import torch


def voxel_mask(xyz_grid: torch.Tensor, grid: int, sigma: float) -> torch.Tensor:
    """Silhouettes (B,D,D) of points (B,N,3) in voxel coordinates, axis 0 along the ray; sigma in voxels."""
    volume = _splat(xyz_grid, grid).clamp(max=1.0)
    blur = _gaussian_matrix(grid, sigma, volume)
    volume = volume @ blur.T  # x
    volume = blur @ volume  # y
    volume = torch.einsum("zd,bdyx->bzyx", blur, volume)
    occupancy = volume.clamp(0, 1 - 1e-5)
    return -torch.expm1(torch.log1p(-occupancy).sum(1))


def _splat(xyz_grid: torch.Tensor, grid: int) -> torch.Tensor:
    batch = xyz_grid.shape[0]
    low = xyz_grid.detach().floor().clamp(0, grid - 2)
    share = xyz_grid - low  # (B, N, 3)
    cell = low.long()
    base = (cell[..., 0] * grid + cell[..., 1]) * grid + cell[..., 2]
    base = base + torch.arange(batch)[:, None] * grid**3
    indices, weights = [], []
    for corner in range(8):
        bits = [(corner >> axis) & 1 for axis in range(3)]
        indices.append(base + (bits[0] * grid + bits[1]) * grid + bits[2])
        weights.append(
            torch.stack([share[..., a] if bits[a] else 1 - share[..., a] for a in range(3)]).prod(0)
        )
    flat = xyz_grid.new_zeros(batch * grid**3)
    flat = flat.index_add(0, torch.stack(indices).flatten(), torch.stack(weights).flatten())
    return flat.view(batch, grid, grid, grid)


def _gaussian_matrix(grid: int, sigma: float, like: torch.Tensor) -> torch.Tensor:
    offsets = torch.arange(grid, dtype=like.dtype)
    kernel = torch.exp(-0.5 * ((offsets[:, None] - offsets[None]) / sigma) ** 2)
    return kernel / kernel[grid // 2].sum()
