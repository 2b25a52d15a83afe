# SPDX-License-Identifier: Apache-2.0
"""Scores of each category by itself, and their mean, in which every category counts alike."""

from collections.abc import Mapping
from typing import Any

from .scores import Scores

MEAN = "mean over categories"


def category_of(name: str) -> str:
    """The category of an object named "<category>/<object>"."""
    return name.split("/", 1)[0]


def by_category(groups: Mapping[str, Mapping[str, Scores]]) -> dict[str, dict[str, Any]]:
    """Values by category and method, and their MEAN; empty where there is one category alone."""
    if len(groups) < 2:
        return {}
    values = {
        category: {method: scores.values() for method, scores in groups[category].items()}
        for category in sorted(groups)
    }
    methods = next(iter(values.values()))
    return values | {MEAN: {method: _mean([one[method] for one in values.values()]) for method in methods}}


def _mean(rows: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The mean of every value over the rows that have it; None where none has."""
    known = {key: [value for row in rows if (value := row[key]) is not None] for key in rows[0]}
    return {key: sum(found) / len(found) if found else None for key, found in known.items()}
