# SPDX-License-Identifier: Apache-2.0
"""A run of `recon bench renderers` as a picture: time against points or faces and against pixels, log-log."""

from pathlib import Path
from typing import Any

from ..errors import MissingDependency
from ..io.atomic import atomic_path
from .cases import RENDERERS, Unit
from .exponents import Along, Exponent, line
from .run import Report

_COLORS = ("#2a5cc8", "#d8572a")  # the masks' and the other renderer's of a family
_TITLES = {
    "splat": "splat (ours)",
    "voxel": "voxels (DPC)",
    "planes": "planes (CAPNet, DIFFER)",
    "mesh": "mesh (DIB-R)",
}


def write_plot(report: Report, centres: dict[Unit, tuple[int, int]], path: Path) -> None:
    """Write a PNG: a column per family, count above and pixels below; raises MissingDependency without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependency(
            "The plot needs matplotlib: pip install 'recon3d[plots]' (the table and the JSON file are complete)."
        ) from None
    measured = {row.renderer for row in report.rows}
    families = list(dict.fromkeys(r.family for r in RENDERERS if r.name in measured))
    figure = Figure(figsize=(3.4 * len(families) + 0.6, 6.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(families), sharey=True, squeeze=False)
    for column, family in enumerate(families):
        for row in (0, 1):
            _panel(panels[row][column], report, family, centres, pixels=row == 1)
        panels[0][column].set_title(_TITLES[family])
    low, high = panels[0][0].get_ylim()
    panels[0][0].set_ylim(low, high * (high / low) ** 0.3)  # room for the legends
    for row in (0, 1):
        panels[row][0].set_ylabel("ms per view, forward + backward")
    figure.suptitle(
        f"{report.machine['device']}; solid: recon, dashed: brute force; exponent in the legend", size=10
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _panel(
    panel: Any, report: Report, family: str, centres: dict[Unit, tuple[int, int]], pixels: bool
) -> None:
    """Lines of the renderers of one family."""
    members = [r for r in RENDERERS if r.family == family]
    unit = members[0].unit
    along: Along = "pixels" if pixels else unit
    size, count = centres[unit]
    for color, renderer in zip(_COLORS, members):
        for form, style in (("ours", "-o"), ("brute", "--s")):
            points = line(report.rows, renderer.name, form, along, (size, count))
            if points:
                label = _label(report.exponents, renderer.name, form, along)
                panel.loglog(*zip(*points), style, color=color, label=label, markersize=4, linewidth=1.4,
                             markerfacecolor=color if form == "ours" else "white")  # fmt: skip
    where = f"{count:,} {unit}" if pixels else f"{size} px"
    panel.set_xlabel(f"{'pixels' if pixels else unit} (at {where})")
    _ticks(
        panel,
        sorted({row.size**2 if pixels else row.count for row in report.rows if row.unit == unit}),
        pixels,
    )
    panel.grid(True, which="major", color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
    if panel.get_legend_handles_labels()[0]:
        panel.legend(fontsize=7.5, framealpha=0.9, loc="upper left")


def _ticks(panel: Any, places: list[int], pixels: bool) -> None:
    """A tick at every size or count that was measured."""
    names = [f"{round(x**0.5)}²" if pixels else f"{x / 1000:g}k" for x in places]
    kept = [i for i, x in enumerate(places) if i == 0 or x > 1.4 * places[i - 1]]
    panel.set_xticks([places[i] for i in kept], [names[i] for i in kept], minor=False)
    panel.set_xticks([], minor=True)


def _label(exponents: list[Exponent], renderer: str, form: str, along: Along) -> str:
    found = [e for e in exponents if (e.renderer, e.form, e.along) == (renderer, form, along)]
    name = renderer if form == "ours" else f"{renderer}, brute"
    return f"{name}: {found[0].exponent:.2f}" if found else name
