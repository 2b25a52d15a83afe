# SPDX-License-Identifier: Apache-2.0
"""The yardstick of planes_bench: CAPNet's mask and DIFFER's features in their dense (B,N,H,W) form, in plain PyTorch.

The formulas as published, one tensor operation each, gradients by autograd. Every pixel looks at every point.
"""

import torch


def dense_mask(uv_px: torch.Tensor, size: int, sigma_sq_px: float) -> torch.Tensor:
    """Masks (B,S,S) of points (B,N,2): tanh of the sum of Gaussians."""
    dx, dy = _offsets(uv_px, size)
    # The product of two exponentials per point rather than one per point and pixel: the fastest dense form.
    kernel = torch.exp(dy.square() * (-0.5 / sigma_sq_px)) * torch.exp(dx.square() * (-0.5 / sigma_sq_px))
    return torch.tanh(kernel.sum(1))


def dense_features(
    uv_px: torch.Tensor, depth: torch.Tensor, features: torch.Tensor, size: int, radius_px: float, beta: float
) -> torch.Tensor:
    """Images (B,S,S,C) of point features (B,N,C) by square wells in depth and a softmax over all points."""
    dx, dy = _offsets(uv_px, size)
    near = (dx.abs() <= radius_px) & (dy.abs() <= radius_px)
    factor = torch.where(near, 1.0, 10.0)
    well = (factor * (depth.abs() + 1)[..., None, None]).clamp(0, 10)  # (B, N, S, S)
    share = torch.softmax(beta / (well + 1e-5), 1) * (well != 10)
    share = share / (share.sum(1, keepdim=True) + 1e-8)
    return torch.einsum("bnhw,bnc->bhwc", share, features)


def _offsets(uv_px: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixel centre minus position: columns (B,N,1,S) and rows (B,N,S,1)."""
    centres = torch.arange(size, dtype=uv_px.dtype, device=uv_px.device) + 0.5
    return centres[None, None, None] - uv_px[..., 0, None, None], centres[:, None] - uv_px[..., 1, None, None]
