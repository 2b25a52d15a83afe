# SPDX-License-Identifier: Apache-2.0
"""Optical-depth splatting: points to mask, colour, parts, depth and normals without a volume and without a sort.

Each point carries an optical depth tau_i (in pixels squared: tau spread over one pixel gives that pixel A = tau).
A pixel's optical depth is A(x) = sum_i tau_i G_sigma(x - u_i), with G a Gaussian of unit mass and u_i the projection;
coverage is S = 1 - exp(-A) (Beer-Lambert). The sum commutes, so the mask is a bilinear scatter to the grid, a separable
Gaussian as two small Toeplitz matrix products, and one exp: O(N + HW (H+W)) per view,
O(N + HW) for large images, whose rows are blurred in blocks.
"""

import math

import torch

from ..errors import InputError
from .scatter import linear_scatter

# A bilinear scatter spreads a point by f(1-f) per axis, 1/6 on average over positions f in a pixel: the Gaussian that
# follows is narrowed by that much, so that the two together have the variance that was asked for.
_SCATTER_VARIANCE = 1.0 / 6.0
_MIN_KERNEL_VARIANCE = 0.02
# Gaussians are cut at this many sigmas (mass outside: 6e-5 per axis).
_CUT_SIGMAS = 4.0
# Rows blurred by one matrix product.
_BLUR_ROWS = 64

Size = int | tuple[int, int]


def optical_depth(opacity: torch.Tensor, size: Size, density: float = 1.5) -> torch.Tensor:
    """Optical depths tau (B,N) in pixels^2 of points with opacity (B,N) in [0, 1].

    Scaled so that coverage does not depend on the number of points, the image size or sigma: N points of opacity 1
    spread evenly over the whole frame give every pixel A = density.
    """
    height, width = _height_width(size)
    return opacity * (density * height * width / max(opacity.shape[-1], 1))


def splat_mask(
    uv_px: torch.Tensor, depth: torch.Tensor, tau: torch.Tensor, size: Size, sigma_px: float | torch.Tensor
) -> torch.Tensor:
    """Coverage (B,H,W) in [0, 1] of points uv_px (B,N,2) with depth (B,N) > 0 and optical depth tau (B,N).

    sigma_px: a number, a scalar tensor (gradients reach it), or per-point sigmas (B,N).
    Raises InputError on bad shapes.
    """
    return -torch.expm1(-splat_optical_depth(uv_px, depth, tau, size, sigma_px))


def splat_optical_depth(
    uv_px: torch.Tensor, depth: torch.Tensor, tau: torch.Tensor, size: Size, sigma_px: float | torch.Tensor
) -> torch.Tensor:
    """Optical depth A (B,H,W) of the points; arguments as splat_mask."""
    _check(uv_px, depth, tau)
    values = tau.masked_fill(~(depth > 0), 0)[..., None]  # (B, N, 1)
    return _blurred_scatter(uv_px, values, None, 1, size, sigma_px)[:, 0, ..., 0]


def splat_features(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    tau: torch.Tensor,
    features: torch.Tensor,
    size: Size,
    sigma_px: float | torch.Tensor,
    slabs: int = 8,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coverage (B,H,W) and composited features (B,H,W,C), premultiplied by coverage, of features (B,N,C).

    K = slabs depth layers between each view's nearest and farthest point; a point is shared linearly by its two nearest
    layers; each layer has an optical depth A_k and a mean feature, composited front to back with
    w_k = exp(-sum_{j<k} A_j) (1 - exp(-A_k)). The weights sum to the coverage of splat_mask for every K.
    """
    _check(uv_px, depth, tau)
    if features.shape[:2] != tau.shape or features.ndim != 3:
        raise InputError(
            f"features must be (B,N,C) with B,N = {tuple(tau.shape)}, got {tuple(features.shape)}."
        )
    visible = tau.masked_fill(~(depth > 0), 0)[..., None]
    values = torch.cat((visible, visible * features), -1)  # (B, N, 1+C)
    layers = _blurred_scatter(uv_px, values, _layer_position(depth, slabs), slabs, size, sigma_px)
    thickness, sums = layers[..., :1], layers[..., 1:]  # (B, K, H, W, 1), (B, K, H, W, C)
    before = torch.cumsum(thickness, 1) - thickness
    weight = torch.exp(-before) * -torch.expm1(-thickness)
    # weight / thickness stays finite (-> 1) where a layer is empty.
    per_unit = torch.where(thickness > 1e-12, weight / thickness.clamp(min=1e-12), torch.exp(-before))
    return -torch.expm1(-thickness.sum(1)[..., 0]), (per_unit * sums).sum(1)


def _height_width(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _check(uv_px: torch.Tensor, depth: torch.Tensor, tau: torch.Tensor) -> None:
    if uv_px.ndim != 3 or uv_px.shape[-1] != 2 or depth.shape != uv_px.shape[:2] or tau.shape != depth.shape:
        raise InputError(
            f"Expected uv_px (B,N,2), depth (B,N), tau (B,N); got {tuple(uv_px.shape)}, {tuple(depth.shape)}, "
            f"{tuple(tau.shape)}."
        )


def _layer_position(depth: torch.Tensor, slabs: int) -> torch.Tensor:
    """Position (B,N) of each point in [0, slabs - 1]; the range is each view's own and carries no gradient."""
    front = torch.where(depth > 0, depth, torch.full_like(depth, torch.inf)).detach()
    near = front.amin(1, keepdim=True) if depth.shape[1] else depth.new_zeros(depth.shape[0], 1)
    near = torch.where(torch.isfinite(near), near, torch.ones_like(near))
    far = depth.detach().amax(1, keepdim=True).maximum(near) if depth.shape[1] else near
    return ((depth - near) / (far - near).clamp(min=1e-6) * (slabs - 1)).clamp(0, slabs - 1)


def _blurred_scatter(
    uv_px: torch.Tensor,
    values: torch.Tensor,
    layer: torch.Tensor | None,
    slabs: int,
    size: Size,
    sigma_px: float | torch.Tensor,
) -> torch.Tensor:
    """Sum values (B,N,C) of points into (B,K,H,W,C), blurred by their Gaussian."""
    if isinstance(sigma_px, torch.Tensor) and sigma_px.ndim == 2:
        return _per_point_sigma(uv_px, values, layer, slabs, size, sigma_px)
    height, width = _height_width(size)
    sigma = torch.as_tensor(sigma_px, dtype=uv_px.dtype, device=uv_px.device)
    margin = math.ceil(_CUT_SIGMAS * max(float(sigma.detach()), 0.5)) + 1
    grid = _scatter(uv_px, margin, values, layer, slabs, height + 2 * margin, width + 2 * margin)
    grid = grid.permute(0, 1, 4, 2, 3)  # (B, K, C, H', W')
    along_x = _blur(grid.transpose(-1, -2), width, margin, sigma).transpose(-1, -2)
    return _blur(along_x, height, margin, sigma).permute(0, 1, 3, 4, 2)


def _per_point_sigma(
    uv_px: torch.Tensor,
    values: torch.Tensor,
    layer: torch.Tensor | None,
    slabs: int,
    size: Size,
    sigma_px: torch.Tensor,
    ratio: float = 1.3,
) -> torch.Tensor:
    """Blur each point by its own sigma (B,N): a mix of two fixed Gaussians, a factor `ratio` apart, of its variance."""
    low, high = float(sigma_px.detach().min()), float(sigma_px.detach().max())
    count = max(2, 1 + math.ceil(math.log(max(high / low, 1.0 + 1e-9)) / math.log(ratio)))
    levels = torch.tensor([low * ratio**i for i in range(count)], dtype=uv_px.dtype, device=uv_px.device)
    upper = torch.searchsorted(levels, sigma_px.detach().contiguous()).clamp(1, count - 1)
    low2, high2 = levels[upper - 1] ** 2, levels[upper] ** 2
    share = (sigma_px**2 - low2) / (high2 - low2)  # (B, N), of the wider Gaussian
    total: torch.Tensor | None = None
    for index, sigma in enumerate(levels):
        part = share * (upper == index) + (1 - share) * (upper - 1 == index)
        image = _blurred_scatter(uv_px, values * part[..., None], layer, slabs, size, sigma)
        total = image if total is None else total + image
    assert total is not None
    return total


def _blur(grid: torch.Tensor, length: int, margin: int, sigma: torch.Tensor) -> torch.Tensor:
    """Blur grids (...,length + 2 margin,W) along their rows into (...,length,W), a block of rows at a time.

    One small matrix serves every block, so the cost grows with the number of pixels alone.
    """
    blocks = -(-length // _BLUR_ROWS)
    if blocks < 4 or grid.is_cuda:  # windows are copies: they pay from there on
        return _toeplitz(length, margin, sigma) @ grid
    missing = blocks * _BLUR_ROWS - length
    padded = torch.nn.functional.pad(grid, (0, 0, 0, missing)) if missing else grid
    windows = padded.unfold(-2, _BLUR_ROWS + 2 * margin, _BLUR_ROWS).transpose(-1, -2)  # (..., blocks, rows, W)
    blurred = _toeplitz(_BLUR_ROWS, margin, sigma) @ windows  # (..., blocks, _BLUR_ROWS, W)
    return blurred.flatten(-3, -2)[..., :length, :]


def _toeplitz(length: int, margin: int, sigma: torch.Tensor) -> torch.Tensor:
    """Gaussian matrix (length, length + 2 margin), unit mass over an unbounded grid; differentiable in sigma."""
    variance = (sigma**2 - _SCATTER_VARIANCE).clamp(min=_MIN_KERNEL_VARIANCE)
    target = torch.arange(length, dtype=sigma.dtype, device=sigma.device) + margin
    source = torch.arange(length + 2 * margin, dtype=sigma.dtype, device=sigma.device)
    offsets = torch.arange(-margin, margin + 1, dtype=sigma.dtype, device=sigma.device)
    mass = torch.exp(-0.5 * offsets**2 / variance).sum()
    return torch.exp(-0.5 * (target[:, None] - source[None]) ** 2 / variance) / mass


def _scatter(
    uv_px: torch.Tensor,
    margin: int,
    values: torch.Tensor,
    layer: torch.Tensor | None,
    slabs: int,
    height: int,
    width: int,
) -> torch.Tensor:
    """Bilinear (trilinear with layers) scatter of values (B,N,C) into (B,K,H,W,C); outside points are dropped.

    The grid has `margin` more pixels on every side than the image that uv_px is in.
    """
    shift = margin - 0.5  # pixel centres are at half-integers
    x, y = (axis + shift for axis in uv_px.unbind(-1))
    inside = (x >= 0) & (x < width - 1) & (y >= 0) & (y < height - 1)  # NaN is outside
    x, y = x.masked_fill(~inside, 0), y.masked_fill(~inside, 0)
    values = values * inside[..., None]
    if layer is None:
        return linear_scatter((y, x), values, (height, width)).unsqueeze(1)
    return linear_scatter((layer, y, x), values, (slabs, height, width))
