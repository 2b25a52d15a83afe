# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators of the section Files: clouds in and out."""

# pyright: reportInvalidTypeForm=false

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, StringProperty

from . import placing, points_object
from .cloud import CloudError
from .operator_base import OnPoints, refuse
from .ply import read_ply, write_ply


class RECON_OT_import_ply(bpy.types.Operator):
    """Import a PLY point cloud with its colors, part labels, opacity and confidence"""

    bl_idname = "recon.import_ply"
    bl_label = "Import Cloud (.ply)"
    bl_options = {"REGISTER", "UNDO"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.ply", options={"HIDDEN"})

    def invoke(self, context: Any, event: Any) -> set[str]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.abspath(self.filepath))
        try:
            cloud = read_ply(path)
        except CloudError as error:
            return refuse(self, error)
        placing.add_cloud(path.stem, cloud, {"file": path.name})
        self.report({"INFO"}, f"{len(cloud):,} points from {path.name}")
        return {"FINISHED"}


class RECON_OT_export_ply(OnPoints):
    """Export the active cloud as PLY with its colors, part labels, opacity and confidence"""

    bl_idname = "recon.export_ply"
    bl_label = "Export Cloud (.ply)"
    bl_options = {"REGISTER"}

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.ply", options={"HIDDEN"})
    check_existing: BoolProperty(default=True, options={"HIDDEN"})
    use_world: BoolProperty(
        name="As Placed",
        description="Write the points where they stand in the scene; otherwise in the cloud's own frame",
        default=False,
    )

    def invoke(self, context: Any, event: Any) -> set[str]:
        self.filepath = bpy.path.ensure_ext(context.active_object.name, ".ply")
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        path = Path(bpy.path.ensure_ext(bpy.path.abspath(self.filepath), ".ply"))
        cloud = points_object.cloud_of(context.active_object, self.use_world)
        cloud.comments["frame"] = "world of the scene, +Z up" if self.use_world else "object, +Z up, front -Y"
        try:
            write_ply(path, cloud)
        except CloudError as error:
            return refuse(self, error)
        self.report({"INFO"}, f"{len(cloud):,} points to {path.name}")
        return {"FINISHED"}


def _import_entry(self: Any, context: Any) -> None:
    self.layout.operator(RECON_OT_import_ply.bl_idname, text="Recon Cloud (.ply)")


def _export_entry(self: Any, context: Any) -> None:
    self.layout.operator(RECON_OT_export_ply.bl_idname, text="Recon Cloud (.ply)")


def register_menus() -> None:
    bpy.types.TOPBAR_MT_file_import.append(_import_entry)
    bpy.types.TOPBAR_MT_file_export.append(_export_entry)


def unregister_menus() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(_import_entry)
    bpy.types.TOPBAR_MT_file_export.remove(_export_entry)


CLASSES = (RECON_OT_import_ply, RECON_OT_export_ply)
