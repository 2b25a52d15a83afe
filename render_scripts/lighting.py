# SPDX-License-Identifier: GPL-3.0-or-later
"""Lights: mostly zero-angle suns and a smooth sky, nearly free of noise at 16 samples without bounces.

Measured at 16 samples against 512: two suns and a gradient sky differ by 2.7 of 255 levels (root mean square); six
suns by 3.4, because each sample picks one sun; a sky alone by 5. The sky is never sampled as a light (sampling
NONE): smooth as it is, that is less noisy, and spares an importance map per object.
"""

import math
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from .photo_light import choose_photo

# Directions point from the object to the sun, in the object frame (camera frame for studio); linear RGB.
FIXED = {
    "suns": [
        {"direction": [0.5, -0.6, 0.62], "color": [1.0, 0.98, 0.95], "strength": 2.2},
        {"direction": [-0.75, -0.3, 0.59], "color": [0.95, 0.97, 1.0], "strength": 1.0},
        {"direction": [0.1, 0.85, 0.52], "color": [1.0, 1.0, 1.0], "strength": 1.0},
    ],
    "sky": {"up": [0.3, 0.3, 0.3], "down": [0.2, 0.2, 0.2]},
}
STUDIO = {
    "suns": [
        {"direction": [0.45, 0.5, 0.74], "color": [1.0, 0.97, 0.93], "strength": 2.2},
        {"direction": [-0.7, 0.1, 0.71], "color": [0.93, 0.96, 1.0], "strength": 0.9},
    ],
    "sky": {"up": [0.45, 0.45, 0.45], "down": [0.3, 0.3, 0.3]},
}


def choose_light(kind: str, rng: np.random.Generator) -> dict[str, Any]:
    """Light of one object as plain values: {"kind", "suns": [...], "sky": {...}}; `rng` decides the random ones."""
    if kind == "random":
        return {"kind": kind, "suns": [_random_sun(rng, (1.4, 3.0), 25.0), _random_sun(rng, (0.2, 1.2), 0.0)],
                "sky": _random_sky(rng)}  # fmt: skip
    if kind == "photo":
        return choose_photo(rng)
    return {"kind": kind, **(FIXED if kind == "fixed" else STUDIO)}


def _random_sun(
    rng: np.random.Generator, strength: tuple[float, float], min_elevation_deg: float
) -> dict[str, Any]:
    """A sun above the horizon, uniform over the cap of the sphere, its colour between warm and cold."""
    height = rng.uniform(math.sin(math.radians(min_elevation_deg)), 1.0)
    azimuth, warmth = rng.uniform(0, 2 * math.pi), rng.uniform(-1, 1)
    flat = math.sqrt(max(0.0, 1 - height * height))
    color = [1.0 + 0.12 * min(warmth, 0.0), 1.0 - 0.06 * abs(warmth), 1.0 - 0.2 * max(warmth, 0.0)]
    direction = [flat * math.sin(azimuth), -flat * math.cos(azimuth), height]
    return {
        "direction": _rounded(direction),
        "color": _rounded(color),
        "strength": round(rng.uniform(*strength), 4),
    }


def _random_sky(rng: np.random.Generator) -> dict[str, Any]:
    level, tint = rng.uniform(0.25, 0.6), rng.uniform(-1, 1, 3)
    up = level * (1 + 0.2 * tint)
    down = level * rng.uniform(0.3, 0.8) * (1 + 0.2 * rng.uniform(-1, 1, 3))
    return {"up": _rounded(up), "down": _rounded(down)}


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 4) for value in values]


def apply_light(scene: bpy.types.Scene, light: dict[str, Any]) -> None:
    """Replace the scene's suns and world by those of `light`."""
    for old in [thing for thing in scene.objects if thing.type == "LIGHT"]:
        bpy.data.lights.remove(old.data)  # takes the object along
    for index, sun in enumerate(light["suns"]):
        _add_sun(scene, f"sun{index}", sun)
    for index, lamp in enumerate(light.get("lamps", [])):
        _add_lamp(scene, f"lamp{index}", lamp)
    _set_sky(scene, light["sky"])


def aim_light(scene: bpy.types.Scene, light: dict[str, Any], camera_to_world: np.ndarray) -> None:
    """Turn the suns of a studio light, and flashes, with the camera; other lights stand still."""
    is_studio = light["kind"] == "studio"
    if not is_studio and not any(sun.get("on_camera") for sun in light["suns"]):
        return
    suns = [thing for thing in scene.objects if thing.type == "LIGHT" and thing.data.type == "SUN"]
    for thing, sun in zip(sorted(suns, key=lambda thing: thing.name), light["suns"]):
        if is_studio or sun.get("on_camera"):
            _point(thing, camera_to_world[:3, :3] @ np.asarray(sun["direction"]))


def remove_lights(scene: bpy.types.Scene) -> None:
    """Leave the scene dark: masks need no light."""
    apply_light(scene, {"kind": "none", "suns": [], "sky": {"up": [0.0] * 3, "down": [0.0] * 3}})


def _add_sun(scene: bpy.types.Scene, name: str, sun: dict[str, Any]) -> None:
    lamp = bpy.data.lights.new(name, "SUN")
    lamp.angle, lamp.energy, lamp.color = (
        math.radians(sun.get("angle_deg", 0.0)),
        sun["strength"],
        sun["color"],
    )
    thing = bpy.data.objects.new(name, lamp)
    scene.collection.objects.link(thing)
    _point(thing, np.asarray(sun["direction"]))


def _add_lamp(scene: bpy.types.Scene, name: str, values: dict[str, Any]) -> None:
    """A ball that shines alike all around, never in the picture itself."""
    lamp = bpy.data.lights.new(name, "POINT")
    lamp.energy, lamp.color, lamp.shadow_soft_size = values["power"], values["color"], values["radius"]
    thing = bpy.data.objects.new(name, lamp)
    thing.location = values["position"]
    thing.visible_camera = False
    scene.collection.objects.link(thing)


def _point(thing: bpy.types.Object, direction: np.ndarray) -> None:
    turn = Vector(direction.tolist()).to_track_quat("Z", "Y").to_matrix().to_4x4()
    thing.matrix_world = Matrix.Identity(4) @ turn


def _set_sky(scene: bpy.types.Scene, sky: dict[str, Any]) -> None:
    """World whose colour goes linearly with the direction's z from `down` to `up` (linear RGB)."""
    world = scene.world or bpy.data.worlds.new("sky")
    scene.world = world
    if not world.use_nodes:
        world.use_nodes = True
    tree = world.node_tree
    tree.nodes.clear()
    world.cycles.sampling_method = "NONE"
    output = tree.nodes.new("ShaderNodeOutputWorld")
    background = tree.nodes.new("ShaderNodeBackground")
    tree.links.new(background.outputs[0], output.inputs[0])
    if sky["up"] == sky["down"]:
        background.inputs[0].default_value = (*sky["up"], 1.0)
        return
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    height = tree.nodes.new("ShaderNodeSeparateXYZ")
    unit = tree.nodes.new("ShaderNodeMapRange")
    unit.inputs[1].default_value = -1.0  # from -1..1 to the default 0..1
    ramp = tree.nodes.new("ShaderNodeValToRGB")
    ramp.color_ramp.elements[0].color = (*sky["down"], 1.0)
    ramp.color_ramp.elements[1].color = (*sky["up"], 1.0)
    tree.links.new(coordinates.outputs["Generated"], height.inputs[0])
    tree.links.new(height.outputs[2], unit.inputs[0])
    tree.links.new(unit.outputs[0], ramp.inputs[0])
    tree.links.new(ramp.outputs[0], background.inputs[0])
