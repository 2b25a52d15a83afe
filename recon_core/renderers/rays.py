# SPDX-License-Identifier: Apache-2.0
"""Rays through a volume of occupancies: where they end, and what they see there.

Ray termination of differentiable ray consistency (DRC), as "Unsupervised Learning of Shape and Pose with Differentiable
Point Clouds" (DPC, Insafutdinov and Dosovitskiy 2018) uses it: with occupancies o_i along a ray, front to back,
r_i = o_i prod_{j<i} (1 - o_j) is the probability that the ray ends in cell i, and r_{D+1} = prod_j (1 - o_j) that it
escapes. The silhouette sum_{i<=D} r_i telescopes to 1 - prod_j (1 - o_j).
"""

import math
from typing import Any, Literal

import torch
from torch.autograd.function import once_differentiable

# The largest occupancy whose logarithm of 1 - o is used; a ray's silhouette is off by no more than the rest.
_MAX_OCCUPANCY = 1 - 1e-6

Space = Literal["log", "product"]


def silhouette(volume: torch.Tensor, scale: torch.Tensor | None = None, clip: float = 0.0) -> torch.Tensor:
    """Silhouette 1 - prod_i (1 - o_i), (B,H,W), of o = clamp(scale * volume) with volume (B,D,H,W) and scale (B,).

    clip: occupancies are limited to [clip, 1 - clip]. 0 is the formula; 1e-5 is what DPC's released code does, which
    leaves a floor of D * clip where nothing is and no gradient below clip. The released sum of r_i is larger by another
    clip * o_1 (its logarithm of one is clip). Keeps one volume for the backward pass.
    """
    mask = _Telescoped.apply(volume, scale, clip)
    assert isinstance(mask, torch.Tensor)
    return mask


class _Telescoped(torch.autograd.Function):
    """Scale, clamp, log, sum and exp in one step, which keeps its input and its result only."""

    @staticmethod
    def forward(ctx: Any, volume: torch.Tensor, scale: torch.Tensor | None, clip: float) -> torch.Tensor:
        occupancy = _scaled(volume, scale).clamp(clip, min(1 - clip, _MAX_OCCUPANCY))
        log_clear = occupancy.neg_().log1p_().sum(1)  # (B, H, W)
        ctx.save_for_backward(volume, scale, log_clear)
        ctx.clip = clip
        return -torch.expm1(log_clear)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor):
        volume, scale, log_clear = ctx.saved_tensors
        low, high = ctx.clip, min(1 - ctx.clip, _MAX_OCCUPANCY)
        scaled = _scaled(volume, scale)
        limited = (scaled < low) | (scaled > 1 - ctx.clip)
        # dS/do_i = prod_{j != i} (1 - o_j)
        to_scaled = (grad * log_clear.exp())[:, None] / (1 - scaled.clamp(low, high))
        to_scaled.masked_fill_(limited, 0)
        if scale is None:
            return to_scaled, None, None
        to_scale = (to_scaled * volume).sum((1, 2, 3)) if ctx.needs_input_grad[1] else None
        return to_scaled * scale[:, None, None, None], to_scale, None


def _scaled(volume: torch.Tensor, scale: torch.Tensor | None) -> torch.Tensor:
    return volume if scale is None else volume * scale[:, None, None, None]


def termination(occupancy: torch.Tensor, clip: float = 0.0, space: Space = "log") -> torch.Tensor:
    """Probabilities r (B,D+1,H,W) that a ray ends in each of D cells, or escapes, from occupancies (B,D,H,W) in [0, 1].

    space: products of 1 - o, or sums of their logarithms. clip limits occupancies to [clip, 1 - clip] in log space, and
    with clip > 0 the first and the last are multiplied by exp(clip), as in DPC's released code (1e-5); product space is
    not clipped there and takes no clip. Keeps about five volumes for the backward pass.
    """
    if space == "product":
        clear = torch.cumprod(1 - occupancy, 1)
        before = torch.cat((torch.ones_like(clear[:, :1]), clear[:, :-1]), 1)
        return torch.cat((occupancy * before, clear[:, -1:]), 1)
    occupancy = occupancy.clamp(clip, 1 - clip)
    log_clear = torch.log1p(-occupancy.clamp(max=_MAX_OCCUPANCY))
    through = torch.cumsum(log_clear, 1)
    ends = occupancy * torch.exp(through - log_clear)
    first, escapes = math.exp(clip) * ends[:, :1], torch.exp(through[:, -1:] + clip)
    return torch.cat((first, ends[:, 1:], escapes), 1)


def expected_depth(
    probabilities: torch.Tensor, cell_depth: torch.Tensor, background_depth: float
) -> torch.Tensor:
    """Expected depth (B,H,W) of rays' ends: r (B,D+1,H,W), depth of each cell (D,), and that of rays that escape."""
    ends = torch.einsum("bdhw,d->bhw", probabilities[:, :-1], cell_depth)
    return ends + probabilities[:, -1] * background_depth


def expected_features(
    probabilities: torch.Tensor, features: torch.Tensor, background: torch.Tensor
) -> torch.Tensor:
    """Expected features (B,H,W,C) of rays' ends: r (B,D+1,H,W), cells' (B,C,D,H,W), background (C,)."""
    ends = torch.einsum("bdhw,bcdhw->bhwc", probabilities[:, :-1], features)
    return ends + probabilities[:, -1, :, :, None] * background
