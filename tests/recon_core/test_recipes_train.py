# SPDX-License-Identifier: Apache-2.0
"""Every shipped recipe trains: a few steps, a checkpoint, a resumed run and a prediction; some overfit one object."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_dataset import make_tiny_dataset

from recon_core.errors import ConfigError
from recon_core.evaluation.evaluate import evaluate_run
from recon_core.inference.reconstruct import reconstruct
from recon_core.io.ply import read_ply
from recon_core.io.weights import load_tensors
from recon_core.methods.recipe import load_recipe
from recon_core.methods.run import load_run
from recon_core.training.checkpoints import latest_checkpoint, list_checkpoints
from recon_core.training.start import TrainRequest, start_training

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "base")
SMALL = (
    "model.points=100", "model.width=4", "model.features=32", "model.hidden=32", "optim.objects=3",
    "data.mask_size=32", "log.metrics=1", "optim.warmup=0", "optim.lr_end=1",
)  # fmt: skip
SEARCH = "templates: 2, azimuths: 8, elevations_deg: [10], points: 60, first_iterations: 5, iterations: 5"
QUICK_SEARCH = f"pose.bootstrap={{{SEARCH}}}"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    """Eight labelled objects, four views, 32 px."""
    return make_tiny_dataset(tmp_path_factory.mktemp("tiny") / "data", objects=8, views=4)


def shrunk(name: str) -> list[str]:
    """Overrides that make a recipe small enough for a test; its parts stay its own."""
    recipe = load_recipe(name)
    found = [*SMALL, f"optim.views={min(recipe.optim.views, 2)}", "model.image_size=64"]
    for index, term in enumerate(recipe.terms):
        if "grid" in type(term).model_fields:
            found.append(f"terms.{index}.grid=16")
    if recipe.model.decoder.kind == "mesh":
        found += ["model.decoder.subdivisions=2", "model.decoder.blocks=1"]
    if getattr(recipe.pose, "bootstrap", None) is not None:
        found.append(QUICK_SEARCH)
    return found


def losses(run: Path) -> list[float]:
    """The loss of every step that was logged."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["kind"] == "train"]


def train(dataset: Path, out: Path, name: str, *overrides: str) -> Path:
    """A small run on the CPU."""
    sets = (*shrunk(name), *overrides)
    return start_training(TrainRequest(dataset, name, out, sets, device="cpu", threads=1)).run


@pytest.mark.parametrize("name", SHIPPED)
def test_every_recipe_trains_resumes_and_predicts(dataset, tmp_path, name):
    """Finite losses; two steps and two more equal four; load_run predicts what the recipe says."""
    steps = ("optim.steps=4", "log.checkpoint=2", "log.keep=3")
    whole = train(dataset, tmp_path / "whole", name, *steps)
    assert len(losses(whole)) == 4
    assert np.isfinite(losses(whole)).all()
    parted = train(dataset, tmp_path / "parted", name, *steps)
    last = list_checkpoints(parted)[-1]
    for file in last.iterdir():
        file.unlink()
    last.rmdir()
    start_training(TrainRequest(dataset, resume=parted, device="cpu", threads=1))
    first, second = (load_tensors(latest_checkpoint(run) / "weights.safetensors") for run in (whole, parted))
    assert all(torch.equal(value, second[key]) for key, value in first.items())

    loaded = load_run(whole, "cpu")
    size = loaded.input_size
    crops = np.random.default_rng(0).integers(0, 255, (3, size, size, 4), dtype=np.uint8)
    prediction = loaded.predict(crops, batch=2)
    heads = loaded.config.model.heads
    assert prediction.points.xyz.shape == (3, 100, 3)
    assert bool(torch.isfinite(prediction.points.xyz).all())
    assert (prediction.points.color is not None) == ("color" in heads)
    assert (prediction.points.part_logits is not None) == ("parts" in heads)
    tells_pose = loaded.pose_is_learnt or loaded.config.pose.student is not None
    assert (prediction.rotation is not None) == tells_pose
    assert (prediction.meshes is not None) == (loaded.config.model.decoder.makes == "mesh")
    assert (whole / "samples" / "step-0000004.png").is_file()


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("dpc_posed", 0.6), ("dpc_color", 0.7), ("capnet", 0.8), ("differ_rgb", 0.8), ("differ_parts", 0.8),
        ("drwr", 0.8), ("match2d", 0.6), ("dibr", 0.9),
        pytest.param("dibr_texture", 0.9, marks=pytest.mark.slow), pytest.param("ssl_cc", 0.8, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_recipes_overfit_one_object(tmp_path, name, share):
    """One object, the same views all the time: the loss of the last steps is below this share of the first."""
    root = make_tiny_dataset(tmp_path / "data", objects=4, views=2)
    one = (root / "splits" / "train.txt").read_text().splitlines()[0]
    (root / "splits" / "train.txt").write_text(one + "\n")
    larger = ("model.features=64", "model.hidden=64")
    fixed = ("optim.steps=50", "optim.objects=2", "data.mirror=0", "optim.lr=0.003")
    run = train(root, tmp_path / "run", name, *larger, *fixed)
    values = losses(run)
    assert np.mean(values[-5:]) < share * np.mean(values[:2]), (values[0], values[-1])


def test_one_run_starts_from_anothers_weights(dataset, tmp_path):
    """ssl_nn starts where ssl_cc ended, and keeps the neighbours that it found."""
    first = train(dataset, tmp_path / "cc", "ssl_cc", "optim.steps=2")
    second = train(dataset, tmp_path / "nn", "ssl_nn", "optim.steps=1", f"start={first}", "optim.lr=1e-9")
    before, after = (load_tensors(latest_checkpoint(run) / "weights.safetensors") for run in (first, second))
    assert all(torch.allclose(value, after[key], atol=1e-6) for key, value in before.items())
    index = load_tensors(second / "neighbours.safetensors")["index"]
    assert index.shape == (4, 1, 3)
    assert all(row not in index[row].tolist()[0] for row in range(4))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["terms.0={kind: mesh_mask}"],
            "the term mesh_mask is about mesh, but model.decoder points makes points",
        ),
        (["model.decoder=mesh", "model.heads=[xyz]"], "is about points, but model.decoder mesh makes mesh"),
        (["model.decoder=capnet"], "the decoder capnet has no head 'opacity'; it has xyz"),
        (["model.decoder=meshh"], "Did you mean 'mesh'"),
        (["model.encoder.kind=resnet"], "Did you mean 'resnet18'"),
        (["terms.0={kind: cycle}"], "pose.kind known has none"),
    ],
)
def test_parts_that_do_not_fit_are_refused(overrides, message):
    """Meshes for point terms, heads that a decoder has not, misspelt kinds, cycles without learnt poses."""
    with pytest.raises(ConfigError) as caught:
        load_recipe("splat", overrides)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["dibr", "ssl_cc"])
def test_runs_are_evaluated_and_reconstruct_a_photograph(dataset, tmp_path, name):
    """Meshes and clouds in a frame of their own: `recon eval` scores them, `recon reconstruct` writes the cloud."""
    run = train(dataset, tmp_path / "run", name, "optim.steps=2")
    result = evaluate_run(run, dataset, "test", device="cpu", report=False, progress=False)
    assert np.isfinite(result["methods"]["model"]["chamfer_sum"])
    photo = next((dataset / "chair").glob("*/images/000.png"))
    written = reconstruct(photo, load_run(run, "cpu"), out_dir=tmp_path / "out")
    assert len(read_ply(written.ply)) == 100
