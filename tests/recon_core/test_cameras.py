# SPDX-License-Identifier: Apache-2.0
"""Cameras against a pinhole worked out by hand, round trips of every converter, and degenerate input."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recon_core import cameras as cam
from recon_core.errors import InputError


def test_pinhole_by_hand():
    """From (0,-2,0) towards +Y with f = 1.875 widths: +X is right, +Z is up, and pixels follow f x / z."""
    views = cam.pinhole(cam.look_at(torch.tensor([[0.0, -2.0, 0.0]]), torch.zeros(1, 3)), 100)
    xyz = torch.tensor([[[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.1], [0.1, 0.5, 0.2], [0.0, -3.0, 0.0]]])
    uv, depth = views.project(xyz)
    f = 187.5
    expected = torch.tensor([[50, 50], [50 + f * 0.05, 50], [50, 50 - f * 0.05], [50 + f * 0.04, 50 - f * 0.08]])
    torch.testing.assert_close(uv[0, :4], expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(depth[0], torch.tensor([2.0, 2.0, 2.0, 2.5, -1.0]))
    assert torch.isfinite(uv).all()


@pytest.mark.parametrize(("azimuth", "eye"), [(0, (0, -1, 0)), (90, (1, 0, 0)), (180, (0, 1, 0)), (270, (-1, 0, 0))])
def test_azimuth_zero_sees_the_front(azimuth, eye):
    """Azimuth 0 stands at -Y, 90 at +X."""
    matrix = cam.orbit(torch.tensor([float(azimuth)]), torch.tensor([0.0]), 1.0)
    centre = cam.camera_to_world(matrix)[0, :3, 3]
    torch.testing.assert_close(centre, torch.tensor(eye, dtype=torch.float32), atol=1e-6, rtol=0)


def test_straight_above_is_defined():
    """Elevation 90 degrees has a rotation without NaN, top of the image towards +Y."""
    matrix = cam.orbit(torch.tensor([0.0, 40.0]), torch.tensor([90.0, -90.0]))
    assert torch.isfinite(matrix).all()
    turn = matrix[:, :3, :3]
    torch.testing.assert_close(turn @ turn.transpose(1, 2), torch.eye(3).expand(2, 3, 3), atol=1e-5, rtol=0)


@given(seed=st.integers(0, 10_000))
def test_quaternions_round_trip_also_near_half_turns(seed):
    """Matrix to quaternion and back, with w >= 0."""
    generator = torch.Generator().manual_seed(seed)
    matrix = cam.random_rotations(8, generator)
    axis = torch.nn.functional.normalize(torch.randn(8, 3, generator=generator, dtype=torch.float64), dim=-1)
    half_turn = cam.quaternion_to_matrix(torch.cat((torch.full((8, 1), 1e-9, dtype=torch.float64), axis), 1))
    for rotation in (matrix, half_turn):
        quaternion = cam.matrix_to_quaternion(rotation)
        assert (quaternion[:, 0] >= 0).all()
        torch.testing.assert_close(cam.quaternion_to_matrix(quaternion), rotation, atol=1e-9, rtol=0)


def test_camera_to_world_and_opencv_round_trip(generator):
    """Inverse of the inverse, flip of the flip, and OpenCV's axes: y down, z forward."""
    matrix = cam.orbit(torch.rand(5, generator=generator).double() * 360, torch.rand(5, generator=generator).double())
    torch.testing.assert_close(cam.camera_to_world(cam.camera_to_world(matrix)), matrix)
    torch.testing.assert_close(cam.opencv_from_opengl(cam.opencv_from_opengl(matrix)), matrix)
    origin = cam.opencv_from_opengl(matrix)[:, :3, 3]
    torch.testing.assert_close(origin, torch.tensor([0.0, 0, 2]).double().expand(5, 3), atol=1e-9, rtol=0)


def test_mirrored_cameras_see_the_mirrored_object(generator):
    """Flipped pixels of an object are the pixels of the object mirrored in x = 0, from the mirrored camera."""
    views = cam.pinhole(cam.orbit(torch.tensor([37.0]), torch.tensor([21.0])), 64)
    xyz = torch.randn(1, 20, 3, generator=generator) * 0.2
    uv, depth = views.project(xyz)
    mirrored, same_depth = views.mirrored().project(xyz * torch.tensor([-1.0, 1, 1]))
    torch.testing.assert_close(mirrored, torch.stack((64 - uv[..., 0], uv[..., 1]), -1), atol=1e-3, rtol=0)
    torch.testing.assert_close(same_depth, depth)


def test_resized_and_warped_follow_the_image(generator):
    """Half the size halves pixels; scale about the corner, then shift."""
    views = cam.pinhole(cam.orbit(torch.tensor([10.0]), torch.tensor([5.0])), 64)
    xyz = torch.randn(1, 20, 3, generator=generator) * 0.2
    uv = views.project(xyz)[0]
    torch.testing.assert_close(views.resized(32, 32).project(xyz)[0], uv / 2)
    moved = views.warped(torch.tensor([1.5]), torch.tensor([[3.0, -2.0]])).project(xyz)[0]
    torch.testing.assert_close(moved, uv * 1.5 + torch.tensor([3.0, -2.0]))


def test_angles_and_turns_about_z():
    """A turn of 40 degrees about Z is 40 degrees away from none; half turns are 180."""
    turn = cam.rotation_about_z(torch.deg2rad(torch.tensor([0.0, 40.0, 180.0])).double())
    angles = cam.rotation_angle_deg(turn, turn[:1].expand_as(turn))
    torch.testing.assert_close(angles, torch.tensor([0.0, 40.0, 180.0]).double(), atol=1e-4, rtol=0)


def test_field_of_view():
    """A 16 mm lens on a 32 mm sensor sees 90 degrees."""
    assert cam.degrees_of_view(0.5) == pytest.approx(90.0)
    assert math.isclose(cam.DEFAULT_FOCAL_WIDTHS, 1.875)


@pytest.mark.parametrize(
    "broken",
    [{}, {"w": "x"}, {"frames": [{"transform_matrix": [[1, 2], [3, 4]]}]}, {"frames": [{"transform_matrix": "no"}]}],
)
def test_broken_transforms_are_refused(broken):
    """Missing keys, text for numbers, matrices of the wrong shape."""
    good = {"w": 8, "h": 8, "fl_x": 15, "fl_y": 15, "cx": 4, "cy": 4, "frames": []} if broken else {}
    with pytest.raises(InputError):
        cam.from_transforms({**good, **broken})
