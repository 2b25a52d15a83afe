# SPDX-License-Identifier: Apache-2.0
"""What a protocol makes of one predicted cloud and one object's truth: pure functions over clouds."""

import math
import zlib
from collections.abc import Sequence

import numpy as np
import torch

from ..errors import InputError
from ..geometry.emd import assign
from ..geometry.sampling import farthest_points, voxel_means
from ..pointcloud import PointCloud
from .baselines import take
from .metrics import Matches, match_clouds
from .protocols import Protocol, Views

# Added to P + R by the code that the dibr protocol follows; it matters only where both are tiny.
F_EPSILON = 1e-8


def true_cloud(protocol: Protocol, samples: PointCloud, table: PointCloud, name: str) -> PointCloud:
    """The truth as the protocol has it, object frame; it depends on the object's name alone.

    samples: all samples of the surface that may be used. table: those of the native table.
    """
    count = min(protocol.true_points or len(samples), len(samples))
    if protocol.true_choice == "voxels":
        return PointCloud(voxel_means(samples.xyz, protocol.voxel).astype(np.float32))
    if protocol.true_choice == "farthest":
        return take(samples, farthest_points(samples.xyz, count))
    if protocol.true_choice == "random":
        return take(samples, _subset(len(samples), count, f"{name} truth"))
    return table


def predicted_cloud(protocol: Protocol, cloud: PointCloud, key: str) -> PointCloud:
    """The points of a prediction that take part; `key` names the object, method and view, and decides which."""
    count = protocol.predicted_points
    if count is None or len(cloud) <= count:
        return cloud
    return take(cloud, _subset(len(cloud), count, key))


def _subset(total: int, count: int, key: str) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(key.encode())).permutation(total)[:count]


def in_frame(
    protocol: Protocol, predicted: np.ndarray, truth: np.ndarray, longest_edge: float
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted (N,3) and true (M,3) points, from the object frame to the protocol's, in float64.

    longest_edge: of the true object's bounding box, in the object frame.
    """
    predicted, truth = np.asarray(predicted, np.float64), np.asarray(truth, np.float64)
    if protocol.frame == "longest1":
        if not longest_edge > 0:
            raise InputError(
                f"The true object's box has the longest edge {longest_edge}; it cannot be scaled to 1."
            )
        return predicted / longest_edge, truth / longest_edge
    if protocol.frame == "ownbox1":
        return boxed(predicted, protocol.clip), boxed(truth)
    return predicted, truth


def boxed(points: np.ndarray, clip: float | None = None) -> np.ndarray:
    """Points (N,3) with their box's centre at the origin and its longest edge 1.

    clip: coordinates are clipped to +-clip for finding the box, not in the result, so that a few stray points do
    not shrink the rest. Raises InputError when the box has no extent.
    """
    seen = points if clip is None else points.clip(-clip, clip)
    low, high = seen.min(0), seen.max(0)
    extent = (high - low).max()
    if not extent > 0:
        raise InputError(f"{len(points)} points have a box without extent; it cannot be scaled to 1.")
    return (points - (low + high) / 2) / extent


def score_cloud(
    protocol: Protocol, predicted: PointCloud, truth: PointCloud, longest_edge: float, parts: int = 0
) -> dict[str, float]:
    """Values of one cloud, unscaled: precision, coverage, chamfer, and what else the protocol measures.

    predicted and truth are those of predicted_cloud and true_cloud; parts: how many the category has (0: none).
    precision is from predicted to true points, coverage back. Raises InputError for empty clouds.
    """
    ours, theirs = in_frame(protocol, predicted.xyz, truth.xyz, longest_edge)
    matches = match_clouds(ours, theirs)
    forth, back = matches.pred_to_truth.numpy(), matches.truth_to_pred.numpy()
    power = 2 if protocol.squared else 1
    precision, coverage = float((forth**power).mean()), float((back**power).mean())
    values = {"precision": precision, "coverage": coverage}
    values["chamfer"] = (precision + coverage) / (2 if protocol.halved else 1)
    for limit in protocol.f_thresholds:
        values[f"fscore_{limit:g}"] = f_score(forth, back, limit)
    if protocol.emd_squared is not None:
        values["emd"] = matched_distance(ours, theirs, squared=protocol.emd_squared)
    return values | _attributes(protocol, predicted, truth, ours, theirs, matches, parts)


def f_score(forth: np.ndarray, back: np.ndarray, limit: float) -> float:
    """2PR / (P + R + 1e-8) of the shares of predicted and true points within the limit of the other cloud."""
    precision, recall = float((forth <= limit).mean()), float((back <= limit).mean())
    return 2 * precision * recall / (precision + recall + F_EPSILON)


def matched_distance(predicted: np.ndarray, truth: np.ndarray, *, squared: bool) -> float:
    """Mean (squared) distance over the one-to-one matching of least Euclidean cost.

    The first N of the true points when there are more: farthest-point order keeps those spread. NaN when there
    are fewer than predicted ones.
    """
    if len(truth) < len(predicted):
        return math.nan
    return assign(predicted, truth[: len(predicted)]).mean(squared=squared)


def _attributes(
    protocol: Protocol,
    predicted: PointCloud,
    truth: PointCloud,
    ours: np.ndarray,
    theirs: np.ndarray,
    matches: Matches,
    parts: int,
) -> dict[str, float]:
    """Colour error and part IoU where the protocol has them and both clouds do."""
    values: dict[str, float] = {}
    if not (protocol.colour or protocol.parts):
        return values
    nearest_pred = matches.nearest_pred.numpy()
    nearest_true = match_clouds(theirs, ours).nearest_pred.numpy()  # (N,) of each predicted point
    if protocol.colour and predicted.colors is not None and truth.colors is not None:
        values["colour_mse"] = colour_error(predicted.colors, truth.colors, nearest_true, nearest_pred)
    if protocol.parts and predicted.labels is not None and truth.labels is not None and parts:
        forward = part_iou(predicted.labels[nearest_pred], truth.labels, parts)
        backward = part_iou(predicted.labels, truth.labels[nearest_true], parts)
        values["part_miou"] = (forward + backward) / 2
    return values


def colour_error(
    predicted: np.ndarray, truth: np.ndarray, nearest_true: np.ndarray, nearest_pred: np.ndarray
) -> float:
    """Mean squared difference over points and channels of colours in [0, 1], predicted -> true plus true -> predicted.

    predicted (N,3) and truth (M,3) uint8; nearest_true (N,) and nearest_pred (M,) are the partners' indices.
    """
    ours, theirs = predicted.astype(np.float64) / 255, truth.astype(np.float64) / 255
    forth = ((ours - theirs[nearest_true]) ** 2).mean()
    return float(forth + ((theirs - ours[nearest_pred]) ** 2).mean())


def part_iou(predicted: np.ndarray, truth: np.ndarray, parts: int) -> float:
    """Mean over parts 1..parts of the IoU of two labellings of the same points; 1 for a part in neither."""
    values = []
    for part in range(1, parts + 1):
        ours, theirs = predicted == part, truth == part
        union = (ours | theirs).sum()
        values.append((ours & theirs).sum() / union if union else 1.0)
    return float(np.mean(values))


def over_views(values: Sequence[float], how: Views) -> float:
    """Mean, least or largest of an object's per-view values, NaN ones left out; NaN when none is left."""
    kept = [value for value in values if not math.isnan(value)]
    return float({"mean": np.mean, "min": np.min, "max": np.max}[how](kept)) if kept else math.nan


def over_objects(values: Sequence[float], names: Sequence[str], *, categories: bool) -> float:
    """Mean over objects "<category>/<object>", or the unweighted mean of the categories' means; NaN left out."""
    groups: dict[str, list[float]] = {}
    for value, name in zip(values, names, strict=True):
        if not math.isnan(value):
            groups.setdefault(name.partition("/")[0] if categories else "", []).append(value)
    return float(np.mean([np.mean(group) for group in groups.values()])) if groups else math.nan


def pose_summary(errors_deg: torch.Tensor) -> tuple[float, float]:
    """Share of angles (n,) below 30 degrees, strictly, and sorted[n // 2]; NaN when there is none."""
    if not len(errors_deg):
        return math.nan, math.nan
    share = float((errors_deg < 30).double().mean())
    return share, float(errors_deg.sort().values[len(errors_deg) // 2])
