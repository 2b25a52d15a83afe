# SPDX-License-Identifier: Apache-2.0
"""From a source's frame to the object frame: axes, then centre and scale."""

import numpy as np
import torch

from ...cameras import Cameras, camera_to_world, object_from_axes
from ...errors import DatasetError
from .base import FormatInfo, ImportedObject, ImportOptions, Normalise

HALF = 128


def normalisation(options: ImportOptions, info: FormatInfo) -> Normalise:
    """The way that is asked for, else the format's own."""
    return options.normalise or info.normalise


def object_from_source(options: ImportOptions, info: FormatInfo, found: ImportedObject) -> np.ndarray:
    """The similarity (4,4) float64 that brings one object to the object frame.

    "source": axes only, the source's centre and size are kept. "points": the bounding box of the points gets its
    centre at the origin and diagonal 1. "cameras": see `sphere_of_masks`. A given centre and scale win. Raises
    DatasetError when what is needed is not there.
    """
    axes = object_from_axes(options.up or info.up, options.front or info.front).numpy()
    kind = normalisation(options, info)
    if options.center is not None or options.scale is not None:
        center, scale = np.array(options.center or (0.0, 0.0, 0.0)), options.scale or 1.0
    elif kind == "points":
        center, scale = _box(found)
    elif kind == "cameras" and found.cameras is not None:
        center, radius = sphere_of_masks(found, found.cameras)
        scale = 0.5 / radius
    else:
        return axes
    shrink = np.eye(4)
    shrink[:3, :3] *= scale
    shrink[:3, 3] = -scale * center
    return axes @ shrink


def _box(found: ImportedObject) -> tuple[np.ndarray, float]:
    """Centre of the points' bounding box and 1 / its diagonal."""
    if found.points is None:
        raise DatasetError("There are no points to normalise by. Import with --normalise source.")
    low, high = found.points.xyz.min(0).astype(np.float64), found.points.xyz.max(0).astype(np.float64)
    diagonal = float(np.linalg.norm(high - low))
    if diagonal < 1e-9:
        raise DatasetError("All points are the same; there is nothing to normalise by.")
    return (low + high) / 2, 1.0 / diagonal


def sphere_of_masks(found: ImportedObject, cameras: Cameras) -> tuple[np.ndarray, float]:
    """Centre (3,) and radius, source frame, of a ball around what the masks show.

    The centre is the point nearest (least squares) to the rays through the middles of the masks' boxes. The radius
    is the largest distance from it, over all views, at which the mask's outline is seen: pixels from the
    projected centre, times depth over focal length. Raises DatasetError when the rays are parallel.
    """
    pose = camera_to_world(cameras.world_to_cam).numpy()  # (V, 4, 4)
    boxes = [_covered(found, index) for index in range(found.views)]
    normal, target = np.zeros((3, 3)), np.zeros(3)
    for index, (low, high) in enumerate(boxes):
        ray = pose[index, :3, :3] @ _direction(cameras, index, (low + high) / 2)
        across = np.eye(3) - np.outer(ray, ray)
        normal, target = normal + across, target + across @ pose[index, :3, 3]
    if np.linalg.cond(normal) > 1e6:
        raise DatasetError(
            "The cameras all look the same way, so the object's distance is not known. Give --center and --scale."
        )
    center = np.linalg.solve(normal, target)
    uv_px, depth = cameras.project(torch.from_numpy(center).expand(found.views, 1, 3))
    if not (depth > 0).all():
        raise DatasetError(
            "The masks' common centre lies behind a camera: masks and cameras do not fit together."
        )
    corners = [
        np.maximum(high - uv, uv - low) for (low, high), uv in zip(boxes, uv_px[:, 0].numpy(), strict=True)
    ]
    reach_px = np.array([one.max() for one in corners])
    return center, float((reach_px * depth[:, 0].numpy() / cameras.fx.numpy()).max())


def _covered(found: ImportedObject, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest (u, v) in pixels of a view's mask."""
    rows, columns = np.nonzero(found.load_view(index).mask >= HALF)
    if not len(rows):
        raise DatasetError(f"View {index}: the mask is empty: the object is not in the picture.")
    return np.array([columns.min(), rows.min()], float), np.array([columns.max() + 1, rows.max() + 1], float)


def _direction(cameras: Cameras, index: int, uv_px: np.ndarray) -> np.ndarray:
    """Unit ray (3,) in the camera frame through a pixel position."""
    x = (uv_px[0] - float(cameras.cx[index])) / float(cameras.fx[index])
    y = -(uv_px[1] - float(cameras.cy[index])) / float(cameras.fy[index])
    ray = np.array([x, y, -1.0])
    return ray / np.linalg.norm(ray)
