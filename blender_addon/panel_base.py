# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sections of the tab "Recon" share."""

from typing import Any

import bpy

from . import points_object


class Section(bpy.types.Panel):
    """A section of the tab."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Recon"


class CloudSection(Section):
    """A section about the active cloud; without one it says so."""

    def draw(self, context: Any) -> None:
        points = context.active_object
        if points_object.is_points(points):
            self.draw_cloud(context, points)
        else:
            self.layout.label(text="Select a cloud.", icon="INFO")

    def draw_cloud(self, context: Any, points: Any) -> None:
        """Draw what there is to do with a cloud."""
        raise NotImplementedError


def column(layout: Any) -> Any:
    """A column with names on the left and values on the right."""
    layout.use_property_split = True
    layout.use_property_decorate = False
    return layout.column()


def wrapped(layout: Any, text: str, icon: str = "NONE", margin: int = 0) -> None:
    """A text over as many lines as the sidebar needs."""
    region = bpy.context.region
    scale = bpy.context.preferences.system.ui_scale or 1.0
    width = max(16, int((region.width if region else 280) / (7.0 * scale)) - 6 - margin)
    rows = layout.column(align=True)
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) + 1 > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    for index, one in enumerate([*lines, line]):
        rows.label(text=one, icon=icon if index == 0 else "BLANK1" if icon != "NONE" else "NONE")
