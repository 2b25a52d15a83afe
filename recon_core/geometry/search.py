# SPDX-License-Identifier: Apache-2.0
"""Global registration from nowhere: a grid of rotations, scored by Chamfer on few points, the best refined by ICP.

ICP finds the nearest optimum only; a chair turned by half a turn stays so. Here every heading is tried, and the
result says which answers are as good as the best: those that the shape's symmetry allows.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial import cKDTree

from ..errors import InputError
from .alignment import Similarity, icp
from .nearest import build_tree, nearest

About = Literal["any", "z"]

# Points of each cloud for scoring the grid and for refining its best.
COARSE_POINTS = 150
FINE_POINTS = 2000
# Rotations nearer to each other than this are one answer.
SAME_DEG = 12.0
# An answer is as good as the best when its score is within this factor. Of 1,500 points each, the four headings of a
# square table score within 2 % of one another, and its heading that is 45 degrees off 15 % worse.
AS_GOOD = 1.05
ITERATIONS = 60
GRID = {"any": 1000, "z": 36}
MAX_GRID = 100_000
# psi^4 = psi + 4: the second ratio of super-Fibonacci spirals (the first is the root of 2).
_PSI = 1.533751168755204288


@dataclass(frozen=True)
class Candidate:
    """One answer: source -> target, and Chamfer over the fine points in the target's unit (Euclidean)."""

    transform: Similarity
    precision: float  # mean distance from moved source points to the target
    coverage: float  # mean distance from target points to the moved source

    @property
    def score(self) -> float:
        """precision + coverage: lower is better."""
        return self.precision + self.coverage


@dataclass(frozen=True)
class SearchResult:
    """Answers from best to worst, no two of the same rotation, and how many of the first are as good as the best."""

    candidates: tuple[Candidate, ...]
    ambiguous: int

    @property
    def best(self) -> Candidate:
        """The answer of the lowest score."""
        return self.candidates[0]

    @property
    def is_ambiguous(self) -> bool:
        """Whether another rotation fits as well: the shape is symmetric, or too coarse to tell."""
        return self.ambiguous > 1


def super_fibonacci(count: int) -> np.ndarray:
    """`count` rotations (count,3,3) spread evenly over SO(3) by super-Fibonacci spirals (Alexa 2022)."""
    _check_grid(count)
    step = np.arange(count) + 0.5
    inner, outer = np.sqrt(step / count), np.sqrt(1 - step / count)
    alpha, beta = 2 * np.pi * step / np.sqrt(2), 2 * np.pi * step / _PSI
    x, y, z, w = inner * np.sin(alpha), inner * np.cos(alpha), outer * np.sin(beta), outer * np.cos(beta)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def turns_about_z(count: int) -> np.ndarray:
    """`count` rotations (count,3,3) about Z, evenly over the full turn, the first the identity."""
    _check_grid(count)
    angle = 2 * np.pi * np.arange(count) / count
    rotations = np.zeros((count, 3, 3))
    rotations[:, 0, 0] = rotations[:, 1, 1] = np.cos(angle)
    rotations[:, 1, 0], rotations[:, 0, 1], rotations[:, 2, 2] = np.sin(angle), -np.sin(angle), 1
    return rotations


def search_rotation(
    source: np.ndarray,
    target: np.ndarray,
    *,
    about: About = "any",
    grid: int | None = None,
    refine: int = 8,
    max_distance: float | None = None,
    with_scale: bool = False,
    centre: bool = True,
    same_deg: float = SAME_DEG,
    seed: int = 0,
) -> SearchResult:
    """Rigid (or similarity) transforms from source (N,3) to target (M,3), best first, without an initial pose.

    about: "any" tries `grid` (1,000) rotations over SO(3), some 20 degrees apart; "z" as many (36) headings about
    +Z, for clouds whose up is known, but refines freely. centre: bring the centroids together first (needed unless
    both clouds are about one origin already). The `refine` best rotations at least same_deg apart go through ICP
    with partners within max_distance (by default a quarter of the target's bounding-box diagonal) and are
    scored again on more points; those that end at the same rotation are one answer.

    The points that take part are drawn with `seed`: the result repeats. Raises InputError for clouds that are
    empty, not finite, or all in one place, for a grid beyond 100,000 rotations, and for refine < 1.
    """
    if about not in GRID:
        raise InputError(f"about is {about!r}, expected any or z.")
    if refine < 1:
        raise InputError(f"refine is {refine}, expected at least 1.")
    count = GRID[about] if grid is None else grid
    rotations = super_fibonacci(count) if about == "any" else turns_about_z(count)
    generator = np.random.default_rng(seed)
    coarse = _drawn(source, target, COARSE_POINTS, centre, generator)
    order = np.argsort(_grid_scores(coarse, rotations), kind="stable")
    starts = _apart(rotations[order], same_deg, refine)
    fine = _drawn(source, target, FINE_POINTS, centre, generator)
    reach = max_distance or 0.25 * float(np.linalg.norm(np.ptp(fine.target, axis=0)))
    found = sorted(
        (_refined(fine, rotation, reach, with_scale) for rotation in starts), key=lambda one: one.score
    )
    distinct = _distinct(found, same_deg)
    best = distinct[0].score
    limit = AS_GOOD * best + 1e-9 * reach
    return SearchResult(tuple(distinct), sum(one.score <= limit for one in distinct))


@dataclass(frozen=True)
class _Pair:
    """Subsets of both clouds about their own centres, and trees of them."""

    source: np.ndarray  # (K, 3), its centre at the origin
    target: np.ndarray  # (L, 3), likewise
    source_centre: np.ndarray  # (3,)
    target_centre: np.ndarray  # (3,)
    source_tree: cKDTree
    target_tree: cKDTree


def _drawn(source, target, count: int, centre: bool, generator: np.random.Generator) -> _Pair:
    """At most `count` random points of each cloud; raises InputError when the target has no extent."""
    (ours, our_centre), (theirs, their_centre) = (
        _centred(cloud, count, centre, generator) for cloud in (source, target)
    )
    if not np.ptp(theirs, axis=0).any():
        raise InputError("The target's points all coincide; no rotation can be told from another.")
    return _Pair(ours, theirs, our_centre, their_centre, build_tree(ours), build_tree(theirs))


def _centred(
    cloud, count: int, centre: bool, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    cloud = np.asarray(build_tree(cloud).data)  # checked, float64
    middle = cloud.mean(0) if centre else np.zeros(3)
    return cloud[generator.permutation(len(cloud))[:count]] - middle, middle


def _grid_scores(pair: _Pair, rotations: np.ndarray) -> np.ndarray:
    """Chamfer (K,) of the source turned by each rotation (K,3,3): one query per direction for all of them."""
    moved = np.einsum("kij,nj->kni", rotations, pair.source)
    # Turning the target back instead of the source forth needs no new tree.
    back = np.einsum("kji,nj->kni", rotations, pair.target)
    forth, _ = nearest(moved.reshape(-1, 3), pair.target_tree)
    cover, _ = nearest(back.reshape(-1, 3), pair.source_tree)
    return forth.reshape(len(rotations), -1).mean(1) + cover.reshape(len(rotations), -1).mean(1)


def _refined(pair: _Pair, rotation: np.ndarray, reach: float, with_scale: bool) -> Candidate:
    """The answer that ICP finds from a rotation, in the clouds' own frames."""
    found = icp(
        pair.source,
        pair.target_tree,
        max_distance=reach,
        rotation=rotation,
        with_scale=with_scale,
        iterations=ITERATIONS,
    ).transform
    moved = found.apply(pair.source)
    precision = nearest(moved, pair.target_tree)[0].mean()
    coverage = nearest(pair.target, build_tree(moved))[0].mean()
    shift = found.translation + pair.target_centre - found.scale * found.rotation @ pair.source_centre
    return Candidate(Similarity(found.rotation, shift, found.scale), float(precision), float(coverage))


def _apart(rotations: np.ndarray, least_deg: float, count: int) -> list[np.ndarray]:
    """The first `count` rotations, in order, that are at least so far from all chosen before."""
    chosen: list[np.ndarray] = []
    for rotation in rotations:
        if all(_angle_deg(rotation, other) >= least_deg for other in chosen):
            chosen.append(rotation)
        if len(chosen) == count:
            break
    return chosen


def _distinct(candidates: list[Candidate], same_deg: float) -> list[Candidate]:
    """Without those whose rotation a better one has already."""
    kept: list[Candidate] = []
    for one in candidates:
        if all(_angle_deg(one.transform.rotation, other.transform.rotation) >= same_deg for other in kept):
            kept.append(one)
    return kept


def _angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.sum(first * second) - 1) / 2, -1, 1))))


def _check_grid(count: int) -> None:
    if not 1 <= count <= MAX_GRID:
        raise InputError(f"A grid of rotations has 1 to {MAX_GRID} of them, got {count}.")
