# SPDX-License-Identifier: Apache-2.0
"""What else a view should fulfil: a likely lens, an upright object, a range of elevations; as least squares.

Each wish is a residual r(step) per view with its row of derivatives; a violated limit grows from zero at the limit.
"""

import math
from dataclasses import dataclass

import torch

from .outline import Normal
from .views import CENTRE, DISTANCE, DOLLY, SHIFT, STEPS, TURN, Views

# Costs are shares of the mask's area. A lens of twice the usual focal length may cost 4e-4 of it.
_LENS = 3e-2
# A principal point a fifth of the photograph's width off its centre may cost 1e-4.
_CENTRE = 5e-2
# Five degrees beyond a limit cost 3 %.
_LIMIT = 2.0


@dataclass(frozen=True)
class Wishes:
    """The usual lens (focal length and its centre in crop sides, the photograph's width in crop sides), and limits."""

    focal: float
    centre: tuple[float, float]
    width: float
    roll_deg: float | None = None
    """How far the object's up may lean from the picture's, None for any."""
    elevation_deg: tuple[float, float] | None = None
    """Of the camera as seen from the object, None for any."""
    floor: float | None = None
    """Height of a plane in the object's unit frame that the camera is above, None for none."""
    lens_weight: float = 1.0
    """How much more a lens that is not usual costs."""

    def rows(self, views: Views) -> tuple[torch.Tensor, torch.Tensor]:
        """Residuals (B,W) and their derivatives (B,W,STEPS)."""
        rows = [
            _lens(views, self.focal, _LENS * self.lens_weight**0.5),
            *_centre(views, self.centre, self.width),
        ]
        if self.roll_deg is not None:
            rows.append(_roll(views, math.radians(self.roll_deg)))
        if self.elevation_deg is not None:
            rows.append(_elevation(views, *(math.radians(value) for value in self.elevation_deg)))
        if self.floor is not None:
            rows.append(_above(views, self.floor))
        residuals, slopes = zip(*rows, strict=True)
        return torch.stack(residuals, 1), torch.stack(slopes, 1)

    def normal(self, views: Views, free: torch.Tensor) -> Normal:
        """Their part of Gauss-Newton's equations over the steps `free` (P,)."""
        residual, slope = self.rows(views)
        slope = slope[..., free]
        return Normal(residual.square().sum(1), slope.mT @ slope, (slope.mT @ residual[..., None])[..., 0])

    def cost(self, views: Views) -> torch.Tensor:
        """Their sum of squares (B,)."""
        return self.rows(views)[0].square().sum(1)


def roll_rad(views: Views) -> torch.Tensor:
    """Angle (B,) in [-pi, pi] of the object's +Z from the picture's vertical; positive leans to the right."""
    up = views.rotation[:, :, 2]
    return torch.atan2(up[:, 0], up[:, 1])


def elevation_rad(views: Views) -> torch.Tensor:
    """Elevation (B,) of the camera above the object's equator, in [-pi/2, pi/2]."""
    up = views.rotation[:, :, 2]
    towards_camera = -torch.nn.functional.normalize(views.shift, dim=-1)
    return torch.arcsin((up * towards_camera).sum(-1).clamp(-1, 1))


def _zero_row(views: Views) -> torch.Tensor:
    return torch.zeros(len(views), STEPS, dtype=views.focal.dtype, device=views.focal.device)


def _lens(views: Views, usual: float, weight: float) -> tuple[torch.Tensor, torch.Tensor]:
    row = _zero_row(views)
    row[:, DOLLY] = weight
    return weight * torch.log(views.focal / usual), row


def _centre(views: Views, usual: tuple[float, float], width: float):
    for axis in (0, 1):
        row = _zero_row(views)
        row[:, CENTRE.start + axis] = _CENTRE / width
        yield _CENTRE / width * (views.centre[:, axis] - usual[axis]), row


def _roll(views: Views, limit: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Beyond the limit; d atan2(x, y) = (y dx - x dy) / (x^2 + y^2) with d up = w x up."""
    angle, (x, y, z) = roll_rad(views), views.rotation[:, :, 2].unbind(-1)
    row = _zero_row(views)
    inverse = 1 / (x * x + y * y).clamp(min=1e-2)
    turn = torch.stack((x * z, y * z, -(x * x + y * y)), -1) * inverse[:, None]
    beyond = (angle.abs() - limit).clamp(min=0) * angle.sign()
    row[:, TURN] = turn
    row[:, DOLLY] = (turn * views.dolly_turn()).sum(-1)
    return _LIMIT * beyond, _LIMIT * row * (beyond != 0)[:, None]


def _elevation(views: Views, low: float, high: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Beyond the range, in the sine of the elevation: s = -up . shift / |shift|."""
    up = views.rotation[:, :, 2]
    far = views.shift.norm(dim=-1, keepdim=True)
    ray = views.shift / far
    sine = -(up * ray).sum(-1)
    beyond = (sine - math.sin(high)).clamp(min=0) + (sine - math.sin(low)).clamp(max=0)
    row = _zero_row(views)
    row[:, TURN] = -torch.linalg.cross(up, ray, dim=-1)
    # Only what is aside of the ray turns it: d ray = (1 - ray ray^T) d shift / |shift|.
    aside = -(up - (up * ray).sum(-1, keepdim=True) * ray) / far
    row[:, SHIFT] = aside[:, :2] * -views.shift[:, 2:]
    row[:, DISTANCE] = 0
    return _LIMIT * beyond, _LIMIT * row * (beyond != 0)[:, None]


def _above(views: Views, floor: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Below the plane, in shares of the distance: the camera is at height -up . shift over the object's centre."""
    up, far = views.rotation[:, :, 2], views.shift.norm(dim=-1)
    height = -(up * views.shift).sum(-1)
    beyond = ((height - floor) / far).clamp(max=0)
    row = _zero_row(views)
    row[:, TURN] = -torch.linalg.cross(up, views.shift, dim=-1) / far[:, None]
    # d shift = -z step; the height falls by up . d shift, and |shift| grows by shift . d shift / |shift|.
    slope = up + (height - floor)[:, None] * views.shift / far[:, None].square()
    row[:, SHIFT] = slope[:, :2] * (views.shift[:, 2:] / far[:, None])
    row[:, DISTANCE] = floor / far
    row[:, DOLLY] = floor / far * (views.shift[:, 2] / far).square()
    return _LIMIT * beyond, _LIMIT * row * (beyond < 0)[:, None]
