# SPDX-License-Identifier: Apache-2.0
"""From evidence to probability: maps that are monotone and calibrated, their files, reliability."""

import json
from pathlib import Path

import numpy as np
import pytest
from confidence_cases import evidence_of, random_numbers
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import confidence_brute as brute

from recon_core.confidence.calibration import (
    Calibration,
    ScoreMap,
    default_calibration,
    fit_map,
    map_name,
    pooled,
    read_calibration,
    write_calibration,
)
from recon_core.confidence.features import FEATURES, feature_table
from recon_core.confidence.reliability import rank_correlation, reliability
from recon_core.errors import CheckpointError, InputError


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0.1, 5)), min_size=1, max_size=9))
def test_pooling_is_isotonic_regression(pairs: list[tuple[float, float]]) -> None:
    values, weights = np.array(pairs).T
    np.testing.assert_allclose(pooled(values, weights), brute.isotonic(values, weights), atol=1e-9)


def _synthetic(count: int = 20000) -> tuple[np.ndarray, np.ndarray]:
    """Features, the first of which sets the scale of the distance and the second of which says the opposite."""
    random = random_numbers()
    features = random.normal(size=(count, len(FEATURES)))
    distance = 0.02 * np.exp(0.8 * features[:, 0] - 0.5 * features[:, 1]) * np.abs(random.normal(size=count))
    return features, distance


def test_a_fitted_map_is_monotone_and_calibrated() -> None:
    features, distance = _synthetic()
    found = fit_map(features[::2], distance[::2])
    assert found.weights[0] > 0.4
    assert found.weights[1] == 0  # more of it would mean less doubt: not taken
    assert (found.weights >= 0).all()
    assert (np.diff(found.probability) <= 0).all()
    assert (np.diff(found.distance) >= 0).all()
    probability, expected = found.apply(features[1::2])
    held_out = reliability(probability, distance[1::2])
    assert held_out.calibration_error < 0.02
    assert held_out.rank_correlation > 0.3
    assert held_out.brier < held_out.brier_constant
    assert expected.mean() == pytest.approx(distance[1::2].mean(), rel=0.05)


def test_features_without_any_meaning_give_the_mean() -> None:
    random = random_numbers()
    distance = np.abs(random.normal(size=500)) * 0.03
    found = fit_map(np.zeros((500, len(FEATURES))), distance)
    probability, expected = found.apply(random.normal(size=(7, len(FEATURES))))
    np.testing.assert_allclose(probability, (distance <= 0.02).mean())
    np.testing.assert_allclose(expected, distance.mean())


def _calibration() -> Calibration:
    return Calibration({map_name("fast", camera): fit_map(*_synthetic(600)) for camera in (False, True)}, "")


def test_a_calibration_survives_its_file(tmp_path: Path) -> None:
    made = _calibration()
    write_calibration(tmp_path, made, 30, {"objects": 5})
    back = read_calibration(tmp_path, 30)
    assert "5 objects" in back.note
    features = random_numbers().normal(size=(40, len(FEATURES)))
    for mode, camera in (("fast", True), ("fast", False), ("full", True)):
        ours, theirs = back.find(mode, camera), made.find(mode, camera)
        np.testing.assert_allclose(ours.apply(features), theirs.apply(features), atol=2e-3)


def test_other_weights_take_the_default_and_say_so(tmp_path: Path) -> None:
    assert "has not been done" in read_calibration(tmp_path, 30).note
    write_calibration(tmp_path, _calibration(), 30, {})
    assert "of step 30, these weights of 40" in read_calibration(tmp_path, 40).note


def test_the_default_is_whole_and_sensible() -> None:
    default = default_calibration()
    for mode in ("fast", "full"):
        for camera in (False, True):
            assert map_name(mode, camera) in default.maps
    good, bad = (evidence_of(spacing=np.full(50, s), spread=np.full(50, s)) for s in (0.008, 0.08))
    chosen = default.find("fast", True)
    assert chosen.apply(feature_table(good))[0].mean() > 0.3 + chosen.apply(feature_table(bad))[0].mean()


def _change(name: str, value) -> dict:
    record = _calibration().find("fast", False).record()
    record[name] = value
    return {"version": 1, "steps": 1, "maps": {"fast": record}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"steps": 1}, "expected"),
        ({"steps": 1, "maps": {"full": {}}}, "expected"),
        ({"steps": 1, "maps": {"fast": 3}}, "lacks numbers"),
        (_change("score", ["a"]), "lacks numbers"),
        (_change("score", [1.0, 2.0]), "differ in length"),
        (_change("weights", {"log_spread": -1}), "weights from 0 on"),
        (_change("weights", {"log_spread": float("inf")}), "finite"),
        (_change("probability", [0.2] * 23 + [0.3]), "probabilities must fall"),
        (_change("probability", [1.5] * 24), "probabilities must fall"),
        (_change("distance", [-1.0] * 24), "probabilities must fall"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, content: dict, message: str) -> None:
    (tmp_path / "confidence.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        read_calibration(tmp_path, 1)


def test_reliability_of_four_points() -> None:
    confidence, distance = np.array([0.95, 0.92, 0.15, 0.11]), np.array([0.01, 0.03, 0.5, 0.02])
    found = reliability(confidence, distance)
    assert (found.points, found.share, found.best_half) == (4, 0.5, 0.5)
    assert [(one.points, one.share) for one in found.bins] == [(2, 0.5), (2, 0.5)]
    assert found.calibration_error == pytest.approx((0.435 + 0.37) / 2)
    assert found.brier == pytest.approx((0.05**2 + 0.92**2 + 0.15**2 + 0.89**2) / 4)
    assert found.brier_constant == 0.25
    assert rank_correlation(np.arange(5.0), -np.arange(5.0)) == pytest.approx(1)
    assert rank_correlation(np.ones(5), np.arange(5.0)) == 0
    with pytest.raises(InputError, match="confidences and distances"):
        reliability(np.zeros(0), np.zeros(0))


def test_a_map_of_one_knot_is_a_constant() -> None:
    one = ScoreMap(np.ones(len(FEATURES)), np.zeros(1), np.array([0.4]), np.array([0.03]))
    assert one.apply(np.ones((3, len(FEATURES))))[0].tolist() == [0.4] * 3
