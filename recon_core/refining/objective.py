# SPDX-License-Identifier: Apache-2.0
"""What refinement lowers: how badly the splatted cloud fits the masks, and how unlikely the prior finds the change."""

from dataclasses import dataclass

import torch

from ..cameras import Cameras
from ..losses.silhouette import silhouette_loss
from ..renderers.splat import splat_mask
from .camera_step import CameraPrior, moved
from .targets import Targets

FINE_POINTS = 500.0
WEIGHED_PIXELS = 64.0**2  # whatever the size of the crops
_EXTREME = 0.01


@dataclass(frozen=True)
class Weights:
    """How much each part of the objective counts, and how points are drawn."""

    data: float = 0.15
    """Of the silhouettes' cross-entropy, in nats per pixel of crops of 64 x 64; the mean of the views."""
    density: float = 6.0
    """Optical depth of the silhouette if the points shared it evenly."""
    fine: float = 0.012
    """Standard deviation of each point's own offset, in units of the cloud's diagonal."""
    box: float = 0.02
    """Standard deviation of the diagonal's logarithm and of the box's centre (in diagonals); 0: any box."""


@dataclass
class State:
    """The unknowns, all white: 0 and unit variance under the prior."""

    field: torch.Tensor  # (3, r)
    fine: torch.Tensor  # (N, 3)
    camera: torch.Tensor  # (V, 6)

    def tensors(self) -> list[torch.Tensor]:
        """All of them."""
        return [self.field, self.fine, self.camera]

    def copy(self) -> "State":
        """The same values, apart."""
        return State(*(one.detach().clone() for one in self.tensors()))


@dataclass(frozen=True)
class Problem:
    """Everything that stays the same while the state changes; points (N,3) drive, with tau (N,) relative opacity."""

    points: torch.Tensor
    opacity: torch.Tensor
    basis: torch.Tensor  # (3, N, r)
    targets: Targets
    camera_prior: CameraPrior
    centre: torch.Tensor  # (3,)
    unit: float
    weights: Weights
    box: tuple[torch.Tensor, torch.Tensor]  # diagonal and centre (3,), to be kept

    def start(self) -> State:
        """The state in which nothing has moved."""
        views = len(self.targets.masks)
        return State(
            torch.zeros(3, self.basis.shape[-1]), torch.zeros(len(self.points), 3), torch.zeros(views, 6)
        )

    def place(self, state: State) -> torch.Tensor:
        """Points (N,3) of a state."""
        # Three products of a matrix and a vector are twice as fast as one batched.
        smooth = torch.stack([basis @ white for basis, white in zip(self.basis, state.field)], 1)
        return self.points + smooth + state.fine * (self.weights.fine * self.unit)

    def cameras(self, state: State) -> Cameras:
        """Cameras (V) of a state."""
        if self.camera_prior.fixed:
            return self.targets.cameras
        return moved(self.targets.cameras, state.camera, self.camera_prior, self.centre)

    def render(self, xyz: torch.Tensor, cameras: Cameras, sigma_px: float) -> torch.Tensor:
        """Coverage (V,S,S) of points (N,3)."""
        uv_px, depth = cameras.project(xyz.expand(len(cameras), -1, -1))
        area = self.targets.masks.sum((1, 2))
        tau = self.opacity * (self.weights.density * area / len(xyz))[:, None]
        return splat_mask(uv_px, depth, tau, self.targets.size, sigma_px)

    def objective(self, state: State, sigma_px: float) -> torch.Tensor:
        """Data and prior."""
        xyz = self.place(state)
        drawn = self.render(xyz, self.cameras(state), sigma_px)
        target = self.targets.drawn(sigma_px, self.weights.density)
        pixels = self.weights.data * WEIGHED_PIXELS
        return pixels * silhouette_loss(drawn, target, "bce").mean() + self.prior(state, xyz)

    def prior(self, state: State, xyz: torch.Tensor) -> torch.Tensor:
        """Negative logarithm of the prior's density, up to a constant, of a state and its points (N,3)."""
        white = state.field.square().sum() + state.camera.square().sum()
        # Counted as if there were so many points, whatever their number.
        white = white + state.fine.square().mean() * FINE_POINTS
        return (white + self._box(xyz)) / 2

    def _box(self, xyz: torch.Tensor) -> torch.Tensor | float:
        if not self.weights.box:
            return 0.0
        diagonal, centre = soft_box(xyz)
        off = (diagonal / self.box[0]).log().square()
        off = off + ((centre - self.box[1]) / self.unit).square().sum()
        return off / self.weights.box**2


def soft_box(xyz: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Diagonal and centre (3,) of the box of points (N,3), from the means of the outermost percent on each side."""
    count = max(1, int(_EXTREME * len(xyz)))
    high = xyz.topk(count, 0).values.mean(0)
    low = xyz.topk(count, 0, largest=False).values.mean(0)
    return (high - low).norm(), (high + low) / 2
