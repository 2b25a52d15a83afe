# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering one object: import, normalise, label, light, all views, all files."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import bpy
import numpy as np

from . import dataset_writer as writer
from .axes import axes_for, invert, rotation_from_axes
from .backgrounds import Background
from .ground import apply_ground, choose_ground
from .import_mesh import MeshError, import_file
from .lighting import aim_light, apply_light, choose_light, remove_lights
from .materials import assign_parts, prepare_materials
from .normalise import (
    Piece,
    clear_imported,
    collect_pieces,
    normalise_pieces,
    remove_double_faces,
    surface_vertices,
)
from .parts import Mapping, names_for, palette
from .passes import (
    DEPTH_MAX,
    SENSOR_MM,
    RenderSettings,
    ViewImages,
    decode,
    depth_to_uint16,
    forget_last_object,
    place_camera,
    render_channels,
)
from .png import encode_png
from .points import encode_ply, read_points, sample_points
from .recolour import Recolour, draw_recolours, recolour_pieces, recolour_points
from .sources import Source, object_json
from .viewset import View, ViewSettings, object_rng, object_views

# Formats that carry vertex colours but no shader that says what they are for.
VERTEX_COLOR_FORMATS = {".glb", ".gltf", ".obj", ".ply", ".stl", ".off"}
FOLDERS = {"rgb": "images", "mask": "masks", "parts": "parts", "depth": "depth", "normals": "normals"}
POINTS_COMMENTS = ["frame object: +Z up, front -Y", "unit bounding-box diagonal", "version 1"]


class Job(NamedTuple):
    """Everything that is the same for all objects of a run."""

    options: argparse.Namespace
    scene: bpy.types.Scene
    settings: RenderSettings
    views: ViewSettings
    mapping: Mapping
    axes: list[tuple[str, str, str]]
    background: Background
    scratch: Path


class Model(NamedTuple):
    """One object in the scene, in the object frame."""

    source: Source
    sha256: str
    pieces: list[Piece]
    object_from_source: np.ndarray
    part_names: list[str]
    labelled: bool
    symmetry_order: int
    radius: float
    floor: float


class Look(NamedTuple):
    """What was drawn for one object beside its light: ground, and material changes by part id."""

    ground: dict[str, Any] | None
    recolours: dict[int, Recolour]


def render_object(job: Job, source: Source, sha256: str, on_view: Callable[[int, int], None]) -> list[str]:
    """Render one source into its dataset folder; return warnings. Raises MeshError or ValueError for bad sources."""
    clear_imported()
    forget_last_object(job.scene)
    try:
        model, warnings = load_model(job, source, sha256)
        views = object_views(job.views, job.options.seed, source.key)
        rng = object_rng(job.options.seed, source.key, "light")
        light = choose_light(job.options.light, rng)
        table = points_table(job, model)
        look = choose_look(job, model)
        if "rgb" in job.settings.passes:
            apply_light(job.scene, light)
            apply_ground(job.scene, look.ground)
            recolour_pieces(model.pieces, look.recolours, model.labelled)
        else:
            remove_lights(job.scene)
        with writer.object_folder(job.options.output, source.key) as folder:
            scale = depth_scale(views, model.radius)
            frames = []
            for index, view in enumerate(views):
                images = render_view(job, model, view, light, index)
                write_images(folder, index, images, scale, palette(len(model.part_names)))
                frames.append(frame_json(index, view, images, light, job))
                on_view(index, len(views))
            if table is not None:
                recolour_points(table, look.recolours, model.labelled)
                writer.write_atomic(folder / "points.ply", encode_ply(table, POINTS_COMMENTS))
            document = transforms_json(job, model, frames, scale)
            document["recon"] |= look_json(look)
            writer.write_atomic(folder / "transforms.json", writer.to_json(document))
        return warnings
    finally:
        clear_imported()


def load_model(job: Job, source: Source, sha256: str) -> tuple[Model, list[str]]:
    """Import a source and bring it into the object frame; raises MeshError or ValueError."""
    description = object_json(source)
    import_file(source.path)
    pieces = collect_pieces(job.scene)
    up, front = axes_for(
        [source.key, source.relative, source.name], job.axes, job.options.up, job.options.front
    )
    matrix = normalise_pieces(pieces, rotation_from_axes(up, front), job.options.normalise == "bbox")
    remove_double_faces(pieces)
    warnings = prepare_materials(pieces, source.path.suffix.lower() in VERTEX_COLOR_FORMATS)
    names = names_for(source.category, description, job.mapping)
    labelled, part_warnings = assign_parts(pieces, names, job.mapping, source.key)
    for piece in pieces:
        piece.thing.pass_index = 1
    vertices = surface_vertices(pieces)
    radius, floor = float(np.linalg.norm(vertices, axis=1).max()), float(vertices[:, 2].min())
    order = description.get("symmetry_order", 1)
    if not isinstance(order, int) or order < 0:
        raise MeshError(f"object.json: symmetry_order {order!r} is not a whole number >= 0")
    model = Model(source, sha256, pieces, matrix, names, labelled, order, radius, floor)
    return model, warnings + part_warnings


def choose_look(job: Job, model: Model) -> Look:
    """Draw what an object looks like, each from a stream of its own: no knob moves what another draws."""
    seed, key, options = job.options.seed, model.source.key, job.options
    labels = list(range(1, len(model.part_names) + 1)) if model.labelled else [0]
    recolours = draw_recolours(options.materials, labels, object_rng(seed, key, "materials"))
    return Look(choose_ground(options.ground, model.floor, object_rng(seed, key, "ground")), recolours)


def look_json(look: Look) -> dict[str, Any]:
    """Entries of transforms.json's "recon" for what was drawn; none where nothing was."""
    found: dict[str, Any] = {} if look.ground is None else {"ground": look.ground}
    if look.recolours:
        found["materials"] = {str(label): change._asdict() for label, change in look.recolours.items()}
    return found


def render_view(job: Job, model: Model, view: View, light: dict[str, Any], index: int) -> ViewImages:
    """Render and decode one view."""
    place_camera(job.scene, view, model.radius)
    if "rgb" in job.settings.passes:
        aim_light(job.scene, light, view.camera_to_world)
    channels = render_channels(job.scene, job.scratch / "view.exr")
    rng = object_rng(job.options.seed, model.source.key, f"background {index}")
    images = decode(channels, job.settings, job.background.linear(rng, job.settings.size))
    return images if model.labelled else images._replace(parts=None)


def depth_scale(views: list[View], radius: float) -> float:
    """Object units per step of the 16-bit depth images: the farthest possible depth fills the range."""
    return max(view.distance for view in views) * 1.0 / DEPTH_MAX + radius * 1.01 / DEPTH_MAX


def write_images(
    folder: Path, index: int, images: ViewImages, scale: float, part_palette: list[list[int]]
) -> None:
    """Write the PNGs of one view; plain writes, the folder as a whole is renamed at the end."""
    encoded = {
        "rgb": None if images.rgba is None else encode_png(images.rgba),
        "mask": encode_png(images.mask),
        "parts": None if images.parts is None else encode_png(images.parts, part_palette),
        "depth": None if images.depth is None else encode_png(depth_to_uint16(images.depth, scale)),
        "normals": None if images.normals is None else encode_png(images.normals),
    }
    for name, data in encoded.items():
        if data is not None:
            path = folder / FOLDERS[name] / f"{index:03d}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)


def frame_json(index: int, view: View, images: ViewImages, light: dict[str, Any], job: Job) -> dict[str, Any]:
    """Entry of transforms.json for one view; paths only of the files that were written."""
    name = f"{index:03d}.png"
    written = {"parts": images.parts, "depth": images.depth, "normals": images.normals}
    frame: dict[str, Any] = {"file_path": f"images/{name}"} if images.rgba is not None else {}
    frame["mask_path"] = f"masks/{name}"
    if written["depth"] is not None:
        frame["depth_file_path"] = f"depth/{name}"
    frame["transform_matrix"] = view.camera_to_world.tolist()
    if view.lens_mm != shared_lens_mm(job.views):
        frame["fl_x"] = frame["fl_y"] = focal_px(view.lens_mm, job.settings.size)
    recon: dict[str, Any] = {
        "azimuth_deg": view.azimuth_deg, "elevation_deg": view.elevation_deg, "distance": view.distance,
    }  # fmt: skip
    if view.roll_deg:
        recon["roll_deg"] = view.roll_deg
    if written["parts"] is not None:
        recon["part_path"] = f"parts/{name}"
    if written["normals"] is not None:
        recon["normal_path"] = f"normals/{name}"
    if images.rgba is not None:
        recon["light"] = light
    return {**frame, "recon": recon}


def shared_lens_mm(views: ViewSettings) -> float | None:
    """Focal length that all views have unless they say otherwise; None where it is drawn per view."""
    low, high = views.lens_mm
    return low if low == high else None


def focal_px(lens_mm: float, size: int) -> float:
    """Focal length in pixels of a lens on the 32 mm sensor."""
    return lens_mm / SENSOR_MM * size


def transforms_json(job: Job, model: Model, frames: list[dict[str, Any]], scale: float) -> dict[str, Any]:
    """The whole transforms.json of one object."""
    size = job.settings.size
    lens_mm = shared_lens_mm(job.views)
    # Readers may take a focal length of the whole file for that of all frames: none is written where they differ.
    focal = {} if lens_mm is None else dict.fromkeys(("fl_x", "fl_y"), focal_px(lens_mm, size))
    recon: dict[str, Any] = {
        "version": 1,
        "name": model.source.name,
        "category": model.source.category,
        "object_from_source": model.object_from_source.tolist(),
        "source_from_object": invert(model.object_from_source).tolist(),
        "source": model.source.relative,
        "source_sha256": model.sha256,
        "symmetry_order": model.symmetry_order,
    }
    if model.labelled:
        recon["parts"] = model.part_names
    intrinsics = {**focal, "cx": size / 2, "cy": size / 2, "w": size, "h": size}
    depth = {"integer_depth_scale": scale} if "depth" in job.settings.passes else {}
    return {"camera_model": "PINHOLE", **intrinsics, **depth, "frames": frames, "recon": recon}


def points_table(job: Job, model: Model) -> np.ndarray | None:
    """Rows of points.ply: the model's own, moved into the object frame, else sampled from the meshes."""
    if not job.options.points:
        return None
    own = model.source.path.parent / "points.ply"
    if model.source.path.stem == "model" and own.is_file():
        return read_points(own, model.object_from_source)
    rng = object_rng(job.options.seed, model.source.key, "points")
    return sample_points(model.pieces, job.options.points, rng, model.labelled)


def seconds_since(start: float) -> float:
    """Wall time in seconds, rounded for events."""
    return round(time.perf_counter() - start, 4)
