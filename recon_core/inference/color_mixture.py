# SPDX-License-Identifier: Apache-2.0
"""Gaussian mixtures of colours, fitted by hard assignments as GrabCut does (Rother, Kolmogorov and Blake 2004)."""

from dataclasses import dataclass

import numpy as np

COMPONENTS = 5
# Variance in Lab units squared below which a component is not narrowed: sensor noise and compression.
NOISE_VARIANCE = 1.0
_SAMPLE = 6000


@dataclass(frozen=True)
class Mixture:
    """Gaussian mixture over Lab: log_weight (K,), mean (K,3), precision (K,3,3), log_determinant (K,)."""

    log_weight: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    log_determinant: np.ndarray

    def component_cost(self, colors: np.ndarray) -> np.ndarray:
        """Negative log density (N,K) of colors (N,3) under each component, weight included."""
        offset = colors[:, None] - self.mean  # (N, K, 3)
        square = np.einsum("nki,kij,nkj->nk", offset, self.precision, offset, optimize=True)
        return 0.5 * (square + self.log_determinant) - self.log_weight


def color_cost(colors: np.ndarray, sample: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Negative log density (N,) of colors (N,3) under a mixture fitted to sample (M,3): best component's."""
    return fit_mixture(sample, rng).component_cost(colors).min(1)


def fit_mixture(colors: np.ndarray, rng: np.random.Generator, components: int = COMPONENTS) -> Mixture:
    """Fit to colors (N,3) by k-means++ and hard assignments; covariances are kept above sensor noise."""
    count = min(components, len(colors))
    if len(colors) > _SAMPLE:
        colors = colors[rng.choice(len(colors), _SAMPLE, replace=False)]
    assigned = _k_means(colors, count, rng)
    weight, mean, covariance = [], [], []
    for k in range(count):
        own = colors[assigned == k]
        if len(own) == 0:
            continue
        weight.append(len(own) / len(colors))
        mean.append(own.mean(0))
        spread = np.cov(own.T, bias=True) if len(own) > 1 else np.zeros((3, 3))
        covariance.append(spread + NOISE_VARIANCE * np.eye(3))
    stacked = np.stack(covariance)
    return Mixture(np.log(weight), np.stack(mean), np.linalg.inv(stacked), np.linalg.slogdet(stacked)[1])


def _k_means(colors: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    centres = colors[rng.integers(len(colors))][None]
    for _ in range(count - 1):  # k-means++: far colours are likelier centres
        distance = _squares(colors, centres).min(1)
        total = distance.sum()
        chosen = rng.choice(len(colors), p=distance / total) if total > 0 else rng.integers(len(colors))
        centres = np.concatenate((centres, colors[chosen][None]))
    assigned = np.zeros(len(colors), int)
    for _ in range(8):
        assigned = _squares(colors, centres).argmin(1)
        filled = np.bincount(assigned, minlength=count) > 0
        centres[filled] = [colors[assigned == k].mean(0) for k in np.flatnonzero(filled)]
    return assigned


def _squares(colors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return ((colors[:, None] - centres) ** 2).sum(-1)  # (N, K)
