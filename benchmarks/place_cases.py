# SPDX-License-Identifier: Apache-2.0
"""Photographs of known objects through drawn cameras, for `place_bench.py`: rendered from the meshes, not from points.

Drawn for each case: direction (or any rotation), roll, lens of 25 to 100 mm on a 36 mm sensor, the share of the picture
that the object takes (which sets the distance), where in the picture it is, a crop's offset, light.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from recon_core.cameras import Cameras, random_rotations
from recon_core.io.glb import read_glb
from recon_core.io.ply import read_ply
from recon_core.mesh import Meshes
from recon_core.placing.starts import _upright
from recon_core.placing.views import towards
from recon_core.pointcloud import PointCloud
from recon_core.renderers.mesh import visible_faces
from recon_core.renderers.mesh_shading import Lambert, normal_image, shade, surface_color

WIDTH, HEIGHT, SUPERSAMPLED = 320, 240, 2


@dataclass(frozen=True)
class Case:
    """One picture, the camera it was taken by, and what it shows."""

    name: str
    cloud: PointCloud
    symmetry_order: int
    camera: Cameras  # (1), of the picture as it is, cropped or not
    focal_mm: float
    rgb: np.ndarray  # (H, W, 3) uint8
    mask: np.ndarray  # (H, W) uint8


@dataclass(frozen=True)
class Drawn:
    """How cases are drawn."""

    poses: str = "any"  # any rotation, or "upright": elevations -20 to 60, rolls to 10 degrees
    crop: float = 0.0  # greatest offset of the crop, in shares of the picture's size


def make_case(folder: Path, seed: int, drawn: Drawn) -> Case:
    """One case of a procedural object's folder (model.glb, points.ply, object.json)."""
    about = json.loads((folder / "object.json").read_text(encoding="utf-8"))
    meshes, cloud = read_glb(folder / "model.glb"), read_ply(folder / "points.ply")
    generator = np.random.default_rng(seed)
    focal_mm = float(np.exp(generator.uniform(np.log(25), np.log(100))))
    camera = draw_camera(meshes.vertices[0].double().numpy(), focal_mm, generator, drawn, seed)
    rgb, mask = render(meshes, camera, generator)
    return Case(folder.name, cloud, int(about["symmetry_order"]), camera, focal_mm, rgb, mask)


def draw_camera(
    vertices: np.ndarray, focal_mm: float, generator: np.random.Generator, drawn: Drawn, seed: int
) -> Cameras:
    """A camera whose picture holds the whole object."""
    middle = (vertices.min(0) + vertices.max(0)) / 2
    if drawn.poses == "any":
        rotation = random_rotations(1, torch.Generator().manual_seed(seed))
    else:
        angles = generator.uniform(0, 360), generator.uniform(-20, 60), generator.uniform(-10, 10)
        rotation = torch.from_numpy(_upright(*angles))[None]
    share = generator.uniform(0.4, 0.8) * np.array([WIDTH, HEIGHT])
    aside, crop = generator.uniform(-1, 1, 2), generator.uniform(-drawn.crop, drawn.crop, 2)
    picture = np.array([WIDTH, HEIGHT], float)
    focal, centre = focal_mm / 36 * WIDTH, picture / 2 + crop * picture
    extent = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    distance, goal = focal * extent / share[1], picture / 2
    for _ in range(12):  # the box's size and place are known only when it is projected
        camera, box = _aimed(rotation, middle, distance, focal, centre, goal, vertices)
        size = box[1] - box[0]
        distance = max(distance * float((size / share).max()), 0.75 * extent)
        goal = picture / 2 + aside * np.maximum(picture - size, 0) / 2 * 0.9 + goal - box.mean(0)
    return camera


def _aimed(rotation, middle, distance, focal, centre, goal, vertices) -> tuple[Cameras, np.ndarray]:
    """A camera that sees the object's middle at pixel `goal`, and the projected box (2,2)."""
    slope = (goal - centre) / focal
    ray = torch.tensor([[slope[0], -slope[1], -1.0]], dtype=torch.float64)
    turned = towards(ray) @ rotation
    matrix = torch.eye(4, dtype=torch.float64)[None].clone()
    matrix[0, :3, :3] = turned[0]
    matrix[0, :3, 3] = ray[0] / ray[0].norm() * distance - turned[0] @ torch.from_numpy(middle)
    fx, cx, cy = (torch.tensor([float(value)], dtype=torch.float64) for value in (focal, *centre))
    camera = Cameras(matrix, fx, fx.clone(), cx, cy, WIDTH, HEIGHT)
    uv = camera.project(torch.from_numpy(vertices)[None])[0][0].numpy()
    return camera, np.stack((uv.min(0), uv.max(0)))


def render(meshes: Meshes, camera: Cameras, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Colours (H,W,3) and coverage (H,W) uint8, supersampled; one distant light, an even sky, a plain background."""
    meshes, camera = meshes.map(lambda tensor: tensor.float()), camera.to(torch.float32)
    large = camera.resized(camera.width * SUPERSAMPLED, camera.height * SUPERSAMPLED)
    uv, depth = large.project(meshes.vertices)
    face = visible_faces(uv, depth, meshes.faces, (large.height, large.width), interpolation="perspective")
    paint = surface_color(face, uv, depth, meshes, "perspective")
    normals = normal_image(face, uv, depth, meshes, smooth=False, interpolation="perspective")
    x, y, z = generator.normal(size=3)
    light = Lambert((x, y, abs(z) + 0.3), generator.uniform(0.25, 0.5), generator.uniform(0.4, 0.8))
    background = torch.from_numpy(generator.uniform(0.2, 0.9, 3)).float()
    cover = (face[0] >= 0).float()
    shown = torch.where(cover[..., None] > 0, shade(paint, normals, light)[0], background)
    shown = shown + 0.03 * torch.from_numpy(generator.normal(size=shown.shape)).float()
    planes = torch.cat((shown.permute(2, 0, 1), cover[None]))[None]
    pixels = (
        (torch.nn.functional.avg_pool2d(planes, SUPERSAMPLED)[0].clamp(0, 1) * 255)
        .round()
        .to(torch.uint8)
        .numpy()
    )
    return np.ascontiguousarray(pixels[:3].transpose(1, 2, 0)), pixels[3]
