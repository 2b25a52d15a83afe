# SPDX-License-Identifier: GPL-3.0-or-later
"""Nearest neighbours by Blender's KD-tree. Touches no bpy data, so it runs on threads."""

import numpy as np
from mathutils.kdtree import KDTree


class Tree:
    """A KD-tree over points (N,3), one for each label where labels (N,) are given."""

    def __init__(self, xyz: np.ndarray, labels: np.ndarray | None = None) -> None:
        self.xyz = np.ascontiguousarray(xyz, np.float64)
        every = np.zeros(len(xyz), np.int64) if labels is None else labels
        labels_there = np.unique(every)
        self._rows = [np.flatnonzero(every == label) for label in labels_there]
        self._trees = {int(label): _tree(self.xyz, rows) for label, rows in zip(labels_there, self._rows)}

    def nearest(self, xyz: np.ndarray, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Index (M,) and distance (M,) of the nearest point of the same label; -1 and infinity without one."""
        index = np.full(len(xyz), -1)
        distance = np.full(len(xyz), np.inf)
        every = np.zeros(len(xyz), np.int64) if labels is None else labels
        for label in np.unique(every):
            tree = self._trees.get(int(label))
            if tree is None:
                continue
            rows = np.flatnonzero(every == label)
            found = [tree.find(point)[1:] for point in xyz[rows].tolist()]
            index[rows], distance[rows] = np.array(found, np.float64).reshape(-1, 2).T
        return index, distance

    def spacing(self, count: int) -> np.ndarray:
        """Mean distance (N,) of each point to its `count` nearest others of the same label, or all there are."""
        mean = np.zeros(len(self.xyz))
        for tree, rows in zip(self._trees.values(), self._rows):
            for row, point in zip(rows.tolist(), self.xyz[rows].tolist()):
                found = [distance for _, _, distance in tree.find_n(point, count + 1)]
                mean[row] = sum(found) / max(
                    len(found) - 1, 1
                )  # the point itself, at distance 0, is one of them
        return mean


def _tree(xyz: np.ndarray, rows: np.ndarray) -> KDTree:
    tree = KDTree(len(rows))
    insert = tree.insert
    for row, point in zip(rows.tolist(), xyz[rows].tolist()):
        insert(point, row)
    tree.balance()
    return tree
