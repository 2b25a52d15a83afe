# SPDX-License-Identifier: Apache-2.0
"""Points kept apart in space, so that they lie on the surface of what silhouettes allow, and evenly."""

import torch

from ..errors import InputError


def repulsion_energy(xyz: torch.Tensor, softening: float = 0.02) -> torch.Tensor:
    """Mean of 1 / sqrt(r^2 + softening^2) over all pairs of points xyz (B,N,3): (B,), per object unit.

    The energy of equal charges. Charges that may move freely within a body gather on its surface, where silhouettes
    alone leave them anywhere inside the visual hull; the softening bounds the force of points that coincide. O(N^2).
    Raises InputError for fewer than two points.
    """
    if xyz.ndim != 3 or xyz.shape[-1] != 3 or xyz.shape[1] < 2:
        raise InputError(f"Expected points (B,N,3) with N of at least 2, got {tuple(xyz.shape)}.")
    square = xyz.square().sum(-1)
    apart = square[:, :, None] + square[:, None] - 2 * xyz @ xyz.transpose(1, 2)  # (B, N, N)
    inverse = torch.rsqrt(apart.clamp(min=0) + softening**2)
    count = xyz.shape[1]
    return (inverse.sum((1, 2)) - count / softening) / (count * (count - 1))
