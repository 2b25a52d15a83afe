# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between a photograph and its mask: moved and soft outlines, holes, spills, things in front, cuts.

Masks are (B,1,H,W) coverage in [0, 1]; lengths per item in pixels.
"""

import math

import torch
import torch.nn.functional as F

from .draws import Draw

_NOISE_CELLS = 8  # across the image: how finely blobs are ragged
_RAGGED = 0.5  # of a blob's radius
_LEAST_LEFT = 0.3  # of an object's area; a deeper cut is not made


def blur(pixels: torch.Tensor, sigma_px: torch.Tensor) -> torch.Tensor:
    """Blur (B,C,H,W) with a Gaussian of its own standard deviation (B,) per item; the border is repeated."""
    count, channels, height, width = pixels.shape
    sigma = sigma_px.clamp(min=1e-3)
    radius = min(max(1, math.ceil(3 * float(sigma.max()))), min(height, width))
    at = torch.arange(-radius, radius + 1, device=pixels.device, dtype=pixels.dtype)
    kernel = torch.exp(-0.5 * (at / sigma[:, None]) ** 2)  # (B, 2r+1); a tiny sigma leaves a single 1
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)[:, None]
    flat = F.pad(pixels.reshape(1, count * channels, height, width), (radius,) * 4, mode="replicate")
    flat = F.conv2d(flat, kernel[:, :, None, :], groups=count * channels)
    return F.conv2d(flat, kernel[:, :, :, None], groups=count * channels).reshape(pixels.shape)


def move_outline(alpha: torch.Tensor, offset_px: torch.Tensor) -> torch.Tensor:
    """Erode (offset > 0) or dilate (offset < 0) masks (B,1,H,W) by offset_px (B,); items with 0 stay as they are.

    A blurred straight edge crosses the level Phi(d / sigma) at distance d inside: thresholding there, one pixel
    softly, moves the edge by a fraction of a pixel as well. Details thinner than the offset vanish.
    """
    sigma = offset_px.abs().clamp(min=0.7)
    steps = (offset_px / sigma).view(-1, 1, 1, 1)
    level = torch.special.ndtr(steps)
    slope = torch.exp(-0.5 * steps**2) / (math.sqrt(2 * math.pi) * sigma.view(-1, 1, 1, 1))  # per pixel
    moved = ((blur(alpha, sigma) - level) / slope + 0.5).clamp(0, 1)
    return torch.where((offset_px == 0).view(-1, 1, 1, 1), alpha, moved)


def soften_outline(alpha: torch.Tensor, sigma_px: torch.Tensor, loss: torch.Tensor) -> torch.Tensor:
    """Soft edges as matting leaves them: masks blurred by sigma_px (B,), coverage up to loss (B,) in [0, 1) taken off.

    What is thinner than the blur fades or vanishes; the inside of what is wide stays 1. Items with 0 stay as they are.
    """
    level = loss.view(-1, 1, 1, 1)
    soft = ((blur(alpha, sigma_px) - level) / (1 - level)).clamp(0, 1)
    return torch.where((sigma_px == 0).view(-1, 1, 1, 1), alpha, soft)


def outline(alpha: torch.Tensor) -> torch.Tensor:
    """How much coverage changes within a pixel's neighbourhood (B,1,H,W): above 0 along outlines alone."""
    most = F.max_pool2d(alpha, 3, 1, 1)
    least = 1 - F.max_pool2d(1 - F.pad(alpha, (1,) * 4), 3, 1)
    return most - least


def blobs(center_px: torch.Tensor, radius_px: torch.Tensor, ragged: torch.Tensor) -> torch.Tensor:
    """Coverage (B,1,H,W) of discs about center_px (B,2); `ragged` (B,1,H,W) changes the radius by its share.

    Items with radius 0 have none.
    """
    dx, dy = _offsets(center_px, ragged.shape[-2:])
    reach = radius_px.view(-1, 1, 1, 1) * (1 + ragged)
    covered = (reach - torch.hypot(dx, dy) + 0.5).clamp(0, 1)
    return torch.where((radius_px == 0).view(-1, 1, 1, 1), 0.0, covered)


def bars(
    center_px: torch.Tensor, angle_rad: torch.Tensor, width_px: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """Coverage (B,1,H,W) of straight bars across the image through center_px (B,2); none with width 0."""
    dx, dy = _offsets(center_px, size)
    angle = angle_rad.view(-1, 1, 1, 1)
    away = (dx * angle.sin() - dy * angle.cos()).abs()
    covered = (width_px.view(-1, 1, 1, 1) / 2 - away + 0.5).clamp(0, 1)
    return torch.where((width_px == 0).view(-1, 1, 1, 1), 0.0, covered)


def _offsets(
    center_px: torch.Tensor, size: torch.Size | tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Offsets right (B,1,1,W) and down (B,1,H,1) of pixel centres from a place."""
    height, width = size
    across = torch.arange(width).to(center_px) + 0.5 - center_px[:, :1]
    down = torch.arange(height).to(center_px) + 0.5 - center_px[:, 1:]
    return across[:, None, None, :], down[:, None, :, None]


def ragged_noise(like: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Smooth noise (B,1,H,W) in about [-1/2, 1/2]."""
    coarse = draw.uniform(like.shape[0], 1, _NOISE_CELLS, _NOISE_CELLS) * 2 - 1
    return _RAGGED * F.interpolate(coarse, like.shape[-2:], mode="bicubic", align_corners=False)


def random_blobs(weight: torch.Tensor, largest_px: float, probability: float, draw: Draw) -> torch.Tensor:
    """One ragged blob (B,1,H,W) for this share of the items, its centre drawn by weight (B,1,H,W)."""
    radius = draw.between(0.25, 1.0) * largest_px * draw.chosen(probability)
    return blobs(draw.places(weight), radius, ragged_noise(weight, draw))


def random_bars(alpha: torch.Tensor, largest_px: float, probability: float, draw: Draw) -> torch.Tensor:
    """One bar (B,1,H,W) over this share of the objects, at any angle."""
    width = draw.between(0.25, 1.0) * largest_px * draw.chosen(probability)
    return bars(draw.places(alpha), draw.between(0.0, math.pi), width, (alpha.shape[-2], alpha.shape[-1]))


def random_cut(
    alpha: torch.Tensor, largest: float, probability: float, draw: Draw
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What an image's border leaves of this share of the objects, and how a crop around that looks.

    Up to `largest` of the object's extent is lost at one of its four sides. Returns kept (B,1,H,W) of 0 and 1, and
    scale (B,), shift_px (B,2) for `warp`, which put what is left where the whole was.
    """
    low, high = extents(alpha)  # (B, 2) each
    side = (draw.uniform(len(alpha)) * 4).long().clamp(max=3)
    depth = draw.uniform(len(alpha)) * largest * draw.chosen(probability)
    axis, is_high = side % 2, side >= 2
    lost = depth * (high - low).gather(1, axis[:, None])[:, 0]
    edge = torch.where(
        is_high, high.gather(1, axis[:, None])[:, 0] - lost, low.gather(1, axis[:, None])[:, 0] + lost
    )
    dx, dy = _offsets(torch.zeros_like(low), alpha.shape[-2:])
    at = torch.where((axis == 0).view(-1, 1, 1, 1), dx, dy)
    beyond = torch.where(is_high.view(-1, 1, 1, 1), at > edge.view(-1, 1, 1, 1), at < edge.view(-1, 1, 1, 1))
    kept = 1 - beyond.to(alpha)
    enough = (alpha * kept).sum((1, 2, 3)) >= _LEAST_LEFT * alpha.sum((1, 2, 3))
    kept = torch.where((enough & (depth > 0)).view(-1, 1, 1, 1), kept, 1.0)
    return kept, *refit(alpha, alpha * kept)


def extents(alpha: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Left and top (B,2), right and bottom (B,2) of the pixels more than half covered; the whole image without any."""
    low, high = [], []
    for axis in (2, 3):  # what is left after it: columns, rows
        there = (alpha[:, 0] > 0.5).any(axis - 1)  # (B, W), then (B, H)
        count = there.shape[1]
        at = torch.arange(count, device=alpha.device)
        first = torch.where(there, at, count).amin(1)
        last = torch.where(there, at, -1).amax(1) + 1
        low.append(torch.where(there.any(1), first, 0))
        high.append(torch.where(there.any(1), last, count))
    return torch.stack(low, 1).to(alpha), torch.stack(high, 1).to(alpha)


def refit(before: torch.Tensor, after: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale (B,) and shift_px (B,2) that bring the box of one mask (B,1,H,W) to where another's was."""
    (low, high), (new_low, new_high) = extents(before), extents(after)
    scale = (high - low).amax(1) / (new_high - new_low).amax(1).clamp(min=1)
    center = before.new_tensor([before.shape[-1] / 2, before.shape[-2] / 2])
    shift = (low + high) / 2 - center - scale[:, None] * ((new_low + new_high) / 2 - center)
    return scale, shift
