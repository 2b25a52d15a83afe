# SPDX-License-Identifier: GPL-3.0-or-later
"""The text block "Recon log": what is behind the one line that the panel shows."""

import time
from typing import Any

import bpy

TEXT = "Recon log"
# The oldest entries are dropped beyond this many characters.
MAX_CHARACTERS = 60_000


def write(title: str, details: str) -> None:
    """Add an entry with the time of day; the block is made when this file has none."""
    block = found() or bpy.data.texts.new(TEXT)
    entry = f"{time.strftime('%H:%M:%S')}  {title}\n{_indented(details)}\n\n"
    block.from_string((block.as_string().lstrip("\n") + entry)[-MAX_CHARACTERS:])


def _indented(details: str) -> str:
    return "\n".join(f"    {line}" for line in details.rstrip().splitlines())


def found() -> Any:
    """The text block, or None."""
    return bpy.data.texts.get(TEXT)


class RECON_OT_show_log(bpy.types.Operator):
    """Show the details of errors, the text block "Recon log", in a text editor"""

    bl_idname = "recon.show_log"
    bl_label = "Show Log"
    bl_options = {"REGISTER"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        return found() is not None

    def execute(self, context: Any) -> set[str]:
        area = _text_editor(context)
        if area is None:
            self.report({"INFO"}, f'The details are in the text block "{TEXT}"')
            return {"FINISHED"}
        space, text = area.spaces.active, found()
        space.text = text
        space.show_word_wrap = True
        space.top = max(0, len(text.lines) - 30)
        return {"FINISHED"}


def _text_editor(context: Any) -> Any:
    """A text editor of any window, else one in a new window; None without a window."""
    windows = context.window_manager.windows
    for window in windows:
        for area in window.screen.areas:
            if area.type == "TEXT_EDITOR":
                return area
    if bpy.app.background or context.window is None:
        return None
    bpy.ops.wm.window_new()
    area = windows[-1].screen.areas[0]
    area.ui_type = "TEXT_EDITOR"
    return area


CLASSES = (RECON_OT_show_log,)
