# SPDX-License-Identifier: Apache-2.0
"""All metrics of one method together, and what each of them is called and means."""

import math
from dataclasses import dataclass

import torch

from .metrics import (
    FSCORE_THRESHOLDS,
    POSE_THRESHOLD_DEG,
    ChamferDistance,
    ColourPSNR,
    FScore,
    MaskIoU,
    PartMeanIoU,
    PoseAccuracy,
)
from .truth import MASK_SIZE_PX, SPLAT_DENSITY, SPLAT_SIGMA_PX, Judged, Truth

METHODS = {
    "model": "model",
    "mean_shape": "mean training shape",
    "retrieval": "retrieval",
    "noise_floor": "noise floor",
}


@dataclass(frozen=True)
class MetricInfo:
    """How one number is shown: key in the JSON, heading (group and short), full title, meaning."""

    key: str
    group: str
    short: str
    title: str
    meaning: str
    lower_is_better: bool = False
    digits: int = 3


def describe_metrics(predicted_points: int, true_points: int) -> list[MetricInfo]:
    """Every metric with its convention in its title, for N predicted against M true points."""
    counts = f"{predicted_points} vs {true_points} points, diag 1"
    frame = (
        "in the object frame (bounding-box diagonal 1), no alignment per object; mean over views and objects."
    )
    return [
        *_chamfer_infos(counts, frame),
        *(
            MetricInfo(
                f"fscore_{limit:g}",
                "F-score",
                f"{limit:g}",
                f"F-score at {limit:g} ({counts})",
                f"Harmonic mean of the shares of predicted and of true points within {limit:g} of the other cloud, "
                + frame,
            )
            for limit in FSCORE_THRESHOLDS
        ),
        MetricInfo(
            "mask_iou",
            "Unseen views",
            "mask IoU",
            f"Mask IoU on unseen views ({MASK_SIZE_PX} px, threshold 0.5)",
            "Intersection over union of the true mask and the splatted cloud (with predicted opacity; sigma "
            f"{SPLAT_SIGMA_PX} px, density {SPLAT_DENSITY}), with the true cameras of views other than the input.",
        ),
        MetricInfo(
            "part_miou",
            "Surface",
            "part mIoU",
            f"Part mIoU (mean over parts present, on {true_points} true points)",
            "Each true point takes the label of its nearest predicted point, the most probable among the parts of the "
            "true category; IoU per part, mean over the parts that the object has.",
        ),
        MetricInfo(
            "colour_psnr",
            "Surface",
            "PSNR dB",
            f"Colour PSNR dB (sRGB, on {true_points} true points)",
            "Each true point takes the colour of its nearest predicted point; PSNR per cloud over all channels. True "
            "colours are the surface's own, without lighting; models see lit pictures.",
            digits=2,
        ),
        *_pose_infos(),
    ]


def _chamfer_infos(counts: str, frame: str) -> list[MetricInfo]:
    meanings = {
        "sum": "Precision plus coverage (their sum, not their average), ",
        "precision": "Mean Euclidean distance (not squared) from each predicted point to the nearest true one, ",
        "coverage": "Mean Euclidean distance (not squared) from each true point to the nearest predicted one, ",
    }
    return [
        MetricInfo(
            f"chamfer_{part}",
            "Chamfer x100",
            part,
            f"Chamfer {part} x100 (Euclidean, {counts})",
            f"{meaning}times 100, {frame}",
            lower_is_better=True,
            digits=2,
        )
        for part, meaning in meanings.items()
    ]


def _pose_infos() -> list[MetricInfo]:
    infos = []
    for suffix, label, up_to in (
        ("", "", "the object frame taken at its word"),
        ("_symmetric", " up to symmetry", "up to the object's order of rotational symmetry about Z"),
    ):
        limit = f"{POSE_THRESHOLD_DEG:g}"
        infos += [
            MetricInfo(
                f"pose_accuracy{suffix}",
                f"Pose{label}",
                f"acc@{limit}°",
                f"Pose accuracy at {limit} degrees{label}",
                f"Share of views whose predicted rotation is within {limit} degrees of the true one, {up_to}; after "
                "the one global alignment of the model's canonical frame when poses are learnt.",
            ),
            MetricInfo(
                f"pose_median_deg{suffix}",
                f"Pose{label}",
                "median °",
                f"Pose median error in degrees{label}",
                f"sorted[n // 2] of the angles between predicted and true rotations over all views, {up_to}.",
                lower_is_better=True,
                digits=1,
            ),
        ]
    return infos


class Scores:
    """The metrics of one method over the clouds it was judged on."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.chamfer = ChamferDistance()
        self.f_score = FScore()
        self.mask_iou = MaskIoU()
        self.part_miou = PartMeanIoU()
        self.colour_psnr = ColourPSNR()
        self.pose = PoseAccuracy()

    def add(
        self, judged: Judged, truth: Truth, view: int, unseen: list[int], rotation: torch.Tensor | None
    ) -> None:
        """Count the cloud predicted from one view; rotation (3,3) object -> camera where there is one."""
        self.chamfer.update(judged.matches)
        self.f_score.update(judged.matches)
        if unseen:
            places = [judged.views.index(one) for one in unseen]
            self.mask_iou.update(judged.coverage[places], truth.masks[unseen])
        cloud = judged.cloud
        if cloud.labels is not None and truth.cloud.labels is not None:
            labels = torch.from_numpy(cloud.labels), torch.from_numpy(truth.cloud.labels)
            self.part_miou.update(judged.matches, *labels)
        if cloud.colors is not None and truth.cloud.colors is not None:
            colors = torch.from_numpy(cloud.colors) / 255, torch.from_numpy(truth.cloud.colors) / 255
            self.colour_psnr.update(judged.matches, *colors)
        if rotation is not None:
            self.pose.update(rotation[None], truth.rotations[view][None], truth.symmetry_order)

    def values(self) -> dict[str, float | None]:
        """Every number by the key of its MetricInfo; None where the method has nothing to judge."""
        results = {f"chamfer_{name}": value for name, value in _computed(self.chamfer).items()}
        results |= {f"fscore_{name}": value for name, value in _computed(self.f_score).items()}
        for name in ("mask_iou", "part_miou", "colour_psnr"):
            results |= {name: _computed(getattr(self, name))[""]}
        results |= {f"pose_{name}": value for name, value in _computed(self.pose).items()}
        return results

    def pose_errors_deg(self) -> tuple[list[float], list[float]]:
        """Angles of all views, plain and up to symmetry."""
        both = [
            torch.cat(list(state)).tolist() if state else []
            for state in (self.pose.plain, self.pose.symmetric)
        ]
        return both[0], both[1]


def _computed(metric) -> dict[str, float | None]:
    """compute() as plain numbers, None for NaN; a single value has the name ""."""
    if not metric.update_called:
        metric._update_count = 1  # an empty metric is meant: no warning
    result = metric.compute()
    named = result if isinstance(result, dict) else {"": result}
    return {name: float(value) if math.isfinite(value) else None for name, value in named.items()}
