# SPDX-License-Identifier: Apache-2.0
"""Earth mover's distance by trying every permutation, and entropic transport by plain Sinkhorn in float64."""

import itertools
import math


def emd(a, b, *, squared: bool) -> float:
    """Least mean distance (or squared distance) over all one-to-one matchings of a to b."""
    power = 2 if squared else 1
    costs = [[math.dist(p, q) ** power for q in b] for p in a]
    totals = (
        sum(costs[i][j] for i, j in enumerate(order)) for order in itertools.permutations(range(len(b)))
    )
    return min(totals) / len(a)


def transport(a, b, *, squared: bool, epsilon: float, iterations: int = 5000) -> float:
    """sum P C + epsilon KL(P | uniform) of the plan that alternate scalings of exp(-C / epsilon) converge to."""
    power = 2 if squared else 1
    costs = [[math.dist(p, q) ** power for q in b] for p in a]
    n, m = len(a), len(b)
    kernel = [[math.exp(-c / epsilon) / (n * m) for c in row] for row in costs]
    u, v = [1.0] * n, [1.0] * m
    for _ in range(iterations):
        u = [1 / n / sum(kernel[i][j] * v[j] for j in range(m)) for i in range(n)]
        v = [1 / m / sum(kernel[i][j] * u[i] for i in range(n)) for j in range(m)]
    total = 0.0
    for i, j in itertools.product(range(n), range(m)):
        share = u[i] * kernel[i][j] * v[j]
        total += share * costs[i][j] + epsilon * share * math.log(share * n * m)
    return total
