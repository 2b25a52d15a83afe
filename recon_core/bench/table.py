# SPDX-License-Identifier: Apache-2.0
"""A run of `recon bench renderers` as text."""

from .exponents import Exponent
from .run import Figures, Report, Row


def as_text(report: Report) -> str:
    """The table, the exponents, and how it was measured."""
    machine = report.machine
    head = [
        f"{machine['device']}, {machine['cores']} cores, load {machine['load']}, torch {machine['torch']}",
        "ms per view (median, both forms in turns): forward, and forward + backward; MB: growth of the peak by one",
        "call of so many views, forward + backward, in a process of its own. The brute force renders one view.",
    ]
    units = list(dict.fromkeys(row.unit for row in report.rows))
    tables = [_table([row for row in report.rows if row.unit == unit], unit) for unit in units]
    return "\n".join([*head, *("\n" + table for table in tables), "", _exponents(report.exponents)])


def _table(rows: list[Row], unit: str) -> str:
    columns = (
        f"{'':<15}{'px':>5}{unit:>8} |{'views':>6}{'fwd ms':>9}{'both ms':>9}{'MB':>8} |"
        f"{'brute: fwd':>11}{'both ms':>10}{'MB':>8} |{'times':>7}"
    )
    title = f"{'':<28} |{'ours':^32} |{'brute force':^29} |"
    lines, before = [title, columns, "-" * len(columns)], ""
    for row in rows:
        name = row.renderer if row.renderer != before else ""
        ours = f"{row.ours.views:6d}{_cells(row.ours, (9, 9, 8))}"
        ratio = f"{row.ratio:7.0f}" if row.ratio else f"{'-':>7}"
        lines.append(
            f"{name:<15}{row.size:5d}{row.count:8d} |{ours} |{_cells(row.brute, (11, 10, 8))} |{ratio}"
        )
        before = row.renderer
    return "\n".join(lines)


def _cells(figures: Figures, widths: tuple[int, int, int]) -> str:
    if figures.left_out:
        return f"{'left out: ' + figures.left_out:>{sum(widths)}}"
    values = (figures.forward_ms, figures.both_ms, figures.both_mb)
    return "".join(f"{_number(value):>{width}}" for value, width in zip(values, widths))


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def _exponents(exponents: list[Exponent]) -> str:
    lines = [
        "time (forward + backward) grows as a power of the number of points, faces or pixels: exponent fitted to all,",
        "and to the largest two (apart by 2 at least); fixed costs of a call make small ones look flat",
    ]
    for one in exponents:
        who = one.renderer if one.form == "ours" else f"{one.renderer}, brute"
        span = f"{one.least:,.0f} to {one.most:,.0f}"
        lines.append(
            f"  {who:<22} {one.along:<7} {span:>18} at {one.at:<12} {one.exponent:5.2f} {one.at_the_end:7.2f}"
        )
    return "\n".join(lines)
