# SPDX-License-Identifier: Apache-2.0
"""What is known about each predicted point without the truth: numbers that are larger where a point is worth less."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry.nearest import build_tree, nearest
from .visibility import SEEN

# Logarithms of lengths below this tell nothing more (object diagonals).
_SHORTEST = 0.002
_NEIGHBOURS = 8


@dataclass(frozen=True)
class Evidence:
    """Everything about N points that their features are made of; lengths in object diagonals."""

    spacing: np.ndarray  # (N,) mean distance to the 8 nearest other points
    spread: np.ndarray  # (N,) mean distance to the clouds of changed inputs
    mirror_gap: np.ndarray | None  # (N,) distance to the cloud of the mirrored input, mirrored back
    partner_gap: (
        np.ndarray | None
    )  # (N,) distance from the mirror image to the nearest point of the same cloud
    opacity: np.ndarray | None  # (N,) in [0, 1]
    visibility: np.ndarray | None  # (N,) uint8, None without a camera
    pose_spread: float | None = None  # mean sin^2 of half the angle between poses that were thought possible


# In this order; all grow with doubt.
FEATURES = (
    "log_spacing",
    "log_spread",
    "log_mirror_gap",
    "log_asymmetry",
    "transparency",
    "unseen",
    "log_cloud_spread",
    "pose_spread",
)


def feature_table(evidence: Evidence) -> np.ndarray:
    """Features (N, len(FEATURES)) float64; what is not known takes a value that makes no difference between points."""
    count = len(evidence.spacing)
    spread = evidence.spread
    gap = spread if evidence.mirror_gap is None else evidence.mirror_gap
    asymmetry = evidence.spacing if evidence.partner_gap is None else evidence.partner_gap
    transparency = np.zeros(count) if evidence.opacity is None else 1 - evidence.opacity.astype(np.float64)
    unseen = np.zeros(count) if evidence.visibility is None else 1 - evidence.visibility / SEEN
    pose = 0.0 if evidence.pose_spread is None else evidence.pose_spread
    columns = (
        _log(evidence.spacing),
        _log(spread),
        _log(gap),
        _log(asymmetry),
        transparency,
        unseen,
        np.full(count, float(_log(spread).mean()) if count else 0.0),
        np.full(count, pose),
    )
    return np.stack(columns, 1).astype(np.float64)


def local_spacing(xyz: np.ndarray) -> np.ndarray:
    """Mean distance (N,) of each of xyz (N,3) to its 8 nearest others, or all there are; 0 for one alone."""
    neighbours = min(_NEIGHBOURS, len(xyz) - 1)
    if neighbours < 1:
        return np.zeros(len(xyz))
    distance, _ = build_tree(xyz).query(np.asarray(xyz, np.float64), k=neighbours + 1)
    return distance[:, 1:].mean(1)


def mean_distance(xyz: np.ndarray, clouds: Sequence[np.ndarray]) -> np.ndarray:
    """Mean over clouds (M,3) of the distance (N,) from each of xyz (N,3) to the cloud; 0 when there are none.

    The nearest point, not that of the same index, as a point that slid along the surface is still on it.
    """
    if not len(clouds):
        return np.zeros(len(xyz))
    return np.mean([nearest(xyz, cloud)[0] for cloud in clouds], axis=0)


def pose_spread(rotations: np.ndarray, chosen: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean sin^2 of half the angle between rotations (K,3,3) and the chosen one (3,3): 0 all agree, 1 all opposed.

    weights (K,), not negative: how much each counts; equally when None.
    """
    if not len(rotations):
        return 0.0
    trace = np.einsum("kij,ij->k", np.asarray(rotations, np.float64), np.asarray(chosen, np.float64))
    weights = np.ones(len(rotations)) if weights is None else weights
    return float(np.clip((3 - trace) / 4, 0, 1) @ weights / max(float(weights.sum()), 1e-12))


def _log(lengths: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(np.asarray(lengths, np.float64), 0) + _SHORTEST)
