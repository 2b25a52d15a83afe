# SPDX-License-Identifier: Apache-2.0
"""Undo while jobs run, which needs a Blender with a window; it draws nothing, so it is quick."""

import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture
def blank_screen() -> Iterator[str]:
    """Name of a virtual X screen."""
    for program in ("blender", "Xvfb"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "800x600x24", "+extension", "GLX"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        try:
            yield f":{int(server.stdout.readline())}"
        finally:
            server.terminate()


@pytest.mark.slow
@pytest.mark.blender
def test_undo_while_jobs_run(blank_screen: str, tmp_path: Path):
    import tiny_model

    from blender_addon.png import write_png

    tiny_model.write_model(tmp_path / "tiny.onnx")
    write_png(tmp_path / "photo.png", tiny_model.photo())
    packages = Path(importlib.util.find_spec("pytest").origin).parents[1]  # type: ignore[union-attr, arg-type]
    files = [tmp_path / "tiny.onnx", tmp_path / "photo.png", tmp_path / "report.json"]
    command = ["blender", "--factory-startup", "--window-geometry", "0", "0", "800", "600", "--python"]
    command += [str(HERE / "window_undo.py"), "--", str(packages), *map(str, files)]
    environment = {**os.environ, "DISPLAY": blank_screen, "OMP_NUM_THREADS": "1"}
    environment |= {"LIBGL_ALWAYS_SOFTWARE": "1", "GALLIUM_NOOP": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, env=environment, check=False)
    assert files[-1].is_file(), done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(files[-1].read_text())
    assert report.pop("error") == ""
    assert report == {
        "undo while reconstructing": [[], 1],
        "reconstructed": [["photo points"], "done", ""],
        "undone after that": [],
        "redone": ["photo points"],
        "undo while aligning": [],
        "alignment of what is gone": ["failed", "photo points was renamed or deleted meanwhile."],
        "redone at the end": ["Suzanne", "photo points"],
        "alignment after undo and redo": ["done", True],
        "alignment undone": True,
    }
