# SPDX-License-Identifier: GPL-3.0-or-later
"""Refining by the worker: points and camera moved to fit the photo's mask, then coloured. No bpy: runs on threads."""

import json
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import worker_client, worker_photo
from .batch import Share
from .cloud import Cloud, CloudError
from .jobs import Job, UserError
from .photo_camera import PhotoCamera, colors_from_photo
from .pipeline import Outcome, Request
from .ply import read_ply, write_ply
from .png import write_png

DEFAULT_STEPS = 120
PHOTO_COLORS = "looked up in the photo"
FITTED_COLORS = "fitted to the photo"
_TOLD = ("iou", "moved", "turned_deg", "viewpoints", "symmetric", "colors", "steps", "seconds")


@dataclass
class Refined:
    """What came of it: the cloud with its points in the same order, the camera, and figures for the record."""

    cloud: Cloud
    camera: PhotoCamera
    figures: dict[str, Any]
    color: str = ""  # where its colours are from now; nothing where they stayed


def predicted(cloud: Cloud, color: str) -> Cloud:
    """A cloud as the worker gets it: without colours that were made up, which say nothing of what is unseen."""
    made_up = color.startswith((PHOTO_COLORS, "by height"))
    return replace(cloud, comments={}, colors=None if made_up else cloud.colors)


def refine(
    cloud: Cloud,
    camera: PhotoCamera,
    rgb: np.ndarray,
    mask: np.ndarray,
    steps: int,
    line: list[str],
    job: Any,
    color: str = "",
) -> Refined:
    """Fit a cloud in its own frame to a photo (H,W,3) with its mask (H,W) uint8. Raises UserError and Cancelled.

    color: where the cloud's colours are from, in the add-on's words.
    """
    job.report(0.02, "Starting the worker")
    photo = worker_photo.for_worker(rgb, mask)
    worker = worker_client.worker_for(line, [])
    folder = worker.folder / f"refine_{uuid.uuid4().hex}"
    try:
        folder.mkdir()
        write_ply(folder / "cloud.ply", predicted(cloud, color))
        write_png(folder / "photo.png", photo.rgba)
        pose = {"camera": as_transforms(photo.small(camera)), "hypotheses": camera.hypotheses}
        source = {"files": {"cloud": "cloud.ply"}, "pose": pose}
        (folder / "cloud.json").write_text(json.dumps(source), encoding="utf-8")
        paths = {"source": "cloud.json", "out": "out"}
        message: dict[str, Any] = {key: f"{folder.name}/{path}" for key, path in paths.items()}
        message |= {"type": "refine", "images": [f"{folder.name}/photo.png"], "foreground": "alpha"}
        answer = worker.run({**message, "steps": steps}, job)
        moved = read_ply(worker.inside(answer.get("cloud")))
        found = _taken(cloud, moved, answer.get("record"), photo)
        if not found.color and color.startswith(PHOTO_COLORS):
            return recolored(found, rgb, mask)
        return found
    except (OSError, CloudError) as error:
        raise UserError(f"The cloud could not be exchanged with the worker: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _taken(cloud: Cloud, moved: Cloud, record: Any, photo: worker_photo.WorkerPhoto) -> Refined:
    """The answer, checked. All but the places of the points, and colours that were fitted, stays the cloud's own."""
    if len(moved) != len(cloud):
        raise UserError(f"The worker gave {len(moved)} points for {len(cloud)}. Update recon in its Python.")
    try:
        camera = photo.full(of_transforms(record["pose"]["camera"]))
        figures = {key: record["refine"][key] for key in _TOLD if key in record["refine"]}
        fitted = bool(record["refine"].get("colors")) and moved.colors is not None
    except (KeyError, TypeError, ValueError, np.linalg.LinAlgError) as error:
        raise UserError("The worker's answer lacks the camera. Update recon in its Python.") from error
    if fitted:
        return Refined(replace(cloud, xyz=moved.xyz, colors=moved.colors), camera, figures, FITTED_COLORS)
    return Refined(replace(cloud, xyz=moved.xyz), camera, figures)


def as_transforms(camera: PhotoCamera) -> dict[str, Any]:
    """A camera with nerfstudio's keys, as recon's JSON files have it."""
    keys = {"camera_model": "PINHOLE", "fl_x": camera.focal_px, "fl_y": camera.focal_px, "cx": camera.cx}
    keys |= {"cy": camera.cy, "w": camera.width, "h": camera.height}
    return {**keys, "transform_matrix": np.linalg.inv(camera.world_to_cam).tolist()}


def of_transforms(camera: dict[str, Any]) -> PhotoCamera:
    """The camera of such keys. Raises KeyError, TypeError, ValueError and LinAlgError."""
    matrix = np.linalg.inv(np.array(camera["transform_matrix"], np.float64).reshape(4, 4))
    focal_px, cx, cy = (float(camera[name]) for name in ("fl_x", "cx", "cy"))
    return PhotoCamera(matrix, focal_px, cx, cy, int(camera["w"]), int(camera["h"]))


def recolored(refined: Refined, rgb: np.ndarray, mask: np.ndarray) -> Refined:
    """With colours looked up again where the points are now."""
    colors = colors_from_photo(refined.cloud.xyz, refined.camera, np.dstack((rgb, mask)))
    return replace(refined, cloud=replace(refined.cloud, colors=colors))


# --- as the last stage of a reconstruction --------------------------------------------------------------------

Reconstruct = Callable[[Request, Any], Outcome]


def with_refining(reconstruct: Reconstruct, steps: int, command: Callable[[], list[str]]) -> Reconstruct:
    """A reconstruction with so many steps of refining after it; as it is for 0. Raises UserError without a worker."""
    if not steps:
        return reconstruct
    try:
        line = command()
    except UserError as error:
        raise UserError(f"Refining is done by the worker. {error}") from error

    def both(request: Request, job: Job) -> Outcome:
        outcome = reconstruct(request, Share(job, 0, 2, "Reconstruct"))  # type: ignore[arg-type]
        return refined_outcome(outcome, request.rgba[..., :3], steps, line, Share(job, 1, 2, "Refine"))

    return both


def refined_outcome(outcome: Outcome, rgb: np.ndarray, steps: int, line: list[str], job: Any) -> Outcome:
    """A reconstruction refined; where that fails it stays as it is, with a note why. Raises Cancelled."""
    if outcome.camera is None:
        note = "Not refined: the model predicts no pose. Use To Photo or Match to Photo, then Refine."
        return replace(outcome, refined={"note": note})
    try:
        source = outcome.color_source
        found = refine(outcome.cloud, outcome.camera, rgb, outcome.mask, steps, line, job, source)
    except UserError as error:
        return replace(outcome, refined={"note": f"Not refined: {error}"})
    color = found.color or source
    return replace(outcome, cloud=found.cloud, camera=found.camera, refined=found.figures, color_source=color)
