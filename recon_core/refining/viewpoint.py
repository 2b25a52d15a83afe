# SPDX-License-Identifier: Apache-2.0
"""The camera before the shape: every viewpoint that may be right is fitted to the mask with the cloud as it is.

The cloud is not the object, so its outline cannot fit the mask however the camera moves, and what is wrong with the
shape must not turn the camera: the masks count for much less here than later (`WEIGHT`), against the same prior of how
far a predicted camera is off. Of one image's viewpoints the one is taken that is most probable a posteriori: fit, how
far the camera had to move, and the share that the model gave it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from ..cameras import Cameras
from ..data.crop import crop_cameras
from ..errors import InputError
from ..losses.silhouette import silhouette_loss
from ..renderers.splat import splat_mask
from .camera_step import CameraPrior, moved
from .targets import Targets, joined

# Of the silhouettes' cross-entropy, in nats per pixel of crops of 64 x 64.
WEIGHT = 0.02
_WEIGHED_PIXELS = 64.0**2
_POINTS, _STEPS = 800, 25
# Widths of the splats at the start and from here on, as a share of the crop's side.
_SIGMA, _SHARP_FROM = (0.083, 0.031), 0.7
_RATE, _FLAT = 0.15, 1.0
_DENSITY = 6.0


@dataclass(frozen=True)
class Viewpoints:
    """Cameras (K) that one image may be taken by, and how probable each is (K,); the first one is the predicted one."""

    cameras: Cameras
    shares: np.ndarray

    def __post_init__(self) -> None:
        """Raise InputError for shares that are none, or not one for each camera."""
        shares = np.asarray(self.shares, np.float64)
        if shares.shape != (len(self.cameras),) or not len(shares) or not (shares > 0).all():
            raise InputError(
                f"{len(self.cameras)} cameras with shares {shares.tolist()}: expected one share > 0 for each."
            )


@dataclass(frozen=True)
class Choice:
    """The viewpoint of each of V images: which one, its camera of the crop before it moved, and by how much (V,6)."""

    index: tuple[int, ...]
    cameras: Cameras
    white: torch.Tensor


def choose(
    points: torch.Tensor,
    opacity: torch.Tensor,
    targets: Targets,
    viewpoints: Sequence[Viewpoints],
    prior: CameraPrior,
    centre: torch.Tensor,
) -> Choice:
    """Fit all viewpoints of the images to their masks with points (N,3) of relative opacity (N,) and take the best."""
    counts = [len(one.cameras) for one in viewpoints]
    owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    cameras = joined([
        _of_crop(one.cameras[k : k + 1], targets, view)
        for view, one in enumerate(viewpoints) for k in range(len(one.cameras))
    ])  # fmt: skip
    masks = replace(targets, masks=targets.masks[owner], cameras=cameras)
    white, cost = _fitted(points[:_POINTS], opacity[:_POINTS], masks, prior, centre)
    shares = np.concatenate([np.asarray(one.shares, np.float64) / np.sum(one.shares) for one in viewpoints])
    cost = cost - torch.from_numpy(np.log(shares)).to(cost)
    first = np.cumsum([0, *counts])
    index = [int(cost[a:b].argmin()) for a, b in pairwise(first)]
    taken = torch.tensor([a + k for a, k in zip(first[:-1].tolist(), index, strict=True)])
    return Choice(tuple(index), cameras[taken], white[taken])


def _of_crop(camera: Cameras, targets: Targets, view: int) -> Cameras:
    width, height = targets.sizes[view]
    return crop_cameras(camera.to(torch.float64).resized(width, height), targets.boxes[view], targets.size)


def _fitted(
    points: torch.Tensor, opacity: torch.Tensor, targets: Targets, prior: CameraPrior, centre: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """White coefficients (V,6) of the best cameras, and what they cost (V,)."""
    white = torch.zeros(len(targets.masks), 6, dtype=points.dtype, requires_grad=True)
    area = targets.masks.sum((1, 2))
    tau = opacity * (_DENSITY * area / len(points))[:, None]
    adam = torch.optim.Adam([white], lr=_RATE, betas=(0.9, 0.95), eps=_FLAT)

    def cost(sigma_px: float) -> torch.Tensor:
        cameras = moved(targets.cameras, white, prior, centre)
        uv_px, depth = cameras.project(points.expand(len(cameras), -1, -1))
        drawn = splat_mask(uv_px, depth, tau, targets.size, sigma_px)
        loss = silhouette_loss(drawn, targets.drawn(sigma_px, _DENSITY), "bce")
        return WEIGHT * _WEIGHED_PIXELS * loss + white.square().sum(1) / 2

    wide, sharp = (share * targets.size for share in _SIGMA)
    for step in range(_STEPS):
        share = step / _STEPS
        adam.param_groups[0]["lr"] = _RATE * min(1.0, 2 * (1 - share))
        adam.zero_grad()
        cost(wide * (sharp / wide) ** min(1.0, share / _SHARP_FROM)).sum().backward()
        adam.step()
    with torch.no_grad():
        return white.detach(), cost(sharp)
