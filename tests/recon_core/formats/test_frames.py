# SPDX-License-Identifier: Apache-2.0
"""Named converters of foreign frames: each against a pinhole by its own formula, and there and back."""

import math

import numpy as np
import pytest
import torch
from formats import foreign

from recon_core import cameras as cam
from recon_core.errors import InputError

ANGLES = [(0.0, 0.0), (37.0, 21.0), (-120.0, -15.0), (179.0, 39.0)]


def project(world_to_cam: torch.Tensor, xyz: np.ndarray, focal: float) -> tuple[np.ndarray, np.ndarray]:
    """(u, v) over the image width, centre 0, v down, and depth, of OpenGL cameras."""
    points = np.c_[xyz, np.ones(len(xyz))] @ world_to_cam.numpy().T
    return np.stack((points[:, 0], -points[:, 1]), -1) * focal / -points[:, 2:3], -points[:, 2]


@pytest.fixture
def xyz() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.4, 0.4, (20, 3))


@pytest.mark.parametrize(("up", "front"), [("Z", "-Y"), ("Y", "X"), ("Y", "-Z"), ("-X", "z"), ("+Y", "Z")])
def test_axes_go_where_they_are_named(up: str, front: str) -> None:
    """Up becomes +Z, front -Y, right-handed."""
    matrix = cam.object_from_axes(up, front)[:3, :3]
    index = {"X": 0, "Y": 1, "Z": 2}

    def vector(name: str) -> torch.Tensor:
        one = torch.zeros(3, dtype=torch.float64)
        one[index[name.strip("+-").upper()]] = -1 if name.startswith("-") else 1
        return one

    assert (matrix @ vector(up)).tolist() == [0, 0, 1]
    assert (matrix @ vector(front)).tolist() == [0, -1, 0]
    assert torch.linalg.det(matrix).item() == pytest.approx(1)


@pytest.mark.parametrize(("up", "front"), [("Y", "-Y"), ("W", "X"), ("", "X"), ("--Y", "X"), ("XY", "Z")])
def test_axes_that_are_none(up: str, front: str) -> None:
    """Refused with what is expected."""
    with pytest.raises(InputError, match=r"axis|axes"):
        cam.object_from_axes(up, front)


@pytest.mark.parametrize(("azimuth", "elevation"), ANGLES)
def test_drc_against_the_formula_of_its_renderer(azimuth: float, elevation: float, xyz: np.ndarray) -> None:
    """p = (-y, -z, x); cam = R_el R_az p - (0, 0, 2); row = f p0 / |z|, column = f p1 / |z|."""
    a, e = math.radians(azimuth), math.radians(elevation)
    p = np.stack((-xyz[:, 1], -xyz[:, 2], xyz[:, 0]), -1)
    around = np.array([[1, 0, 0], [0, math.cos(a), -math.sin(a)], [0, math.sin(a), math.cos(a)]])
    over = np.array([[math.cos(e), 0, math.sin(e)], [0, 1, 0], [-math.sin(e), 0, math.cos(e)]])
    at = p @ around.T @ over.T - [0, 0, 2]
    expected = 1.875 * np.stack((at[:, 1], at[:, 0]), -1) / np.abs(at[:, 2:3])
    values = [torch.tensor([one], dtype=torch.float64) for one in (azimuth, elevation, 2.0)]
    uv, depth = project(cam.from_drc_view(*values)[0], xyz, 1.875)
    np.testing.assert_allclose(uv, expected, atol=1e-12)
    np.testing.assert_allclose(depth, -at[:, 2], atol=1e-12)


@pytest.mark.parametrize(("azimuth", "elevation"), ANGLES)
def test_drc_is_our_orbit_when_the_front_is_x(azimuth: float, elevation: float) -> None:
    """In the object frame, DRC's azimuth and elevation are ours."""
    values = [torch.tensor([one], dtype=torch.float64) for one in (azimuth, elevation, 2.0)]
    found = cam.in_object_frame(cam.from_drc_view(*values), cam.object_from_axes("Y", "X"))
    torch.testing.assert_close(found, cam.orbit(values[0], values[1]), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("azimuth", "elevation"), ANGLES)
def test_dpc_quaternion_against_its_formula(azimuth: float, elevation: float, xyz: np.ndarray) -> None:
    """yaw = acos(x / |xy|), 2 pi - yaw if y > 0, plus pi; pitch = asin(z / r); q = Rz(pitch) Ry(yaw)."""
    extrinsic, position = foreign.dpc_extrinsic(azimuth, elevation)
    yaw = math.acos(np.clip(position[0] / math.hypot(position[0], position[1]), -1, 1))
    yaw = (2 * math.pi - yaw if position[1] > 0 else yaw) + math.pi
    pitch = math.asin(position[2] / 2)
    turn_z = torch.tensor([math.cos(pitch / 2), 0, 0, math.sin(pitch / 2)], dtype=torch.float64)
    turn_y = torch.tensor([math.cos(yaw / 2), 0, math.sin(yaw / 2), 0], dtype=torch.float64)
    rotation = cam.quaternion_to_matrix(turn_z) @ cam.quaternion_to_matrix(turn_y)
    at = xyz @ rotation.numpy().T  # depth, up, right
    expected = 1.875 * np.stack((at[:, 2], -at[:, 1]), -1) / (at[:, :1] + 2)
    quaternion = cam.matrix_to_quaternion(rotation)[None]
    uv, depth = project(cam.from_dpc_quaternion(quaternion)[0], xyz, 1.875)
    np.testing.assert_allclose(uv, expected, atol=1e-12)
    np.testing.assert_allclose(depth, at[:, 0] + 2, atol=1e-12)
    # The quaternion and the saved extrinsic are the same camera.
    blender = np.stack((xyz[:, 0], -xyz[:, 2], xyz[:, 1]), -1)
    seen = blender @ extrinsic[:3, :3].T + extrinsic[:3, 3]
    np.testing.assert_allclose(uv, 1.875 * seen[:, :2] / seen[:, 2:3], atol=1e-12)
    back = cam.dpc_quaternion(cam.from_dpc_quaternion(quaternion))
    torch.testing.assert_close(back.abs(), quaternion.abs(), atol=1e-9, rtol=0)


@pytest.mark.parametrize(("azimuth", "elevation"), ANGLES)
def test_r2n2_against_its_matrices(azimuth: float, elevation: float, xyz: np.ndarray) -> None:
    """Turned by -azimuth and -elevation in Blender's world, seen from (d, 0, 0) along -X, 35 mm on 32 mm."""
    a, e = -math.radians(azimuth), -math.radians(elevation)
    ca, sa, ce, se = math.cos(a), math.sin(a), math.cos(e), math.sin(e)
    turn = np.array([[ca * ce, sa * ce, -se], [-sa, ca, 0], [ca * se, sa * se, ce]])
    blender = np.stack((xyz[:, 0], -xyz[:, 2], xyz[:, 1]), -1) @ turn.T
    distance = 0.8 * 1.75
    depth = distance - blender[:, 0]
    expected = 35 / 32 * np.stack((blender[:, 1], -blender[:, 2]), -1) / depth[:, None]
    values = [torch.tensor([one], dtype=torch.float64) for one in (azimuth, elevation, 0.8)]
    uv, found = project(cam.from_r2n2_view(*values)[0], xyz, cam.R2N2_FOCAL_WIDTHS)
    np.testing.assert_allclose(uv, expected, atol=1e-12)
    np.testing.assert_allclose(found, depth, atol=1e-12)


def test_dvr_matrices_against_a_pinhole_and_back(xyz: np.ndarray, generator: torch.Generator) -> None:
    """[-1, 1] is corner to corner, y down; a scale in world_mat changes nothing."""
    angles = torch.rand(2, 4, generator=generator, dtype=torch.float64) * 60
    matrix = cam.orbit(angles[0], angles[1], 2.7)
    ones = torch.ones(4, dtype=torch.float64)
    views = cam.Cameras(matrix, ones * 90, ones * 80, ones * 30, ones * 20, 64, 48)
    world, intrinsics = cam.dvr_matrices(views)
    assert world[0, 2, 3] > 0  # OpenCV: the origin is in front, at +z
    points = np.c_[xyz, np.ones(len(xyz))] @ world[1].numpy().T
    image = points[:, :3] @ intrinsics[1, :3, :3].numpy().T
    pixels = (image[:, :2] / image[:, 2:3] + 1) * [32, 24]
    uv, depth = views.project(torch.from_numpy(xyz).expand(4, -1, -1))
    np.testing.assert_allclose(uv[1].numpy(), pixels, atol=1e-9)
    scaled = world.clone()
    scaled[:, :3] *= 2.5
    for version in (world, scaled):
        back = cam.from_dvr_matrices(version, intrinsics, 64, 48)
        torch.testing.assert_close(back.world_to_cam, matrix, atol=1e-9, rtol=0)
        for name in ("fx", "fy", "cx", "cy"):
            torch.testing.assert_close(getattr(back, name), getattr(views, name))
    torch.testing.assert_close(
        depth, -(torch.from_numpy(xyz) @ matrix[:, :3, :3].mT + matrix[:, None, :3, 3])[..., 2]
    )


def test_in_object_frame_keeps_pixels(xyz: np.ndarray, generator: torch.Generator) -> None:
    """Points and cameras moved by the same similarity give the same pixels; depth grows by the scale."""
    similarity = torch.eye(4, dtype=torch.float64)
    similarity[:3, :3] = 0.3 * cam.random_rotations(1, generator)[0]
    similarity[:3, 3] = torch.tensor([0.5, -1.0, 2.0])
    matrix = cam.orbit(torch.tensor([10.0, 200.0]).double(), torch.tensor([5.0, 30.0]).double())
    moved = cam.in_object_frame(matrix, similarity)
    points = xyz @ similarity[:3, :3].numpy().T + similarity[:3, 3].numpy()
    for view in range(2):
        uv, depth = project(matrix[view], xyz, 1.0)
        uv_moved, depth_moved = project(moved[view], points, 1.0)
        np.testing.assert_allclose(uv_moved, uv, atol=1e-9)
        np.testing.assert_allclose(depth_moved, 0.3 * depth, atol=1e-9)
    torch.testing.assert_close(
        cam.in_object_frame(moved, torch.linalg.inv(similarity)), matrix, atol=1e-9, rtol=0
    )


@pytest.mark.parametrize(
    "linear",
    [np.diag([-1.0, 1, 1]), np.diag([1.0, 1, 2]), np.zeros((3, 3)), np.full((3, 3), np.nan)],
    ids=["mirrored", "stretched", "empty", "not a number"],
)
def test_what_is_no_similarity_is_refused(linear: np.ndarray) -> None:
    """A clear error, not a wrong camera."""
    matrix = torch.eye(4, dtype=torch.float64)[None].clone()
    matrix[0, :3, :3] = torch.from_numpy(linear)
    with pytest.raises(InputError, match="mirrored, sheared or empty"):
        cam.rigid_from_similarity(matrix)
