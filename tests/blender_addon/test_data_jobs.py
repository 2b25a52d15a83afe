# SPDX-License-Identifier: Apache-2.0
"""The work behind the section Data with small workers that answer as told: folders, Blender, cancels, old versions."""

import json
import sys
import textwrap
import time
from pathlib import Path

import pytest

from blender_addon import data_jobs, data_state, worker_client
from blender_addon.data_jobs import Place, TrainSettings
from blender_addon.jobs import CANCELLED, DONE, FAILED, Job

BEGIN = """
import json, os, sys
def say(**message):
    sys.stdout.write(json.dumps(message) + "\\n"); sys.stdout.flush()
def hear():
    line = sys.stdin.readline()
    if not line: sys.exit(0)
    return json.loads(line)
hello = hear()
say(type="hello", protocol=1, version="9", jobs=JOBS)
"""


@pytest.fixture
def place(tmp_path: Path):
    """A folder with a training set, and a worker that does what the body says."""
    (tmp_path / "set" / "dataset").mkdir(parents=True)
    (tmp_path / "set" / "dataset" / "dataset.json").write_text('{"categories": ["stool"]}')

    def make(body: str, jobs: tuple[str, ...] = ("train", "check", "export"), blender: str = "") -> Place:
        path = tmp_path / "fake.py"
        path.write_text(BEGIN.replace("JOBS", repr(list(jobs))) + textwrap.dedent(body))
        return Place(tmp_path / "set", [sys.executable, "-I", str(path)], blender)

    yield make
    data_state.forget()
    assert not worker_client._running


def settings(place: Place, **changes) -> TrainSettings:
    fields = {"run": place.folder / "runs" / "one", "model": place.folder / "models" / "one.onnx"}
    return TrainSettings("splat", ("optim.lr=0.1",), 50, **fields | changes)


def finish(job: Job) -> Job:
    assert job.wait(60)
    job.finish()
    return job


ECHO = """
import pathlib
message = hear()
told = {"hello": hello, "message": message, "blender": os.environ.get("BLENDER")}
pathlib.Path(hello["write"][0], "told.json").write_text(json.dumps(told))
say(type="result", id=message["id"], run="r", step=50, interrupted=False)
message = hear()
say(type="result", id=message["id"], model=message["out"])
hear()
"""


@pytest.mark.parametrize("resume", [False, True])
def test_what_a_worker_is_told(place, monkeypatch, resume):
    """Its folder to write to, the Blender to render with, and a recipe or a run to go on with."""
    monkeypatch.delenv("BLENDER", raising=False)
    where, results = place(ECHO, blender="/opt/blender"), []
    job = finish(data_jobs.train_job(where, settings(where, resume=resume), results.append).start())
    assert job.state == DONE, job.error
    told = json.loads((where.folder / "told.json").read_text())
    assert told["hello"]["write"] == [str(where.folder)]
    assert told["blender"] == "/opt/blender"
    message = told["message"]
    if resume:
        assert message["resume"] == str(where.folder / "runs" / "one")
        assert not {"recipe", "out", "set"} & set(message)
    else:
        assert message["recipe"] == "splat"
        expected = ["optim.lr=0.1", "optim.steps=50", "log.metrics=1", "log.samples=5"]
        assert message["set"][:4] == expected
    assert results[0].model == where.folder / "models" / "one.onnx"
    assert data_state.training.ended == "Finished 50 steps"  # type: ignore[union-attr]


def test_the_users_own_blender_is_kept(place, monkeypatch):
    monkeypatch.setenv("BLENDER", "wheel")
    where = place(ECHO, blender="/opt/blender")
    finish(data_jobs.train_job(where, settings(where), print).start())
    assert json.loads((where.folder / "told.json").read_text())["blender"] == "wheel"


def test_a_cancelled_training_waits_for_its_checkpoint(place, monkeypatch):
    """It may take longer than other jobs, and what was saved is said."""
    monkeypatch.setattr(worker_client, "CANCEL_S", 0.2)
    body = """
    import time
    message = hear()
    say(type="progress", id=message["id"], stage="train", fraction=0.5, step=7, steps=50, losses=[[1, 2.0], [7, 1.0]])
    assert hear() == {"type": "cancel", "id": message["id"]}
    time.sleep(1)
    say(type="result", id=message["id"], run="r", step=8, interrupted=True)
    hear()
    """
    where = place(body)
    job = data_jobs.train_job(where, settings(where), print).start()
    while job.info.get("step") != 7:
        time.sleep(0.05)
    job.cancel()
    assert finish(job).state == CANCELLED
    training = data_state.training_of(where.folder)
    assert training is not None
    assert training.ended == "Stopped at step 8; it can be continued"
    assert training.info["losses"] == [[1, 2.0], [7, 1.0]]


def test_a_model_that_cannot_be_exported_is_said_not_lost(place):
    body = """
    say(type="result", id=hear()["id"], run="r", step=50, interrupted=False)
    say(type="error", id=hear()["id"], code="failed", message="The package onnx is missing.")
    hear()
    """
    where, results = place(body), []
    assert finish(data_jobs.train_job(where, settings(where), results.append).start()).state == DONE
    assert (results[0].model, results[0].problem) == (None, "The package onnx is missing.")


def test_recipes_of_the_panel_are_those_that_ship():
    """Without parts everything else stays as in the recipe with them."""
    from recon_core.methods.recipe import load_recipe

    made = {
        name: load_recipe(recipe, [*overrides, *data_jobs.schedule(300)])
        for name, (recipe, overrides) in data_jobs.RECIPES.items()
    }
    full, color = made["FULL"], made["COLOR"]
    assert color.terms == tuple(term for term in full.terms if term.kind != "splat_parts")
    assert set(full.model.heads) - set(color.model.heads) == {"parts"}
    assert "color" not in made["SHAPE"].model.heads
    assert all(one.optim.steps == 300 and one.log.samples == 30 for one in made.values())


def test_old_workers_are_told_apart(place):
    """One that does not know a job, which is not even asked."""
    where = place("raise SystemExit(json.dumps(hear()))", jobs=("reconstruct", "doctor"))
    job = finish(data_jobs.check_job(where, print).start())
    assert job.state == FAILED
    assert "cannot check yet. Update recon" in job.error


def test_all_workers_end_together(place):
    where = place("hear()")
    workers = [worker_client.Worker(where.command, []) for _ in range(3)]
    assert set(workers) == worker_client._running
    worker_client.close_worker()
    assert not any(worker.alive for worker in workers)
    assert not any(worker.folder.exists() for worker in workers)


def test_reports_in_lines():
    """Counts, parts, the first problems and failures; strange answers do not matter."""
    problem = {"object": "a/b", "view": 3, "message": "its mask is empty", "severity": "error"}
    report = {
        "objects": 2,
        "views": 6,
        "parts": ["leg"],
        "problems": [problem],
        "problem_count": 9,
        "error_count": 7,
    }
    rendered = {
        "rendered": 2,
        "complete_before": 1,
        "failed_count": 1,
        "failed": {"a/c": "no faces"},
        "warnings": ["w"],
    }
    rendered["warnings"] = ["w"]
    assert data_state.report_lines(rendered, {"report": report}) == [
        "2 rendered, 1 were there, 1 failed",
        "2 objects, 6 views",
        "Parts: leg",
        "7 errors, 2 warnings:",
        "a/b view 3: its mask is empty",
        "a/c: no faces",
        "w",
    ]
    assert data_state.report_lines({}, {}) == ["0 objects, 0 views", "No part labels", "No problems found"]


def test_the_newest_checkpoint_of_a_run(tmp_path):
    assert data_state.last_step(tmp_path) is None
    for name in ("step-0000010", "step-0000200", ".step-x", "step-new"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert data_state.last_step(tmp_path) is None  # looked up once
    data_state.look_again()
    assert data_state.last_step(tmp_path) == 200
    data_state.forget()
