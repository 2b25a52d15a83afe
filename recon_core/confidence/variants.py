# SPDX-License-Identifier: Apache-2.0
"""Test-time augmentation: one crop changed a little, in ways that do not change the object that it shows."""

from typing import Literal

import numpy as np
import torch

from ..data.augment import warp
from ..data.mask_errors import move_outline
from ..errors import ConfigError

Mode = Literal["none", "fast", "full"]
# Changed crops besides the mirrored one.
VARIANTS: dict[Mode, int] = {"none": 0, "fast": 4, "full": 16}

# Largest changes: what a hand-drawn or estimated mask and a camera that is held a little otherwise may differ by.
_SCALE = 0.06
_SHIFT = 0.03  # of the crop's side
_OUTLINE = 0.02  # erosion or dilation, of the crop's side
_BRIGHTNESS = 0.2


def check_mode(mode: str) -> Mode:
    """The mode of a name; raises ConfigError for an unknown one."""
    if mode not in VARIANTS:
        raise ConfigError(f"--confidence {mode!r} is unknown. Valid: {', '.join(VARIANTS)}.")
    return mode  # type: ignore[return-value]


def crop_variants(crop: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Changed copies (count,S,S,4) uint8 of a crop (S,S,4) uint8, straight alpha; the same for the same seed.

    Each is zoomed, shifted, made darker or brighter, and its mask eroded or dilated, by amounts that together cover
    their ranges evenly (strata).
    """
    if not count:
        return np.empty((0, *crop.shape), np.uint8)
    pixels = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None].float() / 255
    pixels = pixels.expand(count, -1, -1, -1)
    draw = _strata(count, 5, torch.Generator().manual_seed(seed)) * 2 - 1  # (count, 5) in [-1, 1]
    side = crop.shape[0]
    moved, _ = warp(pixels, 1 + _SCALE * draw[:, 0], _SHIFT * side * draw[:, 1:3])
    alpha = move_outline(moved[:, 3:], _OUTLINE * side * draw[:, 3])
    rgb = moved[:, :3] * (1 + _BRIGHTNESS * draw[:, 4])[:, None, None, None]
    changed = torch.cat((rgb, alpha), 1).clamp(0, 1)
    return (changed * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def mirrored(crop: np.ndarray) -> np.ndarray:
    """A crop (...,S,S,4) with left and right exchanged."""
    return np.ascontiguousarray(crop[..., ::-1, :])


def _strata(count: int, dimensions: int, generator: torch.Generator) -> torch.Tensor:
    """Numbers (count, dimensions) in [0, 1): along each dimension one in each of `count` equal intervals."""
    order = torch.stack([torch.randperm(count, generator=generator) for _ in range(dimensions)], 1)
    return (order + torch.rand(count, dimensions, generator=generator)) / max(count, 1)
