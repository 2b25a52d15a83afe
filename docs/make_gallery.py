# SPDX-License-Identifier: Apache-2.0
"""The gallery's pictures: real meshes of each category, best, middle and worst, and what came of photographs.

    python docs/make_gallery.py meshes RUN DATASET METRICS [--out docs/images]
    python docs/make_gallery.py photos RECONSTRUCTIONS [--out docs/images]

DATASET and METRICS (metrics.json) are those of benchmarks/real_bench.py: for every category the objects of the least,
the middle and the greatest Chamfer distance are shown, from their first view. RECONSTRUCTIONS is a folder that
`recon reconstruct` wrote; of a photograph its mask alone is drawn.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from make_hero import fitted
from PIL import Image

from recon_core.data.crop import crop_square, fit_box
from recon_core.data.dataset import Dataset
from recon_core.io.atomic import atomic_path
from recon_core.io.images import read_image
from recon_core.io.ply import read_ply
from recon_core.methods.run import LoadedRun, load_run
from recon_core.pointcloud import PointCloud
from recon_core.visual import color_labels, draw_cloud, grid, to_rgb

TILE_PX = 132
AZIMUTHS_DEG = (35, 155, 275)
ELEVATION_DEG = 18


def main(argv: list[str]) -> int:
    """Draw one picture per category, or one of all photographs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("meshes", "photos"))
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    options = parser.parse_args(argv)
    if options.kind == "photos":
        rows, labels = photos(options.paths[0])
        save(options.out / "gallery_photos.png", grid(rows, labels, gap=4))
        return 0
    run, dataset = load_run(options.paths[0], "cpu"), Dataset.open(options.paths[1])
    for category, names in chosen(options.paths[2]).items():
        rows = [row(run, dataset, name) for name, _ in names]
        labels = [[f"{name.split('/')[1]}", f"{value:.1f}", "", "", "parts", "truth"] for name, value in names]
        save(options.out / f"gallery_{category}.png", grid(rows, labels, gap=4))
    return 0


def chosen(metrics: Path) -> dict[str, list[tuple[str, float]]]:
    """By category the objects of least, middle and greatest Chamfer sum (x100), with it."""
    found: dict[str, list[tuple[str, float]]] = {}
    for one in json.loads(metrics.read_text(encoding="utf-8"))["rows"]:
        value = one["methods"]["model"]["chamfer_sum"]
        found.setdefault(one["object"].split("/")[0], []).append((one["object"], value))
    picked = {}
    for category, objects in sorted(found.items()):
        ordered = sorted(objects, key=lambda pair: pair[1])
        picked[category] = [ordered[0], ordered[len(ordered) // 2], ordered[-1]]
    return picked


def row(run: LoadedRun, dataset: Dataset, name: str) -> list[np.ndarray]:
    """Input, prediction from three sides, its parts, and the true surface."""
    rgba = dataset.image(name, 0)
    mask = dataset.mask(name, 0)
    crop = crop_square(np.dstack((rgba[..., :3], mask)), fit_box(mask, run.margin), run.input_size)
    prediction = run.predict(crop[None])
    parts = None if prediction.category is None else parts_of(run, int(prediction.category[0].argmax()))
    cloud = prediction.points.cloud(0, parts=parts)
    truth = dataset.points(name)
    few = np.random.default_rng(0).permutation(len(truth))[:4000]
    colors = None if truth.colors is None else truth.colors[few]
    shown = [to_rgb(np.dstack((rgba[..., :3], mask)), (255, 255, 255)), *sides(cloud)]
    return [fitted(picture, TILE_PX) for picture in (*shown, draw(truth.xyz[few], colors, AZIMUTHS_DEG[0]))]


def parts_of(run: LoadedRun, category: int) -> int:
    """Number of parts of the category at that place."""
    return len(run.vocabulary.part_names(run.vocabulary.categories[category]))


def photos(folder: Path) -> tuple[list[list[np.ndarray]], list[list[str]]]:
    """A row per result: mask, cloud from three sides, parts."""
    rows, labels = [], []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        mask = read_image(path.with_suffix(".mask.png")).rgba[..., 0]
        shown = [to_rgb(mask), *sides(read_ply(path.with_suffix(".ply")))]
        rows.append([fitted(picture, TILE_PX) for picture in shown])
        seen = f"{record['category']} {record.get('category_probability') or 1:.2f}"
        labels.append([path.stem.replace("instantmesh_", ""), seen, "", "", "parts"])
    return rows, labels


def sides(cloud: PointCloud) -> list[np.ndarray]:
    """The cloud from three sides, and its parts from the first."""
    pictures = [draw(cloud.xyz, cloud.colors, azimuth) for azimuth in AZIMUTHS_DEG]
    if cloud.labels is not None:
        pictures.append(draw(cloud.xyz, color_labels(cloud.labels), AZIMUTHS_DEG[0]))
    return pictures


def draw(xyz: np.ndarray, colors: np.ndarray | None, azimuth_deg: float) -> np.ndarray:
    """A cloud seen from one azimuth (T,T,3) uint8."""
    return draw_cloud(xyz, colors, azimuth_deg, ELEVATION_DEG, TILE_PX)


def save(path: Path, picture: np.ndarray) -> None:
    """Write a PNG of 128 colours, and say how large it is."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture).quantize(128).save(temporary, "PNG", optimize=True)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
