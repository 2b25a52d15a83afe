# SPDX-License-Identifier: Apache-2.0
"""Nearest neighbours between two clouds: a k-d tree on the CPU, chunked distances on any torch device."""

import numpy as np
import torch
from scipy.spatial import cKDTree

from ..errors import InputError


def build_tree(points: np.ndarray) -> cKDTree:
    """k-d tree of points (N,3); raises InputError when there is none or one is not finite."""
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise InputError(f"A cloud must be a non-empty (N, 3) array, got shape {points.shape}.")
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points).all(1)).sum())
        raise InputError(f"{bad} of {len(points)} points are not finite; distances need finite coordinates.")
    # Sliding-midpoint splits build faster than median splits and query as fast on surfaces.
    return cKDTree(points, balanced_tree=False)


def nearest(
    query: np.ndarray, target: np.ndarray | cKDTree, *, max_distance: float = np.inf, workers: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distance (Q,) float64 and index (Q,) of the target point nearest to each query point (Q,3).

    Where no target is within max_distance, the distance is infinite and the index len(target), as in scipy.
    """
    tree = target if isinstance(target, cKDTree) else build_tree(target)
    query = np.asarray(query, dtype=np.float64)
    if query.ndim != 2 or query.shape[1] != 3 or not np.isfinite(query).all():
        raise InputError(f"Query points must be a finite (Q, 3) array, got shape {query.shape}.")
    distance, index = tree.query(query, distance_upper_bound=max_distance, workers=workers)
    return distance, index


def nearest_torch(
    query: torch.Tensor, target: torch.Tensor, *, chunk: int = 2048
) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance and index (B,Q) of the nearest target (B,T,3) to each query (B,Q,3), on their device.

    Memory is B * chunk * T values at a time; gradients flow to both clouds through the distances.
    """
    if not target.shape[1]:
        raise InputError("The target cloud is empty.")
    distances, indices = [], []
    for block in query.split(chunk, dim=1):
        # The expanded form |a|^2 - 2ab + |b|^2 loses half the digits for near points.
        pairwise = torch.cdist(block, target, compute_mode="donot_use_mm_for_euclid_dist")  # (B, chunk, T)
        values, index = pairwise.min(-1)
        distances.append(values)
        indices.append(index)
    if not distances:
        empty = query.new_zeros(query.shape[:2])
        return empty, empty.long()
    return torch.cat(distances, 1), torch.cat(indices, 1)
