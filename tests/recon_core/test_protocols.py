# SPDX-License-Identifier: Apache-2.0
"""Every evaluation protocol on a case computed by hand, its frames and subsets, and its way through `recon eval`."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from fake_predictor import FakePredictor
from scipy.spatial.transform import Rotation
from tiny_dataset import make_tiny_dataset
from typer.testing import CliRunner

from recon_core.cameras import pinhole
from recon_core.cli import app
from recon_core.errors import ConfigError, InputError
from recon_core.evaluation.evaluate import evaluate_predictor
from recon_core.evaluation.protocol_board import ProtocolBoard
from recon_core.evaluation.protocol_scores import (
    boxed,
    colour_error,
    in_frame,
    over_objects,
    over_views,
    part_iou,
    pose_summary,
    predicted_cloud,
    score_cloud,
    true_cloud,
)
from recon_core.evaluation.protocols import PROTOCOLS, find_protocol, pose_names, protocol_metrics
from recon_core.evaluation.table import as_table
from recon_core.evaluation.truth import Truth
from recon_core.geometry.nearest import build_tree
from recon_core.pointcloud import PointCloud

TURN = Rotation.from_euler("zyx", (200, 30, -20), degrees=True).as_matrix()


def _on_x(*positions: float, labels=None, greys=None) -> PointCloud:
    """Points on the X axis, with part ids and grey levels."""
    xyz = np.zeros((len(positions), 3))
    xyz[:, 0] = positions
    colors = None if greys is None else np.repeat(np.array(greys, np.uint8)[:, None], 3, 1)
    return PointCloud(xyz, colors, None if labels is None else np.array(labels))


def _score(name: str, predicted: PointCloud, samples: PointCloud, parts: int = 0) -> dict[str, float]:
    """From the raw clouds, the truth's box being that of its samples."""
    protocol = PROTOCOLS[name]
    truth = true_cloud(protocol, samples, samples, "chair/a")
    edge = float(np.ptp(samples.xyz, axis=0).max())
    return score_cloud(protocol, predicted_cloud(protocol, predicted, "key"), truth, edge, parts)


def test_native_by_hand() -> None:
    """precision 0.1; coverage (0.1 + 0.2) / 2."""
    values = _score("native", _on_x(0.1), _on_x(0, 0.3))
    assert values["precision"] == pytest.approx(0.1)
    assert values["coverage"] == pytest.approx(0.15)
    assert PROTOCOLS["native"].scale * values["chamfer"] == pytest.approx(25)
    assert values["fscore_0.05"] == 0


def test_dpc_by_hand() -> None:
    """0 and 0.004 share a voxel, whose mean is 0.002: the truth is {0.002, 0.5}, each with the same weight.

    precision 0.03; coverage (0.03 + 0.468) / 2 = 0.249; both directions summed, not averaged.
    """
    values = _score("dpc", _on_x(0.032), _on_x(0, 0.004, 0.5))
    assert values["precision"] == pytest.approx(0.03)
    assert values["coverage"] == pytest.approx(0.249)
    assert 100 * values["chamfer"] == pytest.approx(27.9)
    assert PROTOCOLS["dpc"].scale == 100
    assert pose_summary(torch.tensor([5.0, 30.0, 10.0, 90.0])) == (
        0.5,
        30.0,
    )  # below, strictly; the upper median
    assert all(math.isnan(value) for value in pose_summary(torch.empty(0)))


def test_drwr_by_hand() -> None:
    """The same distances as dpc's, of which the least over the views is the released script's figure."""
    sums = [_score("drwr", _on_x(x), _on_x(0, 0.5))["chamfer"] for x in (0.0, 0.1, 0.25)]
    assert sums == pytest.approx([0.25, 0.1 + (0.1 + 0.4) / 2, 0.5])
    assert PROTOCOLS["drwr"].views == ("mean", "min", "max")
    assert [100 * over_views(sums, how) for how in PROTOCOLS["drwr"].views] == pytest.approx(
        [110 / 3, 25, 50]
    )


def test_dibr_by_hand() -> None:
    """The truth's longest edge 0.5 becomes 1: the prediction at 0.01 goes to 0.02.

    precision 0.02; coverage (0.02 + 0.98) / 2 = 0.5; half their sum. Within 0.025: P = 1, R = 1/2, F = 2/3.
    """
    values = _score("dibr", _on_x(0.01), _on_x(0, 0.5))
    assert 100 * values["chamfer"] == pytest.approx(26)
    assert values["fscore_0.025"] == pytest.approx(2 / 3)
    assert values["fscore_0.015"] == 0
    # Categories count alike, whatever their numbers of objects: ((1 + 3) / 2 + 10) / 2.
    names = ["chair/a", "chair/b", "car/a"]
    assert over_objects([1, 3, 10], names, categories=True) == 6
    assert over_objects([1, 3, 10], names, categories=False) == pytest.approx(14 / 3)
    assert PROTOCOLS["dibr"].inputs == 1


def test_ssl_by_hand() -> None:
    """The stray point at 2 is clipped to 0.5 for the box only: 0 -> -0.5 and 2 -> 3.5; the truth -> -0.5, 0.5.

    precision (0 + 3^2) / 2 = 4.5; coverage (0 + 1^2) / 2 = 0.5; squared, summed, times 1000.
    """
    values = _score("ssl", _on_x(0, 2), _on_x(0.1, 0.3))
    assert values["precision"] == pytest.approx(4.5)
    assert values["coverage"] == pytest.approx(0.5)
    assert PROTOCOLS["ssl"].scale * values["chamfer"] == pytest.approx(5000)


def test_differ_by_hand() -> None:
    """In their boxes {-0.5, 0, 0.5} against {-0.5, -0.2, 0.5}: one point of three is 0.2 off, either way."""
    predicted = _on_x(0, 0.2, 0.4, labels=[1, 2, 2], greys=[0, 255, 255])
    truth = _on_x(0.5, 0.62, 0.9, labels=[1, 1, 2], greys=[0, 0, 255])
    values = _score("differ", predicted, truth, parts=3)
    assert values["chamfer"] == pytest.approx(0.4 / 3)
    assert values["emd"] == pytest.approx(0.2 / 3)
    assert values["colour_mse"] == pytest.approx(2 / 3)  # one of three all wrong, both ways
    # Parts 1 and 2 overlap by one of two points, part 3 is in neither cloud: (1/2 + 1/2 + 1) / 3 both ways.
    assert values["part_miou"] == pytest.approx(2 / 3)


def test_capnet_by_hand() -> None:
    """The same clouds in squares: 0.04 / 3 each way, and 0.04 / 3 over the matching."""
    values = _score("capnet", _on_x(0, 0.2, 0.4), _on_x(0.5, 0.62, 0.9))
    assert values["chamfer"] == pytest.approx(0.08 / 3)
    assert values["emd"] == pytest.approx(0.04 / 3)
    assert "part_miou" not in values


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("native", "chamfer_euclidean_sum_x100_mean-over-views_diag1_N2000_M4096"),
        ("dpc", "chamfer_euclidean_sum_x100_mean-over-views_diag1_N2000_Mvoxels0.01"),
        ("drwr", "chamfer_euclidean_sum_x100_min-over-views_diag1_N2000_Mvoxels0.01"),
        ("dibr", "chamfer_euclidean_half-sum_x100_one-view_mean-of-categories_longest1_N2000_M4096"),
        ("ssl", "chamfer_squared_sum_x1000_one-view_ownbox1-clip0.5_N2000_M4096"),
        ("differ", "chamfer_euclidean_sum_x1_mean-over-views_ownbox1_N2000_M4096"),
        ("differ", "emd_euclidean_mean_x1_mean-over-views_ownbox1_N2000_M2000"),
        ("capnet", "emd_squared_mean_x1_mean-over-views_ownbox1_N2000_M2000"),
    ],
)
def test_names_say_everything(name, expected) -> None:
    protocol = PROTOCOLS[name]
    true_points = "voxels0.01" if protocol.true_choice == "voxels" else "4096"
    metrics = protocol_metrics(protocol, 2000, true_points, pose_is_learnt=False)
    assert expected in {one.name for one in metrics}
    assert len({one.name for one in metrics}) == len(metrics)
    learnt = {one.name for one in protocol_metrics(protocol, 2000, true_points, pose_is_learnt=True)}
    turned = {"dpc": "dpc", "ssl": "chamfer"}.get(name, "consensus")
    assert f"{expected}_one-rotation-{turned}" in learnt


def test_every_difference_shows_in_the_name() -> None:
    """Whatever field changes the figure changes its name."""
    base = PROTOCOLS["native"]
    changes = [
        {"squared": True},
        {"halved": True},
        {"scale": 10.0},
        {"frame": "longest1"},
        {"frame": "ownbox1"},
        {"frame": "ownbox1", "clip": 0.4},
        {"inputs": 1},
        {"views": ("min",)},
        {"categories": True},
        {},
    ]
    names = [
        protocol_metrics(dataclasses.replace(base, **change), 10, "20", False)[0].name for change in changes
    ]
    assert len(set(names)) == len(names)
    assert len(set(pose_names(PROTOCOLS["dpc"]) + pose_names(PROTOCOLS["drwr"]))) == 4


def test_unknown_names_are_refused_with_the_nearest() -> None:
    assert find_protocol("dpc").name == "dpc"
    with pytest.raises(ConfigError, match="Did you mean differ"):
        find_protocol("difer")


def test_boxes() -> None:
    points = np.random.default_rng(0).random((50, 3)) * (1, 2, 3) + 5
    found = boxed(points)
    np.testing.assert_allclose(found.min(0), -found.max(0), atol=1e-12)
    assert np.ptp(found, axis=0).max() == pytest.approx(1)
    np.testing.assert_allclose(boxed(7 * points - 3), found, atol=1e-12)  # neither place nor scale matters
    for bad in (np.ones((1, 3)), np.ones((5, 3))):
        with pytest.raises(InputError, match="without extent"):
            boxed(bad)
    with pytest.raises(InputError, match="longest edge"):
        in_frame(PROTOCOLS["dibr"], points, points, 0.0)


def test_subsets_are_repeatable_and_of_the_asked_size() -> None:
    cloud = PointCloud(np.random.default_rng(0).random((3000, 3)))
    for name, count in (("dibr", 2500), ("differ", 1024), ("native", 3000)):
        protocol = PROTOCOLS[name]
        first, again = (predicted_cloud(protocol, cloud, "chair/a model 0") for _ in range(2))
        assert len(first) == count
        np.testing.assert_array_equal(first.xyz, again.xyz)
        truth = true_cloud(protocol, cloud, cloud, "chair/a")
        assert len(truth) == count
        assert len(np.unique(truth.xyz, axis=0)) == count
    few = PointCloud(cloud.xyz[:10])
    assert len(predicted_cloud(PROTOCOLS["dibr"], few, "key")) == 10
    assert len(true_cloud(PROTOCOLS["differ"], few, few, "a")) == 10


def test_fewer_true_than_predicted_points_have_no_matching() -> None:
    values = _score("differ", _on_x(0, 0.2, 0.4), _on_x(0, 0.4))
    assert math.isnan(values["emd"])
    assert values["chamfer"] > 0


def test_attributes_that_are_missing_are_left_out() -> None:
    values = _score("differ", _on_x(0, 0.2), _on_x(0, 0.4, labels=[1, 2], greys=[0, 9]), parts=2)
    assert not {"colour_mse", "part_miou"} & set(values)
    assert part_iou(np.array([1, 1]), np.array([2, 2]), 2) == 0
    same = np.full((2, 3), 7, np.uint8)
    assert colour_error(same, same, np.array([0, 1]), np.array([1, 0])) == 0


def test_reductions_leave_nan_out() -> None:
    assert over_views([1, math.nan, 4], "mean") == 2.5
    assert math.isnan(over_views([math.nan], "min"))
    assert over_objects([1, math.nan], ["a/x", "b/x"], categories=True) == 1
    assert math.isnan(over_objects([math.nan], ["a/x"], categories=False))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """12 objects, 3 views."""
    return make_tiny_dataset(tmp_path_factory.mktemp("data"), objects=12, views=3, size=48, points=2400)


@pytest.fixture(scope="module")
def result(data):
    """All protocols at once, of a predictor that knows the object frame."""
    return evaluate_predictor(FakePredictor(data, points=300), data, protocols=list(PROTOCOLS)).result


def test_the_native_protocol_repeats_the_table(result) -> None:
    native = result["protocols"]["native"]
    name = "chamfer_euclidean_sum_x100_mean-over-views_diag1_N300_M2100"
    for method, values in native["methods"].items():
        assert values[name] == pytest.approx(result["methods"][method]["chamfer_sum"], rel=1e-5)
        fscore = values["fscore_at0.05_mean-over-views_diag1_N300_M2100"]
        assert fscore == pytest.approx(result["methods"][method]["fscore_0.05"], abs=1e-6)


def test_every_protocol_scores_every_method(result) -> None:
    assert list(result["protocols"]) == list(PROTOCOLS)
    for name, one in result["protocols"].items():
        assert set(one["methods"]) == set(result["methods"])
        metrics = [info["name"] for info in one["metrics"] if not info["name"].startswith("pose")]
        for values in one["methods"].values():
            assert all(values[metric] is not None for metric in metrics), name
        headline = metrics[0]
        assert one["methods"]["noise_floor"][headline] < one["methods"]["model"][headline]
    json.dumps(result, allow_nan=False)


def test_views_are_reduced_per_object_before_the_mean(result) -> None:
    one = result["protocols"]["drwr"]
    by_view = one["chamfer_by_view"]["model"]
    assert all(len(views) == 3 for views in by_view.values())
    for how in (np.mean, np.min, np.max):
        word = {np.mean: "mean", np.min: "min", np.max: "max"}[how]
        name = f"chamfer_euclidean_sum_x100_{word}-over-views_diag1_N300_Mvoxels0.01"
        expected = np.mean([how(views) for views in by_view.values()])
        assert one["methods"]["model"][name] == pytest.approx(expected)
    assert all(len(views) == 1 for views in result["protocols"]["dibr"]["chamfer_by_view"]["model"].values())


def test_the_table_holds_a_section_per_protocol(result) -> None:
    table = as_table(result)
    for one in PROTOCOLS.values():
        assert f"protocol {one.name}: {one.title}" in table
    assert "chamfer_squared_sum_x1000_one-view_ownbox1-clip0.5_N300_M1024 ↓" in table


def test_a_learnt_frame_is_aligned_as_each_protocol_does(data) -> None:
    predictor = FakePredictor(data, points=300, turn=TURN, noise=0.005, pose_noise_deg=3)
    found = evaluate_predictor(predictor, data, views=2, protocols=["dpc", "ssl", "drwr"]).result["protocols"]
    known = evaluate_predictor(
        FakePredictor(data, points=300, noise=0.005), data, views=2, protocols=["dpc", "drwr"]
    ).result["protocols"]
    for name in ("dpc", "drwr"):
        values, expected = (one[name]["methods"]["model"] for one in (found, known))
        ours = next(value for key, value in values.items() if key.startswith("chamfer"))
        theirs = next(value for key, value in expected.items() if key.startswith("chamfer"))
        assert ours == pytest.approx(theirs, rel=0.3)
    accuracy, median = pose_names(PROTOCOLS["dpc"])
    assert found["dpc"]["methods"]["model"][accuracy] == 1
    assert found["dpc"]["methods"]["model"][median] < 12
    assert known["dpc"]["methods"]["model"]["pose_accuracy_below30deg_all-views"] is None
    ssl = found["ssl"]["methods"]
    headline = next(key for key in ssl["model"] if key.startswith("chamfer"))
    assert headline.endswith("_one-rotation-chamfer")
    assert ssl["model"][headline] < ssl["retrieval"][headline]  # round objects: any heading will do


def _truth(name: str, cloud: PointCloud, rotations: torch.Tensor) -> Truth:
    """An object of which only points and rotations matter."""
    views = len(rotations)
    return Truth(
        name=name,
        symmetry_order=1,
        cloud=cloud,
        tree=build_tree(cloud.xyz),
        floor=cloud,
        samples=cloud,
        longest_edge=float(np.ptp(cloud.xyz, axis=0).max()),
        inputs=np.zeros((views, 4, 4, 4), np.uint8),
        masks=torch.zeros(views, 64, 64),
        cameras=pinhole(torch.eye(4).repeat(views, 1, 1), 64),
        rotations=rotations,
    )


@pytest.mark.parametrize(
    ("turns", "category"), [({"": TURN}, "chair"), ({"": np.eye(3), "car": TURN}, "car")]
)
def test_turns_are_the_right_way_round(turns, category) -> None:
    """Clouds that the rotation takes onto the truth score zero and poses are right; baselines are not turned."""
    generator = np.random.default_rng(0)
    cloud = PointCloud(generator.random((200, 3)) * (0.5, 0.3, 0.8) - 0.2)
    rotations = torch.from_numpy(Rotation.random(2, random_state=0).as_matrix())
    truth = _truth(f"{category}/a", cloud, rotations)
    board = ProtocolBoard(dataclasses.replace(PROTOCOLS["dpc"], true_choice="table"), {}, turns, True)
    away = PointCloud(cloud.xyz @ TURN)
    for view in range(2):
        board.add("model", truth, view, away, rotations[view] @ torch.from_numpy(TURN))
        board.add("retrieval", truth, view, cloud, rotations[view])
    found = board.result()["methods"]
    accuracy, median = pose_names(PROTOCOLS["dpc"])
    headline = next(iter(found["model"]))
    for method in ("model", "retrieval"):
        assert found[method][headline] == pytest.approx(0, abs=1e-4)
        assert found[method][accuracy] == 1
        assert found[method][median] == pytest.approx(0, abs=1e-4)


def test_the_command_line_refuses_unknown_names_before_it_loads_anything(tmp_path) -> None:
    result = CliRunner().invoke(app, ["eval", str(tmp_path / "none"), "--protocol", "dibrr"])
    assert isinstance(result.exception, ConfigError)
    assert "Did you mean dibr" in str(result.exception)
