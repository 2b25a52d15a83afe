# SPDX-License-Identifier: Apache-2.0
"""Models of several categories with known cameras: which category is seen, its own part names, and from where."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from two_categories import CATEGORIES, make_two_categories

from recon_core.data.cache import load_views
from recon_core.errors import ConfigError
from recon_core.evaluation.evaluate import evaluate_predictor
from recon_core.evaluation.told import ToldCategories
from recon_core.inference.reconstruct import reconstruct
from recon_core.io.images import write_png
from recon_core.io.ply import read_ply
from recon_core.losses.viewpoint import viewpoint_loss
from recon_core.methods.recipe import load_recipe
from recon_core.methods.run import load_run
from recon_core.pointcloud import Points
from recon_core.training.batches import draw_batch, fixed_batch
from recon_core.training.checkpoints import latest_checkpoint
from recon_core.training.start import TrainRequest, start_training
from recon_core.training.step import run_step, true_rotations
from recon_core.training.validation import judge_answers
from recon_core.training.viewsets import open_training_data
from recon_core.vocabulary import make_vocabulary, read_vocabulary

SMALL = (
    "model.points=100", "model.width=8", "model.features=64", "model.hidden=64", "optim.objects=4",
    "optim.views=2", "data.mask_size=32", "log.metrics=10",
)  # fmt: skip
TELLS = ("model.heads=[xyz, opacity, color, parts, category]", "pose.student={hypotheses: 3, weight: 1.0}")
CATEGORY = '{"kind": "category", "weight": 0.5}'
MASK = '{"kind": "splat_mask", "over": "mask"}'
COLOR, PARTS_TERM = '{"kind": "splat_color"}', '{"kind": "splat_parts"}'
TERMS = f"terms=[{MASK}, {COLOR}, {PARTS_TERM}, {CATEGORY}]"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Eight objects of each of two categories, six views, 32 px."""
    return make_two_categories(tmp_path_factory.mktemp("two") / "data", objects=8, views=6)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """A run of masks, colours, parts, categories and viewpoints."""
    out = tmp_path_factory.mktemp("run") / "run"
    overrides = (*SMALL, *TELLS, TERMS, "optim.steps=10")
    return start_training(TrainRequest(data, "splat_full", out, overrides, device="cpu", threads=1)).run


def lines(folder: Path, kind: str) -> list[dict]:
    """metrics.jsonl's lines of one kind."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in found if line["kind"] == kind]


def test_terms_are_logged_and_validation_judges_the_answers(run):
    """Category, viewpoint and scores beside the others; validation says how often they are right."""
    last = lines(run, "train")[-1]
    assert {"splat_mask", "category", "viewpoint", "viewpoint_score"} <= set(last)
    judged = lines(run, "val")[-1]
    assert 0 <= judged["category_accuracy"] <= 1
    assert 0 <= judged["pose_accuracy"] <= 1


def test_card_names_the_parts_of_each_category(run):
    """Not one list for all."""
    card = json.loads((latest_checkpoint(run) / "card.json").read_text())
    assert card["categories"] == ["chair", "ball"]
    assert card["parts"] == CATEGORIES
    assert load_run(run, "cpu").network.category.out_features == 2


def test_prediction_carries_rotation_scores_and_category(run):
    """The rotation is the best scored hypothesis; in chunks as at once."""
    loaded = load_run(run, "cpu")
    assert not loaded.pose_is_learnt
    crops = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 4), dtype=np.uint8)
    whole, chunks = loaded.predict(crops), loaded.predict(crops, batch=2)
    for name, shape in {
        "rotation": (5, 3, 3), "hypotheses": (5, 3, 3, 3), "scores": (5, 3), "category": (5, 2),
    }.items():  # fmt: skip
        assert getattr(whole, name).shape == shape
        torch.testing.assert_close(getattr(chunks, name), getattr(whole, name))
    assert whole.rotation is not None
    assert whole.hypotheses is not None
    assert whole.scores is not None
    assert whole.category is not None
    torch.testing.assert_close(whole.category.sum(1), torch.ones(5))
    torch.testing.assert_close(whole.scores.sum(1), torch.ones(5))
    for b, best in enumerate(whole.scores.argmax(1)):
        torch.testing.assert_close(whole.rotation[b], whole.hypotheses[b, best])


@pytest.mark.parametrize("wanted", [0, 1])
def test_reconstruction_names_the_parts_of_the_category_it_sees(run, tmp_path, wanted):
    """PLY comments, JSON and labels, whichever category the classifier is made to answer; the pose comes with it."""
    loaded = load_run(run, "cpu")
    torch.nn.init.zeros_(loaded.network.category.weight)
    loaded.network.category.bias.data = torch.tensor([2.0 - 2 * wanted, 2.0 * wanted])
    rgba = np.random.default_rng(0).integers(0, 256, (60, 80, 4), dtype=np.uint8)
    rgba[..., 3] = 0
    rgba[10:50, 20:50, 3] = 255
    write_png(tmp_path / "photo.png", rgba)
    result = reconstruct(tmp_path / "photo.png", loaded, out_dir=tmp_path / "out")
    name = ("chair", "ball")[wanted]
    cloud, record = read_ply(result.ply), json.loads(result.json.read_text())
    assert record["category"] == cloud.comments["category"] == name
    assert record["category_probability"] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-4)
    assert list(record["parts"]) == cloud.comments["parts"].split() == CATEGORIES[name]
    assert sum(record["parts"].values()) == 100
    assert cloud.labels is not None
    assert 1 <= cloud.labels.min() <= cloud.labels.max() <= len(CATEGORIES[name])
    # Known cameras: the frame is the object's own, nothing is to be aligned.
    assert record["frame"].startswith("object")
    assert "canonical" not in record["frame"]
    assert record["pose"]["camera"]["w"] == 80


def test_mirrored_objects_teach_the_mirrored_camera(data):
    """Whatever the share of mirrored objects, the points seen by the camera taught lie where the mask is."""
    recipe = load_recipe("splat_full", [*SMALL, *TELLS, TERMS, "data.mirror=1.0", "data.augment.shift=0"])
    viewset = open_training_data(data, recipe).train
    plain = fixed_batch(viewset, recipe, 4, 2, torch.device("cpu"))
    assert plain.category is not None
    assert plain.category.tolist() == [0, 0, 1, 1]
    batch = draw_batch(viewset, recipe, torch.Generator().manual_seed(0), torch.device("cpu"))
    taught = true_rotations(batch)
    # Mirrored in x and flipped: S R S of a rotation of the dataset, which keeps the camera's up and turns the azimuth.
    known = torch.from_numpy(np.array(viewset.world_to_cam[..., :3, :3])).flatten(0, 1)
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    apart = ((mirror @ taught @ mirror)[:, None] - known).abs().amax((2, 3)).amin(1)
    assert float(apart.max()) < 1e-4


def test_viewpoint_and_category_reach_the_encoder(data):
    """Gradients of these terms alone arrive at the encoder and at no point."""
    recipe = load_recipe("splat_full", [*SMALL, *TELLS, TERMS])
    viewset = open_training_data(data, recipe).train
    network = recipe.network(4, 2)
    batch = draw_batch(viewset, recipe, torch.Generator().manual_seed(0), torch.device("cpu"))
    terms = run_step(network, batch, recipe, 0.5).terms
    for name in ("category", "viewpoint", "viewpoint_score"):
        network.zero_grad()
        terms[name].backward(retain_graph=True)
        assert bool(network.encoder.project.weight.grad.any())
        assert all(one.grad is None for one in network.decoder.parameters())


def test_answers_are_learnt(data):
    """A few views by heart: every category and every rotation is right, and by the score of the right hypothesis."""
    recipe = load_recipe("splat_full", [*SMALL, *TELLS, TERMS])
    torch.manual_seed(0)
    network = recipe.network(4, 2)
    batch = fixed_batch(open_training_data(data, recipe).train, recipe, 8, 2, torch.device("cpu"))
    before = judge_answers(network, batch)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(80):
        features = network.encode(batch.inputs[:, 0])
        assert network.viewpoint is not None
        hypotheses, scores = network.viewpoint(features)
        apart, wrong = viewpoint_loss(hypotheses, scores, true_rotations(batch), batch.symmetry_order)
        told = torch.nn.functional.cross_entropy(network.categorise(features), batch.category)
        optimizer.zero_grad()
        (apart.mean() + 0.1 * wrong.mean() + told).backward()
        optimizer.step()
    assert judge_answers(network, batch) == {"category_accuracy": 1.0, "pose_accuracy": 1.0}
    assert before["pose_accuracy"] < 1


def test_one_category_has_no_classifier(data):
    """The head is asked for in vain, its term is 0, and without student a network has the tensors of before."""
    recipe = load_recipe("splat_full", [*SMALL, *TELLS, TERMS])
    viewset = open_training_data(data, recipe).train
    network = recipe.network(4, 1)
    assert network.category is None
    batch = draw_batch(viewset, recipe, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert float(run_step(network, batch, recipe, 0.5).terms["category"]) == 0
    before = load_recipe("splat_full", list(SMALL)).network(4, 2)
    assert not [name for name in before.state_dict() if name.startswith(("viewpoint", "category"))]


def test_the_term_needs_the_head():
    """A recipe with the term alone is refused."""
    with pytest.raises(ConfigError, match="needs the head 'category'"):
        load_recipe("splat_full", [TERMS])


def test_vocabulary_reads_old_and_new_cards():
    """Part lists per category, one list for all, none."""
    new = read_vocabulary({"categories": list(CATEGORIES), "parts": CATEGORIES})
    assert new == make_vocabulary(list(CATEGORIES), CATEGORIES)
    assert (new.slots, new.part_names("ball"), new.only()) == (4, ["shell", "core"], None)
    assert new.part_names(None) == ["back/shell", "seat/core", "leg", "arm"]
    old = read_vocabulary({"categories": ["chair"], "parts": ["back", "seat"]})
    assert (old.slots, old.part_names("chair"), old.only()) == (2, ["back", "seat"], "chair")
    several = read_vocabulary({"categories": ["chair", "car"], "parts": ["back/roof", "seat"]})
    assert several.part_names(None) == several.part_names("car") == ["back/roof", "seat"]
    assert read_vocabulary({}).slots == read_vocabulary({"categories": ["a"], "parts": []}).slots == 0


def test_evaluation_judges_poses_categories_and_the_true_categorys_parts(run, data):
    """Rotations count without any alignment; labels stay within the parts of the true category; notes say it all."""
    loaded = load_run(run, "cpu")
    result = evaluate_predictor(loaded, data, "val", views=2).result
    assert result["alignment"] is None
    assert len(result["pose_errors_deg"]["plain"]) == 8
    assert result["methods"]["model"]["pose_accuracy_symmetric"] is not None
    told = result["category"]
    crops = load_views(data, "val", input_size=64, mask_size=64, progress=False)
    right = []
    for index, name in enumerate(crops.names):
        answer = loaded.predict(np.array(crops.inputs[index, :2])).category
        assert answer is not None
        right += [list(CATEGORIES)[best] == name.split("/")[0] for best in answer.argmax(1).tolist()]
    assert told["accuracy"] == pytest.approx(np.mean(right))
    assert sum(one["views"] for one in told["confused"]) == right.count(False)
    assert any("Category told rightly" in note for note in result["notes"])


def test_told_categories_are_counted():
    """Shares by the true category, confusions from the most frequent on, nothing without answers."""
    told = ToldCategories()
    assert told.result() is None
    told.add("chair", torch.eye(3)[[0, 0, 2, 2]], ["chair", "sofa", "table"])
    told.add("sofa", torch.eye(3)[[1, 0, 1, 1]], ["chair", "sofa", "table"])
    result = told.result()
    assert result is not None
    assert result["accuracy"] == 5 / 8
    assert result["by_category"] == {"chair": 0.5, "sofa": 0.75}
    assert result["confused"][0] == {"true": "chair", "told": "table", "views": 2}
    assert result["confused"][1] == {"true": "sofa", "told": "chair", "views": 1}


def test_labels_are_chosen_among_so_many_parts(generator):
    """Of all slots, of some, and none where the category has no parts."""
    logits = torch.randn(1, 50, 4, generator=generator)
    points = Points(torch.zeros(1, 50, 3), part_logits=logits)
    np.testing.assert_array_equal(points.cloud(0).labels, logits[0].argmax(1) + 1)
    np.testing.assert_array_equal(points.cloud(0, parts=2).labels, logits[0, :, :2].argmax(1) + 1)
    assert points.cloud(0, parts=0).labels is None
