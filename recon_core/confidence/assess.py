# SPDX-License-Identifier: Apache-2.0
"""Confidence of one prediction: predict again from changed inputs, look which points the camera sees, apply the map."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ..cameras import Cameras
from .calibration import THRESHOLD, Calibration, read_calibration
from .features import Evidence, feature_table, local_spacing, mean_distance, pose_spread
from .variants import VARIANTS, Mode, crop_variants, mirrored
from .visibility import NAMES, classify, mirror_partners

# Left and right exchanged: of an object in its frame, and of what a camera sees.
_FLIP_X = np.diag([-1.0, 1.0, 1.0])
# Points that all coincide have no spacing.
_LEAST_SPACING = 1e-4


class Predictor(Protocol):
    """What is asked of a run (recon_core.methods.run.LoadedRun)."""

    card: dict[str, Any]
    folder: Path

    @property
    def pose_is_learnt(self) -> bool:
        """Whether the model chose its canonical frame itself."""
        ...

    def predict(self, rgba_crops: np.ndarray) -> Any:
        """Prediction of crops (B,S,S,4) uint8: points, and where predicted rotation, hypotheses and scores."""
        ...


@dataclass(frozen=True)
class Confidence:
    """What is said about the N points of one cloud."""

    probability: np.ndarray  # (N,) float32: that the point lies within THRESHOLD of the true surface
    distance: np.ndarray  # (N,) float32: expected distance to the true surface, object diagonals
    visibility: np.ndarray | None  # (N,) uint8, None without a camera
    mode: Mode
    note: str  # where the map comes from

    def record(self) -> dict[str, Any]:
        """What the JSON file says."""
        seen = self.visibility
        return {
            "mode": self.mode,
            "meaning": f"probability that a point lies within {THRESHOLD:g} of the true surface (diagonal = 1)",
            "mean": round(float(self.probability.mean()), 4),
            "expected_distance_percent": round(100 * float(self.distance.mean()), 3),
            "visibility": None
            if seen is None
            else {name: int((seen == i).sum()) for i, name in enumerate(NAMES)},
            "calibration": self.note,
        }


def assess(
    run: Predictor,
    crop: np.ndarray,
    prediction: Any,
    mode: Mode,
    camera: Cameras | None = None,
    xyz_camera: np.ndarray | None = None,
    calibration: Calibration | None = None,
) -> Confidence:
    """Confidence of prediction (of one crop (S,S,4) uint8, by run.predict).

    camera (1) with the same points in its world, xyz_camera (N,3), tell which are seen. calibration: the run's own, or
    the default, when None.
    """
    evidence = gather(run, crop, prediction, mode, camera, xyz_camera)
    found = calibration or read_calibration(Path(run.folder), run.card.get("steps"))
    chosen = found.find(mode, evidence.visibility is not None)
    probability, distance = (values.astype(np.float32) for values in chosen.apply(feature_table(evidence)))
    return Confidence(probability, distance, evidence.visibility, mode, found.note)


def gather(
    run: Predictor,
    crop: np.ndarray,
    prediction: Any,
    mode: Mode,
    camera: Cameras | None = None,
    xyz_camera: np.ndarray | None = None,
) -> Evidence:
    """The evidence about the points of one prediction; arguments as `assess`."""
    xyz, opacity = _first(prediction.points.xyz), _first(prediction.points.opacity)
    assert xyz is not None
    mirror = mirror_of(run)
    flipped = [] if mirror is None else [mirrored(crop)[None]]
    others = run.predict(np.concatenate((*flipped, crop_variants(crop, VARIANTS[mode]))))
    clouds = others.points.xyz.detach().cpu().double().numpy()  # (K, N, 3)
    spacing = local_spacing(xyz)
    partner, partner_gap = np.arange(len(xyz)), np.full(len(xyz), np.inf)
    mirror_gap = None
    if mirror is not None:
        partner, partner_gap = mirror_partners(xyz, mirror)
        mirror_gap = mean_distance(xyz, [clouds[0] @ mirror.T])
        clouds = clouds[1:]
    visibility = None
    if camera is not None and xyz_camera is not None:
        typical = max(float(np.median(spacing)), _LEAST_SPACING)
        visibility = classify(xyz_camera, camera, typical, partner, partner_gap)
    return Evidence(
        spacing,
        mean_distance(xyz, clouds),
        mirror_gap,
        None if mirror is None else partner_gap,
        opacity,
        visibility,
        _doubt_about_pose(prediction, others, mirror),
    )


def mirror_of(run: Predictor) -> np.ndarray | None:
    """The reflection (3,3) in the frame of the run's points that flipping an image stands for; None if not known."""
    if not run.pose_is_learnt:
        return _FLIP_X
    mirror = run.card.get("mirror")
    return None if mirror is None else np.array(mirror, np.float64)


def _doubt_about_pose(prediction: Any, others: Any, mirror: np.ndarray | None) -> float | None:
    """How far poses differ from the chosen one: the model's own hypotheses by their scores, those of changed inputs."""
    chosen = _first(prediction.rotation)
    if chosen is None:
        return None
    rotations = others.rotation.detach().cpu().double().numpy().copy()
    if mirror is not None:
        rotations[0] = _FLIP_X @ rotations[0] @ mirror  # back through the flipped image's camera
    doubts = [pose_spread(rotations, chosen)]
    hypotheses, scores = (_first(getattr(prediction, name, None)) for name in ("hypotheses", "scores"))
    if hypotheses is not None:
        doubts.append(pose_spread(hypotheses, chosen, scores))
    return float(np.mean(doubts))


def _first(values: torch.Tensor | None) -> np.ndarray | None:
    """The first of a batch in float64."""
    return None if values is None else values[0].detach().cpu().double().numpy()
