# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators of the section Result: parts shown and selected."""

# pyright: reportInvalidTypeForm=false

from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, IntProperty

from .operator_base import OnPoints
from .points_object import LABEL, get_attribute


class RECON_OT_select_part(OnPoints):
    """Select the points of one part, in Edit Mode"""

    bl_idname = "recon.select_part"
    bl_label = "Select Part"
    bl_options = {"REGISTER", "UNDO"}

    label: IntProperty(name="Part", description="Id of the part, from 1", default=1, min=0, max=255)
    extend: BoolProperty(name="Extend", description="Keep what is selected", default=False)

    def execute(self, context: Any) -> set[str]:
        points = context.active_object
        bpy.ops.object.mode_set(mode="OBJECT")
        labels = get_attribute(points.data, LABEL)
        if labels is None:
            self.report({"WARNING"}, "This cloud has no parts.")
            return {"CANCELLED"}
        chosen = labels == self.label
        if self.extend:
            before = np.empty(len(labels), bool)
            points.data.vertices.foreach_get("select", before)
            chosen |= before
        points.data.vertices.foreach_set("select", chosen)
        points.data.update()
        context.tool_settings.mesh_select_mode = (True, False, False)
        bpy.ops.object.mode_set(mode="EDIT")
        self.report({"INFO"}, f"{int(chosen.sum()):,} points selected")
        return {"FINISHED"}


class RECON_OT_show_all_parts(OnPoints):
    """Show the points of every part"""

    bl_idname = "recon.show_all_parts"
    bl_label = "Show All"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        for part in context.active_object.recon.parts:
            part.visible = True
        return {"FINISHED"}


CLASSES = (RECON_OT_select_part, RECON_OT_show_all_parts)
