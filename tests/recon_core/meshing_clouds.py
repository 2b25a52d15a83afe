# SPDX-License-Identifier: Apache-2.0
"""Points on surfaces, for tests of meshing."""

import numpy as np
import trimesh

from recon_core.pointcloud import PointCloud


def on(mesh: trimesh.Trimesh, count: int, seed: int = 0) -> PointCloud:
    """Points spread by chance over a mesh."""
    return PointCloud(trimesh.sample.sample_surface(mesh, count, seed=seed)[0])


def sphere(count: int, radius: float = 0.5, seed: int = 0) -> PointCloud:
    xyz = np.random.default_rng(seed).normal(size=(count, 3))
    return PointCloud(radius * xyz / np.linalg.norm(xyz, axis=1, keepdims=True))
