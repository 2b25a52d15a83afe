# SPDX-License-Identifier: Apache-2.0
"""Connected components of masks."""

from typing import Any

import numpy as np
from scipy import ndimage


def label_components(mask: np.ndarray, diagonal: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Component ids (H,W) of mask (H,W) bool from 1, and the area (count + 1,) in pixels of each; area[0] is 0."""
    result: Any = ndimage.label(mask, structure=np.ones((3, 3)) if diagonal else None)
    labels = np.asarray(result[0])
    areas = np.bincount(labels.ravel(), minlength=2)
    areas[0] = 0
    return labels, areas


def keep_main_components(mask: np.ndarray, share: float) -> np.ndarray:
    """The largest component of mask (H,W) bool, and those with at least `share` of its area."""
    labels, areas = label_components(mask, diagonal=True)
    return (areas >= max(1.0, share * areas.max()))[labels]


def keep_touching(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """The components of mask (H,W) bool that hold a pixel of seeds (H,W) bool."""
    labels, areas = label_components(mask, diagonal=True)
    kept = np.zeros(len(areas), bool)
    kept[labels[seeds & mask]] = True
    return kept[labels]


def without_specks(mask: np.ndarray, smallest: int) -> np.ndarray:
    """Fill holes and remove islands of fewer than `smallest` pixels: noise, compression, dust."""
    for value in (False, True):
        labels, areas = label_components(mask == value)
        mask = mask ^ ((areas > 0) & (areas < smallest))[labels]
    return mask
