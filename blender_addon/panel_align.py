# SPDX-License-Identifier: GPL-3.0-or-later
"""The sections Align and Compare of the tab "Recon"."""

from typing import Any

from . import match_scene, points_object, presets
from .panel_base import CloudSection, column


class RECON_PT_align(CloudSection):
    """Where the cloud stands."""

    bl_idname = "RECON_PT_align"
    bl_label = "Align"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_header_preset(self, context: Any) -> None:
        presets.draw_header(presets.RECON_PT_align_presets, self.layout, context)

    def draw(self, context: Any) -> None:
        if not match_scene.can_match(context.active_object):
            self.layout.label(text="Select a cloud or a mesh.", icon="INFO")
        elif points_object.is_points(context.active_object):
            self.draw_cloud(context, context.active_object)

    def draw_cloud(self, context: Any, points: Any) -> None:
        settings = context.scene.recon
        layout = column(self.layout)
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
    match = layout.column(heading="Match")
    match.prop(settings, "use_scale")
    match.prop(settings, "use_turns")
    match.prop(settings, "use_upright")
    match.prop(settings, "use_parts")
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


class RECON_PT_compare(CloudSection):
    """How far the cloud is from a reference."""

    bl_idname = "RECON_PT_compare"
    bl_label = "Compare"
    bl_options = {"DEFAULT_CLOSED"}

    def draw_cloud(self, context: Any, points: Any) -> None:
        settings = context.scene.recon
        layout = column(self.layout)
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


CLASSES = (RECON_PT_align, RECON_PT_compare)
