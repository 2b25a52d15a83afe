# SPDX-License-Identifier: Apache-2.0
"""Labels for points from predicted clouds: near predictions vote, by distance; neighbours on the surface agree."""

import numpy as np
from scipy import sparse

from ..geometry.nearest import build_tree

# A prediction's vote falls off with distance as a Gaussian, in the object's diagonals.
REACH = 0.02
VOTERS = 8
# A view whose cloud lies farther from the object than others' counts less.
VIEW_SHARPNESS = 4.0
NEIGHBOURS = 12
# Neighbours agree over this distance at most, in diagonals: sparse clouds are not smeared.
SMOOTH_REACH = 0.015
ROUNDS = 4


def vote(xyz: np.ndarray, clouds: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Votes (N,P) that sum to 1 for points xyz (N,3), and the distance (N,) to the nearest prediction.

    clouds (V,M,3) are predictions in the points' frame, shares (V,M,P) their probabilities of parts.
    """
    totals = np.zeros((len(xyz), shares.shape[2]))
    distances = []
    for cloud, share, weight in zip(clouds, shares, view_weights(xyz, clouds)):
        distance, index = build_tree(cloud).query(xyz, k=min(VOTERS, len(cloud)))
        distance, index = distance.reshape(len(xyz), -1), index.reshape(len(xyz), -1)
        # The nearest always counts in full, so that a point far from all predictions gets a label too.
        kernel = np.exp(-0.5 * (distance**2 - distance[:, :1] ** 2) / REACH**2)
        near = np.exp(-0.5 * np.minimum(distance[:, 0] / REACH, 3.0) ** 2)
        totals += (
            (weight * near)[:, None] * np.einsum("nk,nkp->np", kernel, share[index]) / kernel.sum(1)[:, None]
        )
        distances.append(distance[:, 0])
    return totals / np.maximum(totals.sum(1, keepdims=True), 1e-12), np.min(distances, axis=0)


def view_weights(xyz: np.ndarray, clouds: np.ndarray) -> np.ndarray:
    """Weights (V,) of views, 1 for the one whose cloud covers the points xyz (N,3) best."""
    sample = xyz[:: max(1, len(xyz) // 1000)]
    tree = build_tree(sample)
    errors = np.array([build_tree(c).query(sample)[0].mean() + tree.query(c)[0].mean() for c in clouds])
    return np.exp(-VIEW_SHARPNESS * (errors / max(errors.min(), 1e-9) - 1))


def smoothed(
    xyz: np.ndarray, normals: np.ndarray | None, votes: np.ndarray, rounds: int = ROUNDS
) -> np.ndarray:
    """Votes (N,P) averaged over neighbours on the surface: near ones, and of those the ones that face alike."""
    count = min(NEIGHBOURS, len(xyz) - 1)
    if count < 1 or rounds < 1:
        return votes
    distance, index = build_tree(xyz).query(xyz, k=count + 1)
    spread = np.clip(np.median(distance[:, -1]), 1e-9, SMOOTH_REACH)
    weight = np.exp(-0.5 * (distance / spread) ** 2)
    if normals is not None:
        alike = np.abs(
            np.einsum("nc,nkc->nk", normals, normals[index])
        )  # either side of a thin board is one part
        weight *= 0.1 + 0.9 * alike**2
    rows = np.repeat(np.arange(len(xyz)), count + 1)
    means = sparse.csr_matrix(
        ((weight / weight.sum(1, keepdims=True)).ravel(), (rows, index.ravel())), (len(xyz), len(xyz))
    )
    for _ in range(rounds):
        votes = means @ votes
    return votes
