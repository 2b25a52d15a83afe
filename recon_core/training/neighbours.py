# SPDX-License-Identifier: Apache-2.0
"""Similar objects in a collection, by the features that a network gives of their images; kept in the run folder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..data.augment import compose_input
from ..data.viewset import ViewSet
from ..io.atomic import atomic_path
from ..io.weights import load_tensors, save_tensors
from ..losses.consistency import nearest_neighbours
from ..methods.network import Network

_BATCH = 64


@dataclass
class Neighbours:
    """For each object and view (O,V,K) the flat indices object * V + view of the most similar images, nearest first."""

    index: torch.Tensor  # (O, V, K) int64

    def draw(
        self, viewset: ViewSet, objects: torch.Tensor, views: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Composed inputs (B,4,S,S) and masks (B,H,W) of one neighbour each of views (B,) of objects (B,)."""
        row = self.index[objects.cpu(), views.cpu()]  # (B, K)
        place = torch.randint(row.shape[1], (len(row),), generator=generator)
        flat = row[torch.arange(len(row)), place].numpy()
        where = (flat // self.index.shape[1], flat % self.index.shape[1])
        masks = torch.from_numpy(np.asarray(viewset.masks)[where]).float() / 255
        return compose_input(_pixels(np.asarray(viewset.inputs)[where])), masks


def find_neighbours(
    network: Network, viewset: ViewSet, count: int, path: Path, device: torch.device
) -> Neighbours:
    """The `count` most similar images of other objects to every image; read from `path` where it was written before.

    Raises InputError when there are fewer other objects' images than that.
    """
    if not path.exists():
        features = _features(network, viewset, device)
        owner = torch.arange(len(viewset)).repeat_interleave(viewset.views)
        index = nearest_neighbours(features, count, owner).view(len(viewset), viewset.views, count)
        with atomic_path(path) as temporary:
            save_tensors(temporary, {"index": index})
    return Neighbours(load_tensors(path)["index"])


@torch.no_grad()
def _features(network: Network, viewset: ViewSet, device: torch.device) -> torch.Tensor:
    """Features (O*V,F) of all images."""
    training = network.training
    network.eval()
    flat = np.asarray(viewset.inputs).reshape(-1, *viewset.inputs.shape[2:])
    chunks = [
        network.encode(compose_input(_pixels(flat[start : start + _BATCH]).to(device))).cpu()
        for start in range(0, len(flat), _BATCH)
    ]
    network.train(training)
    return torch.cat(chunks)


def _pixels(crops: np.ndarray) -> torch.Tensor:
    """Crops (B,S,S,4) uint8 as straight RGBA (B,4,S,S) in [0,1]."""
    return torch.from_numpy(np.array(crops)).permute(0, 3, 1, 2).contiguous().float() / 255
