# SPDX-License-Identifier: Apache-2.0
"""A chair of boxes with exact silhouettes: the union of the convex hulls of each box's projected corners."""

import itertools

import torch
from scipy.spatial import ConvexHull

from recon_core.cameras import Cameras, orbit, pinhole

# Centre and extent.
BOXES = [
    ((0.0, 0.0, 0.0), (0.4, 0.4, 0.05)),
    ((0.0, 0.175, 0.22), (0.4, 0.05, 0.4)),
    *(((x, y, -0.2), (0.05, 0.05, 0.4)) for x in (-0.17, 0.17) for y in (-0.17, 0.17)),
]


def cameras_around(count: int, size: int) -> Cameras:
    """Cameras at even azimuths and four elevations."""
    elevation_deg = torch.tensor([20.0, -10.0, 35.0, 5.0]).repeat(count)[:count]
    return pinhole(orbit(torch.arange(count) * 360.0 / count + 20, elevation_deg), size)


def surface_points(count: int, generator: torch.Generator) -> torch.Tensor:
    """Points (N,3) spread evenly over the boxes' faces."""
    center, extent = torch.tensor([box[0] for box in BOXES]), torch.tensor([box[1] for box in BOXES])
    area = extent.prod(1, keepdim=True) / extent  # (6 boxes, 3 axes), of a face across each axis
    face = torch.multinomial(area.repeat(1, 2).flatten(), count, replacement=True, generator=generator)
    box, axis, side = face // 6, face % 3, (face % 6) // 3
    local = torch.rand(count, 3, generator=generator) - 0.5
    local[torch.arange(count), axis] = side - 0.5
    return center[box] + local * extent[box]


def silhouettes(cameras: Cameras) -> torch.Tensor:
    """Binary masks (B,H,W) of pixels whose centres see a box."""
    rows, columns = torch.arange(cameras.height) + 0.5, torch.arange(cameras.width) + 0.5
    masks = torch.zeros(len(cameras), cameras.height, cameras.width)
    for center, extent in BOXES:
        signs = torch.tensor(list(itertools.product((-0.5, 0.5), repeat=3)))
        corners = torch.tensor(center) + signs * torch.tensor(extent)
        uv_px, _ = cameras.project(corners.expand(len(cameras), 8, 3))
        for mask, outline in zip(masks, uv_px):
            a, b, c = torch.from_numpy(ConvexHull(outline.numpy()).equations).float().T[..., None, None]
            mask[(a * columns + b * rows[:, None] + c <= 0).all(0)] = 1
    return masks
