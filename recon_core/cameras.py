# SPDX-License-Identifier: Apache-2.0
"""Cameras: the only place where frames, intrinsics and rotations are converted.

World and object frame: right-handed, +Z up, front towards -Y (Blender). Camera frame: OpenGL/Blender, +X right,
+Y up, looking along -Z. Pixels: centres at half-integers, u to the right, v down, row 0 on top.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch

from .errors import InputError
from .projection import project_points

# DRC/DPC view set: a 60 mm lens on a 32 mm sensor, from distance 2.
DEFAULT_FOCAL_WIDTHS = 60.0 / 32.0
DEFAULT_DISTANCE = 2.0


@dataclass(frozen=True)
class Cameras:
    """A batch of B cameras: world_to_cam (B,4,4) and intrinsics in pixels, fx, fy, cx, cy (B,).

    For an orthographic camera fx and fy are pixels per world unit.
    """

    world_to_cam: torch.Tensor  # (B, 4, 4)
    fx: torch.Tensor  # (B,)
    fy: torch.Tensor
    cx: torch.Tensor
    cy: torch.Tensor
    width: int
    height: int
    orthographic: bool = False

    def __len__(self) -> int:
        return self.world_to_cam.shape[0]

    def project(self, xyz: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Project world points xyz (B,N,3) to pixels uv (B,N,2) and planar depth (B,N), positive in front.

        Points at or behind the camera get a depth <= 0 and a finite uv that renderers must ignore.
        """
        intrinsics = torch.stack((self.fx, self.fy, self.cx, self.cy), -1)
        return project_points(xyz, self.world_to_cam, intrinsics, self.orthographic)

    def resized(self, width: int, height: int) -> "Cameras":
        """Return the same cameras for an image of another size (pixels)."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=self.cx * sx,
            cy=self.cy * sy,
            width=width,
            height=height,
        )

    def warped(self, scale: torch.Tensor, shift_px: torch.Tensor) -> "Cameras":
        """Cameras of images scaled about their corner by scale (B,), then shifted by shift_px (B,2)."""
        return replace(
            self,
            fx=self.fx * scale,
            fy=self.fy * scale,
            cx=self.cx * scale + shift_px[:, 0],
            cy=self.cy * scale + shift_px[:, 1],
        )

    def rotated(self, rotation: torch.Tensor) -> "Cameras":
        """Cameras that see an object turned by rotation (B,3,3) about the world origin first."""
        turn = torch.zeros_like(self.world_to_cam)
        turn[:, :3, :3] = rotation
        turn[:, 3, 3] = 1
        return replace(self, world_to_cam=self.world_to_cam @ turn)

    def mirrored(self) -> "Cameras":
        """Cameras whose images, flipped left to right, show an object mirrored in the plane x = 0."""
        mirror = torch.diag(self.world_to_cam.new_tensor([-1.0, 1.0, 1.0, 1.0]))
        return replace(self, world_to_cam=mirror @ self.world_to_cam @ mirror, cx=self.width - self.cx)

    def __getitem__(self, index) -> "Cameras":
        """Select cameras by a slice, index tensor or mask."""
        fields = ("world_to_cam", "fx", "fy", "cx", "cy")
        return replace(self, **{name: getattr(self, name)[index] for name in fields})

    def to(self, *args, **kwargs) -> "Cameras":
        """Move or cast every tensor, as torch.Tensor.to."""
        fields = ("world_to_cam", "fx", "fy", "cx", "cy")
        return replace(self, **{name: getattr(self, name).to(*args, **kwargs) for name in fields})


def pinhole(world_to_cam: torch.Tensor, size: int, focal_widths: float = DEFAULT_FOCAL_WIDTHS) -> Cameras:
    """Square cameras with the centre in the middle; focal_widths is the focal length over the image width."""
    ones = world_to_cam.new_ones(world_to_cam.shape[0])
    return Cameras(
        world_to_cam,
        ones * focal_widths * size,
        ones * focal_widths * size,
        ones * size / 2,
        ones * size / 2,
        size,
        size,
    )


def look_at(eye: torch.Tensor, target: torch.Tensor, up: torch.Tensor | None = None) -> torch.Tensor:
    """World-to-camera matrices (B,4,4) of cameras at eye (B,3) that look at target (B,3), world +Z up."""
    up = eye.new_tensor([0.0, 0.0, 1.0]).expand_as(eye) if up is None else up
    back = torch.nn.functional.normalize(eye - target, dim=-1)
    # Straight above or below, "up" is undefined: the top of the image then points to +Y.
    parallel = torch.linalg.cross(up, back, dim=-1).norm(dim=-1, keepdim=True) < 1e-6
    up = torch.where(parallel, eye.new_tensor([0.0, 1.0, 0.0]).expand_as(eye), up)
    right = torch.nn.functional.normalize(torch.linalg.cross(up, back, dim=-1), dim=-1)
    rotation = torch.stack((right, torch.linalg.cross(back, right, dim=-1), back), 1)  # (B, 3, 3), rows
    matrix = torch.eye(4, dtype=eye.dtype, device=eye.device).repeat(eye.shape[0], 1, 1)
    matrix[:, :3, :3] = rotation
    matrix[:, :3, 3] = -(rotation @ eye[..., None])[..., 0]
    return matrix


def orbit(
    azimuth_deg: torch.Tensor, elevation_deg: torch.Tensor, distance: float = DEFAULT_DISTANCE
) -> torch.Tensor:
    """World-to-camera (B,4,4) on a sphere about the origin; azimuth 0 sees the front (from -Y), 90 from +X."""
    azimuth, elevation = torch.deg2rad(azimuth_deg), torch.deg2rad(elevation_deg)
    eye = distance * torch.stack(
        (
            torch.sin(azimuth) * torch.cos(elevation),
            -torch.cos(azimuth) * torch.cos(elevation),
            torch.sin(elevation),
        ),
        -1,
    )
    return look_at(eye, torch.zeros_like(eye))


def facing_rotation(world_to_cam: torch.Tensor) -> torch.Tensor:
    """Rotations (B,3,3), world to camera, as if the cameras (B,4,4) were turned the least to face the world's origin.

    A crop around an object off the optical axis shows it as such a camera does: what its image can tell is the
    rotation relative to the ray to it. The camera's own rotation where it faces the origin already.
    """
    ray = torch.nn.functional.normalize(world_to_cam[:, :3, 3], dim=-1)
    x, y, toward = ray[:, 0], ray[:, 1], -ray[:, 2]  # cosine of the angle to the axis (0, 0, -1)
    # The least rotation that takes a unit vector a to b: I + [v] + [v]^2 / (1 + a.b), v = a x b (Rodrigues).
    zero = torch.zeros_like(x)
    rows = (zero, zero, x, zero, zero, y, -x, -y, zero)
    cross = torch.stack(rows, -1).reshape(-1, 3, 3)
    turn = torch.eye(3).to(cross) + cross + cross @ cross / (1 + toward).clamp(min=1e-6)[:, None, None]
    return turn @ world_to_cam[:, :3, :3]


def camera_to_world(world_to_cam: torch.Tensor) -> torch.Tensor:
    """Invert rigid matrices (B,4,4)."""
    rotation = world_to_cam[:, :3, :3].transpose(1, 2)
    matrix = world_to_cam.clone()
    matrix[:, :3, :3] = rotation
    matrix[:, :3, 3] = -(rotation @ world_to_cam[:, :3, 3:])[..., 0]
    return matrix


def from_transforms(transforms: dict[str, Any]) -> Cameras:
    """Cameras (float64) of a nerfstudio-style transforms.json; raises InputError when a value is unusable."""
    try:
        width, height = int(transforms["w"]), int(transforms["h"])
        frames = transforms["frames"]
        poses = torch.tensor([frame["transform_matrix"] for frame in frames], dtype=torch.float64)
        pick = {
            key: torch.tensor(
                [float(frame[key] if key in frame else transforms[key]) for frame in frames],
                dtype=torch.float64,
            )
            for key in ("fl_x", "fl_y", "cx", "cy")
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"transforms.json has no usable cameras: {error!r}.") from error
    if poses.shape[1:] != (4, 4) or not torch.isfinite(poses).all():
        raise InputError(f"transform_matrix must be finite 4x4 matrices, got shape {tuple(poses.shape)}.")
    return Cameras(camera_to_world(poses), pick["fl_x"], pick["fl_y"], pick["cx"], pick["cy"], width, height)


def quaternion_to_matrix(wxyz: torch.Tensor) -> torch.Tensor:
    """Rotation matrices (...,3,3) of quaternions (...,4) in w, x, y, z order; normalised first."""
    w, x, y, z = torch.nn.functional.normalize(wxyz, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, -1).reshape(*wxyz.shape[:-1], 3, 3)


def matrix_to_quaternion(matrix: torch.Tensor) -> torch.Tensor:
    """Quaternions (...,4), w >= 0, of rotation matrices (...,3,3), stable near half turns.

    Shepperd's method: divide by the largest of the four components.
    """
    m = matrix
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    squares = torch.stack(
        (
            1 + trace,
            1 + 2 * m[..., 0, 0] - trace,
            1 + 2 * m[..., 1, 1] - trace,
            1 + 2 * m[..., 2, 2] - trace,
        ),
        -1,
    )  # 4 * component^2
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    candidates = torch.stack(
        (
            torch.stack((squares[..., 0], wx, wy, wz), -1),
            torch.stack((wx, squares[..., 1], xy, xz), -1),
            torch.stack((wy, xy, squares[..., 2], yz), -1),
            torch.stack((wz, xz, yz, squares[..., 3]), -1),
        ),
        -2,
    )
    best = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    quaternion = torch.nn.functional.normalize(candidates.gather(-2, best)[..., 0, :], dim=-1)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def rotation_angle_deg(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Angle in degrees between rotations (...,3,3), in [0, 180]."""
    trace = (first * second).sum((-1, -2))
    return torch.rad2deg(torch.arccos(((trace - 1) / 2).clamp(-1, 1)))


def rotation_about_z(angle_rad: torch.Tensor) -> torch.Tensor:
    """Rotations (...,3,3) about +Z."""
    cos, sin, zero, one = (
        angle_rad.cos(),
        angle_rad.sin(),
        torch.zeros_like(angle_rad),
        torch.ones_like(angle_rad),
    )
    rows = (cos, -sin, zero, sin, cos, zero, zero, zero, one)
    return torch.stack(rows, -1).reshape(*angle_rad.shape, 3, 3)


def random_rotations(count: int, generator: torch.Generator) -> torch.Tensor:
    """Uniform random rotations (count,3,3) (Shoemake: normalised Gaussian quaternions)."""
    return quaternion_to_matrix(torch.randn(count, 4, generator=generator, dtype=torch.float64))


def opencv_from_opengl(world_to_cam: torch.Tensor) -> torch.Tensor:
    """Flip Y and Z of camera axes: OpenGL/Blender world-to-camera (B,4,4) to OpenCV's, and back."""
    flip = torch.diag(world_to_cam.new_tensor([1.0, -1.0, -1.0, 1.0]))
    return flip @ world_to_cam


def degrees_of_view(focal_widths: float) -> float:
    """Horizontal field of view in degrees of a focal length given in image widths."""
    return math.degrees(2 * math.atan(0.5 / focal_widths))


# --- named converters of foreign frames (data formats, other software) -------------------------------------

# 3D-R2N2's renders: a 35 mm lens on a 32 mm sensor; distances are stored as shares of 1.75.
R2N2_FOCAL_WIDTHS = 35.0 / 32.0
R2N2_DISTANCE_UNIT = 1.75
_AXES = {"X": (1.0, 0.0, 0.0), "Y": (0.0, 1.0, 0.0), "Z": (0.0, 0.0, 1.0)}


def object_from_axes(up: str, front: str) -> torch.Tensor:
    """Rotation (4,4) float64 into the object frame (+Z up, front -Y) of a source with these axes ("Y", "-Z").

    Raises InputError for other names and for axes that are parallel.
    """
    z, forward = _axis(up), _axis(front)
    if (z * forward).any():
        raise InputError(
            f"Up {up!r} and front {front!r} are the same axis; give two different ones, such as Y and X."
        )
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = torch.stack((torch.linalg.cross(z, forward), -forward, z))
    return matrix


def _axis(name: str) -> torch.Tensor:
    letter = name.strip().upper().lstrip("+-")
    if letter not in _AXES or len(name.strip()) > 2:
        raise InputError(f"{name!r} is no axis; expected X, Y, Z, -X, -Y or -Z.")
    return torch.tensor(_AXES[letter], dtype=torch.float64) * (-1 if name.strip().startswith("-") else 1)


def blender_from_y_up() -> torch.Tensor:
    """Rotation (4,4) float64 that Blender's importers apply to a +Y up file: (x, y, z) -> (x, -z, y)."""
    rows = [[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]]
    return torch.tensor(rows, dtype=torch.float64)


def rigid_from_similarity(world_to_cam: torch.Tensor) -> torch.Tensor:
    """The rigid matrices (B,4,4) that project as [sR | t] (B,4,4) do: camera coordinates divided by s.

    Raises InputError when the upper left is not a rotation times a positive scale.
    """
    linear = world_to_cam[:, :3, :3]
    determinant = torch.linalg.det(linear)
    scale = determinant.clamp(min=1e-12) ** (1 / 3)
    rotation = linear / scale[:, None, None]
    off = (rotation @ rotation.mT - torch.eye(3, dtype=linear.dtype)).abs().amax((1, 2))
    if not (world_to_cam.isfinite().all() and (determinant > 1e-9).all() and (off < 1e-3).all()):
        raise InputError(
            "A camera matrix is no rotation with a translation and a positive scale: it is mirrored, sheared or empty."
        )
    # Files in float32 leave the rotation 1e-7 off; the nearest exact one is U V^T.
    u, _, vh = torch.linalg.svd(rotation)
    matrix = torch.eye(4, dtype=linear.dtype).repeat(len(linear), 1, 1)
    matrix[:, :3, :3] = u @ vh
    matrix[:, :3, 3] = world_to_cam[:, :3, 3] / scale[:, None]
    return matrix


def in_object_frame(world_to_cam: torch.Tensor, object_from_source: torch.Tensor) -> torch.Tensor:
    """World-to-camera (B,4,4) of the object frame, from those of a source frame and a similarity (4,4).

    Lengths in the camera frame are then object units, as everywhere else.
    """
    return rigid_from_similarity(world_to_cam @ torch.linalg.inv(object_from_source))


def from_drc_view(
    azimuth_deg: torch.Tensor, elevation_deg: torch.Tensor, distance: torch.Tensor
) -> torch.Tensor:
    """World-to-camera (B,4,4) of DRC's view.txt in ShapeNet's frame (+Y up): azimuth 0 at +X, 90 at -Z."""
    return _y_up_orbit(-azimuth_deg, elevation_deg, distance)


def from_r2n2_view(
    azimuth_deg: torch.Tensor, elevation_deg: torch.Tensor, ratio: torch.Tensor
) -> torch.Tensor:
    """World-to-camera (B,4,4) of 3D-R2N2's rendering_metadata.txt in ShapeNet's frame: azimuth 0 at +X, 90 at +Z."""
    return _y_up_orbit(azimuth_deg, elevation_deg, ratio * R2N2_DISTANCE_UNIT)


def _y_up_orbit(
    azimuth_deg: torch.Tensor, elevation_deg: torch.Tensor, distance: torch.Tensor
) -> torch.Tensor:
    azimuth, elevation = torch.deg2rad(azimuth_deg), torch.deg2rad(elevation_deg)
    around = torch.stack(
        (azimuth.cos() * elevation.cos(), elevation.sin(), azimuth.sin() * elevation.cos()), -1
    )
    eye = distance[:, None] * around
    return look_at(eye, torch.zeros_like(eye), eye.new_tensor([0.0, 1.0, 0.0]).expand_as(eye))


def from_dpc_quaternion(wxyz: torch.Tensor, distance: float = DEFAULT_DISTANCE) -> torch.Tensor:
    """World-to-camera (B,4,4) of DPC's pose quaternions (B,4) in ShapeNet's frame.

    DPC turns the cloud by q; then its axis 0 is depth beyond the origin, axis 1 up and axis 2 right.
    """
    matrix = torch.eye(4, dtype=wxyz.dtype).repeat(len(wxyz), 1, 1)
    matrix[:, :3, :3] = _DPC_AXES.to(wxyz.dtype) @ quaternion_to_matrix(wxyz)
    matrix[:, 2, 3] = -distance
    return matrix


def dpc_quaternion(world_to_cam: torch.Tensor) -> torch.Tensor:
    """DPC's pose quaternions (B,4), w >= 0, of cameras (B,4,4) that look at the origin of ShapeNet's frame."""
    return matrix_to_quaternion(_DPC_AXES.to(world_to_cam.dtype).T @ world_to_cam[:, :3, :3])


_DPC_AXES = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]], dtype=torch.float64)


def from_dvr_matrices(world_mat: torch.Tensor, camera_mat: torch.Tensor, width: int, height: int) -> Cameras:
    """Cameras of DVR's world_mat and camera_mat (B,4,4): OpenCV axes, intrinsics for an image of [-1, 1]^2.

    The image's corners are at -1 and 1, row 0 at -1.
    """
    half = torch.tensor([width / 2, height / 2], dtype=camera_mat.dtype)
    focal = camera_mat[:, [0, 1], [0, 1]] * half
    center = (camera_mat[:, :2, 2] + 1) * half
    pose = opencv_from_opengl(rigid_from_similarity(world_mat))
    return Cameras(pose, focal[:, 0], focal[:, 1], center[:, 0], center[:, 1], width, height)


def dvr_matrices(cameras: Cameras) -> tuple[torch.Tensor, torch.Tensor]:
    """DVR's world_mat and camera_mat (B,4,4) of cameras: the inverse of `from_dvr_matrices`."""
    camera_mat = torch.eye(4, dtype=cameras.fx.dtype).repeat(len(cameras), 1, 1)
    for row, (focal, center, size) in enumerate(
        ((cameras.fx, cameras.cx, cameras.width), (cameras.fy, cameras.cy, cameras.height))
    ):
        camera_mat[:, row, row] = focal * 2 / size
        camera_mat[:, row, 2] = center * 2 / size - 1
    return opencv_from_opengl(cameras.world_to_cam), camera_mat
