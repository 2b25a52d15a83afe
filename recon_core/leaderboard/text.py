# SPDX-License-Identifier: Apache-2.0
"""A leaderboard as text and as plain values for JSON."""

from dataclasses import asdict
from typing import Any

from .. import __version__
from .plan import Plan, settings
from .table import GROUPS, Board, Column, Row, Spread

FACTS = ("seeds", "points", "steps", "CPU s", "over", "peak MB", "params M")


def cell(score: Spread | None, digits: int) -> str:
    """A score with its spread, or a dash."""
    if score is None:
        return "-"
    return f"{score.mean:.{digits}f}" + ("" if score.std is None else f" ± {score.std:.{digits}f}")


def fact_names(board: Board) -> list[str]:
    """The columns of FACTS that say something: no overshoot without a budget."""
    budget = any(row.overshoot is not None for row in board.rows)
    return [name for name in FACTS if name != "over" or budget]


def facts(row: Row) -> dict[str, str]:
    """What a row cost, by the names of FACTS."""
    cpu_s = sum(row.cpu_s) / len(row.cpu_s) if row.cpu_s else None
    values = (
        str(row.seeds) if row.seeds else "",
        str(row.points),
        "" if row.steps is None else str(row.steps),
        "" if cpu_s is None else f"{cpu_s:.1f}",
        "" if row.overshoot is None else f"{row.overshoot:+.1%}",
        "" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        "" if row.parameters is None else f"{row.parameters / 1e6:.2f}",
    )
    return dict(zip(FACTS, values))


def heading(column: Column) -> str:
    """Short heading with the direction."""
    return f"{column.short} {'↓' if column.lower_is_better else '↑'}"


def as_text(board: Board) -> str:
    """Aligned lines by group, failures and skipped recipes below, notes at the end."""
    lines = [["", "recipe", "learns from", *map(heading, board.columns), *fact_names(board)]]
    for group, title in GROUPS.items():
        rows = [row for row in board.rows if row.group == group]
        lines += [[f"-- {title}"], *(_line(row, board) for row in rows)] if rows else []
    parts = [_aligned(lines)]
    parts += [f"failed   {name}: {error}" for name, error in board.failed.items()]
    parts += [f"skipped  {name}: {reason}" for name, reason in board.skipped.items()]
    return "\n".join([*parts, "", *board.notes])


def _line(row: Row, board: Board) -> list[str]:
    scores = [cell(row.scores.get(column.key), column.digits) for column in board.columns]
    name = row.name + (" *" if row.trailing else "")
    costs = [facts(row)[fact] for fact in fact_names(board)]
    return [str(row.rank or ""), name, row.learns_from, *scores, *costs]


def _aligned(lines: list[list[str]]) -> str:
    """Columns side by side, the first three to the left; a line of one cell is a heading."""
    whole = [line for line in lines if len(line) > 1]
    widths = [max(len(line[place]) for line in whole) for place in range(len(whole[0]))]
    out = []
    for line in lines:
        if len(line) == 1:
            out.append(line[0])
            continue
        cells = [
            text.ljust(width) if place < 3 else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths))
        ]
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def as_json(plan: Plan, board: Board, curves: dict[str, Any]) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "version": 1,
        "generator": f"recon {__version__}",
        "settings": settings(plan.options) | {"seeds": plan.options.seeds},
        "columns": [asdict(column) for column in board.columns],
        "rows": [asdict(row) for row in board.rows],
        "failed": board.failed,
        "skipped": board.skipped,
        "notes": board.notes,
        "curves": curves,
    }
