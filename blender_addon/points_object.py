# SPDX-License-Identifier: GPL-3.0-or-later
"""Clouds as Blender objects: a mesh of loose vertices whose attributes carry colour, part, opacity and confidence."""

import json
from typing import Any

import bpy
import numpy as np

from .cloud import Cloud

# Names of the attributes; `DISPLAY` is what the material shows, computed from the others.
COLOR, LABEL, OPACITY, CONFIDENCE = "color", "label", "opacity", "confidence"
VISIBILITY = "visibility"
DISPLAY, HIDDEN, DISTANCE = "recon_display", "recon_hidden", "distance"
RECORD, IMAGE = "recon_record", "recon_image"
_VALUES = {"FLOAT": ("value", np.float32, 1), "INT": ("value", np.int32, 1), "BOOLEAN": ("value", bool, 1)}
_VALUES["FLOAT_COLOR"] = ("color", np.float32, 4)


def linear_from_srgb() -> np.ndarray:
    """Linear values (256,) float32 of the 256 levels of sRGB."""
    share = np.arange(256) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).astype(np.float32)


LINEAR = linear_from_srgb()


def new_points(name: str, cloud: Cloud, collection: Any) -> Any:
    """A new object of the cloud's points in a collection, without display."""
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(cloud))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(cloud.xyz, np.float32).ravel())
    write_attributes(mesh, cloud)
    mesh.update()
    points = bpy.data.objects.new(name, mesh)
    collection.objects.link(points)
    return points


def write_attributes(mesh: Any, cloud: Cloud) -> None:
    """Write what is known of the points; colours become linear, as Blender keeps them."""
    if cloud.colors is not None:
        set_attribute(mesh, COLOR, "FLOAT_COLOR", rgba_linear(cloud.colors))
    if cloud.labels is not None:
        set_attribute(mesh, LABEL, "INT", cloud.labels)
    if cloud.opacity is not None:
        set_attribute(mesh, OPACITY, "FLOAT", cloud.opacity)
    if cloud.confidence is not None:
        set_attribute(mesh, CONFIDENCE, "FLOAT", cloud.confidence)
    if cloud.visibility is not None:
        set_attribute(mesh, VISIBILITY, "INT", cloud.visibility)


def rgba_linear(colors: np.ndarray) -> np.ndarray:
    """Linear colours (N,4) float32 of sRGB bytes (N,3)."""
    rgba = np.ones((len(colors), 4), np.float32)
    rgba[:, :3] = LINEAR[colors]
    return rgba


def set_attribute(mesh: Any, name: str, kind: str, values: np.ndarray) -> None:
    """Write a point attribute whole, made when it is missing or of another type."""
    attribute = mesh.attributes.get(name)
    if attribute is not None and (attribute.data_type != kind or attribute.domain != "POINT"):
        mesh.attributes.remove(attribute)
        attribute = None
    if attribute is None:
        attribute = mesh.attributes.new(name, kind, "POINT")
    field, dtype, _ = _VALUES[kind]
    attribute.data.foreach_set(field, np.ascontiguousarray(values, dtype).ravel())


def get_attribute(mesh: Any, name: str) -> np.ndarray | None:
    """A point attribute as (N,) or (N,4), or None."""
    attribute = mesh.attributes.get(name)
    if attribute is None or attribute.domain != "POINT" or attribute.data_type not in _VALUES:
        return None
    field, dtype, width = _VALUES[attribute.data_type]
    values = np.empty(len(attribute.data) * width, dtype)
    attribute.data.foreach_get(field, values)
    return values.reshape(-1, width) if width > 1 else values


def vertices_of(mesh: Any) -> np.ndarray:
    """Coordinates (N,3) float32 in the object's own frame."""
    xyz = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", xyz)
    return xyz.reshape(-1, 3)


def cloud_of(points: Any, world: bool = True) -> Cloud:
    """The cloud of an object, in the world's frame or its own."""
    mesh = points.data
    cloud = Cloud(vertices_of(mesh), parts=[part.name for part in points.recon.parts])
    colors = get_attribute(mesh, COLOR)
    if colors is not None and colors.ndim == 2:
        cloud.colors = srgb_bytes(colors[:, :3])
    labels = get_attribute(mesh, LABEL)
    cloud.labels = None if labels is None else np.clip(labels, 0, 255).astype(np.uint8)
    visibility = get_attribute(mesh, VISIBILITY)
    cloud.visibility = None if visibility is None else np.clip(visibility, 0, 2).astype(np.uint8)
    for name in (OPACITY, CONFIDENCE):
        setattr(cloud, name, get_attribute(mesh, name))
    return cloud.transformed(np.array(points.matrix_world)) if world else cloud


def srgb_bytes(linear: np.ndarray) -> np.ndarray:
    """sRGB bytes of linear values, whatever their shape."""
    linear = np.clip(linear, 0, 1)
    share = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(share * 255).astype(np.uint8)


def is_points(candidate: Any) -> bool:
    """Whether an object is one of ours."""
    return candidate is not None and candidate.type == "MESH" and candidate.recon.is_points


def record_of(points: Any) -> dict[str, Any]:
    """Where the points came from; empty when that is not known."""
    try:
        record = json.loads(points.get(RECORD, "{}"))
    except (TypeError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def set_record(points: Any, record: dict[str, Any]) -> None:
    """Keep the source image, model, pose and settings with the object."""
    points[RECORD] = json.dumps(record)


def keep_image(points: Any, image: Any) -> None:
    """Make the object a user of its image: what nobody uses is not saved."""
    if image is not None:
        points[IMAGE] = image
