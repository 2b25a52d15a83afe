# SPDX-License-Identifier: Apache-2.0
"""The model's card, a folder of images, the log and a preset, in a real Blender window on a virtual screen."""

from pathlib import Path

import pytest
import tiny_model
from test_window import screen  # noqa: F401  (a fixture)
from window_run import run_tour

from blender_addon.png import write_png

STEPS = ("1_card", "2_progress", "3_grid", "4_log", "5_presets")


@pytest.mark.slow
@pytest.mark.blender
def test_tour(screen: str, tmp_path: Path):  # noqa: F811
    tiny_model.write_model(tmp_path / "tiny.onnx")
    folder, out = tmp_path / "chairs", tmp_path / "out"
    folder.mkdir()
    for number in (1, 2):
        write_png(folder / f"chair{number}.png", tiny_model.photo())
    (folder / "chair3.png").write_text("no image")
    presets = str(tmp_path / "scripts")  # where presets go
    files: list[str | Path] = [tmp_path / "tiny.onnx", folder]
    report = run_tour("window_batch.py", screen, out, files, 270, BLENDER_USER_SCRIPTS=presets)
    assert report["error"] == ""
    assert report["tab_opened"]
    assert report["clouds"] == report["after_redo"] == ["chair1 points", "chair2 points"]
    assert report["after_undo"] == []  # one step for the whole folder
    assert report["message"].startswith("1 of 3 images failed. The first: chair3.png")
    assert "TEXT_EDITOR" in report["editors"]
    assert (tmp_path / "scripts" / "presets" / "recon" / "display" / "Parts.py").is_file()
    for step in STEPS:
        assert (out / f"{step}.png").stat().st_size > 20_000, step
