# SPDX-License-Identifier: Apache-2.0
"""What an exported model computes from composed input: the same as LoadedRun.predict, one image, fixed shapes.

Everything is written so that shapes do not depend on values; where predict and its parts already are, they are used.
"""

import numpy as np
import torch
from torch import nn

from ..cameras import matrix_to_quaternion, quaternion_to_matrix
from ..geometry.solid import LEAST_OPACITY
from ..methods.pose_choice import Look, pose_at_test_time
from ..methods.run import LoadedRun
from ..models.viewpoint import best_rotation
from ..pointcloud import Points

# Distances of a step of the search for nearest points: 16 MiB a copy.
_PAIRS = 1 << 22
# Of these, the nearest is chosen by exact distances.
_CANDIDATES = 8
# Added to the squared distance of faint points; coordinates are below 1.
_FAR = 1e3
OUTPUTS = ("xyz", "opacity", "color", "parts", "rotation", "rotations", "rotation_scores", "category")


class ExportModel(nn.Module):
    """Composed input (1,4,S,S) to the outputs that the model has, in the order of OUTPUTS.

    canonical: rotation (3,3) from the model's own frame to the object's, when it is known; points and pose are turned.
    """

    def __init__(self, run: LoadedRun, canonical: np.ndarray | None) -> None:
        super().__init__()
        self.network, self.config, self.margin = run.network, run.config, run.margin
        mirror = run.card.get("mirror")
        self.mirror = None if mirror is None else torch.tensor(mirror, dtype=torch.float32)
        self.canonical = None if canonical is None else torch.tensor(canonical, dtype=torch.float32)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Only the outputs that are there."""
        return tuple(value[0] for value in self._every(images) if value is not None)

    def names(self, images: torch.Tensor) -> list[str]:
        """Names of what forward gives."""
        return [name for name, value in zip(OUTPUTS, self._every(images), strict=True) if value is not None]

    def _every(self, images: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """In the order of OUTPUTS, None for what the model does not predict; as LoadedRun.predict."""
        if self.network.pose is None:
            return self._of_known_cameras(images)
        points, rotation = pose_at_test_time(
            images, self._look, self.network.pose_of, halfway, self.mirror, self.config.pose, self.margin
        )
        if self.canonical is not None:
            points.xyz, rotation = points.xyz @ self.canonical.T, rotation @ self.canonical.T
        tells = self.network.category is not None
        category = self.network.categorise(self.network.encode(images)) if tells else None
        return (*_attributes(points), rotation, None, None, _shares(category))

    def _of_known_cameras(self, images: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        features = self.network.encode(images)
        shape = self.network.decode(features, images)
        assert isinstance(shape, Points)
        found = (None, None, None)
        if self.network.viewpoint is not None:
            rotations, scores = self.network.viewpoint(features)
            found = best_rotation(rotations, scores), rotations, _shares(scores)
        return (
            *_attributes(solid_points_fixed(shape)), *found, _shares(self.network.categorise(features))
        )  # fmt: skip

    def _look(self, images: torch.Tensor) -> Look:
        assert self.network.pose is not None
        features = self.network.encode(images)
        shape = self.network.decode(features, images)
        assert isinstance(shape, Points)
        points = solid_points_fixed(shape)
        return Look(points, self.network.pose(features), self.network.pose.hypotheses(features))


def _attributes(points: Points) -> tuple[torch.Tensor | None, ...]:
    return points.xyz, points.opacity, points.color, _shares(points.part_logits)


def _shares(logits: torch.Tensor | None) -> torch.Tensor | None:
    """Probabilities along the last axis."""
    return None if logits is None else logits.softmax(-1)


def halfway(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Rotations (B,3,3) halfway between two; the first, where they oppose each other: geometry.mirror's, without SVD.

    The mean of two quaternions of one half-space is the nearest rotation to the mean of the matrices.
    """
    a, b = matrix_to_quaternion(first), matrix_to_quaternion(second)
    sign = torch.where((a * b).sum(-1, keepdim=True) < 0, -1.0, 1.0)
    agree = (first * second).sum((1, 2)) > 0
    return torch.where(agree[:, None, None], quaternion_to_matrix(a + sign * b), first)


def solid_points_fixed(points: Points, least: float = LEAST_OPACITY) -> Points:
    """geometry.solid.solid_points of one cloud (1,N,...), with shapes that do not depend on how many are solid."""
    if points.opacity is None:
        return points
    source, partner = _replacements(points.xyz[0], points.opacity[0] >= least)
    solid = points.map(lambda values: values[:, source])
    solid.xyz = (solid.xyz + points.xyz[:, partner]) / 2
    return solid


def _replacements(xyz: torch.Tensor, solid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (N,) of the solid point that each of xyz (N,3) becomes, and of its partner; solid points keep theirs."""
    count = len(xyz)
    own = torch.arange(count)
    rank = solid.long().cumsum(0) - 1  # among the solid ones
    order = (~solid).long().cumsum(0) - 1  # among the faint ones
    kept, faint = rank[-1:] + 1, order[-1:] + 1  # (1,)
    # The solid points' indices in a row; what is faint goes to a place that is never read.
    table = torch.zeros(count + 1, dtype=torch.long).index_put((torch.where(solid, rank, count),), own)
    place = torch.remainder(
        torch.div(order.clamp(min=0) * kept, faint.clamp(min=1), rounding_mode="floor"), kept.clamp(min=1)
    )
    replaced = ~solid & (kept >= 2)
    source = torch.where(replaced, table[place], own)
    return source, torch.where(replaced, _nearest_other(xyz, source, solid), own)


def _nearest_other(xyz: torch.Tensor, source: torch.Tensor, solid: torch.Tensor) -> torch.Tensor:
    """Index (N,) of the solid point nearest to each xyz[source], itself left out.

    |b|^2 - 2ab, one matrix product, has too few digits for the last choice but enough to name a few candidates.
    """
    found = []
    few, rows = min(_CANDIDATES, len(xyz)), max(_PAIRS // len(xyz), 1)
    far = torch.where(solid, 0.0, _FAR)
    target = torch.cat((xyz * -2, (xyz.square().sum(1) + far)[:, None]), 1).T  # (4, N)
    for start in range(0, len(xyz), rows):
        query = source[start : start + rows]
        own = torch.cat((xyz[query], torch.ones(len(query), 1)), 1)
        near = torch.topk(own @ target, few, dim=1, largest=False)[1]  # (rows, few)
        square = (xyz[near] - xyz[query][:, None]).square().sum(-1)
        allowed = solid[near] & (near != query[:, None])
        best = torch.where(allowed, square, torch.inf).argmin(1, keepdim=True)
        found.append(near.gather(1, best)[:, 0])
    return torch.cat(found)
