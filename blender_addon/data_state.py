# SPDX-License-Identifier: GPL-3.0-or-later
"""What the section Data knows beyond its settings: the last check and the last training. No bpy: filled by threads."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SHOWN_PROBLEMS = 4


@dataclass
class SetReport:
    """What rendering and checking a training set found, in lines for the panel."""

    folder: Path
    ok: bool
    lines: list[str]
    text: str = ""
    sheet: Path | None = None


@dataclass
class Training:
    """A training under way or ended; `info` is its job's, with step, losses and the newest sample."""

    folder: Path
    run: Path
    info: dict[str, Any] = field(default_factory=dict)
    ended: str = ""
    finished: bool = False


report: SetReport | None = None
training: Training | None = None
_steps: dict[Path, int | None] = {}


def forget() -> None:
    """Back to knowing nothing."""
    global report, training
    report = training = None
    _steps.clear()


def report_of(folder: Path) -> SetReport | None:
    """The last report, if it is about this folder."""
    return report if report is not None and report.folder == folder else None


def training_of(folder: Path) -> Training | None:
    """The last training, if it belongs to this folder."""
    return training if training is not None and training.folder == folder else None


def look_again() -> None:
    """Forget what was found on disk: a job has changed it."""
    _steps.clear()


def last_step(run: Path) -> int | None:
    """Step of a run's newest checkpoint, None without one; looked up once, as panels are drawn often."""
    if run not in _steps:
        try:
            names = [path.name for path in (run / "checkpoints").glob("step-*")]
        except OSError:
            names = []
        found = [int(name[5:]) for name in names if name[5:].isdigit()]
        _steps[run] = max(found, default=None)
    return _steps[run]


def report_lines(rendered: dict[str, Any], checked: dict[str, Any]) -> list[str]:
    """A few lines about a set, from the worker's results; `rendered` is empty when it was only checked."""
    report, lines = checked.get("report") or {}, []
    if rendered:
        counts = [f"{rendered.get('rendered', 0)} rendered"]
        if rendered.get("complete_before"):
            counts.append(f"{rendered['complete_before']} were there")
        if rendered.get("failed_count"):
            counts.append(f"{rendered['failed_count']} failed")
        lines.append(", ".join(counts))
    lines.append(f"{report.get('objects', 0)} objects, {report.get('views', 0)} views")
    parts = report.get("parts") or []
    lines.append("Parts: " + ", ".join(map(str, parts)) if parts else "No part labels")
    errors, count = report.get("error_count", 0), report.get("problem_count", 0)
    if count:
        lines.append(f"{errors} errors, {count - errors} warnings:")
        lines += [problem_line(one) for one in (report.get("problems") or [])[:SHOWN_PROBLEMS]]
    else:
        lines.append("No problems found")
    failed = rendered.get("failed") or {}
    lines += [f"{name}: {reason}" for name, reason in list(failed.items())[:SHOWN_PROBLEMS]]
    lines += [str(one) for one in (rendered.get("warnings") or [])[:SHOWN_PROBLEMS]]
    return lines


def problem_line(problem: Any) -> str:
    """One problem of a check in a line."""
    if not isinstance(problem, dict):
        return str(problem)
    where = str(problem.get("object") or "")
    view = problem.get("view")
    where += f" view {view}" if where and view is not None else ""
    return f"{where}: {problem.get('message')}" if where else str(problem.get("message"))
