# SPDX-License-Identifier: GPL-3.0-or-later
"""Match to Photo: any mesh or cloud to the photo of the section Image; its operators and its panel."""

# pyright: reportInvalidTypeForm=false

from typing import Any

import bpy

from . import foreground, images, match, match_scene, placing, points_object, worker_jobs
from .jobs import Job, UserError
from .operator_base import refuse, start_job
from .panel_base import Section, column, wrapped

TITLE = "Match to Photo"
NO_WORKER = "Without the worker only Set Camera, upright and with an unknown focal length, is possible."


class RECON_OT_match_photo(bpy.types.Operator):
    """Find from where the photo of the section Image shows the active object, and set the camera or move the object.
    Works for any mesh or cloud whose shape is like the object's in the photo"""

    bl_idname = "recon.match_photo"
    bl_label = "Match to Photo"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return match_scene.can_match(context.active_object)

    def execute(self, context: Any) -> set[str]:
        return start_job(self, lambda: _job(context))


def _job(context: Any) -> Job:
    """Look for the views of the active object by the panel's settings. Raises UserError."""
    candidate, scene = context.active_object, context.scene
    settings, name = scene.recon, candidate.name
    raw, raw_mask = images.read(settings.image), None
    if settings.mask_source == "IMAGE":
        if settings.mask_image is None:
            raise UserError("No mask image is chosen.")
        raw_mask = images.read(settings.mask_image)
    height, width = raw.values.shape[:2]
    subject = match_scene.subject_of(candidate)
    moves, source = settings.match_moves == "OBJECT", settings.mask_source
    present = match_scene.present_camera(scene, subject, width, height)
    known = match_scene.fixed_camera(scene, subject, width, height) if moves else None
    wishes = (settings.match_upright, 0.0 if moves else settings.match_focal_mm)
    line, about = _worker(moves, *wishes), match_scene.start_record(settings.image, moves, None)

    def work(job: Job) -> tuple[list[match.Solution], float | None]:
        job.report(0.01, "Finding the object")
        rgba = raw.rgba()
        mask = foreground.find_mask(rgba, source, None if raw_mask is None else raw_mask.rgba())
        question = match.Question(subject.xyz, subject.colors, rgba[..., :3], mask, *wishes, known)
        before = None if present is None else match.overlap(question, present)
        found = match.in_process(question, job) if line is None else match.by_worker(question, line, job)
        return found, before

    def done(outcome: tuple[list[match.Solution], float | None]) -> None:
        found = match_scene.find(name)
        if bpy.data.images.get(about["image"]) is None:
            raise UserError(f"The photo {about['image']} was renamed or deleted meanwhile.")
        match_scene.keep(found, subject, outcome[0], {**about, "before": outcome[1]})
        placing.finish(TITLE)

    return Job(TITLE, work, done)


def _worker(moves: bool, upright: bool, focal_mm: float) -> list[str] | None:
    """The worker's command line; None where there is none and none is needed. Raises UserError."""
    try:
        return worker_jobs.command()
    except UserError as error:
        if moves or not upright or focal_mm > 0:
            raise UserError(f"{error} {NO_WORKER}") from error
        return None


class RECON_OT_next_solution(bpy.types.Operator):
    """Show the next of the views from which the object covers the mask about equally well"""

    bl_idname = "recon.next_solution"
    bl_label = "Next Solution"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return len(_solutions(context.active_object)) > 1

    def execute(self, context: Any) -> set[str]:
        candidate = context.active_object
        index = int(points_object.record_of(candidate)["match"].get("index", 0)) + 1
        try:
            match_scene.apply(context, candidate, index % len(_solutions(candidate)))
        except UserError as error:
            return refuse(self, error)
        return {"FINISHED"}


def _solutions(candidate: Any) -> list[dict[str, Any]]:
    """The views that are noted with an object."""
    found = points_object.record_of(candidate).get("match") if match_scene.can_match(candidate) else None
    solutions = found.get("solutions") if isinstance(found, dict) else None
    return solutions if isinstance(solutions, list) else []


class RECON_PT_match(Section):
    """Any mesh or cloud to the photo."""

    bl_idname = "RECON_PT_match"
    bl_label = "Match to Photo"
    bl_parent_id = "RECON_PT_align"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return match_scene.can_match(context.active_object)

    def draw(self, context: Any) -> None:
        layout, settings = column(self.layout), context.scene.recon
        if settings.image is None:
            wrapped(self.layout, "Choose the photo in the section Image.", "INFO")
        layout.prop(settings, "match_moves")
        layout.prop(settings, "match_upright")
        row = layout.row()
        row.enabled = settings.match_moves == "CAMERA"  # else it is the camera's own
        row.prop(settings, "match_focal_mm")
        button = layout.row()
        button.enabled = settings.image is not None
        button.operator("recon.match_photo", icon="CAMERA_STEREO")
        draw_found(self.layout, context.active_object)


def draw_found(layout: Any, candidate: Any) -> None:
    """Numbers before and after, and the button to the next view."""
    solutions = _solutions(candidate)
    if not solutions:
        return
    found = points_object.record_of(candidate)["match"]
    index = min(int(found.get("index", 0)), len(solutions) - 1)
    shown, before = solutions[index], found.get("before")
    box = layout.box().column(align=True)
    box.label(text=f"Overlap with {found['image']}:")
    after = f"{shown['iou']:.0%}"
    box.label(text=after if before is None else f"{before:.0%} before, {after} after")
    if len(solutions) > 1:
        apart = "the best" if index == 0 else f"{shown['apart_deg']:.0f}° from the best"
        box.label(text=f"View {index + 1} of {len(solutions)}, {apart}")
        box.operator("recon.next_solution", icon="FORWARD")


CLASSES = (RECON_OT_match_photo, RECON_OT_next_solution)
PANELS = (RECON_PT_match,)
