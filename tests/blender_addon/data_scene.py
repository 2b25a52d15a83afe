# SPDX-License-Identifier: Apache-2.0
"""A scene of stools made of boxes, with parts as materials and as vertex groups, for the section Data."""

import bpy

PARTS = ("seat", "leg")
COLORS = {"seat": (0.7, 0.15, 0.1, 1.0), "leg": (0.1, 0.3, 0.7, 1.0)}
CORNERS = [(x, y, z) for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
FACES = [(3, 2, 1, 0), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)]


def stool_boxes(index: int) -> list[tuple[str, tuple[float, float, float], tuple[float, float, float]]]:
    """Part, lowest corner and size of the boxes of a stool; the front, at -Y, has a lower rail."""
    width, height = 0.8 + 0.05 * (index % 4), 0.7 + 0.08 * (index % 5)
    boxes = [("seat", (0.0, 0.0, height), (width, 0.7, 0.12))]
    for x in (0.0, width - 0.1):
        boxes += [("leg", (x, y, 0.0), (0.1, 0.1, height)) for y in (0.0, 0.6)]
    return [*boxes, ("leg", (0.1, 0.0, 0.2 * height), (width - 0.2, 0.06, 0.06))]


def new_material(name: str):
    material = bpy.data.materials.get(name) or bpy.data.materials.new(name)
    material.use_nodes = True
    color = COLORS.get(name.lower().split(".")[0].split("_")[0], (0.5, 0.5, 0.5, 1))
    material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = color
    material.diffuse_color = color  # of the solid display
    return material


def new_stool(name: str, index: int = 0, materials: tuple[str, str] = ("Seat_wood", "leg.L")):
    """A stool whose materials and vertex groups name its parts."""
    points, faces, parts = [], [], []
    for part, low, size in stool_boxes(index):
        faces += [tuple(len(points) + corner for corner in face) for face in FACES]
        parts += [PARTS.index(part)] * len(FACES)
        points += [tuple(a + b * c for a, b, c in zip(low, corner, size)) for corner in CORNERS]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(points, [], faces)
    for material in materials:
        mesh.materials.append(new_material(material))
    mesh.polygons.foreach_set("material_index", parts)
    mesh.update()
    one = bpy.data.objects.new(name, mesh)
    groups = [one.vertex_groups.new(name=group) for group in ("Seat", "Leg.all")]
    for polygon in mesh.polygons:
        groups[parts[polygon.index]].add(list(polygon.vertices), 1.0, "REPLACE")
    return one


def fill_scene(count: int = 12, collection=None) -> list:
    """So many stools in rows, selected."""
    collection = collection or bpy.context.scene.collection
    made = []
    for index in range(count):
        one = new_stool(f"Stool {index + 1}", index)
        one.location = (1.5 * (index % 4), 1.5 * (index // 4), 0)
        collection.objects.link(one)
        made.append(one)
    bpy.context.view_layer.update()
    for one in made:
        one.select_set(True)
    return made
