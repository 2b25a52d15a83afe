# SPDX-License-Identifier: Apache-2.0
"""DRWR: projected points against silhouettes, without rendering anything.

Han, Chen, Liu, Zwicker: "DRWR: A Differentiable Renderer without Rendering for Unsupervised 3D Structure Learning from
Silhouette Images", ICML 2020. A unary loss draws every point into the silhouette through a distance field; a pairwise
loss pushes the points inside apart, so that together they fill it:

    unary   L_u = 1/N sum_i (1 - S(u_i))        S = 1 on the silhouette, 1 - edge_step - slope d / W outside
    pair    L_p = c/N^2 sum_i w_i exp(R_i) sum_j w_j exp(-|u_i - u_j|^2 / (s tau)),   s = W / 32, self pairs included

with u in pixels, d the distance in pixels to the silhouette, w_i the binary mask at u_i, R_i its mean over `ring` rings
of corners around u_i (less in thin parts: points are not blown off them), all read bilinearly at the mask's own
resolution. L_p is a kernel density: the weights are splatted to the grid, blurred and read at every point,
O(N + HW(H+W)) per view instead of O(N^2). Points behind the camera count nothing; N is the number of the others.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import grid_sample, pad

from ..errors import InputError
from ..geometry.distance_transform import distance_transform, foreground
from .kernel_density import density_exact, density_on_grid

StopGrad = Literal["none", "weights", "ring", "both"]


@dataclass(frozen=True)
class DrwrSettings:
    """The constants of both losses; lengths scale with the width W of the mask."""

    tau: float = 5.0
    """Squared reach of the repulsion, in pixels^2 of a mask 32 px wide; times W / 32 for others."""
    coefficient: float = 0.03
    """Weight of the pair loss; the published code's is weight * exp(bias)."""
    ring: int = 5
    """Rings of corners around a point that say how thick the silhouette is there; 0: thickness does not count."""
    stop_grad: StopGrad = "both"
    """What is held constant in the pair loss: the weights w, the ring term R, or both."""
    edge_step: float = 35 / 255
    """What a point loses by leaving the silhouette, however little."""
    slope: float = math.sqrt(2)
    """What it loses for a distance of one image width."""
    threshold: float = 0.5
    """Coverage from which a pixel belongs to the silhouette."""


# The published code's: weight 3, bias 3.5, ramp 220/255 - d / (64 sqrt 2) at 128 px, alpha binarised at 0.6. Its pair
# loss outweighs the unary some hundred times, and its gradient through w rewards points for leaving: even a perfect
# shape drifts apart.
PAPER = DrwrSettings(coefficient=3.0 * math.exp(3.5), stop_grad="none", threshold=0.6)
# Tuned so that a perfect shape stays where it is, and a ball of points still spreads over the silhouettes.
STABLE = DrwrSettings()
PRESETS = {"paper": PAPER, "stable": STABLE}


def drwr_unary(
    uv_px: torch.Tensor, depth: torch.Tensor, masks: torch.Tensor, settings: DrwrSettings = STABLE
) -> torch.Tensor:
    """Mean of 1 - S over the points (B): DRWR's unary ("coord") loss on the smooth silhouette.

    uv_px (B,N,2) and depth (B,N) as Cameras.project gives them for the masks' size; masks (B,H,W) coverage in
    [0, 1]. Beyond the frame S goes on falling with the distance to the frame, so that no point loses its gradient (the
    published code clips coordinates and loses it). An empty mask, or no point in front of the camera, gives 0.
    Cost per view: O(N), and O(HW) for a mask seen for the first time. Raises InputError on bad shapes.
    """
    _check(uv_px, depth, masks)
    seen, uv_px = _in_front(uv_px, depth)
    price = 1 - smooth_silhouette(masks.to(uv_px.dtype), settings)  # (B, H, W)
    height, width = masks.shape[-2:]
    limit = uv_px.new_tensor([width - 0.5, height - 0.5])
    kept = torch.minimum(uv_px.clamp(min=0.5), limit)  # (B, N, 2), within the outermost pixel centres
    beyond_px = torch.linalg.vector_norm(uv_px - kept, dim=-1)
    loss = _read(price, kept, "border") + settings.slope / width * beyond_px
    shown = foreground(masks, settings.threshold).flatten(1).any(1)
    return (loss * seen).sum(1) / seen.sum(1).clamp(min=1) * shown


def smooth_silhouette(masks: torch.Tensor, settings: DrwrSettings = STABLE) -> torch.Tensor:
    """S (...,H,W) of masks (...,H,W): 1 on the silhouette, a ramp falling with the distance outside, below 0 far off.

    A constant without gradient; its distance transform is remembered (geometry/distance_transform.py).
    """
    distance_px = distance_transform(masks, threshold=settings.threshold)
    ramp = 1 - settings.edge_step - settings.slope / masks.shape[-1] * distance_px
    return torch.where(distance_px > 0, ramp, torch.ones_like(ramp))


def drwr_pair(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    masks: torch.Tensor,
    settings: DrwrSettings = STABLE,
    *,
    exact: bool = False,
    chunk: int = 256,
) -> torch.Tensor:
    """Structure-aware repulsion (B): DRWR's pair ("potential") loss; arguments as drwr_unary.

    By splatting, blurring and reading: O(N + HW(H+W)) per view. With `exact` by all pairs, `chunk` rows at a time:
    O(N^2) operations and O(B chunk N) memory, the oracle of the tests.
    """
    _check(uv_px, depth, masks)
    seen, uv_px = _in_front(uv_px, depth)
    weight, ring = _weight_and_ring(uv_px, masks, settings)  # (B, N)
    weight = weight * seen
    variance = settings.tau * masks.shape[-1] / 64  # exp(-d^2 / (s tau)) is a Gaussian of variance s tau / 2
    if exact:
        crowd = density_exact(uv_px, weight, variance, chunk=chunk)
    else:
        crowd = density_on_grid(uv_px, weight, variance, (masks.shape[-2], masks.shape[-1]))
    total = (weight * torch.exp(ring) * crowd).sum(1)
    return settings.coefficient * total / seen.sum(1).clamp(min=1).square()


def drwr(
    uv_px: torch.Tensor, depth: torch.Tensor, masks: torch.Tensor, settings: DrwrSettings = STABLE
) -> torch.Tensor:
    """Unary plus pair loss (B): DRWR's objective, the unary with weight 1."""
    return drwr_unary(uv_px, depth, masks, settings) + drwr_pair(uv_px, depth, masks, settings)


def _check(uv_px: torch.Tensor, depth: torch.Tensor, masks: torch.Tensor) -> None:
    right = uv_px.ndim == 3 and uv_px.shape[-1] == 2 and depth.shape == uv_px.shape[:2]
    if not right or masks.ndim != 3 or len(masks) != len(uv_px) or 0 in masks.shape[1:]:
        raise InputError(
            f"Expected uv_px (B,N,2), depth (B,N), masks (B,H,W); got {tuple(uv_px.shape)}, {tuple(depth.shape)}, "
            f"{tuple(masks.shape)}."
        )


def _in_front(uv_px: torch.Tensor, depth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Which points (B,N) are in front of the camera, and uv_px with the others put to 0, without gradient."""
    seen = (depth > 0) & torch.isfinite(uv_px).all(-1)
    return seen, torch.where(seen[..., None], uv_px, torch.zeros_like(uv_px))


def _read(maps: torch.Tensor, uv_px: torch.Tensor, outside: str) -> torch.Tensor:
    """Bilinear values (B,N) of maps (B,H,W) at uv_px (B,N,2), pixel centres at half-integers."""
    scale = uv_px.new_tensor([2.0 / maps.shape[-1], 2.0 / maps.shape[-2]])
    grid = (uv_px * scale - 1)[:, None]  # (B, 1, N, 2)
    return grid_sample(maps[:, None], grid, "bilinear", outside, align_corners=False)[:, 0, 0]


def _weight_and_ring(
    uv_px: torch.Tensor, masks: torch.Tensor, settings: DrwrSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """w and R (B,N): the binary mask at each point, and its mean over rings; 0 beyond the frame."""
    binary = foreground(masks, settings.threshold).to(uv_px.dtype)
    weight = _read_corners(_ring_maps(binary, 1), uv_px)
    ring = torch.zeros_like(weight)
    if settings.ring:
        ring = _read_corners(_ring_maps(binary, settings.ring), uv_px)
    weight = weight.detach() if settings.stop_grad in ("weights", "both") else weight
    return weight, ring.detach() if settings.stop_grad in ("ring", "both") else ring


def _ring_maps(binary: torch.Tensor, ring: int) -> torch.Tensor:
    """Mean (B,2,2,H+2,W+2) of a mask (B,H,W) over r < ring steps up or down, and left or right, from each pixel.

    One map per corner of a cell: ring r of a point are the corners of its cell moved outwards by r. One pixel is added
    around; beyond the frame the mask is 0.
    """
    height, width = binary.shape[-2:]
    wide = pad(binary, (ring,) * 4)
    maps = binary.new_zeros(len(binary), 2, 2, height + 2, width + 2)
    for down in (0, 1):
        for right in (0, 1):
            for r in range(ring):
                y, x = ring - 1 + (2 * down - 1) * r, ring - 1 + (2 * right - 1) * r
                maps[:, down, right] += wide[:, y : y + height + 2, x : x + width + 2]
    return maps / ring


def _read_corners(maps: torch.Tensor, uv_px: torch.Tensor) -> torch.Tensor:
    """Bilinear values (B,N) at uv_px (B,N,2), each corner of a cell from its own map (B,2,2,H+2,W+2)."""
    height, width = maps.shape[-2:]
    upper = uv_px.new_tensor([width - 1, height - 1])
    place = torch.minimum((uv_px + 0.5).clamp(min=0), upper)  # index in the enlarged frame, whose border is 0
    cell = torch.minimum(place.detach().floor(), upper - 1)
    along = place - cell  # (B, N, 2) in [0, 1]
    first = (cell[..., 1] * width + cell[..., 0]).long()
    total = torch.zeros_like(along[..., 0])
    for down in (0, 1):
        for right in (0, 1):
            values = maps[:, down, right].flatten(1).gather(1, first + down * width + right)
            share_x = along[..., 0] if right else 1 - along[..., 0]
            share_y = along[..., 1] if down else 1 - along[..., 1]
            total = total + values * share_x * share_y
    return total
