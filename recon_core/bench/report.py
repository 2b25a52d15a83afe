# SPDX-License-Identifier: Apache-2.0
"""Files of a run of `recon bench renderers`."""

from pathlib import Path

from ..errors import MissingDependency
from ..io.atomic import write_json, write_text
from .cases import Unit
from .plot import write_plot
from .run import CENTRE, BenchOptions, Report, centre
from .table import as_text


def write_report(report: Report, options: BenchOptions, out: Path) -> tuple[str, list[str]]:
    """Write renderers.json, renderers.txt and renderers.png; return the text, and a line for each file or its lack."""
    text = as_text(report)
    write_json(out / "renderers.json", report.as_json())
    write_text(out / "renderers.txt", text + "\n")
    lines = [f"figures: {out / 'renderers.json'}", f"table: {out / 'renderers.txt'}"]
    centres: dict[Unit, tuple[int, int]] = {unit: centre(options, unit) for unit in CENTRE}
    try:
        write_plot(report, centres, out / "renderers.png")
        lines.append(f"plot: {out / 'renderers.png'}")
    except MissingDependency as error:
        lines.append(f"no plot: {error}")
    return text, lines
