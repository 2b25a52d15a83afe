# SPDX-License-Identifier: Apache-2.0
"""One rotation about the origin that takes many clouds to their partners at once, by least squared Chamfer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .alignment import nearest_rotation
from .nearest import build_tree, nearest
from .search import super_fibonacci

# Over SO(3) this many rotations are some 20 degrees apart, near enough for the descent to find the optimum between.
GRID = 1000
COARSE_POINTS = 60
COARSE_PAIRS = 12
STARTS = 6


@dataclass(frozen=True)
class CommonRotation:
    """The rotation (3,3), source -> target, and the mean over pairs of the squared Chamfer distance there."""

    rotation: np.ndarray
    chamfer_squared: float
    # Of the other starts, how many ended elsewhere at less than 1.05 times the best: the answer is then ambiguous.
    rivals: int


def common_rotation(
    sources: Sequence[np.ndarray],
    targets: Sequence[np.ndarray],
    *,
    points: int = 512,
    iterations: int = 100,
    seed: int = 0,
) -> CommonRotation:
    """Minimise over rotations R the mean over pairs of Chamfer^2(source R^T, target), both directions summed.

    From the best of a grid over SO(3) the descent is monotone: neighbours in both directions are found, then the
    rotation that is best for them in closed form (Procrustes with weights 1/N and 1/M), again until it rests.
    Neither scale nor translation. At most `points` of each cloud take part, drawn with `seed`.
    Raises InputError when there is no pair, lengths differ, or a cloud is empty or not finite.
    """
    if not sources or len(sources) != len(targets):
        raise InputError(f"Expected as many sources as targets, got {len(sources)} and {len(targets)}.")
    generator = np.random.default_rng(seed)
    pairs = [
        (_drawn(ours, points, generator), _drawn(theirs, points, generator))
        for ours, theirs in zip(sources, targets)
    ]
    grid = super_fibonacci(GRID)
    order = np.argsort(_coarse_scores(pairs, grid), kind="stable")
    ends = [_descend(pairs, grid[index], iterations) for index in order[:STARTS]]
    best_score, best = min(ends, key=lambda end: end[0])
    rivals = sum(score <= 1.05 * best_score and np.sum(best * other) < 2.9 for score, other in ends)
    return CommonRotation(best, best_score, int(rivals))


def _drawn(cloud: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    checked = np.asarray(build_tree(cloud).data)
    return checked[generator.permutation(len(checked))[:count]]


def _coarse_scores(pairs: list[tuple[np.ndarray, np.ndarray]], grid: np.ndarray) -> np.ndarray:
    """Squared Chamfer (K,) of each rotation (K,3,3), over the first few points of the first few pairs."""
    total = np.zeros(len(grid))
    for source, target in pairs[:COARSE_PAIRS]:
        source, target = source[:COARSE_POINTS], target[:COARSE_POINTS]
        forth, _ = nearest(np.einsum("kij,nj->kni", grid, source).reshape(-1, 3), target)
        back, _ = nearest(np.einsum("kji,nj->kni", grid, target).reshape(-1, 3), source)
        total += (forth**2).reshape(len(grid), -1).mean(1) + (back**2).reshape(len(grid), -1).mean(1)
    return total


def _descend(pairs, rotation: np.ndarray, iterations: int) -> tuple[float, np.ndarray]:
    """Objective and rotation after alternating neighbours and Procrustes until nothing improves."""
    score, covariance = _objective(pairs, rotation)
    for _ in range(iterations):
        turned = nearest_rotation(covariance)
        improved, covariance = _objective(pairs, turned)
        if improved >= score * (1 - 1e-7):
            return (improved, turned) if improved < score else (score, rotation)
        score, rotation = improved, turned
    return score, rotation


def _objective(pairs, rotation: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean squared Chamfer at a rotation, and sum w y x^T (3,3) over its nearest pairs (x source, y target)."""
    total, covariance = 0.0, np.zeros((3, 3))
    for source, target in pairs:
        moved = source @ rotation.T
        forth, to_target = nearest(moved, target)
        back, to_source = nearest(target, moved)
        total += (forth**2).mean() + (back**2).mean()
        covariance += target[to_target].T @ source / len(source) + target.T @ source[to_source] / len(target)
    return float(total / len(pairs)), covariance
