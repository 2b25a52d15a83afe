# SPDX-License-Identifier: Apache-2.0
"""What every supervision term has: the views it compares with, and its place in a recipe."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch.nn.functional import avg_pool2d

from ...cameras import Cameras
from ..config import Config

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


@dataclass
class Views:
    """What V views of B objects show, and the cameras (B*V) they were taken with."""

    cameras: Cameras  # B * V
    masks: torch.Tensor  # (B, V, H, W) coverage in [0, 1]
    images: torch.Tensor | None = None  # (B, V, H, W, 3) straight sRGB in [0, 1]
    parts: torch.Tensor | None = None  # (B, V, H, W) ids, 0 = background

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """B, V, H, W."""
        batch, views, height, width = self.masks.shape
        return batch, views, height, width


@dataclass
class Scene:
    """A whole step, for terms that ask the network again: what went in, what came out, and with which cameras."""

    network: Any  # methods.network.Network
    recipe: Any  # methods.recipe.Recipe
    inputs: torch.Tensor  # (B, E, 4, S, S) composed images; E is 1 or V
    shape: Any  # Points or MeshPrediction of the first input
    views: Views  # with the cameras of the recipe's pose source
    progress: float
    neighbours: tuple[torch.Tensor, torch.Tensor] | None = (
        None  # inputs (B,4,S,S), masks (B,H,W) of like objects
    )
    generator: torch.Generator | None = None  # CPU
    features: torch.Tensor | None = None  # (B * E, F) of the inputs
    category: torch.Tensor | None = None  # (B,) int64, place among the dataset's categories


class TermConfig(Config):
    """A term of a recipe: compares a predicted shape with the views of its object, unreduced (B,V)."""

    head: ClassVar[str | None] = None
    """The model's head that the term is about, if any: a recipe without it is refused."""
    target: ClassVar[str | None] = None
    """The image pass that the term compares with, beside the masks: images, parts or depth."""
    shape: ClassVar[Literal["points", "mesh", "any"]] = "points"
    """What the model must make."""
    needs_neighbours: ClassVar[bool] = False
    """Whether the term compares with images of similar objects."""

    weight: Positive = 1.0

    def evaluate(self, shape: Any, views: Views, progress: float) -> torch.Tensor:
        """Loss (B,V) of a shape, Points or MeshPrediction, at `progress` in [0, 1] of the run."""
        raise NotImplementedError

    def evaluate_scene(self, scene: Scene) -> torch.Tensor:
        """Loss (B,V) of a step; terms that ask the network again override this one."""
        return self.evaluate(scene.shape, scene.views, scene.progress)


def pick_views(views: Views, count: int) -> Views:
    """At most `count` of the V views of every object, spread evenly: the first is the input's, the last another."""
    batch, total, _, _ = views.shape
    if count >= total:
        return views
    kept = torch.linspace(0, total - 1, count).round().long() if count > 1 else torch.tensor([total - 1])
    rows = (torch.arange(batch)[:, None] * total + kept).flatten().to(views.masks.device)
    kept = kept.to(views.masks.device)
    images = None if views.images is None else views.images[:, kept]
    parts = None if views.parts is None else views.parts[:, kept]
    return Views(views.cameras[rows], views.masks[:, kept], images, parts)


def shrink_views(views: Views, size: int) -> Views:
    """Views averaged down to `size` pixels when they are larger by a whole factor; parts keep every n-th id."""
    _, _, height, width = views.shape
    factor = width // size
    if factor < 2 or width % factor or height % factor:
        return views
    masks = avg_pool2d(views.masks, factor)
    images = None
    if views.images is not None:
        mixed = avg_pool2d((views.images * views.masks[..., None]).movedim(-1, 2).flatten(0, 1), factor)
        images = mixed.unflatten(0, views.shape[:2]).movedim(2, -1) / masks[..., None].clamp(min=1e-3)
    parts = None if views.parts is None else views.parts[..., factor // 2 :: factor, factor // 2 :: factor]
    return Views(views.cameras.resized(width // factor, height // factor), masks, images, parts)
