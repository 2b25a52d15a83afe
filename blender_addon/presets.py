# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets of how clouds look and how they are aligned, by Blender's own preset system."""

from typing import Any

import bpy
from bl_operators.presets import AddPresetBase
from bl_ui.utils import PresetPanel

from . import points_object

# Full paths: the short names of `preset_defines` are not found by a Blender that runs in Python 3.13, as Debian's 4.3.
_POINTS, _SETTINGS = "bpy.context.active_object.recon", "bpy.context.scene.recon"


class RECON_PT_display_presets(PresetPanel, bpy.types.Panel):
    """Presets of the section Result"""

    bl_label = "Display Presets"
    preset_subdir = "recon/display"
    preset_operator = "script.execute_preset"
    preset_add_operator = "recon.display_preset_add"


class RECON_OT_display_preset_add(AddPresetBase, bpy.types.Operator):
    """Keep shape, size and coloring of the active cloud as a preset, or remove the preset"""

    bl_idname = "recon.display_preset_add"
    bl_label = "Add Display Preset"
    preset_menu = "RECON_PT_display_presets"
    preset_subdir = "recon/display"
    preset_values = [f"{_POINTS}.shape", f"{_POINTS}.size", f"{_POINTS}.color_by", f"{_POINTS}.heat_limit"]

    @classmethod
    def poll(cls, context: Any) -> bool:
        return points_object.is_points(context.active_object)


class RECON_PT_align_presets(PresetPanel, bpy.types.Panel):
    """Presets of the section Align"""

    bl_label = "Alignment Presets"
    preset_subdir = "recon/align"
    preset_operator = "script.execute_preset"
    preset_add_operator = "recon.align_preset_add"


class RECON_OT_align_preset_add(AddPresetBase, bpy.types.Operator):
    """Keep what To Target may change and match as a preset, or remove the preset"""

    bl_idname = "recon.align_preset_add"
    bl_label = "Add Alignment Preset"
    preset_menu = "RECON_PT_align_presets"
    preset_subdir = "recon/align"
    preset_values = [
        f"{_SETTINGS}.use_scale",
        f"{_SETTINGS}.use_turns",
        f"{_SETTINGS}.use_upright",
        f"{_SETTINGS}.use_parts",
    ]


def draw_header(presets: Any, layout: Any, context: Any) -> None:
    """The button of the presets in the header of a section about the active cloud."""
    if points_object.is_points(context.active_object):
        presets.draw_panel_header(layout)


CLASSES = (
    RECON_PT_display_presets,
    RECON_OT_display_preset_add,
    RECON_PT_align_presets,
    RECON_OT_align_preset_add,
)
