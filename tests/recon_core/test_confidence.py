# SPDX-License-Identifier: Apache-2.0
"""Confidence of points: evidence against brute force, visibility on solids, maps that are monotone and calibrated."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import confidence_brute as brute
from scipy.spatial.transform import Rotation

from recon_core.cameras import Cameras, orbit, pinhole
from recon_core.confidence.assess import assess, gather
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
from recon_core.confidence.features import (
    FEATURES,
    Evidence,
    feature_table,
    local_spacing,
    mean_distance,
    pose_spread,
)
from recon_core.confidence.reliability import rank_correlation, reliability
from recon_core.confidence.variants import VARIANTS, check_mode, crop_variants, mirrored
from recon_core.confidence.visibility import (
    GUESSED,
    SEEN,
    SYMMETRIC,
    classify,
    mirror_partners,
    visible_points,
)
from recon_core.errors import CheckpointError, ConfigError, InputError
from recon_core.methods.run import Prediction
from recon_core.pointcloud import Points

MIRROR = np.diag([-1.0, 1.0, 1.0])


def _random() -> np.random.Generator:
    return np.random.default_rng(0)


def _ball(count: int = 3000) -> np.ndarray:
    xyz = _random().normal(size=(count, 3))
    return 0.35 * xyz / np.linalg.norm(xyz, axis=1, keepdims=True)


def _camera(azimuth_deg: float = 0.0, elevation_deg: float = 0.0, size: int = 128) -> Cameras:
    angles = torch.tensor([[azimuth_deg], [elevation_deg]], dtype=torch.float64)
    return pinhole(orbit(angles[0], angles[1]), size)


def _typical(xyz: np.ndarray) -> float:
    return float(np.median(local_spacing(xyz)))


# --- visibility -------------------------------------------------------------------------------------------


def test_a_camera_sees_the_near_half_of_a_ball() -> None:
    xyz = _ball()
    seen = visible_points(xyz, _camera(), _typical(xyz))
    towards = xyz @ np.array([0, -1.0, 0]) / 0.35  # the camera is at -Y: cosine of the angle to it
    assert seen[towards > 0.45].mean() > 0.98
    assert seen[towards < -0.05].mean() < 0.05  # through gaps between the discs in front


@pytest.mark.parametrize(("azimuth", "elevation"), [(0.0, 0.0), (70.0, 30.0), (200.0, -15.0)])
def test_turning_camera_and_cloud_together_changes_nothing(azimuth: float, elevation: float) -> None:
    xyz, spacing = _ball(800), 0.03
    turn = Rotation.from_euler("zx", [40, 25], degrees=True).as_matrix()
    camera = _camera(azimuth, elevation)
    matrix = camera.world_to_cam.clone()
    matrix[:, :3, :3] = matrix[:, :3, :3] @ torch.from_numpy(turn.T)
    turned = dataclasses.replace(camera, world_to_cam=matrix)
    here, there = visible_points(xyz, camera, spacing), visible_points(xyz @ turn.T, turned, spacing)
    assert (here == there).mean() > 0.999  # a point on the edge of a cell may fall to either side


def test_the_order_of_points_and_the_image_size_do_not_matter() -> None:
    xyz, spacing = _ball(500), 0.04
    order = _random().permutation(500)
    seen = visible_points(xyz, _camera(30), spacing)
    np.testing.assert_array_equal(visible_points(xyz[order], _camera(30), spacing), seen[order])
    assert (visible_points(xyz, _camera(30, size=500), spacing) == seen).mean() > 0.99


def test_a_sheet_hides_the_sheet_behind_it() -> None:
    x, z = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-0.3, 0.3, 40)] * 2))
    front = np.stack((x, np.full_like(x, -0.2), z), 1)
    behind = front * (0.8, -1, 0.8)
    seen = visible_points(np.concatenate((front, behind)), _camera(), 0.015)
    assert seen[:1600].all()
    assert not seen[1600:].any()


def test_points_behind_the_camera_are_not_seen() -> None:
    xyz = np.array([[0.0, 0, 0], [0, -5, 0]])
    assert visible_points(xyz, _camera(), 0.1).tolist() == [True, False]
    assert visible_points(xyz[1:], _camera(), 0.1).tolist() == [False]


def test_bad_spacing_and_several_cameras_are_refused() -> None:
    xyz = _ball(10)
    with pytest.raises(InputError, match="positive spacing"):
        visible_points(xyz, _camera(), 0.0)
    two = pinhole(orbit(torch.tensor([0.0, 9.0]), torch.zeros(2)), 64)
    with pytest.raises(InputError, match="one camera"):
        visible_points(xyz, two, 0.1)


def test_the_far_side_of_a_symmetric_thing_is_symmetric_to_seen() -> None:
    xyz = _ball()
    partner, gap = mirror_partners(xyz, MIRROR)
    found = classify(xyz, _camera(90), _typical(xyz), partner, gap)  # from +X
    assert (found[xyz[:, 0] > 0.2] == SEEN).mean() > 0.95
    assert (found[xyz[:, 0] < -0.2] == SYMMETRIC).mean() > 0.9
    from_front = classify(xyz, _camera(0), _typical(xyz), partner, gap)
    assert (from_front[xyz[:, 1] > 0.1] == GUESSED).mean() > 0.9  # mirrored, the back is still the back


def test_a_thing_without_symmetry_has_nothing_symmetric() -> None:
    xyz = _ball() * (1, 1, 1) + (0.2, 0, 0)
    partner, gap = mirror_partners(xyz, MIRROR)
    found = classify(xyz, _camera(90), _typical(xyz), partner, gap)
    assert set(np.unique(found)) == {GUESSED, SEEN}


# --- features ---------------------------------------------------------------------------------------------


def test_lengths_agree_with_brute_force() -> None:
    random = _random()
    xyz, clouds = random.normal(size=(60, 3)), [random.normal(size=(n, 3)) for n in (5, 40)]
    np.testing.assert_allclose(local_spacing(xyz), brute.spacing(xyz, 8))
    np.testing.assert_allclose(local_spacing(xyz[:4]), brute.spacing(xyz[:4], 3))
    np.testing.assert_allclose(mean_distance(xyz, clouds), brute.mean_nearest(xyz, clouds))
    assert local_spacing(xyz[:1]).tolist() == [0.0]
    assert not mean_distance(xyz, []).any()


def test_the_spread_of_poses_is_that_of_their_angles() -> None:
    rotations = Rotation.random(5, random_state=0).as_matrix()
    apart = [brute.turned_apart(one, rotations[0]) for one in rotations]
    assert pose_spread(rotations, rotations[0]) == pytest.approx(np.mean(apart))
    weights = np.array([0.5, 0.1, 0.2, 0.2, 0.0])
    assert pose_spread(rotations, rotations[0], weights) == pytest.approx(np.dot(weights, apart))
    half_turn = Rotation.from_euler("z", 180, degrees=True).as_matrix()
    assert pose_spread(half_turn[None], np.eye(3)) == pytest.approx(1)


def _evidence(count: int = 50, **changed) -> Evidence:
    random = _random()
    lengths = {
        name: random.uniform(0.005, 0.1, count) for name in ("spacing", "spread", "mirror_gap", "partner_gap")
    }
    values = lengths | {
        "opacity": random.uniform(0.1, 1, count).astype(np.float32),
        "visibility": random.integers(0, 3, count).astype(np.uint8),
        "pose_spread": 0.3,
    }
    return Evidence(**(values | changed))


@pytest.mark.parametrize(
    ("name", "change", "column"),
    [
        ("spacing", 1.5, "log_spacing"),
        ("spread", 1.5, "log_spread"),
        ("mirror_gap", 1.5, "log_mirror_gap"),
        ("partner_gap", 1.5, "log_asymmetry"),
        ("opacity", 0.5, "transparency"),
    ],
)
def test_features_grow_with_doubt(name: str, change: float, column: str) -> None:
    evidence = _evidence()
    doubted = dataclasses.replace(evidence, **{name: getattr(evidence, name) * change})
    place = FEATURES.index(column)
    assert (feature_table(doubted)[:, place] > feature_table(evidence)[:, place]).all()


def test_what_is_not_known_makes_no_difference_between_points() -> None:
    nothing = _evidence(mirror_gap=None, partner_gap=None, opacity=None, visibility=None, pose_spread=None)
    table = feature_table(nothing)
    assert np.isfinite(table).all()
    for column in ("transparency", "unseen", "pose_spread"):
        assert np.ptp(table[:, FEATURES.index(column)]) == 0
    seen = feature_table(_evidence())[:, FEATURES.index("unseen")]
    assert set(seen) == {0.0, 0.5, 1.0}


# --- changed inputs ---------------------------------------------------------------------------------------


def _crop(size: int = 32) -> np.ndarray:
    crop = np.zeros((size, size, 4), np.uint8)
    crop[8:26, 5:20] = (200, 120, 40, 255)
    return crop


def test_variants_are_small_changes_and_always_the_same() -> None:
    crop = _crop()
    changed = crop_variants(crop, 6)
    assert changed.shape == (6, 32, 32, 4)
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(changed, crop_variants(crop, 6))
    inside = crop[..., 3] > 127
    for one in changed:
        other = one[..., 3] > 127
        assert 0.6 < (inside & other).sum() / (inside | other).sum() < 1
    assert len({one.tobytes() for one in changed}) == 6
    assert crop_variants(crop, 0).shape == (0, 32, 32, 4)
    np.testing.assert_array_equal(mirrored(mirrored(crop)), crop)


def test_unknown_modes_are_refused() -> None:
    assert [check_mode(mode) for mode in VARIANTS] == ["none", "fast", "full"]
    with pytest.raises(ConfigError, match="'best' is unknown"):
        check_mode("best")


# --- maps -------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0.1, 5)), min_size=1, max_size=9))
def test_pooling_is_isotonic_regression(pairs: list[tuple[float, float]]) -> None:
    values, weights = np.array(pairs).T
    np.testing.assert_allclose(pooled(values, weights), brute.isotonic(values, weights), atol=1e-9)


def _synthetic(count: int = 20000) -> tuple[np.ndarray, np.ndarray]:
    """Features, the first of which sets the scale of the distance and the second of which says the opposite."""
    random = _random()
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
    random = _random()
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
    features = _random().normal(size=(40, len(FEATURES)))
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
    good, bad = (_evidence(spacing=np.full(50, s), spread=np.full(50, s)) for s in (0.008, 0.08))
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


# --- reliability ------------------------------------------------------------------------------------------


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


# --- all together -----------------------------------------------------------------------------------------


@dataclass
class Wavering:
    """A model whose answer to the first crop is a ball; to others, its right half moves by `noise`."""

    noise: float = 0.0
    mirrors: bool = True
    rotation: torch.Tensor | None = None
    card: dict = field(default_factory=dict)
    folder: Path = Path("nowhere")
    pose_is_learnt: bool = False
    crops: list = field(default_factory=list)

    def predict(self, crops: np.ndarray) -> Prediction:
        """Clouds (B,600,3)."""
        self.crops.append(crops)
        xyz = np.repeat(_ball(600)[None], len(crops), 0)
        if len(self.crops) > 1:
            xyz[:, xyz[0, :, 0] > 0] += self.noise * _random().normal(size=3)
            xyz[0] = xyz[0] * ((-1, 1, 1) if self.mirrors else (1, 1, 1))
        rotation = None if self.rotation is None else self.rotation.expand(len(crops), 3, 3)
        return Prediction(Points(torch.from_numpy(xyz).float()), rotation)


def test_points_that_move_under_changed_inputs_are_trusted_less() -> None:
    steady, wavering = Wavering(), Wavering(noise=0.08)
    found = []
    for run in (steady, wavering):
        found.append(assess(run, _crop(), run.predict(_crop()[None]), "fast"))
        assert len(run.crops[1]) == 5
        np.testing.assert_array_equal(run.crops[1][0], mirrored(_crop()))
    right = _ball(600)[:, 0] > 0
    assert found[1].probability[right].mean() < found[0].probability[right].mean() - 0.1
    assert found[1].probability.dtype == np.float32
    assert found[1].visibility is None
    record = found[1].record()
    assert record["mode"] == "fast"
    assert record["mean"] == pytest.approx(found[1].probability.mean(), abs=1e-4)
    assert "another model" in record["calibration"]


def test_the_mirrored_input_is_mirrored_back() -> None:
    # A ball of random points is not its own mirror image point by point.
    good, bad = Wavering(), Wavering(mirrors=False)
    gaps = [gather(run, _crop(), run.predict(_crop()[None]), "fast").mirror_gap for run in (good, bad)]
    assert gaps[0].max() < 1e-6 < gaps[1].mean()


def test_a_model_with_a_frame_of_its_own_needs_its_mirror() -> None:
    turn = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    run = Wavering(pose_is_learnt=True)
    evidence = gather(run, _crop(), run.predict(_crop()[None]), "fast")
    assert evidence.mirror_gap is None
    assert evidence.partner_gap is None
    assert len(run.crops[1]) == 4  # the mirrored crop would tell nothing
    run = Wavering(pose_is_learnt=True, card={"mirror": (turn @ MIRROR @ turn.T).tolist()})
    assert gather(run, _crop(), run.predict(_crop()[None]), "fast").mirror_gap is not None


def test_poses_count_the_mirrored_one_through_the_mirror() -> None:
    # Seen from the front, the flipped image is seen from the front too.
    run = Wavering(rotation=orbit(torch.zeros(1), torch.zeros(1))[:, :3, :3].double())
    camera = _camera()
    prediction = run.predict(_crop()[None])
    evidence = gather(run, _crop(), prediction, "fast", camera, _ball(600))
    assert evidence.pose_spread == pytest.approx(0, abs=1e-9)
    assert evidence.visibility is not None
    assert (evidence.visibility == SEEN)[_ball(600)[:, 1] < -0.2].mean() > 0.9
    sideways = Wavering(rotation=orbit(torch.tensor([90.0]), torch.zeros(1))[:, :3, :3].double())
    # From the right, the flipped image ought to be seen from the left: the same answer is half a turn off.
    found = gather(sideways, _crop(), sideways.predict(_crop()[None]), "fast")
    assert found.pose_spread == pytest.approx(1 / 5)
    prediction = sideways.predict(_crop()[None])
    answer = prediction.rotation[0]
    opposite = answer * torch.tensor(
        [[-1.0], [1.0], [-1.0]], dtype=answer.dtype
    )  # half a turn about the camera's up
    prediction.hypotheses = torch.stack((answer, opposite))[None]
    prediction.scores = torch.tensor([[0.25, 0.75]], dtype=answer.dtype)
    more = gather(sideways, _crop(), prediction, "fast").pose_spread
    assert more == pytest.approx((1 / 5 + 0.75 * 1) / 2)


def test_a_cloud_of_one_place_is_no_error() -> None:
    run = Wavering()
    prediction = run.predict(_crop()[None])
    prediction.points.xyz[:] = 0.1
    found = assess(run, _crop(), prediction, "fast", _camera(), np.full((600, 3), 0.1))
    assert np.isfinite(found.probability).all()


def test_a_map_of_one_knot_is_a_constant() -> None:
    one = ScoreMap(np.ones(len(FEATURES)), np.zeros(1), np.array([0.4]), np.array([0.03]))
    assert one.apply(np.ones((3, len(FEATURES))))[0].tolist() == [0.4] * 3
