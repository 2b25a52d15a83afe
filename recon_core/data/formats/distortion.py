# SPDX-License-Identifier: Apache-2.0
"""Takes the lens distortion out of a view (OpenCV's radial and tangential model)."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from ...cameras import Cameras
from ...errors import DatasetError
from .base import ImportedView

_KEYS = ("k1", "k2", "p1", "p2", "k3")
_MAX_COEFFICIENT = 10.0


@dataclass(frozen=True)
class LensDistortion:
    """Coefficients of OpenCV's model, in units of the normalised image plane (x / depth)."""

    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    @staticmethod
    def of(document: dict[str, Any], frames: list[dict[str, Any]], path: Path) -> "LensDistortion":
        """Those of a transforms.json; raises DatasetError for fisheye lenses and for lenses that change."""
        model = str(document.get("camera_model", "OPENCV")).upper()
        if model not in ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE") or document.get("is_fisheye"):
            raise DatasetError(
                f"{path}: cameras of the model {model} are not supported; undistort the images first."
            )
        values = {key: document.get(key, 0.0) for key in _KEYS}
        changing = [key for frame in frames for key in _KEYS if frame.get(key, values[key]) != values[key]]
        extra = [key for key in ("k4", "k5", "k6") if document.get(key)]
        if changing or extra:
            raise DatasetError(
                f"{path}: {(changing + extra)[0]} is not supported; undistort the images first."
            )
        usable = all(isinstance(one, int | float) and abs(one) <= _MAX_COEFFICIENT for one in values.values())
        if not usable:
            raise DatasetError(
                f"{path}: lens distortion must be numbers up to {_MAX_COEFFICIENT:g}, got {values}."
            )
        return LensDistortion(**{key: float(one) for key, one in values.items()})

    def distort(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where an ideal ray (x right, y down, over depth) is found on the sensor."""
        r2 = x * x + y * y
        radial = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
        return (
            x * radial + 2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x),
            y * radial + self.p1 * (r2 + 2 * y * y) + 2 * self.p2 * x * y,
        )


def undistorted(view: ImportedView, camera: Cameras, lens: LensDistortion) -> ImportedView:
    """The view of an ideal pinhole with the same intrinsics; unchanged without distortion."""
    if lens == LensDistortion():
        return view
    fx, fy = float(camera.fx[0]), float(camera.fy[0])
    cx, cy = float(camera.cx[0]), float(camera.cy[0])
    rows, columns = np.indices(view.mask.shape)
    x, y = lens.distort((columns + 0.5 - cx) / fx, (rows + 0.5 - cy) / fy)
    at = np.stack((y * fy + cy - 0.5, x * fx + cx - 0.5))
    alpha = view.mask / 255.0
    mask = _sampled(alpha, at, 1)
    rgb = None
    if view.rgb is not None:
        # Colours are weighted by coverage, so that hidden ones never show.
        weighted = [
            _sampled(view.rgb[..., channel] * alpha, at, 1) / np.maximum(mask, 1e-6) for channel in range(3)
        ]
        rgb = np.rint(np.clip(np.stack(weighted, -1), 0, 255)).astype(np.uint8)
    return replace(
        view,
        mask=np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8),
        rgb=rgb,
        depth=None if view.depth is None else _sampled(view.depth, at, 0).astype(np.float32),
        parts=None if view.parts is None else _sampled(view.parts, at, 0).astype(np.uint8),
    )


def _sampled(values: np.ndarray, at: np.ndarray, order: int) -> np.ndarray:
    return np.asarray(map_coordinates(np.asarray(values, np.float64), at, order=order, cval=0.0))
