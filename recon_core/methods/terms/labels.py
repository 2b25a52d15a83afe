# SPDX-License-Identifier: Apache-2.0
"""Part labels without a renderer: points read them off the images where they are seen."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch.nn.functional import cross_entropy

from ...pointcloud import Points
from .base import Positive, TermConfig, Views, pick_views
from .splat import part_weights


class PointParts(TermConfig):
    """Cross-entropy of each seen point's own logits with the label of the pixel that it falls on.

    Every point in front is compared by itself, where a rendered label is a mixture of what lies along a ray; points
    behind others, off the silhouette or on its unlabelled pixels are left out. Positions get no gradient.
    """

    head: ClassVar[str | None] = "parts"
    target: ClassVar[str | None] = "parts"

    kind: Literal["point_parts"] = "point_parts"
    views: Annotated[int, Field(ge=1)] = 4
    """Views per object and step that this term looks at."""
    cells: Annotated[int, Field(ge=4, le=256)] = 32
    """Cells along each side of the image; in each, the nearest point hides what lies behind it."""
    slack: Positive = 0.05
    """How far behind the nearest point of its cell a point is still seen, in diagonals of the object's box."""
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How much more a point of a rare part counts: its weight is one over the part's share of the step's points to this
    power. 0: every point counts the same; 1: every part does."""

    def evaluate(self, points: Points, views: Views, progress: float) -> torch.Tensor:
        """Mean cross-entropy over the seen points (B,V), in nats; 0 where none is seen."""
        assert points.part_logits is not None
        views = pick_views(views, self.views)
        assert views.parts is not None
        batch, count, height, width = views.shape
        uv_px, depth = views.cameras.project(points.xyz.detach().repeat_interleave(count, 0))
        label = labels_at(uv_px, views.parts.flatten(0, 1))  # (B*V, N)
        seen = in_front(uv_px, depth, (height, width), self.cells, self.slack) & (label > 0)
        logits = points.part_logits.repeat_interleave(count, 0)
        index = (label - 1).clamp(min=0)
        wrong = cross_entropy(logits.flatten(0, 1), index.flatten(), reduction="none").view(index.shape)
        weight = seen * part_weights(index, seen, self.balance)
        return ((wrong * weight).sum(1) / weight.sum(1).clamp(min=1)).view(batch, count)


def labels_at(uv_px: torch.Tensor, parts: torch.Tensor) -> torch.Tensor:
    """Ids (M,N) int64 of the pixels of part images (M,H,W) that hold the points uv_px (M,N,2); 0 outside."""
    height, width = parts.shape[-2:]
    limit = uv_px.new_tensor([width, height])
    inside = ((uv_px >= 0) & (uv_px < limit)).all(-1)
    column, row = torch.where(inside[..., None], uv_px, 0).long().unbind(-1)
    return parts.long().flatten(1).gather(1, row * width + column) * inside


def in_front(
    uv_px: torch.Tensor, depth: torch.Tensor, size: tuple[int, int], cells: int, slack: float
) -> torch.Tensor:
    """Which points (M,N) lie within `slack` of the nearest one of their cell; size: height and width in pixels."""
    scale = uv_px.new_tensor([cells / size[1], cells / size[0]])
    column, row = (uv_px * scale).long().clamp(0, cells - 1).unbind(-1)
    cell = row * cells + column  # (M, N)
    nearest = depth.new_full((len(depth), cells * cells), torch.inf)
    nearest = nearest.scatter_reduce(1, cell, depth.where(depth > 0, torch.inf), "amin")
    return (depth > 0) & (depth <= nearest.gather(1, cell) + slack)
