# SPDX-License-Identifier: Apache-2.0
"""The render farm with real Blender processes on tiny inputs, and its queue and event parser without any."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon_core import farm
from recon_core.blender import find_blender, probe_wheel
from recon_core.data.dataset import Dataset
from recon_core.data.splits import SPLITS
from recon_core.errors import InputError, ReconError
from recon_core.farm_index import complete_objects, read_failures
from recon_core.farm_queue import WorkQueue, parse_event
from recon_core.resources import resource_dir

TINY = ("--views=3", "--size=32", "--samples=1", "--points=64")
CUBE = """usemtl seat
v -1 -1 -1\nv 1 -1 -1\nv 1 1 -1\nv -1 1 -1\nv -1 -1 1\nv 1 -1 1\nv 1 1 1\nv -1 1 1
f 4 3 2 1\nf 5 6 7 8\nf 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8
"""
# Runs the real render_views, but misbehaves at the first view of the object "box/b".
SABOTEUR = """
import os, runpy, signal, sys, time
real_folder, action = {real!r}, {action!r}
sys.path.insert(0, os.path.dirname(real_folder))
from render_scripts import progress
emit = progress.Progress.emit
def sabotaged(self, event, sentence, **fields):
    emit(self, event, sentence, **fields)
    for noise in ("Fra:1 Mem:10.00M", "{{", '{{"event": 7}}', '["event"]', '{{"event": "later"}}', "\\udcff", ""):
        print(noise, file=self.stream, flush=True)
    if event == "view" and fields["object"] == "box/b":
        if action == "hang":
            time.sleep(600)
        elif action == "kill" or not os.path.exists(action):
            open(action, "w").close() if action != "kill" else None
            os.kill(os.getpid(), signal.SIGKILL)
progress.Progress.emit = sabotaged
sys.argv[0] = os.path.join(real_folder, "render_views.py")
runpy.run_path(sys.argv[0], run_name="__main__")
"""
needs_wheel = pytest.mark.skipif(not probe_wheel().usable, reason="the bpy wheel is not usable in this Python")


@pytest.fixture
def meshes(tmp_path: Path) -> Path:
    folder = tmp_path / "meshes" / "box"
    folder.mkdir(parents=True)
    for name in "abc":
        (folder / f"{name}.obj").write_text(CUBE)
    return folder.parent


@pytest.fixture
def sabotage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def install(action: str) -> None:
        script = tmp_path / "sabotage" / "render_views.py"
        script.parent.mkdir(exist_ok=True)
        script.write_text(SABOTEUR.format(real=str(resource_dir("render_scripts")), action=action))
        monkeypatch.setattr(farm, "resource_dir", lambda name: script.parent)

    return install


def options(meshes: Path, **changes) -> farm.FarmOptions:
    fields = {"render_arguments": TINY, "blender": "wheel", "jobs": 1, "quiet": True} | changes
    return farm.FarmOptions((meshes,), meshes.parent / "dataset", **fields)


def leftovers(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.name.startswith(".")]


def scratch_folders() -> set[Path]:
    """What render_views processes have in memory or in the temporary folder; others may be at work."""
    parents = (Path("/dev/shm"), Path(tempfile.gettempdir()))
    folders = (path for parent in parents for path in parent.glob("render_views-*"))
    return {path for path in folders if not psutil.pid_exists(int(path.name.split("-")[1]))}


def in_splits(dataset: Dataset) -> list[str]:
    return sorted(name for split in SPLITS for name in dataset.objects(split))


@needs_wheel
@pytest.mark.blender
def test_renders_everything_once_with_chunks_and_processes(meshes: Path) -> None:
    (meshes / "ball").mkdir()
    (meshes / "ball" / "d.obj").write_text(CUBE.replace("seat", "leg"))
    asked = options(meshes, jobs=2, chunk=1)
    result = farm.render(asked)
    assert (result.rendered, result.complete_before, result.views) == (4, 0, 12)
    assert result.exit_status == 0
    dataset = Dataset.open(asked.output)
    names = ["ball/d", "box/a", "box/b", "box/c"]
    assert dataset.objects() == names
    assert dataset.meta.categories == ["ball", "box"]
    assert in_splits(dataset) == names
    assert dataset.image("box/a", 2).shape == (32, 32, 4)
    assert not (asked.output / "failed.jsonl").exists()
    before = {path: path.stat().st_mtime_ns for path in asked.output.glob("*/*/transforms.json")}
    again = farm.render(asked)
    assert (again.rendered, again.complete_before, again.exit_status) == (0, 4, 0)
    assert before == {path: path.stat().st_mtime_ns for path in asked.output.glob("*/*/transforms.json")}


@needs_wheel
@pytest.mark.blender
def test_object_that_kills_blender_is_tried_twice_and_quarantined(meshes: Path, sabotage) -> None:
    sabotage("kill")
    before = scratch_folders()
    result = farm.render(options(meshes))
    root = meshes.parent / "dataset"
    assert complete_objects(root) == ["box/a", "box/c"]
    assert result.exit_status == 3
    assert list(result.failed) == ["box/b"]
    assert "killed by signal 9" in result.failed["box/b"]
    assert "2 attempts" in read_failures(root)["box/b"]["error"]
    assert leftovers(root) == []
    assert farm.render(options(meshes, skip_failed=True)).exit_status == 0
    assert set(read_failures(root)) == {"box/b"}
    assert scratch_folders() == before


@needs_wheel
@pytest.mark.blender
def test_one_crash_is_forgiven(meshes: Path, sabotage, tmp_path: Path) -> None:
    sabotage(str(tmp_path / "crashed-once"))
    result = farm.render(options(meshes))
    assert (result.rendered, result.failed, result.exit_status) == (3, {}, 0)
    assert (tmp_path / "crashed-once").exists()


@needs_wheel
@pytest.mark.blender
def test_object_that_hangs_is_stopped_after_the_timeout(meshes: Path, sabotage) -> None:
    sabotage("hang")
    start = time.monotonic()
    result = farm.render(options(meshes, timeout_seconds=10.0, retries=0))
    assert time.monotonic() - start < 60
    assert result.failed == {"box/b": "took longer than 10 s (1 attempts)"}
    root = meshes.parent / "dataset"
    assert complete_objects(root) == ["box/a", "box/c"]
    assert leftovers(root) == []


@needs_wheel
@pytest.mark.blender
def test_bad_meshes_are_skipped_and_named(meshes: Path) -> None:
    (meshes / "box" / "b.obj").write_text("v 0 0 0\n")
    (meshes / "box" / "c.obj").rename(meshes / "box" / "c.glb")
    command = [sys.executable, "-m", "recon_core.cli", "render", str(meshes), "--output"]
    root = meshes.parent / "dataset"
    command = [*command, str(root), *TINY, "--blender=wheel"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 3, run.stderr
    assert "1 rendered, 0 complete before, 2 failed" in run.stdout
    assert "Traceback" not in run.stderr
    assert set(read_failures(root)) == {"box/b", "box/c"}
    # Mended sources are rendered by the next run, and their records go.
    (meshes / "box" / "b.obj").write_text(CUBE)
    assert farm.render(options(meshes)).exit_status == 3
    assert set(read_failures(root)) == {"box/c"}


@needs_wheel
@pytest.mark.blender
def test_exit_status_1_when_nothing_can_be_rendered(meshes: Path) -> None:
    for name in "abc":
        (meshes / "box" / f"{name}.obj").write_text("")
    assert farm.render(options(meshes, jobs=2)).exit_status == 1


@needs_wheel
@pytest.mark.blender
def test_interrupt_leaves_whole_objects_and_a_rerun_completes(meshes: Path) -> None:
    root = meshes.parent / "dataset"
    command = [sys.executable, "-m", "recon_core.cli", "render", str(meshes), "--output", str(root)]
    command += ["--views=200", "--size=48", "--samples=4", "--points=64", "--jobs=1"]
    run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not complete_objects(root) and time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.02)
    time.sleep(0.1)  # into the middle of the next object
    children = psutil.Process(run.pid).children(recursive=True)
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=30)
    assert run.returncode == 130, errors
    assert "the same command continues" in errors
    assert "Traceback" not in errors
    assert children
    assert psutil.wait_procs(children, timeout=5)[1] == []
    done = complete_objects(root)
    assert 1 <= len(done) < 3
    assert leftovers(root) == []
    dataset = Dataset.open(root)
    assert in_splits(dataset) == done
    assert all(dataset.mask(name, 199).shape == (48, 48) for name in done)
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert f"{3 - len(done)} rendered, {len(done)} complete before" in again.stdout
    assert complete_objects(root) == ["box/a", "box/b", "box/c"]


@needs_wheel
@pytest.mark.blender
def test_plan_writes_nothing_and_wrong_use_is_one_sentence(meshes: Path) -> None:
    plan = farm.make_plan(options(meshes))
    assert (plan.todo, plan.complete, plan.views) == (["box/a", "box/b", "box/c"], 0, 3)
    assert not (meshes.parent / "dataset").exists()
    with pytest.raises(InputError, match="invalid choice: 'dark'"):
        farm.make_plan(options(meshes, render_arguments=("--light=dark",)))
    with pytest.raises(InputError, match="does not exist"):
        farm.make_plan(options(meshes / "nowhere"))
    with pytest.raises(InputError, match="lies inside the meshes"):
        farm.make_plan(farm.FarmOptions((meshes,), meshes / "dataset"))


@needs_wheel
@pytest.mark.blender
def test_defaults_are_those_of_the_script() -> None:
    from typer.main import get_command

    from recon_core.cli import app

    script = resource_dir("render_scripts") / "render_views.py"
    shown = subprocess.run(
        find_blender("wheel").argv(script, "--help"), capture_output=True, text=True, check=False
    ).stdout
    shown = " ".join(shown.split())
    ours = {option.name: option for option in get_command(app).commands["render"].params}  # type: ignore[attr-defined]
    names = ("views", "size", "samples", "distance", "lens", "light", "up", "front", "points", "seed", "passes")
    for name in (*names, "cameras", "background", "device", "normalise"):
        after = shown.split("options:")[1].split(f" --{name} ")[1]
        assert f"(default: {ours[name].default})" in after[:300], name


@pytest.mark.blender
def test_debian_blender_renders_too(meshes: Path) -> None:
    try:
        blender = find_blender("blender")
    except ReconError as error:
        pytest.skip(f"no Blender executable: {error}")
    assert blender.kind == "executable"
    result = farm.render(options(meshes, blender="blender"))
    assert (result.rendered, result.failed) == (3, {})


def test_broken_start_is_an_error_not_a_quarantine(meshes: Path, sabotage, monkeypatch, tmp_path) -> None:
    script = tmp_path / "broken" / "render_views.py"
    script.parent.mkdir()
    plan = [{"event": "planned", "object": "box/a", "state": "to render"}, {"event": "plan", "views": 3}]
    lines = "".join(f"print({json.dumps(event)!r})\n" for event in plan)
    script.write_text(f"import sys\nif '--dry-run' not in sys.argv: sys.exit('ImportError: no luck')\n{lines}")
    monkeypatch.setattr(farm, "resource_dir", lambda name: script.parent)
    python = farm.BlenderCommand("wheel", sys.executable, "0")
    monkeypatch.setattr(farm, "find_blender", lambda choice: python)
    with pytest.raises(ReconError, match="no luck"):
        farm.render(options(meshes))
    assert read_failures(meshes.parent / "dataset") == {}


def test_queue_retries_alone_and_gives_up() -> None:
    work = WorkQueue(list("abcdef"), jobs=2, chunk=40, retries=1)
    assert work.take() == ["a", "b", "c"]
    work.give_back(["b", "c"])
    assert work.blame("a")
    assert [work.take(), work.take(), work.take()] == [["b", "c"], ["d", "e", "f"], ["a"]]
    assert not work
    assert not work.blame("a")
    assert work.attempts("a") == 2
    assert not work
    assert WorkQueue(list("abcdef"), jobs=1, chunk=4).take() == list("abcd")


@given(st.text())
def test_any_line_is_an_event_or_nothing(text: str) -> None:
    event = parse_event(text)
    assert event is None or isinstance(event["event"], str)


@given(st.text(), st.dictionaries(st.sampled_from(["object", "seconds"]), st.text() | st.integers()))
def test_events_survive(kind: str, fields: dict) -> None:
    event = {"event": kind, **fields}
    assert parse_event(json.dumps(event)) == event


def test_options_become_arguments() -> None:
    given_options = {"views": 3, "up": "-Z", "elevation": (-20.0, 1e-5), "axes": None, "force": True, "x": False}
    assert farm.render_arguments(given_options) == (
        "--views=3", "--up=-Z", "--elevation", "-20.000000000", "0.000010000", "--force",
    )  # fmt: skip
