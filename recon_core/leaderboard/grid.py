# SPDX-License-Identifier: Apache-2.0
"""The picture grid: a row per test object; the input, the truth, and every recipe's cloud from one fixed view."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .. import visual
from ..data.dataset import Dataset
from ..data.viewset import ViewSet
from ..errors import ReconError
from ..evaluation.truth import load_split
from ..io.images import write_png
from ..methods.run import LoadedRun, load_run
from ..pointcloud import PointCloud
from ..threads import single_threaded

OBJECTS = 6
TILE_PX = 176
VIEW_DEG = (30.0, 20.0)  # azimuth, elevation: from the front right, a little above
INPUT_VIEW = 0


def write_grid(
    path: Path, data: Path, split: str, runs: Sequence[tuple[str, Path, dict[str, Any]]]
) -> list[str]:
    """Write the grid of runs (name, folder, metrics.json), in this order; returns the objects shown.

    Clouds are in the object frame, those of learnt poses by the rotation that the evaluation found.
    """
    dataset = Dataset.open(data)
    names = chosen_objects(dataset, split)
    rows: list[list[np.ndarray | None]] = [[None, truth_tile(dataset, name)] for name in names]
    headings = ["input", "truth"]
    with single_threaded():
        for title, folder, result in runs:
            try:
                loaded = load_run(folder, "cpu")
                views = load_split(dataset, split, loaded, progress=False)
                tiles = _cloud_tiles(loaded, views, names, result.get("alignment"))
            except ReconError:
                continue  # its row says why; the others are shown
            for row, name, tile in zip(rows, names, tiles):
                row[0] = input_tile(views, name) if row[0] is None else row[0]
                row.append(tile)
            headings.append(title)
    write_png(path, visual.grid(rows, headings, gap=6))
    return names


def chosen_objects(dataset: Dataset, split: str) -> list[str]:
    """Up to six objects spread evenly over a split: not the best ones, nor the same category."""
    names = dataset.objects(split)
    return [names[int(place)] for place in np.unique(np.linspace(0, len(names) - 1, OBJECTS).astype(int))]


def truth_tile(dataset: Dataset, name: str) -> np.ndarray:
    """The true points, in their colours."""
    return cloud_tile(dataset.points(name))


def cloud_tile(cloud: PointCloud) -> np.ndarray:
    """A cloud (TILE_PX, TILE_PX, 3) in its colours, else in those of its parts, else plain."""
    colors = cloud.colors
    if colors is None and cloud.labels is not None:
        colors = visual.color_labels(cloud.labels)
    return visual.draw_cloud(cloud.xyz, colors, *VIEW_DEG, TILE_PX)


def input_tile(views: ViewSet, name: str) -> np.ndarray:
    """What a model sees, over white, enlarged to the tile, with the object's name below."""
    crop = visual.to_rgb(np.array(views.inputs[views.names.index(name), INPUT_VIEW]))
    enlarged = Image.fromarray(crop).resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC)
    return visual.caption(np.asarray(enlarged), name, height_px=11)


def _cloud_tiles(
    loaded: LoadedRun, views: ViewSet, names: list[str], alignment: dict[str, Any] | None
) -> list[np.ndarray]:
    rows = [views.names.index(name) for name in names]
    points = loaded.predict(np.ascontiguousarray(views.inputs[rows, INPUT_VIEW])).points
    turn = np.eye(3) if alignment is None else np.array(alignment["rotation"])
    tiles = []
    for index in range(len(rows)):
        cloud = points.map(lambda values: values.detach().cpu()).cloud(index)
        cloud.xyz = (cloud.xyz @ turn.T).astype(np.float32)
        tiles.append(cloud_tile(cloud))
    return tiles
