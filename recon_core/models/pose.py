# SPDX-License-Identifier: Apache-2.0
"""Where poses come from: known, regressed, or an ensemble of hypotheses with a distilled student (DPC).

A predicted pose is the rotation from the model's canonical frame to the camera frame (OpenGL), as a unit quaternion.
"""

import torch
from torch import nn

from ..cameras import quaternion_to_matrix


class QuaternionHead(nn.Module):
    """A small network from features (B,F) to an unnormalised quaternion (B,4), w x y z."""

    def __init__(self, features: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.out = nn.Linear(hidden, 4)
        # Hypotheses must start apart, each near one rotation for every input.
        nn.init.normal_(self.out.weight, std=0.1, generator=generator)
        start = torch.randn(4, generator=generator)
        self.out.bias.data.copy_(start / start.norm())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Unit quaternions (B,4)."""
        return nn.functional.normalize(self.out(self.layers(features)), dim=-1)


class PoseHeads(nn.Module):
    """K hypotheses and, when K > 1, a student that learns to imitate the winner."""

    def __init__(self, features: int, hypotheses: int, hidden: int = 64) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.branches = nn.ModuleList(QuaternionHead(features, hidden, generator) for _ in range(hypotheses))
        self.student = QuaternionHead(features, hidden, generator) if hypotheses > 1 else None

    def hypotheses(self, features: torch.Tensor) -> torch.Tensor:
        """Unit quaternions (B,K,4), one per branch."""
        return torch.stack([branch(features) for branch in self.branches], 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The pose used at test time: the student's, or the only branch's, as unit quaternions (B,4)."""
        head = self.branches[0] if self.student is None else self.student
        return head(features)


def pose_matrices(quaternion: torch.Tensor, distance: float) -> torch.Tensor:
    """World-to-camera (B,4,4) of a camera that looks at the canonical origin from `distance`, turned by (B,4)."""
    matrix = torch.zeros(quaternion.shape[0], 4, 4, dtype=quaternion.dtype, device=quaternion.device)
    matrix[:, :3, :3] = quaternion_to_matrix(quaternion)
    matrix[:, 2, 3] = -distance
    matrix[:, 3, 3] = 1
    return matrix


def quaternion_distance(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """1 - <t, s>^2 of unit quaternions (...,4): zero for the same rotation (DPC, student loss)."""
    return 1 - (teacher * student).sum(-1).square()
