# SPDX-License-Identifier: Apache-2.0
"""The leaderboard: rows from runs, resuming, failing and skipped recipes, page and pictures."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_dataset import make_tiny_dataset

from recon_core.errors import ConfigError, DatasetError, InputError
from recon_core.io.atomic import write_json
from recon_core.leaderboard.board import describe, run_leaderboard, with_earlier
from recon_core.leaderboard.child import Outcome, claimed, failure, run_recon
from recon_core.leaderboard.console import last_lines
from recon_core.leaderboard.curves import joined_curve
from recon_core.leaderboard.page import command, render_page
from recon_core.leaderboard.plan import Options, claim, make_plan, shipped_recipes
from recon_core.leaderboard.runs import Record, evaluation_path, record_path, stages_of
from recon_core.leaderboard.speed import fingerprint
from recon_core.leaderboard.table import Finished, make_board, spread
from recon_core.leaderboard.text import as_text

SMALL = (
    "model.points=100", "model.width=8", "model.features=32", "model.hidden=32",
    "optim.objects=4", "optim.views=2", "data.mask_size=32",
)  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Eight labelled objects, four views, 32 px."""
    return make_tiny_dataset(tmp_path_factory.mktemp("tiny") / "data", objects=8, views=4)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def options(data: Path, out: Path, **changes) -> Options:
    """A small leaderboard of a few steps."""
    plain = Options(data, out, steps=6, recipes=("splat",), overrides=SMALL, views=1, quiet=True)
    return replace(plain, **changes)


def diverging(folder: Path) -> str:
    """A recipe whose first loss is not finite."""
    path = folder / "diverging.yaml"
    path.write_text("extends: base.yaml\nname: diverging\nterms:\n  - {kind: splat_mask, weight: 3.0e+39}\n")
    (folder / "base.yaml").write_text("data: {margin: 1.15}\n")
    return str(path)


def test_what_does_not_fit_the_data_is_left_out_with_the_reason(dataset, tmp_path) -> None:
    """No parts, no colours, too few views, a file that is wrong; what fits is trained."""
    plain = make_tiny_dataset(tmp_path / "plain", objects=4, views=2, labelled=False)
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: broken\nterms: [{kind: splat_musk}]\n")
    names = ("splat", "splat_full", str(broken))
    wanted = options(plain, tmp_path / "out", recipes=names, overrides=("optim.views=2",))
    entries = {one.name: one for one in make_plan(wanted).entries}
    assert not entries["splat"].skip
    assert "part labels" in entries["splat_full"].skip
    assert "splat_mask" in entries["broken"].error
    assert (
        make_plan(replace(wanted, overrides=())).entries[0].skip
        == "needs 4 views per object; this dataset has 2"
    )
    for image in plain.glob("chair/*/transforms.json"):
        image.write_text(image.read_text().replace('"file_path"', '"no_file_path"'))
    text = describe(replace(wanted, recipes=("splat_full",)))
    assert "skip     splat_full: needs colour images" in text
    assert not (tmp_path / "out").exists()
    assert "splat" in shipped_recipes()
    assert not {"base", "demo", "dpc_paper"} & set(shipped_recipes())


def test_refusals(dataset, tmp_path) -> None:
    """Settings that cannot be compared, said before anything is trained."""
    good = options(dataset, tmp_path / "out")
    for changes, message in (
        ({"steps": None}, "either --budget"),
        ({"budget_s": 60.0}, "either --budget"),
        ({"steps": None, "budget_s": 60.0, "device": "cuda"}, "GPU"),
        ({"protocol": "drw"}, "drwr"),
        ({"recipes": ("splat", "configs/splat.yaml")}, "twice"),
    ):
        with pytest.raises(ConfigError, match=message):
            make_plan(replace(good, **changes))
    with pytest.raises(DatasetError):
        make_plan(replace(good, data=tmp_path))
    claim(make_plan(good))
    claim(make_plan(replace(good, seeds=3, recipes=("splat", "splat_full"))))  # may grow
    with pytest.raises(InputError, match="steps was 6, now 7"):
        claim(make_plan(replace(good, steps=7)))


def test_a_folder_is_held_by_one_and_by_its_children(tmp_path) -> None:
    """A second leaderboard is refused, also while a child outlives the first."""
    with claimed(tmp_path) as lock:
        with pytest.raises(InputError, match="at work"), claimed(tmp_path):
            pass
        child = subprocess.Popen(["sleep", "30"], pass_fds=(lock,))
    try:
        with pytest.raises(InputError, match="at work"), claimed(tmp_path):
            pass
    finally:
        child.kill()
        child.wait()
    with claimed(tmp_path):
        pass


def test_a_childs_last_words_are_its_reason(tmp_path) -> None:
    """The error line of the log, without progress bars; the signal; something when there is nothing."""
    log = tmp_path / "log"
    log.write_text(
        "splat: 3%\rsplat: 9%\nwarning: x\nerror: Step 4: the loss is not finite.\n  Lower optim.lr.\n"
    )
    assert failure(Outcome(1, 1.0, None), log) == "Step 4: the loss is not finite. Lower optim.lr."
    assert "SIGKILL; the memory" in failure(Outcome(-9, 1.0, None), log)
    log.write_text("Traceback\nValueError: no\n")
    assert failure(Outcome(1, 1.0, None), log) == "exit status 1: ValueError: no"
    with claimed(tmp_path / "out") as lock:
        outcome = run_recon(["train", "nothing"], tmp_path / "own", lock, 1, lambda: None)
    assert outcome.status == 2
    assert "No recipe 'nothing'" in failure(outcome, tmp_path / "own")
    assert outcome.peak_mb is None or 20 < outcome.peak_mb < 4000


def test_the_tail_of_a_log_skips_half_lines(tmp_path) -> None:
    """The newest whole lines, whatever was cut at either end."""
    log = tmp_path / "metrics.jsonl"
    assert last_lines(log) == []
    line = json.dumps({"kind": "train", "step": 5, "cpu_s": 1.5})
    log.write_text("x" * 5000 + "\n" + line + '\n{"kind": "train", "st')
    assert [one["step"] for one in last_lines(log)] == [5]


def test_spread_of_seeds() -> None:
    """By hand: mean, sample standard deviation, range; one value has no deviation."""
    assert spread([1.0, 2.0, 4.5]) == (
        spread([4.5, 1.0, 2.0]).__class__(2.5, pytest.approx(np.sqrt(6.5 / 2)), 1.0, 4.5, (1.0, 2.0, 4.5))
    )
    assert spread([3.0]).std is None


def fake(plan, name: str, seed: int, chamfer: float, points: int = 100, pose: str = "known") -> Finished:
    """A finished run with made-up scores; the mean shape's Chamfer is 8."""

    def methods(value: float) -> dict[str, float]:
        return {"chamfer_sum": value, "mask_iou": 0.5}

    result = {
        "objects": 2, "views_per_object": 1, "points": {"predicted": points},
        "methods": {"model": methods(chamfer), "mean_shape": methods(8.0), "noise_floor": methods(1.0)},
    }  # fmt: skip
    record = Record(
        name, seed, "finished", steps=6, cpu_s=66.0 + seed, peak_mb=300.0, parameters=10, pose=pose
    )
    return Finished(record, result)


def test_rows_are_ranked_by_group_and_marked(dataset, tmp_path) -> None:
    """Best first among those of equal knowledge; a mean of seeds; worse than the mean shape is said."""
    plan = make_plan(
        options(dataset, tmp_path, steps=None, budget_s=60.0, seeds=2, recipes=("splat", "<b>&"))
    )
    runs = [fake(plan, "worse", 0, 9.0), fake(plan, "better", 0, 3.0), fake(plan, "better", 1, 5.0)]
    runs += [fake(plan, "unposed", 0, 3.5, 200, "ensemble")]
    board = make_board(plan, runs, {"lacking": "needs parts"}, {"<b>&": "no such file"})
    known = [row for row in board.rows if row.group == "known"]
    assert [(row.rank, row.name, row.trailing) for row in known] == [(1, "better", False), (2, "worse", True)]
    assert known[0].scores["chamfer_sum"].mean == 4.0
    assert known[0].scores["chamfer_sum"].std == pytest.approx(np.sqrt(2))
    assert known[0].overshoot == pytest.approx(67 / 60 - 1)
    assert [row.rank for row in board.rows if row.group == "learnt"] == [1]
    assert [row.name for row in board.rows if row.method == "noise_floor"] == [
        "noise floor, 100 points",
        "noise floor, 200 points",
    ]
    assert [column.key for column in board.columns] == ["chamfer_sum", "mask_iou"]
    text = as_text(board)
    assert "4.00 ± 1.41" in text
    assert "worse *" in text
    assert "skipped  lacking: needs parts" in text
    assert "Not better than the mean training shape: worse." in text
    curves = {"mask_iou": {"better": [[(1.0, 0.4), (60.0, 0.5)], []]}, "chamfer": {}}
    check_page(render_page(plan, board, curves, None, []))


class _Links(HTMLParser):
    """Every tag and every address of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action")]


def check_page(page: str) -> None:
    """Nothing is fetched or run, nothing is left of the template, and names are text."""
    links = _Links()
    links.feed(page)
    assert "script" not in links.tags
    assert "link" not in links.tags
    assert "b&" not in links.tags
    assert all(address.startswith("data:image/") for address in links.addresses)
    assert not re.search(r"\$[a-z]+", page)


@pytest.mark.slow
def test_a_leaderboard_from_end_to_end(dataset, tmp_path) -> None:
    """One recipe that trains and one that diverges, under a protocol; then a second seed, which trains alone."""
    out = tmp_path / "out"
    wanted = options(dataset, out, protocol="dpc", recipes=("splat", diverging(tmp_path)))
    result = run_leaderboard(wanted)
    assert result.exit_status == 3
    board = json.loads(result.files["json"].read_text())
    assert "seed 0, training: Step 0: the loss is not finite" in board["failed"]["diverging"]
    assert "diverging" in result.text
    first = {
        path: path.stat().st_mtime_ns for path in out.glob("runs/splat/*/checkpoints/*/weights.safetensors")
    }
    assert len(first) == 1  # the older ones were removed

    wanted = replace(wanted, seeds=2, recipes=("splat",))
    result = run_leaderboard(wanted)
    assert result.exit_status == 0
    assert {path: path.stat().st_mtime_ns for path in first} == first
    board = json.loads(result.files["json"].read_text())
    row = next(row for row in board["rows"] if row["name"] == "splat")
    assert (row["rank"], row["seeds"], row["steps"], row["points"]) == (1, 2, 6, 100)
    headline = row["scores"][board["columns"][0]["key"]]
    assert headline["low"] < headline["high"]
    assert headline["mean"] == pytest.approx(np.mean(headline["values"]))
    assert {"mean training shape", "retrieval", "noise floor"} <= {row["name"] for row in board["rows"]}
    assert [len(curve) for curve in board["curves"]["mask_iou"]["splat"]] == [6, 6]
    assert [len(curve) for curve in board["curves"]["chamfer"]["splat"]] == [3, 3]
    page = result.files["page"].read_text()
    check_page(page)
    assert "data:image/png" in page
    assert command(wanted) in page.replace("&#x27;", "'")
    grid = np.asarray(Image.open(result.files["grid"]))
    assert grid.shape[1] > 3 * 176  # input, truth, splat
    assert (grid.reshape(-1, 3) != 255).any(1).mean() > 0.05

    (folder := tmp_path / "altered").mkdir()
    (folder / "splat.yaml").write_text("name: splat\nterms: [{kind: splat_mask}]\noptim: {lr: 0.01}\n")
    changed = run_leaderboard(replace(wanted, recipes=(str(folder / "splat.yaml"),), seeds=1))
    assert changed.exit_status == 1
    assert "another version of the recipe" in changed.text


def test_a_recipe_that_begins_with_another_shares_the_budget(dataset, tmp_path) -> None:
    """Two trainings of half the length; the second starts from the first's folder; one curve over both."""
    plan = make_plan(options(dataset, tmp_path, recipes=("ssl_nn",), overrides=(), steps=10))
    first, second = stages_of(plan, plan.entries[0], seed=2)
    assert (first.recipe.name, second.recipe.name) == ("ssl_cc", "ssl_nn")
    assert first.share + second.share == 1
    assert second.overrides == (f"start={first.folder.resolve()}",)
    assert second.folder == plan.run_folder("ssl_nn", 2)
    for run, cpu_s in ((first.folder, 5.0), (second.folder, 9.0)):
        write_json(run / "checkpoints" / "step-0000005" / "state.json", {"step": 5, "cpu_s": cpu_s})
    curve = joined_curve([first.folder, second.folder], lambda run: [(4.0, 0.25), (5.0, 0.5)])
    assert curve == [(4.0, 0.25), (5.0, 0.5), (9.0, 0.25), (10.0, 0.5)]


def test_the_table_keeps_what_earlier_calls_finished(dataset, tmp_path) -> None:
    """Other recipes, and more seeds of the same version of one; not what failed or another version finished."""
    plan = make_plan(options(dataset, tmp_path))
    assert plan.entries[0].recipe is not None
    same = fingerprint(plan.entries[0].recipe)
    for record in (
        Record("splat", 1, "finished", fingerprint=same),
        Record("splat", 2, "finished", fingerprint="other"),
        Record("drwr", 0, "finished", fingerprint="any"),
        Record("dpc", 0, "failed"),
    ):
        write_json(record_path(plan, record.recipe, record.seed), asdict(record))
        write_json(evaluation_path(plan, record.recipe, record.seed), {})
    kept = with_earlier(plan, [Record("splat", 0, "finished")])
    assert sorted((one.recipe, one.seed) for one in kept) == [("drwr", 0), ("splat", 0), ("splat", 1)]


@pytest.mark.slow
def test_a_budget_of_cpu_time_is_kept(dataset, tmp_path) -> None:
    """The probe finds a length with which training ends near the budget; a second seed needs no probe."""
    result = run_leaderboard(options(dataset, tmp_path / "out", steps=None, budget_s=4.0))
    row = json.loads(result.files["json"].read_text())["rows"][0]
    assert row["cpu_s"][0] == pytest.approx(4.0, rel=0.5)  # other work on the machine makes it inexact
    assert row["overshoot"] == pytest.approx(row["cpu_s"][0] / 4.0 - 1)
    assert row["steps"] > 10
    assert "over" in result.text.splitlines()[0]
    probes = tmp_path / "out" / "probes"
    assert [path.name for path in probes.iterdir()] == ["splat.json"]


@pytest.mark.slow
def test_ctrl_c_saves_and_the_same_command_goes_on(dataset, tmp_path) -> None:
    """SIGINT amid a training: status 130, a checkpoint, no table spoilt; then it is resumed, not begun again."""
    out = tmp_path / "out"
    sets = [word for override in SMALL for word in ("--set", override)]
    words = [
        "leaderboard",
        "--data",
        dataset,
        "--steps",
        "400",
        "--recipes",
        "splat",
        "--views",
        "1",
        "--out",
        out,
    ]
    line = [sys.executable, "-m", "recon_core.cli", *map(str, words), *sets]
    child = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ
    )
    run = out / "runs" / "splat" / "seed-0"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (run / "metrics.jsonl").exists():
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 130, output
    assert "the same command goes on" in output
    assert "Traceback" not in output
    stopped = [int(path.name.split("-")[1]) for path in (run / "checkpoints").glob("step-*")]
    assert len(stopped) >= 1
    assert 0 < max(stopped) < 400
    again = subprocess.run(line, capture_output=True, text=True, env=os.environ, timeout=300, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert f"going on with splat, seed 0, at step {max(stopped)}" in again.stderr
    assert "--resume" in (out / "logs" / "splat-seed-0.log").read_text()
    row = json.loads((out / "leaderboard.json").read_text())["rows"][0]
    assert row["steps"] == 400
