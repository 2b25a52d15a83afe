# SPDX-License-Identifier: Apache-2.0
"""What a cloud says about its surface before there is one: is it usable, how far apart are its points."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..errors import InputError
from ..geometry.nearest import build_tree
from ..geometry.solid import LEAST_OPACITY
from ..pointcloud import PointCloud

MIN_POINTS, MAX_POINTS = 50, 2_000_000
# The thinnest extent over the widest below which a cloud is a sheet in one plane, or a line: it encloses nothing.
FLATNESS = 2e-3
# Neighbours whose distance gives the local density.
_NEIGHBOURS = 12
# Points this many times farther from their neighbours than most are strays.
_STRAY = 5.0


@dataclass(frozen=True)
class Samples:
    """Points xyz (N,3) float64 on or near a surface; spacing (N,): side of the square of surface each stands for."""

    xyz: np.ndarray
    tree: cKDTree
    spacing: np.ndarray
    index: np.ndarray  # (N,) which points of the cloud they are
    strays: int = 0

    @property
    def step(self) -> float:
        """The usual spacing, in the cloud's unit."""
        return float(np.median(self.spacing))


def usable_samples(cloud: PointCloud, name: str = "The cloud") -> Samples:
    """The solid, finite points of a cloud without strays; raises InputError for a cloud without a surface."""
    xyz = np.asarray(cloud.xyz, np.float64)
    _check(xyz, name)
    index = np.arange(len(xyz))
    if cloud.opacity is not None:
        solid = cloud.opacity >= LEAST_OPACITY
        index = index[solid] if solid.sum() >= MIN_POINTS else index
    spacing = spacing_of(xyz[index])
    if not np.median(spacing) > 0:
        raise InputError(
            f"{name}: most of its points lie on top of each other. Expected points over a surface."
        )
    kept = spacing <= _STRAY * np.median(spacing)
    index, spacing, strays = index[kept], spacing[kept], int((~kept).sum())
    _check(xyz[index], name)
    return Samples(xyz[index], build_tree(xyz[index]), spacing, index, strays)


def spacing_of(xyz: np.ndarray) -> np.ndarray:
    """Side (N,) of the square of surface that each point stands for: k points share a disc of radius r_k."""
    count = min(_NEIGHBOURS, len(xyz) - 1)
    distance, _ = build_tree(xyz).query(xyz, k=[count + 1])
    return distance[:, 0] * np.sqrt(np.pi / count)


def _check(xyz: np.ndarray, name: str) -> None:
    finite = np.isfinite(xyz).all(1)
    if not finite.all():
        raise InputError(f"{name}: {int((~finite).sum())} of {len(xyz)} points are not finite. Remove them.")
    if len(xyz) < MIN_POINTS:
        raise InputError(f"{name} has {len(xyz)} points; a surface needs at least {MIN_POINTS}.")
    if len(xyz) > MAX_POINTS:
        raise InputError(f"{name} has {len(xyz):,} points; at most {MAX_POINTS:,} are meshed. Thin it out.")
    extent = np.linalg.svd(xyz - xyz.mean(0), compute_uv=False)
    if not extent[0] > 0 or extent[2] < FLATNESS * extent[0]:
        shape = (
            "one point" if not extent[0] > 0 else "a line" if extent[1] < FLATNESS * extent[0] else "a plane"
        )
        raise InputError(
            f"{name}: its points lie in {shape}, which encloses nothing. Expected a solid's surface."
        )
