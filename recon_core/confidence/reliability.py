# SPDX-License-Identifier: Apache-2.0
"""How far stated probabilities are true: share of right points among those of like confidence, rank correlation."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from ..errors import InputError
from .calibration import THRESHOLD

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Points whose confidence lies in [low, high), or up to 1 in the last bin."""

    low: float
    high: float
    points: int
    confidence: float  # mean
    share: float  # truly within the threshold
    distance: float  # mean true distance, object diagonals


@dataclass(frozen=True)
class Reliability:
    """Summary of N points."""

    points: int
    mean: float  # confidence
    share: float  # truly within the threshold
    calibration_error: (
        float  # expected calibration error: mean over points of |confidence - share| of their bin
    )
    brier: float  # mean squared difference of confidence and truth (0 or 1)
    brier_constant: float  # the same when every point is given the true share
    rank_correlation: float  # Spearman's, of confidence with minus the true distance
    best_half: float  # share within the threshold among the more confident half
    worst_tenth: float  # the same among the least confident tenth
    bins: tuple[Bin, ...]


def reliability(confidence: np.ndarray, distance: np.ndarray, threshold: float = THRESHOLD) -> Reliability:
    """Hold confidences (N,) in [0, 1] against true distances (N,); raises InputError when there are none."""
    if confidence.shape != distance.shape or confidence.ndim != 1 or not len(confidence):
        raise InputError(
            f"Expected confidences and distances (N,), got {confidence.shape}, {distance.shape}."
        )
    right = distance <= threshold
    bins = _bins(confidence, right, distance)
    apart = sum(one.points * abs(one.confidence - one.share) for one in bins) / len(confidence)
    order = np.argsort(-confidence, kind="stable")
    share = float(right.mean())
    return Reliability(
        points=len(confidence),
        mean=float(confidence.mean()),
        share=share,
        calibration_error=float(apart),
        brier=float(((confidence - right) ** 2).mean()),
        brier_constant=share * (1 - share),
        rank_correlation=rank_correlation(confidence, distance),
        best_half=float(right[order[: (len(order) + 1) // 2]].mean()),
        worst_tenth=float(right[order[-max(len(order) // 10, 1) :]].mean()),
        bins=bins,
    )


def rank_correlation(confidence: np.ndarray, distance: np.ndarray) -> float:
    """Spearman's correlation of confidence with minus the distance; 0 where either is constant."""
    if len(confidence) < 2 or np.ptp(confidence) == 0 or np.ptp(distance) == 0:
        return 0.0
    return float(spearmanr(confidence, -distance)[0])  # type: ignore[index]


def _bins(confidence: np.ndarray, right: np.ndarray, distance: np.ndarray) -> tuple[Bin, ...]:
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    found = []
    for index in np.unique(place):
        here = place == index
        found.append(
            Bin(
                index / BINS,
                (index + 1) / BINS,
                int(here.sum()),
                float(confidence[here].mean()),
                float(right[here].mean()),
                float(distance[here].mean()),
            )
        )
    return tuple(found)
