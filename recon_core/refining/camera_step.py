# SPDX-License-Identifier: Apache-2.0
"""Small changes of cameras: a turn about the object's centre, a shift in the image, a longer or shorter lens."""

from dataclasses import dataclass, replace

import torch

from ..cameras import Cameras


@dataclass(frozen=True)
class CameraPrior:
    """Standard deviations of what a camera may be off by; 0 keeps it."""

    turn_deg: tuple[float, float, float] = (7.0, 10.0, 4.5)
    """Rotation about the object's centre, about the camera's axes: up and down, around, and in the image."""
    shift: float = 0.05
    """Place of the object in the image, as a share of the crop's side."""
    zoom: float = 0.08
    """Logarithm of the focal length."""

    @property
    def fixed(self) -> bool:
        """Whether nothing may change."""
        return not (any(self.turn_deg) or self.shift or self.zoom)


def moved(cameras: Cameras, white: torch.Tensor, prior: CameraPrior, centre: torch.Tensor) -> Cameras:
    """Cameras changed by white coefficients (V,6): turn about `centre` (3,) in the world, shift, zoom (log)."""
    turn = white[:, :3] * (white.new_tensor(prior.turn_deg) * torch.pi / 180)
    rotation = _rotations(turn) @ cameras.world_to_cam[:, :3, :3]
    pivot = (cameras.world_to_cam[:, :3, :3] @ centre) + cameras.world_to_cam[:, :3, 3]  # in camera axes
    offset = pivot - (rotation @ centre)
    matrix = torch.cat((torch.cat((rotation, offset[..., None]), -1), cameras.world_to_cam[:, 3:]), 1)
    zoom = (white[:, 5] * prior.zoom).exp()
    shift = white[:, 3:5] * prior.shift * cameras.width
    # About where the object's centre is seen, so that zoom and shift do not do each other's work.
    seen = _project(pivot, cameras)
    return replace(
        cameras,
        world_to_cam=matrix,
        fx=cameras.fx * zoom,
        fy=cameras.fy * zoom,
        cx=seen[:, 0] + (cameras.cx - seen[:, 0]) * zoom + shift[:, 0],
        cy=seen[:, 1] + (cameras.cy - seen[:, 1]) * zoom + shift[:, 1],
    )


def _project(pivot: torch.Tensor, cameras: Cameras) -> torch.Tensor:
    depth = torch.ones_like(pivot[:, 2]) if cameras.orthographic else (-pivot[:, 2]).clamp(min=1e-6)
    u = cameras.cx + cameras.fx * pivot[:, 0] / depth
    return torch.stack((u, cameras.cy - cameras.fy * pivot[:, 1] / depth), -1)


def _rotations(vectors: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (V,3,3) of rotation vectors (V,3), in radians (Rodrigues)."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).view(-1, 3, 3)
    return torch.linalg.matrix_exp(cross)
