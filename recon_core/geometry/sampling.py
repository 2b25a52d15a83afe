# SPDX-License-Identifier: Apache-2.0
"""Points on surfaces and well-spread subsets of clouds."""

import numpy as np

from ..errors import InputError


def sample_mesh(
    vertices: np.ndarray, faces: np.ndarray, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sample `count` points uniformly by area from triangles faces (F,3) over vertices (V,3).

    Returns points (count,3) float64, the face of each (count,) and its barycentric weights (count,3).
    Raises InputError when the surface has no area.
    """
    corners = np.asarray(vertices, dtype=np.float64)[np.asarray(faces, dtype=np.int64)]  # (F, 3, 3)
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = 0.5 * np.linalg.norm(np.cross(first, second), axis=1)
    total = area.sum()
    if not np.isfinite(total) or total <= 0:
        raise InputError(f"Cannot sample a surface of {len(corners)} faces with total area {total}.")
    face = generator.choice(len(area), size=count, p=area / total)
    # Square root: uniform over the triangle, not crowded at the first corner.
    root, along = np.sqrt(generator.random(count)), generator.random(count)
    weights = np.stack((1 - root, root * (1 - along), root * along), 1)  # (count, 3)
    return np.einsum("nk,nkc->nc", weights, corners[face]), face, weights


def farthest_points(points: np.ndarray, count: int, *, start: int = 0) -> np.ndarray:
    """Indices (count,) of a farthest-point subset of points (N,3): each next is farthest from those before.

    O(N * count) time, O(N) memory. Raises InputError when more points are asked for than there are.
    """
    points = np.ascontiguousarray(points, dtype=np.float32)
    if not 1 <= count <= len(points):
        raise InputError(f"Cannot choose {count} of {len(points)} points.")
    chosen = np.empty(count, dtype=np.int64)
    distance_sq = np.full(len(points), np.inf, dtype=np.float32)
    chosen[0] = start
    for step in range(1, count):
        offset = points - points[chosen[step - 1]]
        np.minimum(distance_sq, np.einsum("nc,nc->n", offset, offset), out=distance_sq)
        chosen[step] = distance_sq.argmax()
    return chosen


def voxel_means(points: np.ndarray, size: float) -> np.ndarray:
    """One point (K,3) per occupied cell of a cubic grid of cells `size`: the mean of the points (N,3) in it.

    The grid's corner is half a cell below the lowest coordinates, as in open3d. Order: by cell.
    Raises InputError for no points, a size that is not positive, or a grid too fine to number its cells.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.isfinite(points).all():
        raise InputError(f"Expected finite points (N,3) with N >= 1, got shape {points.shape}.")
    if not size > 0:
        raise InputError(f"The size of a cell must be positive, got {size}.")
    offset = (points - points.min(0)) / size + 0.5
    if offset.max() >= 2**20:
        raise InputError(
            f"Cells of {size} are too small for points that span {np.ptp(points, axis=0).max():g}."
        )
    cell = offset.astype(np.int64)
    key = (cell[:, 0] << 42) | (cell[:, 1] << 21) | cell[:, 2]
    _, owner, count = np.unique(key, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(owner, points[:, axis], len(count)) for axis in range(3)], 1)
    return sums / count[:, None]
