# SPDX-License-Identifier: Apache-2.0
"""Start or resume a run: recipe, data, folder and device put together."""

from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric

from ..errors import CheckpointError, ConfigError
from ..methods.recipe import Recipe, load_recipe
from ..methods.run import pick_device, read_run_recipe
from .checkpoints import latest_checkpoint
from .loop import Finished, build_network, train
from .run_folder import RunFolder, create_run, default_folder
from .viewsets import open_training_data


@dataclass(frozen=True)
class TrainRequest:
    """What the command line asks for."""

    data: Path
    recipe: str | None = None
    out: Path | None = None
    overrides: tuple[str, ...] = ()
    resume: Path | None = None
    device: str = "auto"
    threads: int | None = None
    experiment: str | None = None


def resolve(request: TrainRequest) -> tuple[Recipe, Path, Path | None]:
    """The recipe, the run folder and the checkpoint to go on from; raises ConfigError or CheckpointError."""
    if request.resume is not None:
        if request.overrides or request.recipe:
            raise ConfigError("--resume goes on with the run's own recipe; leave out the recipe and --set.")
        return read_run_recipe(request.resume), request.resume, latest_checkpoint(request.resume)
    if request.recipe is None:
        raise ConfigError("Name a recipe (for example configs/splat.yaml), or a run to --resume.")
    recipe = load_recipe(request.recipe, list(request.overrides))
    folder = request.out or default_folder(Path("outputs"), request.experiment or request.data.name, recipe)
    return recipe, folder, None


def start_training(request: TrainRequest) -> Finished:
    """Train; raises the ReconError family on anything the user can mend."""
    if request.threads:
        torch.set_num_threads(request.threads)
    recipe, folder, checkpoint = resolve(request)
    device = pick_device(request.device)
    data = open_training_data(request.data, recipe)
    if checkpoint is None:
        run = create_run(folder, recipe, str(device))
    else:
        run = RunFolder(folder)
        _require_unfinished(checkpoint, recipe)
    fabric = Fabric(accelerator="cuda" if device.type == "cuda" else "cpu", devices=_devices(device))
    return train(recipe, data, run, fabric, checkpoint)


def describe(request: TrainRequest) -> str:
    """What a run would do, without doing it (--dry-run)."""
    recipe, folder, checkpoint = resolve(request)
    data = open_training_data(request.data, recipe)
    slots, categories = data.vocabulary.slots, len(data.vocabulary.categories)
    size = sum(parameter.numel() for parameter in build_network(recipe, slots, categories).parameters())
    terms = ", ".join(f"{term.kind} x {term.weight:g}" for term in recipe.terms)
    optim = recipe.optim
    views, model = data.train.views, recipe.model
    lines = (
        f"recipe   {recipe.name}: {model.points} points, {size / 1e6:.1f} M parameters, pose {recipe.pose.kind}",
        f"terms    {terms}",
        f"data     {request.data}: {len(data.train)} training, {len(data.val)} validation objects, {views} views",
        f"steps    {optim.steps} of {optim.objects} objects x {optim.views} views",
        f"from     {checkpoint or 'the start'}",
        f"run      {folder}",
    )
    return "\n".join(lines)


def _devices(device: torch.device) -> int | list[int]:
    return [device.index] if device.type == "cuda" and device.index is not None else 1


def _require_unfinished(checkpoint: Path, recipe: Recipe) -> None:
    if int(checkpoint.name.split("-")[1]) >= recipe.optim.steps:
        raise CheckpointError(
            f"{checkpoint.parent.parent} has finished its {recipe.optim.steps} steps; there is nothing to resume."
        )
