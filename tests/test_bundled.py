# SPDX-License-Identifier: Apache-2.0
"""Making the shipped model, small: two categories through the real commands, with own meshes beside them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recon_core.blender import find_blender
from recon_core.bundled import CATEGORIES, BundledOptions, bundled_stages
from recon_core.data.dataset import Dataset
from recon_core.errors import MissingDependency
from recon_core.methods.run import load_run

ROOT = Path(__file__).parents[1]


def test_its_categories_are_those_that_can_be_made() -> None:
    sys.path.insert(0, str(ROOT / "render_scripts"))
    from shapes.objects import CATEGORIES as MADE

    assert set(CATEGORIES) <= set(MADE)
    assert len(CATEGORIES) >= 8


def test_own_meshes_are_rendered_into_the_same_dataset(tmp_path: Path) -> None:
    own = tmp_path / "own"
    render = bundled_stages(BundledOptions(tmp_path / "out", meshes=(own,)))[2]
    words = [str(word) for word in render.arguments()]
    assert words[:3] == ["render", str(tmp_path / "out" / "meshes"), str(own)]


@pytest.mark.slow
@pytest.mark.blender
def test_it_runs_through_and_skips_what_is_there(tmp_path: Path) -> None:
    try:
        find_blender()
    except MissingDependency as error:
        pytest.skip(str(error))
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "recon_core.cli",
        "bundled",
        "--out",
        str(out),
        "--objects=20",
        "--stylised=1",
        "--views=4",
    ]
    command += ["--category=lamp", "--category=table", "--steps=20", "--size=48", "--device=cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run() -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=400, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    assert ": already there" not in run()
    assert Dataset.open(out / "dataset").meta.categories == ["lamp", "table"]
    assert load_run(out / "run").vocabulary.categories == ["lamp", "table"]
    card = json.loads((out / "model" / "model.json").read_text())
    assert {"category", "rotation"} <= set(card["outputs"])
    stages = bundled_stages(BundledOptions(out, 20, 4, 0, 48, 20, "cpu", (), ("lamp", "table"), 1))
    assert all(stage.done() for stage in stages)
    shutil.rmtree(out / "run" / "evaluation")
    assert run().count(": already there") == len(stages) - 1
