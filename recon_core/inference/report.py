# SPDX-License-Identifier: Apache-2.0
"""What `recon reconstruct` prints: a line or two per image, or one JSON object."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .hints import MaskHints
from .reconstruct import Failure, ReconstructResult, exit_status, reconstruct_all


def reconstruct_and_report(
    images: Sequence[Path],
    run_folder: Path,
    out_dir: Path,
    mask_path: Path | None,
    foreground: str,
    device: str,
    as_json: bool,
    confidence: str = "none",
    hints: MaskHints | None = None,
    page: bool = False,
    refine: bool = False,
) -> int:
    """Load the run, reconstruct every image, print what happened and return the exit status (0, 3 or 1).

    page: show the results on OUT/report.html, too. refine: fit clouds and poses to the masks.
    """
    from ..methods.run import load_run

    start = time.perf_counter()
    run = load_run(run_folder, device)
    load_ms = (time.perf_counter() - start) * 1000
    outcomes = []
    for outcome in reconstruct_all(images, run, out_dir, mask_path, foreground, confidence, hints, refine):
        outcomes.append(outcome)
        if not as_json:
            print(
                text_of(outcome), file=sys.stderr if isinstance(outcome, Failure) else sys.stdout, flush=True
            )
    shown = _write_page(outcomes, out_dir) if page else None
    if as_json:
        print(json.dumps(json_of(outcomes, load_ms) | {"report": shown}, indent=1))
        return exit_status(outcomes)
    if len(outcomes) > 1:
        done = sum(isinstance(outcome, ReconstructResult) for outcome in outcomes)
        print(f"{done} of {len(outcomes)} images reconstructed")
    if shown is not None:
        print(f"report: {shown}")
    return exit_status(outcomes)


def _write_page(outcomes: Sequence[ReconstructResult | Failure], out_dir: Path) -> str | None:
    """The page of all results that there are."""
    from ..report.page import write_report

    written = [one.json for one in outcomes if isinstance(one, ReconstructResult)]
    if not written:
        return None
    write_report(written, out_dir / "report.html")
    return str(out_dir / "report.html")


def text_of(outcome: ReconstructResult | Failure) -> str:
    """A few lines of text about one image."""
    if isinstance(outcome, Failure):
        return f"error: {outcome.message}"
    record = outcome.record
    note = f" ({record['image']['note']})" if record["image"]["note"] else ""
    parts = ", ".join(f"{name} {count}" for name, count in (record["parts"] or {}).items())
    lines = [
        f"{outcome.image_path}{note}: {record['points']} points in {record['timings_ms']['total']:.0f} ms",
        *([f"  category: {_category(record)}"] if record["category"] else []),
        f"  mask: {record['mask']['source']}",
        f"  colour: {record['colour']}",
        *([f"  frame: {record['frame']}"] if record["pose"] else []),
        *([f"  parts: {parts}"] if parts else []),
        *([f"  confidence: {_confidence(record['confidence'])}"] if record["confidence"] else []),
        *([f"  refined: {_refined(record['refine'])}"] if record["refine"] else []),
        f"  {outcome.ply}  {outcome.preview}  {outcome.json}",
    ]
    return "\n".join(lines)


def _category(record: dict[str, Any]) -> str:
    share = record["category_probability"]
    return record["category"] + ("" if share is None else f" (probability {share:.2f})")


def _confidence(record: dict[str, Any]) -> str:
    seen = record["visibility"]
    kinds = "" if seen is None else "; " + ", ".join(f"{name} {count}" for name, count in seen.items())
    return f"{record['mean']:.2f} on average{kinds} ({record['calibration']})"


def _refined(figures: dict[str, Any]) -> str:
    before, after = figures["iou"]
    return (
        f"mask IoU {before:.2f} -> {after:.2f}, points moved by {100 * figures['moved']:.1f} % of the diagonal on "
        f"average, camera by {figures['turned_deg']:.1f}°"
    )


def json_of(outcomes: Sequence[ReconstructResult | Failure], load_ms: float) -> dict[str, Any]:
    """Everything about all images as one JSON object."""
    return {
        "load_run_ms": round(load_ms, 1),
        "results": [
            {
                "image": str(one.image_path),
                "ply": str(one.ply),
                "preview": str(one.preview),
                "json": str(one.json),
            }
            | {"record": one.record}
            for one in outcomes
            if isinstance(one, ReconstructResult)
        ],
        "failed": [
            {"image": str(one.image_path), "error": one.message}
            for one in outcomes
            if isinstance(one, Failure)
        ],
    }
