# SPDX-License-Identifier: GPL-3.0-or-later
"""A ground below the object that no picture shows: it hides the sky below and throws light and shadow back up.

Cycles traces one bounce for such an object instead of none, so that undersides and feet darken where the ground lies
in the object's own shadow, softly, and take the ground's colour. Camera rays pass the ground: coverage, part ids
and depth are the same, bit by bit, with and without it. The shadow on the ground itself is not drawn: pictures
are cut-outs, whose background comes later.
"""

from typing import Any

import bpy
import numpy as np

HALF_SIZE = 12.0  # object units; its end is far below the horizon's dark edge
CLAMP = 1.5  # brightest contribution of one bounced ray
GAP = 1e-3  # object units below the lowest point: faces there are not coplanar with it


def choose_ground(share: float, height: float, rng: np.random.Generator) -> dict[str, Any] | None:
    """Ground of one object as plain values: {"height", "color" (linear RGB)}, for this share of the objects."""
    if rng.random() >= share:
        return None
    albedo = 0.06 * 10.0 ** rng.random()  # asphalt to snow
    tint = 1 - 0.25 * rng.random(3)
    return {"height": round(height - GAP, 5), "color": [round(float(albedo * one), 4) for one in tint]}


def apply_ground(scene: bpy.types.Scene, ground: dict[str, Any] | None) -> None:
    """Add the ground, which goes with the object's data, and set how often light bounces."""
    # Where a lamp hangs low, the few rays that find the bright spot below it would be white dots.
    scene.cycles.sample_clamp_indirect = 10.0 if ground is None else CLAMP
    for kind in ("max", "diffuse", "glossy"):
        setattr(scene.cycles, kind + "_bounces", 0 if ground is None else 1)
    if ground is None:
        return
    mesh = bpy.data.meshes.new("ground")
    corners = [
        (x * HALF_SIZE, y * HALF_SIZE, ground["height"]) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    mesh.from_pydata(corners, [], [(0, 1, 2, 3)])
    mesh.materials.append(_matt("ground", ground["color"]))
    thing = bpy.data.objects.new("ground", mesh)
    thing.visible_camera = False
    thing.visible_shadow = False  # a flash from below the ground's height still reaches the object
    scene.collection.objects.link(thing)


def _matt(name: str, color: list[float]) -> bpy.types.Material:
    material = bpy.data.materials.new(name)
    if not material.use_nodes:
        material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    output, shader = tree.nodes.new("ShaderNodeOutputMaterial"), tree.nodes.new("ShaderNodeBsdfDiffuse")
    shader.inputs[0].default_value = (*color, 1.0)
    tree.links.new(shader.outputs[0], output.inputs[0])
    return material
