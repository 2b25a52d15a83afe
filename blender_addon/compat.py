# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between Blender 3.4 and 5.x, found by looking for the feature, not the version."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy


def has_progress_bar() -> bool:
    """Whether layouts can show a progress bar (4.0)."""
    return "progress" in bpy.types.UILayout.bl_rna.functions


def progress_bar(layout: Any, fraction: float, text: str) -> None:
    """A progress bar, or a line of text where there is none."""
    if has_progress_bar():
        layout.progress(factor=fraction, text=text, type="BAR")
    else:
        filled = round(fraction * 6)
        layout.label(text=f"{'█' * filled}{'░' * (6 - filled)} {text}")


def new_input(group: Any, name: str, kind: str) -> Any:
    """A new input socket of a node group; kind is the socket's class, such as NodeSocketFloat."""
    if hasattr(group, "interface"):
        return group.interface.new_socket(name, in_out="INPUT", socket_type=kind)
    return group.inputs.new(kind, name)


def new_output(group: Any, name: str, kind: str) -> Any:
    """A new output socket of a node group."""
    if hasattr(group, "interface"):
        return group.interface.new_socket(name, in_out="OUTPUT", socket_type=kind)
    return group.outputs.new(kind, name)


def input_identifier(group: Any, name: str) -> str:
    """The key under which a geometry nodes modifier holds an input's value."""
    if hasattr(group, "interface"):
        entries = [entry for entry in group.interface.items_tree if getattr(entry, "in_out", "") == "INPUT"]
    else:
        entries = list(group.inputs)
    return next(entry.identifier for entry in entries if entry.name == name)


@contextmanager
def window_context() -> Iterator[bool]:
    """A context with a window, for operators called from timers; yields False where there is no window."""
    windows: Any = bpy.context.window_manager.windows if bpy.context.window_manager else ()
    if bpy.context.window is not None or not len(windows):
        yield bpy.context.window is not None
        return
    with bpy.context.temp_override(window=windows[0], screen=windows[0].screen):
        yield True


def push_undo(message: str) -> None:
    """Make what a timer did one step of undo."""
    with window_context() as has_window:
        if has_window:
            bpy.ops.ed.undo_push(message=message)


def curves_of(animated: Any) -> list[Any]:
    """The animation curves of an object: of its action, from 5.0 on of its slot in the action's only strip."""
    animation = animated.animation_data
    action = animation.action
    if hasattr(action, "fcurves"):
        return list(action.fcurves)
    bags = (strip.channelbag(animation.action_slot) for layer in action.layers for strip in layer.strips)
    return [curve for bag in bags if bag is not None for curve in bag.fcurves]


def redraw_panels() -> None:
    """Have the sidebars drawn again."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
