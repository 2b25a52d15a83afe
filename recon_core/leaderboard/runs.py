# SPDX-License-Identifier: Apache-2.0
"""One run of the comparison: its length found, trained, scored, its curve made; every piece once, whatever interrupts.

A record OUT/results/RECIPE/seed-S.json says how it ended. A failure is a record too: the others go on.
"""

import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..errors import CheckpointError, ReconError, TrainingError
from ..io.atomic import write_json
from ..io.weights import load_tensors, read_json
from ..methods.recipe import Recipe
from ..methods.run import read_run_recipe
from ..training.checkpoints import latest_checkpoint, list_checkpoints
from .child import Outcome, failure, run_recon
from .console import Console, TrainingBar
from .curves import chamfer_curve, keep_last_checkpoint
from .plan import Entry, Plan, base_overrides
from .speed import (
    PROBE_STEPS,
    Length,
    Speed,
    as_record,
    fingerprint,
    fitting_length,
    fixed_length,
    from_record,
    probe_overrides,
    read_speed,
    run_overrides,
)


@dataclass
class Record:
    """What is known about one recipe and seed."""

    recipe: str
    seed: int
    status: str = "unfinished"  # finished or failed
    stage: str = ""  # of a failure: speed, training, evaluation
    error: str = ""
    steps: int | None = None
    cpu_s: float | None = None  # as counted by training
    wall_s: float = 0.0  # of the training processes together
    peak_mb: float | None = None
    parameters: int | None = None
    chamfer_curve: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """What every piece of work needs: the plan, the lock that children inherit, where to say something."""

    plan: Plan
    lock: int
    console: Console

    def log(self, name: str) -> Path:
        """Where a child's output goes."""
        return self.plan.options.out / "logs" / f"{name}.log"

    def child(self, arguments: list[str | Path], log: Path, watch=lambda: None) -> Outcome:
        """Run `recon ARGUMENTS` on the plan's threads."""
        return run_recon(arguments, log, self.lock, self.plan.options.threads, watch)


def record_path(plan: Plan, name: str, seed: int) -> Path:
    """Where a run's record lies."""
    return plan.options.out / "results" / name / f"seed-{seed}.json"


def read_record(plan: Plan, name: str, seed: int) -> Record:
    """A run's record; a fresh one when there is none."""
    path = record_path(plan, name, seed)
    if not path.is_file():
        return Record(name, seed)
    content = read_json(path)
    content["chamfer_curve"] = [tuple(point) for point in content.get("chamfer_curve", [])]
    return Record(**content)


def evaluation_path(plan: Plan, name: str, seed: int) -> Path:
    """The metrics of a run, where it has been scored."""
    return plan.run_folder(name, seed) / "evaluation" / plan.options.split / "metrics.json"


def complete(bench: Bench, entry: Entry, seed: int) -> Record:
    """Do what is missing of a run; its failures are recorded, not raised."""
    record = read_record(bench.plan, entry.name, seed)
    record.status, record.stage, record.error = "unfinished", "", ""
    try:
        _complete(bench, entry, record)
        record.status = "finished"
    except ReconError as error:
        record.status, record.error = "failed", str(error)
    finally:
        write_json(record_path(bench.plan, entry.name, seed), asdict(record))
    return record


def _complete(bench: Bench, entry: Entry, record: Record) -> None:
    folder = bench.plan.run_folder(entry.name, record.seed)
    record.stage = "training"
    _train(bench, entry, record, folder)
    state = read_json(latest_checkpoint(folder) / "state.json")
    record.steps, record.cpu_s = int(state["step"]), float(state["cpu_s"])
    record.parameters = record.parameters or _parameters(folder)
    record.stage = "evaluation"
    if not evaluation_path(bench.plan, entry.name, record.seed).is_file():
        bench.console.say(f"    scoring {entry.name}, seed {record.seed}")
        _evaluate(bench, entry, record.seed, folder)
    if not record.chamfer_curve:
        record.chamfer_curve = chamfer_curve(folder, bench.plan.options.data)
    keep_last_checkpoint(folder)
    record.stage = ""


def _train(bench: Bench, entry: Entry, record: Record, folder: Path) -> None:
    """Train to the end, from the start or from the last checkpoint; raises ReconErrors."""
    options = bench.plan.options
    assert entry.recipe is not None
    common: list[str | Path] = [
        "--data",
        options.data,
        "--device",
        options.device,
        "--threads",
        str(options.threads),
    ]
    checkpoints = list_checkpoints(folder)
    if checkpoints:
        recipe = _own_recipe(folder, entry.recipe)
        steps = recipe.optim.steps
        if _step(checkpoints[-1]) >= steps:
            return
        arguments = ["train", "--resume", folder, *common]
        bench.console.say(
            f"    going on with {entry.name}, seed {record.seed}, at step {_step(checkpoints[-1])}"
        )
    else:
        length = find_length(bench, entry, record)
        steps = length.steps
        overrides = [*base_overrides(options, record.seed), *run_overrides(length)]
        arguments = ["train", entry.source, "--out", folder, *common, *_as_sets(overrides)]
        bench.console.say(f"    training {entry.name}, seed {record.seed}: {steps} steps")
    record.stage = "training"
    log = bench.log(f"{entry.name}-seed-{record.seed}")
    with TrainingBar(bench.console, folder, steps) as bar:
        outcome = bench.child(arguments, log, bar.follow)
    record.wall_s += outcome.wall_s
    record.peak_mb = max(record.peak_mb or 0.0, outcome.peak_mb) if outcome.peak_mb else record.peak_mb
    if outcome.status != 0:
        raise TrainingError(failure(outcome, log))


def find_length(bench: Bench, entry: Entry, record: Record) -> Length:
    """Steps and validations of a run; measures the recipe's speed when there is a budget."""
    options = bench.plan.options
    if options.steps is not None:
        return fixed_length(options.steps)
    assert options.budget_s is not None
    record.stage = "speed"
    return fitting_length(_speed(bench, entry), options.budget_s)


def _speed(bench: Bench, entry: Entry) -> Speed:
    """The recipe's speed on this machine: kept from an earlier call, or measured now."""
    options = bench.plan.options
    assert entry.recipe is not None
    kept, probe = options.out / "probes" / f"{entry.name}.json", options.out / "probes" / entry.name
    speed = from_record(kept, entry.recipe)
    if speed is not None:
        return speed
    bench.console.say(f"    measuring the speed of {entry.name}: {PROBE_STEPS} steps")
    shutil.rmtree(probe, ignore_errors=True)
    overrides = [*base_overrides(options, 0), *probe_overrides()]
    common: list[str | Path] = [
        "--data",
        options.data,
        "--device",
        options.device,
        "--threads",
        str(options.threads),
    ]
    log = bench.log(f"{entry.name}-speed")
    outcome = bench.child(["train", entry.source, "--out", probe, *common, *_as_sets(overrides)], log)
    if outcome.status != 0:
        raise TrainingError(failure(outcome, log))
    speed = read_speed(probe)
    write_json(kept, as_record(speed, entry.recipe))
    shutil.rmtree(probe, ignore_errors=True)
    return speed


def _evaluate(bench: Bench, entry: Entry, seed: int, folder: Path) -> None:
    options = bench.plan.options
    out = evaluation_path(bench.plan, entry.name, seed).parent
    arguments: list[str | Path] = [
        "eval", folder, "--data", options.data, "--split", options.split, "--out", out, "--no-report",
        "--device", options.device,
    ]  # fmt: skip
    if options.protocol != "native":
        arguments += ["--protocol", options.protocol]
    if options.views is not None:
        arguments += ["--views", str(options.views)]
    log = bench.log(f"{entry.name}-seed-{seed}")
    outcome = bench.child(arguments, log)
    if outcome.status != 0:
        raise ReconError(failure(outcome, log))


def _own_recipe(folder: Path, recipe: Recipe) -> Recipe:
    """The recipe that a run was begun with; raises CheckpointError when it is not the one compared now."""
    own = read_run_recipe(folder)
    if fingerprint(own) != fingerprint(recipe):
        raise CheckpointError(
            f"{folder} was trained by another version of the recipe. Remove that folder to train it again."
        )
    return own


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def _as_sets(overrides: list[str]) -> list[str | Path]:
    return [word for override in overrides for word in ("--set", override)]


def _parameters(folder: Path) -> int:
    """Numbers in the weights of a run."""
    return sum(
        tensor.numel() for tensor in load_tensors(latest_checkpoint(folder) / "weights.safetensors").values()
    )
