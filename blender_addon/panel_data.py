# SPDX-License-Identifier: GPL-3.0-or-later
"""The section Data of the tab "Recon": objects to a training set, and that to a model."""

from pathlib import Path
from typing import Any

from . import data_objects, data_pictures, data_state, operators_data, session
from .data_jobs import RENDER, TRAIN
from .panel_base import Section, column, wrapped
from .preferences import preferences


class RECON_PT_data(Section):
    """What the training set shows, and where everything is kept."""

    bl_idname = "RECON_PT_data"
    bl_label = "Data"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, settings = column(self.layout), context.scene.recon_data
        row = layout.row()
        row.use_property_split = False
        row.prop(settings, "source", expand=True)
        if settings.source == "COLLECTION":
            layout.prop(settings, "collection")
        layout.label(text=objects_line(data_objects.count_chosen(context)))
        layout.prop(settings, "category")
        layout.prop(settings, "labels")
        layout.prop(settings, "front")
        layout.prop(settings, "folder")
        if operators_data.folder_or_none(settings) is None:
            wrapped(layout, "Save the file, or choose a folder.", "INFO")


def objects_line(count: int) -> str:
    """How many objects, in words."""
    return "No objects" if count == 0 else "1 object" if count == 1 else f"{count:,} objects"


class RECON_PT_data_render(Section):
    """The pictures, and whether they are all right."""

    bl_idname = "RECON_PT_data_render"
    bl_label = "Training Set"
    bl_parent_id = "RECON_PT_data"

    def draw(self, context: Any) -> None:
        layout, settings = column(self.layout), context.scene.recon_data
        for name in ("views", "size", "samples", "light"):
            layout.prop(settings, name)
        big = layout.row(align=True)
        big.scale_y = 1.3
        big.operator("recon.data_render", text="Render", icon="RENDER_STILL")
        big.operator("recon.data_check", icon="CHECKMARK")
        _running_render(layout)
        folder = operators_data.folder_or_none(settings)
        report = data_state.report_of(folder) if folder else None
        if report is not None:
            _report(self.layout, report)


def _running_render(layout: Any) -> None:
    info = next((job.info for job in session.jobs.active if job.title == RENDER), {})
    if "objects" in info:
        failed = f", {info['objects_failed']} failed" if info.get("objects_failed") else ""
        layout.label(text=f"{info.get('objects_done', 0)} of {info['objects']} objects{failed}")


def _report(layout: Any, report: data_state.SetReport) -> None:
    box = layout.box().column(align=True)
    for number, line in enumerate(report.lines):
        icon = ("CHECKMARK" if report.ok else "ERROR") if number == 0 else "BLANK1"
        wrapped(box, line, icon, margin=4)
    _picture(box, data_pictures.file_icon(report.sheet), 9, "SHEET")
    box.operator("recon.show_log", text="Full Report", icon="TEXT")


def _picture(layout: Any, icon: int, scale: float, which: str) -> None:
    if not icon:
        return
    layout.template_icon(icon_value=icon, scale=scale)
    layout.operator("recon.data_picture", icon="IMAGE").which = which


class RECON_PT_data_train(Section):
    """Training: live figures, samples, and the model."""

    bl_idname = "RECON_PT_data_train"
    bl_label = "Training"
    bl_parent_id = "RECON_PT_data"

    def draw(self, context: Any) -> None:
        layout, settings = column(self.layout), context.scene.recon_data
        found = preferences()
        if found is not None and not found.worker_path:
            wrapped(layout, "Training needs the worker: name it in Preferences > Add-ons > Recon.", "INFO")
        layout.prop(settings, "predicts")
        layout.prop(settings, "steps")
        big = layout.row()
        big.scale_y = 1.3
        big.operator("recon.data_train", icon="PLAY").resume = False
        folder = operators_data.folder_or_none(settings)
        training = data_state.training_of(folder) if folder else None
        if training is not None:
            _training(self.layout, training, folder)
        is_busy = any(job.title == TRAIN for job in session.jobs.active)
        step = None if is_busy or not settings.run else data_state.last_step(Path(settings.run))
        if step is not None:
            row = layout.row(align=True)
            if training is None or not training.finished:
                row.operator("recon.data_train", text="Continue", icon="FRAME_NEXT").resume = True
            row.operator("recon.data_export", icon="IMPORT")


def _training(layout: Any, training: data_state.Training, folder: Path | None) -> None:
    info, box = training.info, layout.box().column(align=True)
    if training.ended:
        wrapped(box, training.ended, "INFO", margin=4)
    for line in training_lines(info, is_over=bool(training.ended)):
        box.label(text=line)
    curve = data_pictures.curve_icon(info.get("losses"))
    if curve:
        box.template_icon(icon_value=curve, scale=5)
        box.label(text="Loss over the steps")
    sample = info.get("sample")
    if isinstance(sample, str) and folder and operators_data.is_inside(Path(sample), folder):
        _picture(box, data_pictures.file_icon(Path(sample)), 8.5, "SAMPLE")


def training_lines(info: dict[str, Any], is_over: bool) -> list[str]:
    """Step (while it changes), loss and overlap, as far as they are known."""
    lines = []
    if not is_over and isinstance(info.get("step"), int) and isinstance(info.get("steps"), int):
        lines.append(f"Step {info['step']:,} of {info['steps']:,}")
    if isinstance(info.get("loss"), (int, float)):
        lines.append(f"Loss: {info['loss']:.4f}")
    if isinstance(info.get("val_mask_iou"), (int, float)):
        lines.append(f"Overlap with the masks: {info['val_mask_iou']:.0%}")
    return lines


CLASSES = (RECON_PT_data, RECON_PT_data_render, RECON_PT_data_train)
