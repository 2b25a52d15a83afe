# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials made safe to render: one copy per part, opaque unless a texture cuts holes, grey where missing."""

import bpy
import numpy as np

from .normalise import Piece
from .parts import Mapping, part_id

GREY = (0.5, 0.5, 0.5, 1.0)
MATERIAL_INDEX_LIMIT = 32767


def find_principled(material: bpy.types.Material | None) -> bpy.types.Node | None:
    """Principled BSDF of a material, if it has one."""
    if material is None or material.node_tree is None:
        return None
    return next((node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED"), None)


def make_grey(name: str) -> bpy.types.Material:
    """Plain grey material for faces without one."""
    material = bpy.data.materials.new(name)
    if not material.use_nodes:
        material.use_nodes = True
    shader = find_principled(material)
    if shader is not None:
        shader.inputs["Base Color"].default_value = GREY
        shader.inputs["Roughness"].default_value = 0.7
    return material


def prepare_materials(pieces: list[Piece], multiply_vertex_colors: bool) -> list[str]:
    """Make every slot of every piece renderable; return warnings.

    With `multiply_vertex_colors` (formats without shader graphs: vertex colours multiply the base colour) an unused
    colour attribute is wired in.
    """
    warnings = _grey_missing_images()
    grey = None
    for piece in pieces:
        mesh = piece.thing.data
        if len(mesh.materials) == 0:
            mesh.materials.append(None)
        for slot, material in enumerate(mesh.materials):
            if material is None:
                grey = grey or make_grey("grey")
                material = mesh.materials[slot] = grey
            if multiply_vertex_colors and len(mesh.color_attributes) and not _reads_attribute(material):
                mesh.materials[slot] = _with_vertex_color(material, mesh.color_attributes[0].name)
    for material in {slot for piece in pieces for slot in piece.thing.data.materials}:
        _make_opaque(material)
    return warnings


def _grey_missing_images() -> list[str]:
    """Unlink images whose files are missing: Blender would render them magenta."""
    missing = [image for image in bpy.data.images if _is_missing(image)]
    for material in bpy.data.materials:
        if material.node_tree is None:
            continue
        for node in [node for node in material.node_tree.nodes if node.type == "TEX_IMAGE"]:
            if node.image in missing or node.image is None:
                _unlink_outputs(material.node_tree, node)
    return [f"texture {image.filepath or image.name} is missing, rendered grey" for image in missing]


def _is_missing(image: bpy.types.Image) -> bool:
    if image.source not in {"FILE", "SEQUENCE", "TILED"} or image.type != "IMAGE":
        return False
    return image.size[0] == 0 or image.size[1] == 0  # reading the size makes Blender try to load the file


def _unlink_outputs(tree: bpy.types.NodeTree, node: bpy.types.Node) -> None:
    for link in [link for output in node.outputs for link in output.links]:
        target = link.to_socket
        tree.links.remove(link)
        if target.type == "RGBA":
            target.default_value = GREY


def _reads_attribute(material: bpy.types.Material) -> bool:
    tree = material.node_tree
    return tree is not None and any(node.type in {"ATTRIBUTE", "VERTEX_COLOR"} for node in tree.nodes)


def _with_vertex_color(material: bpy.types.Material, attribute: str) -> bpy.types.Material:
    """Copy of a material whose base colour is multiplied by a colour attribute."""
    copy = material.copy()
    shader = find_principled(copy)
    if shader is None or copy.node_tree is None:
        return copy
    nodes, links = copy.node_tree.nodes, copy.node_tree.links
    color, product = nodes.new("ShaderNodeVertexColor"), nodes.new("ShaderNodeMixRGB")
    color.layer_name = attribute
    product.blend_type = "MULTIPLY"
    product.inputs[0].default_value = 1.0
    base = shader.inputs["Base Color"]
    if base.is_linked:
        links.new(base.links[0].from_socket, product.inputs[1])
    else:
        is_grey = material.name.startswith("grey")
        product.inputs[1].default_value = (1, 1, 1, 1) if is_grey else base.default_value
    links.new(color.outputs["Color"], product.inputs[2])
    links.new(product.outputs[0], base)
    return copy


def _make_opaque(material: bpy.types.Material) -> None:
    """Glass becomes opaque: without bounces it would be black, and masks would not agree with part ids.

    Alpha that comes from a texture is kept: it cuts leaves and grilles out of flat faces.
    """
    shader = find_principled(material)
    if shader is None:
        return
    for name in ("Transmission", "Transmission Weight"):
        socket = shader.inputs.get(name)
        if socket is not None:
            for link in list(socket.links):
                material.node_tree.links.remove(link)
            socket.default_value = 0.0
    alpha = shader.inputs.get("Alpha")
    if alpha is not None and not alpha.is_linked:
        alpha.default_value = 1.0


def assign_parts(pieces: list[Piece], names: list[str], mapping: Mapping, key: str) -> tuple[bool, list[str]]:
    """Give each material slot a pass index equal to its part id; return (all labelled, warnings).

    Materials shared by several parts are copied, since the index belongs to the material. When some used slot has
    no part, the whole object counts as unlabelled: id 0 would read as background.
    """
    copies: dict[tuple[str, int], bpy.types.Material] = {}
    unlabelled: set[str] = set()
    labelled = 0
    for piece in pieces:
        mesh = piece.thing.data
        used = set(np.unique(face_slots(mesh)).tolist())
        for slot in range(len(mesh.materials)):
            material = mesh.materials[slot]
            found = part_id(names, mapping, key, (piece.object_name, piece.mesh_name), material.name)
            if slot in used:
                labelled += bool(found)
                unlabelled |= set() if found else {material.name}
            copy = copies.setdefault(
                (material.name, found), material if material.users <= 1 else material.copy()
            )
            copy.pass_index = found
            mesh.materials[slot] = copy
    warnings = []
    if labelled and unlabelled:
        warnings = [f"materials without a part: {', '.join(sorted(unlabelled)[:5])}; rendered without parts"]
    return labelled > 0 and not unlabelled, warnings


def face_slots(mesh: bpy.types.Mesh) -> np.ndarray:
    """Material slot of each polygon (F,), clamped to the slots there are, as Blender does."""
    slots = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", slots)
    return np.clip(slots, 0, max(0, len(mesh.materials) - 1))
