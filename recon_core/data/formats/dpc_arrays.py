# SPDX-License-Identifier: Apache-2.0
"""One object as DPC, DRWR and the PyTorch port pack it: image, mask, extrinsic, cam_pos, depth as float arrays."""

import math
from collections.abc import Mapping
from typing import cast

import numpy as np
import torch

from ...errors import DatasetError
from . import blender_renders as renders
from .arrays import matrices
from .base import ImportedObject, ImportedView, ImportOptions, square_cameras, straight_from_white, view_count

DEFAULT_VIEWS = 5
MAX_SIZE_PX = 2048
# DRWR's distance ramp is 1 on the object and at most 220/255 beside it.
_RAMP_OBJECT = 0.95
_BACKGROUND_DEPTH = 0.999 * renders.MAX_DEPTH
_MASKS = ("mask", "mask_sdf", "mask_sdfs")


def object_from_arrays(
    arrays: Mapping[str, np.ndarray], where: object, options: ImportOptions
) -> ImportedObject:
    """An object of flat or (V,H,W,C) arrays with values in [0, 1]; raises DatasetError when they do not fit.

    The colours are on white. Without a mask, DRWR's ramp (mask_sdf or mask_sdfs) is cut; without extrinsics, cameras
    come from cam_pos; without either, they are unknown.
    """
    mask_key = next((key for key in _MASKS if key in arrays), None)
    if mask_key is None:
        raise DatasetError(f"{where} has no mask (keys: {', '.join(sorted(arrays)) or 'none'}).")
    views, size = _layout(arrays, arrays[mask_key], where)
    masks = _pixels(arrays[mask_key], (views, size, size), where, mask_key)
    if mask_key != "mask":
        masks = (masks >= _RAMP_OBJECT).astype(np.float32)
    images = _optional(arrays, "image", (views, size, size, 3), where)
    depths = _optional(arrays, "depth", (views, size, size), where)
    count = view_count(options, views, where)
    poses = _poses(arrays, views, where)
    return ImportedObject(
        count,
        lambda index: _view(masks, images, depths, index),
        None if poses is None else square_cameras(poses[:count], renders.FOCAL_WIDTHS, size),
        max_depth=renders.MAX_DEPTH if depths is not None else 0.0,
        dropped=tuple(f"the array {key!r}" for key in ("vox", "inpoints") if key in arrays),
    )


def _layout(arrays: Mapping[str, np.ndarray], mask: np.ndarray, where: object) -> tuple[int, int]:
    """Number of views and the side of the square images."""
    if mask.ndim >= 3:
        views = len(mask)
    elif "extrinsic" in arrays and arrays["extrinsic"].size:
        views = arrays["extrinsic"].size // 16
    elif "cam_pos" in arrays and arrays["cam_pos"].size:
        views = arrays["cam_pos"].size // 3
    else:
        views = DEFAULT_VIEWS
    size = math.isqrt(mask.size // views) if views else 0
    if not views or views * size * size != mask.size or not 1 <= size <= MAX_SIZE_PX:
        raise DatasetError(f"{where}: a mask of {mask.size} values does not make {views} square images.")
    return views, size


def _pixels(values: np.ndarray, shape: tuple[int, ...], where: object, key: str) -> np.ndarray:
    if values.size != math.prod(shape):
        raise DatasetError(f"{where}: {key} has {values.size} values, expected {math.prod(shape)} ({shape}).")
    if values.ndim == 4 and len(shape) == 4 and values.shape[1] == shape[3] and values.shape[3] != shape[3]:
        values = values.transpose(0, 2, 3, 1)  # the port's loader works with channels first
    pixels = values.reshape(shape).astype(np.float32)
    if not np.isfinite(pixels).all():
        raise DatasetError(f"{where}: {key} holds values that are not finite.")
    return pixels


def _optional(
    arrays: Mapping[str, np.ndarray], key: str, shape: tuple[int, ...], where: object
) -> np.ndarray | None:
    return _pixels(arrays[key], shape, where, key) if key in arrays and arrays[key].size else None


def _poses(arrays: Mapping[str, np.ndarray], views: int, where: object) -> torch.Tensor | None:
    """World-to-camera (V,4,4), OpenGL axes, ShapeNet's frame; None when nothing is stored."""
    if "extrinsic" in arrays and arrays["extrinsic"].any():
        if arrays["extrinsic"].size != views * 16:
            raise DatasetError(
                f"{where}: extrinsic has {arrays['extrinsic'].size} values, expected {views * 16}."
            )
        return renders.from_extrinsics(matrices(arrays["extrinsic"].reshape(views, 4, 4), where), where)
    if "cam_pos" not in arrays or not arrays["cam_pos"].any():
        return None
    eyes = _pixels(arrays["cam_pos"], (views, 3), where, "cam_pos").astype(np.float64)
    if (np.linalg.norm(eyes, axis=1) < 0.5).any():
        raise DatasetError(f"{where}: a camera stands inside the object.")
    return renders.from_positions(torch.from_numpy(eyes))


def _view(
    masks: np.ndarray, images: np.ndarray | None, depths: np.ndarray | None, index: int
) -> ImportedView:
    coverage = _bytes(masks[index])
    rgb = None if images is None else straight_from_white(_bytes(images[index]), coverage)
    depth = None if depths is None else np.where(depths[index] > _BACKGROUND_DEPTH, 0, depths[index])
    return ImportedView(coverage, rgb, cast(np.ndarray | None, depth))


def _bytes(unit: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
