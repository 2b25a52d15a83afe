# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab "Recon" in the 3D viewport's sidebar: sections in the order of work."""

from pathlib import Path
from typing import Any

import bpy

from . import crop_preview, engine_onnx, images, log, panel_trust, points_object, presets, session
from .compat import progress_bar
from .panel_base import CloudSection, Section, column, wrapped


class RECON_PT_status(Section):
    """What runs, with a way to stop it, and the last error; on top of the tab, and only when there is either."""

    bl_idname = "RECON_PT_status"
    bl_label = "Status"

    @classmethod
    def poll(cls, context: Any) -> bool:
        return bool(session.jobs.active or session.message)

    def draw(self, context: Any) -> None:
        layout = self.layout.column()
        for job in session.jobs.active:
            left = job.seconds_left()
            text = job.title if left is None else f"{job.title}, {left:.0f} s left"
            layout.label(text=text, icon="SORTTIME")
            row = layout.row(align=True)
            progress_bar(row, job.fraction, "Stopping" if job.cancelling else job.stage)
            row.operator("recon.cancel", text="", icon="X")
        if session.message:
            row = layout.row()
            wrapped(row, session.message, "ERROR", margin=5)
            buttons = row.column()
            buttons.operator("recon.dismiss", text="", icon="X", emboss=False)
            if log.found() is not None:
                buttons.operator("recon.show_log", text="", icon="TEXT", emboss=False)


class RECON_PT_image(Section):
    """The picture, and what in it is the object."""

    bl_idname = "RECON_PT_image"
    bl_label = "Image"

    def draw(self, context: Any) -> None:
        layout, settings = column(self.layout), context.scene.recon
        layout.template_ID(settings, "image", open="image.open")
        if images.open_in_editor(context) is not None:
            layout.operator("recon.use_editor_image", icon="IMAGE")
        _pictures(layout, settings.image)
        layout.prop(settings, "mask_source")
        if settings.mask_source == "IMAGE":
            layout.template_ID(settings, "mask_image", open="image.open")
        row = layout.row(align=True)
        row.enabled = settings.image is not None
        row.operator("recon.show_crop", icon="BORDERMOVE")
        row.operator("recon.paint_mask", icon="BRUSH_DATA")


def _pictures(layout: Any, image: Any) -> None:
    """The image, and beside it the crop once it is known."""
    if image is None:
        return
    row = layout.row()
    preview = image.preview_ensure()
    if preview is not None:
        row.template_icon(icon_value=preview.icon_id, scale=5)
    if crop_preview.icon():
        row.template_icon(icon_value=crop_preview.icon(), scale=5)


class RECON_PT_reconstruct(Section):
    """The model, the button, and how far it is."""

    bl_idname = "RECON_PT_reconstruct"
    bl_label = "Reconstruct"

    def draw(self, context: Any) -> None:
        layout, settings = column(self.layout), context.scene.recon
        layout.prop(settings, "engine")
        if settings.engine == "WORKER":
            layout.prop(settings, "run_path")
        else:
            layout.prop(settings, "model_source")
            if settings.model_source == "FILE":
                layout.prop(settings, "model_path", text="")
            _model_hint(layout, settings)
        layout.prop(settings, "refine_steps")
        big = layout.row()
        big.scale_y = 1.5
        big.operator("recon.reconstruct", icon="OUTLINER_OB_POINTCLOUD")


def _model_hint(layout: Any, settings: Any) -> None:
    """What to do when there is no model."""
    if settings.model_source == "BUNDLED" and not engine_onnx.BUNDLED.is_file():
        wrapped(
            layout,
            "This build brings no model. Set Model to File and choose one made by `recon export`.",
            "INFO",
        )
    elif settings.model_source == "FILE" and settings.model_path:
        path = Path(bpy.path.abspath(settings.model_path))
        if not path.is_file():
            wrapped(layout, f"{path.name} does not exist.", "ERROR")


class RECON_PT_result(CloudSection):
    """How the active cloud looks, and its parts."""

    bl_idname = "RECON_PT_result"
    bl_label = "Result"

    def draw_header_preset(self, context: Any) -> None:
        presets.draw_header(presets.RECON_PT_display_presets, self.layout, context)

    def draw_cloud(self, context: Any, points: Any) -> None:
        layout, settings = column(self.layout), points.recon
        layout.label(text=f"{points.name}: {len(points.data.vertices):,} points")
        layout.prop(settings, "color_by")
        if settings.color_by == "DISTANCE":
            layout.prop(settings, "heat_limit")
        layout.prop(settings, "shape")
        layout.prop(settings, "size")
        panel_trust.draw_threshold(layout, points)
        _parts(self.layout, settings)
        _origin(self.layout, points)


def _parts(layout: Any, settings: Any) -> None:
    if not settings.parts:
        return
    box = layout.box().column(align=True)
    box.use_property_split = False
    for label, part in enumerate(settings.parts, 1):
        row = box.row(align=True)
        row.prop(part, "visible", text="", icon="HIDE_OFF" if part.visible else "HIDE_ON", emboss=False)
        swatch = row.row()
        swatch.ui_units_x = 1.2
        swatch.prop(part, "color", text="")
        row.label(text=f" {part.name}: {part.count:,}")
        row.operator("recon.select_part", text="", icon="RESTRICT_SELECT_OFF", emboss=False).label = label


_ORIGIN = {"model_name": "Model", "color": "Colors"}


def _origin(layout: Any, points: Any) -> None:
    record = points_object.record_of(points)
    column = layout.column(align=True)
    for name in ("image", "category", "model_name", "color", "file"):
        if record.get(name):
            column.label(text=f"{_ORIGIN.get(name, name.capitalize())}: {record[name]}")
    panel_trust.draw_facts(column, record)
    if record.get("image"):
        layout.operator("recon.refine", icon="MOD_SMOOTH")
        layout.operator("recon.reconstruct_again", icon="FILE_REFRESH")


class RECON_PT_files(Section):
    """Clouds in and out."""

    bl_idname = "RECON_PT_files"
    bl_label = "Files"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout = column(self.layout)
        layout.operator("recon.import_ply", icon="IMPORT")
        layout.operator("recon.export_ply", icon="EXPORT")


CLASSES = (RECON_PT_status, RECON_PT_image, RECON_PT_reconstruct, RECON_PT_result)
