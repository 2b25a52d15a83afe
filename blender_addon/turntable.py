# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud and its reference side by side under a camera that goes round them: built in a collection, and removed.

A keyframed empty carries the camera and two anchors, left and right of it. Copies of both objects follow the anchors
but keep their orientation in the world: the camera sees each from all around, and neither hides the other. Copies share
their data with the originals, so colours that change there change here. The originals are hidden meanwhile.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Euler, Matrix, Vector

from . import compat
from .jobs import UserError

NAME = "Recon Turntable"
# Keys of the empty's custom properties: what was there before, and the two originals; and the mark of what is ours.
_BEFORE, _ORIGINALS = "recon_before", ("recon_cloud", "recon_reference")
_OURS = "recon_turntable"
_LENS_MM, _SENSOR_MM = 50.0, 36.0
# Room around both in the picture.
_MARGIN = 1.06


@dataclass(frozen=True)
class Box:
    """An object's box in the world: its middle, the radius of the upright cylinder around it, half its height."""

    middle: Vector
    radius: float
    half_height: float


def pivot_of(scene: Any) -> Any:
    """The empty of a scene's turntable, or None."""
    return next((one for one in scene.collection.all_objects if one.type == "EMPTY" and _BEFORE in one), None)


def build(context: Any, cloud: Any, reference: Any, frames: int, gap: float, elevation_deg: float) -> Any:
    """Build a turntable and return its empty; one that is there already is removed first.

    gap: room between the two as a share of their widths. Raises UserError for an object without extent.
    """
    scene = context.scene
    remove(scene)
    boxes = [box_of(cloud), box_of(reference)]
    collection = bpy.data.collections.new(NAME)
    scene.collection.children.link(collection)
    middle = (boxes[0].middle + boxes[1].middle) / 2
    pivot = _empty(NAME, collection, middle)
    pivot.rotation_mode = "XYZ"
    _remember(scene, pivot, (cloud, reference))
    apart = (boxes[0].radius + boxes[1].radius) * (1 + gap)
    for original, box, side in zip((cloud, reference), boxes, (-1, 1)):
        anchor = _empty(f"{NAME} Anchor", collection, Vector((side * apart / 2, 0, box.middle.z - middle.z)))
        anchor.parent = pivot
        _copy(original, box, anchor, collection)
    camera = _camera(scene, collection, pivot, boxes, apart, math.radians(elevation_deg))
    if not any(one.type == "LIGHT" for one in scene.collection.all_objects):
        _light(collection, pivot)
    _turn(pivot, frames)
    for one in collection.objects:
        one[_OURS] = True
    for original in (cloud, reference):
        original.hide_viewport = original.hide_render = True
    scene.camera, scene.frame_start, scene.frame_end = camera, 1, frames
    scene.frame_set(1)
    return pivot


def remove(scene: Any) -> bool:
    """Take a scene's turntable away and put everything back as it was; whether there was one."""
    pivot = pivot_of(scene)
    if pivot is None:
        return False
    _put_back(scene, pivot)
    collections = [one for one in pivot.users_collection if one.name.startswith(NAME)]
    for collection in collections:
        for one in [one for one in collection.objects if _OURS in one]:
            _delete(one)
        if not len(collection.objects) and not len(collection.children):  # else others' things are in it
            bpy.data.collections.remove(collection)
    return True


def box_of(thing: Any) -> Box:
    """The box of an object as it is shown. Raises UserError when it has no extent."""
    corners = np.array([tuple(thing.matrix_world @ Vector(corner)) for corner in thing.bound_box])
    low, high = corners.min(0), corners.max(0)
    size = high - low
    if not np.isfinite(size).all() or not size.max() > 0:
        raise UserError(f"{thing.name} has no extent to turn about.")
    radius = float(np.hypot(size[0], size[1]) / 2)
    return Box(Vector(((low + high) / 2).tolist()), radius, float(size[2] / 2))


def angle_at(frame: float, frames: int) -> float:
    """Turn of the empty at a frame, in radians: none at frame 1, a whole turn at the frame after the last."""
    return 2 * math.pi * (frame - 1) / frames


# --- inside ------------------------------------------------------------------------------------------------


def _empty(name: str, collection: Any, location: Vector) -> Any:
    made = bpy.data.objects.new(name, None)
    made.location = location
    made.empty_display_size = 0.1
    collection.objects.link(made)
    return made


def _copy(original: Any, box: Box, anchor: Any, collection: Any) -> None:
    """A copy that stands at the anchor as the original stands in the world."""
    holder = _empty(f"{NAME} {original.name}", collection, Vector((0, 0, 0)))
    follow = holder.constraints.new("COPY_LOCATION")
    follow.target = anchor
    copy = original.copy()
    copy.animation_data_clear()
    for constraint in list(copy.constraints):
        copy.constraints.remove(constraint)
    collection.objects.link(copy)
    copy.select_set(False)
    copy.recon.is_points = False  # so that the sections of the panel mean the original
    copy.hide_render = copy.hide_viewport = False
    copy.parent = holder
    copy.matrix_parent_inverse = Matrix.Identity(4)
    copy.matrix_basis = Matrix.Translation(-box.middle) @ original.matrix_world


def _camera(scene: Any, collection: Any, pivot: Any, boxes: list[Box], apart: float, elevation: float) -> Any:
    data = bpy.data.cameras.new(NAME)
    data.sensor_fit, data.sensor_width, data.lens = "HORIZONTAL", _SENSOR_MM, _LENS_MM
    camera = bpy.data.objects.new(f"{NAME} Camera", data)
    collection.objects.link(camera)
    camera.parent = pivot
    aspect = scene.render.resolution_y / max(scene.render.resolution_x, 1)
    distance = camera_distance(boxes, apart, elevation, aspect)
    data.clip_start, data.clip_end = distance / 1000, distance * 10
    camera.location = (0, -distance * math.cos(elevation), distance * math.sin(elevation))
    camera.rotation_euler = Euler((math.pi / 2 - elevation, 0, 0))
    return camera


def camera_distance(boxes: list[Box], apart: float, elevation: float, aspect: float) -> float:
    """How far away both cylinders fit into the picture, whatever its shape (aspect: height over width)."""
    half_width = _SENSOR_MM / 2 / _LENS_MM
    wide = apart / 2 + max(box.radius for box in boxes)
    away = max(abs(box.middle.z - (boxes[0].middle.z + boxes[1].middle.z) / 2) for box in boxes)
    tall, radius = away + max(box.half_height for box in boxes), max(box.radius for box in boxes)
    high = tall * math.cos(elevation) + radius * abs(math.sin(elevation))
    nearest = radius * math.cos(elevation) + tall * abs(math.sin(elevation))
    return _MARGIN * max(wide / half_width, high / (half_width * aspect)) + nearest


def _light(collection: Any, pivot: Any) -> None:
    """A sun from over the camera's left shoulder that goes round with it, where the scene has no light."""
    data = bpy.data.lights.new(NAME, "SUN")
    data.energy, data.angle = 3.0, 0.3
    light = bpy.data.objects.new(f"{NAME} Light", data)
    collection.objects.link(light)
    light.parent = pivot
    light.rotation_euler = Euler((math.radians(50), 0, math.radians(-35)))


def _turn(pivot: Any, frames: int) -> None:
    """A whole turn in so many frames, at even speed, over and over."""
    for frame in (1, frames + 1):
        pivot.rotation_euler[2] = angle_at(frame, frames)
        pivot.keyframe_insert("rotation_euler", index=2, frame=frame)
    for curve in compat.curves_of(pivot):
        for key in curve.keyframe_points:
            key.interpolation = "LINEAR"
        curve.modifiers.new("CYCLES")


def _remember(scene: Any, pivot: Any, originals: tuple[Any, Any]) -> None:
    """Keep with the empty what build() changes; the originals as references, which renaming does not break."""
    before = {"frames": [scene.frame_start, scene.frame_end, scene.frame_current], "hidden": []}
    for key, original in zip(_ORIGINALS, originals):
        pivot[key] = original
        before["hidden"].append([original.hide_viewport, original.hide_render])
    if scene.camera is not None:
        pivot["recon_camera"] = scene.camera
    pivot[_BEFORE] = json.dumps(before)


def _put_back(scene: Any, pivot: Any) -> None:
    try:
        before = json.loads(pivot[_BEFORE])
        frames, hidden = before["frames"], before["hidden"]
    except (TypeError, ValueError, KeyError):
        frames, hidden = None, [[False, False]] * 2
    for key, flags in zip(_ORIGINALS, hidden):
        original = pivot.get(key)
        if original is not None:
            original.hide_viewport, original.hide_render = flags
    if scene.camera is None or scene.camera.parent == pivot:
        scene.camera = pivot.get("recon_camera")
    if frames is not None:
        scene.frame_start, scene.frame_end = frames[:2]
        scene.frame_set(frames[2])


def _delete(thing: Any) -> None:
    """An object with what is its own: camera, light and action, but not the data that it shares."""
    data, action = thing.data, thing.animation_data.action if thing.animation_data else None
    bpy.data.objects.remove(thing)
    if action is not None and action.users == 0:
        bpy.data.actions.remove(action)
    if isinstance(data, bpy.types.Camera) and data.users == 0:
        bpy.data.cameras.remove(data)
    elif isinstance(data, bpy.types.Light) and data.users == 0:
        bpy.data.lights.remove(data)
