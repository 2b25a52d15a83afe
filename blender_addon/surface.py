# SPDX-License-Identifier: GPL-3.0-or-later
"""A surface from points: a volume around them is meshed, and colours and parts are taken from the nearest point."""

from typing import Any

import bpy
import numpy as np

from . import display, points_object
from .compat import new_input, new_output
from .jobs import UserError
from .neighbours import Tree

GROUP = "Recon Surface"


def make_surface(points: Any, radius: float, voxel: float, smooth: int) -> Any:
    """A new mesh object around the shown points of a cloud, beside it. Lengths are in the cloud's own unit."""
    bare = _volume_mesh(points, radius, voxel)
    if not len(bare.vertices):
        bpy.data.meshes.remove(bare)
        raise UserError("No surface came of it: make the radius larger than the voxels.")
    _smooth(bare, smooth)
    _take_attributes(bare, points)
    bare.name = f"{points.name} surface"
    made = bpy.data.objects.new(bare.name, bare)
    made.matrix_world = points.matrix_world
    for collection in points.users_collection:
        collection.objects.link(made)
    add_vertex_groups(made, points)
    bare.materials.clear()  # newer versions leave an empty slot, in which the faces would stay white
    bare.materials.append(display.display_material())
    return made


def _volume_mesh(points: Any, radius: float, voxel: float) -> Any:
    """The mesh of a volume around the points, made by geometry nodes on a stand-in that is removed again."""
    cloud = points_object.cloud_of(points, world=False)
    hidden = points_object.get_attribute(points.data, points_object.HIDDEN)
    xyz = cloud.xyz if hidden is None else cloud.xyz[~hidden]
    source = bpy.data.meshes.new("recon volume")
    source.vertices.add(len(xyz))
    source.vertices.foreach_set("co", xyz.ravel())
    stand_in = bpy.data.objects.new("recon volume", source)
    group = _group(radius, voxel)
    try:
        bpy.context.scene.collection.objects.link(stand_in)
        stand_in.modifiers.new("volume", "NODES").node_group = group
        graph = bpy.context.evaluated_depsgraph_get()
        return bpy.data.meshes.new_from_object(stand_in.evaluated_get(graph), depsgraph=graph)
    finally:
        bpy.data.objects.remove(stand_in)
        bpy.data.meshes.remove(source)
        bpy.data.node_groups.remove(group)


def _group(radius: float, voxel: float) -> Any:
    group = bpy.data.node_groups.new(GROUP, "GeometryNodeTree")
    new_input(group, "Geometry", "NodeSocketGeometry")
    new_output(group, "Geometry", "NodeSocketGeometry")
    nodes, links = group.nodes, group.links
    start, end = nodes.new("NodeGroupInput"), nodes.new("NodeGroupOutput")
    volume = nodes.new("GeometryNodeMeshToPoints")
    filled, mesh = nodes.new("GeometryNodePointsToVolume"), nodes.new("GeometryNodeVolumeToMesh")
    _by_size(filled)
    filled.inputs["Voxel Size"].default_value = voxel
    filled.inputs["Radius"].default_value = radius
    links.new(start.outputs["Geometry"], volume.inputs["Mesh"])
    links.new(volume.outputs[0], filled.inputs["Points"])
    links.new(filled.outputs["Volume"], mesh.inputs["Volume"])
    links.new(mesh.outputs["Mesh"], end.inputs["Geometry"])
    return group


def _by_size(node: Any) -> None:
    """Resolution given by the voxel's size: a property of the node, from 5.0 on a menu among its sockets."""
    if hasattr(node, "resolution_mode"):
        node.resolution_mode = "VOXEL_SIZE"
    else:
        node.inputs["Resolution Mode"].default_value = "Size"


def _smooth(mesh: Any, rounds: int) -> None:
    """Move every vertex to the mean of its neighbours along edges, some times."""
    if rounds <= 0 or not len(mesh.edges):
        return
    edges = np.empty(len(mesh.edges) * 2, np.int32)
    mesh.edges.foreach_get("vertices", edges)
    one, other = edges.reshape(-1, 2).T
    xyz = points_object.vertices_of(mesh).astype(np.float64)
    count = np.maximum(np.bincount(edges, minlength=len(xyz)), 1)
    for _ in range(rounds):
        sums = [
            np.bincount(one, xyz[other, k], len(xyz)) + np.bincount(other, xyz[one, k], len(xyz))
            for k in range(3)
        ]
        xyz = 0.5 * xyz + 0.5 * np.stack(sums, 1) / count[:, None]
    mesh.vertices.foreach_set("co", xyz.astype(np.float32).ravel())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    mesh.update()


def _take_attributes(mesh: Any, points: Any) -> None:
    """Colour, part and shown colour of the nearest point."""
    nearest, _ = Tree(points_object.vertices_of(points.data)).nearest(points_object.vertices_of(mesh))
    kinds = (
        (points_object.COLOR, "FLOAT_COLOR"),
        (points_object.LABEL, "INT"),
        (points_object.DISPLAY, "FLOAT_COLOR"),
    )
    for name, kind in kinds:
        values = points_object.get_attribute(points.data, name)
        if values is not None:
            points_object.set_attribute(mesh, name, kind, values[nearest])


def add_vertex_groups(made: Any, points: Any) -> None:
    """One vertex group per part."""
    labels = points_object.get_attribute(made.data, points_object.LABEL)
    if labels is None:
        return
    for label, part in enumerate(points.recon.parts, 1):
        rows = np.flatnonzero(labels == label)
        if len(rows):
            made.vertex_groups.new(name=part.name).add(rows.tolist(), 1.0, "REPLACE")
