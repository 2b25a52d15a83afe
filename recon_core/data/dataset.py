# SPDX-License-Identifier: Apache-2.0
"""The native dataset folder: metadata, splits, cameras and the images of every view."""

import json
import math
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..cameras import Cameras, from_transforms
from ..errors import DatasetError, InputError
from ..io.ply import read_ply
from ..pointcloud import MAX_PARTS, PointCloud
from .splits import SPLITS

MAX_IMAGE_SIZE_PX = 16384
# sRGB of the object where a dataset has masks alone: mid grey says nothing, as the background does in the inputs.
SILHOUETTE_GREY = 128
_RIGID_TOLERANCE = 1e-3
# Pass name -> (key of a frame, whether it stands under the frame's "recon").
_PATH_KEYS = {
    "image": ("file_path", False),
    "mask": ("mask_path", False),
    "depth": ("depth_file_path", False),
    "parts": ("part_path", True),
    "normals": ("normal_path", True),
}
# Pillow's names for the pixel formats of DESIGN.md, by pass; the first is what our renderer writes.
_MODES = {
    "image": ("RGBA", "RGB"),
    "mask": ("L",),
    "depth": ("I;16", "I;16B", "I"),
    "parts": ("P", "L"),
    "normals": ("RGB",),
}


class DatasetMeta(BaseModel):
    """The contents of dataset.json."""

    model_config = ConfigDict(extra="allow")

    version: Literal[1]
    categories: list[str] = Field(min_length=1, description="folder names of the categories")
    parts: dict[str, list[str]] = Field(default_factory=dict, description="category -> names; id = place + 1")
    palette: list[tuple[int, int, int]] = Field(default_factory=list, description="sRGB of ids from 0 on")
    render: dict[str, Any] = Field(default_factory=dict, description="settings of the renderer")
    seed: int = 0
    generator: str = ""

    @model_validator(mode="after")
    def _check(self) -> "DatasetMeta":
        for category in self.categories:
            if not _is_plain_name(category):
                raise ValueError(f"category {category!r} is not a plain folder name")
        for category, names in self.parts.items():
            if category not in self.categories:
                raise ValueError(f"parts name the category {category!r}, which is not in categories")
            if len(names) > MAX_PARTS or len(set(names)) < len(names):
                raise ValueError(f"parts of {category!r} must be at most {MAX_PARTS} different names")
        return self


class Dataset:
    """A dataset folder that is open for reading; objects are named "<category>/<object>"."""

    def __init__(self, root: Path, meta: DatasetMeta) -> None:
        """Use `Dataset.open`."""
        self.root = root
        self.meta = meta
        self._transforms: dict[str, dict[str, Any]] = {}

    @staticmethod
    def open(root: str | Path) -> "Dataset":
        """Open a folder with a dataset.json; raise DatasetError when it is not a dataset."""
        root = Path(root)
        path = root / "dataset.json"
        if not path.is_file():
            what = "has no dataset.json" if root.is_dir() else "does not exist"
            raise DatasetError(
                f"{root} {what}. Expected a folder made by `recon render MESHES --output DIR`."
            )
        try:
            return Dataset(root, DatasetMeta.model_validate(_read_json(path)))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"]) or "whole file"
            raise DatasetError(f"{path}: {where}: {first['msg']}.") from error

    def objects(self, split: str | None = None) -> list[str]:
        """Names of one split in its file's order, or all complete objects sorted by name."""
        if split is None:
            return self._scan()
        if split not in SPLITS:
            raise DatasetError(f"There is no split {split!r}; expected one of {', '.join(SPLITS)}.")
        path = self.root / "splits" / f"{split}.txt"
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DatasetError(
                f"{path} cannot be read ({error}). `recon render` writes the splits at its end; run it "
                "again, it keeps the objects that are complete."
            ) from error
        names = [line.strip() for line in lines if line.strip()]
        missing = [name for name in names if not (self.folder(name) / "transforms.json").is_file()]
        if missing:
            raise DatasetError(
                f"{path} names {len(missing)} objects that are not there, the first is {missing[0]}. "
                "Render them again or remove the lines."
            )
        return names

    def folder(self, name: str) -> Path:
        """The folder of an object; raise DatasetError for a name that would lead elsewhere."""
        category, _, rest = name.partition("/")
        if not (_is_plain_name(category) and _is_plain_name(rest)):
            raise DatasetError(
                f"{self.root}: {name!r} is not an object name, expected '<category>/<object>'."
            )
        return self.root / category / rest

    def transforms(self, name: str) -> dict[str, Any]:
        """The checked transforms.json of an object; kept in memory after the first call."""
        if name not in self._transforms:
            path = self.folder(name) / "transforms.json"
            if not path.is_file():
                raise DatasetError(f"{self.root} has no object {name!r} ({path} is missing).")
            self._transforms[name] = _checked_transforms(_read_json(path), path)
        return self._transforms[name]

    def cameras(self, name: str) -> Cameras:
        """Cameras of all views of an object, float64, for the images' size."""
        try:
            cameras = from_transforms(self.transforms(name))
        except InputError as error:
            raise DatasetError(f"{self.folder(name)}: {error}") from error
        _check_cameras(cameras, self.folder(name) / "transforms.json")
        return cameras

    def views(self, name: str) -> int:
        """Number of views of an object."""
        return len(self.transforms(name)["frames"])

    def passes(self, name: str) -> tuple[str, ...]:
        """Which of image, mask, depth, parts, normals every view of an object has."""
        frames = self.transforms(name)["frames"]
        return tuple(one for one in _PATH_KEYS if all(_frame_path(frame, one) for frame in frames))

    def symmetry_order(self, name: str) -> int:
        """Order of rotational symmetry about Z: 1 none, n = n-fold, 0 = any angle."""
        order = self.transforms(name)["recon"].get("symmetry_order", 1)
        if not isinstance(order, int) or isinstance(order, bool) or order < 0:
            raise DatasetError(
                f"{self.folder(name)}: symmetry_order is {order!r}, expected a whole number >= 0."
            )
        return order

    def pose_known(self, name: str) -> bool:
        """Whether an object's cameras are measured; imported images without any have a placeholder."""
        return self.transforms(name)["recon"].get("pose_known") is not False

    def part_names(self, name: str) -> list[str]:
        """Part names, by id from 1 on, of an object ("<category>/<object>") or of a category; maybe none."""
        category = name.partition("/")[0]
        own = self.transforms(name)["recon"].get("parts") if "/" in name else None
        return list(own or self.meta.parts.get(category, []))

    def image(self, name: str, view: int) -> np.ndarray:
        """RGBA (H,W,4) uint8, sRGB, straight alpha; an image without alpha takes the mask's, else opaque.

        A view without an image (rendered with --passes mask) is grey all over, with the mask as alpha.
        """
        if not _frame_path(self._frame(name, view), "image"):
            mask = self._read(name, view, "mask")
            return np.dstack((*(np.full_like(mask, SILHOUETTE_GREY),) * 3, mask))
        pixels = self._read(name, view, "image")
        if pixels.shape[2] == 4:
            return pixels
        has_mask = _frame_path(self._frame(name, view), "mask")
        alpha = self._read(name, view, "mask") if has_mask else np.full(pixels.shape[:2], 255, np.uint8)
        return np.dstack((pixels, alpha))

    def mask(self, name: str, view: int) -> np.ndarray:
        """Anti-aliased coverage (H,W) uint8; the image's alpha when the view has no mask file."""
        if _frame_path(self._frame(name, view), "mask"):
            return self._read(name, view, "mask")
        return np.ascontiguousarray(self.image(name, view)[..., 3])

    def parts(self, name: str, view: int) -> np.ndarray:
        """Exact part ids (H,W) uint8, 0 = background."""
        ids = self._read(name, view, "parts")
        names = self.part_names(name)
        if ids.max() > len(names):
            raise DatasetError(
                f"{self._path(name, view, 'parts')} holds part id {ids.max()}, but {name} has {len(names)} "
                f"part names ({', '.join(names) or 'none'})."
            )
        return ids

    def depth(self, name: str, view: int) -> np.ndarray:
        """Planar camera depth (H,W) float32 in object units, 0 = background."""
        scale = self.transforms(name).get("integer_depth_scale")
        if not isinstance(scale, (int, float)) or not (math.isfinite(scale) and scale > 0):
            raise DatasetError(
                f"{self.folder(name)}: integer_depth_scale is {scale!r}, expected a number > 0."
            )
        values = self._read(name, view, "depth")
        return (values.astype(np.float64) * scale).astype(np.float32)

    def normals(self, name: str, view: int) -> np.ndarray:
        """Object-frame normals (H,W,3) uint8: n = value / 255 * 2 - 1, background 0, 0, 0."""
        return self._read(name, view, "normals")

    def points(self, name: str) -> PointCloud:
        """Surface samples in the object frame: for evaluation only."""
        path = self.folder(name) / "points.ply"
        if not path.is_file():
            raise DatasetError(f"{path} is missing; evaluation compares with it. Render the object again.")
        try:
            cloud = read_ply(path)
        except InputError as error:
            raise DatasetError(str(error)) from error
        if not len(cloud):
            raise DatasetError(f"{path} has no points. Render the object again.")
        return cloud

    def _scan(self) -> list[str]:
        names = []
        for category in self.meta.categories:
            folder = self.root / category
            entries = os.scandir(folder) if folder.is_dir() else ()
            # A folder whose name starts with a dot is a render that was not finished.
            names += [
                f"{category}/{entry.name}"
                for entry in entries
                if not entry.name.startswith(".")
                and os.path.isfile(os.path.join(entry.path, "transforms.json"))
            ]
        return sorted(names)

    def _frame(self, name: str, view: int) -> dict[str, Any]:
        frames = self.transforms(name)["frames"]
        if not 0 <= view < len(frames):
            raise DatasetError(f"{name} has views 0 to {len(frames) - 1}, there is no view {view}.")
        return frames[view]

    def _path(self, name: str, view: int, kind: str) -> Path:
        relative = _frame_path(self._frame(name, view), kind)
        if not relative:
            raise DatasetError(f"{name} view {view} has no {kind} ({_PATH_KEYS[kind][0]} is not given).")
        folder = self.folder(name)
        path = folder / relative
        # The text was checked with the file; a symbolic link may still point outside.
        if os.path.commonpath((os.path.realpath(path), os.path.realpath(folder))) != os.path.realpath(folder):
            raise DatasetError(f"{path} leads out of the object folder.")
        return path

    def _read(self, name: str, view: int, kind: str) -> np.ndarray:
        path = self._path(name, view, kind)
        transforms = self.transforms(name)
        return _read_pixels(path, (transforms["w"], transforms["h"]), _MODES[kind])


def _is_plain_name(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not set(name) & set("/\\:\0")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{path} is not valid JSON: {error}.") from error


def _checked_transforms(value: Any, path: Path) -> dict[str, Any]:
    """Check the shape of a transforms.json, not the cameras; "recon" is always there in the result."""
    if not isinstance(value, dict) or not isinstance(value.get("frames"), list) or not value["frames"]:
        raise DatasetError(f"{path}: expected an object with a list of at least one frame under 'frames'.")
    for key in ("w", "h"):
        size = value.get(key)
        if not isinstance(size, (int, float)) or not 1 <= size <= MAX_IMAGE_SIZE_PX or size % 1:
            raise DatasetError(
                f"{path}: {key} is {size!r}, expected a size of 1 to {MAX_IMAGE_SIZE_PX} pixels."
            )
        value[key] = int(size)
    value.setdefault("recon", {})
    for index, frame in enumerate(value["frames"]):
        _check_frame(frame, f"{path}: frame {index}")
    if not isinstance(value["recon"], dict):
        raise DatasetError(f"{path}: 'recon' must be an object.")
    return value


def _check_frame(frame: Any, where: str) -> None:
    if not isinstance(frame, dict) or not isinstance(frame.setdefault("recon", {}), dict):
        raise DatasetError(f"{where} must be an object, and so must its 'recon'.")
    if not _frame_path(frame, "image") and not _frame_path(frame, "mask"):
        raise DatasetError(f"{where} has neither a file_path nor a mask_path.")
    for kind in _PATH_KEYS:
        relative = _frame_path(frame, kind)
        if relative is None:
            continue
        steps = relative.replace("\\", "/").split("/") if isinstance(relative, str) else [".."]
        if ".." in steps or steps[0] == "" or ":" in steps[0]:
            raise DatasetError(f"{where}: the path {relative!r} must stay inside the object folder.")


def _check_cameras(cameras: Cameras, path: Path) -> None:
    intrinsics = torch.stack((cameras.fx, cameras.fy, cameras.cx, cameras.cy))
    if not intrinsics.isfinite().all() or (intrinsics[:2] <= 0).any():
        raise DatasetError(f"{path}: fl_x, fl_y, cx and cy must be finite, focal lengths positive.")
    rotation = cameras.world_to_cam[:, :3, :3]
    error = (rotation @ rotation.mT - torch.eye(3, dtype=rotation.dtype)).abs().amax((1, 2))
    error = torch.maximum(error, (torch.linalg.det(rotation) - 1).abs())
    if (error > _RIGID_TOLERANCE).any():
        raise DatasetError(
            f"{path}: the transform_matrix of frame {int(error.argmax())} is not rigid (rotation and translation "
            "without scale or mirroring)."
        )


def _frame_path(frame: dict[str, Any], kind: str) -> Any:
    key, is_ours = _PATH_KEYS[kind]
    return (frame["recon"] if is_ours else frame).get(key)


def _read_pixels(path: Path, size: tuple[int, int], modes: tuple[str, ...]) -> np.ndarray:
    """Decode a PNG after its header's size (width, height) and mode were found right."""
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.size != size:
                found, wanted = "x".join(map(str, image.size)), "x".join(map(str, size))
                raise DatasetError(f"{path} has {found} pixels, transforms.json says {wanted}.")
            if image.mode not in modes:
                raise DatasetError(
                    f"{path} has the pixel format {image.mode}, expected {' or '.join(modes)}."
                )
            return np.array(image)
    except FileNotFoundError as error:
        raise DatasetError(f"{path} is missing. Render the object again.") from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{path} cannot be decoded as PNG ({error}). Render the object again.") from error
