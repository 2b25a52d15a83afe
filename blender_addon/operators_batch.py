# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of images to a grid of clouds: operator and section."""

# pyright: reportInvalidTypeForm=false

import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty

from . import (
    batch,
    display,
    engine_onnx,
    images,
    log,
    pipeline,
    placing,
    points_object,
    refine_jobs,
    session,
    worker_jobs,
)
from .jobs import Job, UserError
from .operator_base import started
from .operators_reconstruct import model_file, record_of, self_title
from .panel_base import Section, column

FEED_SECONDS = 0.02
# The shape of the points by how many all clouds have together; beyond, render points.
_SHAPES = ((display.MAX_MESHED_POINTS, "SPHERE"), (200_000, "CUBE"))


class RECON_OT_reconstruct_folder(bpy.types.Operator):
    """Turn every image of a folder into a cloud and place the clouds in a grid"""

    bl_idname = "recon.reconstruct_folder"
    bl_label = "Reconstruct Folder"
    bl_options = {"REGISTER"}
    bl_description = (
        "Turn every image of the folder into a cloud, with the model and mask chosen above, and place the clouds in a "
        "grid at the 3D cursor, in a collection of their own. Images that fail are listed in the log"
    )

    wait: BoolProperty(
        name="Wait",
        description="Block until the clouds are there; for scripts",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        return not any(job.title == self_title() for job in session.jobs.active)

    def execute(self, context: Any) -> set[str]:
        return started(self, lambda: start(context.scene, self.wait))


def start(scene: Any, wait: bool = False) -> Job:
    """Start a folder with a scene's settings. Raises UserError."""
    settings = scene.recon
    if not settings.batch_folder:
        raise UserError("No folder is chosen: name one under Folder of Images.")
    if settings.mask_source == "IMAGE":
        raise UserError("A mask image belongs to one image. Choose another Mask for a folder.")
    folder = Path(bpy.path.abspath(settings.batch_folder))
    paths = batch.images_in(folder, bpy.path.extensions_image)
    reconstruct, about = _engine(settings)
    feed, spacing = batch.Feed(), settings.batch_spacing

    def work(job: Job) -> batch.Batch:
        if about["engine"] == "Blender":
            job.report(0.0, "Loading model")
            engine_onnx.load_model(Path(about["model"]))  # when it is broken, that is one error, not many
        return batch.work(paths, feed, reconstruct, job)

    def done(result: batch.Batch) -> None:
        _place(result, about, folder.name or "Folder", spacing)

    return _run(Job(self_title(), work, done), feed, paths, wait)


def _engine(settings: Any) -> tuple[batch.Reconstruct, dict[str, Any]]:
    """What reconstructs one image on the thread, and what is noted about it. Raises UserError."""
    source = settings.mask_source
    about = {"mask_source": source, "mask_image": ""}
    if settings.engine == "WORKER":
        run, line = worker_jobs.chosen_run(settings), worker_jobs.command()
        about |= {"model": str(run), "engine": "worker"}
        model, made = run, lambda request, job: worker_jobs.reconstruct(request, line, job)
    else:
        model, made = model_file(settings), pipeline.reconstruct
        about |= {"model": str(model), "engine": "Blender"}
    work = refine_jobs.with_refining(made, settings.refine_steps, worker_jobs.command)
    return (lambda rgba, job: work(pipeline.Request(rgba, source, None, model), job)), about


# --- pixels, on the main thread -----------------------------------------------------------------------------


class _Feeder:
    """A timer's function: reads the next image whenever the work has taken the last one."""

    def __init__(self, job: Job, feed: batch.Feed, paths: list[Path]) -> None:
        self._job, self._feed, self._left = job, feed, list(paths)

    def __call__(self) -> float | None:
        if not self._left or self._job.ended or self._job.cancelling:
            return None
        if not self._feed.full:
            self._feed.put(read_pixels(self._left.pop(0)))
        return FEED_SECONDS


_feeder: _Feeder | None = None


def _run(job: Job, feed: batch.Feed, paths: list[Path], wait: bool) -> Job:
    global _feeder
    feeder = _Feeder(job, feed, paths)
    if wait or bpy.app.background:  # timers do not run there
        session.say("")
        session.jobs.start(job)
        while not job.ended:
            feeder()
            time.sleep(0.001)
        session.poll()
        return job
    session.start(job)
    unregister()
    _feeder = feeder
    # Not persistent: loading a file cancels the job anyway.
    bpy.app.timers.register(feeder, first_interval=0.0)
    return job


def unregister() -> None:
    """Remove the timer."""
    global _feeder
    if _feeder is not None and bpy.app.timers.is_registered(_feeder):
        bpy.app.timers.unregister(_feeder)
    _feeder = None


def read_pixels(path: Path) -> batch.Convert | UserError:
    """What gives an image file's pixels, or why there are none. Leaves no datablock: a cancelled folder must not."""
    image = None
    try:
        image = bpy.data.images.load(str(path), check_existing=False)
        return images.read(image).rgba
    except UserError as error:
        return error
    except (RuntimeError, MemoryError) as error:
        return UserError(" ".join(str(error).removeprefix("Error: ").split()) or "It cannot be read.")
    finally:
        if image is not None:
            bpy.data.images.remove(image)


# --- clouds, on the main thread ------------------------------------------------------------------------------


def _place(result: batch.Batch, about: dict[str, Any], name: str, spacing: float) -> None:
    """The clouds in a collection of their own, and the failures in the log."""
    if result.failures:
        log.write(batch.summary(result), batch.report(result))
    if not result.outcomes:
        raise UserError(batch.summary(result))
    scene = bpy.context.scene
    collection = bpy.data.collections.new(f"{name} clouds")
    scene.collection.children.link(collection)
    places = batch.grid(len(result.outcomes), spacing) + np.array(scene.cursor.location)
    shape = shape_for(sum(len(outcome.cloud) for _, outcome in result.outcomes))
    made = [_add(*one, about, collection, place) for one, place in zip(result.outcomes, places)]
    for points in made:
        points.recon.shape = shape
    placing.select_only(made[0])
    placing.finish("Reconstruct Folder")
    session.say(batch.summary(result))


def _add(path: Path, outcome: Any, about: dict[str, Any], collection: Any, place: np.ndarray) -> Any:
    image = _image(path)
    record = record_of(outcome, {**about, "image": image.name if image is not None else path.name})
    points = points_object.new_points(f"{path.stem} points", outcome.cloud, collection)
    points.location = place.tolist()
    placing.settle(points, outcome.cloud, record)
    points_object.keep_image(points, image)
    return points


def _image(path: Path) -> Any:
    """The image of this file, loaded when it is not in the open file yet; None when it is gone."""
    try:
        return bpy.data.images.load(str(path), check_existing=True)
    except RuntimeError:
        return None


def shape_for(points: int) -> str:
    """How points are drawn so that so many stay fast."""
    return next((shape for limit, shape in _SHAPES if points <= limit), "POINT")


class RECON_PT_batch(Section):
    """A whole folder at once."""

    bl_idname = "RECON_PT_batch"
    bl_label = "Folder of Images"
    bl_parent_id = "RECON_PT_reconstruct"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, settings = column(self.layout), context.scene.recon
        layout.prop(settings, "batch_folder")
        layout.prop(settings, "batch_spacing")
        layout.operator("recon.reconstruct_folder", icon="FILE_FOLDER")


CLASSES = (RECON_OT_reconstruct_folder, RECON_PT_batch)
