# SPDX-License-Identifier: Apache-2.0
"""A picture of labels: the object from four sides in the colours of its parts, a legend, and what the model saw."""

import numpy as np

from .. import visual
from ..inference.preview import legend
from .label import Labelled
from .source import Source

TILE_PX = 240
_AZIMUTHS_DEG = (30, 120, 210, 300)
_ELEVATION_DEG = 20


def draw_labels(source: Source, found: Labelled) -> np.ndarray:
    """The picture (H,W,3) uint8."""
    xyz = found.transform.apply(source.points.xyz.astype(np.float64))
    colors = visual.color_labels(found.point_labels, visual.palette(len(found.part_names)))
    sides = [visual.draw_cloud(xyz, colors, azimuth, _ELEVATION_DEG, TILE_PX) for azimuth in _AZIMUTHS_DEG]
    texts = [f"azimuth {azimuth}°" for azimuth in _AZIMUTHS_DEG]
    step = max(1, len(found.crops) // 4)
    seen = [np.kron(visual.to_rgb(crop), np.ones((2, 2, 1), np.uint8)) for crop in found.crops[::step][:4]]
    picture = visual.grid([sides, seen], [texts, ["model input", "", "", ""]])
    names = list(found.part_names)
    return np.concatenate((picture, legend(names, found.point_labels, picture.shape[1])))
