# SPDX-License-Identifier: GPL-3.0-or-later
"""Results into the scene: a cloud becomes an object with its parts, display and record."""

from typing import Any

import bpy
import numpy as np

from . import compat, display, points_object
from .cloud import Cloud, part_name
from .visibility import shares


def add_cloud(name: str, cloud: Cloud, record: dict[str, Any], collection: Any = None) -> Any:
    """A new points object, selected and active, with its display; xyz are in the world's frame."""
    if collection is None:
        collection = bpy.context.collection or bpy.context.scene.collection
    points = points_object.new_points(name, cloud, collection)
    settle(points, cloud, record)
    select_only(points)
    return points


def settle(points: Any, cloud: Cloud, record: dict[str, Any]) -> None:
    """Parts, settings and display of a fresh points object."""
    settings = points.recon
    _fill_parts(settings, cloud)
    settings["size"] = display.default_size(cloud.xyz)
    many = len(cloud) > display.MAX_MESHED_POINTS
    settings.shape = "POINT" if many else "SPHERE"
    if cloud.colors is None:
        settings.color_by = "PART" if cloud.labels is not None else "HEIGHT"
    settings.is_points = True
    points_object.set_record(points, {**record, **shares(cloud.visibility)})
    display.show(points)
    display.recolor(points)


def _fill_parts(settings: Any, cloud: Cloud) -> None:
    settings.parts.clear()
    if cloud.labels is None:
        return
    counts = np.bincount(cloud.labels, minlength=len(cloud.parts) + 1)
    for label in range(1, len(counts)):
        part = settings.parts.add()
        part.name = part_name(cloud.parts, label)
        part.count = int(counts[label])
        color = display.PALETTE[(label - 1) % len(display.PALETTE)]
        part.color = points_object.LINEAR[np.array(color)].tolist()


def select_only(points: Any) -> None:
    """Make an object the active and only selected one, if its view layer has it."""
    layer = bpy.context.view_layer
    if layer is None:
        return
    for other in list(layer.objects.selected):
        if other is not None:  # just deleted
            other.select_set(False)
    try:
        points.select_set(True)
        layer.objects.active = points
    except RuntimeError:
        pass  # its collection is excluded from this view layer


def find_points(name: str) -> Any:
    """The points object of a name, or None when it was renamed, deleted or made something else."""
    found = bpy.data.objects.get(name)
    return found if points_object.is_points(found) else None


def finish(message: str) -> None:
    """One step of undo for what was placed."""
    compat.push_undo(message)
