# SPDX-License-Identifier: Apache-2.0
"""A chair without symmetry, and ten fixed starts that are 45 degrees and 30 % of its size off."""

from typing import Any

import numpy as np

# Centre and extent of each box: seat, back, four legs of which one is short, one arm.
BOXES = (
    ((0.0, 0.0, 0.45), (0.50, 0.50, 0.06)),
    ((0.0, 0.23, 0.75), (0.46, 0.05, 0.55)),
    ((-0.21, -0.21, 0.21), (0.05, 0.05, 0.42)),
    ((0.21, -0.21, 0.21), (0.05, 0.05, 0.42)),
    ((-0.21, 0.21, 0.21), (0.05, 0.05, 0.42)),
    ((0.21, 0.21, 0.30), (0.05, 0.05, 0.24)),
    ((0.26, -0.02, 0.66), (0.05, 0.45, 0.05)),
)
DIAGONAL = 1.23
ANGLE_DEG, SCALE_OFF = 45.0, 0.3


def chair_points(count: int, seed: int) -> np.ndarray:
    """Points (count,3) on the boxes' surfaces, evenly by area."""
    random = np.random.default_rng(seed)
    centers, extents = (np.array([box[k] for box in BOXES]) for k in range(2))
    x, y, z = extents.T
    areas = np.stack((y * z, y * z, x * z, x * z, x * y, x * y), 1)
    chosen = random.choice(areas.size, count, p=areas.ravel() / areas.sum())
    box, face = np.divmod(chosen, 6)
    place = random.random((count, 3)) - 0.5
    place[np.arange(count), face // 2] = np.where(face % 2, 0.5, -0.5)
    return centers[box] + place * extents[box]


def chair_mesh(vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V,3), at least as many as asked for, and quads (F,4): a grid on each face of each box."""
    side = int(np.ceil(np.sqrt(vertices / (6 * len(BOXES)))))
    u, v = (grid.ravel() for grid in np.meshgrid(*[np.linspace(-0.5, 0.5, side)] * 2, indexing="ij"))
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    quads = np.stack((corner, corner + side, corner + side + 1, corner + 1), 1)
    xyz, faces = [], []
    for center, extent in BOXES:
        for axis in range(3):
            for end in (-0.5, 0.5):
                grid = np.insert(np.stack((u, v), 1), axis, end, axis=1)
                faces.append(quads + len(xyz) * len(u))
                xyz.append(np.array(center) + grid * np.array(extent))
    return np.concatenate(xyz), np.concatenate(faces)


def dense_mesh_object(vertices: int) -> Any:
    """The chair as a mesh object of the scene."""
    import bpy

    xyz, faces = chair_mesh(vertices)
    mesh = bpy.data.meshes.new("chair")
    mesh.from_pydata(xyz.tolist(), [], faces.tolist())
    made = bpy.data.objects.new("chair", mesh)
    bpy.context.scene.collection.objects.link(made)
    return made


def starts(upright: bool) -> list[np.ndarray]:
    """Ten matrices (4,4): 45 degrees about the vertical or any axis, 0.7 or 1.3 times as large, and moved."""
    random = np.random.default_rng(45)
    found = []
    for number in range(10):
        axis = random.normal(size=3)
        axis = np.array([0, 0, 1 if number % 4 < 2 else -1]) if upright else axis / np.linalg.norm(axis)
        matrix = np.eye(4)
        matrix[:3, :3] = rotation(axis, np.radians(ANGLE_DEG)) * (1 + SCALE_OFF * (-1) ** number)
        matrix[:3, 3] = random.normal(size=3) * 0.5
        found.append(matrix)
    return found


def rotation(axis: np.ndarray, angle_rad: float) -> np.ndarray:
    """Rotation (3,3) about a unit axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1 - np.cos(angle_rad)) * cross @ cross


def error_of(start: np.ndarray, found: np.ndarray, xyz: np.ndarray) -> float:
    """Mean distance of points (N,3) from where they belong after a start and the alignment, in diagonals."""
    back = found @ start
    return float(np.linalg.norm(xyz @ back[:3, :3].T + back[:3, 3] - xyz, axis=1).mean()) / DIAGONAL


def converges(start: np.ndarray, **how: Any) -> bool:
    """Whether 2,000 points of the chair come back onto 6,000 others to 2 % of the diagonal."""
    from blender_addon import icp

    xyz = chair_points(2000, seed=1)
    target = icp.Side(chair_points(6000, seed=2))
    found = icp.align(icp.Side(icp.moved(start, xyz)), target, **how)
    return error_of(start, found.matrix, xyz) < 0.02
