# SPDX-License-Identifier: Apache-2.0
"""The section Data in a real Blender window: from objects on the screen to points of a model trained on them."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_window import screen  # noqa: F401  (a fixture)

HERE = Path(__file__).resolve().parent
STEPS = ("1_no_worker", "2_ready", "3_rendering", "4_checked", "5_training", "6_trained", "7_used")


@pytest.mark.slow
@pytest.mark.blender
def test_tour(screen: str, tmp_path: Path):  # noqa: F811
    packages = Path(importlib.util.find_spec("pytest").origin).parents[1]  # type: ignore[union-attr, arg-type]
    out = tmp_path / "out"
    out.mkdir()
    flags = ["--factory-startup", "--window-geometry", "0", "0", "1400", "1000"]
    arguments = [str(packages), str(out), sys.executable, "20"]
    command = ["blender", *flags, "--python", str(HERE / "window_data.py"), "--", *arguments]
    environment = {**os.environ, "DISPLAY": screen, "LIBGL_ALWAYS_SOFTWARE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=580, env=environment, check=False)
    report = json.loads((out / "report.json").read_text()) if (out / "report.json").is_file() else {}
    assert report, done.stdout[-3000:] + done.stderr[-3000:]
    assert report["error"] == ""
    assert report["message"] == ""
    assert report["points"] == 200
    assert Path(report["model"]).parent == out / "stools" / "models"
    for step in STEPS:
        assert (out / f"{step}.png").stat().st_size > 20_000, step
