# SPDX-License-Identifier: Apache-2.0
"""The report of `recon check`, for people and for programs."""

import json
from dataclasses import asdict

import numpy as np

from .check import CHECKS, CheckReport, Problem

EXAMPLES = 3


def as_text(report: CheckReport) -> str:
    """Aligned table: one line per check with its count of problems, the first examples below it."""
    width = max(map(len, CHECKS.values()))
    lines = [f"{report.root}: {report.objects} objects, {report.views} views", ""]
    for code, title in CHECKS.items():
        found = [problem for problem in report.problems if problem.code == code]
        lines.append(f"  {_mark(report, code, found):<8} {title:<{width}} {_count(found)}".rstrip())
        lines += [f"             {problem}" for problem in found[:EXAMPLES]]
        if len(found) > EXAMPLES:
            lines.append(f"             ... and {len(found) - EXAMPLES} more")
    if report.ious:
        low, mid = min(report.ious), float(np.median(report.ious))
        lines += ["", f"IoU of masks with reprojected points: median {mid:.3f}, lowest {low:.3f}"]
    warnings = len(report.problems) - len(report.errors)
    verdict = f"{len(report.errors)} errors, {warnings} warnings" if report.problems else "No problems found"
    return "\n".join([*lines, "", f"{verdict}."])


def as_json(report: CheckReport) -> str:
    """JSON: {"ok", "objects", "views", "counts": {code: n}, "iou": {...}, "problems": [...]}."""
    counts = {code: sum(problem.code == code for problem in report.problems) for code in CHECKS}
    iou = {"median": float(np.median(report.ious)), "lowest": min(report.ious)} if report.ious else None
    document = {
        "ok": not report.errors,
        "objects": report.objects,
        "views": report.views,
        "counts": counts,
        "iou": iou,
        "problems": [asdict(problem) for problem in report.problems],
    }
    return json.dumps(document, indent=1)


def _mark(report: CheckReport, code: str, found: list[Problem]) -> str:
    if any(problem.severity == "error" for problem in found):
        return "error"
    if found:
        return "warning"
    return "ok" if report.done[code] else "-"


def _count(found: list[Problem]) -> str:
    objects = len({problem.object for problem in found if problem.object})
    if not found:
        return ""
    return f"{len(found)} in {objects} objects" if objects else str(len(found))
