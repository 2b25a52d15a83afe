# SPDX-License-Identifier: GPL-3.0-or-later
"""Preferences: where the worker's Python is, and whether it answers."""

# pyright: reportInvalidTypeForm=false

from typing import Any

import bpy
from bpy.props import StringProperty


class RECON_Preferences(bpy.types.AddonPreferences):
    """Preferences of the add-on."""

    bl_idname = __package__

    worker_path: StringProperty(
        name="Worker",
        description="The recon program, or the Python in which it is installed. "
        "Needed for training, refining and matching",
        subtype="FILE_PATH",
    )
    worker_answer: StringProperty(options={"SKIP_SAVE", "HIDDEN"})

    def draw(self, context: Any) -> None:
        layout = self.layout
        layout.label(
            text="The worker trains, refines and matches in a Python of its own. Reconstructing needs none."
        )
        row = layout.row(align=True)
        row.prop(self, "worker_path")
        row.operator("recon.find_worker")
        row.operator("recon.test_worker")
        for line in self.worker_answer.splitlines():
            layout.label(text=line)


def preferences() -> Any:
    """The add-on's preferences, or None when it was registered by hand."""
    addon = bpy.context.preferences.addons.get(__package__)
    return addon.preferences if addon else None


CLASSES = (RECON_Preferences,)
