# SPDX-License-Identifier: Apache-2.0
"""Projection losses from their formulas: every pixel against every pixel, every point against every point."""

import math

import torch


def distances(foreground: torch.Tensor) -> torch.Tensor:
    """Distance (...,H,W) float64 of each pixel to the nearest true one; the diagonal where there is none."""
    height, width = foreground.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack((rows.flatten(), columns.flatten()), -1).double()  # (HW, 2)
    between = (places[:, None] - places[None]).square().sum(-1).sqrt()  # (HW, HW)
    count = math.prod(foreground.shape[:-2])
    result = torch.full((count, height * width), math.sqrt(height**2 + width**2)).double()
    for index, sites in enumerate(foreground.reshape(count, height * width)):
        if sites.any():
            result[index] = between[:, sites].min(1).values
    return result.view(foreground.shape)
