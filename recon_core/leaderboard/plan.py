# SPDX-License-Identifier: Apache-2.0
"""What a leaderboard compares: which recipes fit the data, under which settings, in which folder."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..data.dataset import Dataset
from ..errors import ConfigError, DatasetError, InputError, ReconError
from ..evaluation.protocols import find_protocol
from ..io.atomic import write_json
from ..io.weights import read_json
from ..methods.recipe import Recipe, load_recipe
from ..resources import resource_dir

# Shipped recipes that take part only when they are named: a shorter twin of another, and settings for days on a GPU.
NOT_COMPARED = ("demo", "bundled")
GPU_SUFFIX = "_paper"
# Objects whose passes are looked at; a dataset is rendered in one go, so they are alike.
LOOKED_AT = 8
# Shipped recipes that begin from a run of another: each gets half of the budget.
BEGIN_WITH = {"ssl_nn": "ssl_cc"}
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Options:
    """What the command line asks for; exactly one of budget_s and steps is given."""

    data: Path
    out: Path
    budget_s: float | None = None  # CPU seconds of every run
    steps: int | None = None
    recipes: tuple[str, ...] = ()  # names of shipped ones, or files; none: all shipped
    overrides: tuple[str, ...] = ()  # KEY=VALUE for every recipe
    seeds: int = 1
    size: int = 64  # of the input, pixels
    protocol: str = "native"
    split: str = "test"
    views: int | None = None  # of each object as inputs of the evaluation
    threads: int = 1
    device: str = "cpu"
    quiet: bool = False


@dataclass(frozen=True)
class Entry:
    """One recipe of the comparison; `skip` says why it takes no part, `error` what is wrong with it."""

    name: str
    source: str  # what `recon train` is given
    recipe: Recipe | None = None
    skip: str = ""
    error: str = ""
    before: Recipe | None = None  # trained first, for half of the budget; this one starts from it


@dataclass(frozen=True)
class Plan:
    """A whole comparison."""

    options: Options
    entries: tuple[Entry, ...]

    @property
    def runnable(self) -> tuple[Entry, ...]:
        """Entries that are trained."""
        return tuple(one for one in self.entries if one.recipe is not None and not one.skip)

    def run_folder(self, name: str, seed: int) -> Path:
        """The run folder of one recipe and seed."""
        return self.options.out / "runs" / name / f"seed-{seed}"


def parse_budget(text: str) -> float:
    """Seconds of "600", "90s", "10m" or "1.5h"; raises ConfigError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|m|min|h)?\s*", text)
    seconds = float(match[1]) * _SECONDS[match[2] or ""] if match else 0.0
    if seconds <= 0:
        raise ConfigError(f"--budget is {text!r}, expected CPU time as in 90s, 10m or 1.5h.")
    return seconds


def make_plan(options: Options) -> Plan:
    """Check the settings against the dataset and find what takes part; raises ReconErrors."""
    _check_options(options)
    dataset = Dataset.open(options.data)
    _check_data(dataset, options)
    sources = options.recipes or shipped_recipes()
    names = [Path(source).stem for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"--recipes names {', '.join(twice)} twice. Give files of different names.")
    return Plan(options, tuple(_entry(source, dataset, options) for source in sources))


def shipped_recipes() -> tuple[str, ...]:
    """Names of the shipped recipes that are compared by default: not the parts that others extend."""
    found = []
    for path in sorted(resource_dir("configs").glob("*.yaml")):
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        whole = isinstance(raw, dict) and ("terms" in raw or "extends" in raw)
        if whole and path.stem not in NOT_COMPARED and not path.stem.endswith(GPU_SUFFIX):
            found.append(path.stem)
    return tuple(found)


def base_overrides(options: Options, seed: int) -> list[str]:
    """What every run has in common, as `--set` arguments; the user's own come first and cannot undo it."""
    return [*options.overrides, f"seed={seed}", f"model.image_size={options.size}"]


def lacking(recipe: Recipe, dataset: Dataset) -> str:
    """What a recipe needs that the dataset does not have, as a sentence; empty when it fits."""
    names = dataset.objects("train")[:LOOKED_AT]
    passes = set.intersection(*(set(dataset.passes(name)) for name in names))
    heads = recipe.model.heads
    if ("images" in recipe.passes or "color" in heads) and "image" not in passes:
        return "needs colour images; this dataset has masks alone"
    if "parts" in recipe.passes or "parts" in heads:
        if not any(dataset.part_names(name) for name in names):
            return "needs part labels; this dataset names no parts"
        if "parts" in recipe.passes and "parts" not in passes:
            return "needs part images; this dataset has none"
    views = min(dataset.views(name) for name in names)
    if recipe.optim.views > views:
        return f"needs {recipe.optim.views} views per object; this dataset has {views}"
    return ""


def claim(plan: Plan) -> None:
    """Write OUT/plan.json, or make sure that the one there is of the same comparison; raises InputError.

    Recipes and seeds may be added later; whatever else differs would make rows that cannot be compared.
    """
    path, ours = plan.options.out / "plan.json", settings(plan.options)
    if path.exists():
        theirs = read_json(path)
        changed = [key for key in ours if theirs.get(key) != ours[key]]
        if changed:
            told = "; ".join(f"{key} was {theirs.get(key)!r}, now {ours[key]!r}" for key in changed)
            raise InputError(
                f"{plan.options.out} holds a leaderboard with other settings: {told}. Choose another --out, or repeat "
                "the settings to go on with it."
            )
    write_json(path, ours)


def settings(options: Options) -> dict[str, Any]:
    """Everything that every row of a leaderboard has in common."""
    return {
        "version": 1,
        "data": str(options.data.resolve()),
        "budget_s": options.budget_s,
        "steps": options.steps,
        "size": options.size,
        "overrides": list(options.overrides),
        "protocol": options.protocol,
        "split": options.split,
        "views": options.views,
        "threads": options.threads,
        "device": options.device,
    }


def _entry(source: str, dataset: Dataset, options: Options) -> Entry:
    name = Path(source).stem
    try:
        recipe = load_recipe(source, base_overrides(options, 0))
        first = BEGIN_WITH.get(name)
        before = None if first is None else load_recipe(first, base_overrides(options, 0))
        return Entry(name, source, recipe, skip=lacking(recipe, dataset), before=before)
    except ReconError as error:
        return Entry(name, source, error=str(error))


def _check_options(options: Options) -> None:
    if (options.budget_s is None) == (options.steps is None):
        raise ConfigError("Give either --budget (CPU time) or --steps, and not both.")
    if options.budget_s is not None and options.device != "cpu":
        raise ConfigError("--budget is CPU time: it says nothing about work on a GPU. Use --steps there.")
    find_protocol(options.protocol)


def _check_data(dataset: Dataset, options: Options) -> None:
    """Whatever would make every run fail is said before the first."""
    for split in dict.fromkeys(("train", options.split)):
        if not dataset.objects(split):
            raise DatasetError(
                f"{dataset.root}: the {split} split is empty; a leaderboard needs train and test."
            )
    dataset.points(dataset.objects(options.split)[0])
