# SPDX-License-Identifier: Apache-2.0
"""What is refined, from files: a result of `recon reconstruct` or a PLY cloud, cameras, images and their masks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..cameras import Cameras, from_transforms
from ..errors import ConfigError, InputError
from ..inference.foreground import find_mask
from ..inference.hints import MaskHints
from ..io.images import LoadedImage, read_image
from ..io.ply import read_ply
from ..pointcloud import PointCloud

MAX_JSON_BYTES = 8 << 20
# Width over height of an image and of its camera may differ by the rounding of a small picture.
_ASPECT_TOLERANCE = 0.03


@dataclass(frozen=True)
class Source:
    """A cloud to refine, the JSON it came with and the camera that this holds."""

    path: Path
    cloud: PointCloud
    cloud_path: Path
    record: dict[str, Any]
    camera: Cameras | None


@dataclass(frozen=True)
class View:
    """One image with the mask (H,W) uint8 of the object in it, where the mask came from, and its camera (1)."""

    path: Path
    image: LoadedImage
    mask: np.ndarray
    mask_source: str
    camera: Cameras


def read_source(path: Path) -> Source:
    """Read RESULT.json with the cloud that it names, or CLOUD.ply; raises InputError."""
    if path.suffix.lower() != ".json":
        return Source(path, read_ply(path), path, {}, None)
    record = _read_json(path)
    files = record.get("files")
    name = files.get("cloud") if isinstance(files, dict) else None
    if not isinstance(name, str) or Path(name).name != name:
        raise InputError(
            f"{path} names no cloud under files.cloud. Expected the JSON file that `recon reconstruct` writes, or a "
            "PLY cloud."
        )
    camera = read_cameras(path)[0] if record.get("pose") else None
    return Source(path, read_ply(path.with_name(name)), path.with_name(name), record, camera)


def read_cameras(path: Path) -> list[Cameras]:
    """The cameras (1 each) in a JSON file with nerfstudio's keys: one of ours, or a transforms.json with frames.

    Ours have it under pose.camera or camera. Raises InputError when there is none.
    """
    record = _read_json(path)
    pose = record.get("pose")
    found = pose.get("camera") if isinstance(pose, dict) else record.get("camera", record)
    if not isinstance(found, dict):
        raise InputError(
            f"{path} holds no camera. Expected pose.camera, camera, or frames, with nerfstudio's keys."
        )
    transforms = found if isinstance(found.get("frames"), list) else {**found, "frames": [found]}
    try:
        cameras = from_transforms(transforms)
    except (InputError, AttributeError) as error:
        raise InputError(f"{path}: {error}") from None
    usable = (cameras.fx > 0).all() and (cameras.fy > 0).all() and cameras.width > 0 and cameras.height > 0
    if not usable or not _rigid(cameras):
        raise InputError(
            f"{path}: the camera's size and focal length must be positive, and its transform_matrix a rotation with a "
            "translation."
        )
    return [cameras[index : index + 1] for index in range(len(cameras))]


def _rigid(cameras: Cameras) -> bool:
    rotation = cameras.world_to_cam[:, :3, :3]
    off = rotation @ rotation.mT - torch.eye(3, dtype=rotation.dtype)
    # A comparison with NaN is false.
    return len(cameras) > 0 and bool((off.abs() < 1e-3).all() and (torch.linalg.det(rotation) > 0).all())


def read_views(
    images: Sequence[Path],
    masks: Sequence[Path],
    cameras: Sequence[Cameras],
    foreground: str,
    hints: MaskHints | None = None,
) -> list[View]:
    """Images with masks and cameras, in order; raises ConfigError and InputError where they do not go together."""
    if masks and len(masks) != len(images):
        raise ConfigError(
            f"{len(masks)} masks for {len(images)} images: give --mask once for each image, in order."
        )
    if len(cameras) != len(images):
        raise ConfigError(
            f"{len(cameras)} cameras for {len(images)} images: give --camera once for each image, in order, or one "
            "transforms.json with a frame for each."
        )
    return [
        _view(path, masks[index] if masks else None, camera, foreground, hints)
        for index, (path, camera) in enumerate(zip(images, cameras, strict=True))
    ]


def _view(
    path: Path, mask_path: Path | None, camera: Cameras, foreground: str, hints: MaskHints | None
) -> View:
    image = read_image(path)
    mask, source = find_mask(image, mask_path, foreground, str(path), hints=hints)
    height, width = mask.shape
    if abs(width / height * camera.height / camera.width - 1) > _ASPECT_TOLERANCE:
        raise InputError(
            f"{path} has {width} x {height} pixels, but its camera is one of {camera.width} x {camera.height}. "
            "Expected the image that the camera belongs to."
        )
    return View(path, image, mask, source, camera.resized(width, height))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise InputError(f"{path} is larger than {MAX_JSON_BYTES >> 20} MiB: no JSON file of ours.")
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}).") from None
    if not isinstance(record, dict):
        raise InputError(f"{path} must hold one JSON object.")
    return record
