# SPDX-License-Identifier: Apache-2.0
"""What a user says about where the object is: a box, strokes, or a model that segments."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import ConfigError, InputError
from .first_guess import BACKGROUND, OBJECT

# What is looked at around a box, on each side, in shares of its longer side: the background's colours there.
_AROUND = 0.3
_LEAST_BOX_PX = 8


@dataclass(frozen=True)
class MaskHints:
    """Help in finding the object. Pixels are those of the upright image, (0, 0) its upper left corner."""

    box_px: tuple[float, float, float, float] | None = None  # left, top, width, height
    scribbles: Path | None = None  # picture with strokes (scribbles.py)
    segmenter: Path | None = None  # ONNX file (segmenter.py)

    def __bool__(self) -> bool:
        return self != MaskHints()

    @property
    def of_one_image(self) -> bool:
        """Whether they belong to one image alone: a box and strokes do, a model does not."""
        return self.box_px is not None or self.scribbles is not None


@dataclass(frozen=True)
class Region:
    """The part of an image that is looked at, and what is known in it."""

    rows: slice
    columns: slice
    outside: np.ndarray  # (h, w) bool: outside the box
    strokes: np.ndarray | None  # (h, w) int8: OBJECT, UNKNOWN, BACKGROUND

    def known(self, shape: tuple[int, int]) -> np.ndarray | None:
        """What is known at a smaller size (h', w') int8: strokes stay however thin they are; None: nothing is."""
        if self.strokes is None and not self.outside.any():
            return None
        known = np.zeros(shape, np.int8)
        if self.strokes is not None:
            for_object, against = (_share(self.strokes == value, shape) for value in (OBJECT, BACKGROUND))
            known[(for_object > 0) & (for_object >= against)] = OBJECT
            known[against > for_object] = BACKGROUND
        known[_share(self.outside, shape) > 127] = BACKGROUND
        return known


def check_hints(hints: MaskHints, mask_path: str | Path | None, images: int = 1) -> None:
    """Raise ConfigError when hints exclude one another, a mask file, or one another's number of images."""
    if hints and mask_path is not None:
        raise ConfigError(
            f"--mask {mask_path} already says what the object is; leave out --box, --scribbles and --segmenter."
        )
    if hints.scribbles is not None and hints.segmenter is not None:
        raise ConfigError("--scribbles and --segmenter exclude each other: give the one or the other.")
    if hints.of_one_image and images > 1:
        option = "--box" if hints.box_px is not None else "--scribbles"
        raise ConfigError(
            f"{option} belongs to one image, but {images} images were given. Run them one by one."
        )


def region_of(hints: MaskHints, rgb: np.ndarray, name: str) -> Region:
    """The region of rgb (H,W,3) uint8 around the box (everything without one), and what box and strokes say in it.

    Raises InputError, beginning with `name`, for a box beside the image or strokes that cannot be read.
    """
    height, width = rgb.shape[:2]
    outside = np.zeros((height, width), bool)
    rows, columns, strokes = slice(0, height), slice(0, width), None
    if hints.box_px is not None:
        left, top, right, bottom = corners_of(hints.box_px, width, height, name)
        outside[:] = True
        outside[top:bottom, left:right] = False
        reach = round(_AROUND * max(right - left, bottom - top))
        rows = slice(max(0, top - reach), bottom + reach)
        columns = slice(max(0, left - reach), right + reach)
    if hints.scribbles is not None:
        from .scribbles import read_scribbles

        strokes = read_scribbles(hints.scribbles, rgb)[rows, columns]
    return Region(rows, columns, outside[rows, columns], strokes)


def corners_of(
    box_px: tuple[float, float, float, float], width: int, height: int, name: str
) -> tuple[int, int, int, int]:
    """Left, top, right and bottom pixel bounds of a box, cut to the image; raises InputError when little is left."""
    x, y, w, h = box_px
    if not np.isfinite(box_px).all() or w <= 0 or h <= 0:
        raise InputError(
            f"--box {x:g} {y:g} {w:g} {h:g}: expected left, top, width and height in pixels, the last two positive."
        )
    left, top = max(0, int(np.floor(x))), max(0, int(np.floor(y)))
    right, bottom = min(width, int(np.ceil(x + w))), min(height, int(np.ceil(y + h)))
    if right - left < _LEAST_BOX_PX or bottom - top < _LEAST_BOX_PX:
        raise InputError(
            f"{name}: of --box {x:g} {y:g} {w:g} {h:g}, less than {_LEAST_BOX_PX} x {_LEAST_BOX_PX} pixels are in the "
            f"image of {width} x {height}. Expected left, top, width and height in pixels of the upright image."
        )
    return left, top, right, bottom


def _share(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """How much (h',w') of each pixel of a smaller picture a mask (h,w) bool covers, 0 to 255; never 0 where it does."""
    picture = Image.fromarray(mask.astype(np.uint8) * 255)
    share = np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BOX)).astype(np.int16)
    if mask.shape[0] <= shape[0] and mask.shape[1] <= shape[1]:
        return share
    rows, columns = np.nonzero(mask)
    row, column = rows * shape[0] // mask.shape[0], columns * shape[1] // mask.shape[1]
    share[row, column] = np.maximum(share[row, column], 1)
    return share
