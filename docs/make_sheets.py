# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of the procedural objects: 64 of each category, seed 0, rendered once, laid out 8 x 8 on white.

    python docs/make_sheets.py WORK [--category chair] [--out docs/images] [--jobs 2]
    python docs/make_sheets.py WORK --stylised     # one sheet: half cars, half of all other categories

WORK keeps the meshes and the renders, so that a second call only lays them out again. The three steps are
`recon shapes`, `recon render` (one view: azimuth 35, elevation 20 degrees, 16 samples, fixed light) and this script.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from recon_core.data.dataset import Dataset
from recon_core.io.atomic import atomic_path
from recon_core.visual import grid, to_rgb

CATEGORIES = ("chair", "airplane", "car", "bed", "bench", "cabinet", "lamp", "sofa", "table")
COLUMNS, ROWS = 8, 8
VIEW = ("--views", "1", "--azimuth", "35", "35", "--elevation", "20", "20", "--light", "fixed")
IMAGES = ("--samples", "16", "--size", "128", "--passes", "rgb,mask", "--points", "0")


def main(argv: list[str]) -> int:
    """Make the objects, render them and write one PNG per category."""
    options = parse(argv)
    if options.stylised:
        return stylised(options)
    meshes, data = options.work / "meshes", options.work / "dataset"
    count, jobs = str(COLUMNS * ROWS), str(options.jobs)
    chosen = [word for category in options.category for word in ("--category", category)]
    recon("shapes", *chosen, "--count", count, "--seed", "0", "--output", str(meshes), "--jobs", jobs)
    recon("render", str(meshes), "--output", str(data), *VIEW, *IMAGES, "--jobs", jobs)
    dataset = Dataset.open(data)
    for category in options.category:
        save(sheet(dataset, f"{category}/"), options.out / f"shapes_{category}.png")
    return 0


def stylised(options: argparse.Namespace) -> int:
    """Make stylised objects, 32 cars and 4 of each other category, and write one PNG of all."""
    meshes, data = options.work / "stylised", options.work / "stylised_dataset"
    others = [word for category in CATEGORIES if category != "car" for word in ("--category", category)]
    each = (("--category", "car", "--count", "32"), (*others, "--count", "4"))
    for words in each:
        recon("shapes", *words, "--stylised", "1", "--output", str(meshes), "--jobs", str(options.jobs))
    recon("render", str(meshes), "--output", str(data), *VIEW, *IMAGES, "--jobs", str(options.jobs))
    save(sheet(Dataset.open(data), ""), options.out / "shapes_stylised.png")
    return 0


def save(picture: np.ndarray, path: Path) -> None:
    """Write a PNG and say how large it is."""
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, "PNG", optimize=True)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for meshes and renders, kept")
    parser.add_argument("--category", nargs="+", default=list(CATEGORIES), choices=CATEGORIES)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "images", help="folder for the PNGs"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--stylised", action="store_true", help="the sheet of stylised objects instead")
    return parser.parse_args(argv)


def recon(*arguments: str) -> None:
    """Run a verb of the command line; stop with its exit status when it fails."""
    status = subprocess.run([sys.executable, "-m", "recon_core.cli", *arguments], check=False).returncode
    if status != 0:
        raise SystemExit(status)


def sheet(dataset: Dataset, prefix: str) -> np.ndarray:
    """The first 64 objects whose names begin with `prefix` (H,W,3) uint8, in reading order of their index."""
    names = [name for name in dataset.objects() if name.startswith(prefix)][: COLUMNS * ROWS]
    pictures = np.stack([dataset.image(name, 0) for name in names])  # (64, S, S, 4)
    rows, columns = (used(pictures[..., 3].max(axis)) for axis in ((0, 2), (0, 1)))
    cells = [to_rgb(picture) for picture in pictures[:, rows, columns]]
    return grid([cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)], gap=8)


def used(profile: np.ndarray) -> slice:
    """From the first to the last place where any object is: what is empty in all pictures is cut away."""
    covered = np.flatnonzero(profile)
    return slice(covered[0], covered[-1] + 1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
