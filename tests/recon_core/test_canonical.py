# SPDX-License-Identifier: Apache-2.0
"""The global canonical alignment recovers a known frame despite noise, bad poses and symmetric objects."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from recon_core.cameras import orbit
from recon_core.errors import InputError
from recon_core.evaluation.canonical import AlignmentObject, canonical_alignment
from recon_core.evaluation.metrics import pose_error_deg

ALIGN = Rotation.from_euler("zyx", (130, 25, -40), degrees=True).as_matrix()  # canonical -> object


def _chair(seed: int, count: int) -> np.ndarray:
    """A seat, a back and an off-centre arm, inside a box of diagonal about 1."""
    generator = np.random.default_rng(seed)
    width, height = generator.uniform(0.4, 0.6, 2)
    boxes = (
        ((width, 0.4, 0.05), (0, 0, 0)),
        ((width, 0.05, height), (0, 0.2, 0.2)),
        ((0.05, 0.3, 0.2), (0.2, 0, 0.1)),
    )
    pieces = [generator.uniform(-0.5, 0.5, (count, 3)) * size + at for size, at in boxes]
    return generator.permutation(np.concatenate(pieces))[:count]


def _object(
    seed: int, views: int = 4, pose_noise_deg: float = 8, flipped: int = 0, symmetry: int = 1
) -> AlignmentObject:
    """Noisy clouds of one object in the canonical frame, noisy poses, the first `flipped` half a turn off."""
    generator = np.random.default_rng(seed)
    azimuth = torch.from_numpy(generator.uniform(0, 360, views))
    true = orbit(azimuth, torch.full_like(azimuth, 20.0))[:, :3, :3].numpy()
    noise = Rotation.from_rotvec(np.radians(pose_noise_deg) * generator.standard_normal((views, 3)) / 3**0.5)
    predicted = true @ noise.as_matrix() @ ALIGN
    predicted[:flipped] = true[:flipped] @ Rotation.from_euler("z", 180, degrees=True).as_matrix() @ ALIGN
    clouds = [_chair(seed, 700) + 0.01 * generator.standard_normal((700, 3)) for _ in range(views)]
    return AlignmentObject(np.stack(clouds) @ ALIGN, predicted, true, _chair(seed, 1500), symmetry)


def _error_deg(rotation: np.ndarray) -> float:
    return float(pose_error_deg(torch.tensor(rotation)[None], torch.tensor(ALIGN)[None]))


def test_the_frame_is_recovered_and_poses_come_out_right() -> None:
    objects = [_object(seed) for seed in range(8)]
    found = canonical_alignment(objects)
    assert _error_deg(found.rotation) < 2
    assert found.objects == 8
    assert found.rotations == 16
    assert not found.symmetric_used
    one = objects[0]
    aligned = torch.tensor(one.predicted @ found.rotation.T)  # pose in the object frame
    assert pose_error_deg(aligned, torch.tensor(one.true)).max() < 25  # the noise of the poses alone
    cloud = one.points[0] @ found.rotation.T  # cloud in the object frame
    assert np.linalg.norm(cloud[:, None] - one.truth[None], axis=-1).min(1).mean() < 0.03


def test_flipped_poses_do_not_drag_the_average() -> None:
    objects = [_object(seed, flipped=4 if seed < 3 else 1) for seed in range(9)]
    found = canonical_alignment(objects)
    assert _error_deg(found.rotation) < 3
    assert found.rejected > 0
    assert found.rotations >= 10


def test_of_two_opposite_answers_that_of_most_poses_is_taken() -> None:
    """Clouds and poses of the objects with the least RMSE are turned, those of the rest, which are more, are not."""
    turn = Rotation.from_euler("z", 180, degrees=True).as_matrix()
    sharp = [_object(seed, flipped=4) for seed in range(8)]
    sharp = [
        dataclasses.replace(one, points=np.stack([one.truth[:700]] * 4) @ turn @ ALIGN) for one in sharp
    ]
    assert _error_deg(canonical_alignment(sharp).rotation) > 170
    blunt = [_object(seed) for seed in range(40, 60)]
    assert _error_deg(canonical_alignment(sharp + blunt).rotation) < 3


def test_symmetric_objects_have_no_say_while_others_do() -> None:
    wrong = [
        dataclasses.replace(
            one, points=one.truth[None, :700].repeat(4, 0), predicted=one.true, symmetry_order=4
        )
        for one in (_object(seed) for seed in range(20, 26))
    ]  # these claim the identity
    found = canonical_alignment(wrong + [_object(seed) for seed in range(3)])
    assert _error_deg(found.rotation) < 3
    assert found.objects == 3
    alone = canonical_alignment(wrong)
    assert alone.symmetric_used
    np.testing.assert_allclose(alone.rotation, np.eye(3), atol=0.02)


def test_clouds_that_are_not_finite_or_far_away_are_left_out() -> None:
    good = [_object(seed) for seed in range(4)]
    bad = dataclasses.replace(good[0], points=np.full_like(good[0].points, np.nan))
    far = dataclasses.replace(good[1], points=good[1].points + 10)
    assert canonical_alignment([bad, far, *good[2:]]).objects == 2
    with pytest.raises(InputError, match="train longer"):
        canonical_alignment([bad, far])
    with pytest.raises(InputError):
        canonical_alignment([])


def test_the_result_is_repeatable_and_plain() -> None:
    objects = [_object(seed) for seed in range(3)]
    first, second = canonical_alignment(objects), canonical_alignment(objects)
    np.testing.assert_array_equal(first.rotation, second.rotation)
    assert first.summary()["rotation"] == first.rotation.tolist()


def _to_the_letter(objects: list[AlignmentObject]) -> np.ndarray:
    """DPC's procedure once more, with open3d's ICP and the largest eigenvector of the quaternions' moment."""
    open3d = pytest.importorskip("open3d")
    clouds = open3d.geometry.PointCloud
    per_object = []
    for one in objects[:50]:
        truth = clouds(open3d.utility.Vector3dVector(one.truth))
        views = []
        for points, predicted, true in list(zip(one.points, one.predicted, one.true))[:5]:
            start = np.eye(4)
            start[:3, :3] = true.T @ predicted
            cloud = clouds(open3d.utility.Vector3dVector(points))
            found = open3d.pipelines.registration.registration_icp(cloud, truth, 0.2, start)
            views.append((found.inlier_rmse, found.transformation[:3, :3]))
        views.sort(key=lambda pair: pair[0])
        per_object.append((np.mean([rmse for rmse, _ in views[:2]]), [r for _, r in views[:2]]))
    per_object.sort(key=lambda pair: pair[0])
    rotations = [r for _, pair in per_object[:15] for r in pair]
    quaternions = Rotation.from_matrix(np.stack(rotations)).as_quat()
    mean = np.linalg.eigh(quaternions.T @ quaternions)[1][:, -1]
    return Rotation.from_quat(mean).as_matrix()


def test_the_letter_of_dpc_agrees_with_another_icp() -> None:
    """Flipped views and symmetric objects have their say, as in the original: 17 objects, so that 2 lose."""
    objects = [_object(seed, views=3, flipped=seed % 2, symmetry=1 + seed % 3) for seed in range(17)]
    found = canonical_alignment(objects, mode="dpc")
    assert (found.objects, found.rotations, found.rejected) == (15, 30, 0)
    assert found.symmetric_used
    expected = _to_the_letter(objects)
    assert float(pose_error_deg(torch.tensor(found.rotation)[None], torch.tensor(expected)[None])) < 0.2


def test_the_letter_averages_what_the_consensus_rejects() -> None:
    # All views of three of nine objects are half a turn off.
    objects = [_object(seed, flipped=4 if seed < 3 else 0) for seed in range(9)]
    letter = canonical_alignment(objects, mode="dpc")
    consensus = canonical_alignment(objects)
    assert (letter.rotations, letter.rejected) == (18, 0)
    assert consensus.rejected == 6
    assert letter.spread_deg > consensus.spread_deg + 20


def test_the_letter_ranks_views_without_any_pair_last() -> None:
    good = [_object(seed) for seed in range(3)]
    far = dataclasses.replace(good[0], points=good[0].points + 10)
    assert canonical_alignment([far, *good[1:]], mode="dpc").objects == 2
    with pytest.raises(InputError, match="train longer"):
        canonical_alignment([far], mode="dpc")
