# SPDX-License-Identifier: Apache-2.0
"""Several verbs one after the other, each a command that one could type, skipped when its result is already there."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ReconError
from .training.checkpoints import list_checkpoints


@dataclass(frozen=True)
class Stage:
    """One command: what it is for, its arguments after `recon`, and whether its result is already there."""

    title: str
    arguments: Callable[[], Sequence[str | int | float | Path]]
    done: Callable[[], bool]


def run_stages(stages: Sequence[Stage], name: str) -> None:
    """Print and run what is missing, with its own progress; raises ReconError when a stage fails."""
    for number, stage in enumerate(stages, 1):
        heading = f"[{number}/{len(stages)}] {stage.title}"
        if stage.done():
            print(f"{heading}: already there", flush=True)
            continue
        arguments = [str(argument) for argument in stage.arguments()]
        print(f"\n{heading}\n  $ recon {' '.join(arguments)}", flush=True)
        status = subprocess.run([sys.executable, "-m", "recon_core.cli", *arguments], check=False).returncode
        if status != 0:
            raise ReconError(
                f"{name} stopped at stage {number} ({stage.title}), exit status {status}. Mend what it says above "
                "and run the same command again: finished stages are skipped."
            )


def train_words(
    recipe: str, data: Path, run: Path, steps: int | None, *options: str | int
) -> list[str | int | float | Path]:
    """`recon train` of a recipe into a run folder, or on with that run; steps: other than the recipe's."""
    if list_checkpoints(run):
        return ["train", "--data", data, "--resume", run, *options]
    chosen = [] if steps is None else ["--set", f"optim.steps={steps}"]
    return ["train", recipe, "--data", data, "--out", run, *options, *chosen]


def is_trained(run: Path) -> bool:
    """Whether the last checkpoint is of the recipe's last step."""
    from .methods.run import read_run_recipe

    found = list_checkpoints(run)
    if not found:
        return False
    return int(found[-1].name.split("-")[1]) >= read_run_recipe(run).optim.steps
