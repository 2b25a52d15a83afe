# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators of the section Data: render a training set, check it, train, and use the model."""

# pyright: reportInvalidTypeForm=false

import json
import time
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty

from . import data_jobs, data_objects, data_state, log, session, worker_jobs
from .data_jobs import Place, RenderSettings, Trained, TrainSettings
from .jobs import Job, UserError
from .operator_base import refuse, start_job
from .worker_client import NoWorker


class DataOperator(bpy.types.Operator):
    """Operators that do something with the training set; one at a time."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        return not any(job.title in data_jobs.TITLES for job in session.jobs.active)

    def execute(self, context: Any) -> set[str]:
        return start_job(self, lambda: self.job(context))

    def job(self, context: Any) -> Job:
        """What to start. Raises UserError."""
        raise NotImplementedError


class RECON_OT_data_render(DataOperator):
    """Render the chosen objects into the training set with Blender in the background, and check it"""

    bl_idname = "recon.data_render"
    bl_label = "Render Training Set"
    bl_options = {"REGISTER"}
    bl_description = (
        "Render the chosen objects into the training set with Blender in the background, and check it. "
        "Objects that are there already are skipped; the scene is not changed"
    )

    def job(self, context: Any) -> Job:
        place, settings = place_of(context, needs_worker=False), context.scene.recon_data
        groups = data_objects.groups_of(context)
        request = data_objects.write_request(context, groups)
        how = RenderSettings(settings.views, settings.size, settings.samples, settings.light, settings.front)
        return data_jobs.render_job(place, request, how, keep_report)


class RECON_OT_data_check(DataOperator):
    """Check that the training set is whole and, with the worker, that its pictures, cameras and labels agree"""

    bl_idname = "recon.data_check"
    bl_label = "Check"
    bl_options = {"REGISTER"}

    def job(self, context: Any) -> Job:
        return data_jobs.check_job(place_of(context, needs_worker=False), keep_report)


class RECON_OT_data_train(DataOperator):
    """Train a model on the training set in the worker, and use it when it is done. Cancel keeps what is learnt"""

    bl_idname = "recon.data_train"
    bl_label = "Train"
    bl_options = {"REGISTER"}

    resume: BoolProperty(
        name="Continue",
        description="Go on with the last training instead of starting anew",
        options={"SKIP_SAVE"},
    )

    def job(self, context: Any) -> Job:
        place, scene = place_of(context), context.scene
        settings = train_settings(place, scene.recon_data, self.resume)
        job = data_jobs.train_job(place, settings, lambda trained: use_model(trained, scene.name))
        scene.recon_data.run = str(settings.run)
        return job


class RECON_OT_data_export(DataOperator):
    """Export the last training's newest checkpoint, and choose it in the section Reconstruct"""

    bl_idname = "recon.data_export"
    bl_label = "Use Model"
    bl_options = {"REGISTER"}

    def job(self, context: Any) -> Job:
        place, scene = place_of(context), context.scene
        run = last_run(scene.recon_data)
        model = new_name(place.folder / "models", scene.recon_data.category, ".onnx")
        return data_jobs.export_job(place, run, model, lambda trained: use_model(trained, scene.name))


class RECON_OT_data_picture(bpy.types.Operator):
    """Open this picture in an image editor"""

    bl_idname = "recon.data_picture"
    bl_label = "Open Picture"
    bl_options = {"INTERNAL"}

    which: EnumProperty(
        name="Picture",
        description="Which of the training set's pictures is opened",
        items=[
            ("SHEET", "Contact Sheet", "Some of the rendered views"),
            ("SAMPLE", "Samples", "What the model predicted last"),
        ],
        options={"SKIP_SAVE"},
    )

    def execute(self, context: Any) -> set[str]:
        path = picture_path(context, self.which)
        try:
            if path is None:
                raise UserError("There is no picture yet.")
            image = bpy.data.images.load(str(path), check_existing=True)
            image.reload()
        except (RuntimeError, UserError) as error:
            return refuse(self, UserError(str(error).strip().splitlines()[-1]))
        area = _image_editor(context)
        if area is None:
            self.report({"INFO"}, f"{image.name} is among the images of this file")
        else:
            area.spaces.active.image = image
        return {"FINISHED"}


def picture_path(context: Any, which: str) -> Path | None:
    """The file of the contact sheet or of the newest samples."""
    folder = folder_or_none(context.scene.recon_data)
    if folder is None:
        return None
    if which == "SHEET":
        report = data_state.report_of(folder)
        return report.sheet if report else None
    training = data_state.training_of(folder)
    sample = training.info.get("sample") if training else None
    return Path(sample) if isinstance(sample, str) and training and is_inside(Path(sample), folder) else None


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path that the worker named is in the folder that it was given."""
    return folder in path.parents and ".." not in path.parts


def _image_editor(context: Any) -> Any:
    """An image editor of any window, else one in a new window; None without a window."""
    manager = context.window_manager
    for window in manager.windows:
        for area in window.screen.areas:
            if area.type == "IMAGE_EDITOR":
                return area
    if bpy.app.background or context.window is None:
        return None
    bpy.ops.wm.window_new()
    area = manager.windows[-1].screen.areas[0]
    area.type = "IMAGE_EDITOR"
    return area


def place_of(context: Any, needs_worker: bool = True) -> Place:
    """Folder, worker and Blender. Raises UserError when the folder, or a worker that is needed, is not set."""
    settings = context.scene.recon_data
    try:
        command = worker_jobs.command()
    except NoWorker:
        if needs_worker:
            raise
        command = []
    folder = folder_or_none(settings)
    if folder is None:
        raise UserError("Save the file first, or choose a folder for the training set under Folder.")
    return Place(folder, command, bpy.app.binary_path)


def folder_or_none(settings: Any) -> Path | None:
    """The chosen folder, or None when it is not known where that would be."""
    text = settings.folder.strip()
    if not text or (text.startswith("//") and not bpy.data.filepath):
        return None
    path = Path(bpy.path.abspath(text))
    return path.resolve() if path.is_absolute() else None


def train_settings(place: Place, settings: Any, resume: bool) -> TrainSettings:
    """What to train, into which folder. Raises UserError."""
    recipe, overrides = data_jobs.RECIPES[settings.predicts]
    model = new_name(place.folder / "models", settings.category, ".onnx")
    if resume:
        return TrainSettings(recipe, overrides, settings.steps, last_run(settings), model, resume=True)
    if settings.predicts == "FULL" and has_no_parts(place.dataset):
        raise UserError(
            "The training set has no part labels. Choose Shape, Color under Predicts, or render it with parts."
        )
    run = new_name(place.folder / "runs", settings.predicts.lower(), "")
    return TrainSettings(recipe, overrides, settings.steps, run, model)


def has_no_parts(dataset: Path) -> bool:
    """Whether a training set is there, and says that it has no parts."""
    try:
        return not json.loads((dataset / "dataset.json").read_text(encoding="utf-8")).get("parts")
    except (OSError, ValueError, AttributeError):
        return False


def last_run(settings: Any) -> Path:
    """The run of the last training, if it has a checkpoint. Raises UserError."""
    run = Path(settings.run) if settings.run else None
    data_state.look_again()
    if run is None or data_state.last_step(run) is None:
        raise UserError("There is no training to go on with: press Train.")
    return run


def new_name(folder: Path, name: str, ending: str) -> Path:
    """A path that is not there yet, with the time in its name."""
    stem = f"{data_objects.safe_name(name.strip().lower())}_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    path, number = folder / f"{stem}{ending}", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{ending}"
    return path


def keep_report(report: data_state.SetReport) -> None:
    """Show what a check found; all of it goes to the log."""
    data_state.report = report
    log.write(f"Training set in {report.folder}", "\n".join([*report.lines, "", report.text]))


def use_model(trained: Trained, scene_name: str) -> None:
    """Choose a new model in the section Reconstruct; one that cannot be exported runs in the worker."""
    scene = bpy.data.scenes.get(scene_name) or bpy.context.scene
    settings = scene.recon
    settings.run_path = str(trained.run)
    if trained.model is None:
        settings.engine = "WORKER"
        session.say(f"The run is chosen, to run in the worker: {trained.problem}")
        return
    settings.engine, settings.model_source, settings.model_path = "BUILT_IN", "FILE", str(trained.model)


CLASSES = (
    RECON_OT_data_render,
    RECON_OT_data_check,
    RECON_OT_data_train,
    RECON_OT_data_export,
    RECON_OT_data_picture,
)
