# SPDX-License-Identifier: Apache-2.0
"""Mask affinity pixel by pixel, and the released affinity with its four-dimensional tensors."""

import itertools
import math

import torch


def rounded_up(distance: float, radii: list[float]) -> float:
    """The least radius that is not below the distance, or the last."""
    return next((radius for radius in radii if radius >= distance - 1e-6), radii[-1])


def expected_nearest(coverage: torch.Tensor, radii: list[float]) -> torch.Tensor:
    """Expected distance (H,W): walk the pixels outwards, each the nearest with S times what is left."""
    height, width = coverage.shape
    result = torch.zeros_like(coverage)
    pixels = list(itertools.product(range(height), range(width)))
    for i, j in pixels:
        left, total = torch.ones_like(coverage[0, 0]), torch.zeros_like(coverage[0, 0])
        for k, m in sorted(pixels, key=lambda p: math.hypot(p[0] - i, p[1] - j)):
            covered = coverage[k, m].clamp(max=1 - 1e-4)
            total = total + left * covered * rounded_up(math.hypot(k - i, m - j), radii)
            left = left * (1 - covered)
        result[i, j] = total + left * radii[-1]
    return result


def released(predicted: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The released steps for one mask (H,W): distances + 1, both masks tiled along one pair, minimum over the other."""
    size = predicted.shape
    i, j = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    apart = torch.hypot((i[:, :, None, None] - i).double(), (j[:, :, None, None] - j).double()) + 1
    p, g = predicted[:, :, None, None].expand(apart.shape), target[:, :, None, None].expand(apart.shape)
    forward = (apart * (p * g + p * (1 - g) * 1e6)).amin((2, 3))
    backward = (apart * (g * p + g * (1 - p) * 1e6)).amin((2, 3))
    return forward.mean() * 1e-4, backward.mean() * 1e-4
