# SPDX-License-Identifier: Apache-2.0
"""The whole path through the real commands, small: shapes, Blender, training, scores, images to clouds."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recon_core.blender import find_blender
from recon_core.data.dataset import Dataset
from recon_core.demo import DemoOptions, demo_stages, summary
from recon_core.errors import MissingDependency
from recon_core.io.ply import read_ply
from recon_core.resources import resource_dir

SMALL = ("--objects=20", "--views=4", "--steps=30", "--size=64", "--device=cpu")


def demo(out: Path, *more: str) -> str:
    """Run `recon demo`; its output. Every stage is a process of its own and prints there too."""
    command = [sys.executable, "-m", "recon_core.cli", "demo", "--out", str(out), *SMALL, *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def stages_of(output: str) -> dict[str, bool]:
    """Title of each stage and whether it was skipped."""
    found = re.findall(r"^\[\d/\d\] (.*?)(: already there)?$", output, re.MULTILINE)
    return {title: bool(skipped) for title, skipped in found}


@pytest.mark.slow
@pytest.mark.blender
def test_the_demo_runs_through_and_skips_what_is_there(tmp_path: Path) -> None:
    try:
        find_blender()
    except MissingDependency as error:
        pytest.skip(str(error))
    out = tmp_path / "demo"
    first = demo(out)
    stages = demo_stages(DemoOptions(out, objects=20, views=4, steps=30))
    titles = [stage.title for stage in stages]
    assert list(stages_of(first)) == titles
    assert not any(stages_of(first).values())
    dataset = Dataset.open(out / "dataset")
    assert all(dataset.objects(split) for split in ("train", "val", "test"))
    assert len(dataset.objects()) == 20
    _check_summary(first, out)
    for image in resource_dir("examples").glob("*.png"):
        cloud = read_ply(out / "reconstructions" / f"{image.stem}.ply")
        assert cloud.colors is not None
        assert cloud.labels is not None

    # A rerun looks at the machine again, which costs nothing, and skips all that is there.
    assert [stage.done() for stage in stages] == [False] + [True] * (len(stages) - 1)
    report = out / "report" / "report.html"
    report.unlink()
    again = stages_of(demo(out))
    assert [title for title in titles if not again[title]] == [titles[0], "Score it on chairs it never saw"]
    assert report.is_file()


def _check_summary(output: str, out: Path) -> None:
    """It names files that exist, and the scores that metrics.json holds."""
    lines = output[output.index("Done in") :].splitlines()
    named = [Path(line.split()[0]) for line in lines if line.startswith("  ")]
    assert named
    assert all(path.exists() for path in named)
    methods = json.loads((out / "report" / "metrics.json").read_text())["methods"]
    for title, key in (("model", "model"), ("mean training shape", "mean_shape"), ("retrieval", "retrieval")):
        assert f"{title} {methods[key]['chamfer_sum']:.2f}" in lines[-1]


def test_a_summary_without_scores_is_still_one(tmp_path: Path) -> None:
    assert "Look at" in summary(DemoOptions(tmp_path), 90.0)
    (tmp_path / "report").mkdir()
    for text in ("{", "[]", '{"methods": {}}', '{"methods": {"model": {"chamfer_sum": null}}}'):
        (tmp_path / "report" / "metrics.json").write_text(text)
        assert "Chamfer" not in summary(DemoOptions(tmp_path), 90.0)
