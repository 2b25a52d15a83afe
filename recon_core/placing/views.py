# SPDX-License-Identifier: Apache-2.0
"""Candidate views of one object as a batch: where each puts the points, and how that changes with its parameters.

Everything is in units of the square crop around the mask: its left-top corner is (0, 0), its side 1. The object is
centred and has a bounding-box diagonal of about 1. Camera frame: OpenGL (+X right, +Y up, looks along -Z).
"""

from dataclasses import dataclass, replace

import torch

# Steps of a view, in the order of the columns below: rotation vector (camera axes, about the object's centre, radians),
# shift right and up in shares of the distance, log distance at a fixed lens, log distance at a fixed size and place (a
# dolly zoom: the lens follows, and the object turns with its ray), principal point in crop sides.
TURN, SHIFT, DISTANCE, DOLLY, CENTRE = slice(0, 3), slice(3, 5), 5, 6, slice(7, 9)
STEPS = 9
_NEAREST = 1e-3


@dataclass(frozen=True)
class Views:
    """B views: Xc = rotation X + shift; u = centre_u + focal x / depth, v = centre_v - focal y / depth."""

    rotation: torch.Tensor  # (B, 3, 3)
    shift: torch.Tensor  # (B, 3), the object's centre in the camera's frame
    focal: torch.Tensor  # (B,) in crop sides
    centre: torch.Tensor  # (B, 2) principal point in crop sides

    def __len__(self) -> int:
        return len(self.focal)

    def __getitem__(self, index) -> "Views":
        """Select views by a slice, index tensor or mask."""
        return Views(self.rotation[index], self.shift[index], self.focal[index], self.centre[index])

    def project(self, xyz: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Crop coordinates (B,N,2) and depth (B,N) of points xyz (N,3)."""
        x, y, depth = self._plane(xyz)
        focal = self.focal[:, None]
        return torch.stack((focal * x, -focal * y), -1) + self.centre[:, None], depth

    def _plane(self, xyz: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        cam = torch.baddbmm(
            self.shift[:, :, None], self.rotation, xyz.T.expand(len(self), -1, -1)
        )  # (B, 3, N)
        depth = -cam[:, 2]
        safe = depth.clamp(min=_NEAREST)
        return cam[:, 0] / safe, cam[:, 1] / safe, depth

    def flow_basis(self, xyz: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Crop coordinates (B,N,2), depth (B,N), and the nine functions of a point that its motion is made of (B,N,9).

        With x, y the coordinates over depth and q = 1 / depth: 1, x, y, xx, xy, yy, q, qx, qy.
        """
        x, y, depth = self._plane(xyz)
        q = depth.clamp(min=_NEAREST).reciprocal()
        basis = torch.stack((torch.ones_like(x), x, y, x * x, x * y, y * y, q, q * x, q * y), -1)
        focal = self.focal[:, None]
        return torch.stack((focal * x, -focal * y), -1) + self.centre[:, None], depth, basis

    def flow(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Coefficients (B,9,STEPS) of du and of dv per unit step over `flow_basis`, in crop sides."""
        one = torch.ones_like(self.focal)
        tx, ty, tz = self.shift.unbind(-1)
        distance = -tz
        along_x, along_y = torch.zeros(2, len(self), 9, STEPS, dtype=one.dtype, device=one.device)
        _turns(along_x, along_y, tx, ty, tz)
        along_x[:, 6, 3], along_y[:, 6, 4] = distance, distance
        # Farther along the ray through the object's centre: d(shift) = shift.
        for axis, (coefficients, pull) in enumerate(((along_x, tx), (along_y, ty))):
            coefficients[:, 6, DISTANCE] = pull
            coefficients[:, 7 + axis, DISTANCE] = tz
            coefficients[:, :, DOLLY] = torch.einsum(
                "bkt,bt->bk", coefficients[:, :, TURN], self.dolly_turn()
            )
            coefficients[:, 7 + axis, DOLLY] += tz
            coefficients[:, 1 + axis, DOLLY] += one
        focal = self.focal[:, None, None]
        du, dv = focal * along_x, -focal * along_y
        du[:, 0, 7], dv[:, 0, 8] = one, one
        return du, dv

    def dolly_turn(self) -> torch.Tensor:
        """Rotation vectors (B,3) per unit of DOLLY: the object turns with the ray that it is seen along."""
        slope = self.shift[:, :2] / -self.shift[:, 2:]
        turn = torch.stack((-slope[:, 1], slope[:, 0], torch.zeros_like(slope[:, 0])), -1)
        return turn / (1 + slope.square().sum(-1, keepdim=True))

    def through(self, focal: float | None, centre: tuple[float, float] | None) -> "Views":
        """The views through another lens or about another principal point, each None to keep it.

        The object keeps its place and size, and the side that it shows.
        """
        origin = (
            self.shift[:, :2] / -self.shift[:, 2:] * self.focal[:, None] * self.focal.new_tensor([1.0, -1.0])
        )
        at = origin + self.centre
        new_focal = self.focal if focal is None else torch.full_like(self.focal, focal)
        new_centre = self.centre if centre is None else self.centre.new_tensor(centre).expand_as(self.centre)
        slope = (at - new_centre) / new_focal[:, None] * self.focal.new_tensor([1.0, -1.0])
        depth = -self.shift[:, 2] * new_focal / self.focal
        shift = torch.cat((slope, -torch.ones_like(depth)[:, None]), -1) * depth[:, None]
        rotation = towards(shift) @ towards(self.shift).mT @ self.rotation
        return Views(rotation, shift, new_focal, new_centre.clone())

    def moved(self, step: torch.Tensor) -> "Views":
        """The views after steps (B,STEPS)."""
        dollied = self.shift.clone()
        dollied[:, 2] *= torch.exp(step[:, DOLLY])
        aside = torch.zeros_like(self.shift)
        aside[:, :2] = step[:, SHIFT] * -self.shift[:, 2:]
        follow = towards(dollied) @ towards(self.shift).mT
        return replace(
            self,
            rotation=rotation_of(step[:, TURN]) @ follow @ self.rotation,
            shift=dollied * torch.exp(step[:, DISTANCE])[:, None] + aside,
            focal=self.focal * torch.exp(step[:, DOLLY]),
            centre=self.centre + step[:, CENTRE],
        )


def _turns(along_x: torch.Tensor, along_y: torch.Tensor, tx, ty, tz) -> None:
    """Fill in the columns of the rotation: d Xc = w x (Xc - shift)."""
    along_x[:, 4, 0], along_x[:, 7, 0] = 1, -ty
    along_x[:, 0, 1], along_x[:, 6, 1], along_x[:, 3, 1], along_x[:, 7, 1] = -1, -tz, -1, tx
    along_x[:, 2, 2], along_x[:, 6, 2] = -1, ty
    along_y[:, 0, 0], along_y[:, 6, 0], along_y[:, 5, 0], along_y[:, 8, 0] = 1, tz, 1, -ty
    along_y[:, 4, 1], along_y[:, 8, 1] = -1, tx
    along_y[:, 1, 2], along_y[:, 6, 2] = 1, -tx


def rotation_of(vector: torch.Tensor) -> torch.Tensor:
    """Rotations (B,3,3) by vectors (B,3): axis times angle in radians (Rodrigues)."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).view(-1, 3, 3)
    return torch.linalg.matrix_exp(skew)


def joined(parts: list[Views]) -> Views:
    """One batch of several."""
    names = ("rotation", "shift", "focal", "centre")
    return Views(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def towards(rays: torch.Tensor) -> torch.Tensor:
    """The least rotations (B,3,3) that bring the axis of view (0, 0, -1) to directions rays (B,3).

    A rotation R of an object seen in the middle becomes towards(ray) R where it is seen along the ray.
    """
    unit = torch.nn.functional.normalize(rays, dim=-1)
    axis = torch.linalg.cross(unit.new_tensor([0.0, 0.0, -1.0]).expand_as(unit), unit, dim=-1)
    sine = axis.norm(dim=-1, keepdim=True)
    angle = torch.atan2(sine, -unit[:, 2:])
    return rotation_of(torch.where(sine > 1e-9, axis / sine.clamp(min=1e-9), axis) * angle)
