# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators of the sections Image and Reconstruct."""

# pyright: reportInvalidTypeForm=false

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty

from . import (
    crop_preview,
    engine_onnx,
    images,
    pipeline,
    placing,
    points_object,
    refine_jobs,
    session,
    worker_jobs,
)
from .crop import CropError, crop_square, fit_box
from .foreground import find_mask
from .jobs import Job, UserError
from .operator_base import OnPoints, refuse, started


def model_file(settings: Any) -> Path:
    """The exported model that the settings choose. Raises UserError."""
    if settings.model_source == "FILE":
        if not settings.model_path:
            raise UserError("No model file is chosen. Choose one that `recon export` made.")
        return Path(bpy.path.abspath(settings.model_path))
    if not engine_onnx.BUNDLED.is_file():
        raise UserError(
            "This build brings no model. Set Model to File and choose one that `recon export` made."
        )
    return engine_onnx.BUNDLED


class RECON_OT_use_editor_image(bpy.types.Operator):
    """Take the image that is open in an image editor of this window"""

    bl_idname = "recon.use_editor_image"
    bl_label = "Use Image Editor's Image"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return images.open_in_editor(context) is not None

    def execute(self, context: Any) -> set[str]:
        context.scene.recon.image = images.open_in_editor(context)
        return {"FINISHED"}


class RECON_OT_show_crop(bpy.types.Operator):
    """Show what the model would see: the object cut out and centered"""

    bl_idname = "recon.show_crop"
    bl_label = "Show Crop"
    bl_options = {"REGISTER"}

    def execute(self, context: Any) -> set[str]:
        settings = context.scene.recon
        try:
            rgba, mask_rgba = pixels(settings)
            mask = find_mask(rgba, settings.mask_source, mask_rgba)
            rgba[..., 3] = mask
            crop_preview.show(crop_square(rgba, fit_box(mask), 128))
        except (UserError, CropError) as error:
            return refuse(self, error)
        session.say("")
        return {"FINISHED"}


class RECON_OT_paint_mask(bpy.types.Operator):
    """Make a mask image of the image's size, filled with the best guess, and open it for painting"""

    bl_idname = "recon.paint_mask"
    bl_label = "Paint Mask"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        settings = context.scene.recon
        try:
            rgba = images.rgba_of(settings.image)
        except UserError as error:
            return refuse(self, error)
        try:
            mask = find_mask(rgba, "AUTO")
        except UserError:
            mask = rgba[..., 3] * 0
        settings.mask_image = images.new_mask(f"{settings.image.name} mask", mask)
        settings.mask_source = "IMAGE"
        _open_for_painting(context, settings.mask_image)
        return {"FINISHED"}


def _open_for_painting(context: Any, image: Any) -> None:
    for area in context.screen.areas if context.screen else ():
        if area.type == "IMAGE_EDITOR":
            area.spaces.active.image = image
            area.spaces.active.ui_mode = "PAINT"


class RECON_OT_reconstruct(bpy.types.Operator):
    """Turn the image into a cloud of colored, labeled points at the 3D cursor's place in the scene"""

    bl_idname = "recon.reconstruct"
    bl_label = "Reconstruct"
    bl_options = {"REGISTER"}
    bl_description = (
        "Turn the image into a cloud of colored, labeled points. Runs beside Blender; Esc is not needed"
    )

    wait: BoolProperty(
        name="Wait",
        description="Block until the points are there; for scripts",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        return not any(job.title == self_title() for job in session.jobs.active)

    def execute(self, context: Any) -> set[str]:
        return started(self, lambda: start_reconstruction(context.scene, self.wait), (UserError, CropError))


class RECON_OT_reconstruct_again(OnPoints):
    """Reconstruct the image that the active cloud was made from once more, with the model chosen now"""

    bl_idname = "recon.reconstruct_again"
    bl_label = "Reconstruct Again"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        record = points_object.record_of(context.active_object)
        image = bpy.data.images.get(record.get("image", ""))
        if image is None:
            return refuse(self, UserError("The image of this cloud is no longer in this file."))
        context.scene.recon.image = image
        return bpy.ops.recon.reconstruct()


class RECON_OT_cancel(bpy.types.Operator):
    """Stop what is running and drop its result"""

    bl_idname = "recon.cancel"
    bl_label = "Cancel"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return bool(session.jobs.active)

    def execute(self, context: Any) -> set[str]:
        for job in session.jobs.active:
            job.cancel()
        return {"FINISHED"}


class RECON_OT_dismiss(bpy.types.Operator):
    """Put the message away"""

    bl_idname = "recon.dismiss"
    bl_label = "Dismiss Message"
    bl_options = {"INTERNAL"}

    def execute(self, context: Any) -> set[str]:
        session.say("")
        return {"FINISHED"}


def self_title() -> str:
    """Title of reconstruction jobs."""
    return "Reconstruct"


def pixels(settings: Any) -> tuple[Any, Any]:
    """Pixels of the image, and of the mask image when it is asked for."""
    request = request_of(settings, Path())()
    return request.rgba, request.mask_rgba


def request_of(settings: Any, model_path: Path) -> Callable[[], pipeline.Request]:
    """Copy the pixels now; the function converts them, which takes longer, on the job's thread. Raises UserError."""
    raw, raw_mask, source = images.read(settings.image), None, settings.mask_source
    if source == "IMAGE":
        if settings.mask_image is None:
            raise UserError("No mask image is chosen.")
        raw_mask = images.read(settings.mask_image)

    def request() -> pipeline.Request:
        return pipeline.Request(raw.rgba(), source, None if raw_mask is None else raw_mask.rgba(), model_path)

    return request


def about_of(settings: Any, model_path: Path, engine: str) -> dict[str, Any]:
    """What a reconstruction's record says of its making."""
    has_mask = settings.mask_source == "IMAGE"
    return {
        "image": settings.image.name,
        "model": str(model_path),
        "engine": engine,
        "mask_source": settings.mask_source,
        "mask_image": settings.mask_image.name if has_mask else "",
    }


def start_reconstruction(scene: Any, wait: bool = False) -> Job:
    """Start a reconstruction with a scene's settings. Raises UserError."""
    settings = scene.recon
    if settings.engine == "WORKER":
        return worker_jobs.start_reconstruction(scene, wait)
    model_path = model_file(settings)
    request, about = request_of(settings, model_path), about_of(settings, model_path, "Blender")
    run = refine_jobs.with_refining(pipeline.reconstruct, settings.refine_steps, worker_jobs.command)
    work = Job(
        self_title(),
        lambda job: run(request(), job),
        lambda outcome: place(outcome, about),
    )
    return session.start(work, wait)


def place(outcome: Any, about: dict[str, Any]) -> None:
    """Put a reconstruction into the scene that is open now."""
    crop_preview.show(outcome.crop)
    points = placing.add_cloud(
        f"{Path(about['image']).stem} points", outcome.cloud, record_of(outcome, about)
    )
    points_object.keep_image(points, bpy.data.images.get(about["image"]))
    placing.finish("Reconstruct")
    session.say(outcome.refined.get("note", ""))


def record_of(outcome: Any, about: dict[str, Any]) -> dict[str, Any]:
    """What is kept with a cloud: `about` says from what and how it was made."""
    return {
        **about,
        "model_name": outcome.model_name,
        "category": pipeline.category_text(outcome.category, outcome.probability),
        "camera": None if outcome.camera is None else outcome.camera.record(),
        "crop": list(outcome.box),
        "color": outcome.color_source,
        "refined": outcome.refined,
        "timings_ms": outcome.timings_ms,
    }


CLASSES = (
    RECON_OT_use_editor_image,
    RECON_OT_show_crop,
    RECON_OT_paint_mask,
    RECON_OT_reconstruct,
    RECON_OT_reconstruct_again,
    RECON_OT_cancel,
    RECON_OT_dismiss,
)
