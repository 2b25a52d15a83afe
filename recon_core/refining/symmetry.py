# SPDX-License-Identifier: Apache-2.0
"""Whether a cloud has the mirror plane x = 0: its distance from its mirror image beside its points' own spacing."""

from dataclasses import dataclass

import numpy as np

from ..geometry.nearest import build_tree, nearest

# The mirror image of a symmetric random sample lies as far from it as another sample would: about the distance between
# neighbours. Predicted clouds are noisier on one side than the other.
SYMMETRIC_BELOW = 2.0


@dataclass(frozen=True)
class MirrorGap:
    """Mean distance from mirrored points to the nearest point, and between neighbouring points."""

    distance: float
    spacing: float

    @property
    def ratio(self) -> float:
        """1 for a symmetric surface sampled at random."""
        return self.distance / max(self.spacing, 1e-12)

    @property
    def symmetric(self) -> bool:
        """Whether left and right are the same shape, as far as these points tell."""
        return self.ratio < SYMMETRIC_BELOW


def mirror_gap(xyz: np.ndarray) -> MirrorGap:
    """Compare points (N,3), N >= 2, with their mirror image in the plane x = 0."""
    tree = build_tree(xyz)
    between = tree.query(np.asarray(xyz, np.float64), k=2)[0][:, 1]
    mirrored = nearest(np.asarray(xyz, np.float64) * (-1, 1, 1), tree)[0]
    return MirrorGap(float(mirrored.mean()), float(between.mean()))
