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


def bilinear(image: torch.Tensor, place: torch.Tensor, out: int = 0) -> torch.Tensor:
    """Value () of image (H,W) at place (2,), pixel centres at half-integers, 0 beyond the frame.

    out: each of the four corners is looked up that many pixels further away from the place.
    """
    x, y = place[0] - 0.5, place[1] - 0.5
    x0, y0 = math.floor(float(x.detach())), math.floor(float(y.detach()))
    total = place.sum() * 0
    for column, share_x in ((x0 - out, x0 + 1 - x), (x0 + 1 + out, x - x0)):
        for row, share_y in ((y0 - out, y0 + 1 - y), (y0 + 1 + out, y - y0)):
            if 0 <= column < image.shape[1] and 0 <= row < image.shape[0]:
                total = total + share_x * share_y * image[row, column]
    return total


def drwr_unary(uv_px, mask, edge_step: float, slope: float) -> torch.Tensor:
    """Mean over points uv_px (N,2) of 1 - S, S read at the nearest place between pixel centres of mask (H,W)."""
    height, width = mask.shape
    away = distances(mask > 0.5)
    silhouette = torch.where(away > 0, 1 - edge_step - slope / width * away, torch.ones_like(away))
    losses = []
    for place in uv_px:
        inside = torch.stack((place[0].clamp(0.5, width - 0.5), place[1].clamp(0.5, height - 0.5)))
        beyond = (place - inside).square().sum()
        further = beyond.sqrt() if beyond > 0 else beyond
        losses.append(1 - bilinear(silhouette, inside) + slope / width * further)
    return torch.stack(losses).mean()


def drwr_pair(uv_px, mask, tau: float, coefficient: float, ring: int) -> torch.Tensor:
    """The repulsion of points uv_px (N,2) on a binary mask (H,W): the double sum, every gradient let through."""
    reach = mask.shape[1] / 32 * tau
    total = uv_px.sum() * 0
    for here in uv_px:
        thick = sum(bilinear(mask, here, out) for out in range(ring)) / ring if ring else 0.0
        for there in uv_px:
            push = torch.exp(-(here - there).square().sum() / reach + thick)
            total = total + bilinear(mask, here) * bilinear(mask, there) * push
    return coefficient * total / len(uv_px) ** 2


def match2d(uv_px, samples_px, width: int) -> torch.Tensor:
    """Squared Chamfer distance of points (N,2) and samples (K,2) in image widths, both directions."""
    squared = ((uv_px[:, None] - samples_px[None]) / width).square().sum(-1)  # (N, K)
    return squared.min(1).values.mean() + squared.min(0).values.mean()
