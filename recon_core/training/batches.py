# SPDX-License-Identifier: Apache-2.0
"""Training batches: views drawn from a view set, inputs augmented and composed."""

import numpy as np
import torch

from ..data.augment import augment_input, compose_input
from ..data.viewset import ViewSet, gather_batch, sample_batch
from ..methods.recipe import KnownPose, Recipe
from ..methods.terms import Views
from .bootstrap import Bootstrap
from .step import StepInput


def draw_batch(
    viewset: ViewSet,
    recipe: Recipe,
    generator: torch.Generator,
    device: torch.device,
    bootstrap: Bootstrap | None = None,
) -> StepInput:
    """A random batch; with learnt poses every supervised view is also an input."""
    batch = sample_batch(viewset, recipe.optim.objects, recipe.optim.views, generator, device=device)
    inputs = _inputs(viewset, batch.objects, batch.views, recipe, device)
    flat = augment_input(inputs.flatten(0, 1), recipe.data.augment, generator)
    ranked = None
    if bootstrap is not None:
        ranked = bootstrap.rotations[batch.objects.cpu()[:, None], batch.views.cpu()].to(device)
    return StepInput(flat.unflatten(0, inputs.shape[:2]), _views(batch), ranked)


def fixed_batch(
    viewset: ViewSet, recipe: Recipe, objects: int, views: int, device: torch.device, first_view: int = 0
) -> StepInput:
    """The first objects with consecutive views from `first_view` on, without augmentation."""
    rows = torch.arange(min(objects, len(viewset)))
    count = min(views, viewset.views)
    columns = ((first_view + torch.arange(count)) % viewset.views).expand(len(rows), count)
    batch = gather_batch(viewset, rows, columns, device=device)
    inputs = _inputs(viewset, rows, columns, recipe, device)
    return StepInput(compose_input(inputs.flatten(0, 1)).unflatten(0, inputs.shape[:2]), _views(batch))


def _inputs(
    viewset: ViewSet, objects: torch.Tensor, views: torch.Tensor, recipe: Recipe, device: torch.device
) -> torch.Tensor:
    """Straight RGBA crops (B,E,4,S,S) in [0,1]: of the first view alone where poses are known."""
    used = views[:, :1] if isinstance(recipe.pose, KnownPose) else views
    crops = np.asarray(viewset.inputs)[objects.cpu().numpy()[:, None], used.cpu().numpy()]
    pixels = torch.from_numpy(crops).to(device).permute(0, 1, 4, 2, 3)
    return pixels.contiguous().float() / 255


def _views(batch) -> Views:
    images = None if batch.images is None else batch.images.permute(0, 1, 3, 4, 2)
    return Views(batch.cameras, batch.masks, images, batch.parts)
