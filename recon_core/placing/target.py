# SPDX-License-Identifier: Apache-2.0
"""The photograph as a search sees it: a square crop around the mask, at several sizes, with its camera's geometry."""

from dataclasses import dataclass

import numpy as np
import torch

from ..data.crop import Box, crop_mask, crop_square, fit_box
from .outline import Level

MARGIN = 1.3


@dataclass(frozen=True)
class Target:
    """A photograph's mask and colours, and the crop's box: centre u, centre v and side in pixels."""

    mask: np.ndarray  # (H, W) uint8
    rgb: np.ndarray | None  # (H, W, 3) uint8
    box: Box

    @classmethod
    def of(cls, mask: np.ndarray, rgb: np.ndarray | None = None) -> "Target":
        """Raises InputError when the mask is empty."""
        return cls(mask, rgb, fit_box(mask, MARGIN))

    def level(self, size: int, sigma_px: float, points: int) -> Level:
        """The mask at `size` pixels; what lies outside the photograph is not known and does not count."""
        cover = crop_mask(self.mask, self.box, size)
        inside = crop_mask(np.full_like(self.mask, 255), self.box, size)
        mask, valid = (torch.from_numpy(image.astype(np.float32) / 255) for image in (cover, inside))
        known = torch.where(valid > 0.5, mask / valid.clamp(min=0.5), 0.0)
        return Level(known, (valid > 0.99).float(), sigma_px, points)

    def colors(self, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Colours (S,S,3) in [0,1] and how far each pixel is the object's (S,S)."""
        assert self.rgb is not None
        pixels = crop_square(np.dstack((self.rgb, self.mask)), self.box, size).astype(np.float32) / 255
        return torch.from_numpy(pixels[..., :3].copy()), torch.from_numpy(pixels[..., 3].copy())

    def mask_box(self) -> torch.Tensor:
        """Left, top, right, bottom (4,) of the mask in crop sides."""
        columns, rows = np.flatnonzero(self.mask.max(0) > 127), np.flatnonzero(self.mask.max(1) > 127)
        corners = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
        return torch.from_numpy((corners - np.tile(self.corner, 2)).astype(np.float32) / self.side)

    @property
    def side(self) -> float:
        """Side of the crop in pixels of the photograph."""
        return self.box[2]

    @property
    def corner(self) -> np.ndarray:
        """Left-top corner (2,) of the crop in pixels of the photograph."""
        return np.array(self.box[:2]) - self.box[2] / 2

    def to_crop(self, u_px: float, v_px: float) -> tuple[float, float]:
        """A place in the photograph in crop sides."""
        left, top = self.corner
        return (u_px - left) / self.side, (v_px - top) / self.side
