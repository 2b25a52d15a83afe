# SPDX-License-Identifier: Apache-2.0
"""Where to begin: rotations over all directions, each with the shift and distance that fill the mask's box."""

import numpy as np
import torch

from ..geometry.search import super_fibonacci
from .views import Views, towards

_ROUNDS = 4


def any_rotations(count: int, like: torch.Tensor) -> torch.Tensor:
    """`count` rotations (count,3,3) evenly over all."""
    return torch.from_numpy(super_fibonacci(count)).to(like)


def upright_rotations(
    elevation_deg: tuple[float, float], roll_deg: float, spacing_deg: float, like: torch.Tensor
) -> torch.Tensor:
    """Rotations (K,3,3), object to camera: all azimuths, elevations in a range, rolls up to a limit."""
    low, high = elevation_deg
    elevations = _spread(low, high, spacing_deg)
    rolls = _spread(-roll_deg, roll_deg, max(spacing_deg, roll_deg))
    rotations = []
    for elevation in elevations:
        count = max(1, round(360 * np.cos(np.radians(elevation)) / spacing_deg))
        for azimuth in np.arange(count) * (360 / count):
            rotations += [_upright(azimuth, elevation, roll) for roll in rolls]
    return torch.from_numpy(np.stack(rotations)).to(like)


def _spread(low: float, high: float, spacing: float) -> np.ndarray:
    return (
        np.linspace(low, high, max(1, round((high - low) / spacing)) + 1) if high > low else np.array([low])
    )


def _upright(azimuth_deg: float, elevation_deg: float, roll_deg: float) -> np.ndarray:
    """Azimuth 0 sees the front (-Y), 90 the side at +X, as recon_core.cameras.orbit."""
    a, e, r = np.radians((azimuth_deg, elevation_deg, roll_deg))
    back = np.array([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)])
    right = np.array([np.cos(a), np.sin(a), 0.0])
    up = np.cross(back, right)
    return np.stack((np.cos(r) * right + np.sin(r) * up, np.cos(r) * up - np.sin(r) * right, back))


def fill_box(
    rotations: torch.Tensor,
    xyz: torch.Tensor,
    box: torch.Tensor,
    focal: torch.Tensor | float,
    centre: tuple[float, float],
) -> Views:
    """Views (K) of rotations (K,3,3), meant as seen along the ray to the object, that fill a box in the crop.

    box: left, top, right, bottom in crop sides. focal: of all, or each (K,), in crop sides.
    """
    count = len(rotations)
    focal = torch.as_tensor(focal, dtype=xyz.dtype, device=xyz.device).expand(count).clone()
    centres = xyz.new_tensor(centre).expand(count, 2).clone()
    middle, extent = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).clamp(min=1e-6)
    ray = torch.stack(
        ((middle[0] - centres[:, 0]) / focal, -(middle[1] - centres[:, 1]) / focal, -torch.ones_like(focal)),
        -1,
    )
    turned = towards(ray) @ rotations
    distance = focal * 0.7 / extent.max()  # an object of diagonal 1 is about 0.7 across
    views = Views(turned, ray * distance[:, None], focal, centres)
    for _ in range(_ROUNDS):
        views = _nudged(views, xyz, middle, extent)
    return views


def _nudged(views: Views, xyz: torch.Tensor, middle: torch.Tensor, extent: torch.Tensor) -> Views:
    """Move the views so that their boxes come nearer to the mask's in place and size."""
    uv, _ = views.project(xyz)
    low, high = uv.amin(1), uv.amax(1)
    # The area, not one side: a wrong rotation has another shape.
    ratio = ((high - low) / extent).clamp(min=1e-3).prod(-1).sqrt()  # (K,)
    shift = views.shift.clone()
    distance = -shift[:, 2]
    off = (middle - (low + high) / 2) * (distance / views.focal)[:, None]
    shift[:, 0] += off[:, 0]
    shift[:, 1] -= off[:, 1]
    # Not nearer than the object is long.
    far = torch.maximum(ratio, 0.6 / distance)
    return Views(views.rotation, shift * far[:, None], views.focal, views.centre)
