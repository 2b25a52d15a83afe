# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials drawn at random, per object or per part: flat colours, textures in other colours, roughness and metal.

Labelled objects draw for every part, or now and then once for all; others draw once. The surface samples of
points.ply get the same colours. All of it follows from the seed and the object's name.
"""

import colorsys
from typing import Any, NamedTuple

import bpy
import numpy as np

from .materials import find_principled
from .normalise import Piece
from .passes import decode_srgb, encode_srgb

WHOLE_SHARE = 0.2  # of labelled objects: one material all over
MIXED_SHARE = 0.5  # of objects under "mixed" that keep their own
KINDS = {"keep": 0.15, "flat": 0.45, "tint": 0.4}
METAL_SHARE, MOTTLE_SHARE = 0.12, 0.35


class Recolour(NamedTuple):
    """One material's change; `color` is linear RGB.

    kind: keep the colour, flat (one colour), or tint (the texture in another colour: hue and saturation of `color`,
    value times `gain`). Mottle: noise of this amplitude on the colour, `mottle_scale` spots per object unit.
    """

    kind: str
    color: tuple[float, float, float]
    gain: float
    roughness: float
    metallic: float
    mottle: float
    mottle_scale: float


def draw_recolours(choice: str, labels: list[int], rng: np.random.Generator) -> dict[int, Recolour]:
    """Changes by part id (`labels`; [0] for an unlabelled object); empty when the object keeps its materials."""
    if choice == "keep" or (choice == "mixed" and rng.random() < MIXED_SHARE):
        return {}
    is_whole = rng.random() < WHOLE_SHARE
    first = _draw(rng)
    return {label: first if is_whole or not index else _draw(rng) for index, label in enumerate(labels)}


def _draw(rng: np.random.Generator) -> Recolour:
    kind = list(KINDS)[int(rng.choice(len(KINDS), p=list(KINDS.values())))]
    color, gain, roughness = _color(rng), 0.5 * 3.0 ** rng.random(), rng.uniform(0.15, 0.95)
    metallic = float(rng.random() < METAL_SHARE)
    mottle = rng.uniform(0.1, 0.5) * (rng.random() < MOTTLE_SHARE)
    values = (gain, roughness, metallic, mottle, 3.0 * 15.0 ** rng.random())
    return Recolour(kind, color, *(round(float(value), 4) for value in values))


def _color(rng: np.random.Generator) -> tuple[float, float, float]:
    """Linear RGB of a thing: grey to black or white, the browns of wood and leather, or any paint."""
    family = rng.random()
    hue, saturation, value = rng.random(), rng.uniform(0.02, 0.12), rng.uniform(0.1, 0.95)
    if family > 0.65:
        saturation, value = rng.uniform(0.3, 0.95), rng.uniform(0.2, 0.95)
    elif family > 0.4:
        hue, saturation, value = rng.uniform(0.04, 0.12), rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.85)
    linear = decode_srgb(np.array(colorsys.hsv_to_rgb(hue, saturation, value)))
    red, green, blue = (round(float(channel), 4) for channel in linear)
    return red, green, blue


def recolour_pieces(pieces: list[Piece], recolours: dict[int, Recolour], labelled: bool) -> None:
    """Change the materials in the scene; those without a Principled BSDF stay as they are."""
    materials = {slot.name: slot for piece in pieces for slot in piece.thing.data.materials}
    for material in materials.values():
        change = recolours.get(material.pass_index if labelled else 0)
        if change is not None and find_principled(material) is not None:
            _change(material, change)


def _change(material: bpy.types.Material, change: Recolour) -> None:
    shader = find_principled(material)
    assert shader is not None  # asked before
    tree = material.node_tree
    _set(tree, shader.inputs["Roughness"], change.roughness)
    _set(tree, shader.inputs["Metallic"], change.metallic)
    base = shader.inputs["Base Color"]
    if change.kind == "flat":
        _set(tree, base, (*change.color, 1.0))
    elif change.kind == "tint":
        _multiply(tree, base, change.color, "COLOR")
        _multiply(tree, base, (change.gain,) * 3, "MULTIPLY")
    if change.mottle:
        _link_product(tree, base, _mottle(tree, change))


def _set(tree: bpy.types.NodeTree, socket: bpy.types.NodeSocket, value: Any) -> None:
    for link in list(socket.links):
        tree.links.remove(link)
    socket.default_value = value


def _multiply(
    tree: bpy.types.NodeTree, base: bpy.types.NodeSocket, color: tuple[float, ...], blend: str
) -> bpy.types.Node:
    """Put a mix of what feeds `base` with a colour between them."""
    mix = tree.nodes.new("ShaderNodeMixRGB")
    mix.blend_type, mix.use_clamp = blend, True
    mix.inputs[0].default_value = 1.0
    mix.inputs[2].default_value = (*color, 1.0)
    if base.is_linked:
        tree.links.new(base.links[0].from_socket, mix.inputs[1])
    else:
        mix.inputs[1].default_value = base.default_value
    tree.links.new(mix.outputs[0], base)
    return mix


def _link_product(tree: bpy.types.NodeTree, base: bpy.types.NodeSocket, factor: bpy.types.NodeSocket) -> None:
    tree.links.new(factor, _multiply(tree, base, (1.0, 1.0, 1.0), "MULTIPLY").inputs[2])


def _mottle(tree: bpy.types.NodeTree, change: Recolour) -> bpy.types.NodeSocket:
    """Noise about 1 in the object frame, where it does not need texture coordinates."""
    place, noise, spread = (
        tree.nodes.new(name) for name in ("ShaderNodeNewGeometry", "ShaderNodeTexNoise", "ShaderNodeMapRange")
    )
    tree.links.new(place.outputs["Position"], noise.inputs["Vector"])
    noise.inputs["Scale"].default_value = change.mottle_scale
    tree.links.new(noise.outputs[0], spread.inputs[0])
    spread.inputs[1].default_value, spread.inputs[2].default_value = 0.25, 0.75
    spread.inputs[3].default_value, spread.inputs[4].default_value = 1 - change.mottle, 1 + change.mottle
    return spread.outputs[0]


def recolour_points(table: np.ndarray, recolours: dict[int, Recolour], labelled: bool) -> None:
    """Give the rows of a PLY table the colours that the pictures show, without the mottle, whose mean is 1."""
    names = ("red", "green", "blue")
    for label, change in recolours.items():
        rows = np.flatnonzero(table["label"] == label) if labelled else np.arange(len(table))
        if change.kind == "keep" or not len(rows):
            continue
        linear = decode_srgb(np.stack([table[name][rows] for name in names], -1) / 255.0)
        colors = np.rint(encode_srgb(changed_color(linear, change)) * 255).astype(np.uint8)
        for axis, name in enumerate(names):
            table[name][rows] = colors[:, axis]


def changed_color(linear: np.ndarray, change: Recolour) -> np.ndarray:
    """Linear RGB (N,3) after a flat or tint change.

    A colour c with the hue and saturation of t and its own value max(c) is t scaled to that value.
    """
    color = np.array(change.color)
    if change.kind == "flat":
        return np.tile(color, (len(linear), 1))
    value = linear.max(1, keepdims=True)
    return np.clip(np.clip(color / color.max() * value, 0, 1) * change.gain, 0, 1)
