# SPDX-License-Identifier: Apache-2.0
"""A placement as JSON: cameras with nerfstudio's keys, where the object stands, scores; and a start read back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..cameras import Cameras, from_transforms
from ..errors import InputError
from ..inference.photo_camera import pose_record
from .place import Placement, PlaceOptions, Solution

SENSORS_MM = (36, 32)
_NOTE = (
    "found by matching outlines (and colours); camera frame +X right, +Y up, looking along -Z; lengths are the "
    "object's own units, which one picture cannot tell from the camera's distance"
)


def object_to_world(xyz: np.ndarray, options: PlaceOptions) -> np.ndarray:
    """Where the object goes (4,4): as it is, or, standing upright, with its lowest points on the plane z = 0."""
    matrix = np.eye(4)
    if options.up or options.ground:
        matrix[2, 3] = -float(np.quantile(xyz[:, 2], 0.002))
    return matrix


def in_world(camera: Cameras, to_world: np.ndarray) -> Cameras:
    """The camera of points in their own frame as one of the world that they are moved to."""
    back = torch.from_numpy(np.linalg.inv(to_world))[None]
    return Cameras(
        camera.world_to_cam @ back, camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height
    )


def solution_record(solution: Solution, to_world: np.ndarray) -> dict[str, Any]:
    """One camera: `pose` as `recon reconstruct` writes it, in the world; the same as object_to_cam; scores."""
    camera = solution.camera
    world = in_world(camera, to_world)
    focal_px = float(camera.fx[0])
    return {
        "pose": pose_record(world) | {"note": _NOTE},
        "world_to_cam": world.world_to_cam[0].tolist(),
        "object_to_cam": camera.world_to_cam[0].tolist(),
        "focal_px": focal_px,
        "focal_mm": {f"sensor_{mm}_mm": focal_px / camera.width * mm for mm in SENSORS_MM},
        "scores": {
            "mask_iou": round(solution.iou, 4),
            "color_rms": None if solution.color_rms is None else round(solution.color_rms, 4),
            "cost": round(solution.cost, 5),
        },
        "apart_deg": round(solution.apart_deg, 2),
    }


def placement_record(placement: Placement, xyz: np.ndarray, options: PlaceOptions) -> dict[str, Any]:
    """What the JSON file says of a placement; the best camera's fields stand at the top."""
    to_world = object_to_world(xyz, options)
    first, *others = (solution_record(one, to_world) for one in placement.solutions)
    del first["apart_deg"]
    return {
        "version": 1,
        "generator": f"recon {__version__}",
        **first,
        "object_to_world": to_world.tolist(),
        "focal_known": options.focal_mm is not None,
        "ambiguous": bool(others),
        "alternatives": others,
        "start": None if placement.start is None else solution_record(placement.start, to_world),
        "options": {
            "focal_mm": options.focal_mm, "sensor_mm": options.sensor_mm, "up": options.up, "ground": options.ground,
            "roll_deg": options.roll_deg, "cropped": options.cropped, "margin": options.margin, "seed": options.seed,
            "elevation_deg": None if options.elevation_deg is None else list(options.elevation_deg),
        },
    }  # fmt: skip


def read_start(path: str | Path) -> Cameras:
    """The camera (1) for points in their own frame in the JSON of `recon reconstruct` or `recon place`.

    Raises InputError when the file has none.
    """
    path = Path(path)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except ValueError as error:
        raise InputError(f"{path}: not a JSON file ({error}).") from None
    pose = document.get("pose") if isinstance(document, dict) else None
    camera = pose.get("camera") if isinstance(pose, dict) else None
    if not isinstance(camera, dict) or "transform_matrix" not in camera:
        raise InputError(
            f"{path}: holds no camera. Expected the JSON that `recon reconstruct` (of a model that predicts poses) or "
            "`recon place` writes."
        )
    try:
        found = from_transforms(camera | {"frames": [{"transform_matrix": camera["transform_matrix"]}]})
        placed = torch.tensor(document.get("object_to_world", np.eye(4).tolist()), dtype=torch.float64)
        matrix = found.world_to_cam @ placed
    except (InputError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: its camera cannot be used: {error}") from None
    if not bool((found.fx > 0).all()) or found.width < 1 or found.height < 1:
        raise InputError(f"{path}: its camera has no focal length or no size.")
    return Cameras(matrix, found.fx, found.fy, found.cx, found.cy, found.width, found.height)
