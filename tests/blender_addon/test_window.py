# SPDX-License-Identifier: Apache-2.0
"""A tour through the panel in a real Blender window on a virtual screen."""

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from window_run import run_tour

STEPS = ("1_empty", "2_image", "3_reconstructed", "4_align", "5_parts", "6_compare", "6_mesh", "7_error")


@pytest.fixture
def screen() -> Iterator[str]:
    """A virtual X screen's name."""
    for program in ("blender", "Xvfb", "import"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed")
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1400x1000x24", "+extension", "GLX"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdout is not None
    try:
        yield f":{int(server.stdout.readline())}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.slow
@pytest.mark.blender
def test_tour(screen: str, tmp_path: Path):
    import tiny_model

    from blender_addon.cloud import Cloud
    from blender_addon.ply import write_ply
    from blender_addon.png import write_png

    tiny_model.write_model(tmp_path / "tiny.onnx", with_pose=False, with_color=False)
    write_png(tmp_path / "photo.png", tiny_model.photo())
    xyz = np.random.default_rng(0).random((500, 3), dtype=np.float32)
    labels = np.digitize(xyz[:, 2], [0.5]).astype(np.uint8) + 1
    write_ply(tmp_path / "cloud.ply", Cloud(xyz, labels=labels.astype(np.uint8), parts=["base", "top"]))
    out = tmp_path / "out"
    files = [tmp_path / "tiny.onnx", tmp_path / "photo.png", tmp_path / "cloud.ply"]
    report = run_tour("window_tour.py", screen, out, files, 400)
    assert report["error"] == ""
    assert report["tab_opened"]
    assert report["after_undo"] == []
    assert report["after_redo"] == ["photo points"]
    assert report["surface_faces"] > 100
    for step in STEPS:
        assert (out / f"{step}.png").stat().st_size > 20_000, step
