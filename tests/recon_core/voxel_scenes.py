# SPDX-License-Identifier: Apache-2.0
"""Points in a frustum, for tests of the voxel renderer."""

import torch

from recon_core.renderers.voxel import Frustum

CELLS = (5, 6, 7)
FRAME = {grid: ((12, 10), 1.5, 2.5, CELLS, grid) for grid in ("corner", "centre")}


def frustum(grid="corner"):
    """The frustum of FRAME."""
    image_size, near, far, cells, _ = FRAME[grid]
    return Frustum(image_size, cells, near, far, grid)


def scene(generator, batch=2, count=12, dtype=torch.float64, spread=1.2):
    """Random projected points, some outside the frustum."""
    uv = (torch.rand(batch, count, 2, generator=generator, dtype=dtype) - 0.5) * spread + 0.5
    depth = (torch.rand(batch, count, generator=generator, dtype=dtype) - 0.5) * spread + 2
    return uv * torch.tensor([10.0, 12.0], dtype=dtype), depth
