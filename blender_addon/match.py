# SPDX-License-Identifier: GPL-3.0-or-later
"""Views from which an object covers a photo's mask: by the worker, or, simpler, in this process. No bpy: for threads.

Points are in the world's axes and units with their middle at the origin; a solution brings them to the camera's frame.
"""

import shutil
import uuid
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import pose_search, worker_client, worker_photo
from .cloud import Cloud, CloudError
from .jobs import UserError
from .photo_camera import PhotoCamera, mask_box
from .ply import write_ply
from .png import write_png
from .refine_jobs import of_transforms

SENSOR_MM = 36.0
# Under a known camera: how far the object may lean, and be seen from elsewhere than the mask's middle says.
_LEAN_DEG, _ROLL_DEG, _ELEVATION_DEG = 15.0, 3.0, 8.0


@dataclass(frozen=True)
class Question:
    """What is to be matched: points (N,3) with colours (N,3) uint8 or None, and a photo (H,W,3) with its mask (H,W).

    known: the camera that stays, with its frame in the world's axes; None where the camera is looked for.
    """

    xyz: np.ndarray
    colors: np.ndarray | None
    rgb: np.ndarray
    mask: np.ndarray
    upright: bool
    focal_mm: float  # for a sensor SENSOR_MM wide; 0: not known
    known: PhotoCamera | None = None


@dataclass(frozen=True)
class Solution:
    """One view: a camera of the photo for the points, its overlap with the mask, and how far it is from the best."""

    camera: PhotoCamera
    iou: float
    apart_deg: float


def by_worker(question: Question, line: list[str], job: Any) -> list[Solution]:
    """All views that fit about equally well, the best first. Raises UserError and Cancelled."""
    job.report(0.02, "Starting the worker")
    known = question.known
    photo = worker_photo.for_worker(
        question.rgb, question.mask, None if known is None else (known.cx, known.cy)
    )
    worker = worker_client.worker_for(line, [])
    folder = worker.folder / f"place_{uuid.uuid4().hex}"
    try:
        folder.mkdir()
        write_ply(folder / "object.ply", Cloud(question.xyz.astype(np.float32), question.colors))
        write_png(folder / "photo.png", photo.rgba)
        names = {"object": "object.ply", "image": "photo.png", "out": "out"}
        message = {"type": "place", "foreground": "alpha", **_wishes(question, photo)}
        message |= {key: f"{folder.name}/{name}" for key, name in names.items()}
        answer = worker.run(message, job)
        return _solutions(question, photo, answer.get("record"))
    except (OSError, CloudError) as error:
        raise UserError(f"The object could not be exchanged with the worker: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wishes(question: Question, photo: worker_photo.WorkerPhoto) -> dict[str, Any]:
    """The fields of the message that say what is known of the camera."""
    wishes: dict[str, Any] = {"up": question.upright}
    known, width = question.known, photo.rgba.shape[1] * photo.step
    focal_px = question.focal_mm / SENSOR_MM * question.mask.shape[1] if known is None else known.focal_px
    if focal_px > 0:  # of the padded picture
        wishes |= {"focal_mm": focal_px / width * SENSOR_MM, "sensor_mm": SENSOR_MM}
    if known is not None and question.upright:
        up = known.world_to_cam[:3, 2]
        flat = float(np.hypot(up[0], up[1]))
        roll = abs(float(np.degrees(np.arctan2(up[0], up[1])))) + _ROLL_DEG if flat > 0.1 else 90.0
        middle = elevation_deg(known, question.mask)
        wishes |= {
            "roll_deg": min(roll, 90.0),
            "elevation_deg": [max(middle - _ELEVATION_DEG, -90.0), min(middle + _ELEVATION_DEG, 90.0)],
        }
    return wishes


def elevation_deg(camera: PhotoCamera, mask: np.ndarray) -> float:
    """How far the camera, whose frame is in the world's axes, is above what fills a mask (H,W), in degrees."""
    low, high = mask_box(mask)
    u, v = (low + high) / 2
    ray = np.array([(u - camera.cx) / camera.focal_px, (camera.cy - v) / camera.focal_px, -1.0])
    ray = camera.world_to_cam[:3, :3].T @ (ray / np.linalg.norm(ray))
    return float(np.degrees(np.arcsin(np.clip(-ray[2], -1, 1))))


def _solutions(question: Question, photo: worker_photo.WorkerPhoto, record: Any) -> list[Solution]:
    try:
        told = [record, *record["alternatives"]]
        found = []
        for one in told:
            camera = of_transforms(one["pose"]["camera"])
            matrix = np.array(one["object_to_cam"], np.float64).reshape(4, 4)
            found.append((photo.full(replace(camera, world_to_cam=matrix)), float(one.get("apart_deg", 0.0))))
    except (KeyError, TypeError, ValueError, np.linalg.LinAlgError) as error:
        raise UserError("The worker's answer lacks the views. Update recon in its Python.") from error
    if question.known is not None:
        found = _under(question.known, question.upright, found)
    return [Solution(camera, overlap(question, camera), apart) for camera, apart in found]


def _under(known: PhotoCamera, upright: bool, found: list[tuple[PhotoCamera, float]]) -> list:
    """Views under a camera that stays: its own lens; made upright, and without those that lean, where that is asked."""
    found = [(replace(known, world_to_cam=camera.world_to_cam), apart) for camera, apart in found]
    if not upright:
        return found
    up = known.world_to_cam[:3, 2]
    leans = [float(np.degrees(np.arccos(np.clip(one.world_to_cam[:3, 2] @ up, -1, 1)))) for one, _ in found]
    kept = [pair for pair, lean in zip(found, leans) if lean <= _LEAN_DEG]
    if not kept:
        raise UserError("Upright, the object fits from no side: turn Keep Upright off, or check the camera.")
    return [(replace(one, world_to_cam=_erect(one.world_to_cam, up)), apart) for one, apart in kept]


def _erect(matrix: np.ndarray, up: np.ndarray) -> np.ndarray:
    """A view (4,4) turned about the object's middle by the least angle that takes its +Z to `up` (3,)."""
    z = matrix[:3, 2]
    axis, cosine = np.cross(z, up), float(z @ up)
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turned = matrix.copy()
    turned[:3, :3] = (np.eye(3) + skew + skew @ skew / (1 + cosine)) @ matrix[:3, :3]
    return turned


def overlap(question: Question, camera: PhotoCamera) -> float:
    """Overlap of the points' outline with the mask, measured where either is: an object may be small in its photo."""
    height, width = question.mask.shape
    uv = np.clip(camera.project(question.xyz), 0, (width, height))
    low, high = mask_box(question.mask)
    low, high = np.minimum(low, uv.min(0)), np.maximum(high, uv.max(0))
    margin = 0.03 * float((high - low).max())
    left, top = np.maximum(np.floor(low - margin), 0).astype(int).tolist()
    right, bottom = np.minimum(np.ceil(high + margin), (width, height)).astype(int).tolist()
    size = {"width": right - left, "height": bottom - top}
    cut = replace(camera, cx=camera.cx - left, cy=camera.cy - top, **size)
    return pose_search.silhouette_iou(question.xyz, cut, question.mask[top:bottom, left:right])


def in_process(question: Question, job: Any) -> list[Solution]:
    """The best upright view by silhouette and colours, at a distance of two diagonals. Raises Cancelled."""
    size = float(np.linalg.norm(np.ptp(question.xyz, axis=0)))
    camera, _ = pose_search.search(
        question.xyz / size, question.colors, question.rgb, question.mask, job.report
    )
    matrix = camera.world_to_cam.copy()
    matrix[:3, 3] *= size
    found = replace(camera, world_to_cam=matrix)
    return [Solution(found, overlap(question, found), 0.0)]
