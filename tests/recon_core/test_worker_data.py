# SPDX-License-Identifier: Apache-2.0
"""Jobs of `recon worker` about training sets: rendered, checked, trained on and exported as a client meets it."""

import json
from pathlib import Path

import pytest
from test_worker import SMALL, dataset, folder, gone, run, start  # noqa: F401  (fixtures)

from recon_core.blender import probe_wheel
from recon_core.data.dataset import Dataset
from recon_core.worker.data_jobs import ToldProgress
from recon_core.worker.protocol import Folders, Hello, ProtocolError, parse_message

CUBE = """usemtl seat
v -1 -1 -1\nv 1 -1 -1\nv 1 1 -1\nv -1 1 -1\nv -1 -1 1\nv 1 -1 1\nv 1 1 1\nv -1 1 1
f 4 3 2 1\nf 5 6 7 8\nf 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8
"""
needs_wheel = pytest.mark.skipif(
    not probe_wheel().usable, reason="the bpy wheel is not usable in this Python"
)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder that the client names for writing."""
    path = tmp_path / "shelf"
    path.mkdir()
    return path


def make_meshes(root: Path, count: int) -> Path:
    """Cubes in meshes/chair, the last one broken."""
    (root / "chair").mkdir(parents=True)
    for index in range(count - 1):
        (root / "chair" / f"cube_{index}.obj").write_text(CUBE.replace(" 1\n", f" 1.{index}\n"))
    (root / "chair" / "broken.obj").write_text("usemtl seat\nv 0 0 0\n")
    return root


@pytest.mark.parametrize(
    "fields",
    [
        {"views": 0}, {"views": 1001}, {"views": "8"}, {"views": True}, {"size": 4}, {"size": 10**9}, {"samples": 0},
        {"light": "dark"}, {"front": "Z"}, {"front": "--output=/x"}, {"seed": -1}, {"processes": 0}, {"meshes": ""},
        {"meshes": None}, {"blender": "/bin/sh"},
    ],
)  # fmt: skip
def test_render_messages_are_checked(fields):
    message = {"type": "render", "id": "r", "meshes": "m", "data": "d"}
    assert parse_message(json.dumps(message).encode()).views == 24  # type: ignore[union-attr]
    with pytest.raises(ProtocolError) as refused:
        parse_message(json.dumps(message | fields).encode())
    assert (refused.value.code, refused.value.job_id) == ("bad_message", "r")
    assert next(iter(fields)) in str(refused.value)


def test_folders_for_writing(folder, shelf, tmp_path):  # noqa: F811
    """They may be read too, hold what is written, and nothing around them does."""
    hello = {"type": "hello", "protocol": 1, "job_folder": str(folder)}
    folders = Folders.of(Hello(**hello, read=[str(tmp_path / "jobs")], write=[str(shelf)]))
    assert folders.to_write(str(shelf / "a" / "b"), "out", "t") == shelf / "a" / "b"
    assert folders.to_read(str(shelf / "a"), "data", "t") == shelf / "a"
    (shelf / "door").symlink_to(tmp_path)
    for text in (f"{shelf}/../x", f"{shelf}x", str(shelf / "door" / "x"), "/"):
        with pytest.raises(
            ProtocolError, match="outside the job folder and what the hello named under write"
        ):
            folders.to_write(text, "out", "t")
    (tmp_path / "file").touch()
    for bad, word in ((str(tmp_path / "none"), "cannot be used"), (str(tmp_path / "file"), "not a folder")):
        with pytest.raises(ProtocolError, match=word) as refused:
            Folders.of(Hello(**hello, write=[bad]))
        assert refused.value.code == "path"


def test_progress_counts_views_of_objects_under_way():
    """Views of an object that starts again are taken back, those of one given up count as done."""
    told: list[tuple[float, int, int]] = []

    def emit(stage, fraction, objects, objects_done, objects_failed):
        assert (stage, objects) == ("render", 4)
        told.append((fraction, objects_done, objects_failed))

    progress = ToldProgress(4, 2, True, emit)
    for name in ("a", "a", "b"):
        progress.view(name)
    progress.rendered("a")
    progress.again("b", "crashed")
    progress.failed("b", "crashed again")
    progress.view("c")
    assert [fraction for fraction, *_ in told] == [0, 1 / 8, 2 / 8, 3 / 8, 3 / 8, 2 / 8, 4 / 8, 5 / 8]
    assert told[-1][1:] == (1, 1)
    assert "crashed" in progress.said[0]


@needs_wheel
@pytest.mark.slow
@pytest.mark.blender
def test_render_check_and_paths(start, folder, shelf):  # noqa: F811
    """Meshes become a dataset outside the job folder, the broken one is named; the check finds what was spoilt."""
    meshes = make_meshes(folder / "meshes", 4)
    client = start(write=[str(shelf)])
    job = {
        "type": "render",
        "id": "r",
        "meshes": "meshes",
        "views": 2,
        "size": 32,
        "samples": 1,
        "processes": 1,
    }
    client.send(**job, data="../elsewhere")
    assert client.end_of("r")["code"] == "path"
    client.send(**job | {"meshes": "/etc"}, data=str(shelf / "set"))
    assert client.end_of("r")["code"] == "path"
    client.send(**job, data=str(shelf / "set"))
    result = client.end_of("r")
    assert result["type"] == "result", result
    assert (result["rendered"], result["failed_count"], result["complete_before"]) == (3, 1, 0)
    assert "chair/broken" in result["failed"]
    moving = [m for m in client.all if m.get("stage") == "render"]
    assert moving[-1]["objects"] == 4
    assert 0 < moving[-1]["fraction"] <= 1
    assert len(Dataset.open(shelf / "set").objects()) == 3
    client.send(type="check", id="c", data=str(shelf / "set"), sheet=str(shelf / "sheet.png"))
    checked = client.end_of("c")
    assert checked["report"]["ok"], checked["text"]
    assert checked["report"]["objects"] == 3
    assert checked["report"]["parts"] == ["arm", "back", "leg", "seat"]
    assert Path(checked["sheet"]).read_bytes().startswith(b"\x89PNG")
    next((shelf / "set").glob("chair/*/masks/000.png")).write_bytes(b"")
    client.send(type="check", id="c", data=str(shelf / "set"))
    checked = client.end_of("c")
    assert not checked["report"]["ok"]
    assert checked["report"]["error_count"] >= 1
    client.send(type="check", id="c", data=str(meshes))
    assert client.end_of("c")["code"] == "failed"
    (folder / "only" / "x").mkdir(parents=True)
    (folder / "only" / "x" / "broken.obj").write_text("v 0 0 0\n")
    client.send(**job | {"meshes": "only"}, data=str(shelf / "nothing"))
    assert "None of 1 objects" in client.end_of("r")["message"]
    assert client.close() == 0


@needs_wheel
@pytest.mark.slow
@pytest.mark.blender
@pytest.mark.parametrize("how", ["cancel", "kill"])
def test_a_render_that_is_stopped_leaves_whole_objects_and_no_blender(start, folder, how):  # noqa: F811
    make_meshes(folder / "meshes", 30)
    client = start()
    job = {
        "type": "render",
        "id": "r",
        "meshes": "meshes",
        "data": "set",
        "views": 6,
        "size": 64,
        "processes": 1,
    }
    client.send(**job)
    client.wait(lambda m: m.get("objects_done", 0) >= 1)
    started = client.children()
    assert len(started) >= 2  # what runs jobs, and its Blender
    if how == "cancel":
        client.send(type="cancel", id="r")
        assert client.end_of("r")["code"] == "cancelled"
        assert not list((folder / "set").glob("*/.*"))
        assert 0 < len(Dataset.open(folder / "set").objects()) < 29
    else:
        client.process.kill()
    assert gone(started)


@pytest.mark.slow
def test_a_run_outside_the_job_folder_is_trained_and_exported(start, dataset, shelf):  # noqa: F811
    """Where the client keeps its runs; losses are told while it trains, and the card is beside the model."""
    pytest.importorskip("onnx")
    client = start(read=[str(dataset)], write=[str(shelf)])
    run = shelf / "runs" / "one"  # noqa: F811
    overrides = [*SMALL, "optim.steps=40", "log.metrics=2"]
    common = {"data": str(dataset), "device": "cpu", "threads": 1}
    client.send(type="train", id="t", recipe="splat", out=str(run), set=overrides, **common)
    result = client.end_of("t")
    assert result["type"] == "result", result
    assert (result["step"], Path(result["run"])) == (40, run)
    out = shelf / "models" / "one.onnx"
    client.send(type="export", id="e", run=str(run), out=str(out))
    exported = client.end_of("e")
    assert exported["type"] == "result", exported
    assert (exported["model"], exported["card"]) == (str(out), str(out.with_suffix(".json")))
    assert exported["about"]["categories"] == ["chair"]
    assert "xyz" in exported["about"]["outputs"]
    assert out.stat().st_size == exported["about"]["bytes"]
    client.send(type="export", id="e", run=str(run), out=str(shelf / "models" / "one.txt"))
    assert "must end in .onnx" in client.end_of("e")["message"]
    client.send(type="export", id="e", run=str(run), out=str(dataset / "x.onnx"))
    assert client.end_of("e")["code"] == "path"
    assert client.close() == 0
