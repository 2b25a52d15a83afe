# SPDX-License-Identifier: Apache-2.0
"""What the tests of confidence share: a ball, a camera, evidence."""

import numpy as np
import torch

from recon_core.cameras import Cameras, orbit, pinhole
from recon_core.confidence.features import Evidence, local_spacing

MIRROR = np.diag([-1.0, 1.0, 1.0])


def random_numbers() -> np.random.Generator:
    return np.random.default_rng(0)


def ball(count: int = 3000) -> np.ndarray:
    xyz = random_numbers().normal(size=(count, 3))
    return 0.35 * xyz / np.linalg.norm(xyz, axis=1, keepdims=True)


def camera_of(azimuth_deg: float = 0.0, elevation_deg: float = 0.0, size: int = 128) -> Cameras:
    angles = torch.tensor([[azimuth_deg], [elevation_deg]], dtype=torch.float64)
    return pinhole(orbit(angles[0], angles[1]), size)


def typical_spacing(xyz: np.ndarray) -> float:
    return float(np.median(local_spacing(xyz)))


def evidence_of(count: int = 50, **changed) -> Evidence:
    random = random_numbers()
    lengths = {
        name: random.uniform(0.005, 0.1, count) for name in ("spacing", "spread", "mirror_gap", "partner_gap")
    }
    values = lengths | {
        "opacity": random.uniform(0.1, 1, count).astype(np.float32),
        "visibility": random.integers(0, 3, count).astype(np.uint8),
        "pose_spread": 0.3,
    }
    return Evidence(**(values | changed))
