# SPDX-License-Identifier: Apache-2.0
"""Which points a camera sees, and which are the mirror image of seen ones."""

import dataclasses

import numpy as np
import pytest
import torch
from confidence_cases import MIRROR, ball, camera_of, random_numbers, typical_spacing
from scipy.spatial.transform import Rotation

from recon_core.cameras import orbit, pinhole
from recon_core.confidence.visibility import (
    GUESSED,
    SEEN,
    SYMMETRIC,
    classify,
    mirror_partners,
    visible_points,
)
from recon_core.errors import InputError


def test_a_camera_sees_the_near_half_of_a_ball() -> None:
    xyz = ball()
    seen = visible_points(xyz, camera_of(), typical_spacing(xyz))
    towards = xyz @ np.array([0, -1.0, 0]) / 0.35  # the camera is at -Y: cosine of the angle to it
    assert seen[towards > 0.45].mean() > 0.98
    assert seen[towards < -0.05].mean() < 0.05  # through gaps between the discs in front


@pytest.mark.parametrize(("azimuth", "elevation"), [(0.0, 0.0), (70.0, 30.0), (200.0, -15.0)])
def test_turning_camera_and_cloud_together_changes_nothing(azimuth: float, elevation: float) -> None:
    xyz, spacing = ball(800), 0.03
    turn = Rotation.from_euler("zx", [40, 25], degrees=True).as_matrix()
    camera = camera_of(azimuth, elevation)
    matrix = camera.world_to_cam.clone()
    matrix[:, :3, :3] = matrix[:, :3, :3] @ torch.from_numpy(turn.T)
    turned = dataclasses.replace(camera, world_to_cam=matrix)
    here, there = visible_points(xyz, camera, spacing), visible_points(xyz @ turn.T, turned, spacing)
    assert (here == there).mean() > 0.999  # a point on the edge of a cell may fall to either side


def test_the_order_of_points_and_the_image_size_do_not_matter() -> None:
    xyz, spacing = ball(500), 0.04
    order = random_numbers().permutation(500)
    seen = visible_points(xyz, camera_of(30), spacing)
    np.testing.assert_array_equal(visible_points(xyz[order], camera_of(30), spacing), seen[order])
    assert (visible_points(xyz, camera_of(30, size=500), spacing) == seen).mean() > 0.99


def test_a_sheet_hides_the_sheet_behind_it() -> None:
    x, z = (axis.ravel() for axis in np.meshgrid(*[np.linspace(-0.3, 0.3, 40)] * 2))
    front = np.stack((x, np.full_like(x, -0.2), z), 1)
    behind = front * (0.8, -1, 0.8)
    seen = visible_points(np.concatenate((front, behind)), camera_of(), 0.015)
    assert seen[:1600].all()
    assert not seen[1600:].any()


def test_points_behind_the_camera_are_not_seen() -> None:
    xyz = np.array([[0.0, 0, 0], [0, -5, 0]])
    assert visible_points(xyz, camera_of(), 0.1).tolist() == [True, False]
    assert visible_points(xyz[1:], camera_of(), 0.1).tolist() == [False]


def test_bad_spacing_and_several_cameras_are_refused() -> None:
    xyz = ball(10)
    with pytest.raises(InputError, match="positive spacing"):
        visible_points(xyz, camera_of(), 0.0)
    two = pinhole(orbit(torch.tensor([0.0, 9.0]), torch.zeros(2)), 64)
    with pytest.raises(InputError, match="one camera"):
        visible_points(xyz, two, 0.1)


def test_the_far_side_of_a_symmetric_thing_is_symmetric_to_seen() -> None:
    xyz = ball()
    partner, gap = mirror_partners(xyz, MIRROR)
    found = classify(xyz, camera_of(90), typical_spacing(xyz), partner, gap)  # from +X
    assert (found[xyz[:, 0] > 0.2] == SEEN).mean() > 0.95
    assert (found[xyz[:, 0] < -0.2] == SYMMETRIC).mean() > 0.9
    from_front = classify(xyz, camera_of(0), typical_spacing(xyz), partner, gap)
    assert (from_front[xyz[:, 1] > 0.1] == GUESSED).mean() > 0.9  # mirrored, the back is still the back


def test_a_thing_without_symmetry_has_nothing_symmetric() -> None:
    xyz = ball() * (1, 1, 1) + (0.2, 0, 0)
    partner, gap = mirror_partners(xyz, MIRROR)
    found = classify(xyz, camera_of(90), typical_spacing(xyz), partner, gap)
    assert set(np.unique(found)) == {GUESSED, SEEN}
