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
    entries = [(info.title, info.key, info.lower_is_better, info.digits) for info in infos]
    sections = [_section("", entries, result["methods"])]
    if result.get("categories"):
        sections.append(_by_category(result["categories"]))
    for name, one in result.get("protocols", {}).items():
        entries = [
            (info["name"], info["name"], info["lower_is_better"], info["digits"]) for info in one["metrics"]
        ]
        sections.append(_section(f"protocol {name}: {one['title']}", entries, one["methods"]))
    return "\n".join(["\n\n".join(sections), "", *result["notes"]])


def _by_category(categories: dict[str, dict[str, dict[str, float | None]]]) -> str:
    """The Chamfer sum of every method by category, and their mean."""
    key = "chamfer_sum"
    entries = [(category, category, True, 2) for category in categories]
    methods = {
        method: {category: values[method][key] for category, values in categories.items()}
        for method in METHODS
    }
    return _section("Chamfer sum x100 by category", entries, methods)


def _section(
    heading: str, entries: list[tuple[str, str, bool, int]], by_method: dict[str, dict[str, float | None]]
) -> str:
    """Aligned lines of (title, key, lower is better, digits), one column per method, under a heading."""
    methods = [key for key in METHODS if key in by_method]
    rows = [[heading, *(METHODS[key] for key in methods)]]
    for title, key, lower_is_better, digits in entries:
        values = [by_method[method].get(key) for method in methods]
        if any(value is not None for value in values):
            rows.append([f"{title} {'↓' if lower_is_better else '↑'}", *(number(v, digits) for v in values)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)
