# SPDX-License-Identifier: Apache-2.0
"""Where poses come from: known, regressed, or an ensemble of hypotheses with a distilled student (DPC).

A predicted pose is the rotation (3,3) from the model's canonical frame (+Z up) to the camera frame (OpenGL).
"""

from typing import Literal

import torch
from torch import nn

from ..cameras import matrix_to_quaternion, orbit, quaternion_to_matrix

Representation = Literal["quaternion", "6d"]
# Hypotheses start in a ring around an upright object, seen from a little above.
_START_ELEVATION_DEG = 10.0


def six_to_matrix(six: torch.Tensor) -> torch.Tensor:
    """Rotations (...,3,3) from their second and first rows (...,6) made orthonormal (after Zhou et al. 2019, eq. 15).

    Unlike a quaternion, this map from numbers to rotations has a continuous inverse: a full turn of the object is one
    closed path of the network's output, without a jump. The second row, which says where the camera's up lies in the
    object, is kept exactly: when the azimuth of a round object cannot be told, the first row averages to nothing, and
    the result must still stand upright.
    """
    up = nn.functional.normalize(six[..., :3], dim=-1)
    right = six[..., 3:] - (up * six[..., 3:]).sum(-1, keepdim=True) * up
    right = nn.functional.normalize(right, dim=-1)
    return torch.stack((right, up, torch.linalg.cross(right, up, dim=-1)), -2)


class RotationHead(nn.Module):
    """A small network from features (B,F) to rotations (B,3,3), that starts near one rotation for every input."""

    def __init__(
        self, features: int, hidden: int, representation: Representation, start: torch.Tensor | None
    ) -> None:
        super().__init__()
        self.representation = representation
        self.layers = nn.Sequential(
            nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.out = nn.Linear(hidden, 4 if representation == "quaternion" else 6)
        if start is not None:
            self.out.bias.data.copy_(start)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Rotations (B,3,3)."""
        numbers = self.out(self.layers(features))
        return (
            quaternion_to_matrix(numbers) if self.representation == "quaternion" else six_to_matrix(numbers)
        )


class PoseHeads(nn.Module):
    """K hypotheses and, when K > 1, a student that learns to imitate the winner."""

    def __init__(
        self, features: int, hypotheses: int, representation: Representation, hidden: int = 256
    ) -> None:
        super().__init__()
        starts = _ring(hypotheses, representation)
        self.branches = nn.ModuleList(
            RotationHead(features, hidden, representation, start) for start in starts
        )
        self.student = RotationHead(features, hidden, representation, None) if hypotheses > 1 else None

    def hypotheses(self, features: torch.Tensor) -> torch.Tensor:
        """Rotations (B,K,3,3), one per branch."""
        return torch.stack([branch(features) for branch in self.branches], 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The pose used at test time: the student's, or the only branch's (B,3,3)."""
        head = self.branches[0] if self.student is None else self.student
        return head(features)


def _ring(count: int, representation: Representation) -> torch.Tensor:
    """Starting outputs (K,4 or 6): azimuths spread evenly, the camera upright."""
    azimuth = torch.arange(count) * (360.0 / count)
    rotation = orbit(azimuth, torch.full((count,), _START_ELEVATION_DEG))[:, :3, :3]
    return (
        matrix_to_quaternion(rotation) if representation == "quaternion" else rotation[:, [1, 0]].flatten(1)
    )


def pose_matrices(rotation: torch.Tensor, distance: float) -> torch.Tensor:
    """World-to-camera (B,4,4) of cameras that look at the canonical origin from `distance`, turned by (B,3,3)."""
    matrix = torch.zeros(rotation.shape[0], 4, 4, dtype=rotation.dtype, device=rotation.device)
    matrix[:, :3, :3] = rotation
    matrix[:, 2, 3] = -distance
    matrix[:, 3, 3] = 1
    return matrix


def rotation_distance(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """1 - <q_t, q_s>^2 = sin^2(angle / 2) of rotations (...,3,3): zero for the same one (DPC, student loss)."""
    return (3 - (teacher * student).sum((-1, -2))) / 4
