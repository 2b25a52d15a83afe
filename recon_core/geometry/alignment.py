# SPDX-License-Identifier: Apache-2.0
"""Rigid and similarity alignment of clouds, and averages of rotations (numpy, float64)."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..errors import InputError
from .nearest import build_tree, nearest


@dataclass(frozen=True)
class Similarity:
    """x -> scale * rotation @ x + translation."""

    rotation: np.ndarray  # (3, 3)
    translation: np.ndarray  # (3,)
    scale: float = 1.0

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Transform points (N,3)."""
        return self.scale * points @ self.rotation.T + self.translation

    def matrix(self) -> np.ndarray:
        """The same as a 4x4 matrix."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * self.rotation
        matrix[:3, 3] = self.translation
        return matrix


@dataclass(frozen=True)
class IcpResult:
    """What ICP found: source -> target, and how well the pairs within the maximum distance fit."""

    transform: Similarity
    inlier_rmse: float  # root mean square distance of the inlier pairs; infinity when there are none
    fitness: float  # share of source points that have a partner
    iterations: int


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """Rotation (...,3,3) nearest in the Frobenius norm to any matrix (...,3,3); never a reflection."""
    left, _, right = np.linalg.svd(matrix)
    sign = np.asarray(np.linalg.det(left @ right))
    left = left.copy()
    left[..., :, -1] *= sign[..., None]  # the least singular direction pays for a reflection
    return left @ right


def umeyama(source: np.ndarray, target: np.ndarray, *, with_scale: bool = False) -> Similarity:
    """Least-squares rigid (or similarity) transform from source (N,3) to its partners in target (N,3).

    Umeyama 1991. Raises InputError when the shapes differ or there are fewer than three pairs.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 3 or len(source) < 3:
        raise InputError(
            f"Alignment needs at least 3 pairs of points, got {source.shape} and {target.shape}."
        )
    source_mean, target_mean = source.mean(0), target.mean(0)
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)  # (3, 3)
    rotation = nearest_rotation(covariance)
    scale = 1.0
    if with_scale:
        variance = ((source - source_mean) ** 2).sum(1).mean()
        if variance <= 1e-20 * (source_mean @ source_mean):  # what rounding leaves of coincident points
            raise InputError("Cannot find a scale: all source points coincide.")
        scale = float(np.trace(rotation.T @ covariance) / variance)
    return Similarity(rotation, target_mean - scale * rotation @ source_mean, scale)


def icp(
    source: np.ndarray,
    target: np.ndarray | cKDTree,
    *,
    max_distance: float,
    rotation: np.ndarray | None = None,
    translation: np.ndarray | None = None,
    scale: float = 1.0,
    with_scale: bool = False,
    iterations: int = 30,
    tolerance: float = 1e-6,
) -> IcpResult:
    """Point-to-point ICP of source (N,3) to target (M,3) from an initial pose (Besl and McKay 1992).

    Pairs farther apart than max_distance are ignored. Stops when fitness and inlier RMSE both change by less
    than `tolerance` (relative), or after `iterations`.

    with_scale: fit the scale too, from pairs in both directions, because the nearest neighbours of source points
    alone are matched best by a source that has shrunk to a point. Fitness and RMSE are those
    of the source's pairs either way. Raises InputError where a scale cannot be found: all points coincide.
    """
    source = np.asarray(source, np.float64)
    tree = target if isinstance(target, cKDTree) else build_tree(target)
    current = Similarity(
        np.eye(3) if rotation is None else np.asarray(rotation, np.float64),
        np.zeros(3) if translation is None else np.asarray(translation, np.float64),
        scale,
    )
    rmse, fitness, index, inside = _pair(current.apply(source), tree, max_distance)
    done = 0
    while done < iterations and inside.sum() >= 3:
        ours, theirs = source[inside], np.asarray(tree.data)[index[inside]]
        if with_scale:
            back = _pairs_back(current.apply(source), tree, max_distance)
            ours, theirs = np.concatenate((ours, source[back[0]])), np.concatenate((theirs, back[1]))
        current = umeyama(ours, theirs, with_scale=with_scale)
        previous = rmse, fitness
        rmse, fitness, index, inside = _pair(current.apply(source), tree, max_distance)
        done += 1
        if abs(rmse - previous[0]) <= tolerance * previous[0] and abs(fitness - previous[1]) <= tolerance:
            break
    return IcpResult(current, rmse, fitness, done)


def _pair(moved: np.ndarray, tree: cKDTree, max_distance: float):
    distance, index = nearest(moved, tree, max_distance=max_distance)
    inside = np.isfinite(distance)
    rmse = float(np.sqrt(np.mean(distance[inside] ** 2))) if inside.any() else float("inf")
    return rmse, float(inside.mean()), index, inside


def _pairs_back(moved: np.ndarray, tree: cKDTree, max_distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Index (K,) of the moved point nearest to each target point that has one, and those target points (K,3)."""
    targets = np.asarray(tree.data)
    distance, index = nearest(targets, moved, max_distance=max_distance)
    inside = np.isfinite(distance)
    return index[inside], targets[inside]


def average_quaternions(quaternions: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Markley average (4,), w >= 0, of unit quaternions (K,4) in w, x, y, z order; signs do not matter.

    The eigenvector of the largest eigenvalue of sum w q q^T (Markley et al. 2007).
    """
    quaternions = np.asarray(quaternions, np.float64)
    if quaternions.ndim != 2 or quaternions.shape[1] != 4 or not len(quaternions):
        raise InputError(f"Expected (K, 4) quaternions with K >= 1, got shape {quaternions.shape}.")
    weights = np.ones(len(quaternions)) if weights is None else np.asarray(weights, np.float64)
    moment = np.einsum("k,ki,kj->ij", weights, quaternions, quaternions)
    mean = np.linalg.eigh(moment)[1][:, -1]
    return -mean if mean[0] < 0 else mean


def average_rotations(rotations: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean rotation (3,3) of rotations (K,3,3).

    Identical to the Markley average of their quaternions: both maximise sum w trace(R^T R_k).
    """
    rotations = np.asarray(rotations, np.float64)
    if rotations.ndim != 3 or rotations.shape[1:] != (3, 3) or not len(rotations):
        raise InputError(f"Expected (K, 3, 3) rotations with K >= 1, got shape {rotations.shape}.")
    weights = np.ones(len(rotations)) if weights is None else np.asarray(weights, np.float64)
    return nearest_rotation(np.einsum("k,kij->ij", weights, rotations))
