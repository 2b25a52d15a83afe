# SPDX-License-Identifier: Apache-2.0
"""Checks of the images of one view: readable, and in agreement with the mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .dataset import Dataset

if TYPE_CHECKING:
    from .check import CheckReport

HALF = 128
# Anti-aliased edges: the pixel's centre may miss an object that covers a part of the pixel, never the other way
# round by more than this share of the object's pixels.
MAX_OUTSIDE = 0.005
ALPHA_TOLERANCE_LEVELS = 2
NORMAL_TOLERANCE = 0.05


@dataclass(frozen=True)
class ViewImages:
    """What later checks compare with the points; None where it cannot be read or is not there."""

    mask: np.ndarray | None  # (H, W) uint8
    depth: np.ndarray | None  # (H, W) float32


def check_view_images(dataset: Dataset, name: str, view: int, report: CheckReport) -> ViewImages:
    """Read every image of a view and note what is wrong with it."""
    there = dataset.passes(name)
    mask = report.attempt("files", lambda: dataset.mask(name, view), name, view)
    image = (
        report.attempt("files", lambda: dataset.image(name, view), name, view) if "image" in there else None
    )
    depth = (
        report.attempt("files", lambda: dataset.depth(name, view), name, view) if "depth" in there else None
    )
    if mask is None:
        return ViewImages(None, depth)
    for code, message in mask_problems(mask):
        report.add(code, [message], name, view)
    for code in ("mask empty", "mask full", "mask cut"):
        report.done[code] += 1
    if image is not None:
        report.add("alpha", alpha_problems(image, mask), name, view)
    if "parts" in there:
        parts = report.attempt("parts", lambda: dataset.parts(name, view), name, view)
        report.add("parts", [] if parts is None else part_problems(parts, mask), name, view)
    if "normals" in there:
        normals = report.attempt("files", lambda: dataset.normals(name, view), name, view)
        report.add("normals", [] if normals is None else normal_problems(normals, mask), name, view)
    return ViewImages(mask if (mask >= HALF).any() else None, depth)


def mask_problems(mask: np.ndarray) -> list[tuple[str, str]]:
    """Codes and sentences for a mask (H,W) uint8 that is empty, full or touches the frame."""
    covered = mask >= HALF
    if not covered.any():
        return [("mask empty", "the mask is empty: the object is not in the picture")]
    if covered.all():
        return [("mask full", "the mask is full: the background is not in the picture")]
    sides = {"left": covered[:, 0], "right": covered[:, -1], "top": covered[0], "bottom": covered[-1]}
    cut = [side for side, pixels in sides.items() if pixels.any()]
    if not cut:
        return []
    return [("mask cut", f"the object is cut by the frame ({', '.join(cut)}); move the camera away")]


def alpha_problems(image: np.ndarray, mask: np.ndarray) -> list[str]:
    """Compare the alpha of an image (H,W,4) with the mask (H,W); opaque images have a background instead."""
    alpha = image[..., 3]
    if alpha.min() == 255:
        return []
    off = np.abs(alpha.astype(np.int16) - mask)
    count = int((off > ALPHA_TOLERANCE_LEVELS).sum())
    return [f"alpha and mask differ in {count} pixels, by up to {off.max()} levels"] if count else []


def part_problems(parts: np.ndarray, mask: np.ndarray) -> list[str]:
    """Part ids (H,W) must lie inside the mask (H,W), and not all be background."""
    if not parts.any():
        return ["the part image is empty, the mask is not"] if (mask >= HALF).any() else []
    outside = int(((parts > 0) & (mask == 0)).sum())
    if outside > max(2, MAX_OUTSIDE * (mask >= HALF).sum()):
        return [f"{outside} pixels have a part id outside the mask"]
    return []


def normal_problems(normals: np.ndarray, mask: np.ndarray) -> list[str]:
    """Normals (H,W,3) uint8 inside fully covered pixels must have length 1."""
    inside = mask == 255
    if not inside.any():
        return []
    length = np.linalg.norm(normals[inside] / 127.5 - 1.0, axis=-1)
    wrong = float((np.abs(length - 1) > NORMAL_TOLERANCE).mean())
    return [f"{wrong:.0%} of the normals do not have length 1"] if wrong > 0.1 else []
