# SPDX-License-Identifier: Apache-2.0
"""Nearest neighbours, alignment and sampling against brute force, open3d and known transforms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from recon_core.cameras import matrix_to_quaternion, quaternion_to_matrix
from recon_core.errors import InputError
from recon_core.geometry.alignment import (
    average_quaternions,
    average_rotations,
    icp,
    nearest_rotation,
    umeyama,
)
from recon_core.geometry.nearest import build_tree, nearest, nearest_torch
from recon_core.geometry.sampling import farthest_points, sample_mesh


def _cloud(count: int, seed: int) -> np.ndarray:
    """Points on three faces of a box of unequal sides: no symmetry."""
    generator = np.random.default_rng(seed)
    points = generator.random((count, 3)) * (0.7, 0.5, 0.3)
    points[np.arange(count), generator.integers(0, 3, count)] = 0
    return points - points.mean(0)


def _brute(query: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distance = np.linalg.norm(query[:, None] - target[None], axis=-1)
    return distance.min(1), distance.argmin(1)


def test_nearest_agrees_with_all_pairs() -> None:
    query, target = _cloud(200, 0), _cloud(300, 1)
    distance, index = nearest(query, target)
    expected, expected_index = _brute(query, target)
    np.testing.assert_allclose(distance, expected, atol=1e-12)
    assert (index == expected_index).all()
    limited, none = nearest(query, build_tree(target), max_distance=0.02)
    assert np.array_equal(np.isfinite(limited), expected < 0.02)
    assert (none[~np.isfinite(limited)] == len(target)).all()


@pytest.mark.parametrize("chunk", [7, 4096])
def test_nearest_torch_agrees_with_all_pairs(device, chunk) -> None:
    query, target = _cloud(120, 0), _cloud(90, 1)
    batch = torch.tensor(np.stack((query, query + 0.1)), device=device)
    distance, index = nearest_torch(batch, torch.tensor(target, device=device).expand(2, -1, -1), chunk=chunk)
    for row, moved in enumerate((query, query + 0.1)):
        expected, expected_index = _brute(moved, target)
        np.testing.assert_allclose(distance[row].cpu(), expected, atol=1e-12)
        assert (index[row].cpu().numpy() == expected_index).all()


def test_nearest_torch_of_close_float32_points_is_exact() -> None:
    point = torch.tensor([[[0.5, 0.5, 0.5]]])
    distance, _ = nearest_torch(point, point + torch.tensor([1e-4, 0, 0]))
    assert distance.item() == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.zeros((4, 2)), np.full((4, 3), np.nan)])
def test_nearest_refuses_unusable_clouds(bad) -> None:
    with pytest.raises(InputError):
        build_tree(bad)
    with pytest.raises(InputError):
        nearest_torch(torch.zeros(1, 2, 3), torch.zeros(1, 0, 3))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 10), with_scale=st.booleans())
def test_umeyama_recovers_a_known_transform(seed, scale, with_scale) -> None:
    rotation = Rotation.random(random_state=seed).as_matrix()
    source, shift = _cloud(40, seed), np.array([0.3, -2.0, 1.0])
    scale = scale if with_scale else 1.0
    found = umeyama(source, scale * source @ rotation.T + shift, with_scale=with_scale)
    np.testing.assert_allclose(found.rotation, rotation, atol=1e-9)
    np.testing.assert_allclose(found.translation, shift, atol=1e-9)
    assert found.scale == pytest.approx(scale)
    np.testing.assert_allclose(found.matrix()[:3, :3], scale * rotation, atol=1e-8)


def test_umeyama_of_a_mirrored_cloud_is_still_a_rotation() -> None:
    source = _cloud(50, 3)
    found = umeyama(source, source * (1, 1, -1))
    assert np.linalg.det(found.rotation) == pytest.approx(1)
    with pytest.raises(InputError):
        umeyama(source[:2], source[:2])
    with pytest.raises(InputError):
        umeyama(np.ones((5, 3)), source[:5], with_scale=True)


def test_nearest_rotation_is_the_best_of_many() -> None:
    generator = np.random.default_rng(0)
    matrix = generator.standard_normal((6, 3, 3))
    found = nearest_rotation(matrix)
    np.testing.assert_allclose(np.linalg.det(found), 1, atol=1e-12)
    np.testing.assert_allclose(found @ found.swapaxes(1, 2), np.eye(3)[None].repeat(6, 0), atol=1e-12)
    others = Rotation.random(2000, random_state=1).as_matrix()
    for one, rotation in zip(matrix, found, strict=True):
        best_other = np.linalg.norm(others - one, axis=(1, 2)).min()
        assert np.linalg.norm(rotation - one) <= best_other


def test_icp_recovers_a_small_motion() -> None:
    target = _cloud(1500, 0)
    motion = Rotation.from_euler("xyz", (8, -10, 12), degrees=True).as_matrix()
    source = (target[:500] - (0.02, 0.01, -0.02)) @ motion  # motion maps source back to target
    result = icp(source, target, max_distance=0.2)
    np.testing.assert_allclose(result.transform.apply(source), target[:500], atol=1e-6)
    assert result.inlier_rmse < 1e-6
    assert result.fitness == 1
    assert result.iterations <= 30


def test_icp_agrees_with_open3d() -> None:
    open3d = pytest.importorskip("open3d")
    source, target = _cloud(400, 1), _cloud(600, 2)
    init = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    ours = icp(source, target, max_distance=0.1, rotation=init)
    clouds = [open3d.geometry.PointCloud(open3d.utility.Vector3dVector(each)) for each in (source, target)]
    start = np.eye(4)
    start[:3, :3] = init
    theirs = open3d.pipelines.registration.registration_icp(*clouds, 0.1, start)
    np.testing.assert_allclose(ours.transform.matrix(), theirs.transformation, atol=2e-4)
    assert ours.inlier_rmse == pytest.approx(theirs.inlier_rmse, abs=1e-5)
    assert ours.fitness == pytest.approx(theirs.fitness, abs=1e-6)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.25])
def test_icp_finds_the_scale_from_both_directions(scale) -> None:
    """Other samples of the same surface: neighbours of source points alone would shrink it."""
    motion = Rotation.from_euler("xyz", (5, -4, 6), degrees=True).as_matrix()
    target, source = _cloud(1500, 0), _cloud(700, 1)
    result = icp((source / scale) @ motion, target, max_distance=0.3, with_scale=True, iterations=100)
    assert result.transform.scale == pytest.approx(scale, rel=0.03)
    assert (
        Rotation.from_matrix(result.transform.rotation) * Rotation.from_matrix(motion.T)
    ).magnitude() < 0.03
    assert icp(source, target, max_distance=0.3, scale=2.0, iterations=0).transform.scale == 2
    with pytest.raises(InputError, match="coincide"):
        icp(np.full((5, 3), 0.1), target, max_distance=1, with_scale=True)


def test_icp_without_any_pair_keeps_the_initial_pose() -> None:
    result = icp(_cloud(20, 0), _cloud(20, 0) + 5, max_distance=0.2)
    assert result.inlier_rmse == float("inf")
    assert result.fitness == 0
    np.testing.assert_array_equal(result.transform.rotation, np.eye(3))


def test_quaternion_average_ignores_signs_and_matches_scipy() -> None:
    base = Rotation.from_euler("xyz", (100, 20, -40), degrees=True)
    noisy = base * Rotation.from_rotvec(np.random.default_rng(0).standard_normal((25, 3)) * 0.2)
    weights = np.random.default_rng(1).random(25) + 0.1
    wxyz = noisy.as_quat()[:, [3, 0, 1, 2]]
    wxyz[::2] *= -1
    mean = average_quaternions(wxyz, weights)
    expected = noisy.mean(weights).as_matrix()
    assert mean[0] >= 0
    np.testing.assert_allclose(quaternion_to_matrix(torch.tensor(mean)), expected, atol=1e-9)
    np.testing.assert_allclose(average_rotations(noisy.as_matrix(), weights), expected, atol=1e-9)
    single = matrix_to_quaternion(torch.tensor(base.as_matrix())).numpy()
    np.testing.assert_allclose(average_quaternions(single[None]), single, atol=1e-12)
    for bad in (np.zeros((0, 4)), np.zeros((2, 3))):
        with pytest.raises(InputError):
            average_quaternions(bad)
    with pytest.raises(InputError):
        average_rotations(np.zeros((0, 3, 3)))


def test_mesh_sampling_is_uniform_by_area() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [3, 0, 0], [3, 3, 0], [0, 0, 5]], dtype=float)
    faces = np.array([[0, 1, 2], [1, 3, 4], [0, 0, 5]])  # areas 0.5, 3, 0
    points, face, weights = sample_mesh(vertices, faces, 7000, np.random.default_rng(0))
    assert abs((face == 1).mean() - 6 / 7) < 0.02
    assert not (face == 2).any()
    np.testing.assert_allclose(weights.sum(1), 1)
    assert (weights >= 0).all()
    np.testing.assert_allclose(points[face == 0].mean(0), (1 / 3, 1 / 3, 0), atol=0.03)
    with pytest.raises(InputError):
        sample_mesh(vertices, faces[2:], 10, np.random.default_rng(0))
    with pytest.raises(InputError):
        sample_mesh(vertices, np.zeros((0, 3), int), 10, np.random.default_rng(0))


def test_farthest_points_match_the_definition() -> None:
    points = _cloud(150, 4)
    chosen = farthest_points(points, 20, start=7)
    assert chosen[0] == 7
    assert len(set(chosen)) == 20
    for step in range(1, 20):
        to_chosen = np.linalg.norm(points[:, None] - points[chosen[:step]][None], axis=-1).min(1)
        assert to_chosen[chosen[step]] == pytest.approx(to_chosen.max(), abs=1e-6)
    with pytest.raises(InputError):
        farthest_points(points, 151)
