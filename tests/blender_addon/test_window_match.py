# SPDX-License-Identifier: Apache-2.0
"""Refining and matching by the real worker, in a real Blender window on a virtual screen."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_window import screen  # noqa: F401

HERE = Path(__file__).resolve().parent
STEPS = (
    "1_refining",
    "2_refined",
    "3_visibility",
    "4_confidence",
    "5_before",
    "6_matching",
    "7_matched",
    "9_moved",
)


def photo() -> np.ndarray:
    """A plate (H,W,4) uint8 that is wider than the tiny model's box."""
    rgba = np.full((160, 200, 4), 130, np.uint8)
    rgba[..., 3] = 0
    rgba[50:120, 40:160, 3] = 255
    return rgba


@pytest.mark.slow
@pytest.mark.blender
def test_match_tour(screen: str, tmp_path: Path):  # noqa: F811
    import tiny_model

    from blender_addon.png import write_png

    tiny_model.write_model(tmp_path / "tiny.onnx")
    write_png(tmp_path / "photo.png", photo())
    out = tmp_path / "out"
    out.mkdir()
    packages = Path(importlib.util.find_spec("pytest").origin).parents[1]  # type: ignore[union-attr, arg-type]
    flags = ["--factory-startup", "--enable-event-simulate", "--window-geometry", "0", "0", "1400", "1000"]
    words = [packages, out, sys.executable, tmp_path / "tiny.onnx", tmp_path / "photo.png"]
    command = ["blender", *flags, "--python", str(HERE / "window_match.py"), "--", *map(str, words)]
    environment = {**os.environ, "DISPLAY": screen, "LIBGL_ALWAYS_SOFTWARE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment, check=False)
    report = json.loads((out / "report.json").read_text()) if (out / "report.json").is_file() else {}
    assert report, done.stdout[-3000:] + done.stderr[-3000:]
    assert report["error"] == ""
    assert report["message"] == ""
    before, after = report["refined"]["iou"]
    assert after > before
    assert sum(report["visibility"].values()) == pytest.approx(1, abs=1e-3)
    # A monkey's head, rendered by Blender itself from a camera that is gone.
    assert report["solutions"][0][0] > 0.85
    assert report["match"]["before"] is None
    assert report["moved"] > 0.85
    for step in STEPS:
        assert (out / f"{step}.png").stat().st_size > 20_000, step
