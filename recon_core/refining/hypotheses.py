# SPDX-License-Identifier: Apache-2.0
"""The viewpoints that a model thought possible, from the JSON of a result, as cameras of its image."""

from typing import Any

import numpy as np
import torch

from ..cameras import Cameras, quaternion_to_matrix, rotation_angle_deg
from ..data.crop import MASK_THRESHOLD
from ..errors import InputError
from ..inference.photo_camera import fit_camera
from .targets import joined
from .viewpoint import Viewpoints

MOST = 16
# A rotation so near to the predicted one is that one.
_SAME_DEG = 1.0
# A hypothesis that the model gave next to nothing may still be right.
_LEAST_SHARE = 0.01
# Share of points, and of pixels, on each side that does not tell how far the object reaches.
_TAIL = 0.02


def read_hypotheses(record: dict[str, Any], where: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Rotations (K,3,3), cloud to camera, and their shares (K,) under pose.hypotheses; None where there are none.

    Raises InputError for others than at most 16 quaternions with scores from 0 to 1.
    """
    pose = record.get("pose")
    found = pose.get("hypotheses") if isinstance(pose, dict) else None
    if not found:
        return None
    try:
        quaternions = np.array([one["quaternion_wxyz"] for one in found], np.float64)
        scores = np.array([one["score"] for one in found], np.float64)
    except (TypeError, KeyError, ValueError):
        quaternions, scores = np.zeros((0, 0)), np.zeros(0)
    usable = 0 < len(scores) <= MOST and quaternions.shape == (len(scores), 4) and scores.ndim == 1
    if not usable or not (np.linalg.norm(quaternions, axis=1) > 0.1).all() or not _shares(scores):
        raise InputError(
            f"{where}: pose.hypotheses must hold at most {MOST} quaternion_wxyz of four numbers, each with a "
            "score from 0 to 1. Take them out to refine without them."
        )
    return quaternion_to_matrix(torch.from_numpy(quaternions)).numpy(), scores


def _shares(scores: np.ndarray) -> bool:
    # A comparison with NaN is false.
    return bool(((scores >= 0) & (scores <= 1)).all())


def viewpoints_of(
    xyz: np.ndarray, camera: Cameras, hypotheses: tuple[np.ndarray, np.ndarray] | None, mask: np.ndarray
) -> Viewpoints:
    """A predicted camera (1) and those of the other hypotheses, their lenses fitted to the mask (H,W) of the image."""
    own = camera.world_to_cam[0, :3, :3].double()
    seen = camera.resized(mask.shape[1], mask.shape[0])
    if hypotheses is None or camera.orthographic:
        return Viewpoints(refitted(seen, xyz, mask), np.ones(1))
    rotations, scores = hypotheses
    distance = float(camera.world_to_cam[0, :3, 3].norm())
    apart = rotation_angle_deg(torch.from_numpy(rotations), own).numpy()
    others = np.flatnonzero(apart > _SAME_DEG)
    mine = scores[apart <= _SAME_DEG].sum() or scores.max()
    cameras = [seen, *(fit_camera(xyz, rotations[index], mask, distance) for index in others)]
    shares = np.maximum([mine, *scores[others]], _LEAST_SHARE)
    return Viewpoints(joined([refitted(one, xyz, mask) for one in cameras]), shares)


def refitted(camera: Cameras, xyz: np.ndarray, mask: np.ndarray) -> Cameras:
    """The camera (1) with the lens under which points xyz (N,3) spread over the image as the mask (H,W) does.

    By the places between which nearly all of them are, not by the outermost ones as in fit_camera: stray points make
    the cloud's box too large and so the object too small.
    """
    uv_px = camera.project(torch.as_tensor(xyz, dtype=camera.world_to_cam.dtype)[None])[0][0].double().numpy()
    pixels = np.argwhere(mask > MASK_THRESHOLD)[:, ::-1] + 0.5
    low, high = np.quantile(uv_px, [_TAIL, 1 - _TAIL], axis=0)
    wanted_low, wanted_high = np.quantile(pixels, [_TAIL, 1 - _TAIL], axis=0)
    zoom = float(np.linalg.norm(wanted_high - wanted_low) / max(np.linalg.norm(high - low), 1e-9))
    shift = (wanted_low + wanted_high) / 2 - zoom * (low + high) / 2
    return camera.warped(camera.fx.new_tensor([zoom]), camera.fx.new_tensor(shift[None]))
