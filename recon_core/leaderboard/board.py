# SPDX-License-Identifier: Apache-2.0
"""The leaderboard from end to end: recipes and seeds run, one table, curves, pictures; it goes on after Ctrl-C."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..children import terminable
from ..io.atomic import write_json, write_text
from ..io.weights import read_json
from ..training.checkpoints import latest_checkpoint, list_checkpoints
from .child import claimed
from .console import Console
from .curves import Curve, iou_curve, joined_curve
from .grid import write_grid
from .page import render_page
from .plan import Entry, Options, Plan, claim, make_plan
from .runs import Bench, Record, complete, evaluation_path, learns_from, read_record
from .speed import fingerprint
from .table import Board, Finished, make_board
from .text import as_json, as_text

Curves = dict[str, dict[str, list[Curve]]]


@dataclass(frozen=True)
class Result:
    """What a leaderboard came to."""

    text: str
    files: dict[str, Path]
    exit_status: int  # 0 all finished, 3 some failed, 1 none finished


def run_leaderboard(options: Options) -> Result:
    """Train, score and compare; raises ReconErrors for what would spoil every run, KeyboardInterrupt on Ctrl-C."""
    plan = make_plan(options)
    with claimed(options.out) as lock, terminable():
        claim(plan)
        bench = Bench(plan, lock, Console(options.quiet))
        records = _run_all(bench)
        bench.console.say("drawing")
        return _write(plan, records)


def describe(options: Options) -> str:
    """What would be done, without doing it."""
    plan = make_plan(options)
    lines = [_describe_entry(plan, entry) for entry in plan.entries]
    runs = len(plan.runnable) * options.seeds
    length = f"{options.steps} steps" if options.budget_s is None else f"{options.budget_s:g} CPU seconds"
    total = (
        ""
        if options.budget_s is None
        else f", {runs * options.budget_s / 60:.0f} CPU minutes of training in all"
    )
    return "\n".join(
        [*lines, f"{runs} runs of {length}{total}; protocol {options.protocol}", f"out      {options.out}"]
    )


def _describe_entry(plan: Plan, entry: Entry) -> str:
    if entry.recipe is None:
        return f"invalid  {entry.name}: {entry.error}"
    if entry.skip:
        return f"skip     {entry.name}: {entry.skip}"
    recipe = entry.recipe
    states = [_state(plan, entry.name, seed) for seed in range(plan.options.seeds)]
    return (
        f"train    {entry.name}: {recipe.model.points} points, pose {recipe.pose.kind}, from {learns_from(recipe)}; "
        + ", ".join(states)
    )


def _state(plan: Plan, name: str, seed: int) -> str:
    folder = plan.run_folder(name, seed)
    if read_record(plan, name, seed).status == "finished" and evaluation_path(plan, name, seed).is_file():
        return f"seed {seed} finished"
    if list_checkpoints(folder):
        return f"seed {seed} at {latest_checkpoint(folder).name}"
    return f"seed {seed} to do"


def _run_all(bench: Bench) -> list[Record]:
    """Every recipe and seed: all recipes once before any is repeated, so that an early table is whole."""
    plan, records = bench.plan, []
    todo = [(entry, seed) for seed in range(plan.options.seeds) for entry in plan.runnable]
    for number, (entry, seed) in enumerate(todo, 1):
        bench.console.say(f"[{number}/{len(todo)}] {entry.name}, seed {seed}")
        record = complete(bench, entry, seed)
        bench.console.say(f"    {_told(record)}")
        records.append(record)
        _write_tables(plan, records)
    return records


def _told(record: Record) -> str:
    if record.status == "failed":
        return f"failed ({record.stage}): {record.error}"
    return f"{record.steps} steps in {record.cpu_s or 0.0:.1f} CPU seconds"


def with_earlier(plan: Plan, records: Sequence[Record]) -> list[Record]:
    """These records, and what earlier calls finished: other recipes, and more seeds of the recipes planned now."""
    planned = {entry.name: entry.recipe for entry in plan.entries}
    known = {(record.recipe, record.seed) for record in records}
    found = list(records)
    for path in sorted((plan.options.out / "results").glob("*/seed-*.json")):
        name, seed = path.parent.name, int(path.stem.removeprefix("seed-"))
        record = read_record(plan, name, seed)
        if (
            (name, seed) in known
            or record.status != "finished"
            or not evaluation_path(plan, name, seed).is_file()
        ):
            continue
        recipe = planned.get(name)
        if recipe is None or record.fingerprint == fingerprint(recipe):
            found.append(record)
    return found


def _finished(plan: Plan, records: Sequence[Record]) -> list[Finished]:
    return [
        Finished(record, read_json(evaluation_path(plan, record.recipe, record.seed)))
        for record in records
        if record.status == "finished"
    ]


def _write_tables(plan: Plan, records: Sequence[Record]) -> tuple[Board, Curves, list[Finished]]:
    """leaderboard.json and table.txt of what there is so far."""
    finished = _finished(plan, with_earlier(plan, records))
    board = make_board(plan, finished, _skipped(plan), _failed(plan, records))
    curves = _curves(plan, finished)
    write_json(plan.options.out / "leaderboard.json", as_json(plan, board, curves))
    write_text(plan.options.out / "table.txt", as_text(board) + "\n")
    return board, curves, finished


def _write(plan: Plan, records: Sequence[Record]) -> Result:
    """Everything, with pictures."""
    out = plan.options.out
    board, curves, finished = _write_tables(plan, records)
    first: dict[str, Finished] = {}
    for one in finished:
        first.setdefault(one.record.recipe, one)
    shown: list[tuple[str, Path, dict[str, Any]]] = [
        (row.name, plan.run_folder(row.name, first[row.name].record.seed), first[row.name].result)
        for row in board.rows
        if row.name in first
    ]
    grid, objects = out / "grid.png", []
    if shown:
        objects = write_grid(grid, plan.options.data, plan.options.split, shown)
    page = render_page(plan, board, curves, grid if shown else None, objects)
    write_text(out / "leaderboard.html", page)
    files = {"table": "table.txt", "json": "leaderboard.json", "page": "leaderboard.html"}
    files |= {"grid": "grid.png"} if shown else {}
    status = (3 if board.failed else 0) if finished else 1
    return Result(as_text(board), {name: out / file for name, file in files.items()}, status)


def _skipped(plan: Plan) -> dict[str, str]:
    return {entry.name: entry.skip for entry in plan.entries if entry.skip}


def _failed(plan: Plan, records: Sequence[Record]) -> dict[str, str]:
    """Reasons by recipe: recipes that cannot be read, and runs that failed, each seed named."""
    failed = {entry.name: entry.error for entry in plan.entries if entry.error}
    for record in records:
        if record.status == "failed":
            told = f"seed {record.seed}, {record.stage}: {record.error}"
            failed[record.recipe] = "; ".join(filter(None, (failed.get(record.recipe), told)))
    return failed


def _curves(plan: Plan, finished: Sequence[Finished]) -> Curves:
    curves: Curves = {"mask_iou": {}, "chamfer": {}}
    for one in finished:
        name, seed = one.record.recipe, one.record.seed
        folders = [plan.run_folder(name, seed).parent / folder for folder in one.record.folders]
        curves["mask_iou"].setdefault(name, []).append(joined_curve(folders, iou_curve))
        curves["chamfer"].setdefault(name, []).append(one.record.chamfer_curve)
    return curves
