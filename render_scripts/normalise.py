# SPDX-License-Identifier: GPL-3.0-or-later
"""From imported objects to plain meshes in the object frame: modifiers and transforms applied, rest removed."""

from typing import NamedTuple

import bmesh
import bpy
import numpy as np

from .axes import object_from_source, transform_points
from .import_mesh import MeshError

GEOMETRY_TYPES = {"MESH", "CURVE", "SURFACE", "META", "FONT"}
MAX_TRIANGLES = 20_000_000
# Kept between objects; everything else in the file belongs to the object just rendered.
KEPT_MARK = "render_views"


class Piece(NamedTuple):
    """One mesh of the object: its object in the scene and the names it came with."""

    thing: bpy.types.Object
    object_name: str
    mesh_name: str
    mirrored: bool


def mark_kept(*things: bpy.types.ID) -> None:
    """Protect data blocks from clear_imported."""
    for thing in things:
        thing[KEPT_MARK] = 1


def clear_imported() -> None:
    """Remove every data block that is not marked and not a light or the world: the scene is ready for the next."""
    blocks = [
        block
        for collection in (
            bpy.data.objects, bpy.data.collections, bpy.data.meshes, bpy.data.curves, bpy.data.metaballs,
            bpy.data.armatures, bpy.data.cameras, bpy.data.materials, bpy.data.textures, bpy.data.images,
            bpy.data.actions, bpy.data.node_groups, bpy.data.libraries, bpy.data.texts, bpy.data.lattices,
            bpy.data.shape_keys,
        )
        for block in collection
        if KEPT_MARK not in block and block.name != "Render Result"
    ]  # fmt: skip
    bpy.data.batch_remove(blocks)


def collect_pieces(scene: bpy.types.Scene) -> list[Piece]:
    """Replace everything imported by evaluated meshes in world coordinates; raises MeshError without any.

    Lights, cameras and hidden objects are left out; instances become meshes of their own.
    """
    _use_render_levels(scene)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    found = []
    for instance in depsgraph.object_instances:
        if _is_visible(instance):
            matrix = np.array(instance.matrix_world, np.float64)
            mesh = _evaluated_mesh(instance.object, depsgraph)
            if mesh is not None:
                name, data = instance.object.name, instance.object.data
                found.append((mesh, matrix, name, data.name if data is not None else name))
    _remove_imported_objects(scene)
    return [piece for piece in (_piece(scene, *entry) for entry in found) if piece is not None]


def _use_render_levels(scene: bpy.types.Scene) -> None:
    for thing in scene.objects:
        for modifier in thing.modifiers:
            modifier.show_viewport = modifier.show_render
            if modifier.type in {"SUBSURF", "MULTIRES"}:
                modifier.levels = modifier.render_levels


def _is_visible(instance: bpy.types.DepsgraphObjectInstance) -> bool:
    thing = instance.object
    if thing.type not in GEOMETRY_TYPES or not instance.show_self:
        return False
    if _is_made(thing) and instance.parent is not None and instance.matrix_world == instance.parent.matrix_world:
        return False  # the curve itself is among the instances too
    original = instance.instance_object.original if instance.is_instance else thing.original
    return not (original.hide_render or original.hide_viewport) and KEPT_MARK not in original


def _is_made(thing: bpy.types.Object) -> bool:
    """Whether an evaluated object is the mesh that a curve's thickness or modifiers made, listed beside the curve."""
    return thing.type != thing.original.type


def _evaluated_mesh(thing: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bpy.types.Mesh | None:
    try:
        # Asked for all layers of a made mesh, Blender 3.4 crashes.
        mesh = bpy.data.meshes.new_from_object(
            thing, preserve_all_data_layers=not _is_made(thing), depsgraph=depsgraph
        )
    except RuntimeError:
        return None  # an empty curve or text has no mesh
    if mesh is not None and len(mesh.polygons) == 0:
        bpy.data.meshes.remove(mesh)
        return None
    return mesh


def _remove_imported_objects(scene: bpy.types.Scene) -> None:
    bpy.data.batch_remove([thing for thing in bpy.data.objects if KEPT_MARK not in thing])


def _piece(
    scene: bpy.types.Scene, mesh: bpy.types.Mesh, matrix: np.ndarray, object_name: str, mesh_name: str
) -> Piece | None:
    """A scene object whose vertices carry its world transform."""
    set_vertices(mesh, transform_points(matrix, vertices_of(mesh)))
    thing = bpy.data.objects.new(object_name, mesh)
    scene.collection.objects.link(thing)
    return Piece(thing, object_name, mesh_name, bool(np.linalg.det(matrix[:3, :3]) < 0))


def vertices_of(mesh: bpy.types.Mesh) -> np.ndarray:
    """Vertex positions (V,3) float64."""
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3).astype(np.float64)


def set_vertices(mesh: bpy.types.Mesh, vertices: np.ndarray) -> None:
    """Write vertex positions (V,3)."""
    with np.errstate(over="ignore"):
        mesh.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    mesh.update()


def surface_vertices(pieces: list[Piece]) -> np.ndarray:
    """Vertices (N,3) that belong to a face; loose ones are invisible and must not set the bounding box."""
    used = []
    for piece in pieces:
        mesh = piece.thing.data
        corners = np.empty(len(mesh.loops), np.int32)
        mesh.loops.foreach_get("vertex_index", corners)
        used.append(vertices_of(mesh)[np.unique(corners)])
    return np.concatenate(used)


def normalise_pieces(pieces: list[Piece], rotation: np.ndarray, normalise: bool) -> np.ndarray:
    """Move pieces into the object frame; return object_from_source (4,4). Raises MeshError for unusable shapes."""
    if not pieces:
        raise MeshError("no visible geometry with faces")
    if sum(len(piece.thing.data.loops) for piece in pieces) > 3 * MAX_TRIANGLES:
        raise MeshError(f"more than {MAX_TRIANGLES} triangles")
    vertices = surface_vertices(pieces)
    if not np.isfinite(vertices).all():
        raise MeshError(f"{int((~np.isfinite(vertices)).any(1).sum())} vertices are NaN or infinite")
    diagonal = float(np.linalg.norm(vertices.max(0) - vertices.min(0)))
    if not diagonal > 1e-30:
        raise MeshError("zero extent: all vertices coincide")
    matrix = object_from_source(vertices, rotation, normalise)
    for piece in pieces:
        set_vertices(piece.thing.data, transform_points(matrix, vertices_of(piece.thing.data)))
    return matrix


def remove_double_faces(pieces: list[Piece]) -> int:
    """Remove faces that lie exactly on an earlier one, in all pieces together; return how many.

    Some modellers make a sheet two-sided by doubling its faces: each then shadows the other, black or speckled.
    """
    vertices = np.concatenate([vertices_of(piece.thing.data) for piece in pieces])
    steps = np.rint((vertices - vertices.min(0)) / np.ptp(vertices) * 1e7).astype(np.int64)
    _, places = np.unique(steps, axis=0, return_inverse=True)
    # A face is known by the sum of a random number per place: independent of where it starts and of its direction.
    numbers = np.random.Generator(np.random.PCG64(0)).integers(0, 1 << 62, len(vertices), np.uint64)
    keys, start = [], 0
    for piece in pieces:
        keys.append(_face_keys(piece.thing.data, numbers[places.ravel()[start:]]))
        start += len(piece.thing.data.vertices)
    everything = np.concatenate(keys)
    is_double = np.ones(len(everything), bool)
    is_double[np.unique(everything, return_index=True)[1]] = False
    start = 0
    for piece, own in zip(pieces, keys):
        _delete_faces(piece.thing.data, np.flatnonzero(is_double[start : start + len(own)]))
        start += len(own)
    return int(is_double.sum())


def _face_keys(mesh: bpy.types.Mesh, numbers: np.ndarray) -> np.ndarray:
    """Sum over each face's corners of its vertices' numbers, modulo 2^64 (F,)."""
    corners, starts = np.empty(len(mesh.loops), np.int32), np.empty(len(mesh.polygons), np.int32)
    mesh.loops.foreach_get("vertex_index", corners)
    mesh.polygons.foreach_get("loop_start", starts)
    order = np.argsort(starts)
    keys = np.empty(len(starts), np.uint64)
    if len(starts):
        keys[order] = np.add.reduceat(numbers[corners], starts[order])
    return keys


def _delete_faces(mesh: bpy.types.Mesh, faces: np.ndarray) -> None:
    if len(faces) == 0:
        return
    editor = bmesh.new()
    try:
        editor.from_mesh(mesh)
        editor.faces.ensure_lookup_table()
        bmesh.ops.delete(editor, geom=[editor.faces[index] for index in faces.tolist()], context="FACES_ONLY")
        editor.to_mesh(mesh)
    finally:
        editor.free()
    mesh.update()
