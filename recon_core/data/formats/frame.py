# SPDX-License-Identifier: Apache-2.0
"""From a source's frame to the object frame: axes, then centre and scale."""

import numpy as np

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
    is that of the smallest ball about it whose outline holds every mask: distance times the sine of the widest
    angle between the centre and a mask's outline. Raises DatasetError when the rays are parallel.
    """
    pose = camera_to_world(cameras.world_to_cam).numpy()  # (V, 4, 4)
    eyes = pose[:, :3, 3]
    outlines = [_outline(found, index) for index in range(found.views)]  # (K, 2) each, pixels
    middles = [(one.min(0) + one.max(0)) / 2 for one in outlines]
    rays = [_rays(cameras, pose, index, uv_px[None])[0] for index, uv_px in enumerate(middles)]
    across = np.array([np.eye(3) - np.outer(ray, ray) for ray in rays])  # (V, 3, 3)
    if np.linalg.cond(across.sum(0)) > 1e6:
        raise DatasetError(
            "The cameras all look the same way, so the object's distance is not known. Give --center and --scale."
        )
    center = np.linalg.solve(across.sum(0), np.einsum("vij,vj->i", across, eyes))
    distance = np.linalg.norm(center - eyes, axis=1)
    towards = (center - eyes) / np.maximum(distance, 1e-12)[:, None]
    cosines = [
        (_rays(cameras, pose, index, uv_px) @ towards[index]).min() for index, uv_px in enumerate(outlines)
    ]
    if not min(cosines) > 0:
        raise DatasetError(
            "The masks' common centre lies behind a camera: masks and cameras do not fit together."
        )
    return center, float((distance * np.sqrt(1 - np.minimum(cosines, 1.0) ** 2)).max())


def _outline(found: ImportedObject, index: int) -> np.ndarray:
    """Positions (K,2) in pixels of the left and right ends of every row of a view's mask."""
    covered = found.load_view(index).mask >= HALF
    rows = np.flatnonzero(covered.any(1))
    if not len(rows):
        raise DatasetError(f"View {index}: the mask is empty: the object is not in the picture.")
    left = covered[rows].argmax(1)
    right = covered.shape[1] - covered[rows][:, ::-1].argmax(1)
    return np.stack((np.concatenate((left, right)), np.tile(rows + 0.5, 2)), 1).astype(np.float64)


def _rays(cameras: Cameras, pose: np.ndarray, index: int, uv_px: np.ndarray) -> np.ndarray:
    """Unit rays (K,3) in the source frame through pixel positions (K,2) of one view."""
    x = (uv_px[:, 0] - float(cameras.cx[index])) / float(cameras.fx[index])
    y = -(uv_px[:, 1] - float(cameras.cy[index])) / float(cameras.fy[index])
    rays = np.stack((x, y, -np.ones_like(x)), 1) @ pose[index, :3, :3].T
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)
