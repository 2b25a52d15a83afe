# SPDX-License-Identifier: Apache-2.0
"""Supervision terms by name: the closed registry that recipes choose from."""

from typing import Annotated

from pydantic import Field

from .base import Scene, TermConfig, Views, pick_views, shrink_views
from .category import Category
from .consistency import Cycle, NeighbourMask, Symmetry
from .labels import PointParts
from .mesh import MeshColor, MeshMask, MeshSmooth
from .planes import PlaneColor, PlaneMask, PlaneParts
from .projection import Drwr, Match2d
from .splat import SplatColor, SplatMask, SplatParts
from .spread import Spread
from .voxel import VoxelColor, VoxelSilhouette

TERMS: tuple[type[TermConfig], ...] = (
    SplatMask, SplatColor, SplatParts, PointParts,
    VoxelSilhouette, VoxelColor,
    PlaneMask, PlaneColor, PlaneParts,
    Drwr, Match2d,
    MeshMask, MeshColor, MeshSmooth,
    Cycle, NeighbourMask, Symmetry, Spread, Category,
)  # fmt: skip
Term = Annotated[
    SplatMask | SplatColor | SplatParts | PointParts
    | VoxelSilhouette | VoxelColor
    | PlaneMask | PlaneColor | PlaneParts
    | Drwr | Match2d
    | MeshMask | MeshColor | MeshSmooth
    | Cycle | NeighbourMask | Symmetry | Spread | Category,
    Field(discriminator="kind"),
]  # fmt: skip

__all__ = [
    "TERMS",
    "Category",
    "Cycle",
    "Drwr",
    "Match2d",
    "MeshColor",
    "MeshMask",
    "MeshSmooth",
    "NeighbourMask",
    "PlaneColor",
    "PlaneMask",
    "PlaneParts",
    "PointParts",
    "Scene",
    "SplatColor",
    "SplatMask",
    "SplatParts",
    "Spread",
    "Symmetry",
    "Term",
    "TermConfig",
    "Views",
    "VoxelColor",
    "VoxelSilhouette",
    "pick_views",
    "shrink_views",
]
