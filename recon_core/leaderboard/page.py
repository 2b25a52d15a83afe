# SPDX-License-Identifier: Apache-2.0
"""The leaderboard as one HTML file that fetches nothing: table, curves, pictures, how to make it again."""

import base64
import html
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from .. import __version__
from .chart import Line, chart
from .curves import Curve
from .plan import Options, Plan
from .table import GROUPS, Board, Column, Row
from .text import fact_names, facts, heading

FACT_HINTS = {
    "seeds": "finished runs with different seeds",
    "points": "points of a predicted cloud",
    "steps": "training steps",
    "CPU s": "CPU seconds of training, as it counts them: validation and first poses included; mean over seeds",
    "over": "largest CPU time of a run against the budget",
    "peak MB": "largest resident memory of a training process, MiB",
    "params M": "numbers in the weights, millions",
}
CURVES_NOTE = (
    "One line per seed. Mask IoU is what training logs: at the recipe's own final blur, with predicted poses where "
    "cameras are unknown. Chamfer (sum x100) is of checkpoints, from the first view of up to 24 objects, off the "
    "clock. Scores that lie off the chart are drawn at its edge."
)


def render_page(
    plan: Plan,
    board: Board,
    curves: Mapping[str, Mapping[str, list[Curve]]],
    grid: Path | None,
    objects: list[str],
) -> str:
    """The page as text; curves: "mask_iou" and "chamfer" -> recipe -> a curve per seed."""
    template = files("recon_core.leaderboard").joinpath("leaderboard.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=f"Leaderboard: {html.escape(plan.options.data.name)}",
        subtitle=_subtitle(plan.options),
        table=_table(board),
        costs=_costs(board),
        notes="".join(f"<li>{html.escape(note)}</li>" for note in board.notes),
        absent=_absent(board),
        charts=_charts(plan, board, curves) or "<p class='soft'>No curve yet.</p>",
        curves_note=CURVES_NOTE,
        pictures=_pictures(grid, objects),
        command=html.escape(command(plan.options)),
    )


def command(options: Options) -> str:
    """The command line that makes this leaderboard."""
    length = f"--steps {options.steps}" if options.budget_s is None else f"--budget {options.budget_s:g}s"
    words = [f"recon leaderboard --data {shlex.quote(str(options.data))} {length}"]
    defaults = Options(options.data, options.out)
    for name in ("seeds", "size", "protocol", "split", "views", "threads", "device"):
        value = getattr(options, name)
        if value != getattr(defaults, name):
            words.append(f"--{name} {value}")
    if options.recipes:
        words.append(f"--recipes {shlex.quote(','.join(options.recipes))}")
    words += [f"--set {shlex.quote(one)}" for one in options.overrides]
    return " ".join(words)


def _subtitle(options: Options) -> str:
    length = f"{options.steps} steps" if options.budget_s is None else f"{options.budget_s:g} CPU seconds"
    parts = [
        f"data {options.data}", f"{length} each", f"{options.seeds} seed{'s' * (options.seeds > 1)}",
        f"protocol {options.protocol}", f"recon {__version__}",
    ]  # fmt: skip
    return html.escape(" · ".join(parts))


def _table(board: Board) -> str:
    heads = ["<th></th><th>recipe</th><th class='left'>learns from</th>"]
    heads += [
        f'<th title="{html.escape(one.title)}">{html.escape(heading(one))}</th>' for one in board.columns
    ]
    body = []
    for group, title in GROUPS.items():
        rows = [row for row in board.rows if row.group == group]
        if rows:
            span = 3 + len(board.columns)
            body.append(f'<tr class="group"><th colspan="{span}">{title}</th></tr>')
            body += [_row(row, rows, board) for row in rows]
    return f"<table><thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _costs(board: Board) -> str:
    """What every recipe took, in a table of its own: beside the scores it would not be seen."""
    names = fact_names(board)
    heads = "".join(f'<th title="{html.escape(FACT_HINTS[name])}">{name}</th>' for name in names)
    body = "".join(
        f"<tr><td></td><th>{html.escape(row.name)}</th>"
        + "".join(f"<td>{html.escape(facts(row)[name])}</td>" for name in names)
        + "</tr>"
        for row in board.rows
        if row.group != "none"
    )
    return f"<table class='costs'><thead><tr><th></th><th>recipe</th>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _row(row: Row, rivals: list[Row], board: Board) -> str:
    kind = "none" if row.group == "none" else ("first" if row.rank == 1 else "")
    mark = (
        ' <span class="trailing" title="does not beat the mean training shape">*</span>'
        if row.trailing
        else ""
    )
    cells = [f"<td>{row.rank or ''}</td><th>{html.escape(row.name)}{mark}</th>"]
    cells.append(f"<td class='left'>{html.escape(row.learns_from)}</td>")
    cells += [_score(row, rivals, column) for column in board.columns]
    return f'<tr class="{kind}">{"".join(cells)}</tr>'


def _score(row: Row, rivals: list[Row], column: Column) -> str:
    score = row.scores.get(column.key)
    if score is None:
        return "<td>–</td>"
    means = [one.scores[column.key].mean for one in rivals if column.key in one.scores]
    leads = row.group != "none" and score.mean == (min if column.lower_is_better else max)(means)
    best = ' class="best"' if leads and len(means) > 1 else ""
    digits = column.digits
    if score.std is None:
        return f"<td{best}>{score.mean:.{digits}f}</td>"
    hint = f"{score.low:.{digits}f} to {score.high:.{digits}f}"
    return f'<td{best} title="{hint}">{score.mean:.{digits}f} <small>± {score.std:.{digits}f}</small></td>'


def _absent(board: Board) -> str:
    """Recipes without a row, and why."""
    told = [(name, "failed", why) for name, why in board.failed.items()]
    told += [(name, "left out", why) for name, why in board.skipped.items()]
    lines = [f"<li><b>{html.escape(name)}</b> {how}: {html.escape(why)}</li>" for name, how, why in told]
    return (
        f"<h2>Without a row, or not with every seed</h2><ul class='notes'>{''.join(lines)}</ul>"
        if lines
        else ""
    )


def _charts(plan: Plan, board: Board, curves: Mapping[str, Mapping[str, list[Curve]]]) -> str:
    names = [row.name for row in board.rows if row.group != "none"]
    titles = {"mask_iou": "Mask IoU (higher is better)", "chamfer": "Chamfer sum x100 (lower is better)"}
    return "".join(
        chart(
            [Line(name, curves.get(key, {}).get(name, []), place) for place, name in enumerate(names)],
            title,
            plan.options.budget_s,
        )
        for key, title in titles.items()
    )


def _pictures(grid: Path | None, objects: list[str]) -> str:
    if grid is None or not grid.is_file():
        return ""
    data = base64.b64encode(grid.read_bytes()).decode()
    told = ", ".join(objects)
    return (
        "<h2>Pictures</h2><p class='soft'>Rows are test objects, evenly chosen from the split; clouds are in the "
        "object frame, from one view, predicted from the input shown by the first seed's run.</p>"
        f'<div class="card scroll pictures"><img alt="Clouds of {html.escape(told)}" '
        f'src="data:image/png;base64,{data}"></div>'
    )
