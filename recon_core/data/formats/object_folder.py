# SPDX-License-Identifier: Apache-2.0
"""Writes one imported object as a native object folder, view by view, and renames it when it is complete."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...cameras import (
    DEFAULT_DISTANCE,
    DEFAULT_FOCAL_WIDTHS,
    Cameras,
    camera_to_world,
    in_object_frame,
    orbit,
)
from ...errors import DatasetError, InputError
from ...io.images import write_png
from ...io.ply import write_ply
from ...pointcloud import PointCloud
from ...visual import palette
from ..resize import area_resized, center_resized
from .base import Entry, ImportedObject, ImportedView, centred, square_cameras

MAX_DEPTH_LEVELS = 65535


def write_object(
    root: Path, entry: Entry, found: ImportedObject, object_from_source: np.ndarray, size: int = 0
) -> None:
    """Write <root>/<category>/<object>/ with images, masks, cameras and points in the object frame.

    `object_from_source` is a similarity (4,4). Images that are not square are padded with transparency, those of
    another size than `size` resampled. Raises DatasetError for views that do not fit each other.
    """
    folder = root / entry.category / entry.name
    with _new_folder(folder) as temporary:
        writer = _Writer(temporary, found, object_from_source, size)
        for index in range(found.views):
            writer.add(found.load_view(index))
        document = writer.document()
        document["recon"] |= _description(entry, found, object_from_source)
        if found.points is not None:
            write_ply(temporary / "points.ply", _moved(found.points, object_from_source))
        _write_json(temporary / "transforms.json", document)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name on success and goes on failure."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for stale in folder.parent.glob(f".{folder.name}.tmp-*"):
        shutil.rmtree(stale, ignore_errors=True)
    temporary = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    temporary.mkdir()
    try:
        yield temporary
        # Without a transforms.json this is no object, only in the way.
        if folder.is_dir() and not (folder / "transforms.json").is_file():
            shutil.rmtree(folder)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class _Writer:
    """Writes views as they come and keeps what transforms.json needs of them."""

    def __init__(
        self, folder: Path, found: ImportedObject, object_from_source: np.ndarray, size: int
    ) -> None:
        self.folder = folder
        self.found = found
        self.scale = float(np.cbrt(np.linalg.det(object_from_source[:3, :3])))
        self.matrix = torch.from_numpy(object_from_source)
        self.size = size
        self.frames: list[dict[str, Any]] = []
        self.source_shape: tuple[int, int] | None = None
        # One scale for all views; a source without a maximum has no depth.
        self.depth_step = found.max_depth * self.scale / MAX_DEPTH_LEVELS

    def add(self, view: ImportedView) -> None:
        """Write the images of one view."""
        _check_view(view, len(self.frames))
        if self.source_shape not in (None, view.mask.shape):
            raise DatasetError(
                f"View {len(self.frames)} has {view.mask.shape[1]}x{view.mask.shape[0]} pixels, the views before "
                "it have other sizes. Give one size to all with --size, or separate the objects."
            )
        self.source_shape = view.mask.shape[:2]
        view = _resized(_padded(view), self.size)
        name = f"{len(self.frames):03d}.png"
        frame: dict[str, Any] = {"mask_path": f"masks/{name}"}
        recon = dict(view.recon)
        write_png(self.folder / "masks" / name, view.mask)
        if view.rgb is not None:
            frame = {"file_path": f"images/{name}", **frame}
            visible = np.where(view.mask[..., None] > 0, view.rgb, 0)
            write_png(self.folder / "images" / name, np.dstack((visible, view.mask)))
        if view.depth is not None and self.depth_step > 0:
            frame["depth_file_path"] = f"depth/{name}"
            levels = np.rint(view.depth.astype(np.float64) * self.scale / self.depth_step)
            write_png(self.folder / "depth" / name, np.clip(levels, 0, MAX_DEPTH_LEVELS).astype(np.uint16))
        if view.parts is not None:
            recon["part_path"] = f"parts/{name}"
            _write_parts(self.folder / "parts" / name, view.parts, len(self.found.part_names))
        self.frames.append({**frame, "recon": recon})
        self.side = len(view.mask)

    def document(self) -> dict[str, Any]:
        """transforms.json without the description of the object."""
        cameras = self._cameras()
        poses = camera_to_world(cameras.world_to_cam)
        shared = {"fl_x": cameras.fx, "fl_y": cameras.fy, "cx": cameras.cx, "cy": cameras.cy}
        document: dict[str, Any] = {"camera_model": "PINHOLE"}
        document |= {key: float(values[0]) for key, values in shared.items()}
        document |= {"w": self.side, "h": self.side}
        if any("depth_file_path" in frame for frame in self.frames):
            document["integer_depth_scale"] = self.depth_step
        for index, frame in enumerate(self.frames):
            own = {key: float(values[index]) for key, values in shared.items() if values[index] != values[0]}
            known = {} if self.found.cameras is None else orbit_of(poses[index, :3, 3])
            frame |= {"transform_matrix": poses[index].tolist(), **own, "recon": {**known, **frame["recon"]}}
        return document | {"frames": self.frames, "recon": {}}

    def _cameras(self) -> Cameras:
        """Cameras (V) of the written images in the object frame; the default ones where none are known."""
        if self.found.cameras is None:
            zeros = torch.zeros(self.found.views, dtype=torch.float64)
            return square_cameras(orbit(zeros, zeros, DEFAULT_DISTANCE), DEFAULT_FOCAL_WIDTHS, self.side)
        assert self.source_shape is not None
        height, width = self.source_shape
        if (height, width) != (self.found.cameras.height, self.found.cameras.width):
            raise DatasetError(
                f"The images have {width}x{height} pixels, the cameras are for "
                f"{self.found.cameras.width}x{self.found.cameras.height}."
            )
        left, top, side = _padding(height, width)
        cameras = centred(self.found.cameras, left, top, side).resized(self.side, self.side)
        try:
            return replace(cameras, world_to_cam=in_object_frame(cameras.world_to_cam, self.matrix))
        except InputError as error:
            raise DatasetError(str(error)) from error


def orbit_of(eye: torch.Tensor) -> dict[str, float]:
    """Azimuth, elevation (degrees) and distance of a camera at eye (3,), as the native folder names them."""
    x, y, z = eye.tolist()
    distance = float(eye.norm())
    azimuth = float(np.degrees(np.arctan2(x, -y))) % 360.0
    elevation = float(np.degrees(np.arcsin(np.clip(z / max(distance, 1e-12), -1, 1))))
    return {"azimuth_deg": azimuth, "elevation_deg": elevation, "distance": distance}


def _description(entry: Entry, found: ImportedObject, object_from_source: np.ndarray) -> dict[str, Any]:
    recon: dict[str, Any] = {
        "version": 1,
        "name": entry.name,
        "category": entry.category,
        "object_from_source": object_from_source.tolist(),
        "source_from_object": np.linalg.inv(object_from_source).tolist(),
        "source": entry.source,
        "symmetry_order": 1,
    }
    if entry.split:
        recon["split"] = entry.split
    if found.part_names:
        recon["parts"] = list(found.part_names)
    if found.cameras is None:
        recon["pose_known"] = False
    if found.points is None:
        recon["points"] = False
    return recon


def _check_view(view: ImportedView, index: int) -> None:
    shape = view.mask.shape
    others = (view.rgb, view.depth, view.parts)
    if (
        view.mask.dtype != np.uint8
        or len(shape) != 2
        or any(o is not None and o.shape[:2] != shape for o in others)
    ):
        raise DatasetError(f"View {index}: mask, image, depth and parts have different sizes.")
    if not (view.mask > 127).any():
        raise DatasetError(f"View {index}: the mask is empty: the object is not in the picture.")


def _padding(height: int, width: int) -> tuple[int, int, int]:
    """Pixels to add at the left and at the top, and the side of the square."""
    side = max(height, width)
    return (side - width) // 2, (side - height) // 2, side


def _padded(view: ImportedView) -> ImportedView:
    height, width = view.mask.shape
    left, top, side = _padding(height, width)
    if height == width:
        return view

    def pad(pixels: np.ndarray | None) -> np.ndarray | None:
        if pixels is None:
            return None
        canvas = np.zeros((side, side, *pixels.shape[2:]), pixels.dtype)
        canvas[top : top + height, left : left + width] = pixels
        return canvas

    mask = pad(view.mask)
    assert mask is not None
    return replace(view, mask=mask, rgb=pad(view.rgb), depth=pad(view.depth), parts=pad(view.parts))


def _resized(view: ImportedView, size: int) -> ImportedView:
    if size in (0, len(view.mask)):
        return view
    rgb = None
    if view.rgb is not None:
        rgb = area_resized(np.dstack((view.rgb, view.mask)), size)[..., :3]
    return replace(
        view,
        mask=area_resized(view.mask, size),
        rgb=rgb,
        depth=None if view.depth is None else center_resized(view.depth, size),
        parts=None if view.parts is None else center_resized(view.parts, size),
    )


def _write_parts(path: Path, ids: np.ndarray, parts: int) -> None:
    if ids.max() > parts:
        raise DatasetError(f"A part image holds the id {ids.max()}, there are {parts} parts.")
    path.parent.mkdir(exist_ok=True)
    image = Image.fromarray(ids.astype(np.uint8), mode="P")
    image.putpalette(palette(parts).astype(np.uint8).tobytes())
    image.save(path)


def _moved(cloud: PointCloud, object_from_source: np.ndarray) -> PointCloud:
    """The cloud in the object frame."""
    linear = object_from_source[:3, :3]
    xyz = cloud.xyz.astype(np.float64) @ linear.T + object_from_source[:3, 3]
    normals = None
    if cloud.normals is not None and np.isfinite(cloud.normals).all():
        turned = cloud.normals @ linear.T
        normals = turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
    return replace(cloud, xyz=xyz, normals=normals)


def _write_json(path: Path, document: dict[str, Any]) -> None:
    from ...io.atomic import write_json

    try:
        write_json(path, document)
    except ValueError as error:
        raise DatasetError(f"A camera value is not finite ({error}).") from error
