# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of the scene to be matched to a photo, and what came of it back into the scene. Main thread only."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from . import points_object, scene_camera, surfaces
from .jobs import UserError
from .match import Solution
from .photo_camera import PhotoCamera
from .refine_jobs import FITTED_COLORS, PHOTO_COLORS

SAMPLES = 20_000
_KINDS = ("MESH", "CURVE", "SURFACE", "META", "FONT")
_ASPECT = 0.01


def can_match(candidate: Any) -> bool:
    """Whether an object has points or a surface."""
    return candidate is not None and candidate.type in _KINDS


def find(name: str) -> Any:
    """The object of a name, if it still can be matched. Raises UserError."""
    found = bpy.data.objects.get(name)
    if not can_match(found):
        raise UserError(f"{name} was renamed or deleted meanwhile.")
    return found


@dataclass(frozen=True)
class Subject:
    """An object as points (N,3) in the world's axes about their middle (3,); own_to_points (4,4) from its own frame."""

    xyz: np.ndarray
    colors: np.ndarray | None
    middle: np.ndarray
    own_to_points: np.ndarray


def subject_of(candidate: Any) -> Subject:
    """Points of an object: of a cloud the shown ones, of a surface evenly by area. Raises UserError."""
    xyz, _ = surfaces.samples_of(candidate, SAMPLES)
    colors = _true_colors(candidate) if points_object.is_points(candidate) else None
    kept = np.random.default_rng(0).permutation(_shown(candidate, len(xyz)))[:SAMPLES]
    if len(kept) < 20:
        raise UserError(f"{candidate.name} has {len(kept)} points: too few to match.")
    xyz, colors = xyz[kept], None if colors is None else colors[kept]
    low, high = xyz.min(0), xyz.max(0)
    matrix = np.array(candidate.matrix_world)
    if not np.linalg.norm(high - low) > 1e-9 or abs(np.linalg.det(matrix)) < 1e-18:
        raise UserError(f"{candidate.name} has no extent.")
    middle = (low + high) / 2
    matrix[:3, 3] -= middle
    return Subject(xyz - middle, colors, middle, matrix)


def _shown(candidate: Any, count: int) -> np.ndarray:
    hidden = None
    if points_object.is_points(candidate):
        hidden = points_object.get_attribute(candidate.data, points_object.HIDDEN)
    return np.arange(count) if hidden is None else np.flatnonzero(~hidden)


def _true_colors(points: Any) -> np.ndarray | None:
    """Colours of a cloud, but for those that say nothing new: by height, or taken from the photo."""
    made_up = ("by height", PHOTO_COLORS, FITTED_COLORS)
    if str(points_object.record_of(points).get("color", "")).startswith(made_up):
        return None
    return points_object.cloud_of(points, world=False).colors


def present_camera(scene: Any, subject: Subject, width: int, height: int) -> PhotoCamera | None:
    """The scene's camera, for the subject's points, in a photo of width x height; None without one."""
    found = scene_camera.of_scene(scene, SimpleNamespace(matrix_world=np.eye(4)), width, height)
    if found is None:
        return None
    matrix = found.world_to_cam.copy()
    matrix[:3] /= np.cbrt(abs(np.linalg.det(matrix[:3, :3])))  # Blender ignores a camera's scale
    matrix[:3, 3] += matrix[:3, :3] @ subject.middle
    return replace(found, world_to_cam=matrix)


def fixed_camera(scene: Any, subject: Subject, width: int, height: int) -> PhotoCamera:
    """The same for an object that is to be moved under it. Raises UserError where that makes no sense."""
    found = present_camera(scene, subject, width, height)
    if found is None:
        raise UserError(
            "Move Object needs a scene camera with a perspective lens. Add one, or choose Set Camera."
        )
    render = scene.render
    rendered = render.resolution_x * render.pixel_aspect_x / (render.resolution_y * render.pixel_aspect_y)
    if abs(rendered * height / width - 1) > _ASPECT:
        raise UserError(
            f"The scene renders {render.resolution_x} x {render.resolution_y} and the photo is {width} x {height}: "
            "give both the same proportions."
        )
    return found


def start_record(image: Any, moves: bool, before: float | None) -> dict[str, Any]:
    """What is kept with the object of a match, but for its solutions."""
    return {"image": image.name, "moves": moves, "before": before, "index": 0}


def keep(candidate: Any, subject: Subject, solutions: list[Solution], about: dict[str, Any]) -> None:
    """Note the solutions with the object, their cameras in its own frame, and apply the best."""
    told = []
    for one in solutions:
        camera = replace(one.camera, world_to_cam=one.camera.world_to_cam @ subject.own_to_points)
        told.append({"camera": camera.record(), "iou": one.iou, "apart_deg": one.apart_deg})
    record = {**points_object.record_of(candidate), "match": {**about, "solutions": told}}
    points_object.set_record(candidate, record)
    apply(bpy.context, candidate, 0)


def apply(context: Any, candidate: Any, index: int) -> None:
    """Have one of an object's solutions: its camera, or the object's place. Raises UserError."""
    record = points_object.record_of(candidate)
    try:
        match = record["match"]
        camera = PhotoCamera.of_record(match["solutions"][index]["camera"])
        moves, image = bool(match["moves"]), bpy.data.images.get(match["image"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{candidate.name} has not been matched to a photo yet.") from error
    if moves:
        _move(context.scene, candidate, camera)
    else:
        scene_camera.set_scene_camera(context.scene, candidate, camera, image)
        _look_through(context)
    record["match"] = {**match, "index": index}
    if points_object.is_points(candidate) and record.get("image") == match["image"]:
        record |= {"camera": _rigid(camera).record(), "pose": "matched"}
    points_object.set_record(candidate, record)


def _move(scene: Any, candidate: Any, camera: PhotoCamera) -> None:
    """Place an object so that the scene's camera sees it as `camera`, in the object's own frame, does."""
    if scene.camera is None:
        raise UserError("The scene has no camera any more.")
    placed = np.array(scene.camera.matrix_world)
    placed[:3, :3] /= np.linalg.norm(placed[:3, :3], axis=0)
    candidate.matrix_world = Matrix((placed @ camera.world_to_cam).tolist())


def _rigid(camera: PhotoCamera) -> PhotoCamera:
    """The same view without the scale of the object it is for."""
    matrix = camera.world_to_cam.copy()
    matrix[:3] /= np.cbrt(abs(np.linalg.det(matrix[:3, :3])))
    return replace(camera, world_to_cam=matrix)


def _look_through(context: Any) -> None:
    for area in context.screen.areas if context.screen else ():
        if area.type == "VIEW_3D":
            area.spaces.active.region_3d.view_perspective = "CAMERA"
