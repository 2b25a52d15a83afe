# SPDX-License-Identifier: Apache-2.0
"""Metrics of clouds, masks, parts, colours and poses, each a torchmetrics.Metric over a pure function.

Clouds are compared in the object frame (bounding-box diagonal 1, centre at the origin, +Z up, front -Y);
distances are Euclidean, never squared. Sums are float64. Every metric is a mean over the clouds (or views)
it was given, each counting once; with nothing counted, compute() returns NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree
from torchmetrics import Metric

from ..cameras import rotation_about_z, rotation_angle_deg
from ..errors import InputError
from ..geometry.chamfer import f_scores_from
from ..geometry.nearest import build_tree, nearest, nearest_torch

FSCORE_THRESHOLDS = (0.01, 0.02, 0.05)
POSE_THRESHOLD_DEG = 30.0
# A perfect colour match would be an infinite PSNR, which has no mean.
PSNR_CAP_DB = 100.0


@dataclass(frozen=True)
class Matches:
    """Nearest neighbours between a predicted cloud of N points and a true one of M, found once."""

    pred_to_truth: torch.Tensor  # (N,) distance of each predicted point to the nearest true one
    truth_to_pred: torch.Tensor  # (M,) distance of each true point to the nearest predicted one
    nearest_pred: torch.Tensor  # (M,) index of that predicted point


def match_clouds(
    predicted: np.ndarray | torch.Tensor,
    truth: np.ndarray | torch.Tensor,
    *,
    truth_tree: cKDTree | None = None,
    workers: int = 1,
) -> Matches:
    """Match predicted (N,3) and true (M,3) points; raises InputError when a cloud is empty or not finite.

    CUDA tensors are matched on their device in float64; all else by k-d trees, where truth_tree saves
    building one.
    """
    if isinstance(predicted, torch.Tensor) and predicted.is_cuda:
        first = predicted.detach().double()[None]
        second = torch.as_tensor(truth, dtype=torch.float64, device=first.device)[None]
        forth, back = nearest_torch(first, second)[0][0], nearest_torch(second, first)
        return Matches(forth, back[0][0], back[1][0])
    predicted, truth = _array(predicted), _array(truth)
    tree = build_tree(predicted)
    forth, _ = nearest(predicted, truth if truth_tree is None else truth_tree, workers=workers)
    back, index = nearest(truth, tree, workers=workers)
    return Matches(torch.from_numpy(forth), torch.from_numpy(back), torch.from_numpy(index))


def _array(points: np.ndarray | torch.Tensor) -> np.ndarray:
    return points.detach().cpu().numpy() if isinstance(points, torch.Tensor) else points


def chamfer(matches: Matches) -> torch.Tensor:
    """(2,): mean distance predicted -> true (precision) and true -> predicted (coverage), object units."""
    return torch.stack((matches.pred_to_truth.double().mean(), matches.truth_to_pred.double().mean()))


def f_scores(matches: Matches, thresholds: Sequence[float] = FSCORE_THRESHOLDS) -> torch.Tensor:
    """(K,) harmonic means of the shares of predicted and of true points that lie within each threshold."""
    return f_scores_from(matches.pred_to_truth, matches.truth_to_pred, tuple(thresholds))


def mask_iou(predicted: torch.Tensor, truth: torch.Tensor, threshold: float = 0.5) -> torch.Tensor:
    """(B,) IoU of coverages (B,H,W), counted where above threshold; 1 where both are empty."""
    if predicted.shape != truth.shape or predicted.ndim != 3:
        raise InputError(
            f"Masks must both be (B,H,W), got {tuple(predicted.shape)} and {tuple(truth.shape)}."
        )
    first, second = (predicted > threshold).flatten(1), (truth > threshold).flatten(1)
    union = (first | second).sum(1).double()
    return torch.where(union > 0, (first & second).sum(1) / union.clamp(min=1), torch.ones_like(union))


def part_mean_iou(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Scalar mean IoU of two labellings (M,) of the true points, as PartMeanIoU; NaN without labels."""
    labelled = truth > 0
    predicted, truth = predicted[labelled].long(), truth[labelled].long()
    values = [
        ((predicted == part) & (truth == part)).sum() / ((predicted == part) | (truth == part)).sum()
        for part in truth.unique()
    ]
    return torch.stack(values).double().mean() if values else torch.tensor(torch.nan, dtype=torch.float64)


def color_psnr(predicted: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Scalar PSNR in dB of colours (M,3), sRGB in [0, 1], capped at PSNR_CAP_DB."""
    error = ((predicted.double() - truth.double()) ** 2).mean()
    return -10 * torch.log10(error.clamp(min=10 ** (-PSNR_CAP_DB / 10)))


def pose_error_deg(predicted: torch.Tensor, truth: torch.Tensor, symmetry_order: int = 1) -> torch.Tensor:
    """(B,) angles in degrees between object-to-camera rotations (B,3,3), up to symmetry about Z.

    symmetry_order n: the least angle over predicted @ Rz(k 360/n); 0: over every rotation about Z, in
    closed form, as trace(truth^T predicted Rz(t)) = (M00 + M11) cos t + (M01 - M10) sin t + M22 with M =
    truth^T predicted.
    """
    if symmetry_order < 0:
        raise InputError(f"A symmetry order is 0 (any angle) or positive, got {symmetry_order}.")
    predicted, truth = predicted.double(), truth.double()
    if symmetry_order == 0:
        m = truth.transpose(-1, -2) @ predicted
        best = torch.hypot(m[..., 0, 0] + m[..., 1, 1], m[..., 0, 1] - m[..., 1, 0]) + m[..., 2, 2]
        return torch.rad2deg(torch.arccos(((best - 1) / 2).clamp(-1, 1)))
    turns = torch.arange(symmetry_order, dtype=torch.float64, device=predicted.device)
    symmetric = rotation_about_z(turns * (2 * torch.pi / symmetry_order))  # (n, 3, 3)
    return rotation_angle_deg(predicted[:, None] @ symmetric, truth[:, None]).amin(1)


class _MeanOfClouds(Metric):
    """Mean over updates of a vector of `width` values."""

    full_state_update = False
    total: torch.Tensor
    count: torch.Tensor

    def __init__(self, width: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros(width, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def _add(self, values: torch.Tensor, count: int = 1) -> None:
        self.total = self.total + values.to(self.total)
        self.count = self.count + count

    def _mean(self) -> torch.Tensor:
        return torch.where(self.count > 0, self.total / self.count, torch.nan)


class ChamferDistance(_MeanOfClouds):
    """Chamfer distance: precision, coverage and their sum, x100.

    precision = mean over predicted points of the Euclidean distance (not squared) to the nearest true
    point; coverage = mean over true points of the distance to the nearest predicted point; sum = precision
    + coverage (not their average), all times 100, in the frame where the object's bounding-box diagonal is
    1. No alignment per object.
    """

    higher_is_better = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(2, **kwargs)

    def update(self, matches: Matches) -> None:
        """Count one cloud."""
        self._add(chamfer(matches))

    def compute(self) -> dict[str, torch.Tensor]:
        """precision, coverage, sum."""
        precision, coverage = 100 * self._mean()
        return {"precision": precision, "coverage": coverage, "sum": precision + coverage}


class FScore(_MeanOfClouds):
    """F-score in [0, 1] at distances of 0.01, 0.02 and 0.05 of the bounding-box diagonal.

    Per cloud, with P the share of predicted points within the distance of a true point and R the share of
    true points within it of a predicted one: 2 P R / (P + R), 0 when both are 0.
    """

    higher_is_better = True

    def __init__(self, thresholds: Sequence[float] = FSCORE_THRESHOLDS, **kwargs: Any) -> None:
        super().__init__(len(thresholds), **kwargs)
        self.thresholds = tuple(thresholds)

    def update(self, matches: Matches) -> None:
        """Count one cloud."""
        self._add(f_scores(matches, self.thresholds))

    def compute(self) -> dict[str, torch.Tensor]:
        """One value per threshold, by its number as text."""
        return {f"{limit:g}": value for limit, value in zip(self.thresholds, self._mean(), strict=True)}


class MaskIoU(_MeanOfClouds):
    """Mean intersection over union of silhouettes in views that the cloud was not predicted from.

    The predicted coverage (the splatted cloud) and the true anti-aliased mask both count where they exceed
    0.5.
    """

    higher_is_better = True

    def __init__(self, threshold: float = 0.5, **kwargs: Any) -> None:
        super().__init__(1, **kwargs)
        self.threshold = threshold

    def update(self, predicted: torch.Tensor, truth: torch.Tensor) -> None:
        """Count one cloud by its mean over views, coverages (B,H,W) in [0, 1]."""
        self._add(mask_iou(predicted, truth, self.threshold).mean())

    def compute(self) -> torch.Tensor:
        """The mean IoU."""
        return self._mean()[0]


class PartMeanIoU(_MeanOfClouds):
    """Part segmentation, judged on the true points.

    Each true point takes the label of its nearest predicted point. For every part present among the true
    points of the cloud: IoU = true points of that part that also took its label / true points with either;
    the cloud's score is the mean over those parts. True points without a label (0) are left out, and clouds
    with none are not counted.
    """

    higher_is_better = True

    def update(self, matches: Matches, predicted_labels: torch.Tensor, true_labels: torch.Tensor) -> None:
        """Count one cloud: labels (N,) of the predicted and (M,) of the true points, from 1."""
        value = part_mean_iou(
            predicted_labels.to(matches.nearest_pred.device)[matches.nearest_pred], true_labels
        )
        if torch.isfinite(value):
            self._add(value)

    def compute(self) -> torch.Tensor:
        """The mean part mIoU."""
        return self._mean()[0]


class ColourPSNR(_MeanOfClouds):
    """PSNR in dB of surface colour, judged on the true points.

    Each true point takes the colour of its nearest predicted point. Per cloud: MSE = mean over true points
    and the three channels of the squared difference of sRGB values in [0, 1]; PSNR = -10 log10 MSE, capped
    at 100 dB; the score is the mean of the clouds' PSNR. True colours are the surface's own, without
    lighting.
    """

    higher_is_better = True

    def update(self, matches: Matches, predicted_colors: torch.Tensor, true_colors: torch.Tensor) -> None:
        """Count one cloud: sRGB in [0, 1], (N,3) of the predicted and (M,3) of the true points."""
        taken = predicted_colors.to(matches.nearest_pred.device)[matches.nearest_pred]
        self._add(color_psnr(taken, true_colors))

    def compute(self) -> torch.Tensor:
        """The mean PSNR in dB."""
        return self._mean()[0]


class PoseAccuracy(Metric):
    """Share of predicted rotations within 30 degrees of the truth, and the median error in degrees.

    Rotations take the object frame to the camera frame (world_to_cam[:3, :3]); a learnt pose has first been
    taken to that frame by the canonical alignment (evaluation/canonical.py). Every view counts once; the
    median is sorted[n // 2], as in DPC. "plain" takes the object frame at its word; "symmetric" is up to
    each object's order of rotational symmetry about Z (0: any angle).
    """

    full_state_update = False
    higher_is_better = True
    plain: list[torch.Tensor]
    symmetric: list[torch.Tensor]

    def __init__(self, threshold_deg: float = POSE_THRESHOLD_DEG, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold_deg = threshold_deg
        self.add_state("plain", [], dist_reduce_fx="cat")
        self.add_state("symmetric", [], dist_reduce_fx="cat")

    def update(self, predicted: torch.Tensor, truth: torch.Tensor, symmetry_order: int = 1) -> None:
        """Count the views of one object: rotations (B,3,3)."""
        self.plain.append(pose_error_deg(predicted, truth))
        self.symmetric.append(pose_error_deg(predicted, truth, symmetry_order))

    def compute(self) -> dict[str, torch.Tensor]:
        """accuracy and median_deg, and both again with the suffix _symmetric."""
        result = {}
        for suffix, state in (("", self.plain), ("_symmetric", self.symmetric)):
            errors = torch.cat(list(state)) if len(state) else torch.empty(0, dtype=torch.float64)
            share = (errors < self.threshold_deg).double().mean()  # NaN when empty
            result[f"accuracy{suffix}"] = share
            result[f"median_deg{suffix}"] = (
                errors.sort().values[len(errors) // 2] if len(errors) else share.new_tensor(torch.nan)
            )
        return result
