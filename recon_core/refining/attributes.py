# SPDX-License-Identifier: Apache-2.0
"""What points carry after they moved: colours that images gave, visibility seen again, confidence never higher."""

from dataclasses import replace
from typing import Any

import numpy as np

from .. import __version__
from ..cameras import Cameras
from ..confidence.features import local_spacing
from ..confidence.visibility import NAMES, classify, mirror_partners
from ..inference.photo_camera import COLOR_SOURCES
from ..pointcloud import PointCloud
from .colors import ColorFit

# How confident a point may be at most that moved so far (in diagonals). On validation renders under predicted cameras,
# points that moved by up to 0.03 were within 0.02 of the surface as often after as before; of those that moved by 0.05
# to 0.08 44 % were, and of those that moved further 10 %.
_MOVED = (0.03, 0.05, 0.08, 0.12)
_CAP = (1.0, 0.5, 0.3, 0.1)
NOTE = "lowered where refinement moved points far"
_MIRROR = np.diag([-1.0, 1.0, 1.0])


def with_attributes(
    before: PointCloud, after: PointCloud, cameras: list[Cameras], colors: ColorFit | None
) -> PointCloud:
    """The cloud after refinement with what its points may claim, and the colours that were fitted, if any."""
    cloud = replace(after, comments={**after.comments, "refined": f"recon {__version__}"})
    if colors is not None:
        cloud.colors = colors.colors
        cloud.comments["color"] = COLOR_SOURCES["fitted"]
    if cloud.confidence is not None:
        cloud.confidence = lowered(cloud.confidence, before.xyz, cloud.xyz)
        note = cloud.comments.get("confidence", "the prediction's")
        cloud.comments["confidence"] = note if NOTE in note else f"{note}; {NOTE}"
    if cloud.visibility is not None:
        cloud.visibility = seen_again(cloud.xyz, cameras)
    return cloud


def confidence_now(cloud: PointCloud) -> dict[str, Any]:
    """What the JSON file says of a refined cloud's confidence (N,) beside what the prediction's said."""
    assert cloud.confidence is not None
    seen = cloud.visibility
    return {
        "mean": round(float(cloud.confidence.mean()), 4),
        "visibility": None
        if seen is None
        else {name: int((seen == i).sum()) for i, name in enumerate(NAMES)},
        "refined": NOTE,
    }


def lowered(confidence: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Confidence (N,) float32 of points that moved from before (N,3) to after: never higher, capped by the distance."""
    diagonal = max(float(np.linalg.norm(np.ptp(before, axis=0))), 1e-12)
    moved = np.linalg.norm(after.astype(np.float64) - before, axis=1) / diagonal
    return np.minimum(confidence, np.interp(moved, _MOVED, _CAP)).astype(np.float32)


def seen_again(xyz: np.ndarray, cameras: list[Cameras]) -> np.ndarray:
    """Visibility (N,) uint8 of points (N,3): the most that any of the cameras sees of them."""
    spacing = max(float(np.median(local_spacing(xyz))), 1e-9)
    partner, gap = mirror_partners(xyz, _MIRROR)
    return np.max([classify(xyz, camera, spacing, partner, gap) for camera in cameras], axis=0)
