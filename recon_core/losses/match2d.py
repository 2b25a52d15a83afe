# SPDX-License-Identifier: Apache-2.0
"""2D projection matching: projected points against samples of the silhouette, by a Chamfer distance in the image.

Chen, Han, Liu, Zwicker: "Unsupervised Learning of Fine Structure Generation for 3D Point Clouds by 2D Projection
Matching", ICCV 2021. With q_j the N projections and g_k the K samples of a view, both divided by the image's width W,

    L = 1/N sum_j min_k |q_j - g_k|^2 + 1/K sum_k min_j |q_j - g_k|^2

The samples come from structure-adaptive sampling: a regular grid so fine that K of its nodes fall on the silhouette, so
that a thin part gets its share. They depend on the mask alone and are remembered by its content.
"""

import math
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import pad

from ..errors import ConfigError, InputError
from ..geometry.chamfer import Method, chamfer
from ..geometry.distance_transform import ArrayCache, content_key, foreground

Sampler = Literal["adaptive", "pixels", "uniform"]

# 32 MiB: 2,000 masks with 2,000 samples each.
_SHARED = ArrayCache(32 * 2**20)
# Points that are not seen are searched for here, and never found.
_FAR = 1e6
# The adaptive grid may not have more nodes than this times the number of samples.
_MAX_NODES_PER_SAMPLE = 4096


def mask_samples(
    masks: torch.Tensor,
    count: int,
    *,
    sampler: Sampler = "adaptive",
    seed: int = 0,
    threshold: float = 0.5,
    cache: ArrayCache | None = _SHARED,
) -> torch.Tensor:
    """Samples (...,count,2) in pixels of every mask (...,H,W), coverage in [0, 1] or bool; NaN for an empty mask.

    Every mask has a generator of its own with this seed: its samples depend on nothing but its pixels. Remembered by
    content in `cache` (None: drawn again). Raises InputError for integer masks or fewer than one sample.
    """
    if masks.ndim < 2 or count < 1 or not (masks.dtype == torch.bool or masks.is_floating_point()):
        raise InputError(
            f"Expected bool masks or coverage (..., H, W) and count >= 1; got {masks.dtype} {tuple(masks.shape)}, "
            f"count {count}."
        )
    lead, frame = masks.shape[:-2], masks.shape[-2:]
    binary = foreground(masks, threshold).reshape(math.prod(lead), *frame).cpu()
    result = np.empty((len(binary), count, 2), np.float32)
    for index, mask in enumerate(binary):
        key = content_key(mask.numpy(), "samples", count, sampler, seed)
        found = None if cache is None else cache.get(key)
        if found is None:
            found = sample_mask(mask, count, torch.Generator().manual_seed(seed), sampler).numpy()
            if cache is not None:
                cache.put(key, found)
        result[index] = found
    dtype = masks.dtype if masks.is_floating_point() else torch.float32
    return torch.from_numpy(result).view(*lead, count, 2).to(masks.device, dtype)


def sample_mask(
    mask: torch.Tensor, count: int, generator: torch.Generator, sampler: Sampler = "adaptive"
) -> torch.Tensor:
    """Draw uv_px (count,2), float32, on the foreground of a bool mask (H,W) on the CPU; NaN where there is none.

    adaptive: nodes of a regular grid of cell sqrt(area / count) with a random phase (2Dpm's "sas"); what is missing or
    too much is drawn or dropped at random. pixels: every pixel's centre once (a random subset if there are more than
    count), the rest at random places (2Dpm's published default, without its cut at the bottom). uniform: random
    places. Raises ConfigError for another sampler.
    """
    pixels = mask.nonzero().flip(-1).float()  # (P, 2), x and y of the lower corner
    if not len(pixels):
        return torch.full((count, 2), math.nan)
    if sampler == "adaptive":
        chosen = _grid_nodes(mask, len(pixels), count, generator)
    elif sampler == "pixels":
        chosen = pixels + 0.5
    elif sampler == "uniform":
        chosen = pixels[:0]
    else:
        raise ConfigError(f"Unknown sampler {sampler!r}; expected adaptive, pixels or uniform.")
    chosen = chosen[torch.randperm(len(chosen), generator=generator)[:count]]
    picked = pixels[torch.randint(len(pixels), (count - len(chosen),), generator=generator)]
    return torch.cat((chosen, picked + torch.rand(picked.shape, generator=generator)))


def _grid_nodes(mask: torch.Tensor, area: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Nodes uv_px (M,2) of a grid, M about count, that fall on the foreground."""
    cell = math.sqrt(area / count)
    # A speck in a large frame: the grid covers the foreground's bounding box alone.
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    low = torch.stack((columns[0], rows[0])).float()
    high = torch.stack((columns[-1], rows[-1])).float() + 1
    steps = [int(length / cell) + 1 for length in (high - low).tolist()]
    if steps[0] * steps[1] > _MAX_NODES_PER_SAMPLE * count:
        return low.new_zeros(0, 2)
    phase = torch.rand(2, generator=generator)
    x, y = (low[axis] + (torch.arange(steps[axis]) + phase[axis]) * cell for axis in (0, 1))
    x, y = x[x < high[0]], y[y < high[1]]
    nodes = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).view(-1, 2)
    pixel = nodes.long()
    return nodes[mask[pixel[:, 1].clamp(max=len(mask) - 1), pixel[:, 0].clamp(max=mask.shape[1] - 1)]]


def match2d(
    uv_px: torch.Tensor, depth: torch.Tensor, samples_px: torch.Tensor, width: int, *, search: Method = "auto"
) -> torch.Tensor:
    """Squared 2D Chamfer distance (B), both directions summed, in squared image widths.

    uv_px (B,N,2) and depth (B,N) as Cameras.project gives them; samples_px (B,K,2) of mask_samples, in the same pixels;
    width: of the image. Details as match2d_both. Values are small (1e-4 to 1e-3): weights must be chosen accordingly.
    """
    to_samples, to_points = match2d_both(uv_px, depth, samples_px, width, search=search)
    return to_samples + to_points


def match2d_both(
    uv_px: torch.Tensor, depth: torch.Tensor, samples_px: torch.Tensor, width: int, *, search: Method = "auto"
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean squared distance (B) from points to their nearest samples, and from samples to their nearest points.

    Points behind the camera take no part; where no point is left, or the mask was empty, both are 0. Gradients reach
    points through the pairs that were found. search: as in geometry/chamfer.py, "tree" on the CPU,
    O((N + K) log(N + K)) per view, "blocks" of all pairs on the points' device, O(N K), or the faster.
    Raises InputError on bad shapes.
    """
    _check(uv_px, depth, samples_px)
    seen = (depth > 0) & torch.isfinite(uv_px).all(-1)  # (B, N)
    points = torch.where(seen[..., None], uv_px, torch.full_like(uv_px, _FAR))
    shown = torch.isfinite(samples_px[:, :1]).all(-1)[:, 0] & seen.any(1)  # (B)
    samples = torch.where(torch.isfinite(samples_px), samples_px, torch.zeros_like(samples_px)).to(
        uv_px.dtype
    )
    if not uv_px.shape[1] or not samples.shape[1]:
        zero = uv_px.sum((1, 2)) * 0  # with a gradient, which is zero
        return zero, zero
    # The search knows three axes: the third is 0 for all.
    forward, backward = chamfer(
        pad(points, (0, 1)), pad(samples, (0, 1)), squared=True, reduction="none", method=search
    )
    scale = shown / width**2
    # The far stand-ins have no gradient, and count nothing in either direction.
    forward = torch.where(seen, forward, torch.zeros_like(forward))
    return forward.sum(1) / seen.sum(1).clamp(min=1) * scale, backward.mean(1) * scale


def _check(uv_px: torch.Tensor, depth: torch.Tensor, samples_px: torch.Tensor) -> None:
    right = uv_px.ndim == 3 and uv_px.shape[-1] == 2 and depth.shape == uv_px.shape[:2]
    if not right or samples_px.ndim != 3 or samples_px.shape[-1] != 2 or len(samples_px) != len(uv_px):
        raise InputError(
            f"Expected uv_px (B,N,2), depth (B,N), samples_px (B,K,2); got {tuple(uv_px.shape)}, "
            f"{tuple(depth.shape)}, {tuple(samples_px.shape)}."
        )
