# SPDX-License-Identifier: Apache-2.0
"""The run folder: resolved recipe, environment, logs, samples and checkpoints."""

import platform
import sys
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from .. import __version__
from ..errors import InputError
from ..io.atomic import write_json, write_text
from ..methods.recipe import KnownPose, Recipe

if TYPE_CHECKING:
    from .checkpoints import TrainState
    from .viewsets import TrainingData


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run."""

    folder: Path

    @property
    def samples(self) -> Path:
        """Folder of sample pictures."""
        return self.folder / "samples"

    def card(self, recipe: Recipe, data: "TrainingData", state: "TrainState") -> dict[str, Any]:
        """What a reader of the weights must know."""
        frame = "object: +Z up, front -Y, box centre 0, diagonal 1"
        learnt = "canonical: the model's own, a rotation away from the object frame; diagonal about 1"
        return {
            "version": 1,
            "recipe": recipe.name,
            "generator": f"recon {__version__}",
            "frame": frame if isinstance(recipe.pose, KnownPose) else learnt,
            "categories": data.train.categories,
            "parts": data.vocabulary.parts,
            "data": {
                "folder": data.root.name,
                "train": len(data.train),
                "val": len(data.val),
                "views": data.train.views,
            },
            "licence": "that of the training data and of whoever trained it",
            "steps": state.step,
            "cpu_s": round(state.cpu_s, 1),
            "mirror": state.mirror,
            "val_mask_iou": round(state.best, 4) if state.best > float("-inf") else None,
        }


def default_folder(base: Path, experiment: str, recipe: Recipe) -> Path:
    """outputs/<experiment>/<method>/<timestamp>."""
    return base / experiment / recipe.name / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")


def create_run(folder: Path, recipe: Recipe, device: str) -> RunFolder:
    """Make a run folder with config.yaml and env.json; raise InputError when one with a checkpoint is already there."""
    if any((folder / "checkpoints").glob("step-*")):
        raise InputError(
            f"{folder} already holds a run. Go on with it by --resume {folder}, or choose another --out."
        )
    run = RunFolder(folder)
    run.samples.mkdir(parents=True, exist_ok=True)
    settings = recipe.model_dump(mode="json", by_alias=True)
    write_text(folder / "config.yaml", yaml.safe_dump(settings, sort_keys=False))
    write_json(folder / "env.json", _environment(device))
    return run


def _environment(device: str) -> dict[str, Any]:
    names = ("torch", "numpy", "scipy", "lightning-fabric", "scikit-image", "pillow")
    versions: dict[str, str | None] = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "recon": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "device": device,
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if device.startswith("cuda") else None,
        "packages": versions,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }
