# SPDX-License-Identifier: Apache-2.0
"""What each knob of domain randomisation is worth: a small model trained without it, judged where it is turned.

    python benchmarks/randomisation_bench.py --out bench_random

Objects of eight categories are made and rendered with every knob, and once more without each of the renderer's. A model
is trained on each of these datasets, and on the first one without each of the loader's knobs; all are judged on the
first one's held-out objects, once as they are and once as poor photographs (every knob of the loader turned up). The
first model is trained with three seeds: what differs by less than their spread says nothing. What is there is kept.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from recon_core.bundled import CATEGORIES
from recon_core.cameras import facing_rotation
from recon_core.data.augment import AugmentConfig, augment_input
from recon_core.data.dataset import Dataset
from recon_core.evaluation.metrics import chamfer, match_clouds
from recon_core.evaluation.truth import load_split
from recon_core.geometry.solid import solid_points
from recon_core.io.atomic import write_json
from recon_core.losses.viewpoint import symmetric_distance
from recon_core.methods.run import LoadedRun, load_run
from recon_core.models.surface import as_points
from recon_core.models.viewpoint import best_rotation

RENDERS = {
    "lens": ("--lens", 25, 100),
    "light": ("--light", "photo"),
    "materials": ("--materials", "mixed"),
    "ground": ("--ground", 0.5),
    "roll": ("--roll", 10),
}
ALWAYS = ("--distance", "auto", "--elevation", -15, 50, "--passes", "rgb,mask,parts", "--samples", 8)
# What the loader turns up, by knob.
INPUTS = {
    "crop jitter": {"scale": 0.06, "shift": 0.03},
    "mask errors": {"mask_error_probability": 0.3},
    "soft outlines": {"matting_probability": 0.2},
    "holes and spills": {"hole_probability": 0.1, "spill_probability": 0.1},
    "backgrounds": {"background_probability": 0.1},
    "blur": {"blur_probability": 0.2},
    "noise": {"noise": 0.02},
    "JPEG": {"jpeg_probability": 0.2},
}
SMALL = ("model.width=16", "model.features=256", "model.hidden=256", "model.points=1000", "optim.views=2")
POOR = AugmentConfig.off().model_copy(
    update={name: value for knob in INPUTS.values() for name, value in knob.items()}
    | {"mask_error_probability": 0.6, "matting_probability": 0.4, "hole_probability": 0.3, "spill_probability": 0.3,
       "background_probability": 0.2, "blur_probability": 0.5, "noise": 0.04, "jpeg_probability": 0.5,
       "mask_error": 0.012, "matting": 0.02, "hole": 0.08, "spill": 0.06, "background_noise": 0.15, "blur": 0.015}
)  # fmt: skip


def recon(*words: object) -> None:
    """Run one verb."""
    command = [sys.executable, "-m", "recon_core.cli", *map(str, words)]
    if status := subprocess.run(command, check=False).returncode:
        raise SystemExit(status)


def make_data(out: Path, objects: int, views: int, jobs: int) -> dict[str, Path]:
    """Datasets by the renderer's knob that they lack; "" lacks none."""
    meshes = out / "meshes"
    categories = [word for name in CATEGORIES for word in ("--category", name)]
    recon("shapes", *categories, "--count", objects, "--seed", 23, "--output", meshes, "--quiet")
    folders = {}
    for lacking in ("", *RENDERS):
        folders[lacking] = out / f"data_{lacking or 'all'}"
        knobs = [word for name, words in RENDERS.items() if name != lacking for word in words]
        recon("render", meshes, "--output", folders[lacking], "--views", views, "--size", 128, "--jobs", jobs,
              "--seed", 23, *ALWAYS, *knobs)  # fmt: skip
    return folders


def loader_settings(lacking: str = "") -> list[str]:
    """Overrides that turn every knob of the loader but one."""
    off = {name: 0.0 for name in AugmentConfig.model_fields if name.endswith("_probability")}
    values = off | {"scale": 0.0, "shift": 0.0, "noise": 0.0, "rotation_deg": 0.0}
    for knob, settings in INPUTS.items():
        values |= settings if knob != lacking else {}
    return [f"data.augment.{name}={value}" for name, value in values.items()]


def train(data: Path, run: Path, steps: int, lacking: str = "", seed: int = 0) -> Path:
    """Train a small model, unless it is there."""
    if not (run / "done").exists():
        settings = [*SMALL, *loader_settings(lacking), f"optim.steps={steps}", f"seed={seed}"]
        words = [word for setting in settings for word in ("--set", setting)]
        recon("train", "bundled", "--data", data, "--out", run, *words)
        (run / "done").touch()
    return run


@torch.no_grad()
def judge(run: LoadedRun, data: Path, poor: bool, views: int) -> dict[str, float]:
    """Means over the inputs of the held-out objects: Chamfer x100, category and pose (30 degrees) told rightly."""
    network = run.network
    assert network.viewpoint is not None
    dataset, generator = Dataset.open(data), torch.Generator().manual_seed(1)
    found: dict[str, list[float]] = {"Chamfer": [], "pose": [], "category": []}
    for split in ("val", "test"):
        viewset = load_split(dataset, split, run, False)
        for index, name in enumerate(viewset.names):
            every = np.arange(views)
            rgba = torch.from_numpy(np.array(viewset.inputs[index, :views])).permute(0, 3, 1, 2).float() / 255
            images = augment_input(rgba, POOR if poor else AugmentConfig.off(), generator)
            features = network.encode(images)
            clouds = solid_points(as_points(network.decode(features, images), run.config.model.points)).xyz
            truth = dataset.points(name).xyz[:4096]
            found["Chamfer"] += [100 * float(chamfer(match_clouds(c.numpy(), truth)).sum()) for c in clouds]
            told = network.categorise(features)
            assert told is not None
            found["category"] += (told.argmax(1) == int(viewset.category_index[index])).float().tolist()
            cameras = facing_rotation(viewset.cameras(np.full_like(every, index), every).world_to_cam)
            best = best_rotation(*network.viewpoint(features))[:, None]
            order = torch.full((views,), int(viewset.symmetry_order[index]))
            apart = symmetric_distance(best, cameras[:, None].to(best), order)[:, 0]
            found["pose"] += (apart < np.sin(np.radians(15)) ** 2).float().tolist()
    return {name: float(np.mean(values)) for name, values in found.items()}


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for data, runs and figures.json")
    parser.add_argument("--objects", type=int, default=60, help="of each category [60]")
    parser.add_argument("--views", type=int, default=4, help="of each object [4]")
    parser.add_argument("--steps", type=int, default=1500, help="of each training [1500]")
    parser.add_argument("--jobs", type=int, default=0, help="Blender processes; 0: one per core [0]")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folders = make_data(options.out, options.objects, options.views, options.jobs)
    plan = [(f"every knob, seed {seed}", folders[""], "", seed) for seed in range(3)]
    plan += [(f"without {knob}", folders[knob], "", 0) for knob in RENDERS]
    plan += [(f"without {knob}", folders[""], knob, 0) for knob in INPUTS]
    figures = {}
    print("| trained with | clean: Chamfer | pose | category | poor photographs: Chamfer | pose | category |")
    for title, data, lacking, seed in plan:
        folder = options.out / "runs" / title.replace(" ", "_").replace(",", "")
        run = load_run(train(data, folder, options.steps, lacking, seed), "cpu")
        figures[title] = {
            kind: judge(run, folders[""], kind == "poor", options.views) for kind in ("clean", "poor")
        }
        cells = [f"{figures[title][kind][name]:.{2 if name == 'Chamfer' else 3}f}"
                 for kind in ("clean", "poor") for name in ("Chamfer", "pose", "category")]  # fmt: skip
        print(f"| {title} | {' | '.join(cells)} |", flush=True)
        write_json(options.out / "figures.json", figures)


if __name__ == "__main__":
    main()
