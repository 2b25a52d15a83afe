# SPDX-License-Identifier: Apache-2.0
"""How many steps of a recipe fit a budget of CPU time, from a short probe.

Schedules (sigma, learning rate, dropped points) run over a recipe's own length, so a run must not be cut off by the
clock: it is given the number of steps that end with the budget. The probe is a whole run of few steps. It passes
through all of the schedules, so that its mean step costs what the long run's does even where early steps are cheap.
"""

import hashlib
import itertools
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import TrainingError
from ..io.weights import read_json
from ..methods.recipe import Recipe
from ..training.checkpoints import latest_checkpoint

PROBE_STEPS = 40
# The first steps pay for allocations and first calls; these many count as those after them do.
WARM_STEPS = 3
# Points of the curve of validation, fewer where they would take more than a tenth of the budget.
VALIDATIONS = 10
VALIDATION_SHARE = 0.1
# Checkpoints kept until the curve of Chamfer is made of them.
CHECKPOINTS = 5


@dataclass(frozen=True)
class Speed:
    """CPU seconds of a recipe on this machine."""

    step_s: float  # mean over the schedules
    validation_s: float
    samples_s: float  # the pictures at the end
    start_s: float  # first poses, where they are searched


@dataclass(frozen=True)
class Length:
    """How long a run is and how often it is validated."""

    steps: int
    validations: int


def probe_overrides() -> list[str]:
    """Settings of the probe: a line per step, one validation amid the run."""
    logs = {"metrics": 1, "validation": PROBE_STEPS // 2, "samples": PROBE_STEPS, "checkpoint": PROBE_STEPS}
    return [f"optim.steps={PROBE_STEPS}", *(f"log.{key}={value}" for key, value in logs.items())]


def run_overrides(length: Length) -> list[str]:
    """Settings of a run of this length."""
    logs = {
        "metrics": max(1, length.steps // 200),
        "validation": math.ceil(length.steps / length.validations),
        "samples": length.steps,
        "checkpoint": math.ceil(length.steps / CHECKPOINTS),
        "keep": CHECKPOINTS + 1,
    }
    return [f"optim.steps={length.steps}", *(f"log.{key}={value}" for key, value in logs.items())]


def read_speed(probe: Path) -> Speed:
    """The speed from a finished probe's log.

    A line of step k holds the CPU seconds before that step: all of steps 1..k-1, and the start.
    """
    lines = [json.loads(line) for line in (probe / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    before = [line["cpu_s"] for line in lines if line["kind"] == "train"]
    end = read_json(latest_checkpoint(probe) / "state.json")["cpu_s"]
    return speed_of(before, float(end))


def speed_of(before: list[float], end: float) -> Speed:
    """From CPU seconds before each of n steps and at the end; validations after step n // 2 and after the last."""
    n, middle = len(before), len(before) // 2
    if n < 2 * (WARM_STEPS + 2):
        raise TrainingError(f"A probe of {n} steps is too short to tell the speed.")
    taken = [later - sooner for sooner, later in itertools.pairwise(before)]  # of steps 1 .. n-1
    with_validation = taken.pop(middle - 1)
    plain = taken[WARM_STEPS:]
    step_s = max(sum(plain) / len(plain), 1e-6)
    validation_s = max(with_validation - step_s, 0.0)
    samples_s = max(end - before[-1] - step_s - validation_s, 0.0)
    return Speed(step_s, validation_s, samples_s, before[0])


def fitting_length(speed: Speed, budget_s: float) -> Length:
    """The longest run that ends with the budget; raises TrainingError when not even one step does."""
    most = budget_s * VALIDATION_SHARE / max(speed.validation_s, 1e-9)
    validations = int(min(max(most, 1), VALIDATIONS))
    left = budget_s - speed.start_s - speed.samples_s - validations * speed.validation_s
    steps = int(left / speed.step_s)
    if steps < 1:
        raise TrainingError(
            f"the budget of {budget_s:.0f} CPU seconds is too small: the search for first poses takes "
            f"{speed.start_s:.1f}, a validation {speed.validation_s:.1f}, the pictures {speed.samples_s:.1f}, a step "
            f"{speed.step_s:.2f}."
        )
    return Length(steps, min(validations, steps))


def fixed_length(steps: int) -> Length:
    """A run of a given number of steps."""
    return Length(steps, min(VALIDATIONS, steps))


def fingerprint(recipe: Recipe) -> str:
    """Changes with whatever may change the speed: everything but seed, length, logs and the weights at the start."""
    content = recipe.model_dump(mode="json", by_alias=True, exclude={"seed", "log", "start"})
    content["optim"].pop("steps")
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def as_record(speed: Speed, recipe: Recipe) -> dict[str, Any]:
    """The speed as it is kept for a later call."""
    return {"fingerprint": fingerprint(recipe)} | asdict(speed)


def from_record(path: Path, recipe: Recipe) -> Speed | None:
    """A kept speed, when it is of this recipe."""
    if not path.is_file():
        return None
    content = read_json(path)
    if content.pop("fingerprint", None) != fingerprint(recipe):
        return None
    return Speed(**content)
