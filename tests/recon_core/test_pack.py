# SPDX-License-Identifier: Apache-2.0
"""A packed run says what the run says, at half the size, and replaces nothing that is not its own."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_dataset import make_tiny_dataset
from typer.testing import CliRunner

from recon_core.cli import app
from recon_core.errors import ConfigError
from recon_core.inference.pack import pack_run
from recon_core.methods.run import load_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of two steps."""
    folder = tmp_path_factory.mktemp("packed")
    data = make_tiny_dataset(folder / "data", objects=8, views=4, size=48)
    short = ["optim.steps=2", "model.points=64", "model.width=8", "log.validation=2", "log.samples=2"]
    options = [word for one in short for word in ("--set", one)]
    words = ["train", "splat_full", "--data", str(data), "--out", str(folder / "run"), *options]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return folder / "run"


def test_a_packed_run_predicts_what_the_run_does(run, tmp_path) -> None:
    done = CliRunner().invoke(app, ["pack", str(run), "--out", str(tmp_path / "model"), "--licence", "CC0"])
    assert done.exit_code == 0, done.output
    whole, packed = load_run(run, "cpu"), load_run(tmp_path / "model", "cpu")
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 4), dtype=np.uint8)
    first, second = whole.predict(crops).points, packed.predict(crops).points
    np.testing.assert_allclose(first.xyz, second.xyz, atol=2e-3)
    assert packed.card["licence"] == "CC0"
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert card["bytes"] == (tmp_path / "model" / "model.onnx").stat().st_size
    sizes = [
        sum(f.stat().st_size for f in folder.rglob("weights.safetensors"))
        for folder in (run / "checkpoints" / f"step-{2:07d}", tmp_path / "model")
    ]
    assert sizes[1] < 0.6 * sizes[0]
    page = (tmp_path / "model" / "README.md").read_text()
    assert "chair" in page
    assert "Limits" in page


def test_packing_again_replaces_the_folder_whole(run, tmp_path) -> None:
    out = tmp_path / "model"
    pack_run(run, out, "first", "CC0")
    (out / "stale.txt").write_text("old")
    pack_run(run, out, "second", "CC0")
    assert not (out / "stale.txt").exists()
    assert (out / "README.md").read_text().startswith("# second")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_of_something_else_is_not_replaced(run, tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="holds no packed model"):
        pack_run(run, tmp_path / "mine", "x", "CC0")
    assert (tmp_path / "mine" / "thesis.txt").is_file()
