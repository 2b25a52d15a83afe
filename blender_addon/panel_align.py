# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections Align and Compare of the tab "Recon"."""

from typing import Any

import bpy

from . import points_object


class _Section(bpy.types.Panel):
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Recon"
    bl_options = {"DEFAULT_CLOSED"}


class RECON_PT_align(_Section):
    """Where the cloud stands."""

    bl_idname = "RECON_PT_align"
    bl_label = "Align"

    def draw(self, context: Any) -> None:
        points, settings = context.active_object, context.scene.recon
        if not points_object.is_points(points):
            self.layout.label(text="Select a cloud.", icon="INFO")
            return
        layout = split(self.layout)
        row = layout.row(align=True)
        row.operator("recon.align_photo", icon="CAMERA_DATA")
        row.operator("recon.view_camera", text="", icon="VIEW_CAMERA")
        row = layout.row(align=True)
        row.operator("recon.align_cursor", icon="PIVOT_CURSOR")
        row.operator("recon.align_floor", icon="AXIS_TOP")
        layout.label(text="Real size along an axis:")
        row = layout.row(align=True)
        row.use_property_split = False
        row.prop(settings, "dimension_axis", text="")
        row.prop(settings, "dimension", text="")
        row.operator("recon.set_dimension", text="Set")
        _target(layout, settings)
        _numbers(self.layout, points_object.record_of(points).get("alignment"))


def _target(layout: Any, settings: Any) -> None:
    layout.separator()
    layout.prop(settings, "target")
    column = layout.column(heading="Match")
    column.prop(settings, "use_scale")
    column.prop(settings, "use_turns")
    column.prop(settings, "use_upright")
    column.prop(settings, "use_parts")
    layout.operator("recon.align_object", icon="SNAP_ON")


def _numbers(layout: Any, alignment: Any) -> None:
    """Before and after of the last alignment."""
    if not isinstance(alignment, dict):
        return
    box = layout.box().column(align=True)
    box.label(text=str(alignment.get("what", "")))
    for name, values in alignment.items():
        if name != "what" and isinstance(values, list) and len(values) == 2:
            text = _before_after(*values, as_share="Overlap" in name)
            if values[0] is None:
                box.label(text=f"{name}: {text}")
            else:
                box.label(text=f"{name}:")
                box.label(text=text)


def _before_after(before: float | None, after: float | None, as_share: bool) -> str:
    shown = [
        None if value is None else f"{value:.0%}" if as_share else f"{value:.4g}" for value in (before, after)
    ]
    return f"{shown[1]}" if shown[0] is None else f"{shown[0]} before, {shown[1]} after"


class RECON_PT_compare(_Section):
    """How far the cloud is from a reference."""

    bl_idname = "RECON_PT_compare"
    bl_label = "Compare"

    def draw(self, context: Any) -> None:
        points, settings = context.active_object, context.scene.recon
        if not points_object.is_points(points):
            self.layout.label(text="Select a cloud.", icon="INFO")
            return
        layout = split(self.layout)
        layout.prop(settings, "target")
        layout.prop(settings, "limit")
        layout.operator("recon.compare", icon="DRIVER_DISTANCE")
        found = points_object.record_of(points).get("comparison")
        if isinstance(found, dict):
            _comparison(self.layout, found)


def _comparison(layout: Any, found: dict[str, Any]) -> None:
    box = layout.box().column(align=True)
    box.label(text=f"To {found['target']}, within {found['tolerance']:.4g}:")
    box.label(text=f"Precision: {found['precision']:.1%}")
    box.label(text=f"Coverage: {found['coverage']:.1%}")
    box.label(text="Mean distances:")
    box.label(text=f"{found['accuracy']:.4f} from the cloud")
    box.label(text=f"{found['completeness']:.4f} from the target")
    box.label(text=f"{found['chamfer']:.4f} summed (Chamfer)")


def split(layout: Any) -> Any:
    """A column with names on the left and values on the right."""
    layout.use_property_split = True
    layout.use_property_decorate = False
    return layout.column()


CLASSES = (RECON_PT_align, RECON_PT_compare)
