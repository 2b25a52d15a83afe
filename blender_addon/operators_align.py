# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators of the sections Align and Compare."""

# pyright: reportInvalidTypeForm=false

from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, FloatProperty
from mathutils import Matrix

from . import (
    compat,
    display,
    icp,
    images,
    placing,
    points_object,
    pose_search,
    scene_camera,
    surfaces,
)
from .compare import Comparison, compare
from .foreground import find_mask
from .jobs import Job, UserError
from .operator_base import OnPoints, refuse, start_job
from .photo_camera import PhotoCamera, colors_from_photo

# Few points may lie outside the extent that counts: strays must not lift an object off the floor.
_STRAY_SHARE = 0.005
_SAMPLES = 6000


class RECON_OT_align_photo(OnPoints):
    """Set the scene camera so that the cloud covers the object in its photo, with the photo behind it.
    Uses the pose that the model predicts; searches for one where it predicts none"""

    bl_idname = "recon.align_photo"
    bl_label = "To Photo"
    bl_options = {"REGISTER", "UNDO"}

    search: BoolProperty(
        name="Search",
        description="Search for the pose by silhouette and colors even if the model predicts one",
        default=False,
    )

    def execute(self, context: Any) -> set[str]:
        points = context.active_object
        record = points_object.record_of(points)
        try:
            image, rgba, mask = _photo_of(record)
            if record.get("camera") and not self.search:
                camera = PhotoCamera.of_record(record["camera"])
                _look_through(context, points, camera, image, mask)
                return {"FINISHED"}
        except (UserError, KeyError, TypeError) as error:
            return refuse(self, error)
        return start_job(self, lambda: _search_job(points, image, rgba, mask))


def _photo_of(record: dict[str, Any]) -> tuple[Any, np.ndarray, np.ndarray]:
    """The image that a cloud was made from, its pixels and mask. Raises UserError."""
    image = bpy.data.images.get(record.get("image", ""))
    if image is None:
        raise UserError(
            "The photo of this cloud is not in this file: it was imported, or its image was removed."
        )
    rgba = images.rgba_of(image)
    chosen = bpy.data.images.get(record.get("mask_image", ""))
    mask_rgba = images.rgba_of(chosen) if chosen is not None else None
    source = record.get("mask_source", "AUTO")
    return image, rgba, find_mask(rgba, source if source != "IMAGE" or chosen else "AUTO", mask_rgba)


def _search_job(points: Any, image: Any, rgba: np.ndarray, mask: np.ndarray) -> Job:
    cloud = points_object.cloud_of(points, world=False)
    name, image_name = points.name, image.name

    def work(job: Job) -> PhotoCamera:
        return pose_search.search(cloud.xyz, cloud.colors, rgba[..., :3], mask, job.report)[0]

    def done(camera: PhotoCamera) -> None:
        found, photo = placing.find_points(name), bpy.data.images.get(image_name)
        if found is None or photo is None:
            raise UserError(f"{name} or its photo was renamed or deleted meanwhile.")
        record = {**points_object.record_of(found), "camera": camera.record(), "pose": "searched"}
        if (
            record.get("color") == "by height"
        ):  # the photo's colours are better, now that it is known how it looks
            record["color"] = "looked up in the photo"
            _take_colors(found, camera, np.dstack((rgba[..., :3], mask)))
        points_object.set_record(found, record)
        _look_through(bpy.context, found, camera, photo, mask)
        placing.finish("Align to Photo")

    return Job("Align to Photo", work, done)


def _take_colors(points: Any, camera: PhotoCamera, cut: np.ndarray) -> None:
    colors = colors_from_photo(points_object.vertices_of(points.data), camera, cut)
    points_object.set_attribute(
        points.data, points_object.COLOR, "FLOAT_COLOR", points_object.rgba_linear(colors)
    )
    display.recolor(points)


def _look_through(context: Any, points: Any, camera: PhotoCamera, image: Any, mask: np.ndarray) -> None:
    """Set the camera, look through it where there is a viewport, and note the overlap before and after."""
    xyz = points_object.vertices_of(points.data)
    before = scene_camera.of_scene(context.scene, points, camera.width, camera.height)
    scene_camera.set_scene_camera(context.scene, points, camera, image)
    numbers = {"Overlap with the photo": [_iou(xyz, before, mask), _iou(xyz, camera, mask)]}
    _note(points, "To photo", numbers)
    for area in context.screen.areas if context.screen else ():
        if area.type == "VIEW_3D":
            area.spaces.active.region_3d.view_perspective = "CAMERA"


def _iou(xyz: np.ndarray, camera: PhotoCamera | None, mask: np.ndarray) -> float | None:
    return None if camera is None else pose_search.silhouette_iou(xyz, camera, mask)


def _note(points: Any, what: str, numbers: dict[str, list[float | None]]) -> None:
    """Keep numbers before and after with the object; the panel shows them."""
    points_object.set_record(
        points, {**points_object.record_of(points), "alignment": {"what": what, **numbers}}
    )


# --- cursor, floor, size ----------------------------------------------------------------------------------


def extent_of(points: Any) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest world coordinates (3,) of a cloud, but for stray points."""
    xyz = surfaces.in_world(points, points_object.vertices_of(points.data))
    if not len(xyz):
        raise UserError(f"{points.name} has no points.")
    low, high = np.quantile(xyz, [_STRAY_SHARE, 1 - _STRAY_SHARE], axis=0)
    return low, high


def move_by(points: Any, matrix: np.ndarray) -> None:
    """Move an object by a world matrix (4,4)."""
    points.matrix_world = Matrix(matrix.tolist()) @ points.matrix_world


def _shift(offset: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


class RECON_OT_align_cursor(OnPoints):
    """Move the cloud so that it stands on, or is centered at, the 3D cursor"""

    bl_idname = "recon.align_cursor"
    bl_label = "To Cursor"
    bl_options = {"REGISTER", "UNDO"}

    anchor: EnumProperty(
        name="Anchor",
        description="Which point of the cloud comes to the cursor",
        items=[
            ("BASE", "Base", "The middle of its lowest height"),
            ("CENTER", "Center", "The middle of its box"),
        ],
    )

    def execute(self, context: Any) -> set[str]:
        points = context.active_object
        try:
            low, high = extent_of(points)
        except UserError as error:
            return refuse(self, error)
        place = (low + high) / 2
        if self.anchor == "BASE":
            place[2] = low[2]
        move_by(points, _shift(np.array(context.scene.cursor.location) - place))
        return {"FINISHED"}


class RECON_OT_align_floor(OnPoints):
    """Move the cloud up or down so that it stands on the floor"""

    bl_idname = "recon.align_floor"
    bl_label = "To Floor"
    bl_options = {"REGISTER", "UNDO"}

    height: FloatProperty(
        name="Floor", description="Height of the floor, in scene units", default=0.0, unit="LENGTH"
    )

    def execute(self, context: Any) -> set[str]:
        points = context.active_object
        try:
            low, _ = extent_of(points)
        except UserError as error:
            return refuse(self, error)
        move_by(points, _shift(np.array([0.0, 0.0, self.height - low[2]])))
        return {"FINISHED"}


class RECON_OT_set_dimension(OnPoints):
    """Scale the cloud evenly, about the middle of its base, to a real size"""

    bl_idname = "recon.set_dimension"
    bl_label = "Set Real Size"
    bl_options = {"REGISTER", "UNDO"}

    axis: EnumProperty(
        name="Along",
        description="World axis along which the size is given",
        items=[("X", "X", "Width"), ("Y", "Y", "Depth"), ("Z", "Z", "Height")],
        default="Z",
    )
    size: FloatProperty(
        name="Size", description="Real extent, in scene units", default=1.0, min=1e-6, unit="LENGTH"
    )

    def invoke(self, context: Any, event: Any) -> set[str]:
        settings = context.scene.recon
        self.axis, self.size = settings.dimension_axis, settings.dimension
        return self.execute(context)

    def execute(self, context: Any) -> set[str]:
        points = context.active_object
        index = "XYZ".index(self.axis)
        try:
            low, high = extent_of(points)
        except UserError as error:
            return refuse(self, error)
        extent = float(high[index] - low[index])
        if extent <= 1e-9:
            return refuse(self, UserError(f"{points.name} has no extent along {self.axis}."))
        base = np.array([*(low + high)[:2] / 2, low[2]])
        grown = np.eye(4)
        grown[:3, :3] *= self.size / extent
        move_by(points, _shift(base) @ grown @ _shift(-base))
        return {"FINISHED"}


# --- to another object ------------------------------------------------------------------------------------


def target_of(context: Any) -> Any:
    """The object chosen in the panel, else another selected one. Raises UserError."""
    active, chosen = context.active_object, context.scene.recon.target
    if chosen is None:
        others = [one for one in context.selected_objects if one != active and one.type == "MESH"]
        chosen = others[0] if len(others) == 1 else None
    if chosen is None or chosen == active:
        raise UserError("Choose a target: another mesh or cloud, in the panel or selected beside this one.")
    if chosen.type not in ("MESH", "CURVE", "SURFACE", "META", "FONT"):
        raise UserError(f"{chosen.name} is no mesh or cloud.")
    return chosen


class RECON_OT_align_object(OnPoints):
    """Move, turn and, if wanted, scale the cloud onto the target, by matching nearest points"""

    bl_idname = "recon.align_object"
    bl_label = "To Target"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        return start_job(self, lambda: _icp_job(context))


def _icp_job(context: Any) -> Job:
    points, target, settings = context.active_object, target_of(context), context.scene.recon
    source_xyz, source_labels = surfaces.samples_of(points, _SAMPLES)
    target_xyz, target_labels = surfaces.samples_of(target, _SAMPLES)
    if settings.use_parts:
        source_labels, target_labels = _shared_labels(points, target, source_labels, target_labels)
    else:
        source_labels = target_labels = None
    source, goal = icp.Side(source_xyz, source_labels), icp.Side(target_xyz, target_labels)
    how = (settings.use_scale, settings.use_turns, settings.use_upright)
    name, target_name = points.name, target.name

    def done(found: icp.Alignment) -> None:
        moved = placing.find_points(name)
        if moved is None:
            raise UserError(f"{name} was renamed or deleted meanwhile.")
        move_by(moved, found.matrix)
        _note(moved, f"To {target_name}", {"RMS distance": [found.rms_before, found.rms_after]})
        placing.finish("Align to Target")

    return Job("Align to Target", lambda job: icp.align(source, goal, *how, job.report), done)


def _shared_labels(points: Any, target: Any, source: Any, goal: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels of both by the names that they share; others become 0. Raises UserError without any."""
    if source is None or goal is None:
        raise UserError("Match Parts needs parts on both: the target has none.")
    names = [part.name for part in points.recon.parts]
    table = np.zeros(256, np.int64)
    for label, part in enumerate(target.recon.parts, 1):
        table[label] = names.index(part.name) + 1 if part.name in names else 0
    shared = set(table[1:].tolist()) - {0}
    if not shared:
        raise UserError("Match Parts: the two clouds share no part's name.")
    kept = np.array([label if label in shared else 0 for label in range(256)])
    return kept[np.clip(source, 0, 255)], table[np.clip(goal, 0, 255)]


class RECON_OT_compare(OnPoints):
    """Measure how far the cloud is from the target, and color its points by that distance"""

    bl_idname = "recon.compare"
    bl_label = "Compare"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        return start_job(self, lambda: _compare_job(context))


def _compare_job(context: Any) -> Job:
    points, target, tolerance = context.active_object, target_of(context), context.scene.recon.limit
    reference, _ = surfaces.samples_of(target, 20_000)
    xyz, name, target_name = surfaces.samples_of(points, 0)[0], points.name, target.name

    def done(found: Comparison) -> None:
        shown = placing.find_points(name)
        if shown is None or len(shown.data.vertices) != len(found.distance):
            raise UserError(f"{name} was changed, renamed or deleted meanwhile.")
        points_object.set_attribute(shown.data, points_object.DISTANCE, "FLOAT", found.distance)
        shown.recon["heat_limit"] = max(float(np.quantile(found.distance, 0.95)), 1e-6)
        shown.recon.color_by = "DISTANCE"
        numbers = {key: value for key, value in vars(found).items() if key != "distance"}
        comparison = {"target": target_name, "tolerance": tolerance, **numbers}
        points_object.set_record(shown, {**points_object.record_of(shown), "comparison": comparison})
        placing.finish("Compare")

    return Job("Compare", lambda job: compare(xyz, reference, tolerance, job.report), done)


class RECON_OT_view_camera(bpy.types.Operator):
    """Look through the scene's camera, at the photo behind the cloud"""

    bl_idname = "recon.view_camera"
    bl_label = "Look Through Camera"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return context.scene.camera is not None and context.space_data is not None

    def execute(self, context: Any) -> set[str]:
        context.space_data.region_3d.view_perspective = "CAMERA"
        compat.redraw_panels()
        return {"FINISHED"}


CLASSES = (
    RECON_OT_align_photo,
    RECON_OT_align_cursor,
    RECON_OT_align_floor,
    RECON_OT_set_dimension,
    RECON_OT_align_object,
    RECON_OT_compare,
    RECON_OT_view_camera,
)
