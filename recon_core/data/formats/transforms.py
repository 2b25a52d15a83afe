# SPDX-License-Identifier: Apache-2.0
"""Scenes of NeRF, nerfstudio and instant-ngp: a transforms.json with posed images; one scene is one object."""

import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...cameras import Cameras, from_transforms, rigid_from_similarity
from ...errors import DatasetError, InputError
from ...io.images import read_grey16
from .base import (
    Entry,
    FormatInfo,
    ImportedObject,
    ImportedView,
    ImportOptions,
    read_mask,
    read_rgba,
    view_count,
)
from .distortion import LensDistortion, undistorted
from .paths import folders, inside, read_text

INFO = FormatInfo(
    "NeRF, nerfstudio, instant-ngp: transforms.json; one scene, one object", "Z", "-Y", "cameras"
)

_NAMES = ("transforms.json", "transforms_train.json")
_ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
_MAX_FRAMES = 10_000


def entries(options: ImportOptions) -> Iterator[Entry]:
    """The source itself when it is a scene, else every folder in it that is one, or in a folder of it."""
    source = options.source
    scenes = [source] if _document_path(source) else [one for one in folders(source) if _document_path(one)]
    nested = [] if scenes == [source] else [scene for one in folders(source) for scene in folders(one)]
    for scene in scenes + [one for one in nested if _document_path(one)]:
        parent = "object" if scene.parent == source or scene == source else scene.parent.name
        name = scene.name or scene.resolve().name
        yield Entry(options.category or parent, name, name, partial(_load, scene, options))


def _document_path(scene: Path) -> Path | None:
    return next((scene / name for name in _NAMES if (scene / name).is_file()), None)


def _load(scene: Path, options: ImportOptions) -> ImportedObject:
    path = _document_path(scene)
    assert path is not None
    document = _read(path)
    frames = document["frames"][: view_count(options, len(document["frames"]), path)]
    lens = LensDistortion.of(document, frames, path)
    first, _ = read_rgba(_image_path(scene, frames[0]))
    height, width = first.shape[:2]
    try:
        cameras = from_transforms(_with_intrinsics({**document, "frames": frames}, width, height, path))
    except InputError as error:
        raise DatasetError(f"{path}: {error}") from error
    _check_rigid(cameras, path)
    cameras = _fitted(cameras, width, height, path)
    step = _depth_step(document)
    return ImportedObject(
        len(frames),
        lambda index: undistorted(_load_view(scene, frames[index], step), cameras[index : index + 1], lens),
        cameras,
        max_depth=65535 * step,
        dropped=_dropped(document, frames, step),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not valid JSON: {error}.") from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(one, dict) for one in frames):
        raise DatasetError(f"{path}: expected a list of frames under 'frames'.")
    if len(frames) > _MAX_FRAMES:
        raise DatasetError(f"{path} has {len(frames)} frames, up to {_MAX_FRAMES} are read.")
    return document


def _image_path(scene: Path, frame: dict[str, Any]) -> Path:
    """The image of a frame; NeRF's synthetic scenes leave the ending out."""
    path = inside(scene, frame.get("file_path"))
    if path.is_file():
        return path
    found = next(
        (one for one in (path.with_name(path.name + end) for end in _ENDINGS) if one.is_file()), None
    )
    if found is None:
        raise DatasetError(f"{path} is missing.")
    return found


def _with_intrinsics(document: dict[str, Any], width: int, height: int, path: Path) -> dict[str, Any]:
    """Fill in what may be left out: the size, the principal point, and focal lengths given as angles."""
    filled = {"w": width, "h": height, **document}
    try:
        w, h = float(filled["w"]), float(filled["h"])
        if not (0 < w < 1e6 and 0 < h < 1e6):
            raise ValueError(f"{w:g} x {h:g} pixels")
        shared = {"cx": w / 2, "cy": h / 2}
        if "camera_angle_x" in document:
            shared["fl_x"] = w / 2 / math.tan(float(document["camera_angle_x"]) / 2)
            shared["fl_y"] = shared["fl_x"]
        if "camera_angle_y" in document:
            shared["fl_y"] = h / 2 / math.tan(float(document["camera_angle_y"]) / 2)
        if "fl_x" in document:
            shared["fl_y"] = document["fl_x"]
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise DatasetError(
            f"{path}: w, h and the camera angles must be numbers above 0 ({error})."
        ) from error
    if any(frame.get("w", w) != w or frame.get("h", h) != h for frame in document["frames"]):
        raise DatasetError(f"{path}: frames of different sizes are not supported.")
    return {**shared, **filled}


def _check_rigid(cameras: Cameras, path: Path) -> None:
    try:
        rigid = rigid_from_similarity(cameras.world_to_cam)
    except InputError as error:
        raise DatasetError(f"{path}: {error}") from error
    if (rigid - cameras.world_to_cam).abs()[:, :3, :3].max() > 1e-3:
        raise DatasetError(f"{path}: a transform_matrix is not rigid; it holds a scale.")


def _fitted(cameras: Cameras, width: int, height: int, path: Path) -> Cameras:
    """Cameras for the images as they are, when these were scaled down after the file was written."""
    finite = cameras.fx.isfinite() & cameras.fy.isfinite() & cameras.cx.isfinite() & cameras.cy.isfinite()
    if not finite.all() or (cameras.fx <= 0).any() or (cameras.fy <= 0).any():
        raise DatasetError(f"{path}: focal lengths must be above 0 and the principal point finite.")
    if cameras.width <= 0 or cameras.height <= 0:
        raise DatasetError(f"{path}: w and h must be above 0.")
    if abs(width / cameras.width - height / cameras.height) > 0.01 * width / cameras.width:
        raise DatasetError(
            f"{path} is for {cameras.width}x{cameras.height} pixels, its images have {width}x{height}."
        )
    return cameras.resized(width, height)


def _load_view(scene: Path, frame: dict[str, Any], depth_step: float) -> ImportedView:
    path = _image_path(scene, frame)
    rgba, has_alpha = read_rgba(path)
    if frame.get("mask_path"):
        mask = read_mask(inside(scene, frame["mask_path"]))
    elif has_alpha and rgba[..., 3].min() < 255:
        mask = np.ascontiguousarray(rgba[..., 3])
    else:
        raise DatasetError(
            f"{path} has neither transparency nor a mask_path: the object cannot be told apart."
        )
    if mask.shape != rgba.shape[:2]:
        raise DatasetError(f"{path} and its mask have different sizes.")
    return ImportedView(mask, rgba[..., :3], _depth(scene, frame, depth_step))


def _depth_step(document: dict[str, Any]) -> float:
    """Source units per step of the depth images, where the file says so."""
    step = document.get("integer_depth_scale")
    return float(step) if isinstance(step, int | float) and math.isfinite(step) and step > 0 else 0.0


def _depth(scene: Path, frame: dict[str, Any], step: float) -> np.ndarray | None:
    if not step or not frame.get("depth_file_path"):
        return None
    try:
        return read_grey16(inside(scene, frame["depth_file_path"])).astype(np.float32) * np.float32(step)
    except InputError as error:
        raise DatasetError(str(error)) from error


def _dropped(document: dict[str, Any], frames: list[dict[str, Any]], depth_step: float) -> tuple[str, ...]:
    dropped = []
    if not depth_step and any("depth_file_path" in frame for frame in frames):
        dropped.append("depth images without integer_depth_scale")
    if any(isinstance(frame.get("recon"), dict) and len(frame["recon"]) for frame in frames):
        dropped.append("part and normal images")
    if "ply_file_path" in document:
        dropped.append("the sparse points of the whole scene")
    return tuple(dropped)
