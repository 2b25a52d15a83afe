# SPDX-License-Identifier: GPL-3.0-or-later
"""The operator that refines a cloud which is in the scene already."""

# pyright: reportInvalidTypeForm=false

from typing import Any

import bpy
from bpy.props import IntProperty

from . import display, placing, points_object, refine_jobs, scene_camera, worker_jobs
from .jobs import Job, UserError
from .operator_base import OnPoints, start_job
from .operators_align import _photo_of
from .photo_camera import PhotoCamera

TITLE = "Refine"


class RECON_OT_refine(OnPoints):
    """Move the cloud's points, and its photo's camera, until they fit the photo's mask. Done by the worker"""

    bl_idname = "recon.refine"
    bl_label = "Refine"
    bl_options = {"REGISTER"}

    steps: IntProperty(
        name="Steps",
        description="At most so many steps; 0 takes Refine of the section Reconstruct, or 120",
        default=0,
        min=0,
        max=2000,
        options={"SKIP_SAVE"},
    )

    def execute(self, context: Any) -> set[str]:
        steps = self.steps or context.scene.recon.refine_steps or refine_jobs.DEFAULT_STEPS
        return start_job(self, lambda: _job(context.active_object, steps))


def _job(points: Any, steps: int) -> Job:
    """Refine a cloud by its record: its photo, mask and camera. Raises UserError."""
    record, name = points_object.record_of(points), points.name
    image, rgba, mask = _photo_of(record)
    try:
        camera = PhotoCamera.of_record(record["camera"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            "It is not known from where the photo shows this cloud: use To Photo or Match to Photo first."
        ) from error
    cloud, image_name, line = points_object.cloud_of(points, world=False), image.name, worker_jobs.command()
    color = str(record.get("color", ""))

    def work(job: Job) -> refine_jobs.Refined:
        return refine_jobs.refine(cloud, camera, rgba[..., :3], mask, steps, line, job, color)

    def done(found: refine_jobs.Refined) -> None:
        moved = placing.find_points(name)
        if moved is None or len(moved.data.vertices) != len(found.cloud):
            raise UserError(f"{name} was changed, renamed or deleted meanwhile.")
        _take(moved, found, bpy.data.images.get(image_name))
        placing.finish(TITLE)

    return Job(TITLE, work, done)


def _take(points: Any, found: refine_jobs.Refined, image: Any) -> None:
    """Move the points of an object, note what was done, and let the photo's camera follow."""
    mesh = points.data
    mesh.vertices.foreach_set("co", found.cloud.xyz.ravel())
    points_object.write_attributes(mesh, found.cloud)
    mesh.update()
    display.recolor(points)
    record = {**points_object.record_of(points), "camera": found.camera.record(), "refined": found.figures}
    if found.color:
        record["color"] = found.color
    points_object.set_record(points, record)
    if image is not None and scene_camera.shows(bpy.context.scene, image):
        scene_camera.set_scene_camera(bpy.context.scene, points, found.camera, image)


CLASSES = (RECON_OT_refine,)
