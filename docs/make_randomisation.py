# SPDX-License-Identifier: Apache-2.0
"""One object under every knob of docs/randomisation.md: what the renderer draws, and what the loader does to inputs.

    python docs/make_randomisation.py WORK [--out docs/images]

WORK keeps the mesh and the renders, so that a second call only draws the pictures again.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from recon_core.data.augment import AugmentConfig, augment_input
from recon_core.data.crop import crop_square, fit_box
from recon_core.data.dataset import Dataset
from recon_core.io.atomic import atomic_path
from recon_core.resources import resource_dir
from recon_core.visual import caption, grid

COLUMNS, CELL_PX, INPUT_PX, COLORS = 7, 96, 80, 256
ONE_VIEW = ("--azimuth", "35", "35", "--elevation", "20", "20", "--light", "fixed")
BELOW = ("--azimuth", "35", "35", "--elevation", "-15", "-15", "--light", "fixed")
CAMERAS = ("--lens", "25", "100", "--distance", "auto")
LOOK = ("--light", "photo", "--materials", "random", "--ground", "1")
# Title -> options, and whether one object has a different draw per view or needs a seed for each.
RENDERS: dict[str, tuple[tuple[str, ...], bool]] = {
    "defaults (one direction, fixed light)": (ONE_VIEW, True),
    "--lens 25 100 --distance auto": ((*ONE_VIEW, *CAMERAS), True),
    "--roll 20": ((*ONE_VIEW, "--roll", "20"), True),
    "--light random": ((*ONE_VIEW[:6], "--light", "random"), False),
    "--light photo": ((*ONE_VIEW[:6], "--light", "photo"), False),
    "--materials random": ((*ONE_VIEW, "--materials", "random"), False),
    "--ground 0.5, from below": ((*BELOW, "--ground", "0.5"), False),
    "everything, any direction": ((*CAMERAS, "--roll", "20", *LOOK), False),
}
# Title -> fields of data.augment; strong, to be seen.
INPUTS: dict[str, dict[str, float]] = {
    "brightness 0.25, contrast 0.25, saturation 0.4, channel_gain 0.1": {
        "brightness": 0.25, "contrast": 0.25, "saturation": 0.4, "channel_gain": 0.1,
    },
    "scale 0.15": {"scale": 0.15},
    "shift 0.08": {"shift": 0.08},
    "background 1 (noise 0.15)": {"background_probability": 1.0, "background_noise": 0.15},
    "blur 0.015": {"blur_probability": 1.0, "blur": 0.015},
    "noise 0.08": {"noise": 0.08},
    "jpeg 1 (step 0.08)": {"jpeg_probability": 1.0, "jpeg_step": 0.08},
    "cut 0.3": {"cut_probability": 1.0, "cut": 0.3},
}  # fmt: skip
MASKS: dict[str, dict[str, float]] = {
    "mask_error 0.02": {"mask_error_probability": 1.0, "mask_error": 0.02},
    "matting 0.03": {"matting_probability": 1.0, "matting": 0.03},
    "hole 0.15": {"hole_probability": 1.0, "hole": 0.15},
    "spill 0.12": {"spill_probability": 1.0, "spill": 0.12},
    "occluder 0.15": {"occluder_probability": 1.0, "occluder": 0.15},
}
PHOTO = {"background_probability": 0.5, "background_noise": 0.15}


def main(argv: list[str]) -> int:
    """Make the object, render it under each knob and write two PNGs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for the mesh and the renders, kept")
    parser.add_argument("--index", type=int, default=0, help="which chair")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "images", help="folder for the PNGs"
    )
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    meshes = make_copies(options.work, options.index)
    rows = [titled(title, renders(meshes, options.work, *row)) for title, row in RENDERS.items()]
    write(options.out / "randomisation_renders.png", rows)
    write(options.out / "randomisation_inputs.png", input_rows(options.work))
    return 0


def run_script(script: str, *arguments: str) -> None:
    """Run one of render_scripts/ in this Python, which has the bpy module; stop with its status when it fails."""
    command = [sys.executable, str(resource_dir("render_scripts") / script), *arguments, "--quiet"]
    status = subprocess.run(command, check=False).returncode
    if status != 0:
        raise SystemExit(status)


def make_copies(work: Path, index: int) -> Path:
    """One chair under COLUMNS names: what is drawn per object depends on its name."""
    meshes = work / "copies" / "chair"
    if not meshes.is_dir():
        run_script("make_shapes.py", "--category", "chair", "--count", "1", "--start", str(index),
                   "--output", str(work / "meshes"))  # fmt: skip
        source = next((work / "meshes" / "chair").iterdir())
        for column in range(COLUMNS):
            shutil.copytree(source, meshes / f"draw_{column}")
    return meshes.parent


def renders(meshes: Path, work: Path, options: tuple[str, ...], per_view: bool) -> list[np.ndarray]:
    """COLUMNS pictures of the object: the views of one copy, or one view each of all copies."""
    sources = meshes / "chair" / "draw_0" if per_view else meshes
    data = render_folder(work, options)
    if not (data / "dataset.json").is_file():
        run_script("render_views.py", str(sources), "--output", str(data), *options, "--category", "chair",
                   "--views", str(COLUMNS if per_view else 1), "--size", str(CELL_PX), "--points", "0",
                   "--passes", "rgb,mask")  # fmt: skip
    dataset = Dataset.open(data)
    shown = [(name, view) for name in dataset.objects() for view in range(dataset.views(name))]
    return [on_grey(dataset.image(name, view)) for name, view in shown]


def render_folder(work: Path, options: tuple[str, ...]) -> Path:
    """Where the renders with these options lie."""
    return work / "renders" / "_".join(options).replace("-", "")


def on_grey(rgba: np.ndarray) -> np.ndarray:
    """RGB (H,W,3) uint8 of a picture over the grey that inputs have."""
    alpha = rgba[..., 3:] / 255
    return np.rint(rgba[..., :3] * alpha + 127.5 * (1 - alpha)).astype(np.uint8)


def input_rows(work: Path) -> list[list[np.ndarray]]:
    """Rows of one crop under every knob of the loader: its picture, and for mask errors the mask beside it."""
    dataset = Dataset.open(render_folder(work, RENDERS["--light photo"][0]))
    name = dataset.objects()[2]
    rgba = crop_square(dataset.image(name, 0), fit_box(dataset.mask(name, 0)), INPUT_PX)
    rows = [titled(title, pictures(rgba, fields, COLUMNS + 1, False)) for title, fields in INPUTS.items()]
    halves = (COLUMNS + 1) // 2
    for title, fields in MASKS.items():
        rows.append(titled(f"{title}: input and mask", pictures(rgba, fields | PHOTO, halves, True)))
    every = {
        key: value for fields in (*INPUTS.values(), *MASKS.values(), PHOTO) for key, value in fields.items()
    }
    shares = {key: 0.3 for key in every if key.endswith("_probability")}
    rows.append(titled("everything, each with probability 0.3", pictures(rgba, every | shares, halves, True)))
    return rows


def pictures(rgba: np.ndarray, fields: dict[str, float], count: int, with_mask: bool) -> list[np.ndarray]:
    """`count` draws of one crop (S,S,4) uint8."""
    crops = torch.from_numpy(rgba).permute(2, 0, 1).float().div(255).expand(count, -1, -1, -1)
    config = AugmentConfig(**{**AugmentConfig.off().model_dump(), **fields})
    drawn = augment_input(crops, config, torch.Generator().manual_seed(3))
    cells = []
    for one in drawn.mul(255).round().byte().permute(0, 2, 3, 1).numpy():
        cells.append(one[..., :3])
        cells += [np.repeat(one[..., 3:], 3, -1)] if with_mask else []
    return cells


def titled(title: str, cells: list[np.ndarray]) -> list[np.ndarray]:
    """One picture of a row of cells with its title above."""
    return [caption(grid([cells], gap=2), title, 13, above=True)]


def write(path: Path, rows: list[list[np.ndarray]]) -> None:
    """Write rows as a PNG of few colours: these pictures are full of noise."""
    picture = Image.fromarray(grid(rows, gap=2)).quantize(COLORS)
    with atomic_path(path) as temporary:
        picture.save(temporary, "PNG", optimize=True)
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
