# SPDX-License-Identifier: Apache-2.0
"""Objects without symmetry, and pictures of them by the rasteriser, for tests of placing."""

import numpy as np
import torch

from recon_core.cameras import Cameras, look_at
from recon_core.geometry.sampling import sample_mesh
from recon_core.renderers.mesh import visible_faces

_CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
_FACES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]
)  # fmt: skip
# Low corners and sizes of boxes: a bench with a back on one side, one arm and a lamp on it.
BOXES = (
    ((-0.6, -0.3, 0.3), (1.2, 0.6, 0.1)),
    ((-0.6, 0.22, 0.4), (1.2, 0.08, 0.5)),
    ((-0.6, -0.3, 0.4), (0.1, 0.5, 0.25)),
    ((0.5, 0.1, 0.9), (0.06, 0.06, 0.4)),
    ((-0.5, -0.2, 0.0), (0.1, 0.1, 0.3)),
    ((0.4, -0.2, 0.0), (0.1, 0.4, 0.3)),
)
PAINT = np.array(
    [[200, 60, 40], [40, 90, 200], [60, 180, 60], [240, 220, 60], [90, 60, 40], [200, 200, 200]], np.uint8
)


def boxes(parts=BOXES) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3) and faces (F,3), twelve for each box."""
    vertices = [np.array(low) + _CORNERS * size for low, size in parts]
    faces = [_FACES + 8 * index for index in range(len(parts))]
    return np.concatenate(vertices), np.concatenate(faces)


def points(parts=BOXES, count: int = 8000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points (N,3) on the surface and their colours (N,3), one for each box."""
    xyz, face, _ = sample_mesh(*boxes(parts), count, np.random.default_rng(seed))
    return xyz.astype(np.float32), PAINT[face // 12 % len(PAINT)]


def camera(
    eye=(1.6, -2.6, 1.4),
    target=(0.15, 0.0, 0.35),
    focal_mm: float = 45.0,
    size=(200, 150),
    roll_deg: float = 0.0,
) -> Cameras:
    """A camera with its principal point in the middle."""
    width, height = size
    matrix = look_at(*(torch.tensor([value], dtype=torch.float64) for value in (eye, target)))
    turn = torch.eye(4, dtype=torch.float64)
    cos, sin = np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))
    turn[:2, :2] = torch.tensor([[cos, -sin], [sin, cos]])
    numbers = (focal_mm / 36 * width, focal_mm / 36 * width, width / 2, height / 2)
    return Cameras(
        turn @ matrix, *(torch.tensor([value], dtype=torch.float64) for value in numbers), width, height
    )


def picture(seen: Cameras, parts=BOXES, finer: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Mask (H,W) and colours (H,W,3) uint8."""
    vertices, faces = boxes(parts)
    large = seen.resized(seen.width * finer, seen.height * finer)
    uv, depth = large.project(torch.from_numpy(vertices)[None])
    face = visible_faces(uv.float(), depth.float(), torch.from_numpy(faces), (large.height, large.width))[
        0
    ].numpy()
    shape = (seen.height, finer, seen.width, finer)
    mask = (face >= 0).reshape(shape).mean((1, 3))
    paint = np.where((face >= 0)[..., None], PAINT[np.maximum(face, 0) // 12 % len(PAINT)], 128)
    colors = paint.reshape(*shape, 3).mean((1, 3))
    return np.rint(mask * 255).astype(np.uint8), np.rint(colors).astype(np.uint8)
