# SPDX-License-Identifier: Apache-2.0
"""One rotation for many clouds, and means per voxel."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from recon_core.errors import InputError
from recon_core.geometry.chamfer import chamfer
from recon_core.geometry.common_rotation import common_rotation
from recon_core.geometry.sampling import voxel_means


def _chairs(count: int, seed: int) -> list[np.ndarray]:
    """Chairs of unlike widths and heights with an arm on one side, in one frame."""
    clouds = []
    for index in range(count):
        generator = np.random.default_rng((seed, index))
        width, height = np.random.default_rng(index).uniform(
            0.4, 0.6, 2
        )  # the shape depends on the index alone
        boxes = (
            ((width, 0.4, 0.05), (0, 0, 0)),
            ((width, 0.05, height), (0, 0.2, 0.2)),
            ((0.05, 0.3, 0.2), (0.2, 0, 0.1)),
        )
        pieces = [generator.uniform(-0.5, 0.5, (200, 3)) * size + at for size, at in boxes]
        clouds.append(np.concatenate(pieces))
    return clouds


def _objective(sources, targets, rotation) -> float:
    values = [
        sum(chamfer(torch.tensor(a @ rotation.T)[None], torch.tensor(b)[None], squared=True)).item()
        for a, b in zip(sources, targets)
    ]
    return float(np.mean(values))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_frame_is_found_from_anywhere(seed) -> None:
    turn = Rotation.random(random_state=seed).as_matrix()
    sources, targets = [one @ turn for one in _chairs(4, 1)], _chairs(4, 2)
    found = common_rotation(sources, targets, points=600)
    away = (Rotation.from_matrix(found.rotation) * Rotation.from_matrix(turn).inv()).magnitude()
    assert np.degrees(away) < 3
    assert found.chamfer_squared == pytest.approx(_objective(sources, targets, found.rotation), rel=1e-9)
    nearby = Rotation.from_rotvec(np.random.default_rng(0).standard_normal((20, 3)) * 0.05).as_matrix()
    others = [_objective(sources, targets, small @ found.rotation) for small in nearby]
    assert min(others) > found.chamfer_squared * 0.999  # an optimum of the very objective
    assert found.rivals == 0


def test_a_ball_is_no_obstacle_and_bad_input_is_refused() -> None:
    ball = np.random.default_rng(0).standard_normal((300, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    assert common_rotation([ball], [ball[::-1]], points=200).rotation.shape == (3, 3)
    with pytest.raises(InputError, match="as many"):
        common_rotation([], [])
    with pytest.raises(InputError, match="as many"):
        common_rotation([ball], [ball, ball])
    with pytest.raises(InputError, match="non-empty"):
        common_rotation([np.zeros((0, 3))], [ball])


def test_voxel_means_agree_with_open3d() -> None:
    open3d = pytest.importorskip("open3d")
    points = np.random.default_rng(0).random((2000, 3))
    theirs = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points)).voxel_down_sample(0.07)
    ours, expected = voxel_means(points, 0.07), np.asarray(theirs.points)
    assert len(ours) == len(expected)
    np.testing.assert_allclose(ours[np.lexsort(ours.T)], expected[np.lexsort(expected.T)], atol=1e-12)


def test_voxel_means_of_few_points() -> None:
    points = np.array([[0.0, 0, 0], [0.2, 0, 0], [5, 0, 0]])
    np.testing.assert_allclose(voxel_means(points, 1.0), [[0.1, 0, 0], [5, 0, 0]])
    np.testing.assert_allclose(voxel_means(points[:1], 1.0), points[:1])
    for bad, size in ((np.zeros((0, 3)), 1), (points, 0), (points, 1e-9), (np.full((2, 3), np.nan), 1)):
        with pytest.raises(InputError):
            voxel_means(bad, size)
