# SPDX-License-Identifier: GPL-3.0-or-later
"""Axes and scale: from the source frame (what Blender shows after import) to the object frame.

Object frame: +Z up, front towards -Y, bounding-box centre at the origin, bounding-box diagonal 1.
"""

import fnmatch
import json
from pathlib import Path

import numpy as np

AXES = {
    sign + letter: np.array([value * (letter == axis) for axis in "XYZ"], np.float64)
    for letter in "XYZ"
    for sign, value in (("", 1.0), ("+", 1.0), ("-", -1.0))
}


def rotation_from_axes(up: str, front: str) -> np.ndarray:
    """Rotation (3,3) that takes source axis `up` to +Z and `front` to -Y; raises ValueError for unusable axes."""
    for axis in (up, front):
        if axis.upper() not in AXES:
            raise ValueError(f"axis {axis!r} is not one of X, Y, Z, -X, -Y, -Z")
    up_axis, front_axis = AXES[up.upper()], AXES[front.upper()]
    if abs(float(up_axis @ front_axis)) > 0.5:
        raise ValueError(f"up axis {up} and front axis {front} lie on one line")
    return np.stack((np.cross(up_axis, front_axis), -front_axis, up_axis))


def object_from_source(vertices: np.ndarray, rotation: np.ndarray, normalise: bool) -> np.ndarray:
    """Transform (4,4) for source vertices (N,3): rotation, then centring and scaling of the bounding box."""
    turned = vertices @ rotation.T
    low, high = turned.min(0), turned.max(0)
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    if normalise:
        scale = 1.0 / float(np.linalg.norm(high - low))
        matrix[:3, :3] *= scale
        matrix[:3, 3] = -scale * (low + high) / 2
    return matrix


def invert(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a similarity (4,4), in closed form: np.linalg.inv calls 1e-6 scales singular at times."""
    scale_squared = float(np.linalg.norm(matrix[:3, 0])) ** 2
    inverse = np.eye(4)
    inverse[:3, :3] = matrix[:3, :3].T / scale_squared
    inverse[:3, 3] = -(inverse[:3, :3] @ matrix[:3, 3])
    return inverse


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply (4,4) to points (N,3), in float64."""
    return points.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def read_axes(path: Path | None) -> list[tuple[str, str, str]]:
    """Overrides [(glob, up, front)] of {"chair/kenney_*": {"up": "Z", "front": "X"}, ...}; raises ValueError."""
    if path is None:
        return []
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        rows = [(glob, axes.get("up"), axes.get("front")) for glob, axes in document.items()]
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"--axes {path}: expected an object of glob -> {{up, front}} ({error})") from error
    for glob, up, front in rows:
        for axis in (up, front):
            if axis is not None and (not isinstance(axis, str) or axis.upper() not in AXES):
                raise ValueError(
                    f"--axes {path}: {glob!r} has the axis {axis!r}, expected X, Y, Z, -X, -Y or -Z"
                )
    return rows


def axes_for(names: list[str], overrides: list[tuple[str, str, str]], up: str, front: str) -> tuple[str, str]:
    """Up and front of an object; the last glob that matches one of its `names` wins over the defaults."""
    for glob, glob_up, glob_front in overrides:
        if any(fnmatch.fnmatch(name, glob) for name in names):
            up, front = glob_up or up, glob_front or front
    return up, front
