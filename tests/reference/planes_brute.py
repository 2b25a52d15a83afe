# SPDX-License-Identifier: Apache-2.0
"""Every point against every pixel: CAPNet's masks and DIFFER's features step by step, with (B,N,H,W) tensors."""

import torch


def _offsets(uv_px, size, grid):
    """Pixel centre minus position: rows (B,N,H,1) and columns (B,N,1,W)."""
    start = 0.5 if grid == "centre" else 0.0
    rows = torch.arange(size[0], dtype=uv_px.dtype, device=uv_px.device) + start
    columns = torch.arange(size[1], dtype=uv_px.dtype, device=uv_px.device) + start
    dy = rows[None, None, :, None] - uv_px[..., 1][..., None, None]
    dx = columns[None, None, None, :] - uv_px[..., 0][..., None, None]
    return dy, dx


def mask(uv_px, depth, size, sigma_sq_px, weights=None, mode="clean", grid="centre") -> torch.Tensor:
    """tanh(sum_n w_n exp(-dy^2 / 2 s2) exp(-dx^2 / 2 s2)) (B,H,W)."""
    dy, dx = _offsets(uv_px, size, grid)
    kernels = torch.exp(-(dy**2) / (2 * sigma_sq_px)) * torch.exp(-(dx**2) / (2 * sigma_sq_px))
    factor = torch.ones_like(depth) if weights is None else weights
    if mode == "clean":
        factor = factor * (depth > 0)
    return torch.tanh((kernels * factor[..., None, None]).sum(1))


def released_features(uv_px, depth, values, size, radius, beta, grid="centre"):
    """The released chain: wells of 1 and 10, clip at 10, softmax over all points, mask by != 10, renormalise."""
    dy, dx = _offsets(uv_px, size, grid)
    z = depth.abs() + 1
    ky = torch.where(dy.abs() <= radius, 1.0, 10.0).to(depth)
    kx = torch.where(dx.abs() <= radius, 1.0, 10.0).to(depth)
    d = (ky * kx * z[..., None, None]).clamp(0, 10)  # (B, N, H, W)
    prob = torch.softmax(beta / (d + 1e-5), 1)
    inside = (d != 10).to(depth)
    prob = prob * inside
    prob = prob / (prob.sum(1, keepdim=True) + 1e-8)
    hit = (inside.sum(1) > 0).to(depth)
    return hit, torch.einsum("bnhw,bnc->bhwc", prob, values)


def clean_features(uv_px, depth, values, size, radius, beta, grid="centre"):
    """Softmax of beta / (depth + 1) over the points in front whose well holds the pixel."""
    dy, dx = _offsets(uv_px, size, grid)
    inside = (dy.abs() <= radius) & (dx.abs() <= radius) & (depth > 0)[..., None, None]
    logits = (beta / (depth.clamp(min=0) + 1))[..., None, None].expand(inside.shape)
    prob = torch.softmax(logits.masked_fill(~inside, -torch.inf), 1)
    hit = inside.any(1)
    prob = torch.where(hit[:, None], prob, torch.zeros_like(prob))
    return hit.to(depth), torch.einsum("bnhw,bnc->bhwc", prob, values)


def nearest_features(uv_px, depth, values, size, radius):
    """One pixel at a time: the values of the nearest point in front whose well holds it."""
    dy, dx = _offsets(uv_px, size, "centre")
    inside = (dy.abs() <= radius) & (dx.abs() <= radius) & (depth > 0)[..., None, None]
    batch, _, height, width = inside.shape
    image = values.new_zeros(batch, height, width, values.shape[-1])
    for b in range(batch):
        for i in range(height):
            for j in range(width):
                candidates = [n for n in range(depth.shape[1]) if inside[b, n, i, j]]
                if candidates:
                    image[b, i, j] = values[b, min(candidates, key=lambda n: float(depth[b, n]))]
    return image
