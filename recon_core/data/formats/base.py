# SPDX-License-Identifier: Apache-2.0
"""What every importer gives and takes: objects and views as values, entries that load them one at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch

from ...cameras import Cameras
from ...errors import DatasetError, InputError
from ...io.images import read_image
from ...pointcloud import PointCloud

Normalise = Literal["source", "points", "cameras"]


@dataclass(frozen=True)
class ImportOptions:
    """What to import and how; axes and normalisation are the format's own where None."""

    source: Path
    target: Path
    category: str | None = None
    limit: int = 0  # objects; 0 = all
    views: int = 0  # of each object, the first ones; 0 = all
    size: int = 0  # width and height of the written images in pixels; 0 = as in the source
    up: str | None = None
    front: str | None = None
    normalise: Normalise | None = None
    center: tuple[float, float, float] | None = None  # source frame, with `scale` (transforms)
    scale: float | None = None  # object units per source unit
    keep_frame: bool = False  # images: no cropping around the object
    dry_run: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class FormatInfo:
    """A foreign layout: what it is in one line, its axes, and how its objects come to diagonal 1."""

    summary: str
    up: str
    front: str
    normalise: Normalise = "source"
    accepts_file: bool = False  # the source may also be a single file
    countable: bool = True  # listing the objects does not mean reading them


@dataclass(frozen=True)
class ImportedView:
    """One view, (H,W) pixels; the colours are straight (not mixed with a background)."""

    mask: np.ndarray  # (H, W) uint8, coverage
    rgb: np.ndarray | None = None  # (H, W, 3) uint8 sRGB
    depth: np.ndarray | None = None  # (H, W) float32, planar, source units, 0 = background
    parts: np.ndarray | None = None  # (H, W) uint8 ids, 0 = background
    recon: dict[str, Any] = field(default_factory=dict)  # goes under the frame's "recon"


@dataclass(frozen=True)
class ImportedObject:
    """An object in its source frame; pixels are decoded view by view with `load_view(index)`.

    `cameras` (V) have OpenGL axes and are for the images as `load_view` gives them; None when unknown.
    """

    views: int
    load_view: Callable[[int], ImportedView]
    cameras: Cameras | None = None
    points: PointCloud | None = None
    part_names: tuple[str, ...] = ()
    max_depth: float = 0.0  # source units: the largest value a depth image can hold; 0 = no depth
    dropped: tuple[str, ...] = ()  # what of the source has no place in the native folder


@dataclass(frozen=True)
class Entry:
    """One object of a source, not yet loaded; `load` raises ReconError or OSError when it is unusable."""

    category: str
    name: str
    source: str
    load: Callable[[], ImportedObject]
    split: str | None = None  # train, val or test when the source says so

    @property
    def full_name(self) -> str:
        """<category>/<object>."""
        return f"{self.category}/{self.name}"


class Importer(Protocol):
    """A module of this package."""

    INFO: FormatInfo

    @staticmethod
    def entries(options: ImportOptions) -> Iterator[Entry]:
        """Objects of options.source; raises DatasetError when the folder is not of this format."""
        ...


def failing(category: str, name: str, source: str, message: str, split: str | None = None) -> Entry:
    """An entry that is known to be unusable: it ends up in the report of what was skipped."""

    def load() -> ImportedObject:
        raise DatasetError(message)

    return Entry(category, name, source, load, split)


def view_count(options: ImportOptions, available: int, where: object) -> int:
    """How many of an object's views to take; raises DatasetError when there are none."""
    if not available:
        raise DatasetError(f"{where} has no views.")
    return min(available, options.views) if options.views else available


def read_rgba(path: Path) -> tuple[np.ndarray, bool]:
    """Pixels (H,W,4) uint8 of an image file and whether it stores transparency."""
    try:
        image = read_image(path)
    except InputError as error:
        raise DatasetError(str(error)) from error
    return image.rgba, image.has_alpha


def read_mask(path: Path) -> np.ndarray:
    """A mask file (H,W) uint8: its alpha when anything in it is transparent (a cut-out), else its brightness."""
    rgba, has_alpha = read_rgba(path)
    if has_alpha and rgba[..., 3].min() < 255:
        return np.ascontiguousarray(rgba[..., 3])
    return rgba[..., :3].max(-1)


def straight_from_white(rgb: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Straight colours (H,W,3) uint8 of an object composited on white, coverage (H,W) uint8.

    c = a s + (1 - a) 255, solved for s; where nothing is covered, black.
    """
    alpha = coverage[..., None].astype(np.float32) / 255.0
    straight = (rgb.astype(np.float32) - 255.0 * (1 - alpha)) / np.maximum(alpha, 1 / 255)
    return np.where(alpha > 0, np.rint(np.clip(straight, 0, 255)), 0).astype(np.uint8)


def square_cameras(matrices: torch.Tensor, focal_widths: float, size: int) -> Cameras:
    """Centred square cameras of world-to-camera matrices (B,4,4) float64."""
    ones = matrices.new_ones(len(matrices))
    half, focal = ones * size / 2, ones * focal_widths * size
    return Cameras(matrices, focal, focal, half, half, size, size)


def centred(cameras: Cameras, left: int, top: int, side: int) -> Cameras:
    """Cameras of images that were padded to `side` squared, by `left` and `top` pixels."""
    return replace(cameras, cx=cameras.cx + left, cy=cameras.cy + top, width=side, height=side)
