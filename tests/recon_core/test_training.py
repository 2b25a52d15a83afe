# SPDX-License-Identifier: Apache-2.0
"""Training end to end on a tiny dataset: it learns, resumes bit for bit, stops well, and refuses what it must."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_dataset import make_tiny_dataset

from recon_core.errors import CheckpointError, ConfigError, DatasetError, InputError, TrainingError
from recon_core.io.weights import load_tensors
from recon_core.methods.run import load_run
from recon_core.training.checkpoints import latest_checkpoint, list_checkpoints
from recon_core.training.start import TrainRequest, describe, start_training

SMALL = (
    "model.points=200",
    "model.width=8",
    "model.features=64",
    "model.hidden=64",
    "optim.objects=4",
    "optim.views=3",
    "log.metrics=5",
    "data.mask_size=32",
)
# The search for first poses, as small as it goes.
QUICK_SEARCH = (
    "pose.hypotheses=3",
    "pose.bootstrap={templates: 2, azimuths: 8, elevations_deg: [10], points: 60, first_iterations: 9, iterations: 9}",
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Eight labelled objects, six views, 32 px."""
    return make_tiny_dataset(tmp_path_factory.mktemp("tiny") / "data", objects=8, views=6)


def request(dataset, out, *overrides, recipe="splat", **kwargs) -> TrainRequest:
    """A small run on the CPU."""
    return TrainRequest(dataset, recipe, out, (*SMALL, *overrides), device="cpu", threads=1, **kwargs)


def lines(run: Path) -> list[dict]:
    """metrics.jsonl, parsed."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_known_pose_learns_and_leaves_a_whole_run_folder(dataset, tmp_path):
    """The loss falls by half, the masks fit, and every file of the run folder is there."""
    finished = start_training(request(dataset, tmp_path / "run", "optim.steps=240", "log.samples=120"))
    train = [line["loss"] for line in lines(finished.run) if line["kind"] == "train"]
    val = [line["mask_iou"] for line in lines(finished.run) if line["kind"] == "val"]
    assert train[-1] < 0.5 * train[0]
    # Points that share a silhouette of density 1.5 evenly cover its pixels by 0.78: few points leave holes.
    assert val[-1] > 0.4
    for name in ("config.yaml", "env.json", "samples/step-0000120.png", "samples/step-0000240.png"):
        assert (finished.run / name).is_file()
    assert list((finished.run / "tb").glob("events*"))
    card = json.loads((latest_checkpoint(finished.run) / "card.json").read_text())
    assert card["parts"] == {"chair": ["back", "seat", "leg", "arm"]}
    assert card["steps"] == 240
    crops = torch.randint(0, 255, (3, 64, 64, 4), dtype=torch.uint8).numpy()
    prediction = load_run(finished.run, "cpu").predict(crops)
    assert prediction.points.xyz.shape == (3, 200, 3)
    assert prediction.rotation is None


@pytest.mark.parametrize("recipe", ["splat_unposed", "splat_full"])
def test_other_recipes_learn(dataset, tmp_path, recipe):
    """No pose at all; masks, colours and parts: the loss falls and the heads come out."""
    small = () if recipe == "splat_full" else QUICK_SEARCH
    finished = start_training(request(dataset, tmp_path / "run", "optim.steps=60", *small, recipe=recipe))
    train = [line["loss"] for line in lines(finished.run) if line["kind"] == "train"]
    assert train[-1] < 0.9 * train[0]
    crops = torch.randint(0, 255, (2, 64, 64, 4), dtype=torch.uint8).numpy()
    prediction = load_run(finished.run, "cpu").predict(crops)
    if recipe == "splat_full":
        assert prediction.points.color.shape == (2, 200, 3)
        assert prediction.points.part_logits.shape == (2, 200, 4)
    else:
        eye = prediction.rotation @ prediction.rotation.transpose(1, 2)
        torch.testing.assert_close(eye, torch.eye(3).expand(2, 3, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("recipe", ["splat", "splat_unposed"])
def test_resume_goes_on_bit_for_bit(dataset, tmp_path, recipe):
    """Ten steps, then ten more, equal twenty in one go: weights, optimiser and generator."""
    steps = ("optim.steps=20", "log.checkpoint=10", "log.keep=5", *(QUICK_SEARCH if recipe == "splat_unposed" else ()))
    whole = start_training(request(dataset, tmp_path / "whole", *steps, recipe=recipe)).run
    parted = start_training(request(dataset, tmp_path / "parted", *steps, recipe=recipe)).run
    for folder in list_checkpoints(parted)[1:]:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    resumed = start_training(TrainRequest(dataset, resume=parted, device="cpu", threads=1))
    assert resumed.step == 20
    for name in ("weights.safetensors", "optimizer.safetensors"):
        first = load_tensors(latest_checkpoint(whole) / name)
        second = load_tensors(latest_checkpoint(parted) / name)
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert torch.equal(value, second[key]), key
    assert [line["step"] for line in lines(parted)] == [line["step"] for line in lines(whole)]


def test_ctrl_c_saves_and_says_how_to_go_on(dataset, tmp_path):
    """SIGINT mid-run: exit status 130, a checkpoint of the last step, and the command to resume."""
    run = tmp_path / "run"
    settings = [part for override in (*SMALL, "optim.steps=100000") for part in ("--set", override)]
    command = [sys.executable, "-m", "recon_core.cli", "train", "splat", "--data", str(dataset), "--out", str(run)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen([*command, "--threads", "1", *settings], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, env=environment)  # fmt: skip
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (run / "metrics.jsonl").exists():
        time.sleep(0.2)
    time.sleep(1.5)
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 130, output
    assert "--resume" in output
    assert "Traceback" not in output
    step = json.loads((latest_checkpoint(run) / "state.json").read_text())["step"]
    assert 0 < step < 100000


def test_a_loss_that_is_not_finite_stops_with_step_term_and_checkpoint(dataset, tmp_path):
    """A run that overflows after it was resumed: one sentence, and the good checkpoint stays."""
    run = start_training(request(dataset, tmp_path / "run", "optim.steps=10")).run
    config = run / "config.yaml"
    text = config.read_text().replace("steps: 10", "steps: 20").replace("weight: 1.0", "weight: 3.0e+38")
    config.write_text(text)
    with pytest.raises(TrainingError, match=r"Step 1\d: the loss is not finite in the term splat_mask") as caught:
        start_training(TrainRequest(dataset, resume=run, device="cpu", threads=1))
    assert f"last good checkpoint is {latest_checkpoint(run)}" in str(caught.value)
    assert latest_checkpoint(run).name == "step-0000010"


def test_refusals(dataset, tmp_path):
    """A taken run folder, nothing to resume, resuming with overrides, no recipe, parts that are not there."""
    start_training(request(dataset, tmp_path / "run", "optim.steps=1"))
    with pytest.raises(InputError, match="already holds a run"):
        start_training(request(dataset, tmp_path / "run", "optim.steps=1"))
    with pytest.raises(CheckpointError, match="nothing to resume"):
        start_training(TrainRequest(dataset, resume=tmp_path / "run", device="cpu"))
    with pytest.raises(ConfigError, match="leave out the recipe"):
        start_training(TrainRequest(dataset, "splat", resume=tmp_path / "run"))
    with pytest.raises(ConfigError, match="Name a recipe"):
        start_training(TrainRequest(dataset))
    with pytest.raises(CheckpointError, match=r"no config\.yaml"):
        start_training(TrainRequest(dataset, resume=tmp_path))
    plain = make_tiny_dataset(tmp_path / "plain", objects=4, labelled=False)
    with pytest.raises(DatasetError, match="parts"):
        start_training(request(plain, tmp_path / "other", recipe="splat_full"))


def test_a_dataset_without_validation_objects_trains(tmp_path):
    """Its training objects serve in their place."""
    root = make_tiny_dataset(tmp_path / "data", objects=4)
    (root / "splits" / "val.txt").write_text("")
    assert start_training(request(root, tmp_path / "run", "optim.steps=2")).step == 2


def test_truncated_weights_are_named(dataset, tmp_path):
    """Half a weights file, and weights of another recipe."""
    run = start_training(request(dataset, tmp_path / "run", "optim.steps=1")).run
    weights = latest_checkpoint(run) / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="not a readable safetensors"):
        load_run(run, "cpu")
    weights.write_bytes(whole)
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("points: 200", "points: 300"))
    with pytest.raises(CheckpointError, match="does not fit the recipe"):
        load_run(run, "cpu")


def test_dry_run_says_what_would_be_done(dataset, tmp_path):
    """Objects, steps and folder; nothing is written."""
    text = describe(request(dataset, tmp_path / "run"))
    assert "4 training" in text or "training" in text
    assert "4 objects x 3 views" in text
    assert not (tmp_path / "run").exists()
