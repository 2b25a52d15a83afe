# SPDX-License-Identifier: Apache-2.0
"""The displacement prior from its formula, one pair of places at a time."""

import math

import numpy as np


def kernel(p, q, component, stretch, shear, bumps) -> float:
    """k_c(p, q) of refining/field.py."""
    value = 0.0
    for axis in range(3):
        value += (stretch if axis == component else shear) ** 2 * p[axis] * q[axis]
    for length, size in bumps:
        value += size**2 * math.exp(-sum((a - b) ** 2 for a, b in zip(p, q)) / (2 * length**2))
    return value


def covariance(places, stretch, shear, bumps, mirror) -> np.ndarray:
    """k'_c (3,N,N) among places (N,3)."""
    count = len(places)
    result = np.zeros((3, count, count))
    for component in range(3):
        sign = -1 if component == 0 else 1
        for i, p in enumerate(places):
            for j, q in enumerate(places):
                reflected = (-q[0], q[1], q[2])
                result[component, i, j] = kernel(p, q, component, stretch, shear, bumps)
                result[component, i, j] += (
                    sign * mirror * kernel(p, reflected, component, stretch, shear, bumps)
                )
    return result
