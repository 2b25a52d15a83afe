# SPDX-License-Identifier: GPL-3.0-or-later
"""Photo cameras as cameras of the scene, both ways. Main thread only."""

from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from .photo_camera import PhotoCamera

NAME = "Recon Photo Camera"


def set_scene_camera(scene: Any, points: Any, camera: PhotoCamera, image: Any) -> Any:
    """Set the scene's camera so that points appear where the photo shows them, with the photo behind them.

    The camera object of an earlier call is used again. The render size becomes the photo's.
    """
    found = bpy.data.objects.get(NAME)
    if found is None or found.type != "CAMERA":
        found = bpy.data.objects.new(NAME, bpy.data.cameras.new(NAME))
    if found.name not in scene.collection.all_objects:
        scene.collection.objects.link(found)
    found.matrix_world = Matrix(world_matrix(points, camera).tolist())
    _set_lens(found.data, camera)
    _set_background(found.data, image)
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = camera.width, camera.height, 100
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    scene.camera = found
    return found


def world_matrix(points: Any, camera: PhotoCamera) -> np.ndarray:
    """Camera-to-world (4,4), without scale, of a camera given in the points' own frame."""
    placed = np.array(points.matrix_world)
    matrix = placed @ np.linalg.inv(camera.world_to_cam)
    matrix[:3, :3] /= np.linalg.norm(matrix[:3, :3], axis=0)
    return matrix


def _set_lens(data: Any, camera: PhotoCamera) -> None:
    """Blender measures focal length in sensor widths, and shifts in image widths; v goes down, shift_y up."""
    data.type, data.sensor_fit, data.sensor_width = "PERSP", "HORIZONTAL", 36.0
    data.lens = camera.focal_px / camera.width * 36.0
    data.shift_x = (camera.width / 2 - camera.cx) / camera.width
    data.shift_y = (camera.cy - camera.height / 2) / camera.width
    data.clip_start, data.clip_end = 0.01, 1000.0


def _set_background(data: Any, image: Any) -> None:
    data.show_background_images = image is not None
    data.background_images.clear()
    if image is None:
        return
    background = data.background_images.new()
    background.image, background.alpha, background.frame_method = image, 1.0, "FIT"
    background.display_depth = "BACK"


def shows(scene: Any, image: Any) -> bool:
    """Whether the scene's camera is the one that set_scene_camera() made, with this photo behind it."""
    found = scene.camera
    if found is None or found.type != "CAMERA" or not found.name.startswith(NAME):
        return False
    return any(background.image == image for background in found.data.background_images)


def of_scene(scene: Any, points: Any, width: int, height: int) -> PhotoCamera | None:
    """The scene's camera in the points' own frame, for a picture of width x height; None without one."""
    found = scene.camera
    if found is None or found.type != "CAMERA" or found.data.type != "PERSP":
        return None
    data = found.data
    wide = data.sensor_fit == "HORIZONTAL" or (data.sensor_fit == "AUTO" and width >= height)
    extent = width if wide else height
    sensor = data.sensor_height if data.sensor_fit == "VERTICAL" else data.sensor_width
    matrix = np.linalg.inv(np.array(found.matrix_world)) @ np.array(points.matrix_world)
    cx, cy = width / 2 - data.shift_x * extent, height / 2 + data.shift_y * extent
    return PhotoCamera(matrix, data.lens / sensor * extent, cx, cy, width, height)
