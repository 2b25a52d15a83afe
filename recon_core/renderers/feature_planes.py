# SPDX-License-Identifier: Apache-2.0
"""Points to image planes without a volume: CAPNet's masks and DIFFER's depth-aware features.

Mask (CAPNet: Navaneet et al., "CAPNet: Continuous Approximation Projection for 3D Point Cloud Reconstruction Using 2D
Supervision", AAAI 2019, continuous approximation projection): S(x) = tanh(sum_n w_n exp(-|x - u_n|^2 / 2 sigma^2)).
Features (DIFFER: Navaneet et al., "DIFFER: Moving Beyond 3D Reconstruction with Differentiable Feature Rendering",
CVPR Workshops 2019; used again by ssl_3d_recon, CVPR 2020): a pixel mixes the points whose square well of half-width
r holds it, by a softmax of beta / (depth + 1): the nearer, the more.

Both factorise, so neither needs (B, N, H, W). Per view the mask costs two exponentials per point and row or column, and
one matrix product (N H W multiply-adds; two more backward); features cost about 4 r^2 (C + 1) operations per point.
Published code and formulas differ in details: `mode="released"` computes what the released code does.
"""

import math
from typing import Any, Literal, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from ..errors import InputError

Size = int | tuple[int, int]
Mode = Literal["clean", "released"]
Grid = Literal["centre", "integer"]

# The released well: a factor of 10 outside, depths clipped at 10, and guards against division by zero.
_RELEASED_FAR = 10.0
_RELEASED_DEPTH_EPS = 1e-5
_RELEASED_SUM_EPS = 1e-8
# Gaussians below exp(-cut) are exactly zero: their products would be denormal, which CPUs multiply very slowly.
_CUT_EXPONENT = {torch.float32: 30.0, torch.float64: 80.0}
# Values of one exponential held at once.
_BLOCK_VALUES = {"cpu": 1 << 17, "other": 1 << 26}


def plane_mask(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    size: Size,
    sigma_sq_px: float | torch.Tensor = 0.5,
    weights: torch.Tensor | None = None,
    *,
    mode: Mode = "clean",
    grid: Grid = "centre",
) -> torch.Tensor:
    """CAPNet mask (B,H,W) in [0, 1): tanh of the sum of un-normalised Gaussians at points uv_px (B,N,2).

    sigma_sq_px: variance in pixels^2, a number or a scalar tensor (gradients reach it). weights (B,N): a factor per
    point, 1 if not given. There is no occlusion; one point on a pixel's centre gives tanh(1) = 0.76.
    mode="clean": points with depth (B,N) <= 0 render nothing; "released": depth is ignored, as in the released code.
    grid="centre": pixel centres at half-integers, as Cameras.project; "integer": centres at 0, 1, ... as released.
    Cost: N H W multiply-adds per view, three times that with gradients; memory N (H + W), of which N is kept.
    Raises InputError on bad shapes. Source: CAPNet (AAAI 2019), continuous approximation projection.
    """
    return torch.tanh(plane_sum(uv_px, depth, size, sigma_sq_px, weights, mode=mode, grid=grid))


def plane_sum(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    size: Size,
    sigma_sq_px: float | torch.Tensor = 0.5,
    weights: torch.Tensor | None = None,
    *,
    mode: Mode = "clean",
    grid: Grid = "centre",
) -> torch.Tensor:
    """Sum of Gaussians (B,H,W) before CAPNet's tanh; arguments as plane_mask."""
    _check(uv_px, depth, weights, mode, grid)
    sigma_sq = torch.as_tensor(sigma_sq_px, dtype=uv_px.dtype, device=uv_px.device)
    if sigma_sq.numel() != 1 or not float(sigma_sq.detach()) > 0:
        raise InputError(f"sigma_sq_px must be one number > 0 (pixels^2), got {sigma_sq_px!r}.")
    seen = _visible(uv_px, depth, mode)
    weights = torch.ones_like(depth) if weights is None else weights
    # Zeroed before the exponential, so that a NaN position has no gradient either.
    uv_px = torch.where(seen[..., None], uv_px, torch.zeros_like(uv_px))
    weights = torch.where(seen, weights, torch.zeros_like(weights))
    image = _GaussianProduct.apply(uv_px, weights, sigma_sq.reshape(()), _height_width(size), _offset(grid))
    assert isinstance(image, torch.Tensor)
    return image


def plane_features(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    features: torch.Tensor,
    size: Size,
    radius_px: float = 1.0,
    beta: float = 100.0,
    *,
    background: float | torch.Tensor | Literal["channel"] = 0.0,
    hard: bool = False,
    mode: Mode = "clean",
    grid: Grid = "centre",
) -> tuple[torch.Tensor, torch.Tensor]:
    """DIFFER features: whether a pixel was hit (B,H,W), 0 or 1, and the image (B,H,W,C) of point features (B,N,C).

    A point at (u, v) is seen by pixels with |x - u| <= radius_px and |y - v| <= radius_px (4 pixels for 1 px, 9 from
    exactly a centre); they mix their points by a softmax of beta / (depth + 1). Colours, normals and parts alike.
    background: a value or (C,) values for pixels that no point hits, or "channel" (parts): the image then has C + 1
    channels, the first being 1 where nothing was hit.
    hard: the nearest point alone (of equal ones, the first); the image then has no gradient in depth.
    mode="clean": the softmax is over the points that see the pixel; points with depth <= 0 render nothing.
    mode="released": z' = |depth| + 1 clipped at 10 (points beyond depth 9 vanish, points behind the camera render
    wherever uv_px puts them), the softmax of beta / (z' + 1e-5) runs over all N points with 10 for those outside, and
    what is left of it inside is normalised by its sum + 1e-8: with few points or a small beta, features darken.
    grid: as plane_mask.

    Gradients reach features and depth. There is none in uv_px: a well is a step, so features never move points
    sideways; a mask does. Cost per view: about 4 radius_px^2 N (C + 1) operations and as much memory for a moment.
    Raises InputError on bad shapes. Source: DIFFER (CVPRW 2019), depth-aware feature projection.
    """
    _check(uv_px, depth, None, mode, grid)
    _check_well(depth, features, radius_px, beta)
    height, width = _height_width(size)
    seen = _visible(uv_px, depth, mode) & (depth.abs() + 1 < _RELEASED_FAR if mode == "released" else True)
    pairs = _well_pairs(uv_px.detach(), seen, height, width, radius_px, _offset(grid))
    pixels = len(uv_px) * height * width
    hit = torch.zeros(pixels, dtype=features.dtype, device=features.device)
    hit[pairs.pixel] = 1.0
    if hard:
        image = _nearest_features(depth.detach(), features, pairs, pixels)
    else:
        logits = _logits(torch.where(seen, depth, torch.ones_like(depth)), beta, mode)
        outside = beta / (_RELEASED_FAR + _RELEASED_DEPTH_EPS) if mode == "released" else None
        image = _WellMix.apply(
            logits.flatten(), features.flatten(0, 1), pairs, pixels, depth.shape[1], outside
        )
        assert isinstance(image, torch.Tensor)
    image = image.view(len(uv_px), height, width, features.shape[-1])
    hit = hit.view(len(uv_px), height, width)
    return hit, _with_background(image, hit, background)


def _height_width(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _offset(grid: Grid) -> float:
    """Position of the first pixel's centre, in pixels."""
    return 0.5 if grid == "centre" else 0.0


def _check(
    uv_px: torch.Tensor, depth: torch.Tensor, weights: torch.Tensor | None, mode: str, grid: str
) -> None:
    shapes = [tuple(t.shape) for t in (uv_px, depth, weights) if t is not None]
    flat = uv_px.ndim == 3 and uv_px.shape[-1] == 2
    if not flat or any(shape != tuple(uv_px.shape[:2]) for shape in shapes[1:]):
        raise InputError(f"Expected uv_px (B,N,2), depth (B,N) and weights (B,N) or None; got {shapes}.")
    if mode not in ("clean", "released") or grid not in ("centre", "integer"):
        raise InputError(
            f"mode is 'clean' or 'released' and grid 'centre' or 'integer', got {mode!r} and {grid!r}."
        )


def _check_well(depth: torch.Tensor, features: torch.Tensor, radius_px: float, beta: float) -> None:
    if features.ndim != 3 or features.shape[:2] != depth.shape:
        raise InputError(
            f"features must be (B,N,C) with B,N = {tuple(depth.shape)}, got {tuple(features.shape)}."
        )
    if not radius_px > 0 or not beta >= 0:
        raise InputError(f"radius_px must be > 0 and beta >= 0, got {radius_px} and {beta}.")


def _visible(uv_px: torch.Tensor, depth: torch.Tensor, mode: Mode) -> torch.Tensor:
    """Which points (B,N) render at all."""
    finite = torch.isfinite(uv_px.detach()).all(-1) & torch.isfinite(depth.detach())
    return finite if mode == "released" else finite & (depth.detach() > 0)


class _GaussianProduct(torch.autograd.Function):
    """Rows^T (weights x columns): the exponentials are computed again for the gradient, not kept."""

    @staticmethod
    def forward(ctx: Any, uv_px, weights, sigma_sq, size: tuple[int, int], offset: float) -> torch.Tensor:
        ctx.save_for_backward(uv_px, weights, sigma_sq)
        ctx.size, ctx.offset = size, offset
        image = uv_px.new_empty(len(uv_px), *size)
        for block in _blocks(uv_px, size):
            _, columns = _gaussians(uv_px[block, :, 0], size[1], offset, sigma_sq)
            _, rows = _gaussians(uv_px[block, :, 1], size[0], offset, sigma_sq)
            image[block] = rows.mul_(weights[block, :, None]).transpose(1, 2) @ columns
        return image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor):
        uv_px, weights, sigma_sq = ctx.saved_tensors
        to_uv, to_weights = torch.empty_like(uv_px), torch.empty_like(weights)
        to_sigma = torch.zeros_like(sigma_sq) if ctx.needs_input_grad[2] else None
        for block in _blocks(uv_px, ctx.size):
            x, columns = _gaussians(uv_px[block, :, 0], ctx.size[1], ctx.offset, sigma_sq)  # (b, N, W)
            y, rows = _gaussians(uv_px[block, :, 1], ctx.size[0], ctx.offset, sigma_sq)  # (b, N, H)
            # Each column's, and each row's, share of the point's gradient by weight.
            across = (rows @ grad[block]).mul_(columns)
            along = rows.mul_(columns @ grad[block].transpose(1, 2))
            to_weights[block] = across.sum(-1)
            to_uv[block, :, 0] = across.mul_(x).sum(-1)
            to_uv[block, :, 1] = along.mul_(y).sum(-1)
            if to_sigma is not None:
                spread = across.mul_(x).sum(-1) + along.mul_(y).sum(-1)
                to_sigma += (spread * weights[block]).sum() / (2 * sigma_sq**2)
        return to_uv.mul_((weights / sigma_sq)[..., None]), to_weights, to_sigma, None, None


def _blocks(uv_px: torch.Tensor, size: tuple[int, int]) -> list[slice]:
    """Images that are rendered together: on a CPU few enough that their exponentials stay in its caches."""
    limit = _BLOCK_VALUES["cpu" if uv_px.device.type == "cpu" else "other"]
    step = max(1, limit // max(1, uv_px.shape[1] * max(size)))
    return [slice(start, start + step) for start in range(0, len(uv_px), step)]


def _gaussians(
    position: torch.Tensor, length: int, offset: float, sigma_sq: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixel centre minus position (B,N,L), in pixels, and its Gaussian."""
    centres = torch.arange(length, dtype=position.dtype, device=position.device) + offset
    distance = centres - position[..., None]
    cut = -_CUT_EXPONENT.get(position.dtype, 30.0)
    # Clamped before and zeroed after: the exponential of very negative numbers takes CPUs three to ten times as long.
    values = (distance * distance).mul_(-0.5 / sigma_sq).clamp_(min=cut).exp_()
    return distance, torch.nn.functional.threshold_(values, 1.01 * math.exp(cut), 0.0)


class _Pairs(NamedTuple):
    """Points and the pixels that see them, (M,) each: indices into B*N points and B*H*W pixels."""

    point: torch.Tensor
    pixel: torch.Tensor


def _well_pairs(
    uv_px: torch.Tensor, seen: torch.Tensor, height: int, width: int, radius_px: float, offset: float
) -> _Pairs:
    """Every pixel within radius_px (closed, along both axes) of every seen point."""
    column, in_column = _nodes(uv_px[..., 0], width, radius_px, offset)  # (B, N, K)
    row, in_row = _nodes(uv_px[..., 1], height, radius_px, offset)  # (B, N, L)
    inside = in_row[..., :, None] & (in_column & seen[..., None])[..., None, :]  # (B, N, L, K)
    kept = inside.flatten().nonzero()[:, 0]
    slots, across = max(in_row.shape[-1] * in_column.shape[-1], 1), max(in_column.shape[-1], 1)
    row_slot = kept.div(across, rounding_mode="floor")  # into B*N*L
    point = kept.div(slots, rounding_mode="floor")
    picked_column = column.flatten()[point * across + kept % across]
    image = point.div(max(seen.shape[1], 1), rounding_mode="floor")
    return _Pairs(point, (image * height + row.flatten()[row_slot]) * width + picked_column)


def _nodes(
    position: torch.Tensor, length: int, radius_px: float, offset: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (B,N,K) of the nodes near each position, and which are within radius_px and the frame."""
    # Far positions are brought near the frame (an integer could not hold them), to no node's distance exactly.
    position = torch.nan_to_num(position - offset, nan=-1e9).clamp(-radius_px - 1.5, length + radius_px + 0.5)
    low = torch.ceil(position - radius_px)
    high = torch.floor(position + radius_px)
    # One more than 2 r nodes fit only where a position is exactly on a node.
    slots = int((high - low).max()) + 1 if position.numel() else 0
    node = low[..., None] + torch.arange(max(slots, 0), dtype=position.dtype, device=position.device)
    inside = ((node - position[..., None]).abs() <= radius_px) & (node >= 0) & (node < length)
    return node.long(), inside


def _logits(depth: torch.Tensor, beta: float, mode: Mode) -> torch.Tensor:
    """The nearer, the larger (B,N)."""
    if mode == "released":
        return beta / ((depth.abs() + 1).clamp(max=_RELEASED_FAR) + _RELEASED_DEPTH_EPS)
    return beta / (depth.clamp(min=0) + 1)


class _WellMix(torch.autograd.Function):
    """Softmax over the points of each pixel: (pixels, C). Keeps the image and one weight per pair.

    outside: the logit of points that do not see the pixel, in the released form, or None.
    """

    @staticmethod
    def forward(
        ctx: Any, logits, features, pairs: _Pairs, pixels: int, count: int, outside: float | None
    ) -> torch.Tensor:
        picked = logits[pairs.point]
        # Each pixel's own largest logit, so that far surfaces do not underflow where beta is large.
        top = logits.new_full((pixels,), -torch.inf)
        top.scatter_reduce_(0, pairs.pixel, picked, "amax")
        share = picked.sub_(top[pairs.pixel]).exp_()
        total = logits.new_zeros(pixels).index_add_(0, pairs.pixel, share)
        ctx.released = _RELEASED_SUM_EPS if outside is not None else 0.0
        if outside is not None:
            others = count - torch.bincount(pairs.pixel, minlength=pixels)
            leak = others * (outside - top.clamp(min=0)).exp()
            total = total + _RELEASED_SUM_EPS * (total + leak)
        share = share.div_(total[pairs.pixel])
        image = features.new_zeros(pixels, features.shape[-1])
        image.index_add_(0, pairs.pixel, features[pairs.point].mul_(share[:, None]))
        ctx.save_for_backward(features, share, image, pairs.point, pairs.pixel)
        return image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor):
        features, share, image, point, pixel = ctx.saved_tensors
        to_features = to_logits = None
        pull = grad[pixel].mul_(share[:, None])  # (M, C)
        if ctx.needs_input_grad[0]:
            mean = (grad * image).sum(-1).mul_(1 + ctx.released)
            change = (pull * features[point]).sum(-1).sub_(mean[pixel].mul_(share))
            to_logits = features.new_zeros(len(features)).index_add_(0, point, change)
        if ctx.needs_input_grad[1]:
            to_features = torch.zeros_like(features).index_add_(0, point, pull)
        return to_logits, to_features, None, None, None, None


def _nearest_features(
    depth: torch.Tensor, features: torch.Tensor, pairs: _Pairs, pixels: int
) -> torch.Tensor:
    """Features (pixels,C) of the nearest point that sees each pixel, the first of equal ones; 0 where there is none."""
    flat = features.flatten(0, 1)
    near = depth.abs().flatten()[pairs.point]
    nearest = near.new_full((pixels,), torch.inf).scatter_reduce_(0, pairs.pixel, near, "amin")
    won = (near == nearest[pairs.pixel]).nonzero()[:, 0]
    winner = torch.full((pixels,), len(flat), dtype=torch.long, device=depth.device)
    winner.scatter_reduce_(0, pairs.pixel[won], pairs.point[won], "amin")
    padded = torch.cat((flat, flat.new_zeros(1, flat.shape[-1])))
    return padded[winner]


def _with_background(
    image: torch.Tensor, hit: torch.Tensor, background: float | torch.Tensor | Literal["channel"]
) -> torch.Tensor:
    """The image (B,H,W,C) with a colour where nothing was hit, or with a channel before the others that says so."""
    missed = 1 - hit[..., None]
    if isinstance(background, torch.Tensor):
        if background.shape != image.shape[-1:]:
            raise InputError(
                f"background must have {image.shape[-1]} channels, got {tuple(background.shape)}."
            )
        return image + missed * background.to(image)
    if background == "channel":
        return torch.cat((missed, image), -1)
    if isinstance(background, str):
        raise InputError(f"background is a value, a tensor (C,) or 'channel', got {background!r}.")
    return image + missed * background if background else image
