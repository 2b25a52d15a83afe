# SPDX-License-Identifier: Apache-2.0
"""Chamfer distance and F-score between batches of clouds, on any device, differentiable, in O(N + M) memory.

The nearest neighbours are found without gradient, by k-d tree on a CPU or by blocks of distances; the distances
are then computed once more from the indices, so that autograd keeps two small tensors instead of N x M.
"""

from typing import Literal

import numpy as np
import torch

from ..errors import InputError
from .nearest import build_tree, nearest, nearest_torch

Method = Literal["auto", "tree", "blocks"]
Reduction = Literal["mean", "sum", "none"]

# Distances held at once by the search in blocks: 64 MiB in float32.
BLOCK_PAIRS = 1 << 24
# Below this many pairs per cloud, blocks of distances beat building two trees (one CPU thread).
TREE_PAIRS = 20_000


def chamfer(
    a: torch.Tensor,
    b: torch.Tensor,
    *,
    squared: bool,
    reduction: Reduction = "mean",
    chunk: int | None = None,
    method: Method = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Precision and coverage (B,) each between clouds a (B,N,3) and b (B,M,3), in their unit (or its square).

    precision: from each point of a to the nearest of b; coverage: from each of b to the nearest of a. The two
    are never added or halved here: Chamfer figures differ by that alone. reduction "mean" and "sum" are over
    points, "none" leaves (B,N) and (B,M). squared: squared Euclidean distances (Fan et al. 2017) rather than
    Euclidean ones, whose gradient is taken as zero where points coincide.

    method: "tree" (k-d trees), "blocks" (`chunk` points at a time against all others, by default as many as
    64 MiB hold), or "auto", the faster. Both find the same neighbours except in ties.
    Raises InputError when a cloud is empty, not (B,N,3), not finite, or on another device or of another batch.
    """
    _check(a, b)
    forth = distances_at(a, b, nearest_index(a, b, chunk=chunk, method=method, checked=True), squared=squared)
    back = distances_at(b, a, nearest_index(b, a, chunk=chunk, method=method, checked=True), squared=squared)
    if reduction == "none":
        return forth, back
    if reduction not in ("mean", "sum"):
        raise InputError(f"reduction is {reduction!r}, expected mean, sum or none.")
    return (forth.mean(1), back.mean(1)) if reduction == "mean" else (forth.sum(1), back.sum(1))


def nearest_index(
    query: torch.Tensor,
    target: torch.Tensor,
    *,
    chunk: int | None = None,
    method: Method = "auto",
    checked: bool = False,
) -> torch.Tensor:
    """Index (B,Q) int64 of the target (B,T,3) nearest to each query (B,Q,3); no gradient."""
    if not checked:
        _check(query, target)
    if method not in ("auto", "tree", "blocks"):
        raise InputError(f"method is {method!r}, expected auto, tree or blocks.")
    pairs = query.shape[1] * target.shape[1]
    if method == "tree" or (method == "auto" and query.device.type == "cpu" and pairs > TREE_PAIRS):
        return _by_tree(query.detach(), target.detach())
    return _by_blocks(query.detach(), target.detach(), chunk)


def distances_at(
    query: torch.Tensor, target: torch.Tensor, index: torch.Tensor, *, squared: bool
) -> torch.Tensor:
    """Distances (B,Q) from query (B,Q,3) to the target (B,T,3) at index (B,Q); differentiable in both clouds."""
    offset = query - target.gather(1, index[..., None].expand(-1, -1, 3))
    # The norm's gradient at zero is zero in torch; that of a root of squares would be infinite.
    return offset.square().sum(-1) if squared else torch.linalg.vector_norm(offset, dim=-1)


def f_score(
    a: torch.Tensor, b: torch.Tensor, thresholds: float | tuple[float, ...], *, method: Method = "auto"
) -> torch.Tensor:
    """(B,K) F-scores of predicted clouds a (B,N,3) against true b (B,M,3) at K Euclidean thresholds; no gradient.

    2PR/(P + R) with P the share of a within the threshold of b and R the share of b within it of a (Knapitsch et
    al. 2017); 0 where both are 0. A single number gives (B,1).
    """
    forth, back = chamfer(a.detach(), b.detach(), squared=False, reduction="none", method=method)
    return f_scores_from(forth, back, thresholds if isinstance(thresholds, tuple) else (thresholds,))


def f_scores_from(forth: torch.Tensor, back: torch.Tensor, thresholds: tuple[float, ...]) -> torch.Tensor:
    """(...,K) F-scores from the distances forth (...,N), predicted to true, and back (...,M), in float64."""
    if not thresholds or min(thresholds) <= 0:
        raise InputError(f"F-score thresholds must be positive, got {thresholds}.")
    limits = torch.tensor(thresholds, dtype=torch.float64, device=forth.device)
    precision = (forth[..., None] <= limits).double().mean(-2)
    recall = (back[..., None] <= limits).double().mean(-2)
    return 2 * precision * recall / (precision + recall).clamp(min=1e-12)


def _check(a: torch.Tensor, b: torch.Tensor) -> None:
    """Raise InputError unless both are non-empty finite clouds (B,N,3) of one batch on one device."""
    for name, cloud in (("first", a), ("second", b)):
        if cloud.ndim != 3 or cloud.shape[-1] != 3 or not cloud.shape[1]:
            raise InputError(f"The {name} cloud must be (B,N,3) with N >= 1, got shape {tuple(cloud.shape)}.")
        if not cloud.is_floating_point():
            raise InputError(f"The {name} cloud must be of floating point, got {cloud.dtype}.")
    if len(a) != len(b) or a.device != b.device:
        raise InputError(
            f"Clouds are compared one to one on one device, got batches of {len(a)} on {a.device} and "
            f"{len(b)} on {b.device}."
        )
    for name, cloud in (("first", a), ("second", b)):
        if not torch.isfinite(cloud).all():
            bad = int((~torch.isfinite(cloud).all(-1)).sum())
            raise InputError(f"{bad} points of the {name} cloud are not finite.")


def _by_tree(query: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    queries, targets = query.double().cpu().numpy(), target.double().cpu().numpy()
    found = [nearest(one, build_tree(other))[1] for one, other in zip(queries, targets)]
    empty = np.zeros((0, query.shape[1]), np.int64)
    return torch.from_numpy(np.stack(found) if found else empty).to(query.device)


def _by_blocks(query: torch.Tensor, target: torch.Tensor, chunk: int | None) -> torch.Tensor:
    # Half precision would tie thousands of neighbours, and cdist does not take it.
    dtype = torch.promote_types(torch.promote_types(query.dtype, target.dtype), torch.float32)
    if chunk is not None and chunk < 1:
        raise InputError(f"chunk is {chunk}, expected at least 1.")
    size = chunk or max(1, BLOCK_PAIRS // max(1, len(query) * target.shape[1]))
    with torch.no_grad():
        return nearest_torch(query.to(dtype), target.to(dtype), chunk=size)[1]
