# SPDX-License-Identifier: Apache-2.0
"""Every point against every pixel: the definition of optical-depth splatting, without a grid."""

import math

import torch


def gaussians(uv_px: torch.Tensor, size: tuple[int, int], sigma_px: torch.Tensor) -> torch.Tensor:
    """Unit-mass Gaussians (B,N,H,W) of points uv_px (B,N,2) at pixel centres; sigma_px scalar or (B,N)."""
    rows = torch.arange(size[0], dtype=uv_px.dtype) + 0.5
    columns = torch.arange(size[1], dtype=uv_px.dtype) + 0.5
    dy = rows[:, None] - uv_px[..., 1, None, None]
    dx = columns[None, :] - uv_px[..., 0, None, None]
    sigma = sigma_px[..., None, None] if sigma_px.ndim else sigma_px
    return torch.exp(-0.5 * (dx**2 + dy**2) / sigma**2) / (2 * math.pi * sigma**2)


def mask(uv_px, depth, tau, size, sigma_px) -> torch.Tensor:
    """Coverage (B,H,W): 1 - exp(-sum_i tau_i G_i)."""
    shares = gaussians(uv_px, size, torch.as_tensor(sigma_px, dtype=uv_px.dtype))
    return 1 - torch.exp(-((tau * (depth > 0))[..., None, None] * shares).sum(1))


def features(uv_px, depth, tau, values, size, sigma_px) -> tuple[torch.Tensor, torch.Tensor]:
    """Coverage (B,H,W) and composited values (B,H,W,C): points sorted by depth, front to back."""
    order = depth.argsort(1)
    uv_px = uv_px.gather(1, order[..., None].expand_as(uv_px))
    depth, tau = depth.gather(1, order), tau.gather(1, order)
    values = values.gather(1, order[..., None].expand_as(values))
    shares = gaussians(uv_px, size, torch.as_tensor(sigma_px, dtype=uv_px.dtype))
    thickness = (tau * (depth > 0))[..., None, None] * shares  # (B, N, H, W)
    before = torch.cumsum(thickness, 1) - thickness
    weight = torch.exp(-before) * (1 - torch.exp(-thickness))
    return weight.sum(1), torch.einsum("bnhw,bnc->bhwc", weight, values)
