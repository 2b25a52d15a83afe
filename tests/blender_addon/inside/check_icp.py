# SPDX-License-Identifier: Apache-2.0
"""ICP on a chair without symmetry: ten fixed starts, and every step against brute force."""

import bpy
import icp_case
import numpy as np
import pytest

from blender_addon import icp, placing, points_object
from blender_addon.cloud import Cloud


def test_converges_from_45_degrees_and_30_percent():
    """With the starts that the panel tries; without turns see check_align."""
    assert sum(icp_case.converges(start) for start in icp_case.starts(upright=False)) >= 9


def brute_nearest(xyz: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index and distance of the nearest of others (M,3) to each of xyz (N,3): all pairs."""
    distance = np.sqrt(((xyz[:, None] - others[None]) ** 2).sum(2))
    return distance.argmin(1), distance.min(1)


@pytest.mark.parametrize("number", range(4))
def test_matches_and_rms_equal_brute_force(number):
    matrix = np.linalg.inv(icp_case.starts(upright=False)[number])
    source, target = icp_case.chair_points(150, seed=3), icp_case.chair_points(130, seed=4)
    pair = icp._Pair(icp.Side(source), icp.Side(target), True, False, np.random.default_rng(0))
    source, target = pair.source.xyz, pair.target.xyz  # the same points in another order
    count = 100
    found_source, found_target, rms = pair._matches(matrix, count)
    moved = source @ matrix[:3, :3].T + matrix[:3, 3]
    ahead, forward = brute_nearest(moved[:count], target)
    back, backward = brute_nearest(target[:count], moved)
    np.testing.assert_allclose(found_source, np.concatenate((source[:count], source[back])), atol=1e-12)
    np.testing.assert_allclose(found_target, np.concatenate((target[ahead], target[:count])), atol=1e-12)
    np.testing.assert_allclose(rms, np.sqrt(np.mean(np.concatenate((forward, backward)) ** 2)), rtol=1e-5)


def test_labels_restrict_matches_as_brute_force_does():
    random = np.random.default_rng(0)
    source, target = random.random((90, 3)), random.random((110, 3))
    labels, others = random.integers(0, 3, 90), random.integers(0, 3, 110)
    sides = icp.Side(source, labels), icp.Side(target, others)
    pair = icp._Pair(*sides, True, False, np.random.default_rng(0))
    rms = pair.rms(np.eye(4), 200)
    squares = ((source[:, None] - target[None]) ** 2).sum(2)
    squares[labels[:, None] != others[None]] = np.inf
    both = np.concatenate((squares.min(1), squares.min(0)))
    np.testing.assert_allclose(rms, np.sqrt(both.mean()), rtol=1e-5)


@pytest.mark.parametrize("use_scale", [True, False])
def test_similarity_is_the_least_of_all_nearby(use_scale):
    """Umeyama's solution against small changes of turn, place and size: none has a smaller error."""
    random = np.random.default_rng(2)
    source = random.normal(size=(30, 3))
    target = icp.moved(icp_case.starts(upright=False)[1], source) + 0.1 * random.normal(size=(30, 3))
    best = icp.similarity(source, target, use_scale)

    def error(matrix: np.ndarray) -> float:
        return float(((icp.moved(matrix, source) - target) ** 2).sum())

    for trial in range(200):
        axis = random.normal(size=3)
        change = np.eye(4)
        change[:3, :3] = icp_case.rotation(axis / np.linalg.norm(axis), 0.02 * random.normal())
        change[:3, :3] *= 1 + 0.02 * random.normal() * use_scale
        change[:3, 3] = 0.02 * random.normal(size=3)
        assert error(best @ change) > error(best), trial


def test_a_dense_mesh_as_target():
    target = icp_case.dense_mesh_object(50_000)
    assert len(target.data.vertices) >= 50_000
    start, xyz = icp_case.starts(upright=False)[0], icp_case.chair_points(3000, seed=1)
    points = placing.add_cloud("cloud", Cloud(icp.moved(start, xyz).astype(np.float32)), {})
    settings = bpy.context.scene.recon
    settings.target, settings.use_upright, settings.use_turns = target, False, False
    assert bpy.ops.recon.align_object() == {"FINISHED"}
    bpy.context.view_layer.update()
    off = np.linalg.norm(points_object.cloud_of(points).xyz - xyz, axis=1).mean()
    assert off < 0.02 * icp_case.DIAGONAL
    before, after = points_object.record_of(points)["alignment"]["RMS distance"]
    assert after < 0.2 * before
