# SPDX-License-Identifier: Apache-2.0
"""The one rotation between a model's own canonical frame and the object frame, found as DPC does.

A model trained without poses is free to choose its canonical frame; only one rotation for the whole model,
the same for every object, is given back to it before its clouds and poses are judged.

Frames: the canonical frame is the one of the predicted clouds. The object frame has bounding-box diagonal
1, its centre at the origin, +Z up, front -Y (DPC's ground truth, ShapeNet v1, has diagonal 1 as well, so
its maximum correspondence distance of 0.2 is kept). A predicted rotation R_pred takes canonical to camera
coordinates, the true R_true = world_to_cam[:3, :3] object to camera. The alignment R_align takes canonical
to object coordinates: cloud in the object frame = cloud @ R_align^T,    pose in the object frame = R_pred @
R_align^T.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import InputError
from ..geometry.alignment import average_rotations, icp
from ..geometry.nearest import build_tree

MAX_DISTANCE = 0.2
MAX_OBJECTS = 50
MAX_VIEWS = 5
KEEP_VIEWS = 2
KEEP_OBJECTS = 15
# Below this many objects without rotational symmetry, symmetric ones are taken too: better than a single
# witness.
MIN_ASYMMETRIC = 3
# Averaged rotations within this angle of the best-supported one; the rest are flips and failures of ICP.
CONSENSUS_DEG = 30.0
MIN_FITNESS = 0.5
# ICP needs far fewer points than the metrics: with 500 its rotations move by well under a degree.
ICP_PRED_POINTS = 500
ICP_TRUE_POINTS = 2048

Mode = Literal["consensus", "dpc"]


@dataclass(frozen=True)
class AlignmentObject:
    """What the model said about V views of one object, and the truth."""

    points: np.ndarray  # (V, N, 3) canonical frame
    predicted: np.ndarray  # (V, 3, 3) canonical -> camera
    true: np.ndarray  # (V, 3, 3) object -> camera
    truth: np.ndarray  # (M, 3) object frame
    symmetry_order: int = 1


@dataclass(frozen=True)
class Alignment:
    """The rotation (3,3) canonical -> object, and how well its witnesses agree."""

    rotation: np.ndarray
    objects: int  # that had a say
    rotations: int  # that were averaged
    rejected: int  # selected as DPC does, but off the consensus
    spread_deg: float  # mean angle of the averaged rotations from the result
    inlier_rmse: float  # mean of the averaged ones, object units
    symmetric_used: bool  # whether objects with a symmetry had to be taken

    def summary(self) -> dict[str, object]:
        """As plain values for JSON."""
        return {**vars(self), "rotation": self.rotation.tolist()}


def canonical_alignment(objects: Sequence[AlignmentObject], *, mode: Mode = "consensus") -> Alignment:
    """Find the global rotation; raises InputError when there is no object to find it with.

    "dpc": of the first 50 validation objects, ICP of the whole clouds from each of 5 views, started at
    R_true^T R_pred, keeps its rotation and inlier RMSE; per object the 2 views of least RMSE; the 15 objects of
    least mean RMSE; the Markley average of their rotations, nothing left out. Two accidents of the original are
    not kept: a view where ICP finds no pair is the worst here, not the best (of RMSE 0), and rotations of half a
    turn are averaged rather than lost to a root of a negative number.

    "consensus", for our own tables, besides: objects with a symmetry about Z cannot tell the frame's heading and
    are left out while 3 others remain, views of which less than half overlaps have no say, rotations more than 30
    degrees off the consensus are left out of the average, and ICP sees thinned clouds. The consensus is the rotation of
    those kept that most poses of all views agree with, R_true^T R_pred within 30 degrees of it: of clouds that look
    alike from front and back, half of the few that are kept are turned, and which half is larger is chance.
    """
    chosen, symmetric_used = list(objects), any(one.symmetry_order != 1 for one in objects[:MAX_OBJECTS])
    if mode == "consensus":
        asymmetric = [one for one in objects if one.symmetry_order == 1]
        symmetric_used = len(asymmetric) < MIN_ASYMMETRIC
        chosen = list(objects) if symmetric_used else asymmetric
    chosen = chosen[:MAX_OBJECTS]
    best = [views for one in chosen if (views := _best_views(one, mode))]
    if not best:
        raise InputError(
            f"The canonical frame cannot be aligned: ICP found no overlap on any of {len(chosen)} objects. "
            "The predicted clouds are far from the objects; train longer."
        )
    best.sort(key=lambda views: np.mean([rmse for rmse, _ in views]))
    return _averaged(
        [view for views in best[:KEEP_OBJECTS] for view in views], mode, symmetric_used, len(best), _votes(chosen)
    )


def _votes(objects: Sequence[AlignmentObject]) -> np.ndarray:
    """What the pose of every view says of the alignment, R_true^T R_pred (K,3,3)."""
    said = [
        np.einsum("vji,vjk->vik", one.true[:MAX_VIEWS], one.predicted[:MAX_VIEWS]).astype(np.float64)
        for one in objects
    ]
    votes = np.concatenate(said)
    return votes[np.isfinite(votes).all((1, 2))]


def _averaged(
    kept: list[tuple[float, np.ndarray]], mode: Mode, symmetric_used: bool, objects: int, votes: np.ndarray
) -> Alignment:
    """The average of the kept RMSEs and rotations, in consensus mode of those that agree."""
    rotations = np.stack([rotation for _, rotation in kept])
    rotation, inside = average_rotations(rotations), np.ones(len(kept), bool)
    if mode == "consensus":
        rotation, inside = _consensus(rotations, votes)
    return Alignment(
        rotation=rotation,
        objects=min(objects, KEEP_OBJECTS),
        rotations=int(inside.sum()),
        rejected=int((~inside).sum()),
        spread_deg=float(_angles_deg(rotations[inside], rotation).mean()),
        inlier_rmse=float(np.mean([kept[index][0] for index in np.flatnonzero(inside)])),
        symmetric_used=symmetric_used,
    )


def _best_views(one: AlignmentObject, mode: Mode) -> list[tuple[float, np.ndarray]]:
    """Inlier RMSE and rotation of the best views of an object; none when nothing overlaps."""
    whole = mode == "dpc"
    tree = build_tree(one.truth if whole else _thinned(one.truth, ICP_TRUE_POINTS))
    results = []
    for points, predicted, true in list(zip(one.points, one.predicted, one.true))[:MAX_VIEWS]:
        if not (np.isfinite(points).all() and np.isfinite(predicted).all()):
            continue
        source = points if whole else _thinned(points, ICP_PRED_POINTS)
        found = icp(source, tree, max_distance=MAX_DISTANCE, rotation=true.T @ predicted)
        if found.fitness >= (MIN_FITNESS if mode == "consensus" else 1e-12):
            results.append((found.inlier_rmse, found.transform.rotation))
    return sorted(results, key=lambda pair: pair[0])[:KEEP_VIEWS]


def _thinned(points: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the points, the same ones every time, spread over the array."""
    if len(points) <= count:
        return np.asarray(points, np.float64)
    return np.asarray(points, np.float64)[np.random.default_rng(0).permutation(len(points))[:count]]


def _consensus(rotations: np.ndarray, votes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average of the rotations (K,3,3) near the one that most votes (L,3,3) are near, and which those are (K,)."""
    support = np.stack([_angles_deg(votes, one) <= CONSENSUS_DEG for one in rotations])  # (K, L)
    inside = _angles_deg(rotations, rotations[support.sum(1).argmax()]) <= CONSENSUS_DEG
    mean = average_rotations(rotations[inside])
    inside = _angles_deg(rotations, mean) <= CONSENSUS_DEG
    return average_rotations(rotations[inside]), inside


def _angles_deg(rotations: np.ndarray, other: np.ndarray) -> np.ndarray:
    cosine = (np.einsum("kij,ij->k", rotations, other) - 1) / 2
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
