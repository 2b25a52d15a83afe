# SPDX-License-Identifier: Apache-2.0
"""The shipped model from nothing: procedural objects of every category, photo-like renders, training, scores, export.

No asset of others is in it, so whoever runs this owns the weights. Own meshes join in with one option.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from .stages import Stage, is_trained, run_stages, train_words

CATEGORIES = ("airplane", "bed", "cabinet", "car", "chair", "lamp", "sofa", "table")
SEED = 11
LICENCE = "CC0-1.0: made of procedural objects alone"
# Lenses from wide to tele, any light, half of the objects repainted, half of them on a ground.
RENDER_OPTIONS = (
    "--passes", "rgb,mask,parts", "--samples", 8, "--lens", 25, 100, "--distance", "auto", "--elevation", -15, 50,
    "--roll", 5, "--light", "photo", "--materials", "mixed", "--ground", 0.5, "--seed", SEED,
)  # fmt: skip


@dataclass(frozen=True)
class BundledOptions:
    """Sizes of the run."""

    out: Path
    objects: int = 750  # of each category
    views: int = 8
    jobs: int = 0  # Blender processes; 0: one per core
    size: int = 128  # of the renders, pixels
    steps: int | None = None  # of training; None: the recipe's
    device: str = "auto"
    meshes: tuple[Path, ...] = ()  # folders of own meshes, by category
    categories: tuple[str, ...] = CATEGORIES
    stylised: int = 200  # more objects of each category, as simple model kits have them


def run_bundled(options: BundledOptions) -> str:
    """Run what is missing and return where the model is; raises ReconError when a stage fails."""
    started = time.monotonic()
    run_stages(bundled_stages(options), "The shipped model")
    return summary(options, time.monotonic() - started)


def bundled_stages(options: BundledOptions) -> list[Stage]:
    """The stages in order; paths below options.out."""
    out = options.out
    meshes, data, run = out / "meshes", out / "dataset", out / "run"
    plain = options.objects * len(options.categories)
    wanted = plain + options.stylised * len(options.categories)
    names = [word for name in options.categories for word in ("--category", name)]
    device = ("--device", options.device)
    return [
        Stage(
            f"Make {options.objects} objects of each of {len(options.categories)} categories",
            lambda: ["shapes", *names, "--count", options.objects, "--seed", SEED, "--output", meshes],
            lambda: len(list(meshes.glob("*/*/object.json"))) >= plain,
        ),
        Stage(
            f"Make {options.stylised} more of each as simple model kits have them",
            lambda: ["shapes", *names, *_stylised_words(options), "--seed", SEED, "--output", meshes],
            lambda: len(list(meshes.glob("*/*/object.json"))) >= wanted,
        ),
        Stage(
            f"Render {options.views} views of each in Blender",
            lambda: _render_words(options, meshes, data),
            lambda: _is_rendered(data, wanted) and not options.meshes,
        ),
        Stage(
            "Train",
            lambda: train_words("bundled", data, run, options.steps, *device),
            lambda: is_trained(run),
        ),
        Stage(
            "Find out how far its points are to be trusted",
            lambda: ["calibrate", run, "--data", data, "--views", 2, *device],
            (run / "confidence.json").is_file,
        ),
        Stage(
            "Score it on objects it never saw",
            lambda: ["eval", run, "--data", data, "--views", 2, *device],
            (run / "evaluation" / "test" / "report.html").is_file,
        ),
        Stage(
            "Pack it",
            lambda: [
                "pack",
                run,
                "--out",
                out / "model",
                "--name",
                "The shipped model",
                "--licence",
                LICENCE,
            ],
            (out / "model" / "model.onnx").is_file,
        ),
    ]


def _stylised_words(options: BundledOptions) -> list[str | int]:
    return ["--count", options.stylised, "--start", options.objects, "--stylised", 1]


def _render_words(options: BundledOptions, meshes: Path, data: Path) -> list[str | int | float | Path]:
    numbers = ("--views", options.views, "--size", options.size, "--jobs", options.jobs)
    return ["render", meshes, *options.meshes, "--output", data, *numbers, *RENDER_OPTIONS]


def _is_rendered(data: Path, wanted: int) -> bool:
    splits = data / "splits" / "train.txt"
    return splits.is_file() and len(list(data.glob("*/*/transforms.json"))) >= wanted


def summary(options: BundledOptions, seconds: float) -> str:
    """Where everything is."""
    out = options.out
    places = {
        out / "run" / "samples": "what the model saw and learnt, by step",
        out / "run" / "evaluation" / "test" / "report.html": "scores, and test objects to turn in your hand",
        out
        / "model": "the model to hand on: run folder, ONNX for Blender, card; the package's own is models/default",
    }
    width = max(len(str(place)) for place in places)
    lines = ["", f"Done in {seconds / 60:.0f} minutes. Look at:"]
    lines += [f"  {str(place).ljust(width)}  {what}" for place, what in places.items()]
    return "\n".join([*lines, f"Use it: recon reconstruct IMAGE --run {out / 'run'} --out DIR"])
