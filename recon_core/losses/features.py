# SPDX-License-Identifier: Apache-2.0
"""Losses of feature planes, unreduced over the leading axes: affinity of masks, colours, normals and parts.

CAPNet: Navaneet et al., "CAPNet: Continuous Approximation Projection for 3D Point Cloud Reconstruction Using 2D
Supervision", AAAI 2019 (affinity loss). DIFFER: Navaneet et al., "DIFFER: Moving Beyond 3D Reconstruction with
Differentiable Feature Rendering", CVPR Workshops 2019 (colour and part losses).
"""

import math
from typing import Literal

import torch
from scipy.fft import next_fast_len

from ..errors import InputError
from ..geometry.distance_transform import distance_transform
from .silhouette import SilhouetteKind, silhouette_loss

Affinity = Literal["none", "paper", "released"]

# Coverage is kept this far below 1, so that its logarithm stays finite.
_COVERAGE_GAP = 1e-4
# Distances up to this many pixels are told apart exactly, further ones in steps of 10 %.
_EXACT_PX = 4.0
_STEP = 1.1
# The released affinity: the penalty of a pixel off the mask, and the factor of its mean.
_RELEASED_OFF = 1e6
_RELEASED_FACTOR = 1e-4


def affinity_paper(
    predicted: torch.Tensor,
    target: torch.Tensor,
    *,
    reach_px: float = 16.0,
    squared: bool = False,
    distance_px: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """2D Chamfer between masks (...,H,W): forward (...) and backward (...), in pixels, means over all pixels.

    forward: mean of S(x) d(x, G), predicted mass times the distance to the nearest foreground pixel of the target
    (distance transform). backward: mean of G(x) E[d(x, S)] with the expected distance to the nearest predicted
    pixel, see expected_nearest_px. For masks of zeros and ones both are the plain directed distances (backward up to
    reach_px). squared: squared distances. distance_px: the target's transform, if the caller has it already.

    This is what the paper's affinity loss describes; the released code computes affinity_released.
    Cost per view: O(HW) and a transform per new mask; 25 inverse FFTs of (H + reach)(W + reach) for backward.
    Source: CAPNet (AAAI 2019), affinity loss.
    """
    _check_masks(predicted, target)
    away = (distance_transform(target) if distance_px is None else distance_px).to(predicted)
    forward = (predicted * (away.square() if squared else away)).mean((-1, -2))
    nearest = expected_nearest_px(predicted, reach_px, squared=squared)
    return forward, (target * nearest).mean((-1, -2))


def expected_nearest_px(
    coverage: torch.Tensor, reach_px: float = 16.0, *, squared: bool = False
) -> torch.Tensor:
    """Expected distance (...,H,W) in pixels from each pixel to the nearest covered one, at most reach_px.

    Pixels are taken as covered independently with probability S = coverage (...,H,W) in [0, 1]. With radii
    0 = r_0 < r_1 < ... < r_K = reach_px,

        E[min(D, reach)](x) = sum_k (r_{k+1} - r_k) prod_{|y - x| <= r_k} (1 - S(y)),

    products being exponentials of sums over discs, by FFT. The radii are every distance between pixels up to 4 px, and
    grow by 10 % beyond: the distance is rounded up to the next radius. So a mask of zeros and ones gives its distance
    transform (exactly up to 4 px, at most 10 % more beyond). The gradient at S(y) is how much nearer y would bring the
    covered set to each x that no nearer pixel serves: it pulls mass towards uncovered regions from up to reach_px.
    Coverage counts as at most 1 - 1e-4. squared: E[min(D, reach)^2].
    """
    if coverage.ndim < 2 or not reach_px >= 1:
        raise InputError(
            f"Expected coverage (...,H,W) and reach_px >= 1; got {tuple(coverage.shape)} and {reach_px}."
        )
    height, width = coverage.shape[-2:]
    reach = min(float(reach_px), math.hypot(height, width))
    radii = torch.tensor(_radii(reach), dtype=coverage.dtype, device=coverage.device)
    gains = (radii.square() if squared else radii).diff()  # (K,)
    thickness = -torch.log1p(-coverage.clamp(0, 1 - _COVERAGE_GAP))
    inside = _disc_sums(thickness.reshape(-1, height, width), radii[:-1])  # (B, K, H, W)
    survival = torch.exp(-inside.clamp(min=0))
    return torch.einsum("bkhw,k->bhw", survival, gains).view(coverage.shape)


def affinity_released(
    predicted: torch.Tensor, target: torch.Tensor, *, scale_views: bool = False
) -> tuple[torch.Tensor, torch.Tensor]:
    """What the released code computes as affinity: forward (...) and backward (...) of masks (...,H,W).

    forward = 1e-4 mean S (G + 1e6 (1 - G)), backward = 1e-4 mean G (S + 1e6 (1 - S)): both masks run along the same
    pixels there, so no distance enters, and for a target of zeros and ones their sum is 100 mean |S - G| + 2e-4 mean
    S G: an L1 loss of the mask. scale_views: view k (0-based, of the last leading axis) counts k + 1 times, as in the
    CAPNet and DIFFER code, whose distances grow in place by one per view; False as in ssl_3d_recon, where the 1e-4 is
    the term's weight. Cost: O(HW).
    """
    _check_masks(predicted, target)
    forward = predicted * (target + (1 - target) * _RELEASED_OFF)
    backward = target * (predicted + (1 - predicted) * _RELEASED_OFF)
    forward, backward = (term.mean((-1, -2)) * _RELEASED_FACTOR for term in (forward, backward))
    if not scale_views:
        return forward, backward
    if predicted.ndim < 3:
        raise InputError(f"scale_views needs masks (...,V,H,W), got {tuple(predicted.shape)}.")
    scale = torch.arange(1, predicted.shape[-3] + 1, device=predicted.device).to(predicted)
    return forward * scale, backward * scale


def mask_loss(
    predicted: torch.Tensor,
    target: torch.Tensor,
    *,
    silhouette: SilhouetteKind = "bce",
    affinity: Affinity = "none",
    weights: tuple[float, float] = (1.0, 1.0),
    reach_px: float = 16.0,
    scale_views: bool = False,
) -> torch.Tensor:
    """Silhouette loss and weighted affinity (forward, backward) of masks (...,H,W): (...).

    affinity "paper" is in pixels of this image, "released" is affinity_released, with scale_views. CAPNet's and
    DIFFER's released objectives are "bce_capnet" and "bce_differ" with affinity "released", weights (1, 1) and
    scale_views; ssl_3d_recon's is 100 times "bce_logits" with affinity "released" and weights (0.01, 0.01).
    """
    loss = silhouette_loss(predicted, target, silhouette)
    if affinity == "none":
        return loss
    if affinity == "paper":
        forward, backward = affinity_paper(predicted, target, reach_px=reach_px)
    elif affinity == "released":
        forward, backward = affinity_released(predicted, target, scale_views=scale_views)
    else:
        raise InputError(f"affinity is 'none', 'paper' or 'released', got {affinity!r}.")
    return loss + weights[0] * forward + weights[1] * backward


def image_loss(
    predicted: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean squared difference (...) of images (...,H,W,C), over channels and pixels.

    Without mask (...,H,W): over the whole image with its background, as DIFFER's colour loss (CVPRW 2019);
    ssl_3d_recon's sums the channels instead, C times as much. With mask: over its pixels, weighted by it; 0 where it is
    empty.
    """
    if predicted.shape != target.shape or predicted.ndim < 3:
        raise InputError(
            f"Expected two images (...,H,W,C), got {tuple(predicted.shape)} and {tuple(target.shape)}."
        )
    error = (predicted - target).square().mean(-1)
    return error.mean((-1, -2)) if mask is None else _masked_mean(error, mask)


def normal_loss(predicted: torch.Tensor, target: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of 1 - cos (...) between normals (...,H,W,3) over the pixels of mask (...,H,W), weighted by it.

    Need not be of unit length; a zero vector counts 1. Source: DIFFER's cosine distance (CVPRW 2019).
    """
    if predicted.shape != target.shape or predicted.shape[-1] != 3:
        raise InputError(
            f"Expected two maps (...,H,W,3), got {tuple(predicted.shape)} and {tuple(target.shape)}."
        )
    return _masked_mean(1 - torch.nn.functional.cosine_similarity(predicted, target, -1), mask)


def part_loss(
    predicted: torch.Tensor,
    ids: torch.Tensor,
    kind: Literal["logits", "probabilities"] = "probabilities",
    class_weights: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean cross-entropy (...) in nats of rendered part maps (...,H,W,K) against ids (...,H,W), 0 = background.

    Channel k is id k, so K = parts + 1 with the background first (plane_features' background="channel").
    kind "logits": the rendered values go through a softmax, as in DIFFER's released code, though they are
    probabilities already: the loss then has a floor, log(1 + (K - 1)/e). "probabilities": they are divided by their sum
    and kept above 1e-6.
    class_weights (K,): the mean is over pixels weighted by their id's weight. mask (...,H,W): another weight per
    pixel. 0 where nothing has weight. Source: DIFFER (CVPRW 2019), part segmentation loss.
    """
    classes = predicted.shape[-1]
    if predicted.shape[:-1] != ids.shape or ids.is_floating_point():
        raise InputError(
            f"Expected maps (...,H,W,K) and integer ids (...,H,W); got {tuple(predicted.shape)} and "
            f"{tuple(ids.shape)} {ids.dtype}."
        )
    if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < classes:
        raise InputError(f"ids must be 0..{classes - 1}, got {int(ids.min())}..{int(ids.max())}.")
    if kind == "logits":
        log_probability = predicted.log_softmax(-1)
    elif kind == "probabilities":
        log_probability = (predicted / predicted.sum(-1, keepdim=True).clamp(min=1e-6)).clamp(min=1e-6).log()
    else:
        raise InputError(f"kind is 'logits' or 'probabilities', got {kind!r}.")
    index = ids.long()
    entropy = -log_probability.gather(-1, index[..., None])[..., 0]
    weight = torch.ones_like(entropy) if mask is None else mask.to(entropy)
    if class_weights is not None:
        if class_weights.shape != (classes,):
            raise InputError(f"class_weights must be ({classes},), got {tuple(class_weights.shape)}.")
        weight = weight * class_weights.to(entropy)[index]
    return _masked_mean(entropy, weight)


def inverse_frequency_weights(ids: torch.Tensor, classes: int) -> torch.Tensor:
    """Class weights (K,) of ids (any shape), inverse to how many pixels each has; mean 1 over the classes present.

    A class that is absent has weight 0.
    """
    count = torch.bincount(ids.flatten().long(), minlength=classes).float()
    if len(count) != classes:
        raise InputError(f"ids must be 0..{classes - 1}, got up to {len(count) - 1}.")
    weights = torch.where(count > 0, 1 / count.clamp(min=1), torch.zeros_like(count))
    return weights * (count > 0).sum() / weights.sum().clamp(min=1e-12)


def _check_masks(predicted: torch.Tensor, target: torch.Tensor) -> None:
    if predicted.shape != target.shape or predicted.ndim < 2:
        raise InputError(
            f"Expected two masks (...,H,W), got {tuple(predicted.shape)} and {tuple(target.shape)}."
        )


def _masked_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean over the last two axes; 0 where there is no weight."""
    if weight.shape != values.shape:
        raise InputError(f"Expected a mask {tuple(values.shape)}, got {tuple(weight.shape)}.")
    total = weight.sum((-1, -2))
    return (values * weight).sum((-1, -2)) / torch.where(total > 0, total, torch.ones_like(total))


def _radii(reach_px: float) -> list[float]:
    """0 = r_0 < ... < r_K = reach: all distances between pixels up to 4 px, then steps of 10 %."""
    whole = range(int(_EXACT_PX) + 1)
    squares = sorted({i * i + j * j for i in whole for j in whole})
    radii = [math.sqrt(square) for square in squares if square <= _EXACT_PX**2 and square < reach_px**2]
    while radii[-1] >= _EXACT_PX and radii[-1] * _STEP < reach_px:
        radii.append(radii[-1] * _STEP)
    return [*radii, reach_px]


def _disc_sums(values: torch.Tensor, radii: torch.Tensor) -> torch.Tensor:
    """Sums (B,K,H,W) of values (B,H,W) over the discs of K radii around each pixel; nothing beyond the frame."""
    height, width = values.shape[-2:]
    margin = int(float(radii[-1])) if len(radii) else 0
    # Circular convolution: with a margin the far side does not wrap into the frame.
    size = [int(next_fast_len(length + margin, real=True) or 0) for length in (height, width)]
    rows, columns = (_wrapped(length, values) for length in size)
    # Rounding must not lose a pixel exactly on the circle.
    discs = rows[:, None].square() + columns.square() <= radii[:, None, None].square() + 1e-3
    kernels = torch.fft.rfft2(discs.to(values.dtype))  # (K, H', W'/2+1)
    spectrum = torch.fft.rfft2(values, s=size)[:, None]
    return torch.fft.irfft2(spectrum * kernels, s=size)[..., :height, :width]


def _wrapped(length: int, like: torch.Tensor) -> torch.Tensor:
    """Offsets 0, 1, ..., -2, -1 of a circular axis."""
    offsets = torch.arange(length, device=like.device)
    return torch.where(offsets > length // 2, offsets - length, offsets).to(like.dtype)
