# SPDX-License-Identifier: Apache-2.0
"""The rows of a leaderboard: finished runs under one protocol, repeated seeds as mean and spread, ranked."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..evaluation.protocols import PROTOCOLS, protocol_metrics
from ..evaluation.scores import METHODS, describe_metrics
from .plan import Plan
from .runs import Record

# Of the native table, what a leaderboard shows; the first ranks.
NATIVE_COLUMNS = (
    "chamfer_sum", "chamfer_precision", "chamfer_coverage", "fscore_0.02", "mask_iou", "part_miou", "colour_psnr",
    "pose_accuracy_symmetric", "pose_median_deg_symmetric",
)  # fmt: skip
GROUPS = {"known": "cameras known in training", "learnt": "cameras unknown", "none": "without learning"}
# Counts of points and the alignment differ from method to method; they stand in columns of their own.
_COUNTS = re.compile(r"_N\d+_M(?:voxels[\d.]+|\d+)|_one-rotation-\w+")


@dataclass(frozen=True)
class Column:
    """One score: key in a row's values, short heading, full title."""

    key: str
    short: str
    title: str
    lower_is_better: bool
    digits: int


@dataclass(frozen=True)
class Spread:
    """A score over the seeds; the standard deviation (of the sample) needs two."""

    mean: float
    std: float | None
    low: float
    high: float
    values: tuple[float, ...]


@dataclass
class Row:
    """One recipe or baseline."""

    name: str
    group: str  # key of GROUPS
    points: int
    scores: dict[str, Spread]
    learns_from: str = ""
    rank: int | None = None  # within the group
    seeds: int = 0
    steps: int | None = None
    cpu_s: tuple[float, ...] = ()
    overshoot: float | None = None  # largest cpu_s over the budget, minus 1
    peak_mb: float | None = None
    parameters: int | None = None
    trailing: bool = False  # does not beat the mean shape
    method: str = "model"  # key of METHODS


@dataclass
class Board:
    """Everything that is shown."""

    columns: list[Column]
    rows: list[Row]  # in the order shown
    skipped: dict[str, str] = field(default_factory=dict)  # recipe -> reason
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finished:
    """A finished run: its record and its metrics.json."""

    record: Record
    result: dict[str, Any]


def columns_of(protocol: str) -> list[Column]:
    """The scores that a protocol's table shows; the first ranks."""
    if protocol == "native":
        infos = {info.key: info for info in describe_metrics(0, 0)}
        chosen = [infos[key] for key in NATIVE_COLUMNS]
        return [
            Column(
                info.key,
                _short(info.group, info.short),
                _countless(info.title),
                info.lower_is_better,
                info.digits,
            )
            for info in chosen
        ]
    metrics = protocol_metrics(PROTOCOLS[protocol], 0, "0", False)
    return [
        Column(bare(one.name), bare(one.name), bare(one.name), one.lower_is_better, one.digits)
        for one in metrics
    ] + _pose_columns(protocol)


def _pose_columns(protocol: str) -> list[Column]:
    from ..evaluation.protocols import pose_names

    if not PROTOCOLS[protocol].pose:
        return []
    accuracy, median = (bare(name) for name in pose_names(PROTOCOLS[protocol]))
    return [Column(accuracy, accuracy, accuracy, False, 3), Column(median, median, median, True, 1)]


def _short(group: str, short: str) -> str:
    words = {"Chamfer x100": "CD", "F-score": "F at", "Pose up to symmetry": "pose"}
    return f"{words.get(group, '')} {short}".strip()


def _countless(title: str) -> str:
    return title.replace("0 vs 0 points, ", "").replace("0 true points", "the true points")


def bare(name: str) -> str:
    """A protocol's metric without its counts of points and without its alignment."""
    return _COUNTS.sub("", name)


def values_of(result: dict[str, Any], method: str, protocol: str) -> dict[str, float | None]:
    """One method's numbers of a metrics.json by column key."""
    if protocol == "native":
        return result["methods"].get(method, {})
    found = result.get("protocols", {}).get(protocol, {}).get("methods", {}).get(method, {})
    return {bare(name): value for name, value in found.items()}


def spread(values: Sequence[float]) -> Spread:
    """Mean, sample standard deviation and range."""
    std = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), std, min(values), max(values), tuple(values))


def make_board(
    plan: Plan, finished: Sequence[Finished], skipped: dict[str, str], failed: dict[str, str]
) -> Board:
    """Ranked rows of what is finished, baselines below, and what a reader must know."""
    protocol, columns = plan.options.protocol, columns_of(plan.options.protocol)
    by_name: dict[str, list[Finished]] = {}
    for one in finished:
        by_name.setdefault(one.record.recipe, []).append(one)
    rows = [_row(name, runs, columns, plan) for name, runs in by_name.items()]
    baselines = _baselines(finished, columns, protocol)
    ordered = _ranked(rows, columns[0]) + baselines
    shown = [column for column in columns if any(column.key in row.scores for row in rows)]
    board = Board(shown, ordered, skipped, failed)
    _mark_trailing(board, columns[0])
    board.notes = notes_of(plan, board, finished)
    return board


def _row(name: str, runs: list[Finished], columns: list[Column], plan: Plan) -> Row:
    records = [one.record for one in runs]
    cpu_s = tuple(record.cpu_s for record in records if record.cpu_s is not None)
    budget_s = plan.options.budget_s
    peaks = [record.peak_mb for record in records if record.peak_mb is not None]
    return Row(
        name=name,
        group="known" if records[0].pose == "known" else "learnt",
        points=runs[0].result["points"]["predicted"],
        scores=_scores([values_of(one.result, "model", plan.options.protocol) for one in runs], columns),
        learns_from=records[0].learns_from,
        seeds=len(runs),
        steps=records[0].steps,
        cpu_s=cpu_s,
        overshoot=max(cpu_s) / budget_s - 1 if budget_s and cpu_s else None,
        peak_mb=max(peaks, default=None),
        parameters=records[0].parameters,
    )


def _scores(values: list[dict[str, float | None]], columns: list[Column]) -> dict[str, Spread]:
    found = {}
    for column in columns:
        present = [value for one in values if (value := one.get(column.key)) is not None]
        if present:
            found[column.key] = spread(present)
    return found


def _baselines(finished: Sequence[Finished], columns: list[Column], protocol: str) -> list[Row]:
    """Mean shape, retrieval and noise floor, once for each number of points that the recipes predict."""
    by_points: dict[int, dict[str, Any]] = {}
    for one in finished:
        by_points.setdefault(one.result["points"]["predicted"], one.result)
    rows = []
    for method, title in METHODS.items():
        for points, result in sorted(by_points.items()):
            scores = _scores([values_of(result, method, protocol)], columns)
            if method != "model" and scores:
                counted = title if len(by_points) == 1 else f"{title}, {points} points"
                rows.append(Row(counted, "none", points, scores, method=method))
    return rows


def _ranked(rows: list[Row], headline: Column) -> list[Row]:
    """By group, best first; a row without the headline score comes last and has no rank."""
    sign = 1 if headline.lower_is_better else -1
    ordered = []
    for group in ("known", "learnt"):
        scored = [row for row in rows if row.group == group and headline.key in row.scores]
        scored.sort(key=lambda row: sign * row.scores[headline.key].mean)
        for place, row in enumerate(scored, 1):
            row.rank = place
        ordered += scored + [row for row in rows if row.group == group and headline.key not in row.scores]
    return ordered


def _mark_trailing(board: Board, headline: Column) -> None:
    """Mark the recipes that do not beat the mean shape of as many points."""
    means = {row.points: row for row in board.rows if row.method == "mean_shape"}
    for row in board.rows:
        mean = means.get(row.points)
        if row.rank is None or mean is None or headline.key not in mean.scores:
            continue
        ours, theirs = row.scores[headline.key].mean, mean.scores[headline.key].mean
        row.trailing = ours >= theirs if headline.lower_is_better else ours <= theirs


def notes_of(plan: Plan, board: Board, finished: Sequence[Finished]) -> list[str]:
    """What the numbers mean, and where they must not be compared."""
    options = plan.options
    length = (
        f"{options.budget_s:g} CPU seconds of training (validation included), each run's schedules ending with them"
        if options.budget_s
        else f"{options.steps} steps"
    )
    threads = "one thread" if options.threads == 1 else f"{options.threads} threads"
    notes = [
        f"Every run: {length}; {threads}, inputs of {options.size} px; batch, network, points: its recipe's own.",
        f"Ranked by {board.columns[0].title} within each group: to know the cameras is to know more."
        if board.columns
        else "Nothing is finished yet.",
    ]
    if finished:
        inputs = finished[0].result["views_per_object"]
        notes.append(
            f"Scores on {finished[0].result['objects']} objects of the {options.split} split, from "
            f"{'one view' if inputs == 1 else f'{inputs} views'} of each, protocol {options.protocol}."
        )
    notes.append(
        "Several seeds: mean ± standard deviation of the sample; a difference within it means nothing."
        if any(row.seeds > 1 for row in board.rows)
        else "One seed: the spread is not known, and small differences mean nothing."
    )
    trailing = [row.name for row in board.rows if row.trailing]
    if trailing:
        notes.append(f"Not better than the mean training shape: {', '.join(trailing)}.")
    if len({row.points for row in board.rows}) > 1:
        notes.append(
            "Clouds differ in their number of points, and more points score better: each has a noise floor of its own."
        )
    return notes
