# SPDX-License-Identifier: Apache-2.0
"""Several answers to "from where?", of which the nearest learns: multiple choice learning with scores."""

import math

import torch
from torch.nn.functional import cross_entropy


def viewpoint_loss(
    hypotheses: torch.Tensor,
    scores: torch.Tensor,
    truth: torch.Tensor,
    symmetry_order: torch.Tensor | None = None,
    others: float = 0.05,
    temperature: float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses (B,) of rotations (B,K,3,3) and of their scores' logits (B,K), against the true rotations (B,3,3).

    With d_k = sin^2 of half the angle between hypothesis k and the truth (up to symmetry) and w = argmin_k d_k,

        rotations = (1 - e) d_w + e / (K - 1) * sum of the d_k with k != w,
        scores = -sum of q_k log softmax(s)_k,    q = softmax(-d / temperature), or q_w = 1 at temperature 0.

    Hypotheses that are about equally near share the score then: which of them is the nearest is chance.

    The nearest alone learns in multiple choice learning (Guzman-Rivera et al., NIPS 2012); the share e for the others
    is the relaxation of Rupprecht et al., ICCV 2017, without which a hypothesis that never wins never learns.
    Gradients reach the hypotheses through `rotations` alone and the scores through `scores` alone.
    """
    count = hypotheses.shape[1]
    apart = symmetric_distance(hypotheses, truth[:, None], symmetry_order)  # (B, K)
    nearest = apart.detach().argmin(1)
    won = apart.gather(1, nearest[:, None])[:, 0]
    if count == 1:
        return won, torch.zeros_like(won)
    lost = (apart.sum(1) - won) / (count - 1)
    wanted = (-apart.detach() / temperature).softmax(1) if temperature > 0 else nearest
    return (1 - others) * won + others * lost, cross_entropy(scores, wanted, reduction="none")


def symmetric_distance(
    predicted: torch.Tensor, truth: torch.Tensor, symmetry_order: torch.Tensor | None = None
) -> torch.Tensor:
    """sin^2 of half the least angle (B,K) between rotations (B,K,3,3) and truth (B,1,3,3), object to camera.

    symmetry_order (B,): n means that the truth may be turned about the object's Z by multiples of 360/n degrees, 0 by
    any angle; None: no symmetry. With M = predicted^T truth, tr(M Rz(a)) = (M00 + M11) cos a + (M01 - M10) sin a +
    M22 is largest at a = atan2(M01 - M10, M00 + M11), and of the multiples at the one nearest to it.
    """
    between = predicted.transpose(-1, -2) @ truth  # (B, K, 3, 3)
    along = between[..., 0, 0] + between[..., 1, 1]
    if symmetry_order is None:
        return (3 - along - between[..., 2, 2]) / 4
    across = between[..., 0, 1] - between[..., 1, 0]
    with torch.no_grad():  # at the best angle, a small turn changes nothing
        angle = torch.atan2(across, along)
        order = symmetry_order.to(angle)[:, None]
        step = 2 * math.pi / order.clamp(min=1)
        angle = torch.where(order == 0, angle, (angle / step).round() * step)
    return (3 - along * angle.cos() - across * angle.sin() - between[..., 2, 2]) / 4
