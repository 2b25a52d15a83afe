# SPDX-License-Identifier: Apache-2.0
"""The section Data with a worker: the whole path to a model that is used, and a worker that is too old."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import bpy
import pytest
from check_data import counts, refusal
from conftest import new_image
from data_scene import fill_scene

from blender_addon import data_pictures, data_state, session, worker_client, worker_jobs
from blender_addon.jobs import CANCELLED


@pytest.fixture
def worker(monkeypatch) -> list[str]:
    """A real worker, of the Python that these tests were started from."""
    python = os.environ.get("RECON_TEST_PYTHON") or sys.executable
    command = worker_client.command_of(python) if Path(python).name.startswith("python") else []
    needed = "'torch', 'onnx', 'recon_core'"
    script = (
        f"from importlib.util import find_spec; import sys; sys.exit(not all(map(find_spec, [{needed}])))"
    )
    probe = [python, "-I", "-c", script]
    if not command or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("RECON_TEST_PYTHON names no Python that has recon")
    monkeypatch.setattr(worker_jobs, "command", lambda: command)
    return command


def test_a_worker_that_is_too_old_is_told_apart(data, monkeypatch, tmp_path):
    (tmp_path / "my sets" / "dataset").mkdir(parents=True)
    fake = tmp_path / "fake.py"
    line = {"type": "error", "id": None, "code": "bad_message", "message": "hello: write: unknown field."}
    fake.write_text(
        f"import sys; sys.stdin.readline(); print({json.dumps(line)!r}, flush=True); sys.stdin.read()"
    )
    python = os.environ.get("RECON_TEST_PYTHON") or sys.executable
    monkeypatch.setattr(worker_jobs, "command", lambda: [python, "-I", str(fake)])
    assert "older than this add-on" in refusal(bpy.ops.recon.data_check)


def test_the_whole_path(data, worker, tmp_path, monkeypatch):
    """Twelve objects are rendered and checked, a few steps trained, and the model makes points of a picture."""
    fill_scene(12)
    before = counts()
    assert bpy.ops.recon.data_render() == {"FINISHED"}
    folder = tmp_path / "my sets"
    report = data_state.report_of(folder)
    assert report is not None
    assert report.ok, report.lines
    assert report.lines[:3] == ["12 rendered", "12 objects, 36 views", "Parts: leg, seat"]
    assert report.sheet == folder / "dataset.png"
    data_pictures.file_icon(report.sheet)
    assert len(data_pictures._collection) == 1
    after = counts()
    assert "Recon log" in after.pop("texts")
    assert after == {kind: found for kind, found in before.items() if kind != "texts"}

    data.steps = 4
    small = ("model.points=120", "model.width=8", "model.features=32", "model.hidden=32", "optim.objects=2")
    recipe, overrides = "splat_full", (*small, "optim.views=2", "data.mask_size=32")
    monkeypatch.setattr("blender_addon.data_jobs.RECIPES", {"FULL": (recipe, overrides)})
    assert bpy.ops.recon.data_train() == {"FINISHED"}
    training = data_state.training_of(folder)
    assert training is not None
    assert training.ended == "Finished 4 steps"
    settings = bpy.context.scene.recon
    assert (settings.engine, settings.model_source) == ("BUILT_IN", "FILE"), session.message
    model = Path(settings.model_path)
    assert model.parent == folder / "models"
    assert json.loads(model.with_suffix(".json").read_text())["categories"] == ["stool"]

    settings.image = new_image("a photo")
    assert bpy.ops.recon.reconstruct() == {"FINISHED"}
    points = bpy.context.active_object
    assert len(points.data.vertices) == 120
    assert [part.name for part in points.recon.parts] == ["leg", "seat"]

    monkeypatch.setattr(session, "start", lambda job, wait=False: session.jobs.start(job))
    stop_a_training(data)


def stop_a_training(data) -> None:
    """A cancel keeps a checkpoint; the run goes on from it, and its model can be used."""
    data.steps = 100_000
    assert bpy.ops.recon.data_train() == {"FINISHED"}
    job = session.jobs.active[0]
    end = time.monotonic() + 120
    while job.info.get("step", 0) < 2:
        assert time.monotonic() < end
        assert not job.ended, job.error
        time.sleep(0.1)
    assert not bpy.ops.recon.data_check.poll()
    bpy.ops.recon.cancel()
    assert job.wait(120)
    session.poll()
    assert job.state == CANCELLED
    step = data_state.last_step(Path(data.run))
    assert step is not None
    assert data_state.training.ended == f"Stopped at step {step:,}; it can be continued"  # type: ignore[union-attr]
    before = bpy.context.scene.recon.model_path
    assert bpy.ops.recon.data_export() == {"FINISHED"}
    assert session.jobs.active[0].wait(120)
    session.poll()
    assert bpy.context.scene.recon.model_path != before
    assert Path(bpy.context.scene.recon.model_path).is_file()
