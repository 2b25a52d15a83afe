# SPDX-License-Identifier: Apache-2.0
"""Curves of a score against CPU time as inline SVG, coloured by the page they stand in."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 24, 34
# Curves beyond these many colours repeat them with dashes.
COLORS = 8
DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class Line:
    """The curves of one recipe, one per seed; `place` chooses its colour and dashes."""

    name: str
    curves: list[list[tuple[float, float]]]
    place: int


@dataclass(frozen=True)
class _Scale:
    """Affine maps from data to pixels."""

    x_end: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return LEFT + value / self.x_end * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return HEIGHT - BOTTOM - min(max(share, 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)


def chart(lines: Sequence[Line], title: str, budget_s: float | None = None) -> str:
    """A figure with every line; a mark at the budget. Empty text when no line has a point."""
    lines = [line for line in lines if any(line.curves)]
    if not lines:
        return ""
    points = np.array([point for line in lines for curve in line.curves for point in curve], float)
    scale = _scale(points, budget_s)
    shapes = "".join(_curve(curve, line, scale) for line in lines for curve in line.curves if curve)
    keys = "".join(_key(line) for line in lines)
    return (
        f'<figure class="card"><figcaption>{html.escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f"{_axes(scale)}{_budget(scale, budget_s)}{shapes}</svg><p class='keys'>{keys}</p></figure>"
    )


def _scale(points: np.ndarray, budget_s: float | None) -> _Scale:
    """Time from 0; scores over their range, early outliers of a tenth cut off so that the end can be read."""
    low, high = float(points[:, 1].min()), float(np.quantile(points[:, 1], 0.95))
    high = max(high, low + 1e-3)
    step = _nice((high - low) / 5)
    return _Scale(
        max(float(points[:, 0].max()), budget_s or 0.0, 1e-3) * 1.03,
        float(np.floor(low / step) * step),
        float(np.ceil(high / step) * step),
    )


def _nice(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 times a power of ten."""
    power = 10 ** np.floor(np.log10(max(value, 1e-9)))
    return float(next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= value * 0.9999))


def _ticks(low: float, high: float) -> list[float]:
    step = _nice((high - low) / 5)
    first, last = int(np.ceil(low / step - 1e-6)), int(np.floor(high / step + 1e-6))
    return [step * place for place in range(first, last + 1)]


def _axes(scale: _Scale) -> str:
    left, right = LEFT, WIDTH - RIGHT
    marks = []
    for value in _ticks(scale.y_low, scale.y_high):
        y = scale.y(value)
        marks.append(f'<line class="axis" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        marks.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for value in _ticks(0.0, scale.x_end):
        marks.append(
            f'<text x="{scale.x(value):.1f}" y="{HEIGHT - 18}" text-anchor="middle">{value:g}</text>'
        )
    marks.append(f'<text x="{right}" y="{HEIGHT - 4}" text-anchor="end">CPU seconds of training</text>')
    return "".join(marks)


def _budget(scale: _Scale, budget_s: float | None) -> str:
    if budget_s is None:
        return ""
    x = scale.x(budget_s)
    return (
        f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text x="{x - 4:.1f}" y="{TOP - 6}" text-anchor="end">budget</text>'
    )


def _curve(curve: list[tuple[float, float]], line: Line, scale: _Scale) -> str:
    places = [(scale.x(cpu_s), scale.y(score), cpu_s, score) for cpu_s, score in curve]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y, _, _ in places)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_color(line)}">'
        f"<title>{html.escape(line.name)}: {score:.4g} at {cpu_s:.0f} s</title></circle>"
        for x, y, cpu_s, score in places
    )
    return f'<path class="curve" stroke="{_color(line)}" stroke-dasharray="{_dash(line)}" d="M{path}"/>{dots}'


def _color(line: Line) -> str:
    return f"var(--line{line.place % COLORS})"


def _dash(line: Line) -> str:
    return DASHES[line.place // COLORS % len(DASHES)]


def _key(line: Line) -> str:
    sample = (
        f'<svg class="sample" viewBox="0 0 26 8"><path class="curve" stroke="{_color(line)}" '
        f'stroke-dasharray="{_dash(line)}" d="M0 4H26"/></svg>'
    )
    return f"<span>{sample}{html.escape(line.name)}</span>"
