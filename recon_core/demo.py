# SPDX-License-Identifier: Apache-2.0
"""The whole path once: shapes, renders in Blender, training, scores on unseen objects, images to clouds."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

from .resources import resource_dir
from .stages import Stage, is_trained, run_stages, train_words

# An object's split depends on its name alone, and with it on the seed: with this one, 20 chairs are 15 to train on,
# 2 to validate with and 3 to test with, 150 are 120, 16 and 14.
SHAPES_SEED = 2


@dataclass(frozen=True)
class DemoOptions:
    """Sizes of the demo."""

    out: Path
    objects: int = 150
    views: int = 8
    jobs: int = 2
    steps: int | None = None  # of training; None = the recipe's
    device: str = "auto"
    size: int = 128  # of the renders, pixels


def run_demo(options: DemoOptions) -> str:
    """Run what is missing and return where everything is; raises ReconError when a stage fails."""
    started = time.monotonic()
    run_stages(demo_stages(options), "The demo")
    return summary(options, time.monotonic() - started)


def demo_stages(options: DemoOptions) -> list[Stage]:
    """The stages in order; paths below options.out."""
    out = options.out
    meshes, data, run, clouds = out / "meshes", out / "dataset", out / "run", out / "reconstructions"
    shipped = out / "reconstructions_shipped"
    # Tensors this small are faster on one thread than shared by several.
    device = ("--device", options.device, "--threads", 1)
    images = sorted(resource_dir("examples").glob("*.png"))
    return [
        Stage("Look at this machine", lambda: ["doctor"], lambda: False),
        Stage(
            f"Make {options.objects} chairs",
            lambda: ["shapes", "--count", str(options.objects), "--seed", str(SHAPES_SEED), "--output", meshes],
            lambda: len(list(meshes.glob("chair/*/object.json"))) >= options.objects,
        ),
        Stage(
            f"Render {options.views} views of each in Blender",
            lambda: _render_arguments(options, meshes, data),
            lambda: (
                (data / "splits" / "train.txt").is_file()
                and len(list(data.glob("chair/*/transforms.json"))) >= options.objects
            ),
        ),
        Stage(
            "Check the renders",
            lambda: ["check", data, "--limit", "24", "--sheet", out / "dataset.png"],
            (out / "dataset.png").is_file,
        ),
        Stage(
            "Train from the masks (colours and parts only paint the points)",
            lambda: train_words("demo", data, run, options.steps, *device),
            lambda: is_trained(run),
        ),
        Stage(
            "Score it on chairs it never saw",
            lambda: ["eval", run, "--data", data, "--out", out / "report", "--device", options.device],
            (out / "report" / "report.html").is_file,
        ),
        Stage(
            "Turn images of real meshes into clouds",
            lambda: ["reconstruct", *images, "--run", run, "--out", clouds, "--device", options.device],
            lambda: all((clouds / f"{image.stem}.json").is_file() for image in images),
        ),
        Stage(
            "The same by the shipped model, which took hours and knows eight categories",
            lambda: ["reconstruct", *images, "--out", shipped, "--report", "--device", options.device],
            (shipped / "report.html").is_file,
        ),
    ]


def _render_arguments(options: DemoOptions, meshes: Path, data: Path) -> list[str | Path]:
    numbers = {"--views": options.views, "--size": options.size, "--jobs": options.jobs}
    return ["render", meshes, "--output", data, *(word for pair in numbers.items() for word in map(str, pair))]


def summary(options: DemoOptions, seconds: float) -> str:
    """Where everything is, and the scores in a line."""
    out = options.out
    places = {
        out / "dataset.png": "what was rendered",
        out / "run" / "samples": "what the model saw and learnt, by step",
        out / "report" / "report.html": "scores, and every test chair to turn in your hand",
        out / "reconstructions": "PLY clouds and previews of the example images",
        out / "reconstructions_shipped" / "report.html": "the same images by the shipped model",
    }
    width = max(len(str(place)) for place in places)
    lines = ["", f"Done in {seconds / 60:.1f} minutes. Look at:"]
    lines += [f"  {str(place).ljust(width)}  {what}" for place, what in places.items()]
    return "\n".join(lines + _scores(out / "report" / "metrics.json"))


def _scores(path: Path) -> list[str]:
    """Chamfer of the model, the baselines and the noise floor, when metrics.json has them."""
    from .evaluation.scores import METHODS

    try:
        found = json.loads(path.read_text(encoding="utf-8"))["methods"]
        values = {name: float(found[key]["chamfer_sum"]) for key, name in METHODS.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return []
    numbers = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
    return [f"Chamfer x100 on unseen chairs (lower is better): {numbers}"]
