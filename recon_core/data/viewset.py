# SPDX-License-Identifier: Apache-2.0
"""Views of many objects as arrays, and batches drawn from them."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from ..cameras import Cameras
from ..errors import ConfigError


@dataclass(frozen=True)
class ViewSet:
    """O objects with V views each; the pixel arrays are memory maps that nobody writes to.

    `masks` and the other full frames are M x M; `inputs` are crops around the object, S x S.
    """

    names: list[str]  # (O) "<category>/<object>"
    categories: list[str]  # of the dataset
    part_names: dict[str, list[str]]  # category -> names, id = place + 1
    symmetry_order: np.ndarray  # (O,) int64: 1 none, n = n-fold about Z, 0 = any angle
    inputs: np.ndarray  # (O, V, S, S, 4) uint8, sRGB, straight alpha
    masks: np.ndarray  # (O, V, M, M) uint8, coverage
    world_to_cam: np.ndarray  # (O, V, 4, 4) float32
    fx: np.ndarray  # (O, V) float32, pixels of the M x M frames
    fy: np.ndarray
    cx: np.ndarray
    cy: np.ndarray
    images: np.ndarray | None = None  # (O, V, M, M, 3) uint8, straight sRGB; `masks` is its alpha
    parts: np.ndarray | None = None  # (O, V, M, M) uint8, exact ids at pixel centres, 0 = background
    depth: np.ndarray | None = None  # (O, V, M, M) float32, planar, 0 = background

    def __len__(self) -> int:
        return len(self.names)

    @property
    def views(self) -> int:
        """Views per object."""
        return self.masks.shape[1]

    @property
    def mask_size(self) -> int:
        """Side of the full frames in pixels."""
        return self.masks.shape[-1]

    @property
    def input_size(self) -> int:
        """Side of the cropped inputs in pixels."""
        return self.inputs.shape[2]

    @property
    def num_parts(self) -> int:
        """Number of named parts, the largest over the categories."""
        return max((len(names) for names in self.part_names.values()), default=0)

    @cached_property
    def category_index(self) -> np.ndarray:
        """Place (O,) int64 of each object's category among `categories`."""
        places = {category: place for place, category in enumerate(self.categories)}
        return np.array([places[name.partition("/")[0]] for name in self.names], np.int64)

    def cameras(self, objects: np.ndarray, views: np.ndarray) -> Cameras:
        """Cameras of the pairs (objects[i], views[i]), both (K,), float32 on the CPU."""
        fields = (self.world_to_cam, self.fx, self.fy, self.cx, self.cy)
        picked = [torch.from_numpy(np.ascontiguousarray(values[objects, views])) for values in fields]
        return Cameras(*picked, width=self.mask_size, height=self.mask_size)


@dataclass(frozen=True)
class Batch:
    """B objects with V supervised views each; tensors are float32 on one device."""

    input: torch.Tensor  # (B, 4, S, S) straight sRGB and alpha in [0, 1]
    input_view: torch.Tensor  # (B,) int64, index among the object's views
    input_cameras: Cameras  # (B) full-frame cameras of the input views
    objects: torch.Tensor  # (B,) int64, index into ViewSet.names
    views: torch.Tensor  # (B, V) int64, index among the object's views
    cameras: Cameras  # (B * V), object by object
    masks: torch.Tensor  # (B, V, M, M) in [0, 1]
    images: torch.Tensor | None = None  # (B, V, 3, M, M) straight sRGB in [0, 1]
    parts: torch.Tensor | None = None  # (B, V, M, M) int64
    depth: torch.Tensor | None = None  # (B, V, M, M)

    @property
    def input_is_first(self) -> bool:
        """Whether the input view is view 0 of the supervised ones."""
        return bool((self.views[:, 0] == self.input_view).all())


def sample_batch(
    viewset: ViewSet,
    objects: int,
    views: int,
    generator: torch.Generator,
    *,
    device: str | torch.device = "cpu",
    input_apart: bool = False,
) -> Batch:
    """Draw different objects and, for each, different views at random; view 0 is the input.

    With `input_apart` the input is one more view, which is not supervised. More objects than there are are
    drawn in rounds, each object once per round. The generator lives on the CPU. Raises ConfigError when an
    object has too few views.
    """
    needed = views + input_apart
    if views < 1 or needed > viewset.views or objects < 1:
        raise ConfigError(
            f"A batch of {objects} objects with {needed} different views each cannot be drawn: there are "
            f"{len(viewset)} objects with {viewset.views} views. Ask for fewer views or render more."
        )
    rounds = -(-objects // len(viewset))
    picked = torch.cat([torch.randperm(len(viewset), generator=generator) for _ in range(rounds)])[:objects]
    order = torch.rand(objects, viewset.views, generator=generator).argsort(1)[:, :needed]
    return gather_batch(viewset, picked, order[:, needed - views :], order[:, 0], device=device)


def gather_batch(
    viewset: ViewSet,
    objects: torch.Tensor,
    views: torch.Tensor,
    input_view: torch.Tensor | None = None,
    *,
    device: str | torch.device = "cpu",
) -> Batch:
    """The batch of given objects (B,) and views (B,V); the input is views[:, 0] unless given (B,)."""
    objects, views = objects.cpu().long(), views.cpu().long()
    input_view = views[:, 0] if input_view is None else input_view.cpu().long()
    rows, columns, inputs = objects.numpy()[:, None], views.numpy(), input_view.numpy()

    def pick(values: np.ndarray | None) -> torch.Tensor | None:
        # np.asarray drops the memmap class, whose indexing is slower.
        return None if values is None else torch.from_numpy(np.asarray(values)[rows, columns]).to(device)

    masks, images, parts = pick(viewset.masks), pick(viewset.images), pick(viewset.parts)
    pixels = torch.from_numpy(np.asarray(viewset.inputs)[rows[:, 0], inputs]).to(device)
    every_row = np.broadcast_to(rows, columns.shape).reshape(-1)
    assert masks is not None
    return Batch(
        input=_unit(pixels.permute(0, 3, 1, 2)),
        input_view=input_view.to(device),
        input_cameras=viewset.cameras(rows[:, 0], inputs).to(device),
        objects=objects.to(device),
        views=views.to(device),
        cameras=viewset.cameras(every_row, columns.reshape(-1)).to(device),
        masks=_unit(masks),
        images=None if images is None else _unit(images.permute(0, 1, 4, 2, 3)),
        parts=None if parts is None else parts.long(),
        depth=pick(viewset.depth),
    )


def subset(viewset: ViewSet, objects: list[int]) -> ViewSet:
    """The view set of some objects, as copies in memory."""
    fields = ("symmetry_order", "inputs", "masks", "world_to_cam", "fx", "fy", "cx", "cy")
    optional = [name for name in ("images", "parts", "depth") if getattr(viewset, name) is not None]
    picked = {name: np.asarray(getattr(viewset, name))[objects] for name in (*fields, *optional)}
    return replace(viewset, names=[viewset.names[index] for index in objects], **picked)


def _unit(pixels: torch.Tensor) -> torch.Tensor:
    """8-bit values to float32 in [0, 1], contiguous."""
    return pixels.contiguous().float().div_(255.0)
