# SPDX-License-Identifier: Apache-2.0
"""Every point against every point: Chamfer and F-score by definition, in plain loops over float64."""

import math


def directed(a, b) -> list[float]:
    """Euclidean distance of every point of a (N,3) to its nearest of b (M,3)."""
    return [min(math.dist(p, q) for q in b) for p in a]


def chamfer(a, b, *, squared: bool) -> tuple[float, float]:
    """Mean distance, or squared distance, a -> b and b -> a."""
    power = 2 if squared else 1
    forth = [d**power for d in directed(a, b)]
    back = [d**power for d in directed(b, a)]
    return sum(forth) / len(forth), sum(back) / len(back)


def gradient(a, b, *, squared: bool) -> tuple[list[list[float]], list[list[float]]]:
    """Gradients (N,3), (M,3) of mean a -> b plus mean b -> a, written out from the nearest pairs."""
    grad_a = [[0.0] * 3 for _ in a]
    grad_b = [[0.0] * 3 for _ in b]
    for source, target, grad_source, grad_target in ((a, b, grad_a, grad_b), (b, a, grad_b, grad_a)):
        for i, p in enumerate(source):
            j = min(range(len(target)), key=lambda k: math.dist(p, target[k]))
            distance = math.dist(p, target[j])
            for axis in range(3):
                slope = 2 * (p[axis] - target[j][axis])
                if not squared:
                    slope = slope / (2 * distance) if distance else 0.0
                grad_source[i][axis] += slope / len(source)
                grad_target[j][axis] -= slope / len(source)
    return grad_a, grad_b


def f_score(a, b, threshold: float) -> float:
    """Harmonic mean of the two shares within the threshold."""
    precision = sum(d <= threshold for d in directed(a, b)) / len(a)
    recall = sum(d <= threshold for d in directed(b, a)) / len(b)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
