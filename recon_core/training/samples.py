# SPDX-License-Identifier: Apache-2.0
"""Sample pictures: what the network sees, what it should cover, what it covers, and the cloud from three sides."""

from pathlib import Path

import numpy as np
import torch

from .. import visual
from ..data.viewset import ViewSet
from ..geometry.solid import solid_points
from ..io.images import write_png
from ..methods.network import Network
from ..methods.recipe import Recipe
from ..models.surface import as_points
from ..pointcloud import PointCloud
from .batches import fixed_batch
from .step import use_predicted_poses
from .validation import render_masks

_SIDES_DEG = ((30.0, 20.0), (120.0, 20.0), (0.0, 80.0))
_TILE = 128


@torch.no_grad()
def write_samples(
    network: Network, viewset: ViewSet, recipe: Recipe, path: Path, device: torch.device, objects: int = 6
) -> None:
    """Write one picture with a row per object."""
    network.eval()
    batch = fixed_batch(viewset, recipe, objects, recipe.optim.views, device)
    shape = use_predicted_poses(network, batch, recipe)[0]
    points = solid_points(as_points(shape, recipe.model.points))
    coverage, target = render_masks(network, batch, recipe)
    network.train()
    rows = []
    for index in range(len(points.xyz)):
        tiles = [_rgb(batch.inputs[index, 0])]
        for view in range(min(3, coverage.shape[1])):
            tiles.append(visual.mask_overlay(_numpy(coverage[index, view]), _numpy(target[index, view])))
        tiles += _sides(points.cloud(index))
        rows.append([_tile(tile) for tile in tiles])
    write_png(path, visual.grid(rows))


def _sides(cloud: PointCloud) -> list[np.ndarray]:
    colors = cloud.colors
    views = [
        visual.draw_cloud(cloud.xyz, colors, azimuth, elevation, _TILE) for azimuth, elevation in _SIDES_DEG
    ]
    if cloud.labels is not None:
        colored = visual.color_labels(cloud.labels)
        views.append(visual.draw_cloud(cloud.xyz, colored, *_SIDES_DEG[0], _TILE))
    return views


def _numpy(image: torch.Tensor) -> np.ndarray:
    return image.detach().float().cpu().numpy()


def _rgb(image: torch.Tensor) -> np.ndarray:
    """Composed input (4,S,S) to (S,S,3) uint8."""
    return (_numpy(image[:3]).transpose(1, 2, 0).clip(0, 1) * 255).round().astype(np.uint8)


def _tile(image: np.ndarray) -> np.ndarray:
    """Enlarge by whole pixels to the tile's size."""
    return image.repeat(max(_TILE // image.shape[0], 1), 0).repeat(max(_TILE // image.shape[1], 1), 1)
