# SPDX-License-Identifier: GPL-3.0-or-later
"""Importing mesh files into the open scene: GLB, glTF, OBJ, PLY, STL, FBX, OFF and .blend (objects only).

Every importer is called with its own default axes: what counts as the source frame is what Blender shows after an
import by hand.
"""

import json
import re
import struct
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .finite import count_bad_vertices
from .off import read_off

EXTENSIONS = (".glb", ".gltf", ".obj", ".ply", ".stl", ".fbx", ".off", ".blend")
GLB_MAGIC, GLB_HEADER_BYTES = b"glTF", 12


class MeshError(Exception):
    """A source that cannot be rendered; the message is one line for the user and failed.jsonl."""


def import_file(path: Path) -> None:
    """Import a mesh file into the open scene; raises MeshError when it holds nothing usable."""
    if not path.is_file():
        raise MeshError("file does not exist")
    if path.stat().st_size == 0:
        raise MeshError("file is empty")
    check_signature(path)
    bad = count_bad_vertices(path)
    if bad:
        raise MeshError(f"{bad} vertices are NaN or infinite")
    try:
        IMPORTERS[path.suffix.lower()](path)
    except MeshError:
        raise
    except (
        RuntimeError,
        ValueError,
        OSError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        struct.error,
    ) as error:
        # Blender's importers raise whatever they stumble over; its last line says what that was.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise MeshError(
            f"importer failed: {type(error).__name__}: {lines[-1] if lines else 'no message'}"
        ) from error


def check_signature(path: Path) -> None:
    """Refuse files whose first bytes contradict their name, and truncated GLBs; raises MeshError."""
    with path.open("rb") as file:
        head = file.read(64)
    suffix = path.suffix.lower()
    if head[:4] == b"PK\x03\x04":
        raise MeshError(f"is a zip archive named {suffix}; unpack it first")
    if suffix == ".glb":
        _check_glb(head, path.stat().st_size)
    if suffix == ".gltf":
        _check_gltf(path)
    if suffix == ".blend":
        _check_blend(head)
    if suffix == ".ply" and not head.startswith(b"ply"):
        raise MeshError("does not start like a PLY file")


def _check_blend(head: bytes) -> None:
    """Refuse files of a later major version: Blender 3.4 crashes on them rather than saying so."""
    found = re.match(rb"BLENDER(?:\d\d-\d\d)?[-_]?[vV](\d{3,4})", head)
    if found is None:
        if head[:2] != b"\x1f\x8b" and head[:4] != b"\x28\xb5\x2f\xfd":  # gzip, zstd: compressed files
            raise MeshError("is not a .blend file")
        return
    major = int(found[1]) // 100
    if major > bpy.app.version[0]:
        raise MeshError(f"was saved by Blender {major}, this is {bpy.app.version_string}")


def _check_glb(head: bytes, size: int) -> None:
    if head[:4] != GLB_MAGIC:
        raise MeshError(f"is not a GLB file (starts with {head[:4]!r})")
    if len(head) < GLB_HEADER_BYTES:
        raise MeshError("GLB is truncated inside its header")
    version, length = struct.unpack("<II", head[4:12])
    if version != 2:
        raise MeshError(f"GLB version {version} is not supported, only 2")
    if length > size:
        raise MeshError(f"GLB is truncated: {size} of {length} bytes")


def _check_gltf(path: Path) -> None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MeshError(f"is not valid glTF JSON ({error})") from error
    if not isinstance(document, dict) or "asset" not in document:
        raise MeshError("is not a glTF file (no asset)")


def _import_gltf(path: Path) -> None:
    if bpy.app.version < (4, 0, 0) and "bool" not in vars(np):
        # The importer of Blender 3.x uses np.bool, which numpy 1.24 removed; Debian ships the two together.
        np.bool = bool
    bpy.ops.import_scene.gltf(filepath=str(path))


def _import_obj(path: Path) -> None:
    bpy.ops.wm.obj_import(filepath=str(path))


def _has(operator: str) -> bool:
    """Whether bpy.ops.wm has an operator; hasattr is always true there."""
    return operator in dir(bpy.ops.wm)


def _import_ply(path: Path) -> None:
    if _has("ply_import"):
        bpy.ops.wm.ply_import(filepath=str(path))
    else:
        bpy.ops.import_mesh.ply(filepath=str(path))


def _import_stl(path: Path) -> None:
    if _has("stl_import"):
        bpy.ops.wm.stl_import(filepath=str(path))
    else:
        bpy.ops.import_mesh.stl(filepath=str(path))


def _import_fbx(path: Path) -> None:
    if _has("fbx_import"):
        bpy.ops.wm.fbx_import(filepath=str(path))
    else:
        bpy.ops.import_scene.fbx(filepath=str(path))


def _import_off(path: Path) -> None:
    try:
        vertices, faces, colors = read_off(path)
    except ValueError as error:
        raise MeshError(str(error)) from error
    mesh = bpy.data.meshes.new(path.stem)
    mesh.from_pydata(vertices.tolist(), [], faces)
    if colors is not None and len(colors):
        layer = mesh.color_attributes.new("Col", "FLOAT_COLOR", "POINT")
        layer.data.foreach_set("color", colors.astype(np.float32).ravel())
    mesh.update()
    bpy.context.scene.collection.objects.link(bpy.data.objects.new(path.stem, mesh))


def _import_blend(path: Path) -> None:
    # Appended drivers and text blocks must never run code of the file.
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    with bpy.data.libraries.load(str(path), link=False) as (source, target):
        target.objects = list(source.objects)
        target.collections = list(source.collections)  # for their visibility alone
    hidden = {
        thing.name
        for collection in target.collections
        if collection is not None and (collection.hide_render or collection.hide_viewport)
        for thing in collection.all_objects
    }
    for thing in target.objects:
        if thing is not None and thing.name not in hidden:
            bpy.context.scene.collection.objects.link(thing)


IMPORTERS: dict[str, Any] = {
    ".glb": _import_gltf,
    ".gltf": _import_gltf,
    ".obj": _import_obj,
    ".ply": _import_ply,
    ".stl": _import_stl,
    ".fbx": _import_fbx,
    ".off": _import_off,
    ".blend": _import_blend,
}
