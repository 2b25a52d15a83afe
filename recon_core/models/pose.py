# SPDX-License-Identifier: Apache-2.0
"""Where poses come from: known, regressed, or an ensemble of hypotheses with a distilled student (DPC).

A predicted pose is the rotation (3,3) from the model's canonical frame (+Z up) to the camera frame (OpenGL).
"""

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from ..cameras import matrix_to_quaternion, orbit, quaternion_to_matrix
from ..methods.config import Config

Representation = Literal["quaternion", "6d", "upright", "azimuth_elevation"]
Branches = Literal["ring", "dpc", "linear"]
_NUMBERS = {"quaternion": 4, "6d": 6, "upright": 3, "azimuth_elevation": 2}
# Hypotheses start in a ring around an upright object, seen from a little above.
_START_ELEVATION_DEG = 10.0
# DPC's branches: two hidden layers of 32.
_DPC_WIDTH = 32
# Spread of the last layers' weights of heads that start near one answer.
_STD = 0.05


class PoseNetConfig(Config):
    """How poses are made of features."""

    branches: Branches = "ring"
    """Layers of a hypothesis: ring (ours, hypotheses start at azimuths spread around the object), dpc (a hidden code
    for all, then small branches that start at random), linear (one layer)."""
    translation: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Largest shift of the object along each camera axis that is learnt, in object diagonals (DPC's option: 0.15); 0:
    none."""
    focal_widths: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] | None = None
    """Range of focal lengths, in image widths, that is learnt (DPC's option); null: the dataset's."""


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


def angles_to_matrix(angles_rad: torch.Tensor) -> torch.Tensor:
    """Rotations (...,3,3), object to camera, of azimuth and elevation (...,2) in radians, as cameras.orbit has them.

    Unlike orbit's, defined and smooth at every elevation: beyond 90 degrees the camera stands on its head.
    """
    azimuth, elevation = angles_rad.unbind(-1)
    return _upright(azimuth.cos(), azimuth.sin(), elevation)


def _upright(cos_a: torch.Tensor, sin_a: torch.Tensor, elevation: torch.Tensor) -> torch.Tensor:
    """Rotations (...,3,3) of cameras that are not rolled, from azimuth's cosine and sine and the elevation (...)."""
    sin_e, cos_e = elevation.sin(), elevation.cos()
    right = torch.stack((cos_a, sin_a, torch.zeros_like(cos_a)), -1)
    up = torch.stack((-sin_a * sin_e, cos_a * sin_e, cos_e), -1)
    back = torch.stack((sin_a * cos_e, -cos_a * cos_e, sin_e), -1)
    return torch.stack((right, up, back), -2)


def to_matrix(numbers: torch.Tensor, representation: Representation) -> torch.Tensor:
    """Rotations (...,3,3) of a network's output (...,4), (...,6), (...,3) or (...,2).

    "azimuth_elevation": both are pi tanh of a number, so a full turn has an end. "upright": the azimuth is the
    direction of two numbers, the elevation pi/2 tanh of the third.
    """
    if representation == "quaternion":
        return quaternion_to_matrix(numbers)
    if representation == "6d":
        return six_to_matrix(numbers)
    if representation == "upright":
        direction = nn.functional.normalize(numbers[..., :2], dim=-1)
        return _upright(direction[..., 0], direction[..., 1], math.pi / 2 * torch.tanh(numbers[..., 2]))
    return angles_to_matrix(math.pi * torch.tanh(numbers))


class RotationHead(nn.Module):
    """A small network from features (B,F) to rotations (B,3,3), that starts near one rotation for every input."""

    def __init__(
        self, features: int, hidden: int, representation: Representation, start: torch.Tensor | None
    ) -> None:
        super().__init__()
        self.representation: Representation = representation
        self.layers = nn.Sequential(
            nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.out = nn.Linear(hidden, _NUMBERS[representation])
        if start is not None:
            self.out.bias.data.copy_(start)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Rotations (B,3,3)."""
        return to_matrix(self.out(self.layers(features)), self.representation)


class PlainRotationHead(nn.Module):
    """Linear layers of the given widths with leaky ReLU 0.2 between: a branch of DPC, or one layer alone."""

    def __init__(self, features: int, widths: tuple[int, ...], representation: Representation) -> None:
        super().__init__()
        self.representation: Representation = representation
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(features, width), nn.LeakyReLU(0.2)]
            features = width
        self.layers, self.out = nn.Sequential(*layers), nn.Linear(features, _NUMBERS[representation])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Rotations (B,3,3)."""
        return to_matrix(self.out(self.layers(features)), self.representation)


class PoseHeads(nn.Module):
    """K hypotheses and, when K > 1, a student that learns to imitate the winner; shifts and lenses where asked for.

    Everything takes features whose last columns are the (B,F) that poses are made of.
    """

    def __init__(
        self,
        features: int,
        hypotheses: int,
        representation: Representation,
        hidden: int = 256,
        config: PoseNetConfig | None = None,
    ) -> None:
        super().__init__()
        self.features, self.config = features, config or PoseNetConfig()
        self.code = None
        if self.config.branches == "dpc":
            self.code = nn.Sequential(nn.Linear(features, features), nn.ReLU())
        if self.config.branches == "ring":
            starts = ring_starts(hypotheses, representation)
            heads = [RotationHead(features, hidden, representation, start) for start in starts]
            student = RotationHead(features, hidden, representation, None) if hypotheses > 1 else None
        else:
            deep = self.config.branches == "dpc" and hypotheses > 1
            widths = (_DPC_WIDTH, _DPC_WIDTH) if deep else ()
            heads = [PlainRotationHead(features, widths, representation) for _ in range(hypotheses)]
            student = PlainRotationHead(features, widths, representation) if hypotheses > 1 else None
        self.branches, self.student = nn.ModuleList(heads), student
        self.shift = _small_linear(features, 3) if self.config.translation else None
        self.lens = _small_linear(features, 1) if self.config.focal_widths else None

    def hypotheses(self, features: torch.Tensor) -> torch.Tensor:
        """Rotations (B,K,3,3), one per branch."""
        code = self._code(features)
        return torch.stack([branch(code) for branch in self.branches], 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """The pose used at test time: the student's, or the only branch's (B,3,3)."""
        head = self.branches[0] if self.student is None else self.student
        return head(self._code(features))

    def translation(self, features: torch.Tensor) -> torch.Tensor | None:
        """Shifts (B,3) of the object along the camera's axes, object units, where they are learnt."""
        if self.shift is None:
            return None
        return self.config.translation * torch.tanh(self.shift(self._code(features)))

    def focal_widths(self, features: torch.Tensor) -> torch.Tensor | None:
        """Focal lengths (B,) in image widths, where they are learnt."""
        if self.lens is None or self.config.focal_widths is None:
            return None
        low, high = self.config.focal_widths
        return low + (high - low) * torch.sigmoid(self.lens(self._code(features)))[:, 0]

    def _code(self, features: torch.Tensor) -> torch.Tensor:
        own = features[:, -self.features :]
        return own if self.code is None else self.code(own)


def _small_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that starts near 0 for every input."""
    layer = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(layer.weight, std=_STD / math.sqrt(inputs), a=-0.1, b=0.1)
    nn.init.zeros_(layer.bias)
    return layer


def ring_starts(count: int, representation: Representation) -> torch.Tensor:
    """Starting outputs (K,4, 6, 3 or 2): azimuths spread evenly, the camera upright."""
    azimuth = torch.arange(count) * (360.0 / count)
    rotation = orbit(azimuth, torch.full((count,), _START_ELEVATION_DEG))[:, :3, :3]
    if representation == "azimuth_elevation":
        angles = torch.stack(
            (torch.remainder(azimuth + 180, 360) - 180, torch.full_like(azimuth, _START_ELEVATION_DEG)), -1
        )
        return torch.atanh((angles / 180).clamp(-0.95, 0.95))
    if representation == "upright":
        rad = torch.deg2rad(azimuth)
        return torch.stack(
            (rad.cos(), rad.sin(), torch.full_like(rad, math.atanh(_START_ELEVATION_DEG / 90))), -1
        )
    if representation == "quaternion":
        return matrix_to_quaternion(rotation)
    return rotation[:, [1, 0]].flatten(1)


def pose_matrices(
    rotation: torch.Tensor, distance: float, translation: torch.Tensor | None = None
) -> torch.Tensor:
    """World-to-camera (B,4,4) of cameras that look at the canonical origin from `distance`, turned by (B,3,3).

    translation (B,3) moves the object along the camera's axes.
    """
    matrix = torch.zeros(rotation.shape[0], 4, 4, dtype=rotation.dtype, device=rotation.device)
    matrix[:, :3, :3] = rotation
    matrix[:, 2, 3] = -distance
    if translation is not None:
        matrix[:, :3, 3] = matrix[:, :3, 3] + translation
    matrix[:, 3, 3] = 1
    return matrix


def rotation_distance(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """1 - <q_t, q_s>^2 = sin^2(angle / 2) of rotations (...,3,3): zero for the same one (DPC, student loss)."""
    return (3 - (teacher * student).sum((-1, -2))) / 4


def align_points() -> torch.Tensor:
    """The 2,000 points (2000,3), normal and clipped to 3 standard deviations, on which align_distance compares."""
    return torch.randn(2000, 3, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)


def align_distance(teacher: torch.Tensor, student: torch.Tensor) -> torch.Tensor:
    """Mean squared distance (...) of fixed points turned by two rotations (...,3,3) (DPC's option for the student).

    Its expectation is 8 times rotation_distance (for points that are not clipped).
    """
    points = align_points().to(teacher)
    covariance = points.T @ points / len(points)
    apart = teacher - student
    # mean |D p|^2 = tr(D C D^T): the points enter by their covariance alone.
    return ((apart @ covariance) * apart).sum((-1, -2))
