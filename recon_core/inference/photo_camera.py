# SPDX-License-Identifier: Apache-2.0
"""The photograph's camera, as far as a predicted rotation and the mask fix it, and colours seen through it."""

from typing import Any

import numpy as np
import torch

from ..cameras import Cameras, camera_to_world, matrix_to_quaternion
from ..data.crop import MASK_THRESHOLD

# A few stray points must not decide the size of the object.
_STRAY_SHARE = 0.005
_STRAY_REACH = 0.2
_REFINED = "refined"
_PREDICTED = (
    "predicted; focal length and principal point in pixels fitted to the mask's box at a fixed distance"
)
# Colour-blind-safe ramp from low to high, for clouds without any colour.
# Where a cloud's colours are from: the comment `color` of a PLY file, and what JSON files say.
COLOR_SOURCES = {
    "predicted": "predicted by the model",
    "projected": "looked up in the photograph through the predicted pose; hidden points are guessed",
    "height": "none known; shows the height",
    "fitted": "fitted to the photograph: looked up where it shows the points, which tell the others",
}
_RAMP = ((52, 62, 120), (44, 120, 142), (70, 170, 120), (190, 205, 70), (250, 230, 110))


def fit_camera(xyz: np.ndarray, rotation: np.ndarray, mask: np.ndarray, distance: float) -> Cameras:
    """The camera (1) of a picture with mask (H,W) uint8 in which points xyz (N,3) fill the mask's box.

    rotation (3,3) turns the points' frame into the camera's (OpenGL); the camera looks at the origin from
    `distance`. Focal length and principal point in pixels are what brings the projected box onto the mask's.
    """
    cam = np.asarray(xyz, np.float64) @ np.asarray(rotation, np.float64).T - (0, 0, distance)
    plane = cam[:, :2] * (1, -1) / np.maximum(-cam[:, 2:], 1e-6)  # u to the right, v down, at focal length 1
    low, high = _points_box(plane)
    box_low, box_high = _mask_box(mask)
    focal_px = float((box_high - box_low).max() / max((high - low).max(), 1e-9))
    centre = (box_low + box_high) / 2 - focal_px * (low + high) / 2
    matrix = torch.eye(4, dtype=torch.float64)[None].clone()
    matrix[0, :3, :3] = torch.as_tensor(np.asarray(rotation), dtype=torch.float64)
    matrix[0, 2, 3] = -distance
    fx, cx, cy = (torch.tensor([float(value)], dtype=torch.float64) for value in (focal_px, *centre))
    return Cameras(matrix, fx, fx.clone(), cx, cy, mask.shape[1], mask.shape[0])


def _points_box(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates of points (N,2), but for stray ones far outside the box of nearly all."""
    low, high = np.quantile(plane, [_STRAY_SHARE, 1 - _STRAY_SHARE], axis=0)
    reach = _STRAY_REACH * (high - low)
    kept = plane[((plane >= low - reach) & (plane <= high + reach)).all(1)]
    return (kept.min(0), kept.max(0)) if len(kept) else (low, high)


def _mask_box(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left-top and right-bottom corner (u, v) in pixels of the covered pixels."""
    columns = np.flatnonzero(mask.max(axis=0) > MASK_THRESHOLD)
    rows = np.flatnonzero(mask.max(axis=1) > MASK_THRESHOLD)
    return np.array([columns[0], rows[0]], float), np.array([columns[-1] + 1, rows[-1] + 1], float)


def pose_record(camera: Cameras, refined: bool = False) -> dict[str, Any]:
    """The pose for a JSON file: a quaternion, and the camera with nerfstudio's keys; predicted, or refined."""
    matrix = camera.world_to_cam
    return {
        "quaternion_wxyz": matrix_to_quaternion(matrix[:, :3, :3])[0].tolist(),
        "camera": {
            "camera_model": "PINHOLE",
            "fl_x": camera.fx.item(),
            "fl_y": camera.fy.item(),
            "cx": camera.cx.item(),
            "cy": camera.cy.item(),
            "w": camera.width,
            "h": camera.height,
            "transform_matrix": camera_to_world(matrix)[0].tolist(),
        },
        "note": "rotation from the cloud's frame to the camera's (+X right, +Y up, looking along -Z), "
        + (_REFINED if refined else _PREDICTED),
    }


def result_pose(
    camera: Cameras | None, hypotheses: tuple[np.ndarray, np.ndarray] | None, refined: bool
) -> dict[str, Any] | None:
    """The pose of a result for its JSON file; a predicted one with all viewpoints that the model thought possible."""
    if camera is None or refined or hypotheses is None:
        return None if camera is None else pose_record(camera, refined)
    return pose_record(camera) | {"hypotheses": hypotheses_record(*hypotheses)}


def hypotheses_record(rotations: np.ndarray, scores: np.ndarray) -> list[dict[str, Any]]:
    """The viewpoints (K,3,3) that a model thinks possible, cloud to camera, for a JSON file; the likeliest first."""
    order = np.argsort(-scores, kind="stable")
    quaternions = matrix_to_quaternion(torch.as_tensor(rotations[order].copy(), dtype=torch.float64)).tolist()
    return [
        {"quaternion_wxyz": one, "score": round(float(scores[index]), 5)}
        for one, index in zip(quaternions, order, strict=True)
    ]


def colors_from_photo(xyz: np.ndarray, camera: Cameras, rgba: np.ndarray) -> np.ndarray:
    """Colours (N,3) uint8 of points xyz (N,3) where they project into rgba (H,W,4) with the mask as alpha.

    A point outside the mask takes its nearest pixel's colour; hidden points take what hides them.
    """
    from scipy.ndimage import distance_transform_edt

    height, width = rgba.shape[:2]
    seen = camera.resized(width, height)
    uv, _ = seen.project(torch.as_tensor(xyz, dtype=torch.float64)[None])
    u, v = uv[0].numpy().T
    column = np.clip(np.floor(u), 0, width - 1).astype(np.int64)
    row = np.clip(np.floor(v), 0, height - 1).astype(np.int64)
    # Half-covered pixels of the rim are blends with the background.
    solid = rgba[..., 3] > 200 if (rgba[..., 3] > 200).any() else rgba[..., 3] > MASK_THRESHOLD
    nearest: Any = distance_transform_edt(~solid, return_distances=False, return_indices=True)
    return rgba[nearest[0][row, column], nearest[1][row, column], :3]


def colors_by_height(xyz: np.ndarray) -> np.ndarray:
    """Colours (N,3) uint8 along a ramp from the lowest to the highest point of xyz (N,3), +Z up."""
    if len(xyz) == 0:
        return np.zeros((0, 3), np.uint8)
    low, high = np.quantile(xyz[:, 2], [_STRAY_SHARE, 1 - _STRAY_SHARE])
    position = np.clip((xyz[:, 2] - low) / max(high - low, 1e-9), 0, 1) * (len(_RAMP) - 1)
    ramp = np.array(_RAMP, float).T
    steps = np.arange(len(_RAMP))
    return np.stack([np.interp(position, steps, channel) for channel in ramp], 1).round().astype(np.uint8)
