# SPDX-License-Identifier: Apache-2.0
"""The yardstick of voxel_bench: DPC's projection written plainly in float32, the blur as three 3D convolutions.

Every step is one ordinary PyTorch operation, as in the released TensorFlow code: trilinear splat, clamp, a convolution
per axis, scale, clamp, probabilities of ray termination in log space, silhouette and depth map.
"""

import torch
from torch.nn.functional import conv3d


def dpc_projection(
    coordinates: torch.Tensor, grid: int, sigma: float, taps: int, scale: torch.Tensor, clip: float = 1e-5
) -> tuple[torch.Tensor, torch.Tensor]:
    """Silhouettes and depth maps (B,D,D) of points (B,N,3) = depth, row, column in [-0.5, 0.5]; sigma in voxels."""
    volume = _splat(coordinates, grid).clamp(0, 1)[:, None]
    kernel = torch.exp(-0.5 * (torch.arange(-(taps // 2), taps // 2 + 1).to(volume) / sigma) ** 2)
    kernel = kernel / kernel.sum()
    for axis in range(3):
        shape, padding = [1, 1, 1, 1, 1], [0, 0, 0]
        shape[2 + axis], padding[axis] = taps, taps // 2
        volume = conv3d(volume, kernel.view(shape), padding=tuple(padding))
    volume = (volume[:, 0] * scale[:, None, None, None]).clamp(0, 1)
    return _ray_termination(volume, clip)


def _splat(coordinates: torch.Tensor, grid: int) -> torch.Tensor:
    batch = coordinates.shape[0]
    inside = (coordinates.abs() <= 0.5).all(-1)
    place = (coordinates + 0.5) * (grid - 1)
    low = place.detach().floor().clamp(0, grid - 2)
    share = place - low  # (B, N, 3)
    cell = low.long()
    element = torch.arange(batch, device=place.device)[:, None]
    base = ((element * grid + cell[..., 0]) * grid + cell[..., 1]) * grid + cell[..., 2]
    total = coordinates.new_zeros(batch * grid**3)
    for corner in range(8):
        bits = [(corner >> axis) & 1 for axis in range(3)]
        weights = [share[..., axis] if bits[axis] else 1 - share[..., axis] for axis in range(3)]
        weight = weights[0] * weights[1] * weights[2] * inside
        index = base + (bits[0] * grid + bits[1]) * grid + bits[2]
        total = total.index_add(0, index.flatten(), weight.flatten())
    return total.view(batch, grid, grid, grid)


def _ray_termination(volume: torch.Tensor, clip: float) -> tuple[torch.Tensor, torch.Tensor]:
    volume = volume.clamp(clip, 1 - clip)
    one = torch.full_like(volume[:, :1], clip)  # the logarithm of one in the released code
    ends = torch.cat((volume.log(), one), 1)
    before = torch.cat((one, torch.cumsum((1 - volume).log(), 1)), 1)
    probabilities = torch.exp(ends + before)  # (B, D + 1, H, W)
    count = volume.shape[1]
    cell_depth = torch.arange(count).to(volume) / count - 0.5 + 2.0
    cell_depth = torch.cat((cell_depth, cell_depth.new_full((1,), 10.0)))
    return probabilities[:, :-1].sum(1), (probabilities * cell_depth[:, None, None]).sum(1)
