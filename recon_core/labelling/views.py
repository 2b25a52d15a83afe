# SPDX-License-Identifier: Apache-2.0
"""An object's points as a model sees them: splatted from a few sides, cropped as in training."""

import numpy as np
import torch

from ..cameras import DEFAULT_DISTANCE, DEFAULT_FOCAL_WIDTHS, orbit, pinhole
from ..data.crop import crop_square, fit_box
from ..geometry.nearest import build_tree
from ..renderers.splat import optical_depth, splat_features

# Renders are this many times the crop's size, so that cropping does not enlarge them.
OVERSAMPLING = 2
ELEVATIONS_DEG = (5.0, 30.0)
# Thick enough to close the surface between points, thin enough that outlines do not swell.
DENSITY = 1.5
SLABS = 16
_SIGMA_PX = (0.5, 3.0)
_AMBIENT, _GREY = 0.4, 0.7
_LIGHT_CAM = (-0.35, 0.5, 0.79)


def viewpoints(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Azimuths and elevations (count,) in degrees: evenly around, alternately low and high."""
    number = np.arange(count)
    # Half a step off the axes: a side seen face on hides everything behind it.
    return (number + 0.5) * 360.0 / count, np.array(ELEVATIONS_DEG)[number % 2]


def render_crops(
    xyz: np.ndarray,
    colors: np.ndarray | None,
    normals: np.ndarray | None,
    count: int,
    size: int,
    margin: float,
) -> np.ndarray:
    """Input crops (count,size,size,4) uint8 of points xyz (N,3) in the object frame, from `count` sides.

    colors: (N,3) uint8 or None for grey; normals: (N,3) for shading, or None for none.
    """
    azimuth, elevation = (torch.from_numpy(angles) for angles in viewpoints(count))
    frame = size * OVERSAMPLING
    cameras = pinhole(orbit(azimuth, elevation), frame)
    points = torch.from_numpy(np.asarray(xyz, np.float64))
    paint = torch.full_like(points, _GREY) if colors is None else torch.from_numpy(colors / 255.0)
    sigma = _sigma_px(xyz, frame)
    crops = []
    for view in range(count):
        camera = cameras[view : view + 1]
        uv, depth = camera.project(points[None])
        lit = paint * _shading(normals, camera.world_to_cam[0, :3, :3])
        rgba = _picture(uv.float(), depth.float(), lit.float()[None], frame, sigma)
        crops.append(crop_square(rgba, fit_box(rgba[..., 3], margin), size))
    return np.stack(crops)


def _picture(
    uv: torch.Tensor, depth: torch.Tensor, paint: torch.Tensor, frame: int, sigma: float
) -> np.ndarray:
    """One view (frame,frame,4) uint8, straight alpha."""
    tau = optical_depth(torch.ones_like(depth), frame, DENSITY)
    mask, premultiplied = splat_features(uv, depth, tau, paint, frame, sigma, SLABS)
    straight = premultiplied[0] / mask[0, ..., None].clamp(min=1e-4)
    rgba = torch.cat((straight.clamp(0, 1), mask[0, ..., None]), -1)
    return (rgba * 255).round().to(torch.uint8).numpy()


def _shading(normals: np.ndarray | None, rotation: torch.Tensor) -> torch.Tensor | float:
    """Lambert shading (N,1) by a light that goes with the camera; normals may point either way."""
    if normals is None:
        return 1.0
    light = torch.nn.functional.normalize(torch.tensor(_LIGHT_CAM, dtype=torch.float64), dim=0)
    facing = (torch.from_numpy(np.asarray(normals, np.float64)) @ rotation.T @ light).abs()
    return (_AMBIENT + (1 - _AMBIENT) * facing)[:, None]


def _sigma_px(xyz: np.ndarray, frame: int) -> float:
    """Blur in pixels that closes the gaps between points: from their spacing."""
    sample = np.asarray(xyz)[:: max(1, len(xyz) // 1000)]
    distance, _ = build_tree(xyz).query(sample, k=min(4, len(xyz)))
    spacing = float(np.median(np.atleast_2d(distance)[:, -1]))
    return float(np.clip(0.9 * spacing * DEFAULT_FOCAL_WIDTHS * frame / DEFAULT_DISTANCE, *_SIGMA_PX))
