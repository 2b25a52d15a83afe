# SPDX-License-Identifier: Apache-2.0
"""From the frame of a file to the model's object frame: axes, heading, box centre at the origin, box diagonal 1."""

import numpy as np

from ..cameras import object_from_axes
from ..errors import InputError
from ..geometry.alignment import Similarity
from ..geometry.nearest import build_tree, nearest
from ..geometry.search import turns_about_z

# Headings are compared on so many points of each cloud.
HEADING_POINTS = 800
# Two headings whose distances differ by less than this factor cannot be told apart (geometry/search.py).
AS_GOOD = 1.05


def object_from_file(xyz: np.ndarray, up: str, front: str) -> Similarity:
    """The similarity from a file's frame to the object frame, from its points (N,3) and the names of its axes.

    Raises InputError for unknown axes, and for points without any extent.
    """
    return normalising(xyz, object_from_axes(up, front)[:3, :3].numpy())


def normalising(xyz: np.ndarray, rotation: np.ndarray) -> Similarity:
    """Turn points (N,3) by a rotation (3,3), bring their box's centre to the origin and its diagonal to 1."""
    turned = np.asarray(xyz, np.float64) @ rotation.T
    low, high = turned.min(0), turned.max(0)
    diagonal = float(np.linalg.norm(high - low))
    if not np.isfinite(diagonal) or diagonal <= 0:
        raise InputError("The object has no extent: its points all coincide, or are not finite.")
    return Similarity(rotation, -(low + high) / 2 / diagonal, 1 / diagonal)


def best_heading(
    xyz: np.ndarray, start: Similarity, clouds: np.ndarray, headings: int
) -> tuple[Similarity, float, list[float]]:
    """Of `headings` turns about the up axis, the one that brings points xyz (N,3) nearest to predictions (V,M,3).

    Returns the similarity, its turn in degrees, and the turns that fit as well: the object's symmetry, or doubt.
    """
    rng = np.random.default_rng(0)
    ours = np.asarray(xyz)[rng.permutation(len(xyz))[:HEADING_POINTS]]
    merged = clouds.reshape(-1, 3)
    target = merged[rng.permutation(len(merged))[:HEADING_POINTS]]
    tree = build_tree(target)
    found = [normalising(xyz, turn @ start.rotation) for turn in turns_about_z(headings)]
    scores = np.array([_chamfer(one.apply(ours), target, tree) for one in found])
    turns = np.arange(headings) * 360.0 / headings
    best = int(scores.argmin())
    others = [float(turn) for turn, score in zip(turns, scores) if score <= AS_GOOD * scores[best]]
    return found[best], float(turns[best]), [turn for turn in others if turn != turns[best]]


def _chamfer(moved: np.ndarray, target: np.ndarray, tree) -> float:
    return float(nearest(moved, tree)[0].mean() + nearest(target, build_tree(moved))[0].mean())
