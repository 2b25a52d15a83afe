# SPDX-License-Identifier: Apache-2.0
"""The model's card, a folder of images, the log and a preset, in a real Blender window on a virtual screen."""

import importlib.util
import json
import os
import subprocess
from pathlib import Path

import pytest
import tiny_model
from test_window import screen  # noqa: F401  (a fixture)

from blender_addon.png import write_png

HERE = Path(__file__).resolve().parent
STEPS = ("1_card", "2_progress", "3_grid", "4_log", "5_presets")


@pytest.mark.slow
@pytest.mark.blender
def test_tour(screen: str, tmp_path: Path):  # noqa: F811
    tiny_model.write_model(tmp_path / "tiny.onnx")
    folder, out = tmp_path / "chairs", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    for number in (1, 2):
        write_png(folder / f"chair{number}.png", tiny_model.photo())
    (folder / "chair3.png").write_text("no image")
    packages = Path(importlib.util.find_spec("pytest").origin).parents[1]  # type: ignore[union-attr, arg-type]
    flags = ["--factory-startup", "--enable-event-simulate", "--window-geometry", "0", "0", "1400", "1000"]
    paths = [packages, out, tmp_path / "tiny.onnx", folder]
    command = ["blender", *flags, "--python", str(HERE / "window_batch.py"), "--", *map(str, paths)]
    environment = {**os.environ, "DISPLAY": screen, "LIBGL_ALWAYS_SOFTWARE": "1", "OMP_NUM_THREADS": "1"}
    environment["BLENDER_USER_SCRIPTS"] = str(tmp_path / "scripts")  # where presets go
    done = subprocess.run(command, capture_output=True, text=True, timeout=550, env=environment, check=False)
    found = out / "report.json"
    assert found.is_file(), done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(found.read_text())
    assert report["error"] == ""
    assert report["tab_opened"]
    assert report["clouds"] == report["after_redo"] == ["chair1 points", "chair2 points"]
    assert report["after_undo"] == []  # one step for the whole folder
    assert report["message"].startswith("1 of 3 images failed. The first: chair3.png")
    assert "TEXT_EDITOR" in report["editors"]
    assert (tmp_path / "scripts" / "presets" / "recon" / "display" / "Parts.py").is_file()
    for step in STEPS:
        assert (out / f"{step}.png").stat().st_size > 20_000, step
