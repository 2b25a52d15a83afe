# SPDX-License-Identifier: Apache-2.0
"""How crowded it is around every point of a plane: a Gaussian kernel density, by all pairs or through a grid."""

import math

import torch
from torch.utils.checkpoint import checkpoint

# A quadratic B-spline has this variance wherever the point lies in its cell: smooth, where a bilinear share is not.
_SPLINE_VARIANCE = 0.25
# The grid is refined until the kernel's variance is this many cells^2: what is left after both splines is still smooth.
_MIN_VARIANCE_CELLS = 2.0
_MAX_REFINEMENT = 8


def density_exact(
    uv_px: torch.Tensor, weight: torch.Tensor, variance: float, *, chunk: int = 256
) -> torch.Tensor:
    """sum_j weight_j exp(-|u_i - u_j|^2 / (2 variance)) (B,N) at every point of uv_px (B,N,2), itself included.

    All pairs, `chunk` rows at a time, computed again in backward: O(N^2) operations, O(B chunk N) memory.
    """

    def rows(some: torch.Tensor, every: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        across, down = (some[:, :, None, axis] - every[:, None, :, axis] for axis in (0, 1))
        squared = across.square() + down.square()  # (B, chunk, N)
        return (torch.exp(squared / (-2 * variance)) @ weights[..., None])[..., 0]

    parts: list[torch.Tensor] = []
    for some in uv_px.split(chunk, 1):
        part = checkpoint(rows, some, uv_px, weight, use_reentrant=False)
        assert isinstance(part, torch.Tensor)
        parts.append(part)
    return torch.cat(parts, 1)


def density_on_grid(
    uv_px: torch.Tensor, weight: torch.Tensor, variance: float, size: tuple[int, int]
) -> torch.Tensor:
    """The same (B,N) through a grid over a frame of `size` (H,W): scatter, blur, read; O(N + HW(H+W)).

    Weights of points more than a pixel outside the frame must be 0. Points are shared with, and read from, 3 x 3 nodes
    by a quadratic B-spline; the separable blur is narrowed by the variance of both. Gradients are those of this
    approximation; they are continuous, and compared with density_exact's in benchmarks/projection_bench.py.
    """
    refine = min(max(1, math.ceil(math.sqrt(_MIN_VARIANCE_CELLS / variance))), _MAX_REFINEMENT)
    variance_cells = variance * refine**2
    shape = [refine * (length + 2) + 4 for length in size]  # a pixel around the frame, two nodes around that
    nodes, shares = _spline((uv_px + 1) * refine + 1.5, shape)
    grid = weight.new_zeros(len(weight), shape[0] * shape[1])
    grid = grid.scatter_add(1, nodes.flatten(1), (weight[..., None] * shares).flatten(1)).view(-1, *shape)
    narrowed = max(variance_cells - 2 * _SPLINE_VARIANCE, 0.2)
    rows, columns = (_gaussian_matrix(length, narrowed, grid) for length in shape)
    blurred = rows @ (grid @ columns)
    read = blurred.flatten(1).gather(1, nodes.flatten(1)).view(shares.shape)
    return 2 * math.pi * variance_cells * (read * shares).sum(-1)


def _spline(place: torch.Tensor, shape: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Flat index and share (B,N,9) of the nodes around places (B,N,2), x and y in nodes; kept within the grid."""
    last = place.new_tensor([shape[1] - 2, shape[0] - 2])
    middle = torch.minimum(place.detach().round().clamp(min=1), last)
    away = (place - middle).clamp(-0.5, 0.5)[..., None]  # (B, N, 2, 1)
    along = torch.cat((0.5 * (0.5 - away).square(), 0.75 - away.square(), 0.5 * (0.5 + away).square()), -1)
    shares = along[..., 1, :, None] * along[..., 0, None, :]  # (B, N, 3 rows, 3 columns)
    steps = torch.arange(-1, 2, device=place.device)
    offsets = (steps[:, None] * shape[1] + steps).flatten()
    first = (middle[..., 1] * shape[1] + middle[..., 0]).long()
    return first[..., None] + offsets, shares.flatten(-2)


def _gaussian_matrix(length: int, variance: float, like: torch.Tensor) -> torch.Tensor:
    """Symmetric blur (length,length) of unit mass over an unbounded grid."""
    nodes = torch.arange(length, dtype=like.dtype, device=like.device)
    kernel = torch.exp((nodes[:, None] - nodes).square() / (-2 * variance))
    # Poisson: the sum over all integers is the integral, up to exp(-2 pi^2 variance).
    reach = math.ceil(8 * math.sqrt(variance)) + 1
    return kernel / sum(math.exp(-0.5 * step**2 / variance) for step in range(-reach, reach + 1))
