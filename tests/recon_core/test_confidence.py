# SPDX-License-Identifier: Apache-2.0
"""Confidence of points: evidence against brute force, changed inputs, all of it together."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from confidence_cases import MIRROR, ball, camera_of, evidence_of, random_numbers
from reference import confidence_brute as brute
from scipy.spatial.transform import Rotation

from recon_core.cameras import orbit
from recon_core.confidence.assess import assess, gather
from recon_core.confidence.features import FEATURES, feature_table, local_spacing, mean_distance, pose_spread
from recon_core.confidence.variants import VARIANTS, check_mode, crop_variants, mirrored
from recon_core.confidence.visibility import SEEN
from recon_core.errors import ConfigError
from recon_core.methods.run import Prediction
from recon_core.pointcloud import Points


def test_lengths_agree_with_brute_force() -> None:
    random = random_numbers()
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
    evidence = evidence_of()
    doubted = dataclasses.replace(evidence, **{name: getattr(evidence, name) * change})
    place = FEATURES.index(column)
    assert (feature_table(doubted)[:, place] > feature_table(evidence)[:, place]).all()


def test_what_is_not_known_makes_no_difference_between_points() -> None:
    nothing = evidence_of(mirror_gap=None, partner_gap=None, opacity=None, visibility=None, pose_spread=None)
    table = feature_table(nothing)
    assert np.isfinite(table).all()
    for column in ("transparency", "unseen", "pose_spread"):
        assert np.ptp(table[:, FEATURES.index(column)]) == 0
    seen = feature_table(evidence_of())[:, FEATURES.index("unseen")]
    assert set(seen) == {0.0, 0.5, 1.0}


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
        xyz = np.repeat(ball(600)[None], len(crops), 0)
        if len(self.crops) > 1:
            xyz[:, xyz[0, :, 0] > 0] += self.noise * random_numbers().normal(size=3)
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
    right = ball(600)[:, 0] > 0
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
    camera = camera_of()
    prediction = run.predict(_crop()[None])
    evidence = gather(run, _crop(), prediction, "fast", camera, ball(600))
    assert evidence.pose_spread == pytest.approx(0, abs=1e-9)
    assert evidence.visibility is not None
    assert (evidence.visibility == SEEN)[ball(600)[:, 1] < -0.2].mean() > 0.9
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
    found = assess(run, _crop(), prediction, "fast", camera_of(), np.full((600, 3), 0.1))
    assert np.isfinite(found.probability).all()
