# SPDX-License-Identifier: Apache-2.0
"""Silhouette losses, unreduced over the leading axes."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits

from ..errors import ConfigError, InputError

SilhouetteKind = Literal[
    "l2", "l2_sum", "l2_half_sum", "l1", "iou", "bce", "bce_logits", "bce_capnet", "bce_differ"
]


def silhouette_loss(
    predicted: torch.Tensor, target: torch.Tensor, kind: str, *, positive_weight: float = 1.0
) -> torch.Tensor:
    """Compare coverage (...,H,W) in [0,1] with a target that broadcasts with it; returns (...). O(HW) per view.

    l2: mean (p - t)^2. l2_sum: its sum over pixels. l2_half_sum: half the sum (Insafutdinov and Dosovitskiy, DPC,
    NeurIPS 2018). l1: mean |p - t|. iou: 1 - sum(p t) / sum(p + t - p t).
    bce: mean -w t log p - (1-t) log(1-p), p clipped to [1e-4, 1-1e-4], w = positive_weight.

    For compatibility, means over pixels too:
    bce_logits: the same with p = sigmoid(predicted) for any real number. (ssl_3d_recon, Navaneet et al., CVPR 2020,
    feeds a coverage as the logit: then no pixel's loss falls below 0.69 outside and 0.31 inside.)
    bce_capnet: -t log(p + 1e-8) - (1-t) log|1 - p - 1e-8| (CAPNet, Navaneet et al., AAAI 2019). bce_differ: with
    log|1 - p + 1e-8| (DIFFER, Navaneet et al., CVPRW 2019). Neither is clipped: gradients grow to 1e8 where p is 0 or
    1 and wrong, and at p = 1 bce_capnet's has the wrong sign.
    Raises ConfigError for another kind or a weight of another loss, InputError where shapes do not fit.
    """
    if kind not in get_args(SilhouetteKind):
        raise ConfigError(
            f"unknown silhouette loss {kind!r}; expected one of {', '.join(get_args(SilhouetteKind))}."
        )
    if positive_weight != 1.0 and not kind.startswith("bce"):
        raise ConfigError(
            f"positive_weight is for the cross-entropies, not for the silhouette loss {kind!r}."
        )
    predicted, target = _broadcast(predicted, target)
    if kind == "iou":
        return _soft_iou_loss(predicted, target)
    if kind.startswith("bce"):
        return _CROSS_ENTROPIES[kind](predicted, target, positive_weight).mean((-1, -2))
    if kind == "l1":
        return (predicted - target).abs().mean((-1, -2))
    squared = (predicted - target).square()
    if kind == "l2":
        return squared.mean((-1, -2))
    return squared.sum((-1, -2)) * (0.5 if kind == "l2_half_sum" else 1.0)


def multiscale_silhouette_loss(
    predicted: torch.Tensor,
    target: torch.Tensor,
    kind: str,
    *,
    level_weights: Sequence[float] = (1.0, 1.0, 1.0),
    positive_weight: float = 1.0,
) -> torch.Tensor:
    """Weighted sum (...) of silhouette_loss over a pyramid: level k averages (...,H,W) over 2^k x 2^k pixels.

    Coarse levels reach points that are far from where they should be. Windows that the frame cuts are averaged over
    what is left of them; a level of weight 0 is not computed. Probabilities are averaged, so logits are turned into
    them first. O(HW) per view. Raises ConfigError for no, negative or all-zero weights; the rest as silhouette_loss.
    """
    predicted, target = _broadcast(predicted, target)
    if not level_weights or min(level_weights) < 0 or max(level_weights) == 0:
        raise ConfigError(f"level_weights are {tuple(level_weights)}, expected some >= 0 and one > 0.")
    if kind == "bce_logits" and len(level_weights) > 1:
        predicted, kind = predicted.sigmoid(), "bce"
    total: torch.Tensor | None = None
    for level, weight in enumerate(level_weights):
        if level:
            predicted, target = _halved(predicted), _halved(target)
        if weight:
            loss = weight * silhouette_loss(predicted, target, kind, positive_weight=positive_weight)
            total = loss if total is None else total + loss
    assert total is not None
    return total


def _broadcast(predicted: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    if min(predicted.ndim, target.ndim) >= 2 and predicted.shape[-2:] == target.shape[-2:]:
        try:
            first, second = torch.broadcast_tensors(predicted, target)
            return first, second
        except RuntimeError:  # the leading axes do not fit
            pass
    raise InputError(
        f"Silhouettes to compare must be (...,H,W) of one size; got {tuple(predicted.shape)} predicted and "
        f"{tuple(target.shape)} as target."
    )


def _halved(image: torch.Tensor) -> torch.Tensor:
    """Average (...,H,W) over 2 x 2 pixels; an odd last row or column is averaged alone."""
    height, width = image.shape[-2:]
    pooled = avg_pool2d(image.reshape(-1, 1, height, width), 2, ceil_mode=True)
    return pooled.view(*image.shape[:-2], *pooled.shape[-2:])


def _soft_iou_loss(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    overlap = (predicted * target).sum((-1, -2))
    union = (predicted + target - predicted * target).sum((-1, -2))
    return 1 - overlap / union.clamp(min=1e-6)


def _bce(predicted: torch.Tensor, target: torch.Tensor, weight: float) -> torch.Tensor:
    p = predicted.clamp(1e-4, 1 - 1e-4)
    return -(weight * target * p.log() + (1 - target) * torch.log1p(-p))


def _bce_logits(predicted: torch.Tensor, target: torch.Tensor, weight: float) -> torch.Tensor:
    return binary_cross_entropy_with_logits(
        predicted, target, reduction="none", pos_weight=predicted.new_tensor(weight)
    )


def _bce_unclipped(shift: float) -> Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]:
    def loss(predicted: torch.Tensor, target: torch.Tensor, weight: float) -> torch.Tensor:
        # In this order: 1 - 1e-8 would round to 1 in float32.
        outside = ((1 - predicted) + shift).abs().log()
        return -(weight * target * (predicted + 1e-8).log() + (1 - target) * outside)

    return loss


_CROSS_ENTROPIES = {
    "bce": _bce,
    "bce_logits": _bce_logits,
    "bce_capnet": _bce_unclipped(-1e-8),
    "bce_differ": _bce_unclipped(1e-8),
}
