# SPDX-License-Identifier: Apache-2.0
"""The results as text: one line per metric, one column per method."""

from typing import Any

from .scores import METHODS, MetricInfo


def number(value: float | None, digits: int) -> str:
    """A value with its digits, or a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def as_table(result: dict[str, Any]) -> str:
    """Align the summary of an evaluation for a terminal, with notes below."""
    infos = [MetricInfo(**one) for one in result["metrics"]]
    methods = [key for key in METHODS if key in result["methods"]]
    rows = [["", *(METHODS[key] for key in methods)]]
    for info in infos:
        values = [result["methods"][key].get(info.key) for key in methods]
        if any(value is not None for value in values):
            rows.append(
                [
                    f"{info.title} {'↓' if info.lower_is_better else '↑'}",
                    *(number(v, info.digits) for v in values),
                ]
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join([*lines, "", *result["notes"]])
