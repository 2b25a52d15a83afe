# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: a folder per step with weights, optimiser state and generators, complete or absent."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointError
from ..io.atomic import write_json
from ..io.weights import load_tensors, read_json, save_tensors


@dataclass
class TrainState:
    """Everything that a run needs to go on bit for bit."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    step: int = 0
    cpu_s: float = 0.0
    best: float = float("-inf")
    mirror: list[list[float]] | None = None  # reflection of the canonical frame, where poses are learnt


def save_checkpoint(run: Path, state: TrainState, card: dict[str, Any], keep: int) -> Path:
    """Write checkpoints/step-N and remove older ones but the newest `keep`; returns the folder."""
    folder = run / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{state.step:07d}"
    temporary = Path(tempfile.mkdtemp(prefix=".step-", dir=folder))
    try:
        save_tensors(temporary / "weights.safetensors", dict(state.network.state_dict()))
        save_tensors(temporary / "optimizer.safetensors", _optimizer_tensors(state))
        write_json(temporary / "card.json", card)
        numbers = {"step": state.step, "cpu_s": state.cpu_s}
        write_json(
            temporary / "state.json", numbers | ({"best": state.best} if state.best > float("-inf") else {})
        )
        temporary.chmod(0o755)
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in list_checkpoints(run)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def list_checkpoints(run: Path) -> list[Path]:
    """Complete checkpoints of a run folder, oldest first."""
    return sorted((run / "checkpoints").glob("step-*"))


def latest_checkpoint(run: Path) -> Path:
    """The newest checkpoint; raise CheckpointError when there is none."""
    found = list_checkpoints(run)
    if not found:
        what = "holds no checkpoint yet" if run.is_dir() else "does not exist"
        raise CheckpointError(f"The run folder {run} {what}. Expected one that `recon train` wrote.")
    return found[-1]


def find_checkpoint(run: Path) -> Path:
    """The newest checkpoint of a run folder, or the folder itself where it is one; raise CheckpointError."""
    return run if (run / "weights.safetensors").is_file() else latest_checkpoint(run)


def restore(state: TrainState, checkpoint: Path) -> None:
    """Load a checkpoint into the state; raise CheckpointError when it does not fit the recipe."""
    load_weights(state.network, checkpoint)
    numbers = read_json(checkpoint / "state.json")
    _restore_optimizer(state, load_tensors(checkpoint / "optimizer.safetensors"))
    state.step, state.cpu_s = int(numbers["step"]), float(numbers["cpu_s"])
    state.best = float(numbers.get("best", float("-inf")))


def load_weights(network: nn.Module, checkpoint: Path) -> None:
    """Load weights alone; raise CheckpointError that names what does not fit."""
    weights = load_tensors(checkpoint / "weights.safetensors")
    own = network.state_dict()
    wrong = [
        n
        for n in own.keys() | weights.keys()
        if n not in own or n not in weights or own[n].shape != weights[n].shape
    ]
    if wrong:
        raise CheckpointError(
            f"{checkpoint} does not fit the recipe: {len(wrong)} tensors differ, for example {sorted(wrong)[0]!r}. "
            "Use the config.yaml that the run was trained with."
        )
    network.load_state_dict(weights)


def _optimizer_tensors(state: TrainState) -> dict[str, torch.Tensor]:
    tensors = {"rng": state.generator.get_state()}
    for index, values in state.optimizer.state_dict()["state"].items():
        for name, value in values.items():
            tensors[f"{index}.{name}"] = torch.as_tensor(value)
    return tensors


def _restore_optimizer(state: TrainState, tensors: dict[str, torch.Tensor]) -> None:
    state.generator.set_state(tensors.pop("rng"))
    saved: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        saved.setdefault(int(index), {})[name] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": saved, "param_groups": groups})
