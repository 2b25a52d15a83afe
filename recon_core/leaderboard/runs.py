# SPDX-License-Identifier: Apache-2.0
"""One run of the comparison: its length found, trained, scored, its curve made; every piece once, whatever interrupts.

A record OUT/results/RECIPE/seed-S.json says how it ended. A failure is a record too: the others go on.
"""

import shutil
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from ..errors import CheckpointError, ReconError, TrainingError
from ..io.atomic import write_json
from ..io.weights import load_tensors, read_json
from ..methods.recipe import Recipe
from ..methods.run import read_run_recipe
from ..training.checkpoints import latest_checkpoint, list_checkpoints
from .child import Outcome, failure, run_recon
from .console import Console, TrainingBar
from .curves import chamfer_curve, joined_curve, keep_last_checkpoint
from .plan import BEGIN_WITH, Entry, Plan, base_overrides
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
    pose: str = ""  # kind of the recipe's pose source
    learns_from: str = ""
    fingerprint: str = ""
    folders: list[str] = field(default_factory=list)  # of its trainings, in order, beside one another
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

    def common(self) -> list[str | Path]:
        """What every training is given."""
        options = self.plan.options
        return ["--data", options.data, "--device", options.device, "--threads", str(options.threads)]

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
    known = {one.name for one in fields(Record)}
    return Record(**{name: value for name, value in content.items() if name in known})


def evaluation_path(plan: Plan, name: str, seed: int) -> Path:
    """The metrics of a run, where it has been scored."""
    return plan.run_folder(name, seed) / "evaluation" / plan.options.split / "metrics.json"


@dataclass(frozen=True)
class Stage:
    """One training: most runs are one, a recipe that begins with another's weights is two."""

    name: str  # in logs and probes
    source: str
    recipe: Recipe
    folder: Path
    share: float  # of the budget or the steps
    overrides: tuple[str, ...] = ()


def stages_of(plan: Plan, entry: Entry, seed: int) -> list[Stage]:
    """The trainings of one recipe and seed, in order."""
    folder = plan.run_folder(entry.name, seed)
    assert entry.recipe is not None
    if entry.before is None:
        return [Stage(entry.name, entry.source, entry.recipe, folder, 1.0)]
    first = folder.with_name(f"{folder.name}-before")
    return [
        Stage(f"{entry.name}-before", BEGIN_WITH[entry.name], entry.before, first, 0.5),
        Stage(entry.name, entry.source, entry.recipe, folder, 0.5, (f"start={first.resolve()}",)),
    ]


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
    plan, stages = bench.plan, stages_of(bench.plan, entry, record.seed)
    folder = stages[-1].folder
    for stage in stages:
        record.stage = "training"
        _train(bench, stage, record)
    _note_costs(record, entry, stages)
    record.stage = "evaluation"
    if not evaluation_path(plan, entry.name, record.seed).is_file():
        bench.console.say(f"    scoring {entry.name}, seed {record.seed}")
        _evaluate(bench, entry, record.seed, folder)
    if not record.chamfer_curve:
        folders = [stage.folder for stage in stages]
        record.chamfer_curve = joined_curve(folders, lambda run: chamfer_curve(run, plan.options.data))
    for stage in stages:
        keep_last_checkpoint(stage.folder)
    record.stage = ""


def _note_costs(record: Record, entry: Entry, stages: list[Stage]) -> None:
    """What the finished stages took together, and what the recipe is."""
    assert entry.recipe is not None
    states = [read_json(latest_checkpoint(stage.folder) / "state.json") for stage in stages]
    record.steps = sum(int(state["step"]) for state in states)
    record.cpu_s = sum(float(state["cpu_s"]) for state in states)
    record.parameters = record.parameters or _parameters(stages[-1].folder)
    record.pose, record.learns_from = entry.recipe.pose.kind, learns_from(entry.recipe)
    record.fingerprint = fingerprint(entry.recipe)
    record.folders = [str(stage.folder.relative_to(stages[-1].folder.parent)) for stage in stages]


def learns_from(recipe: Recipe) -> str:
    """What supervises a recipe besides cameras: masks, and colours or parts where its terms compare them."""
    names = {"masks": "masks", "images": "colours", "parts": "parts"}
    return ", ".join(names.get(one, one) for one in recipe.passes)


def _train(bench: Bench, stage: Stage, record: Record) -> None:
    """Train to the end, from the start or from the last checkpoint; raises ReconErrors."""
    checkpoints, folder = list_checkpoints(stage.folder), stage.folder
    if checkpoints:
        steps = _own_recipe(folder, stage.recipe).optim.steps
        if _step(checkpoints[-1]) >= steps:
            return
        arguments = ["train", "--resume", folder, *bench.common()]
        bench.console.say(
            f"    going on with {stage.name}, seed {record.seed}, at step {_step(checkpoints[-1])}"
        )
    else:
        record.stage = "speed"
        length = find_length(bench, stage)
        record.stage, steps = "training", length.steps
        overrides = [
            *base_overrides(bench.plan.options, record.seed),
            *run_overrides(length),
            *stage.overrides,
        ]
        arguments = ["train", stage.source, "--out", folder, *bench.common(), *_as_sets(overrides)]
        bench.console.say(f"    training {stage.name}, seed {record.seed}: {steps} steps")
    log = bench.log(f"{stage.name}-seed-{record.seed}")
    with TrainingBar(bench.console, folder, steps) as bar:
        outcome = bench.child(arguments, log, bar.follow)
    record.wall_s += outcome.wall_s
    record.peak_mb = max(record.peak_mb or 0.0, outcome.peak_mb) if outcome.peak_mb else record.peak_mb
    if outcome.status != 0:
        raise TrainingError(failure(outcome, log))


def find_length(bench: Bench, stage: Stage) -> Length:
    """Steps and validations of a training; measures the recipe's speed when there is a budget."""
    options = bench.plan.options
    if options.steps is not None:
        return fixed_length(max(1, round(options.steps * stage.share)))
    assert options.budget_s is not None
    return fitting_length(_speed(bench, stage), options.budget_s * stage.share)


def _speed(bench: Bench, stage: Stage) -> Speed:
    """The recipe's speed on this machine: kept from an earlier call, or measured now."""
    folder = bench.plan.options.out / "probes"
    kept, probe = folder / f"{stage.name}.json", folder / stage.name
    speed = from_record(kept, stage.recipe)
    if speed is not None:
        return speed
    bench.console.say(f"    measuring the speed of {stage.name}: {PROBE_STEPS} steps")
    shutil.rmtree(probe, ignore_errors=True)
    overrides = [*base_overrides(bench.plan.options, 0), *probe_overrides()]
    log = bench.log(f"{stage.name}-speed")
    outcome = bench.child(["train", stage.source, "--out", probe, *bench.common(), *_as_sets(overrides)], log)
    if outcome.status != 0:
        raise TrainingError(failure(outcome, log))
    speed = read_speed(probe)
    write_json(kept, as_record(speed, stage.recipe))
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
