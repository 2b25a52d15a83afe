# SPDX-License-Identifier: GPL-3.0-or-later
"""How points look: a geometry nodes modifier per shape, a material, and the colours that it shows."""

from typing import Any

import bpy
import numpy as np

from .compat import input_identifier, new_input, new_output
from .photo_camera import height_shares, ramp_colors
from .points_object import (
    COLOR,
    CONFIDENCE,
    DISPLAY,
    DISTANCE,
    HIDDEN,
    LABEL,
    VISIBILITY,
    get_attribute,
    rgba_linear,
    set_attribute,
    vertices_of,
)

MODIFIER, MATERIAL = "Recon Points", "Recon Points"
GROUPS = {"SPHERE": "Recon Spheres", "CUBE": "Recon Cubes", "POINT": "Recon Points"}
# Beyond this many, a mesh per point is slow; discs that face the viewer are not.
MAX_MESHED_POINTS = 30_000
# Distinct for the colour-blind (after Okabe and Ito), repeated when there are more parts.
PALETTE = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (120, 120, 120),
)
# Guessed, the mirror image of something seen, seen.
SEEN_COLORS = ((52, 62, 120), (70, 170, 120), (250, 230, 110))


def default_size(xyz: np.ndarray) -> float:
    """A diameter at which neighbouring points touch, from the cloud's box and count."""
    if not len(xyz):
        return 0.01
    diagonal = float(np.linalg.norm(xyz.max(0) - xyz.min(0)))
    return max(0.9 * diagonal / len(xyz) ** 0.5, 1e-6)


def show(points: Any) -> None:
    """Give an object the modifier and material that its settings ask for."""
    group = display_group(points.recon.shape)
    modifier = points.modifiers.get(MODIFIER)
    if modifier is None or modifier.type != "NODES":
        modifier = points.modifiers.new(MODIFIER, "NODES")
    modifier.node_group = group
    modifier[input_identifier(group, "Size")] = float(points.recon.size)
    if MATERIAL not in points.data.materials:
        points.data.materials.append(display_material())
    points.data.update()
    points.update_tag()


def recolor(points: Any) -> None:
    """Write the colours of the chosen mode into the attribute that the material shows."""
    mesh = points.data
    colors = display_colors(points)
    set_attribute(mesh, DISPLAY, "FLOAT_COLOR", colors)
    index = mesh.color_attributes.find(DISPLAY)
    if index >= 0:
        mesh.color_attributes.active_color_index = index
    mesh.update()


def display_colors(points: Any) -> np.ndarray:
    """Linear colours (N,4) float32 for the object's colour mode; grey where it does not know."""
    mesh, mode = points.data, points.recon.color_by
    if mode == "HEIGHT":
        return rgba_linear(ramp_colors(height_shares(vertices_of(mesh))))
    shown = {"RGB": COLOR, "PART": LABEL, "CONFIDENCE": CONFIDENCE, "VISIBILITY": VISIBILITY}
    values = get_attribute(mesh, shown.get(mode, DISTANCE))
    if values is None:
        return np.tile(np.array([0.3, 0.3, 0.3, 1.0], np.float32), (len(mesh.vertices), 1))
    if mode == "RGB":
        return values
    if mode == "PART":
        return part_palette(points)[np.clip(values, 0, 255)]
    if mode == "VISIBILITY":
        return rgba_linear(np.array(SEEN_COLORS, np.uint8))[np.clip(values, 0, 2)]
    if mode == "DISTANCE":
        values = values / max(points.recon.heat_limit, 1e-9)
    return rgba_linear(ramp_colors(values))


def part_palette(points: Any) -> np.ndarray:
    """Linear colours (256,4) of the part ids of an object."""
    repeated = [PALETTE[index % len(PALETTE)] for index in range(255)]
    palette = rgba_linear(np.array([(60, 60, 60), *repeated], np.uint8))
    for index, part in enumerate(points.recon.parts, 1):
        palette[index, :3] = part.color[:3]
    return palette


def hide_points(points: Any) -> None:
    """Hide the points of parts whose eye is closed, and those that are less sure than the object's threshold."""
    hidden = np.zeros(len(points.data.vertices), bool)
    labels, sure = (get_attribute(points.data, name) for name in (LABEL, CONFIDENCE))
    if labels is not None:
        closed = np.zeros(256, bool)
        for index, part in enumerate(points.recon.parts, 1):
            closed[index] = not part.visible
        hidden |= closed[np.clip(labels, 0, 255)]
    if sure is not None:
        hidden |= sure < points.recon.least_confidence
    set_attribute(points.data, HIDDEN, "BOOLEAN", hidden)
    points.recon.hidden_count = int(hidden.sum())
    points.data.update()


# --- nodes ------------------------------------------------------------------------------------------------


def display_group(shape: str) -> Any:
    """The node group of a shape, made when this file has none."""
    name = GROUPS[shape]
    group = bpy.data.node_groups.get(name)
    if group is not None and group.bl_idname == "GeometryNodeTree":
        return group
    group = bpy.data.node_groups.new(name, "GeometryNodeTree")
    new_input(group, "Geometry", "NodeSocketGeometry")
    size = new_input(group, "Size", "NodeSocketFloat")
    size.default_value, size.min_value = 0.02, 0.0
    size.description = "Diameter of a point in the object's own unit"
    new_output(group, "Geometry", "NodeSocketGeometry")
    _build(group, shape)
    return group


def _build(group: Any, shape: str) -> None:
    nodes, links = group.nodes, group.links
    start, end = _node(nodes, "NodeGroupInput", 0), _node(nodes, "NodeGroupOutput", 6)
    hidden = _node(nodes, "GeometryNodeInputNamedAttribute", 0, -150)
    hidden.data_type = "BOOLEAN"
    hidden.inputs["Name"].default_value = HIDDEN
    kept = _node(nodes, "GeometryNodeDeleteGeometry", 1)
    kept.domain = "POINT"
    links.new(start.outputs["Geometry"], kept.inputs["Geometry"])
    links.new(next(socket for socket in hidden.outputs if socket.enabled), kept.inputs["Selection"])
    shaped = _points(group, start, kept) if shape == "POINT" else _meshes(group, start, kept, shape)
    material = _node(nodes, "GeometryNodeSetMaterial", 5)
    material.inputs["Material"].default_value = display_material()
    links.new(shaped, material.inputs["Geometry"])
    links.new(material.outputs["Geometry"], end.inputs["Geometry"])


def _points(group: Any, start: Any, kept: Any) -> Any:
    """Render points; Cycles draws them as spheres, EEVEE (4.2 on) as discs."""
    half = _node(group.nodes, "ShaderNodeMath", 1, -200)
    half.operation, half.inputs[1].default_value = "MULTIPLY", 0.5
    points = _node(group.nodes, "GeometryNodeMeshToPoints", 2)
    group.links.new(start.outputs["Size"], half.inputs[0])
    group.links.new(kept.outputs["Geometry"], points.inputs["Mesh"])
    group.links.new(half.outputs[0], points.inputs["Radius"])
    return points.outputs[0]


def _meshes(group: Any, start: Any, kept: Any, shape: str) -> Any:
    """A little mesh for every point: seen in every viewport and engine."""
    nodes, links = group.nodes, group.links
    if shape == "CUBE":
        mesh = _node(nodes, "GeometryNodeMeshCube", 2, -200)
        mesh.inputs["Size"].default_value = (0.8, 0.8, 0.8)
    else:
        # 26 vertices: as round as an icosphere of 42 at this size, and evaluated in half of its time.
        mesh = _node(nodes, "GeometryNodeMeshUVSphere", 2, -200)
        mesh.inputs["Radius"].default_value = 0.5
        mesh.inputs["Segments"].default_value, mesh.inputs["Rings"].default_value = 8, 4
    copies = _node(nodes, "GeometryNodeInstanceOnPoints", 3)
    real = _node(nodes, "GeometryNodeRealizeInstances", 4)
    links.new(kept.outputs["Geometry"], copies.inputs["Points"])
    links.new(mesh.outputs["Mesh"], copies.inputs["Instance"])
    links.new(start.outputs["Size"], copies.inputs["Scale"])
    links.new(copies.outputs["Instances"], real.inputs["Geometry"])
    if shape == "CUBE":
        return real.outputs["Geometry"]
    smooth = _node(nodes, "GeometryNodeSetShadeSmooth", 4, -150)
    links.new(real.outputs["Geometry"], smooth.inputs["Geometry"])
    return smooth.outputs["Geometry"]


def _node(nodes: Any, kind: str, column: int, y: float = 0.0) -> Any:
    node = nodes.new(kind)
    node.location = (column * 180, y)
    return node


def display_material() -> Any:
    """The material of all clouds, made when this file has none."""
    material = bpy.data.materials.get(MATERIAL)
    if material is not None:
        return material
    material = bpy.data.materials.new(MATERIAL)
    if material.node_tree is None:
        material.use_nodes = True  # has no effect, and warns, from 5.0 on
    tree: Any = material.node_tree
    nodes = tree.nodes
    shader = next(node for node in nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = 0.8
    color = nodes.new("ShaderNodeAttribute")
    color.attribute_name, color.location = DISPLAY, (-300, 200)
    tree.links.new(color.outputs["Color"], shader.inputs["Base Color"])
    return material
