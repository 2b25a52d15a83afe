# SPDX-License-Identifier: GPL-3.0-or-later
"""Iterative closest points between two clouds, in both directions and from several starts. No bpy: runs on threads.

Besl and McKay 1992; the best similarity of matched points is Umeyama's (1991). Matching both ways keeps the scale from
shrinking, which one-way matching favours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .jobs import UserError
from .neighbours import Tree

# Rounds of refining and choosing: points of each side, steps, and how many starts go on to the next round.
_ROUNDS = ((80, 3, 16), (80, 6, 3), (350, 30, 1), (1000, 20, 1))
_TREE_POINTS = 4000
_TURN_DEG, _TILT_DEG = 30.0, 35.0
_STOP = 2e-4


@dataclass
class Side:
    """Points (N,3) in world units, and labels (N,) that both sides share, or None."""

    xyz: np.ndarray
    labels: np.ndarray | None = None


@dataclass
class Alignment:
    """matrix (4,4) takes the source onto the target; root mean square distances of nearest points, both ways."""

    matrix: np.ndarray
    rms_before: float
    rms_after: float
    starts: int


def align(
    source: Side,
    target: Side,
    use_scale: bool = True,
    use_turns: bool = True,
    upright: bool = False,
    report: Callable[[float, str], None] = lambda fraction, stage: None,
    seed: int = 0,
) -> Alignment:
    """Align source to target; `upright` turns about the vertical only. Raises UserError for too few points."""
    if min(len(source.xyz), len(target.xyz)) < 10:
        raise UserError("Alignment needs at least 10 points on both sides.")
    pair = _Pair(source, target, use_scale, upright, np.random.default_rng(seed))
    report(0.05, "Building trees")
    starts = pair.starts(use_turns)
    best, done = starts, 0.0
    work = sum(points * steps * count for (points, steps, _), count in zip(_ROUNDS, _entrants(len(starts))))
    for points, steps, kept in _ROUNDS:
        scored = []
        for number, start in enumerate(best):
            report(0.1 + 0.9 * done / work, f"Trying {len(best)} starts" if len(best) > 1 else "Refining")
            matrix = pair.improved(start, points, steps)
            scored.append((pair.rms(matrix, points), number, matrix))
            done += points * steps
        best = [matrix for _, _, matrix in sorted(scored, key=lambda one: one[:2])[:kept]]
    last = _ROUNDS[-1][0]
    before, after = (pair.rms(one, last) for one in (np.eye(4), best[0]))
    return Alignment(best[0], before, after, len(starts))


def _entrants(starts: int) -> list[int]:
    """How many starts enter each round."""
    entrants = [starts]
    for _, _, kept in _ROUNDS[:-1]:
        entrants.append(min(kept, entrants[-1]))
    return entrants


def similarity(source: np.ndarray, target: np.ndarray, use_scale: bool) -> np.ndarray:
    """The matrix (4,4) that takes points (N,3) to their partners (N,3) with the least squares (Umeyama 1991)."""
    center_s, center_t = source.mean(0), target.mean(0)
    s, t = source - center_s, target - center_t
    u, d, vt = np.linalg.svd(t.T @ s)
    sign = np.ones(3)
    sign[2] = np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0
    rotation = (u * sign) @ vt
    scale = float((d * sign).sum() / max((s**2).sum(), 1e-30)) if use_scale else 1.0
    matrix = np.eye(4)
    matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = center_t - scale * rotation @ center_s
    return matrix


def upright_similarity(source: np.ndarray, target: np.ndarray, use_scale: bool) -> np.ndarray:
    """The same among the matrices that turn about the vertical only: the angle is that of the summed products."""
    center_s, center_t = source.mean(0), target.mean(0)
    s, t = source - center_s, target - center_t
    along = (s[:, 0] * t[:, 0] + s[:, 1] * t[:, 1]).sum()
    across = (s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()
    rotation = _turn("z", float(np.degrees(np.arctan2(across, along))))
    scale = float(((s @ rotation.T) * t).sum() / max((s**2).sum(), 1e-30)) if use_scale else 1.0
    matrix = np.eye(4)
    matrix[:3, :3] = max(scale, 1e-6) * rotation
    matrix[:3, 3] = center_t - matrix[:3, :3] @ center_s
    return matrix


def moved(matrix: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """Points (N,3) under a matrix (4,4)."""
    return xyz @ matrix[:3, :3].T + matrix[:3, 3]


class _Pair:
    """Both sides with their trees and samples."""

    def __init__(
        self, source: Side, target: Side, use_scale: bool, upright: bool, random: np.random.Generator
    ) -> None:
        self.use_scale, self.upright = use_scale, upright
        self.fitted = upright_similarity if upright else similarity
        self.source, self.target = _subset(source, random), _subset(target, random)
        self.source_tree = Tree(self.source.xyz, self.source.labels)
        self.target_tree = Tree(self.target.xyz, self.target.labels)

    def starts(self, use_turns: bool) -> list[np.ndarray]:
        """Centred on each other and of one size, turned about the vertical and tilted; first of all as they are."""
        turns = np.arange(0, 360, _TURN_DEG) if use_turns else [0.0, _TILT_DEG, -_TILT_DEG]
        tilts = [(0.0, 0.0), (_TILT_DEG, 0.0), (-_TILT_DEG, 0.0), (0.0, _TILT_DEG), (0.0, -_TILT_DEG)]
        if self.upright:
            turns, tilts = (turns if use_turns else turns[:1]), tilts[:1]
        found = [np.eye(4)] + [
            self._centred(_turn("z", turn) @ _turn("x", x) @ _turn("y", y))
            for turn in turns
            for x, y in tilts
        ]
        return found

    def _centred(self, rotation: np.ndarray) -> np.ndarray:
        source, target = self.source.xyz, self.target.xyz
        size = [float(np.sqrt(((xyz - xyz.mean(0)) ** 2).sum(1).mean())) for xyz in (source, target)]
        scale = size[1] / max(size[0], 1e-12) if self.use_scale else 1.0
        matrix = np.eye(4)
        matrix[:3, :3] = scale * rotation
        matrix[:3, 3] = target.mean(0) - matrix[:3, :3] @ source.mean(0)
        return matrix

    def improved(self, matrix: np.ndarray, count: int, steps: int) -> np.ndarray:
        """`steps` of matching and fitting with `count` points of each side, or until it stands still."""
        last = np.inf
        for _ in range(steps):
            source, target, rms = self._matches(matrix, count)
            if len(source) < 6:
                return matrix
            if abs(last - rms) < _STOP * rms:
                break
            last = rms
            matrix = self.fitted(source, target, self.use_scale)
        return matrix

    def rms(self, matrix: np.ndarray, count: int) -> float:
        """Root mean square distance of nearest points, both ways, in the target's units."""
        return self._matches(matrix, count)[2]

    def _matches(self, matrix: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Matched points in the source's and the target's frame, found from both sides, and their distance."""
        source, labels = self.source.xyz[:count], _first(self.source.labels, count)
        index, forward = self.target_tree.nearest(moved(matrix, source), labels)
        target, target_labels = self.target.xyz[:count], _first(self.target.labels, count)
        back, backward = self.source_tree.nearest(moved(np.linalg.inv(matrix), target), target_labels)
        scale = np.cbrt(abs(np.linalg.det(matrix[:3, :3])))
        ahead, behind = index >= 0, back >= 0
        pairs_source = np.concatenate((source[ahead], self.source.xyz[back[behind]]))
        pairs_target = np.concatenate((self.target.xyz[index[ahead]], target[behind]))
        squares = np.concatenate((forward[ahead] ** 2, (backward[behind] * scale) ** 2))
        return pairs_source, pairs_target, float(np.sqrt(squares.mean())) if len(squares) else np.inf


def _subset(side: Side, random: np.random.Generator) -> Side:
    """At most as many points as a tree is built of quickly, in random order."""
    order = random.permutation(len(side.xyz))[:_TREE_POINTS]
    return Side(side.xyz[order].astype(np.float64), None if side.labels is None else side.labels[order])


def _first(labels: np.ndarray | None, count: int) -> np.ndarray | None:
    return None if labels is None else labels[:count]


def _turn(axis: str, degrees: float) -> np.ndarray:
    """Rotation (3,3) about an axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix
