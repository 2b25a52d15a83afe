# SPDX-License-Identifier: Apache-2.0
"""Silhouette losses, unreduced over the leading axes."""

import torch


def silhouette_loss(predicted: torch.Tensor, target: torch.Tensor, kind: str) -> torch.Tensor:
    """Compare coverage (...,H,W) in [0,1] with a target; returns (...): l2 and l1 and bce are means over pixels.

    l2: mean (p - t)^2. l1: mean |p - t|. bce: mean -t log p - (1-t) log(1-p), p clipped to [1e-4, 1-1e-4].
    iou: 1 - sum(p t) / sum(p + t - p t).
    """
    if kind == "l2":
        return (predicted - target).square().mean((-1, -2))
    if kind == "l1":
        return (predicted - target).abs().mean((-1, -2))
    if kind == "iou":
        overlap = (predicted * target).sum((-1, -2))
        union = (predicted + target - predicted * target).sum((-1, -2))
        return 1 - overlap / union.clamp(min=1e-6)
    if kind == "bce":
        p = predicted.clamp(1e-4, 1 - 1e-4)
        return -(target * p.log() + (1 - target) * torch.log1p(-p)).mean((-1, -2))
    raise ValueError(f"unknown silhouette loss {kind!r}")
