# SPDX-License-Identifier: Apache-2.0
"""Evaluation of a predictor that knows the answers: numbers, baselines, alignment, files and faults."""

import json

import numpy as np
import pytest
import torch
from fake_predictor import FakePredictor
from scipy.spatial.transform import Rotation
from tiny_dataset import make_tiny_dataset
from typer.testing import CliRunner

from recon_core.cli import app
from recon_core.data.dataset import Dataset
from recon_core.errors import ConfigError, DatasetError, InputError
from recon_core.evaluation.evaluate import evaluate_predictor, write_evaluation
from recon_core.evaluation.metrics import chamfer, match_clouds
from recon_core.evaluation.scores import METHODS
from recon_core.evaluation.table import as_table
from recon_core.evaluation.truth import load_truth, render_coverage, split_samples, unseen_views
from recon_core.pointcloud import PointCloud

TURN = Rotation.from_euler("zyx", (200, 30, -20), degrees=True).as_matrix()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """12 objects, 5 views."""
    return make_tiny_dataset(tmp_path_factory.mktemp("data"), objects=12, views=5, size=64, points=3000)


@pytest.fixture(scope="module")
def evaluation(data):
    """A good predictor in the object frame."""
    return evaluate_predictor(FakePredictor(data), data)


def test_every_method_has_every_number_it_can_have(evaluation, data) -> None:
    result = evaluation.result
    assert result["objects"] == len(Dataset.open(data).objects("test")) == 3
    assert result["points"] == {"predicted": 500, "true": 2500, "noise_floor": 500}
    assert list(result["methods"]) == list(METHODS)
    keys = {info["key"] for info in result["metrics"]}
    for method, values in result["methods"].items():
        assert set(values) == keys
        missing = {key for key, value in values.items() if value is None}
        # Only retrieval has a pose here: the predictor knows the object frame and predicts none.
        assert all(key.startswith("pose") for key in missing)
        assert bool(missing) == (method != "retrieval")
    titles = [info["title"] for info in result["metrics"]]
    assert "Chamfer sum x100 (Euclidean, 500 vs 2500 points, diag 1)" in titles
    json.dumps(result, allow_nan=False)


def test_methods_are_in_the_expected_order(evaluation) -> None:
    chamfers = {method: values["chamfer_sum"] for method, values in evaluation.result["methods"].items()}
    assert chamfers["noise_floor"] < chamfers["model"] < chamfers["retrieval"]
    assert chamfers["model"] < chamfers["mean_shape"]
    ious = {method: values["mask_iou"] for method, values in evaluation.result["methods"].items()}
    assert ious["noise_floor"] > 0.75
    assert ious["noise_floor"] > ious["mean_shape"]


def test_means_are_over_views_and_objects(evaluation) -> None:
    rows = evaluation.result["rows"]
    for key in ("chamfer_sum", "fscore_0.02", "mask_iou", "part_miou", "colour_psnr"):
        for method, values in evaluation.result["methods"].items():
            expected = np.mean([row["methods"][method][key] for row in rows])
            assert values[key] == pytest.approx(expected), (method, key)
    order = [row["methods"]["model"]["chamfer_sum"] for row in rows]
    assert order == sorted(order)
    assert [one.truth.name for one in evaluation.exhibits] == [row["object"] for row in rows]


def test_the_model_row_agrees_with_brute_force(evaluation) -> None:
    shown = evaluation.exhibits[0]
    predicted, truth = shown.judged.cloud.xyz.astype(float), shown.truth.cloud.xyz.astype(float)
    pairs = np.linalg.norm(predicted[:, None] - truth[None], axis=-1)
    expected = (pairs.min(1).mean(), pairs.min(0).mean())
    np.testing.assert_allclose(chamfer(shown.judged.matches), expected, rtol=1e-5)


def test_a_learnt_frame_is_aligned_first(data) -> None:
    result = evaluate_predictor(FakePredictor(data, turn=TURN), data, views=3).result
    assert result["views_per_object"] == 3
    values = result["methods"]["model"]
    assert values["pose_accuracy"] == 1
    assert 0 < values["pose_median_deg"] < 20
    assert values["chamfer_sum"] < result["methods"]["retrieval"]["chamfer_sum"]
    assert len(result["pose_errors_deg"]["plain"]) == 9
    # Every validation object of the tiny set has a symmetry, and the reader is told.
    assert result["alignment"]["symmetric_used"]
    assert any("Warning" in note for note in result["notes"])


def test_alignment_uses_the_rotation_the_right_way_round(data) -> None:
    found = evaluate_predictor(
        FakePredictor(data, turn=TURN, noise=0, pose_noise_deg=0), data, views=1
    ).result
    np.testing.assert_allclose(found["alignment"]["rotation"], TURN, atol=1e-2)
    assert found["methods"]["model"]["pose_median_deg"] < 1


def test_heads_that_are_not_there_are_not_scored(tmp_path) -> None:
    data = make_tiny_dataset(tmp_path, objects=4, views=2, size=32, labelled=False, points=800)
    result = evaluate_predictor(FakePredictor(data, heads=False, points=100), data, points=200).result
    assert result["methods"]["model"]["colour_psnr"] is None
    assert result["methods"]["mean_shape"]["colour_psnr"] is not None
    assert all(values["part_miou"] is None for values in result["methods"].values())
    assert "Part mIoU" not in as_table(result)
    assert result["points"]["true"] == 200


def test_one_view_has_no_unseen_ones(tmp_path) -> None:
    data = make_tiny_dataset(tmp_path, objects=4, views=1, size=32, points=400)
    result = evaluate_predictor(FakePredictor(data, points=100), data).result
    assert result["methods"]["model"]["mask_iou"] is None
    assert result["methods"]["model"]["chamfer_sum"] > 0


def test_bad_requests_are_refused(data, tmp_path) -> None:
    predictor = FakePredictor(data)
    with pytest.raises(ConfigError, match="--views"):
        evaluate_predictor(predictor, data, views=6)
    with pytest.raises(ConfigError, match="--points"):
        evaluate_predictor(predictor, data, points=0)
    with pytest.raises(DatasetError):
        evaluate_predictor(predictor, data, "tests")
    with pytest.raises(DatasetError):
        evaluate_predictor(predictor, tmp_path)
    with pytest.raises(InputError, match="not finite"):
        evaluate_predictor(FakePredictor(data, fail=True), data)


def test_an_empty_train_split_is_one_clear_error(tmp_path) -> None:
    data = make_tiny_dataset(tmp_path, objects=4, views=2, size=32, points=400)
    predictor = FakePredictor(data, points=100)
    (data / "splits" / "train.txt").write_text("")
    with pytest.raises(DatasetError, match="train split is empty"):
        evaluate_predictor(predictor, data)


def test_files_are_written_and_the_table_is_aligned(evaluation, tmp_path) -> None:
    write_evaluation(evaluation, tmp_path / "out", report=False)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metrics.json", "table.txt"]
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == evaluation.result
    table = (tmp_path / "out" / "table.txt").read_text().splitlines()
    assert all(name in table[0] for name in METHODS.values())
    rows = [line for line in table[2:] if line.endswith(tuple("0123456789-"))][:9]
    assert len({len(line) for line in rows}) == 1


def test_the_two_samplings_of_the_truth_are_disjoint() -> None:
    cloud = PointCloud(np.random.default_rng(0).random((1000, 3)))
    truth, floor, samples = split_samples(cloud, 300, 600, "chair/a")
    assert (len(truth), len(floor), len(samples)) == (600, 300, 700)
    assert len(np.unique(np.concatenate((samples.xyz, floor.xyz)), axis=0)) == 1000
    np.testing.assert_array_equal(samples.xyz[:600], truth.xyz)
    both = np.concatenate((truth.xyz, floor.xyz))
    assert len(np.unique(both, axis=0)) == 900
    truth, floor, _ = split_samples(cloud, 800, 600, "chair/a")  # too few for both: half each
    assert (len(truth), len(floor)) == (500, 500)
    again, *_ = split_samples(cloud, 800, 600, "chair/a")
    np.testing.assert_array_equal(truth.xyz, again.xyz)


def test_unseen_views_never_hold_the_input() -> None:
    assert unseen_views(1, 4) == [2, 3, 0]
    assert unseen_views(0, 1) == []
    many = unseen_views(5, 24)
    assert len(set(many)) == 8
    assert 5 not in many


def test_true_points_cover_the_true_masks(data) -> None:
    from recon_core.data.cache import load_views

    views = load_views(data, "test", input_size=32, mask_size=64, progress=False)
    truth = load_truth(Dataset.open(data), views, 0, 500, 2000)
    coverage = render_coverage(truth.cloud, truth.cameras)
    inside, outside = coverage[truth.masks > 0.99], coverage[truth.masks == 0]
    assert inside.mean() > 0.9
    assert outside.mean() < 0.05
    hidden = PointCloud(truth.cloud.xyz, opacity=np.zeros(len(truth.cloud)))
    assert render_coverage(hidden, truth.cameras).max() == 0


def test_match_clouds_accepts_a_cuda_prediction(device) -> None:
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)).to(device)
    assert match_clouds(points, points).pred_to_truth.max() == 0


@pytest.mark.slow
def test_a_trained_run_is_evaluated_from_the_command_line(data, tmp_path) -> None:
    runner = CliRunner()
    run = tmp_path / "run"
    short = ["optim.steps=2", "model.points=64", "model.width=8", "log.validation=2", "log.samples=2"]
    search = (
        "{templates: 2, azimuths: 8, elevations_deg: [10], points: 60, first_iterations: 9, iterations: 9}"
    )
    short += ["pose.hypotheses=3", f"pose.bootstrap={search}"]
    options = [word for one in short for word in ("--set", one)]
    trained = runner.invoke(app, ["train", "splat_unposed", "--data", str(data), "--out", str(run), *options])
    assert trained.exit_code == 0, trained.output
    done = runner.invoke(app, ["eval", str(run), "--data", str(data), "--views", "2", "--points", "500"])
    assert done.exit_code == 0, done.output
    assert "Chamfer sum x100 (Euclidean, 64 vs 500 points, diag 1)" in done.output
    written = json.loads((run / "evaluation" / "test" / "metrics.json").read_text())
    assert written["run"] == str(run)
    assert written["methods"]["model"]["pose_median_deg"] is not None
    assert json.loads((run / "canonical.json").read_text())["steps"] == 2
    assert (run / "evaluation" / "test" / "report.html").stat().st_size > 10_000
    as_json = runner.invoke(
        app,
        ["eval", str(run), "--data", str(data), "--json", "--no-report", "--out", str(tmp_path / "o")]
        + ["--protocol", "dibr", "--protocol", "dpc"],
    )
    printed = json.loads(as_json.stdout)
    assert printed["views_per_object"] == 5
    assert list(printed["protocols"]) == ["dibr", "dpc"]
    headline = printed["protocols"]["dibr"]["metrics"][0]["name"]
    assert headline.startswith(
        "chamfer_euclidean_half-sum_x100_one-view_mean-of-categories_longest1_N64_M2500"
    )
    assert printed["protocols"]["dibr"]["methods"]["model"][headline] > 0
