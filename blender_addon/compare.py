# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a cloud is from a reference: distances, Chamfer, precision and coverage. No bpy: runs on threads."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .neighbours import Tree

# Reference points searched from; the distances of the cloud's own points are never thinned out.
_REFERENCE_POINTS = 20_000
_STRIPS = 20


@dataclass
class Comparison:
    """distance (N,) of each point to the reference, and what follows from both directions, in world units."""

    distance: np.ndarray
    accuracy: float
    completeness: float
    chamfer: float
    precision: float
    coverage: float


def compare(
    xyz: np.ndarray,
    reference: np.ndarray,
    tolerance: float,
    report: Callable[[float, str], None] = lambda fraction, stage: None,
) -> Comparison:
    """Compare points (N,3) with reference points (M,3).

    accuracy and completeness are mean distances from the cloud to the reference and back, chamfer their sum;
    precision and coverage are the shares of cloud and reference within the tolerance of the other.
    """
    reference = reference[np.random.default_rng(0).permutation(len(reference))[:_REFERENCE_POINTS]]
    report(0.05, "Building trees")
    there = _distances(Tree(reference), xyz, report, 0.1)
    back = _distances(Tree(xyz), reference, report, 0.55)
    return Comparison(
        there.astype(np.float32),
        float(there.mean()),
        float(back.mean()),
        float(there.mean() + back.mean()),
        float((there <= tolerance).mean()),
        float((back <= tolerance).mean()),
    )


def _distances(tree: Tree, xyz: np.ndarray, report: Callable[[float, str], None], start: float) -> np.ndarray:
    strips = np.array_split(xyz.astype(np.float64), _STRIPS)
    found = []
    for number, strip in enumerate(strips):
        report(start + 0.4 * number / _STRIPS, "Measuring")
        found.append(tree.nearest(strip)[1])
    return np.concatenate(found)
