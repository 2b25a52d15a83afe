# SPDX-License-Identifier: Apache-2.0
"""Metrics against values worked out by hand and brute force over all pairs."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_core.cameras import random_rotations, rotation_about_z, rotation_angle_deg
from recon_core.errors import InputError
from recon_core.evaluation.metrics import (
    ChamferDistance,
    ColourPSNR,
    FScore,
    MaskIoU,
    PartMeanIoU,
    PoseAccuracy,
    match_clouds,
    pose_error_deg,
)
from recon_core.geometry.nearest import build_tree

# Three predicted points against two true ones on a line:
#   predicted 0, 0.1, 0.5; true 0, 0.2.  predicted -> true: 0, 0.1, 0.3; true -> predicted: 0, 0.1.
PREDICTED = np.array([[0, 0, 0], [0.1, 0, 0], [0.5, 0, 0]])
TRUTH = np.array([[0, 0, 0], [0.2, 0, 0]])


def test_chamfer_by_hand_is_the_sum_not_the_mean() -> None:
    metric = ChamferDistance()
    metric.update(match_clouds(PREDICTED, TRUTH))
    result = metric.compute()
    assert result["precision"].item() == pytest.approx(100 * 0.4 / 3)
    assert result["coverage"].item() == pytest.approx(100 * 0.1 / 2)
    assert result["sum"].item() == pytest.approx(100 * (0.4 / 3 + 0.05))
    metric.update(match_clouds(TRUTH, TRUTH))  # a second, perfect cloud halves the mean
    assert metric.compute()["sum"].item() == pytest.approx(50 * (0.4 / 3 + 0.05))
    assert result["sum"].dtype == torch.float64


def test_chamfer_is_not_squared_and_scales_with_the_cloud() -> None:
    near, far = ChamferDistance(), ChamferDistance()
    near.update(match_clouds(PREDICTED, TRUTH))
    far.update(match_clouds(2 * PREDICTED, 2 * TRUTH))
    assert far.compute()["sum"] == pytest.approx(2 * near.compute()["sum"])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 40), m=st.integers(1, 40))
def test_matches_agree_with_all_pairs(seed, n, m) -> None:
    generator = np.random.default_rng(seed)
    predicted, truth = generator.standard_normal((n, 3)), generator.standard_normal((m, 3))
    pairs = np.linalg.norm(predicted[:, None] - truth[None], axis=-1)
    matches = match_clouds(torch.tensor(predicted), truth, truth_tree=build_tree(truth))
    np.testing.assert_allclose(matches.pred_to_truth, pairs.min(1))
    np.testing.assert_allclose(matches.truth_to_pred, pairs.min(0))
    assert (matches.nearest_pred.numpy() == pairs.argmin(0)).all()


def test_matches_are_the_same_on_every_device(device) -> None:
    generator = np.random.default_rng(0)
    predicted, truth = generator.random((500, 3)), generator.random((700, 3))
    first = match_clouds(torch.tensor(predicted, device=device), torch.tensor(truth, device=device))
    second = match_clouds(predicted, truth)
    np.testing.assert_allclose(first.pred_to_truth.cpu(), second.pred_to_truth, atol=1e-12)
    np.testing.assert_allclose(first.truth_to_pred.cpu(), second.truth_to_pred, atol=1e-12)
    metric = ChamferDistance().to(device)
    metric.update(first)
    reference = ChamferDistance()
    reference.update(second)
    assert metric.compute()["sum"].item() == pytest.approx(reference.compute()["sum"].item())


def test_f_score_by_hand() -> None:
    metric = FScore((0.05, 0.15, 0.3, 1.0))
    metric.update(match_clouds(PREDICTED, TRUTH))
    values = metric.compute()
    # precision 1/3, recall 1/2 within 0.05; 2/3 and 1 within 0.15; 1 and 1 within 1.
    assert values["0.05"].item() == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert values["0.15"].item() == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
    assert values["1"].item() == 1
    apart = FScore()
    apart.update(match_clouds(TRUTH, TRUTH + 10))
    assert all(value == 0 for value in apart.compute().values())
    assert list(apart.compute()) == ["0.01", "0.02", "0.05"]


def test_mask_iou_by_hand() -> None:
    truth, predicted = torch.zeros(2, 4, 4), torch.zeros(2, 4, 4)
    truth[0, :2], predicted[0, 1:3] = 0.9, 0.6  # 4 pixels shared of 12
    predicted[0, 3] = 0.4  # below the threshold: not counted
    metric = MaskIoU()
    metric.update(predicted, truth)  # second view: both empty, 1
    assert metric.compute().item() == pytest.approx((4 / 12 + 1) / 2)
    with pytest.raises(InputError):
        metric.update(predicted, truth[:, :3])


def test_part_iou_by_hand() -> None:
    predicted = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]], float)
    truth = np.array([[0, 0, 0], [0.1, 0, 0], [0.9, 0, 0], [1.1, 0, 0], [2, 0, 0], [2.1, 0, 0]])
    metric = PartMeanIoU()
    # The true points take the labels 1 1 2 2 3 3 where the truth is 1 1 1 2 none 1. Part 1: 2 of 4 points;
    # part 2: 1 of 2; part 3 has no true point, so it is only felt in part 1's union.
    labels = torch.tensor([1, 2, 3])
    metric.update(match_clouds(predicted, truth), labels, torch.tensor([1, 1, 1, 2, 0, 1]))
    assert metric.compute().item() == pytest.approx((2 / 4 + 1 / 2) / 2)
    # A cloud without labels is not counted.
    metric.update(match_clouds(predicted, truth), labels, torch.zeros(6, dtype=torch.uint8))
    assert metric.compute().item() == pytest.approx(0.5)


def test_colour_psnr_by_hand() -> None:
    predicted_colors = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0, 0], [0, 0, 0]])
    # The second true point takes the colour of predicted point 1: squared error 0.36 among 6 values.
    true_colors = torch.tensor([[0.5, 0.5, 0.5], [1.0, 0.6, 0]])
    metric = ColourPSNR()
    metric.update(match_clouds(PREDICTED, TRUTH), predicted_colors, true_colors)
    assert metric.compute().item() == pytest.approx(-10 * math.log10(0.36 / 6), abs=1e-4)
    same = ColourPSNR()
    same.update(match_clouds(TRUTH, TRUTH), true_colors, true_colors)
    assert same.compute().item() == pytest.approx(100)


def test_pose_error_of_known_angles() -> None:
    truth = random_rotations(6, torch.Generator().manual_seed(0))
    for degrees in (0.0, 29.0, 90.0, 179.9):
        turn = rotation_about_z(torch.full((6,), math.radians(degrees), dtype=torch.float64))
        np.testing.assert_allclose(pose_error_deg(truth @ turn, truth), degrees, atol=1e-4)
        np.testing.assert_allclose(pose_error_deg(truth @ turn, truth, 0), 0, atol=1e-4)
    turn = rotation_about_z(torch.full((6,), math.radians(100.0), dtype=torch.float64))
    np.testing.assert_allclose(pose_error_deg(truth @ turn, truth, 4), 10, atol=1e-6)
    np.testing.assert_allclose(pose_error_deg(truth @ turn, truth, 2), 80, atol=1e-6)
    with pytest.raises(InputError):
        pose_error_deg(truth, truth, -1)


def test_continuous_symmetry_is_the_least_over_many_angles() -> None:
    generator = torch.Generator().manual_seed(1)
    predicted, truth = random_rotations(20, generator), random_rotations(20, generator)
    turns = rotation_about_z(torch.linspace(0, 2 * math.pi, 3601, dtype=torch.float64))
    brute = rotation_angle_deg(predicted[:, None] @ turns, truth[:, None]).amin(1)
    np.testing.assert_allclose(pose_error_deg(predicted, truth, 0), brute, atol=0.02)


def test_pose_accuracy_by_hand() -> None:
    angles = torch.deg2rad(torch.tensor([5.0, 20.0, 31.0, 178.0], dtype=torch.float64))
    truth = random_rotations(4, torch.Generator().manual_seed(2))
    metric = PoseAccuracy()
    metric.update((truth @ rotation_about_z(angles))[:2], truth[:2], 2)
    metric.update((truth @ rotation_about_z(angles))[2:], truth[2:], 2)
    result = metric.compute()
    assert result["accuracy"].item() == 0.5
    assert result["median_deg"].item() == pytest.approx(31, abs=1e-6)  # sorted[4 // 2]
    assert result["accuracy_symmetric"].item() == 0.75  # 178 degrees is 2 degrees from a half turn
    assert result["median_deg_symmetric"].item() == pytest.approx(20, abs=1e-6)


@pytest.mark.parametrize(
    "metric", [ChamferDistance(), FScore(), MaskIoU(), PartMeanIoU(), ColourPSNR(), PoseAccuracy()]
)
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_nothing_counted_is_not_a_number(metric) -> None:
    result = metric.compute()
    values = result.values() if isinstance(result, dict) else [result]
    assert all(math.isnan(value) for value in values)


def test_clouds_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        match_clouds(np.full((3, 3), np.nan), TRUTH)
    with pytest.raises(InputError):
        match_clouds(np.zeros((0, 3)), TRUTH)
