# SPDX-License-Identifier: Apache-2.0
"""Triangles and spheres, for tests of the mesh rasteriser."""

import torch

from recon_core.cameras import orbit, pinhole
from recon_core.mesh import icosphere

SIZE = (22, 30)
MODES = ("affine", "perspective")


def soup(generator, batch=2, vertices=14, faces=18, size=SIZE, dtype=torch.float64, spread=1.2):
    """Random overlapping triangles, some outside the frame: uv_px, depth, faces (B,F,3)."""
    scale = torch.tensor([size[1], size[0]], dtype=dtype)
    uv = (torch.rand(batch, vertices, 2, generator=generator, dtype=dtype) - 0.5) * spread * scale + scale / 2
    depth = torch.rand(batch, vertices, generator=generator, dtype=dtype) + 0.5
    rows = [[torch.randperm(vertices, generator=generator)[:3] for _ in range(faces)] for _ in range(batch)]
    return uv, depth, torch.stack([torch.stack(row) for row in rows])


def sphere_views(batch=3, size=40, dtype=torch.float64, subdivisions=2):
    """A sphere of radius 0.4 from all sides: vertices (B,V,3), faces (F,3), cameras."""
    sphere = icosphere(subdivisions, 0.4)
    azimuth = torch.arange(batch, dtype=dtype) * 100 + 7
    cameras = pinhole(orbit(azimuth, torch.full((batch,), 25.0, dtype=dtype)), size)
    return sphere.vertices.to(dtype).repeat(batch, 1, 1), sphere.faces, cameras
