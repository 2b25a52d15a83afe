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


def color_kernel(p, q, same_part, tied, part, near, reach) -> float:
    """k(p, q) of refining/colors.py."""
    bell = math.exp(-sum((a - b) ** 2 for a, b in zip(p, q)) / (2 * reach**2))
    if tied:
        bell += math.exp(-sum((a - b) ** 2 for a, b in zip(p, (-q[0], q[1], q[2]))) / (2 * reach**2))
    return part**2 * same_part + near**2 * bell


def color_posterior(xyz, labels, differences, seen, tied, part, near, reach, noise) -> np.ndarray:
    """Expected differences (N,C) of all points, from those (N,C) of the seen ones, known up to noise."""
    told = [i for i in range(len(xyz)) if seen[i]]
    gram = np.array([
        [color_kernel(xyz[i], xyz[j], labels[i] == labels[j], tied, part, near, reach) for j in told]
        for i in range(len(xyz))
    ])  # fmt: skip
    return gram @ np.linalg.inv(gram[told] + noise**2 * np.eye(len(told))) @ differences[told]
