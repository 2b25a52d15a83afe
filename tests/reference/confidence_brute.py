# SPDX-License-Identifier: Apache-2.0
"""Slow references for confidence: straight from the definitions, loops over points."""

import numpy as np


def isotonic(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Not decreasing least-squares fit (Q,): max over starts of min over ends of the weighted mean (min-max)."""
    count = len(values)
    out = np.empty(count)
    for place in range(count):
        best = -np.inf
        for start in range(place + 1):
            means = [
                np.average(values[start : end + 1], weights=weights[start : end + 1])
                for end in range(place, count)
            ]
            best = max(best, min(means))
        out[place] = best
    return out


def spacing(xyz: np.ndarray, neighbours: int) -> np.ndarray:
    """Mean distance (N,) of each point to its nearest others."""
    distance = np.linalg.norm(xyz[:, None] - xyz[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    return np.sort(distance, 1)[:, :neighbours].mean(1)


def mean_nearest(xyz: np.ndarray, clouds: list[np.ndarray]) -> np.ndarray:
    """Mean over clouds of the distance (N,) to the nearest of their points."""
    every = [np.linalg.norm(xyz[:, None] - cloud[None], axis=-1).min(1) for cloud in clouds]
    return np.mean(every, axis=0)


def turned_apart(first: np.ndarray, second: np.ndarray) -> float:
    """sin^2 of half the angle of the rotation from one to the other, by its axis-angle form."""
    relative = first @ second.T
    angle = np.arccos(np.clip((np.trace(relative) - 1) / 2, -1, 1))
    return float(np.sin(angle / 2) ** 2)
