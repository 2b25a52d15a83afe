# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects of the scene become objects of the training set, and writing them to a file. Main thread only."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import bpy

from .jobs import UserError

GEOMETRY_TYPES = {"MESH", "CURVE", "SURFACE", "META", "FONT"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


class Group(NamedTuple):
    """One object of the set: its name there, and the scene's objects that it is made of."""

    name: str
    members: list[Any]


def groups_of(context: Any) -> list[Group]:
    """What the settings choose, in the order of names. Raises UserError when that is nothing."""
    settings = context.scene.recon_data
    if settings.source == "SELECTED":
        found = [(one.name, with_children(one)) for one in roots(context.selected_objects)]
        nothing = "Select the objects of the training set in the viewport: at least one mesh that renders."
    elif settings.collection is None:
        raise UserError("Choose the collection that holds the objects of the training set.")
    else:
        found = members_of(settings.collection)
        nothing = f"The collection {settings.collection.name} holds nothing that renders."
    groups = [(name, [one for one in members if is_rendered(one)]) for name, members in found]
    groups = [(name, members) for name, members in groups if members]
    if not groups:
        raise UserError(nothing)
    return unique(groups)


def members_of(collection: Any) -> list[tuple[str, list[Any]]]:
    """A collection's own objects, each with what is parented to it, and its child collections, each as a whole."""
    single = [(one.name, with_children(one)) for one in roots(collection.objects)]
    return single + [(child.name, list(child.all_objects)) for child in collection.children]


def roots(objects: Any) -> list[Any]:
    """Those that are parented, at whatever distance, to none of the others."""
    chosen = set(objects)

    def is_below(one: Any) -> bool:
        while one.parent is not None:
            one = one.parent
            if one in chosen:
                return True
        return False

    return [one for one in objects if not is_below(one)]


def with_children(one: Any) -> list[Any]:
    """An object and all that is parented to it."""
    return [one, *one.children_recursive]


def is_rendered(one: Any) -> bool:
    """Whether an object shows in renders: shapes, and empties that stand for a collection."""
    is_instance = one.type == "EMPTY" and one.instance_type == "COLLECTION"
    return (one.type in GEOMETRY_TYPES or is_instance) and not one.hide_render


def safe_name(name: str) -> str:
    """A name that is a folder on any system."""
    return _UNSAFE.sub("_", name).strip("._")[:80] or "unnamed"


def unique(groups: list[tuple[str, list[Any]]]) -> list[Group]:
    """Groups with names that differ, also where upper and lower case do not count."""
    taken: set[str] = set()
    made = []
    for name, members in sorted(groups, key=lambda group: group[0]):
        base = free = safe_name(name)
        number = 1
        while free.lower() in taken:
            number += 1
            free = f"{base}-{number}"
        taken.add(free.lower())
        made.append(Group(free, members))
    return made


def count_chosen(context: Any) -> int:
    """About how many objects the set gets from here; for the panel, which is drawn often."""
    settings = context.scene.recon_data
    if settings.source == "SELECTED":
        return len(roots(context.selected_objects))
    return len(members_of(settings.collection)) if settings.collection is not None else 0


def write_request(context: Any, groups: list[Group]) -> Path:
    """Write the chosen objects and what to do with them into a new private folder; returns it. Raises UserError."""
    settings = context.scene.recon_data
    linked = sorted({one.name for group in groups for one in group.members if one.library is not None})
    if linked:
        raise UserError(
            f"{linked[0]} is linked from another file. Make it local (Object > Relations), or render it there."
        )
    folder = Path(tempfile.mkdtemp(prefix="recon_objects_")).resolve()  # mode 0700
    everything = {one for group in groups for one in group.members}
    for one in everything:
        if one.mode == "EDIT":
            one.update_from_editmode()
    bpy.data.libraries.write(str(folder / "objects.blend"), everything, path_remap="ABSOLUTE", compress=False)
    manifest = {
        "version": 1,
        "category": safe_name(settings.category.strip().lower()),
        "labels": settings.labels,
        "frame": context.scene.frame_current,
        "objects": [{"name": group.name, "members": [one.name for one in group.members]} for group in groups],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder
