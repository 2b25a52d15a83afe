# SPDX-License-Identifier: Apache-2.0
"""The command line of render_views: statuses, one-sentence errors, signals, what is left behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import SCRIPT, render  # pyright: ignore[reportAttributeAccessIssue]
from mesh_sources import write_bad
from outputs import KEYS

from recon_core.data.check import check_dataset
from recon_core.data.dataset import Dataset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_leaves_whole_objects(
    need_bpy: None, shapes: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """A signal in the middle of an object: no traceback, no temporary folder, complete objects stay."""
    command = [sys.executable, str(SCRIPT), str(shapes), "--output", str(tmp_path), "--json-progress"]
    with subprocess.Popen(
        [*command, "--views", "8"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        for line in run.stdout:
            event = json.loads(line)
            if event["event"] == "view" and event["object"] == KEYS[1]:
                run.send_signal(number)
                break
        errors = run.stderr.read()
    assert run.returncode == 130
    assert "continues from here" in errors
    assert "Traceback" not in errors
    assert [path.name for path in (tmp_path / "chair").iterdir()] == [Path(KEYS[0]).name]


def test_scratch_folders_of_killed_runs_are_removed(need_bpy: None, shapes: Path, tmp_path: Path) -> None:
    """The next run removes them, once they have been idle; those of living processes stay."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    command = [sys.executable, str(SCRIPT), str(shapes), "--output", str(tmp_path), "--json-progress"]
    with subprocess.Popen([*command, "--views", "8"], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        next(line for line in run.stdout if json.loads(line)["event"] == "view")
        mine = list(parent.glob(f"render_views-{run.pid}-*"))
        run.kill()
    assert len(mine) == 1
    assert mine[0].is_dir()  # nobody could remove it
    living = parent / f"render_views-{os.getpid()}-test"
    living.mkdir()
    try:
        for folder in (mine[0], living):
            os.utime(folder, (0, 0))
        rest = render(shapes, "--output", tmp_path / "d", "--views", "1", "--size", "16", "--samples", "1")
        assert rest.status == 0
        assert not mine[0].exists()
        assert living.is_dir()
    finally:
        living.rmdir()


def test_masks_alone(need_bpy: None, shapes: Path, tmp_path: Path) -> None:
    """--passes mask writes no colour; the loader and the check take such a dataset."""
    options = ["--passes", "mask", "--views", "2", "--size", "64", "--samples", "4"]
    assert render(shapes, "--output", tmp_path, *options).status == 0
    dataset = Dataset.open(tmp_path)
    assert dataset.passes(KEYS[0]) == ("mask",)
    assert dataset.image(KEYS[0], 1)[..., 3].any()
    assert check_dataset(tmp_path, quiet=True).errors == []


def test_dry_run_writes_nothing(shapes: Path, tmp_path: Path) -> None:
    run = render(shapes, "--output", tmp_path / "d", "--dry-run", "--views", "5")
    assert run.status == 0
    assert run.of("plan")[0]["objects"] == 3
    assert run.of("plan")[0]["views"] == 5
    assert run.of("plan")[0]["megabytes"] > 0
    assert not (tmp_path / "d").exists()


def test_nothing_usable_is_status_1(need_bpy: None, tmp_path: Path) -> None:
    write_bad(tmp_path / "bad")
    for path in (tmp_path / "bad").iterdir():
        if path.stem not in ("zipped", "empty"):
            path.unlink()
    assert render(tmp_path / "bad", "--output", tmp_path / "d").status == 1
    missing = render(tmp_path / "nowhere", "--output", tmp_path / "d", as_json=False)
    assert missing.status == 1
    assert "does not exist" in missing.errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--passes", "rgb,albedo"], "unknown pass 'albedo'"),
        (["--shard", "3/3"], "count from 0"),
        (["--elevation", "-100", "0"], "-90..90"),
        (["--azimuth", "90", "0"], "must rise"),
        (["--cameras", "sideways"], "cannot be read"),
        (["--background", "300,0,0"], "0..255"),
        (["--background", "no.png"], "neither transparent"),
        (["--up", "Z", "--front=-Z"], "on one line"),
        (["--front", "W"], "not one of"),
        (["--parts", "no.json"], "--parts"),
        (["--axes", "no.json"], "--axes"),
        (["--size", "1000000"], "not in"),
        (["--lens", "0"], "above 0"),
        (["--lens", "60", "25"], "must rise"),
        (["--lens", "25.."], "neither a number nor a range"),
        (["--distance", "far"], "neither a number nor a range"),
        (["--distance", "auto", "--normalise", "none"], "needs --normalise bbox"),
        (["--roll", "200"], "not in 0..180"),
        (["--ground", "2"], "not in 0..1"),
        (["--materials", "gold"], "invalid choice"),
        ([], "--output"),
    ],
)
def test_wrong_use_is_one_sentence(
    need_bpy: None, odd_sources: Path, tmp_path: Path, arguments, message
) -> None:
    output = ["--output", tmp_path / "d"] if arguments else []
    run = render(odd_sources / "chair" / "plain.glb", *output, *arguments, as_json=False)
    assert run.status == 1
    assert message in run.errors
    assert "Traceback" not in run.errors
    assert not (tmp_path / "d").exists()


def test_help_names_defaults_and_units(need_bpy: None) -> None:
    run = render("--help", as_json=False)
    assert run.status == 0
    for words in ("default: 128", "pixels", "degrees", "in mm", "Exit status", "front axis"):
        assert words in run.output
