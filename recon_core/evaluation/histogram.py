# SPDX-License-Identifier: Apache-2.0
"""Histograms as inline SVG, coloured by the page they stand in."""

import html
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 560, 220
LEFT, RIGHT, TOP, BOTTOM = 38, 12, 22, 28
MAX_BINS = 24


@dataclass(frozen=True)
class Series:
    """Values under one name; the first series of a histogram is filled, the others are outlined."""

    name: str
    values: list[float]


def histogram(series: list[Series], title: str, unit: str, *, upper: float | None = None) -> str:
    """A figure with the counts of each series over common bins from 0; the mean of each in its caption."""
    pooled = np.concatenate([np.asarray(one.values, float) for one in series])
    end = upper or _rounded_up(float(pooled.max(initial=0.0)))
    bins = int(np.clip(2 * np.sqrt(len(pooled) / len(series)), 8, MAX_BINS))
    edges = np.linspace(0, end, bins + 1)
    counts = [np.histogram(np.clip(one.values, 0, end), edges)[0] for one in series]
    top = max(1, max(int(count.max()) for count in counts))
    shapes = "".join(
        _bars(count, top) if not place else _outline(count, top) for place, count in enumerate(counts)
    )
    keys = "".join(_key(one, place) for place, one in enumerate(series))
    return (
        f'<figure class="card"><figcaption>{html.escape(title)}{keys}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f"{_axes(end, top, unit)}{shapes}</svg></figure>"
    )


def _rounded_up(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten."""
    power = 10 ** np.floor(np.log10(max(value, 1e-6)))
    return float(
        next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.9999)
    )


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _bars(counts: np.ndarray, top: int) -> str:
    width = (WIDTH - LEFT - RIGHT) / len(counts)
    return "".join(
        f'<rect class="model" x="{_x(place / len(counts)) + 1:.1f}" y="{_y(count / top):.1f}" '
        f'width="{width - 2:.1f}" height="{_y(0) - _y(count / top):.1f}"><title>{count}</title></rect>'
        for place, count in enumerate(counts)
        if count
    )


def _outline(counts: np.ndarray, top: int) -> str:
    steps = [f"M{_x(0):.1f} {_y(0):.1f}"]
    for place, count in enumerate(counts):
        steps.append(f"V{_y(count / top):.1f}H{_x((place + 1) / len(counts)):.1f}")
    return f'<path class="other" d="{"".join(steps)}V{_y(0):.1f}"/>'


def _axes(end: float, top: int, unit: str) -> str:
    marks = [f'<line class="axis" x1="{_x(0)}" x2="{_x(1)}" y1="{_y(0)}" y2="{_y(0)}"/>']
    for share in np.linspace(0, 1, 7):
        label = f"{end * share:.3g}"
        marks.append(f'<text x="{_x(share):.1f}" y="{HEIGHT - 9}" text-anchor="middle">{label}</text>')
    for count in sorted({0, top // 2, top}):
        y = _y(count / top)
        marks.append(f'<line class="axis" x1="{_x(0)}" x2="{_x(1)}" y1="{y:.1f}" y2="{y:.1f}"/>')
        marks.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{count}</text>')
    marks.append(f'<text x="{LEFT}" y="{TOP - 9}">{html.escape(unit)}</text>')
    return "".join(marks)


def _key(series: Series, place: int) -> str:
    color = "var(--other)" if place else "var(--model)"
    mean = float(np.mean(series.values)) if series.values else 0.0
    name = html.escape(series.name)
    return f'<i class="key" style="background:{color}"></i>{name} <span class="soft">mean {mean:.2f}</span>'
