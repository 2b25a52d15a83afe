# SPDX-License-Identifier: Apache-2.0
"""Plain images with transparency and without cameras: SRC/<object>.png, or SRC/<object>/*.png for several views."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import DatasetError, InputError
from ..crop import crop_square, fit_box
from .base import (
    Entry,
    FormatInfo,
    ImportedObject,
    ImportedView,
    ImportOptions,
    read_mask,
    read_rgba,
    view_count,
)
from .paths import folders

INFO = FormatInfo("a folder of images with alpha or masks; cameras are unknown", up="Z", front="-Y")

ENDINGS = (".png", ".webp", ".jpg", ".jpeg")
# photo.jpg may have its mask in photo_mask.png.
MASK_SUFFIX = "_mask"
# With the default lens at distance 2, an object of diagonal 1 is at most 0.97 of the image and mostly half of it.
MARGIN = 1.6
DEFAULT_SIZE_PX = 128


def entries(options: ImportOptions) -> Iterator[Entry]:
    """A folder of images is an object with several views, an image beside folders an object with one."""
    category = options.category or "object"
    for path in _images(options.source):
        yield Entry(category, path.stem, path.name, partial(_load, [path], options))
    for folder in folders(options.source):
        if found := _images(folder):
            yield Entry(category, folder.name, folder.name, partial(_load, found, options))


def _images(folder: Path) -> list[Path]:
    entries = (Path(one.path) for one in os.scandir(folder) if one.is_file() and not one.name.startswith("."))
    found = sorted(path for path in entries if path.suffix.lower() in ENDINGS)
    stems = {path.stem for path in found}
    return [path for path in found if not _is_mask_of(path.stem, stems)]


def _is_mask_of(stem: str, stems: set[str]) -> bool:
    return stem.endswith(MASK_SUFFIX) and stem.removesuffix(MASK_SUFFIX) in stems


def _load(paths: list[Path], options: ImportOptions) -> ImportedObject:
    count = view_count(options, len(paths), paths[0].parent)
    return ImportedObject(count, lambda index: _load_view(paths[index], options))


def _load_view(path: Path, options: ImportOptions) -> ImportedView:
    """The image cropped around the object, or as it is when the frame is to be kept."""
    rgba = _with_mask(path)
    if not options.keep_frame:
        try:
            rgba = crop_square(rgba, fit_box(rgba[..., 3], MARGIN), options.size or DEFAULT_SIZE_PX)
        except InputError as error:
            raise DatasetError(f"{path}: {error}") from error
    return ImportedView(np.ascontiguousarray(rgba[..., 3]), rgba[..., :3], recon={"source": path.name})


def _with_mask(path: Path) -> np.ndarray:
    """Pixels (H,W,4) with the mask beside the image as alpha, else the image's own alpha."""
    rgba, has_alpha = read_rgba(path)
    masks = (path.with_name(f"{path.stem}{MASK_SUFFIX}{ending}") for ending in ENDINGS)
    mask_path = next((one for one in masks if one.is_file()), None)
    if mask_path is not None:
        mask = read_mask(mask_path)
        if mask.shape != rgba.shape[:2]:
            raise DatasetError(f"{path} and {mask_path.name} have different sizes.")
        return np.dstack((rgba[..., :3], mask))
    if not has_alpha or rgba[..., 3].min() == 255:
        raise DatasetError(
            f"{path} has no transparency and there is no {path.stem}{MASK_SUFFIX}.png, so the object cannot be told "
            "from the background."
        )
    return rgba
