# SPDX-License-Identifier: Apache-2.0
"""The yardstick of optical-depth splatting: every point at every pixel (B,N,H,W), in plain PyTorch.

The formulas of renderers/splat.py without the grid: A(x) = sum_i tau_i G(x - u_i), coverage 1 - exp(-A), and features
composited over the same depth slabs. Images differ from the splat's only by the interpolation of its scatter.
"""

import math

import torch


def dense_splat_mask(
    uv_px: torch.Tensor, depth: torch.Tensor, tau: torch.Tensor, size: int, sigma_px: float
) -> torch.Tensor:
    """Coverage (B,S,S) of points uv_px (B,N,2) with depth and optical depth tau (B,N)."""
    kernel = _gaussians(uv_px, size, sigma_px)
    return -torch.expm1(-torch.einsum("bn,bnhw->bhw", tau * (depth > 0), kernel))


def dense_splat_features(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    tau: torch.Tensor,
    features: torch.Tensor,
    size: int,
    sigma_px: float,
    slabs: int = 8,
) -> torch.Tensor:
    """Composited features (B,S,S,C) of features (B,N,C), over `slabs` slabs between the nearest and farthest point."""
    near, far = depth.detach().amin(1, keepdim=True), depth.detach().amax(1, keepdim=True)
    place = (depth - near) / (far - near).clamp(min=1e-6) * (slabs - 1)
    layers = torch.arange(slabs, dtype=depth.dtype, device=depth.device)
    shares = (1 - (place[..., None] - layers).abs()).clamp(min=0) * tau[..., None]  # (B, N, K)
    values = torch.cat((torch.ones_like(features[..., :1]), features), -1)  # (B, N, 1 + C)
    points = torch.einsum("bnk,bnc->bkcn", shares, values)
    sums = torch.einsum("bkcn,bnhw->bkchw", points, _gaussians(uv_px, size, sigma_px))
    thickness, colors = sums[:, :, :1], sums[:, :, 1:]
    before = torch.cumsum(thickness, 1) - thickness
    weight = torch.exp(-before) * -torch.expm1(-thickness)
    return (weight / thickness.clamp(min=1e-12) * colors).sum(1).permute(0, 2, 3, 1)


def _gaussians(uv_px: torch.Tensor, size: int, sigma_px: float) -> torch.Tensor:
    """Gaussians of unit mass (B,N,S,S) at pixel centres."""
    centres = torch.arange(size, dtype=uv_px.dtype, device=uv_px.device) + 0.5
    across, along = (
        torch.exp(-0.5 * ((centres - uv_px[..., axis, None]) / sigma_px) ** 2)
        / (math.sqrt(2 * math.pi) * sigma_px)
        for axis in (0, 1)
    )  # (B, N, S)
    # The product of two exponentials per point rather than one per point and pixel: the fastest dense form.
    return along[..., None] * across[..., None, :]
