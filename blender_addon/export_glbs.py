# SPDX-License-Identifier: GPL-3.0-or-later
"""Run in a Blender of its own: objects of a .blend file to one GLB each, with materials named by part.

blender --background --factory-startup --disable-autoexec --python-exit-code 1 --python export_glbs.py -- MANIFEST.json

MANIFEST is what data_objects.write_request wrote. Modifiers, instances and transforms are applied to copies; what is
written is MESHES/<category>/<name>/{model.glb, object.json}. Prints one JSON line {"recon": {...}} per event. This file
imports nothing of the add-on: it is a script.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np

GEOMETRY_TYPES = {"MESH", "CURVE", "SURFACE", "META", "FONT"}
# Faces that no vertex group or material gives a part.
OTHER = "other"
MAX_PARTS, MAX_NAME_CHARS = 254, 40
_WANTED = {
    "export_format": "GLB", "export_apply": False, "export_animations": False, "export_skins": False,
    "export_morph": False, "export_yup": True, "export_cameras": False, "export_lights": False, "export_extras": False,
    "export_materials": "EXPORT", "check_existing": False,
}  # fmt: skip


def main(manifest_path: Path) -> int:
    """Export everything; the exit status is 0 when at least one object was exported."""
    manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.preferences.filepaths.use_scripts_auto_execute = False
    members = load_objects(manifest_path.parent / "objects.blend")
    bpy.context.scene.frame_set(int(manifest["frame"]))
    out = manifest_path.parent / "meshes" / manifest["category"]
    parts: dict[str, set[str]] = {}
    for number, entry in enumerate(manifest["objects"]):
        say(event="begin", object=entry["name"], number=number, count=len(manifest["objects"]))
        chosen = [members[name] for name in entry["members"] if name in members]
        try:
            parts[entry["name"]] = export_object(
                chosen, manifest["labels"], out / entry["name"] / "model.glb"
            )
        except (RuntimeError, ValueError, OSError) as error:
            say(event="failed", object=entry["name"], error=last_line(error))
    names = sorted(set().union(*parts.values()))
    if len(names) > MAX_PARTS:
        say(event="error", error=f"{len(names)} parts are too many, at most {MAX_PARTS} can be told apart.")
        return 1
    for name in parts:
        document = {"version": 1, "name": name, "category": manifest["category"], "parts": names}
        (out / name / "object.json").write_text(json.dumps(document), encoding="utf-8")
    say(event="done", objects=len(parts), parts=names)
    return 0 if parts else 1


def say(**fields: Any) -> None:
    """One line for the add-on."""
    print(json.dumps({"recon": fields}), flush=True)


def last_line(error: Exception) -> str:
    """What Blender's operators say last is what was wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__


def load_objects(path: Path) -> dict[str, Any]:
    """All objects of a file by their names there."""
    with bpy.data.libraries.load(str(path), link=False) as (source, target):
        names = list(source.objects)
        target.objects = list(names)
    return {name: one for name, one in zip(names, target.objects) if one is not None}


def export_object(members: list[Any], labels: str, path: Path) -> set[str]:
    """Write a GLB of the members as they would render; returns the names of its parts. Raises ValueError."""
    pieces = evaluated_pieces(members)
    found: set[str] = set()
    try:
        if not pieces:
            raise ValueError("nothing in it has faces that render")
        for mesh, groups in pieces:
            found |= relabel(mesh, groups, labels)
            drop_unused_colors(mesh)
        write_glb([mesh for mesh, _ in pieces], path)
    finally:
        bpy.data.batch_remove([mesh for mesh, _ in pieces])
    return found


def evaluated_pieces(members: list[Any]) -> list[tuple[Any, list[str]]]:
    """Meshes in the world's frame, with the names of their vertex groups, of objects and their instances."""
    scene = bpy.context.scene
    for one in members:
        scene.collection.objects.link(one)
        use_render_levels(one)
    try:
        bpy.context.view_layer.update()
        depsgraph = bpy.context.evaluated_depsgraph_get()
        found = [piece_of(instance, depsgraph) for instance in depsgraph.object_instances]
        return [piece for piece in found if piece is not None]
    finally:
        for one in members:
            scene.collection.objects.unlink(one)


def use_render_levels(one: Any) -> None:
    for modifier in one.modifiers:
        modifier.show_viewport = modifier.show_render
        if modifier.type in {"SUBSURF", "MULTIRES"}:
            modifier.levels = modifier.render_levels


def piece_of(instance: Any, depsgraph: Any) -> tuple[Any, list[str]] | None:
    one = instance.object
    original = instance.instance_object.original if instance.is_instance else one.original
    if one.type not in GEOMETRY_TYPES or not instance.show_self or original.hide_render:
        return None
    is_made = one.type != one.original.type  # a mesh that a curve's modifiers, or its thickness, made
    if is_made and instance.parent is not None and instance.matrix_world == instance.parent.matrix_world:
        return None  # the curve itself is among the instances too
    try:
        # Of a made mesh Blender 3.4 crashes when it is asked for all layers.
        mesh = bpy.data.meshes.new_from_object(one, preserve_all_data_layers=not is_made, depsgraph=depsgraph)
    except RuntimeError:
        return None  # an empty curve or text has no mesh
    if mesh is None or not len(mesh.polygons):
        return None
    matrix = instance.matrix_world.copy()
    mesh.transform(matrix)  # a GLB's nodes cannot shear
    if matrix.determinant() < 0:
        mesh.flip_normals()
    slots = [slot.material.original if slot.material else None for slot in one.material_slots]
    if len(slots) and list(mesh.materials) != slots:
        indices = slot_of_faces(mesh)
        mesh.materials.clear()
        for material in slots:
            mesh.materials.append(material)
        mesh.polygons.foreach_set("material_index", indices)
    return mesh, [group.name for group in one.vertex_groups]


def part_name(name: str) -> str:
    """The part that a material or vertex group names: "leg.L", "Leg_wood" and "leg.001" are all "leg"."""
    words = [word.strip() for word in re.split(r"[._]", name) if word.strip()]
    return words[0].lower()[:MAX_NAME_CHARS] if words else OTHER


def relabel(mesh: Any, groups: list[str], labels: str) -> set[str]:
    """Give each face a copy of its material that is named by its part; returns the names."""
    if labels == "NONE":
        return set()
    slots = slot_of_faces(mesh)
    names, part_of_face = by_group(mesh, groups) if labels == "GROUP" else by_material(mesh, slots)
    pairs, chosen = np.unique(np.stack((part_of_face, slots), 1), axis=0, return_inverse=True)
    before = list(mesh.materials) or [None]
    materials = [named_copy(before[slot], names[part]) for part, slot in pairs.tolist()]
    mesh.materials.clear()
    for material in materials:
        mesh.materials.append(material)
    mesh.polygons.foreach_set("material_index", np.ascontiguousarray(chosen.ravel(), np.int32))
    mesh.update()
    return {names[part] for part in np.unique(part_of_face).tolist()}


def slot_of_faces(mesh: Any) -> np.ndarray:
    """Material slot of each face (F,), clamped to those there are, as Blender does."""
    slots = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", slots)
    return np.clip(slots, 0, max(len(mesh.materials) - 1, 0))


def by_material(mesh: Any, slots: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Part names, and the part of each face (F,), by its material."""
    named = [OTHER if material is None else part_name(material.name) for material in mesh.materials] or [
        OTHER
    ]
    names = sorted(set(named))
    return names, np.array([names.index(name) for name in named])[slots]


def by_group(mesh: Any, groups: list[str]) -> tuple[list[str], np.ndarray]:
    """Part names, and the part of each face (F,): the one with most weight, summed over the face's corners."""
    part_names = [part_name(name) for name in groups]
    names = [OTHER, *sorted(set(part_names) - {OTHER})]
    part_of_group = np.array([names.index(name) for name in part_names], np.int64)
    entries = [
        (vertex.index, entry.group, entry.weight)
        for vertex in mesh.vertices
        for entry in vertex.groups
        if entry.group < len(groups)
    ]
    weights = np.zeros((len(mesh.vertices), len(names)))
    if entries:
        table = np.array(entries)
        vertices, parts = table[:, 0].astype(np.int64), part_of_group[table[:, 1].astype(np.int64)]
        np.add.at(weights, (vertices, parts), table[:, 2])
    corners, starts = np.empty(len(mesh.loops), np.int32), np.empty(len(mesh.polygons), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    mesh.polygons.foreach_get("loop_start", starts)
    order = np.argsort(starts)
    summed = np.empty((len(starts), len(names)))
    summed[order] = np.add.reduceat(weights[corners], starts[order], axis=0)
    return names, np.where(summed.max(1) > 0, summed.argmax(1), 0)


def named_copy(material: Any, name: str) -> Any:
    """A copy of a material (grey for None) whose name is the part, or the part and a number."""
    if material is not None:
        copy = material.copy()
    else:
        copy = bpy.data.materials.new(name)
        copy.use_nodes = True
        copy.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = (0.5, 0.5, 0.5, 1)
    copy.name = name
    return copy


def drop_unused_colors(mesh: Any) -> None:
    """Colour attributes that no material reads go: a GLB's multiply the colour of the whole object."""
    nodes = [node for one in mesh.materials if one and one.node_tree for node in one.node_tree.nodes]
    if not any(node.type in {"ATTRIBUTE", "VERTEX_COLOR"} for node in nodes):
        for attribute in list(mesh.color_attributes):
            mesh.color_attributes.remove(attribute)


def write_glb(meshes: list[Any], path: Path) -> None:
    """Write meshes as one GLB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = [bpy.data.objects.new(f"piece_{index}", mesh) for index, mesh in enumerate(meshes)]
    try:
        for one in made:
            bpy.context.scene.collection.objects.link(one)
        known = bpy.ops.export_scene.gltf.get_rna_type().properties.keys()
        options = {name: value for name, value in _WANTED.items() if name in known}
        bpy.ops.export_scene.gltf(filepath=str(path), **options)
    finally:
        bpy.data.batch_remove(made)


if __name__ == "__main__":
    status = main(Path(sys.argv[sys.argv.index("--") + 1]))
    sys.stdout.flush()
    if bpy.app.binary_path:
        sys.exit(status)
    os._exit(status)  # the bpy module can hang while Python shuts down
