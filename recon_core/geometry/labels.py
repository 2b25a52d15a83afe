# SPDX-License-Identifier: Apache-2.0
"""Part labels carried from one cloud to another by its nearest points."""

import numpy as np
from scipy.spatial import cKDTree

from ..errors import InputError
from .nearest import build_tree, nearest


def transfer_labels(
    source: np.ndarray | cKDTree,
    labels: np.ndarray,
    target: np.ndarray,
    *,
    neighbours: int = 1,
    max_distance: float = np.inf,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (M,) of target points (M,3) from the labels (N,) of source points (N,3), and the votes' share (M,).

    Each target point takes the label that most of its `neighbours` nearest source points have; of labels with
    equally many, the one whose nearest point is nearest. The share, float32 in [0, 1], is that of the winner among
    the neighbours asked. Points with no neighbour within max_distance get label 0 (none) and share 0; source points
    of label 0 vote like all others. Fewer source points than neighbours: all of them vote.
    Raises InputError for clouds that are empty or not finite, labels that do not fit or are negative.
    """
    tree = source if isinstance(source, cKDTree) else build_tree(source)
    labels, count = np.asarray(labels), len(np.asarray(tree.data))
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise InputError(
            f"Expected {count} integer labels, one per source point, got {labels.shape} {labels.dtype}."
        )
    if neighbours < 1:
        raise InputError(f"neighbours is {neighbours}, expected at least 1.")
    if labels.size and labels.min() < 0:
        raise InputError(f"Labels must not be negative, found {labels.min()}.")
    index, inside = _neighbours(tree, target, min(neighbours, count), max_distance)
    return _vote(np.where(inside, labels[np.where(inside, index, 0)], -1), labels.dtype)


def _neighbours(tree: cKDTree, target, count: int, max_distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices (M,K) of the K nearest, nearest first, and which are within the distance (M,K)."""
    distance, index = nearest(target, tree, max_distance=max_distance)  # also checks the points
    if count > 1:
        distance, index = tree.query(
            np.asarray(target, np.float64), k=count, distance_upper_bound=max_distance
        )
    distance, index = distance.reshape(len(target), count), index.reshape(len(target), count)
    return index, np.isfinite(distance)


def _vote(votes: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Winners (M,) and their share (M,) of votes (M,K) ordered by distance, -1 = no vote."""
    # For each voter, how many agree with it; argmax takes the first, the nearest, of equals.
    agreeing = np.zeros(votes.shape, np.int32)
    for column in range(votes.shape[1]):
        agreeing += votes == votes[:, column : column + 1]
    agreeing[votes < 0] = 0
    best = agreeing.argmax(1)[:, None]
    winner = np.take_along_axis(votes, best, 1)[:, 0]
    asked = np.maximum((votes >= 0).sum(1), 1)
    share = np.take_along_axis(agreeing, best, 1)[:, 0] / asked
    return np.maximum(winner, 0).astype(dtype), share.astype(np.float32)
