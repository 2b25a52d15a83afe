# SPDX-License-Identifier: Apache-2.0
"""Training batches: views drawn from a view set, inputs augmented and composed."""

import math
from dataclasses import replace

import numpy as np
import torch

from ..data.augment import augment_input, compose_input, rotate_input_views
from ..data.recolor import draw_recolor
from ..data.viewset import Batch, ViewSet, gather_batch, sample_batch
from ..methods.recipe import KnownPose, Recipe
from ..methods.terms import Views
from .bootstrap import Bootstrap
from .neighbours import Neighbours
from .step import StepInput


def draw_batch(
    viewset: ViewSet,
    recipe: Recipe,
    generator: torch.Generator,
    device: torch.device,
    bootstrap: Bootstrap | None = None,
    neighbours: Neighbours | None = None,
) -> StepInput:
    """A random batch, some objects mirrored; with learnt poses every supervised view is also an input."""
    batch = sample_batch(viewset, recipe.optim.objects, recipe.optim.views, generator, device=device)
    inputs = _inputs(viewset, batch.objects, batch.views, recipe, device)
    if recipe.data.augment.rotation_deg > 0:
        batch = _turned(batch, math.radians(recipe.data.augment.rotation_deg), generator)
        inputs = batch.input[:, None]  # a recipe that turns inputs has known poses: one input per object
    if recipe.data.recolor > 0:
        batch, inputs = _recolored(batch, inputs, recipe.data.recolor, generator)
    flipped = (torch.rand(len(inputs), generator=generator) < recipe.data.mirror).to(device)
    inputs, views = _flip(inputs, flipped), mirror_views(_views(batch), flipped)
    ready = augment_input(inputs.flatten(0, 1), recipe.data.augment, generator).unflatten(0, inputs.shape[:2])
    ranked = None
    if bootstrap is not None:
        ranked = bootstrap.rotations[
            flipped.cpu().long()[:, None], batch.objects.cpu()[:, None], batch.views.cpu()
        ]
    like = None
    if neighbours is not None:
        drawn = neighbours.draw(viewset, batch.objects, batch.views[:, 0], generator)
        like = (_flip(drawn[0].to(device), flipped), _flip(drawn[1].to(device), flipped))
    ranked = None if ranked is None else ranked.to(device)
    return StepInput(ready, views, ranked, like, generator, *_facts(viewset, batch.objects, device))


def _turned(batch: Batch, limit_rad: float, generator: torch.Generator) -> Batch:
    """Input views turned about their optical axes by up to limit_rad, cameras and targets with them."""
    turn = (torch.rand(len(batch.input), generator=generator) * 2 - 1) * limit_rad
    return rotate_input_views(batch, turn.to(batch.input))


def _recolored(
    batch: Batch, inputs: torch.Tensor, share: float, generator: torch.Generator
) -> tuple[Batch, torch.Tensor]:
    """The batch and its inputs (B,E,4,S,S) with a share of the objects in other colours."""
    recolor = draw_recolor(inputs, share, generator)
    images = None if batch.images is None else recolor(batch.images)
    return replace(batch, images=images), torch.cat((recolor(inputs[:, :, :3]), inputs[:, :, 3:]), 2)


def mirror_views(views: Views, flipped: torch.Tensor) -> Views:
    """Mirror some objects, flipped (B,), in the plane x = 0: images are flipped and cameras match them."""
    own, mirrored = views.cameras, views.cameras.mirrored()
    every = flipped.repeat_interleave(views.shape[1])
    cameras = replace(
        own,
        world_to_cam=torch.where(every[:, None, None], mirrored.world_to_cam, own.world_to_cam),
        cx=torch.where(every, mirrored.cx, own.cx),
    )
    images = None if views.images is None else _flip(views.images, flipped, dim=-2)
    parts = None if views.parts is None else _flip(views.parts, flipped)
    return Views(cameras, _flip(views.masks, flipped), images, parts)


def _flip(values: torch.Tensor, flipped: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """Flip some elements (B,) of a batch along one axis."""
    return torch.where(flipped.view(-1, *[1] * (values.ndim - 1)), values.flip(dim), values)


def fixed_batch(
    viewset: ViewSet, recipe: Recipe, objects: int, views: int, device: torch.device, first_view: int = 0
) -> StepInput:
    """Objects spread evenly over the set, consecutive views from `first_view` on, without augmentation."""
    rows = torch.linspace(0, len(viewset) - 1, min(objects, len(viewset))).round().long()
    count = min(views, viewset.views)
    columns = ((first_view + torch.arange(count)) % viewset.views).expand(len(rows), count)
    batch = gather_batch(viewset, rows, columns, device=device)
    inputs = _inputs(viewset, rows, columns, recipe, device)
    symmetry_order, category = _facts(viewset, rows, device)
    return StepInput(
        compose_input(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2]),
        _views(batch),
        symmetry_order=symmetry_order,
        category=category,
    )


def _facts(
    viewset: ViewSet, objects: torch.Tensor, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetry order and category (B,) int64 of objects (B,)."""
    rows = objects.cpu().numpy()
    known = (np.asarray(viewset.symmetry_order)[rows], viewset.category_index[rows])
    order, category = (torch.from_numpy(values.astype(np.int64)).to(device) for values in known)
    return order, category


def _inputs(
    viewset: ViewSet, objects: torch.Tensor, views: torch.Tensor, recipe: Recipe, device: torch.device
) -> torch.Tensor:
    """Straight RGBA crops (B,E,4,S,S) in [0,1]: of the first view alone where poses are known."""
    used = views[:, :1] if isinstance(recipe.pose, KnownPose) else views
    crops = np.asarray(viewset.inputs)[objects.cpu().numpy()[:, None], used.cpu().numpy()]
    pixels = torch.from_numpy(crops).to(device).permute(0, 1, 4, 2, 3)
    return pixels.contiguous().float() / 255


def _views(batch: Batch) -> Views:
    images = None if batch.images is None else batch.images.permute(0, 1, 3, 4, 2)
    return Views(batch.cameras, batch.masks, images, batch.parts)
