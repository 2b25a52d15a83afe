# SPDX-License-Identifier: Apache-2.0
"""The training loop of every recipe."""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn
from tqdm import tqdm

from ..data.viewset import ViewSet
from ..errors import TrainingError
from ..io.atomic import atomic_path
from ..methods.network import Network
from ..methods.recipe import EnsemblePose, OptimConfig, Recipe
from ..models.encoders import load_start
from .batches import draw_batch
from .bootstrap import Bootstrap, bootstrap_poses
from .checkpoints import (
    TrainState,
    find_checkpoint,
    list_checkpoints,
    load_weights,
    restore,
    save_checkpoint,
)
from .interrupt import StopRequest
from .logs import RunLog
from .neighbours import find_neighbours
from .run_folder import RunFolder
from .samples import write_samples
from .step import StepInput, run_step
from .validation import canonical_mirror, validate
from .viewsets import TrainingData


class StepModule(nn.Module):
    """The network with its recipe, so that one forward call is one step (and data-parallel wrappers see it)."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe

    def forward(self, batch: StepInput, progress: float) -> dict[str, torch.Tensor]:
        """Weighted terms of one step, each a scalar."""
        return run_step(self.network, batch, self.recipe, progress).terms


@dataclass
class Finished:
    """How a call of `train` ended."""

    run: Path
    step: int
    interrupted: bool


def train(
    recipe: Recipe, data: TrainingData, run: RunFolder, fabric: Fabric, resume: Path | None
) -> Finished:
    """Train to the recipe's last step, or until Ctrl-C; raises TrainingError when a loss is not finite."""
    network = build_network(recipe, data.vocabulary.slots, len(data.vocabulary.categories))
    if resume is None:
        load_start(network.encoder, recipe.model.encoder)
        if recipe.start is not None:
            load_weights(network, find_checkpoint(Path(recipe.start)))
    state = TrainState(
        network, make_optimizer(network, recipe.optim), torch.Generator().manual_seed(recipe.seed)
    )
    model, optimizer = fabric.setup(StepModule(network, recipe), state.optimizer)
    if resume is not None:
        # After the network has its device, so that the optimiser's state goes there too.
        restore(state, resume)
    before = time.process_time()
    bootstrap = find_first_poses(recipe, data.train, run, fabric.device)
    neighbours = None
    if any(term.needs_neighbours for term in recipe.terms):
        path = run.folder / "neighbours.safetensors"
        neighbours = find_neighbours(network, data.train, recipe.data.neighbours, path, fabric.device)
    state.cpu_s += time.process_time() - before
    log = RunLog(run, recipe, first_step=state.step)
    with (
        StopRequest() as stop,
        log,
        tqdm(
            total=recipe.optim.steps,
            initial=state.step,
            unit="step",
            desc=recipe.name,
            dynamic_ncols=True,
            mininterval=0.5,
        ) as bar,
    ):
        while state.step < recipe.optim.steps and not stop:
            started = time.process_time()
            progress = state.step / recipe.optim.steps
            set_learning_rate(optimizer, recipe.optim, progress)
            batch = draw_batch(data.train, recipe, state.generator, fabric.device, bootstrap, neighbours)
            terms = model(batch, progress)
            require_finite(terms, state.step, run)
            optimizer.zero_grad()
            fabric.backward(torch.stack(list(terms.values())).sum())
            if recipe.optim.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.optim.clip)
            optimizer.step()
            state.step += 1
            log.step(state, terms, bar)
            if due(state.step, recipe.log.samples, recipe):
                write_samples(
                    network, data.val, recipe, run.samples / f"step-{state.step:07d}.png", fabric.device
                )
            if due(state.step, recipe.log.validation, recipe):
                log.validation(state, validate(network, data.val, recipe, fabric.device))
            state.cpu_s += time.process_time() - started
            if due(state.step, recipe.log.checkpoint, recipe) or stop:
                state.mirror = canonical_mirror(network, data.train, recipe, fabric.device)
                save_checkpoint(run.folder, state, run.card(recipe, data, state), recipe.log.keep)
    return Finished(run.folder, state.step, bool(stop))


def build_network(recipe: Recipe, parts: int, categories: int = 0) -> Network:
    """A network with weights that depend on the recipe's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return recipe.network(parts, categories)


def find_first_poses(
    recipe: Recipe, viewset: ViewSet, run: RunFolder, device: torch.device
) -> Bootstrap | None:
    """Bootstrapped poses of a recipe that asks for them; kept in the run folder for resuming."""
    pose = recipe.pose
    if not isinstance(pose, EnsemblePose) or pose.bootstrap is None:
        return None
    path = run.folder / "bootstrap.safetensors"
    if not path.exists():
        masks = torch.from_numpy(np.array(viewset.masks)).to(device).float() / 255
        focal_widths = float(np.median(viewset.fx)) / viewset.mask_size
        generator = torch.Generator().manual_seed(recipe.seed)
        found = bootstrap_poses(
            masks, focal_widths, pose.distance, pose.bootstrap_ranks, pose.bootstrap, generator
        )
        with atomic_path(path) as temporary:
            found.save(temporary)
    return Bootstrap.load(path)


def make_optimizer(network: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Adam, with weight decay decoupled from the loss or part of it; one kernel for all tensors."""
    if config.decay == "decoupled":
        return torch.optim.AdamW(
            _groups(network, config),
            lr=config.lr,
            betas=config.betas,
            weight_decay=config.weight_decay,
            fused=True,
        )
    decayed, others = [], []
    for name, parameter in network.named_parameters():
        kernel = parameter.ndim >= 2 and not name.startswith("pose.")
        (decayed if kernel else others).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.Adam(groups, lr=config.lr, betas=config.betas, fused=True)


def _groups(network: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """The parameters, those of the decoder's field apart where they learn at a rate of their own."""
    named = list(network.named_parameters())
    in_field = [parameter for name, parameter in named if ".field." in name]
    if config.field_lr == 1 or not in_field:
        return [{"params": [parameter for _, parameter in named]}]
    others = [parameter for name, parameter in named if ".field." not in name]
    return [{"params": others}, {"params": in_field, "factor": config.field_lr}]


def set_learning_rate(optimizer: torch.optim.Optimizer, config: OptimConfig, progress: float) -> None:
    """Linear warm-up, then half a cosine down to lr * lr_end."""
    if progress < config.warmup:
        share = 0.05 + 0.95 * progress / config.warmup
    else:
        done = (progress - config.warmup) / (1 - config.warmup)
        share = config.lr_end + (1 - config.lr_end) * 0.5 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"] = config.lr * share * group.get("factor", 1.0)


def due(step: int, every: int, recipe: Recipe) -> bool:
    """Whether something on a schedule happens after this many steps; always after the last."""
    return step % every == 0 or step == recipe.optim.steps


def require_finite(terms: dict[str, torch.Tensor], step: int, run: RunFolder) -> None:
    """Raise TrainingError that names the step, the terms and the last good checkpoint."""
    bad = [name for name, value in terms.items() if not bool(torch.isfinite(value))]
    if not bad:
        return
    kept = list_checkpoints(run.folder)
    advice = f"The last good checkpoint is {kept[-1]}" if kept else "There is no checkpoint yet"
    raise TrainingError(
        f"Step {step}: the loss is not finite in the term {', '.join(bad)}. {advice}; "
        "try a lower optim.lr or a larger final sigma_px."
    )
