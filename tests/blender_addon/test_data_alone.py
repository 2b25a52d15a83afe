# SPDX-License-Identifier: Apache-2.0
"""A training set without the worker: scripts that misbehave as told, the files of a set, real Blenders from the zip."""

import importlib
import importlib.util
import json
import os
import shutil
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from blender_addon import background, data_index, data_look, data_render
from blender_addon.jobs import CANCELLED, DONE, FAILED, Job, UserError
from recon_core import farm_index
from recon_core.data.splits import split_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import build_extension

SETTINGS = {"views": 2, "size": 32, "samples": 1, "light": "fixed", "front": "-Y"}

# A renderer that says what render_views says; a body follows that has `names`, `say` and `done(name)`.
FAKE = """
import json, os, pathlib, subprocess, sys, time
words = sys.argv[sys.argv.index("--") + 1 :]
meshes, out = pathlib.Path(words[0]), pathlib.Path(words[words.index("--output") + 1])
names = pathlib.Path(words[words.index("--only") + 1]).read_text().split()
def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)
def done(name):
    for view in range(2):
        say("view", object=name, view=view, views=2)
    (out / name).mkdir(parents=True)
    (out / name / "transforms.json").write_text(json.dumps({"recon": {"parts": ["leg"]}}))
    say("object", object=name, seconds=1, views=2)
def begin():
    (out / "dataset.json").write_text(json.dumps({"categories": [], "parts": {}, "render": {}, "seed": 0}))
    say("plan", objects=len(names), views=2)
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch):
    """Objects a, b and c, rendered by a script with this body; returns the job after it has ended."""
    for name in "abc":
        (tmp_path / "meshes" / "box" / name).mkdir(parents=True)
        (tmp_path / "meshes" / "box" / name / "model.glb").write_bytes(b"")

    def begin(body: str) -> Job:
        path = tmp_path / "fake.py"
        path.write_text(FAKE + textwrap.dedent(body))
        monkeypatch.setattr(data_render, "script", lambda: path)
        return start(tmp_path / "meshes", tmp_path / "dataset")

    yield begin
    assert not background._running


def start(meshes: Path, dataset: Path, blender: str = "", render=data_render.render) -> Job:
    results: list = []
    job = Job("render", lambda job: render(blender, meshes, dataset, SETTINGS, job), results.append)
    job.info["results"] = results
    return job.start()


def finish(job: Job) -> Job:
    assert job.wait(200)
    job.finish()
    return job


def outcome(job: Job) -> dict:
    assert finish(job).state == DONE, job.error + job.details
    return job.info["results"][0]


def lines(path: Path) -> list[str]:
    return path.read_text().split()


def test_what_is_said_among_garbage(fake, tmp_path):
    """Bytes, lines without end, JSON that is no event, objects nobody asked for."""
    job = fake("""
        begin()
        sys.stdout.buffer.write(b"\\xff\\xfe{\\n[1]\\n{]\\n{}\\n" + b"{" * 200_000 + b"\\n" + b"x" * 300_000 + b"\\n")
        sys.stdout.flush()
        say("object", object="box/nobody"); say("object", object=["a"]); say("view"); say("new", object="box/a")
        done("box/a"); say("skipped", object="box/b"); done("box/c")
        say("warning", object="box/c", warning="flat")
        say("done", status=0)
        time.sleep(60)
    """)
    found = outcome(job)
    assert found == {
        "rendered": 2,
        "complete_before": 1,
        "failed": {},
        "warnings": ["box/c: flat"],
        "failed_count": 0,
    }
    assert job.info["objects_done"] == 3
    assert job.fraction == 1.0


def test_an_object_on_which_blender_dies_is_given_up(fake, tmp_path):
    """It is tried twice; the others are rendered, each once, and failed.jsonl says why."""
    job = fake("""
        begin()
        for name in names:
            if name == "box/b":
                print("Error: not enough memory", file=sys.stderr, flush=True)
                os.kill(os.getpid(), 9)
            done(name)
        say("done", status=0)
    """)
    found = outcome(job)
    assert (found["rendered"], found["failed_count"]) == (2, 1)
    reason = "Blender was killed by signal 9 (Error: not enough memory) (2 attempts)"
    assert found["failed"] == {"box/b": reason}
    record = json.loads((tmp_path / "dataset" / "failed.jsonl").read_text())
    assert record == {"object": "box/b", "source": "box/b/model.glb", "error": reason}
    about = json.loads((tmp_path / "dataset" / "dataset.json").read_text())
    assert (about["categories"], about["parts"]) == (["box"], {"box": ["leg"]})
    found = [
        name
        for split in ("train", "val", "test")
        for name in lines(tmp_path / "dataset/splits" / f"{split}.txt")
    ]
    assert sorted(found) == ["box/a", "box/c"]


def test_one_that_hangs_is_ended(fake, monkeypatch):
    monkeypatch.setattr(data_render, "SILENCE_S", 1.0)
    monkeypatch.setattr(data_render, "GRACE_S", 0.1)
    monkeypatch.setattr(data_render, "_has_ended", lambda process: process.poll() is not None)
    job = fake("""
        begin()
        for name in names:
            time.sleep(60 if name == "box/a" else 0)
            done(name)
        say("done", status=0)
    """)
    assert outcome(job)["failed"] == {"box/a": "no view within 1 s (2 attempts)"}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("sys.exit('render_views: no such option')", "does not get as far as rendering: no such option"),
        ("os.kill(os.getpid(), 11)", "does not get as far as rendering: Blender was killed by signal 11"),
        (
            'say("error", error="D was rendered with other settings (size 1 there, 2 now): give the same, or --force")',
            "D was rendered with other settings (size 1 there, 2 now). Use the same ones, or choose another folder.",
        ),
        (
            'begin()\nfor name in names: say("failed", object=name, error="no faces")\nsay("done")',
            "None of 3 objects could be rendered. box/a: no faces",
        ),
    ],
)
def test_what_nothing_comes_of_is_one_line(fake, body, error):
    job = finish(fake(body))
    assert job.state == FAILED
    assert error in job.error
    assert "\n" not in job.error
    assert not job.details


def test_a_cancel_ends_the_whole_group(fake, tmp_path):
    """The process ignores it, and its child does; whole objects stay, half ones go."""
    job = fake("""
        import signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        (meshes.parent / "child").write_text(f"{os.getpid()} {child.pid}")
        begin(); done("box/a")
        (out / "box" / ".b.tmp-x").mkdir()
        time.sleep(100)
    """)
    while job.info.get("objects_done") != 1 or not (tmp_path / "dataset/box/.b.tmp-x").exists():
        assert not job.ended, job.error
        time.sleep(0.02)
    job.cancel()
    assert finish(job).state == CANCELLED
    for pid in map(int, lines(tmp_path / "child")):
        assert not is_alive(pid)
    assert sorted(path.name for path in (tmp_path / "dataset" / "box").iterdir()) == ["a"]
    assert json.loads((tmp_path / "dataset" / "dataset.json").read_text())["categories"] == ["box"]
    assert lines(tmp_path / "dataset" / "splits" / f"{split_of('box/a')}.txt") == ["box/a"]


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that waits for its parent to look does not."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        status = Path(f"/proc/{pid}/status")
        if not status.exists() or "State:\tZ" in status.read_text():
            return False
        time.sleep(0.05)
    return True


# --- the set's files ---


@given(st.text(min_size=1, max_size=30))
def test_splits_are_those_of_recon(name):
    assert data_index.split_of(name) == split_of(name)


def small_set(root: Path) -> Path:
    """Two categories, one without parts, a half object, and failures old and new."""
    for key, parts in (("box/a", ["lid", "side"]), ("box/b", ["lid", "side"]), ("ball/a", None)):
        (root / key).mkdir(parents=True)
        about = {"name": key} if parts is None else {"name": key, "parts": parts}
        (root / key / "transforms.json").write_text(json.dumps({"recon": about}))
    (root / "box" / ".c.tmp-1").mkdir()
    (root / "box" / ".c.tmp-1" / "transforms.json").write_text("{}")
    (root / "dataset.json").write_text(
        json.dumps({"version": 1, "categories": ["gone"], "parts": {}, "seed": 3})
    )
    records = [{"object": key, "error": why} for key, why in (("box/a", "x"), ("box/z", "x"), ("box/z", "y"))]
    text = "".join(json.dumps(record) + "\n" for record in records)
    (root / "failed.jsonl").write_text(text + 'no record\n["a"]\n')
    return root


def test_files_are_those_that_recon_writes(tmp_path):
    mine, theirs = small_set(tmp_path / "mine"), small_set(tmp_path / "theirs")
    data_index.write(mine)
    farm_index.write_index(theirs)
    names = ("dataset.json", "failed.jsonl", "splits/train.txt", "splits/val.txt", "splits/test.txt")
    assert (mine / names[0]).read_text().strip() != "{}"
    assert [(mine / name).read_text().strip() for name in names] == [
        (theirs / name).read_text().strip() for name in names
    ]
    assert len((mine / "failed.jsonl").read_text().splitlines()) == 1


def test_pictures_are_read_as_others_read_them(tmp_path):
    from render_scripts.png import encode_png

    rng = np.random.default_rng(0)
    palette = [[0, 0, 0], [250, 10, 20], [3, 200, 30]]
    pictures = {
        "rgb": (rng.integers(0, 256, (7, 5, 3), np.uint8), None),
        "grey": (rng.integers(0, 256, (6, 9), np.uint8), None),
        "parts": (rng.integers(0, 3, (4, 6)).astype(np.uint8), palette),
    }
    for name, (pixels, colors) in pictures.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(encode_png(pixels, colors))
        read = data_look.read_png(path)
        assert read is not None
        np.testing.assert_array_equal(read, np.asarray(Image.open(path).convert("RGB")))
    rgba = rng.integers(0, 256, (5, 8, 4), np.uint8)
    (tmp_path / "rgba.png").write_bytes(encode_png(rgba))
    seen = data_look.read_png(tmp_path / "rgba.png")
    expected = Image.new("RGBA", (8, 5), (224, 224, 224, 255))
    expected.alpha_composite(Image.fromarray(rgba))
    assert seen is not None
    assert np.abs(seen.astype(int) - np.asarray(expected.convert("RGB"))).max() <= 1
    whole = (tmp_path / "rgba.png").read_bytes()
    for broken in (b"", whole[:40], whole[:-30], b"x" * 100, whole.replace(b"IDAT", b"IDOT")):
        (tmp_path / "broken.png").write_bytes(broken)
        data_look.read_png(tmp_path / "broken.png")  # raises nothing
    assert data_look.read_png(tmp_path / "none.png") is None


# --- real Blenders ---


def blenders() -> list:
    wheel = pytest.mark.skipif(
        importlib.util.find_spec("bpy") is None, reason="the bpy wheel is not installed"
    )
    program = shutil.which("blender") or ""
    absent = pytest.mark.skipif(not program, reason="no blender on PATH")
    return [pytest.param("", id="wheel", marks=wheel), pytest.param(program, id="executable", marks=absent)]


@pytest.fixture(scope="module")
def zipped(tmp_path_factory):
    """The module as the zip brings it, away from the checkout."""
    folder = tmp_path_factory.mktemp("zip")
    build_extension.stage(folder / "recon_from_zip", None)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("recon_from_zip.data_render"), folder
    sys.path.remove(str(folder))


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    trimesh = pytest.importorskip("trimesh")
    for number, name in enumerate("abcd"):
        folder = tmp_path / "meshes" / "box" / name
        folder.mkdir(parents=True)
        trimesh.creation.box((1, 1 + 0.2 * number, 1.5)).export(folder / "model.glb")
    return tmp_path / "meshes"


@pytest.mark.slow
@pytest.mark.blender
@pytest.mark.parametrize("blender", blenders())
def test_a_broken_object_a_cancel_and_a_second_run(blender, zipped, meshes, tmp_path):
    """The set is whole in the end: recon finds nothing wrong with it."""
    from recon_core.data.check import check_dataset

    module, folder = zipped
    assert folder in module.script().parents
    good = (meshes / "box" / "b" / "model.glb").read_bytes()
    (meshes / "box" / "b" / "model.glb").write_bytes(good[: len(good) // 2])
    dataset = tmp_path / "dataset"
    job = start(meshes, dataset, blender, module.render)
    while job.info.get("objects_done", 0) < 1:
        assert not job.ended, job.error + job.details
        time.sleep(0.02)
    (process,) = module.background._running
    job.cancel()
    finish(job)
    assert job.state == CANCELLED
    assert not is_alive(process.pid)
    assert not list(dataset.glob("*/.*"))
    assert not list(Path("/dev/shm").glob(f"render_views-{process.pid}-*"))
    before = data_index.objects_of(dataset)
    assert before[0] == "box/a"

    found = outcome(start(meshes, dataset, blender, module.render))
    assert list(found["failed"]) == ["box/b"]
    assert found["complete_before"] == len(before)
    assert found["rendered"] == 3 - len(before)
    assert [json.loads(line)["object"] for line in (dataset / "failed.jsonl").read_text().splitlines()] == [
        "box/b"
    ]

    (meshes / "box" / "b" / "model.glb").write_bytes(good)
    found = outcome(start(meshes, dataset, blender, module.render))
    assert (found["rendered"], found["complete_before"], found["failed"]) == (1, 3, {})
    assert not (dataset / "failed.jsonl").exists()
    report = check_dataset(dataset, quiet=True)
    assert (report.objects, report.views) == (4, 8)
    assert not report.errors, report.errors
    seen = Job("look", lambda job: None, print)
    answer = data_look.look(dataset, tmp_path / "sheet.png", seen)
    assert (answer["report"]["objects"], answer["report"]["views"], answer["report"]["ok"]) == (4, 8, True)
    assert Image.open(tmp_path / "sheet.png").size == (3 * 132 - 4, 4 * 132 - 4)
    picture = dataset / "box" / "c" / "masks" / "001.png"
    Image.new("L", (16, 32)).save(picture)
    (dataset / "box" / "a" / "images" / "000.png").unlink()
    problems = data_look.look(dataset, tmp_path / "sheet.png", seen)["report"]["problems"]
    assert [(one["object"], one["view"], one["message"]) for one in problems] == [
        ("box/a", 0, "images/000.png is missing or no PNG"),
        ("box/c", 1, "masks/001.png has 16 x 32 pixels, not 32 x 32"),
    ]


def test_a_set_that_is_none_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"its dataset\.json is missing"):
        data_look.look(tmp_path, tmp_path / "sheet.png", Job("look", print, print))
    assert os.listdir(tmp_path) == []
