# SPDX-License-Identifier: Apache-2.0
"""Seats of two boxes with known measures, cameras around them and their masks, for tests of refinement."""

import numpy as np
import torch

from recon_core.cameras import Cameras, orbit, pinhole
from recon_core.renderers.splat import splat_mask


def seat(count: int, seed: int = 0, scale: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    """Points (count,3) float32 on the surface of a block with a back on it, symmetric in x."""
    rng = np.random.default_rng(seed)
    block = _box(rng, count * 2 // 3, (0.5, 0.45, 0.25), (0, 0, -0.15))
    back = _box(rng, count - len(block), (0.5, 0.1, 0.35), (0, 0.18, 0.15))
    return (np.concatenate((block, back)) * scale).astype(np.float32)


def _box(rng: np.random.Generator, count: int, size, centre) -> np.ndarray:
    points = rng.uniform(-0.5, 0.5, (count, 3))
    areas = np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]])
    axis = rng.choice(3, count, p=areas / areas.sum())
    points[np.arange(count), axis] = rng.choice([-0.5, 0.5], count)
    return points * size + centre


def camera(azimuth_deg: float, elevation_deg: float = 20.0, size: int = 96) -> Cameras:
    """One camera of the default orbit."""
    pose = orbit(
        torch.tensor([azimuth_deg], dtype=torch.float64), torch.tensor([elevation_deg], dtype=torch.float64)
    )
    return pinhole(pose, size)


def silhouette(xyz: np.ndarray, view: Cameras) -> np.ndarray:
    """Mask (H,W) uint8 of many points (N,3) as one camera sees them."""
    uv_px, depth = view.project(torch.as_tensor(xyz, dtype=torch.float64)[None])
    tau = torch.full_like(depth, 8.0 * 0.06 * view.width * view.height / len(xyz))
    mask = splat_mask(uv_px, depth, tau, (view.height, view.width), 0.45)[0]
    return (mask.numpy() * 255).round().astype(np.uint8)
