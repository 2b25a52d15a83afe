# SPDX-License-Identifier: Apache-2.0
"""How cost grows: exponents of time against points, faces or pixels, from straight lines in log-log."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from .run import Row

Along = Literal["pixels", "points", "faces"]


@dataclass(frozen=True)
class Exponent:
    """Time of forward and backward grows as the `exponent`-th power of what it is measured along."""

    renderer: str
    form: str
    along: Along
    at: str
    exponent: float
    """Of all cases of the line; below the true one where a fixed cost per call still counts."""
    at_the_end: float
    """Between the largest case and one of at most half its size."""
    least: float
    most: float


def fit_exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Slope of the least-squares line through (log size, log time); nan for fewer than two sizes."""
    if len(set(sizes)) < 2:
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def end_exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """Slope between the largest size and the next one of at most half of it; of all sizes when there is none."""
    below = [i for i, size in enumerate(sizes) if 2 * size <= sizes[-1]]
    if not below:
        return fit_exponent(sizes, times)
    return fit_exponent([sizes[below[-1]], sizes[-1]], [times[below[-1]], times[-1]])


def line(
    rows: Sequence["Row"], renderer: str, form: str, along: Along, centre: tuple[int, int]
) -> list[tuple[float, float]]:
    """(pixels or count, milliseconds) of the cases on one line through the centre (size, count), in order."""
    found = []
    for row in rows:
        fixed = row.count == centre[1] if along == "pixels" else row.size == centre[0]
        took_ms = getattr(row, form).both_ms
        if row.renderer == renderer and fixed and took_ms is not None:
            found.append((float(row.size**2 if along == "pixels" else row.count), took_ms))
    return sorted(found)


def fit_all(rows: Sequence["Row"], centres: Mapping[str, tuple[int, int]]) -> list[Exponent]:
    """An exponent for every renderer, form and line with at least two cases."""
    exponents = []
    units: dict[str, Along] = {row.renderer: row.unit for row in rows}
    for renderer, unit in units.items():
        size, count = centres[unit]
        for form in ("ours", "brute"):
            lines: list[tuple[Along, str]] = [(unit, f"{size} px"), ("pixels", f"{count} {unit}")]
            for along, at in lines:
                found = line(rows, renderer, form, along, (size, count))
                if len(found) > 1:
                    x, y = zip(*found)
                    slopes = fit_exponent(x, y), end_exponent(x, y)
                    exponents.append(Exponent(renderer, form, along, at, *slopes, x[0], x[-1]))
    return exponents
