# SPDX-License-Identifier: Apache-2.0
"""What DPC's and DRC's renders share: <synset>/<model>/{render_k.png, depth_k.png, camera_k.mat}, ShapeNet's frame.

Rendered by Blender with a 60 mm lens on a 32 mm sensor from distance 2. Camera files are in Blender's world (+Z up),
which is ShapeNet's +Y up frame turned by the importer.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ...cameras import (
    DEFAULT_FOCAL_WIDTHS,
    blender_from_y_up,
    look_at,
    opencv_from_opengl,
    rigid_from_similarity,
)
from ...errors import DatasetError, InputError
from ...io.images import read_grey16
from .arrays import matrices, read_mat
from .base import ImportedView, read_rgba
from .paths import folders

# depth_k.png: 65535 is the background, at 10 units.
MAX_DEPTH = 10.0
BACKGROUND_LEVEL = 65535
FOCAL_WIDTHS = DEFAULT_FOCAL_WIDTHS
_MAX_CAMERA_BYTES = 1_000_000


def model_folders(root: Path) -> Iterator[tuple[str, Path]]:
    """(synset, folder) of every model: below root/<synset>/, or below root when that is a synset's folder itself."""
    for child in folders(root):
        if _is_model(child):
            yield root.name, child
            continue
        for model in folders(child):
            if _is_model(model):
                yield child.name, model


def _is_model(folder: Path) -> bool:
    return any(folder.glob("render_*.png"))


def load_view(folder: Path, number: int) -> ImportedView:
    """Decode one view: colours and alpha of render_k.png, depth of depth_k.png when it is there."""
    rgba, has_alpha = read_rgba(folder / f"render_{number}.png")
    depth = read_depth(folder / f"depth_{number}.png")
    mask = rgba[..., 3]
    if not has_alpha:
        if depth is None:
            raise DatasetError(
                f"{folder}: render_{number}.png has no alpha channel and there is no depth image."
            )
        mask = np.where(depth > 0, 255, 0).astype(np.uint8)
    return ImportedView(np.ascontiguousarray(mask), rgba[..., :3], depth)


def read_depth(path: Path) -> np.ndarray | None:
    """Planar depth (H,W) float32, 0 = background, of a depth image; None when there is none."""
    if not path.is_file():
        return None
    try:
        levels = read_grey16(path)
    except InputError as error:
        raise DatasetError(str(error)) from error
    depth = levels.astype(np.float32) * (MAX_DEPTH / BACKGROUND_LEVEL)
    return np.where(levels == BACKGROUND_LEVEL, 0, depth).astype(np.float32)


def camera_file(path: Path) -> torch.Tensor:
    """World-to-camera (1,4,4), OpenGL axes, ShapeNet's frame, of a camera_k.mat: its extrinsic, else its pos."""
    values = read_mat(path, ("extrinsic", "pos"), _MAX_CAMERA_BYTES)
    if "extrinsic" in values:
        return from_extrinsics(matrices(values["extrinsic"], path), path)
    if "pos" in values and values["pos"].size == 3 and np.isfinite(values["pos"]).all():
        return from_positions(torch.from_numpy(values["pos"].reshape(1, 3).copy()))
    raise DatasetError(f"{path} has neither an 'extrinsic' (4x4) nor a 'pos' (3).")


def from_extrinsics(extrinsics: torch.Tensor, where: object) -> torch.Tensor:
    """World-to-camera (B,4,4), OpenGL axes, ShapeNet's frame, of OpenCV matrices in Blender's world."""
    try:
        return opencv_from_opengl(rigid_from_similarity(extrinsics @ blender_from_y_up()))
    except InputError as error:
        raise DatasetError(f"{where}: {error}") from error


def from_positions(eyes: torch.Tensor) -> torch.Tensor:
    """World-to-camera (B,4,4), ShapeNet's frame, of upright cameras at eyes (B,3) in Blender's world."""
    return look_at(eyes, torch.zeros_like(eyes)) @ blender_from_y_up()
