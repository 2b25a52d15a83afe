# SPDX-License-Identifier: GPL-3.0-or-later
"""Side by side in the section Compare: a turntable of the cloud and its reference, and pictures of it in a strip."""

# pyright: reportInvalidTypeForm=false

from pathlib import Path
from typing import Any

import bpy
from bpy.props import FloatProperty, IntProperty, StringProperty

from . import points_object, strip, turntable
from .jobs import UserError
from .operator_base import OnPoints, refuse, start_job
from .operators_align import target_of
from .panel_base import Section, column


class RECON_OT_add_turntable(OnPoints):
    """Set copies of the cloud and the target side by side, with a camera that goes round both. Hides the originals
    until it is removed; renders nothing"""

    bl_idname = "recon.add_turntable"
    bl_label = "Side by Side"
    bl_options = {"REGISTER", "UNDO"}

    frames: IntProperty(
        name="Frames",
        description="Frames of a whole turn, after which it begins anew",
        default=120,
        min=2,
        max=10_000,
    )
    gap: FloatProperty(
        name="Gap",
        description="Room between the two, as a share of their widths",
        default=0.1,
        min=0.0,
        max=5.0,
    )
    elevation: FloatProperty(
        name="Elevation",
        description="How far above the middle the camera stands, in degrees",
        default=0.2618,
        min=-1.5,
        max=1.5,
        subtype="ANGLE",
    )

    def execute(self, context: Any) -> set[str]:
        try:
            target = target_of(context)
            elevation_deg = self.elevation * 180 / 3.141592653589793
            turntable.build(context, context.active_object, target, self.frames, self.gap, elevation_deg)
        except UserError as error:
            return refuse(self, error)
        return {"FINISHED"}


class _OnTurntable(bpy.types.Operator):
    """Operators that work on the scene's turntable."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        return turntable.pivot_of(context.scene) is not None


class RECON_OT_remove_turntable(_OnTurntable):
    """Take the turntable away and show the originals again, with the scene's own camera and frames"""

    bl_idname = "recon.remove_turntable"
    bl_label = "Remove"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        turntable.remove(context.scene)
        return {"FINISHED"}


class RECON_OT_contact_strip(_OnTurntable):
    """Render pictures from around the turntable into one image file. Runs in a Blender of its own, beside this one"""

    bl_idname = "recon.contact_strip"
    bl_label = "Contact Strip"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.png", options={"HIDDEN"})
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})
    count: IntProperty(
        name="Pictures", description="Number of views, evenly around", default=8, min=1, max=64
    )
    columns: IntProperty(name="Columns", description="Pictures in a row", default=4, min=1, max=64)
    width: IntProperty(
        name="Width",
        description="Width of a picture, in pixels",
        default=320,
        min=16,
        max=4096,
        subtype="PIXEL",
    )
    samples: IntProperty(name="Samples", description="Cycles samples per pixel", default=16, min=1, max=4096)

    def invoke(self, context: Any, event: Any) -> set[str]:
        self.filepath = "turntable.png"
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.ensure_ext(bpy.path.abspath(self.filepath), ".png"))
        plan = strip.Plan(path, self.count, self.columns, self.width, self.samples)
        return start_job(self, lambda: strip.strip_job(context.scene, plan))


class RECON_PT_turntable(Section):
    """The cloud beside its reference."""

    bl_idname = "RECON_PT_turntable"
    bl_label = "Side by Side"
    bl_parent_id = "RECON_PT_compare"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout = column(self.layout)
        if turntable.pivot_of(context.scene) is None:
            if points_object.is_points(context.active_object):
                layout.operator("recon.add_turntable", text="Set Up", icon="MOD_ARRAY")
            else:
                layout.label(text="Select a cloud.", icon="INFO")
            return
        row = layout.row(align=True)
        row.operator("screen.animation_play", text="Play", icon="PLAY")
        row.operator("recon.view_camera", text="", icon="VIEW_CAMERA")
        layout.operator("recon.contact_strip", icon="RENDER_STILL")
        layout.operator("recon.remove_turntable", icon="X")


CLASSES = (RECON_OT_add_turntable, RECON_OT_remove_turntable, RECON_OT_contact_strip)
PANELS = (RECON_PT_turntable,)
