# SPDX-License-Identifier: Apache-2.0
"""`recon calibrate` from a dataset to confidences of a photograph, and the benchmark that measures them."""

import argparse
import json
import runpy
from pathlib import Path

import pytest
import torch
from tiny_dataset import make_tiny_dataset
from typer.testing import CliRunner

from recon_core import cli
from recon_core.confidence.calibrate import calibrate_run
from recon_core.confidence.calibration import read_calibration
from recon_core.errors import CheckpointError, DatasetError
from recon_core.inference.reconstruct import reconstruct_image
from recon_core.io.atomic import write_json
from recon_core.io.weights import save_tensors
from recon_core.methods.network import Network
from recon_core.methods.recipe import validate_recipe
from recon_core.methods.run import load_run
from recon_core.training.run_folder import create_run

ROOT = Path(__file__).resolve().parents[2]


def _run(folder: Path, pose: str = "known") -> Path:
    """A run folder with random weights."""
    recipe = validate_recipe(
        {
            "model": {"heads": ["xyz", "opacity"], "points": 120, "width": 8, "image_size": 64},
            "pose": {"kind": pose},
            "terms": [{"kind": "splat_mask"}],
        },
        "test",
    )
    create_run(folder, recipe, "cpu")
    checkpoint = folder / "checkpoints" / "step-0000007"
    checkpoint.mkdir(parents=True)
    torch.manual_seed(0)
    network = Network(recipe.model, 0, recipe.pose.hypotheses)
    save_tensors(checkpoint / "weights.safetensors", dict(network.state_dict()))
    write_json(checkpoint / "card.json", {"version": 1, "categories": ["chair"], "parts": [], "steps": 7})
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """8 objects, 2 of them for validation."""
    return make_tiny_dataset(
        tmp_path_factory.mktemp("data") / "chairs", objects=8, views=2, size=48, points=900
    )


def test_calibration_reaches_the_points_of_a_photograph(data: Path, tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    done = calibrate_run(folder, data, views=1, device="cpu", progress=False)
    content = json.loads(done.path.read_text())
    assert (content["steps"], content["found"]["objects"], content["found"]["predictions"]) == (7, 2, 2)
    assert content["found"]["data"] == "chairs"
    assert set(content["maps"]) == {"fast", "fast, camera", "full", "full, camera"}
    assert all(abs(fit.mean - fit.share) < 0.1 for fit in done.fits.values())
    run = load_run(folder, "cpu")
    assert "2 objects of this run" in read_calibration(run.folder, 7).note
    photo = next(data.glob("chair/*/images/000.png"))
    result = reconstruct_image(photo, run, confidence="fast")
    assert result.confidence is not None
    assert "2 objects of this run" in result.cloud.comments["confidence"]
    assert result.cloud.confidence is not None
    # Random weights make a ball: what was learnt of it is that few of its points are right.
    assert abs(result.cloud.confidence.mean() - done.fits["fast"].share) < 0.25
    assert result.timings_ms["confidence"] > 0


def test_the_command_line_prints_figures(data: Path, tmp_path: Path) -> None:
    folder = _run(tmp_path / "run")
    words = ["calibrate", str(folder), "--data", str(data), "--views", "1", "--device", "cpu"]
    answer = CliRunner().invoke(cli.app, [*words, "--json"])
    assert answer.exit_code == 0, answer.output
    figures = json.loads(answer.stdout)
    assert set(figures["fits"]) == {"fast", "fast, camera", "full", "full, camera"}
    assert Path(figures["file"]).is_file()


def test_what_cannot_be_calibrated_is_said(data: Path, tmp_path: Path) -> None:
    unposed = _run(tmp_path / "unposed", "ensemble")
    with pytest.raises(CheckpointError, match="Run `recon eval` first"):
        calibrate_run(unposed, data, device="cpu", progress=False)
    empty = make_tiny_dataset(tmp_path / "one", objects=1, views=1, size=32, points=50)
    with pytest.raises(DatasetError, match="val split is empty"):
        calibrate_run(_run(tmp_path / "run"), empty, device="cpu", progress=False)


def test_the_benchmark_measures_and_draws(data: Path, tmp_path: Path) -> None:
    bench = runpy.run_path(str(ROOT / "benchmarks" / "confidence_bench.py"))
    options = argparse.Namespace(
        run=_run(tmp_path / "run"),
        data=data,
        split="test",
        views=1,
        mode="none",
        device="cpu",
        true_camera=True,
    )
    found = bench["measure"](options)
    assert found["predictions"] == 2
    assert found["groups"]["all"]["points"] == 240
    kinds = found["groups"].keys() - {"all", "chair"}
    assert sum(found["groups"][kind]["points"] for kind in kinds) == 240
    assert "has not been done" in found["calibration"]
    assert "true share" in bench["as_text"](found)
    bench["draw"](found, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000
