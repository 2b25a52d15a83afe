# SPDX-License-Identifier: Apache-2.0
"""The section Data in a real Blender window: from objects on the screen to points of a model trained on them."""

import sys
from pathlib import Path

import pytest
from test_window import screen  # noqa: F401  (a fixture)
from window_run import run_tour

STEPS = ("1_no_worker", "2_ready", "3_rendering", "4_checked", "5_training", "6_trained", "7_used")


@pytest.mark.slow
@pytest.mark.blender
def test_tour(screen: str, tmp_path: Path):  # noqa: F811
    out = tmp_path / "out"
    report = run_tour("window_data.py", screen, out, [sys.executable, "20"], 290)
    assert report["error"] == ""
    assert report["message"] == ""
    assert report["points"] == 200
    assert Path(report["model"]).parent == out / "stools" / "models"
    for step in STEPS:
        assert (out / f"{step}.png").stat().st_size > 20_000, step
