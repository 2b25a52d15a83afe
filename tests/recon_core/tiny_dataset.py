# SPDX-License-Identifier: Apache-2.0
"""A small dataset folder drawn by exact ray casting of boxes and spheres: no Blender, well under a second.

Everything in it is analytic: anti-aliased masks from 4x4 rays per pixel; part ids, depth and normals from the
ray through the pixel's centre; points sampled on the visible surface of the same solids.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from recon_core.cameras import Cameras, camera_to_world, orbit, pinhole
from recon_core.data.splits import split_of, write_splits
from recon_core.io.ply import write_ply
from recon_core.pointcloud import PointCloud

PARTS = ["back", "seat", "leg", "arm"]
PALETTE = [[0, 0, 0], [230, 60, 50], [60, 160, 80], [60, 90, 220], [240, 190, 40]]
SUBSAMPLES = 4
DEPTH_SCALE = 4.0 / 65535


@dataclass
class Solid:
    """A box (half extents) or an ellipsoid (radii) with a part id; frame of the object, +Z up, front -Y."""

    kind: str  # "box" or "ball"
    center: np.ndarray  # (3,)
    half: np.ndarray  # (3,)
    part: int


def make_tiny_dataset(
    root: Path,
    objects: int = 4,
    views: int = 4,
    size: int = 32,
    *,
    category: str = "chair",
    labelled: bool = True,
    points: int = 2048,
    seed: int = 0,
) -> Path:
    """Write a dataset at root and return it; of every 4 objects 2 are train, 1 val, 1 test, by name."""
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    meta = {
        "version": 1,
        "categories": [category],
        "parts": {category: PARTS} if labelled else {},
        "palette": PALETTE,
        "render": {"size": size, "views": views},
        "seed": seed,
        "generator": "tiny_dataset",
    }
    (root / "dataset.json").write_text(json.dumps(meta))
    names = object_names(objects, category)
    for index, name in enumerate(names):
        rng = np.random.default_rng([seed, index])
        solids, symmetry_order = make_solids(index % 4, rng)
        _write_object(root / name, solids, symmetry_order, views, size, points, labelled, rng)
    write_splits(root, names)
    return root


def object_names(count: int, category: str = "chair") -> list[str]:
    """Names whose hash puts them into train, val, train, test in turn."""
    names, number = [], 0
    for index in range(count):
        wanted = ("train", "val", "train", "test")[index % 4]
        while split_of(f"{category}/tiny_{number:05d}") != wanted:
            number += 1
        names.append(f"{category}/tiny_{number:05d}")
        number += 1
    return names


def make_solids(kind: int, rng: np.random.Generator) -> tuple[list[Solid], int]:
    """Solids of one of four kinds, normalised (box centre 0, diagonal 1), and the symmetry order about Z."""
    a, b, c = rng.uniform(0.8, 1.2, 3)
    if kind == 0:  # a chair: seat, back at +Y, one ball as leg
        parts = [
            ("box", (0, 0, 0), (0.5 * a, 0.5, 0.08), 2),
            ("box", (0, 0.45, 0.5 * b), (0.5 * a, 0.06, 0.5 * b), 1),
            ("ball", (0, 0, -0.35), (0.25 * c, 0.25 * c, 0.3), 3),
        ]
    elif kind == 1:  # a lathe shape: any angle looks the same
        parts = [
            ("ball", (0, 0, 0), (0.5 * a, 0.5 * a, 0.2), 2),
            ("ball", (0, 0, -0.4), (0.2, 0.2, 0.4 * b), 3),
        ]
    elif kind == 2:  # a square stool: four-fold
        parts = [
            ("box", (0, 0, 0), (0.4 * a, 0.4 * a, 0.15), 2),
            ("box", (0, 0, -0.5), (0.15, 0.15, 0.4 * b), 3),
        ]
    else:  # an L with one arm
        parts = [
            ("box", (0, 0, 0), (0.5 * a, 0.4, 0.1), 2),
            ("box", (0, 0.35, 0.4 * b), (0.5 * a, 0.08, 0.4 * b), 1),
            ("box", (0.45 * a, -0.05, 0.2 * c), (0.06, 0.35, 0.1 * c), 4),
        ]
    solids = [
        Solid(one, np.array(center, float), np.array(half, float), part) for one, center, half, part in parts
    ]
    low = np.min([one.center - one.half for one in solids], axis=0)
    high = np.max([one.center + one.half for one in solids], axis=0)
    scale = 1.0 / np.linalg.norm(high - low)
    for one in solids:
        one.center = (one.center - (low + high) / 2) * scale
        one.half = one.half * scale
    return solids, (1, 0, 4, 1)[kind]


def ring_cameras(views: int, size: int, rng: np.random.Generator) -> tuple[Cameras, np.ndarray, np.ndarray]:
    """Default cameras at spread azimuths and random elevations; azimuth and elevation (V,) in degrees."""
    azimuth = np.arange(views) * 360.0 / views + rng.uniform(0, 360.0 / views)
    elevation = rng.uniform(-20, 40, views)
    world_to_cam = orbit(torch.from_numpy(azimuth), torch.from_numpy(elevation))
    return pinhole(world_to_cam, size), azimuth, elevation


def cast(solids: list[Solid], camera: Cameras, per_pixel: int = 1) -> dict[str, np.ndarray]:
    """Nearest hits of per_pixel^2 rays per pixel of ONE camera: part, depth, normals at (H*s, W*s)."""
    height, width = camera.height * per_pixel, camera.width * per_pixel
    v, u = np.meshgrid(
        (np.arange(height) + 0.5) / per_pixel, (np.arange(width) + 0.5) / per_pixel, indexing="ij"
    )
    x = (u - float(camera.cx[0])) / float(camera.fx[0])
    y = -(v - float(camera.cy[0])) / float(camera.fy[0])
    pose = camera_to_world(camera.world_to_cam)[0].numpy()
    direction = np.stack((x, y, -np.ones_like(x)), -1) @ pose[:3, :3].T  # depth grows by 1 per unit of t
    best = np.full((height, width), np.inf)
    part = np.zeros((height, width), np.uint8)
    normals = np.zeros((height, width, 3))
    for solid in solids:
        t, normal = (_hit_box if solid.kind == "box" else _hit_ball)(solid, pose[:3, 3], direction)
        nearer = t < best
        best[nearer], part[nearer], normals[nearer] = t[nearer], solid.part, normal[nearer]
    return {"part": part, "depth": np.where(part > 0, best, 0.0), "normals": normals}


def _hit_box(solid: Solid, origin: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    safe = np.where(np.abs(direction) < 1e-12, 1e-12, direction)
    near = (solid.center - np.sign(safe) * solid.half - origin) / safe
    far = (solid.center + np.sign(safe) * solid.half - origin) / safe
    t, axis = near.max(-1), near.argmax(-1)
    normal = -np.sign(safe) * (np.arange(3) == axis[..., None])
    return np.where((t < far.min(-1)) & (t > 0), t, np.inf), normal


def _hit_ball(solid: Solid, origin: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start, step = (origin - solid.center) / solid.half, direction / solid.half
    a, b, c = (step * step).sum(-1), (step * start).sum(-1), (start * start).sum() - 1.0
    root = b * b - a * c
    t = (-b - np.sqrt(np.maximum(root, 0))) / a
    normal = (start + step * t[..., None]) / solid.half
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where((root > 0) & (t > 0), t, np.inf), normal


def shade(part: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Colours (..., 3) in [0, 255]: the part's palette colour under a light from the upper left front."""
    light = np.array([-0.4, -0.6, 0.7]) / np.linalg.norm([-0.4, -0.6, 0.7])
    return np.array(PALETTE, float)[part] * (0.45 + 0.55 * np.clip(normals @ light, 0, 1))[..., None]


def sample_points(solids: list[Solid], count: int, rng: np.random.Generator) -> PointCloud:
    """Points on the solids, uniform by (nearly) area, without those inside another solid."""
    xyz, normals, labels = [], [], []
    for solid in solids:
        more = rng.normal(size=(count * 4, 3))
        if solid.kind == "ball":
            unit = more / np.linalg.norm(more, axis=1, keepdims=True)
            normal = unit / solid.half
        else:
            area = 1.0 / solid.half / (1.0 / solid.half).sum()
            axis = rng.choice(3, len(more), p=area)
            unit = rng.uniform(-1, 1, more.shape)
            unit[np.arange(len(more)), axis] = np.sign(more[:, 0])
            normal = np.sign(unit) * (np.arange(3) == axis[:, None])
        keep = rng.random(len(more)) < _area(solid) / max(map(_area, solids))
        at = solid.center + unit * solid.half
        for other in solids:
            if other is not solid:
                keep &= ~_inside(other, at)
        xyz.append(at[keep])
        normals.append(normal[keep] / np.linalg.norm(normal[keep], axis=1, keepdims=True))
        labels.append(np.full(int(keep.sum()), solid.part))
    chosen = rng.permutation(sum(map(len, xyz)))[:count]
    label, normal = np.concatenate(labels)[chosen], np.concatenate(normals)[chosen]
    colors = np.array(PALETTE)[label]
    return PointCloud(np.concatenate(xyz)[chosen], colors, label, normal)


def _area(solid: Solid) -> float:
    x, y, z = solid.half
    return (x * y + y * z + z * x) * (8 if solid.kind == "box" else 4 * np.pi / 3)


def _inside(solid: Solid, xyz: np.ndarray) -> np.ndarray:
    local = np.abs((xyz - solid.center) / solid.half)
    return (local < 1).all(1) if solid.kind == "box" else (local**2).sum(1) < 1


def _write_object(
    folder: Path,
    solids: list[Solid],
    symmetry_order: int,
    views: int,
    size: int,
    points: int,
    labelled: bool,
    rng: np.random.Generator,
) -> None:
    for name in ("images", "masks", "depth", "normals", *(["parts"] if labelled else [])):
        (folder / name).mkdir(parents=True)
    cameras, azimuth, elevation = ring_cameras(views, size, rng)
    poses = camera_to_world(cameras.world_to_cam)
    frames = []
    for view in range(views):
        file = f"{view:03d}.png"
        _write_view(folder, file, solids, cameras[view : view + 1], labelled)
        ours = {
            "normal_path": f"normals/{file}",
            "azimuth_deg": azimuth[view],
            "elevation_deg": elevation[view],
        }
        frames.append(
            {
                "file_path": f"images/{file}",
                "mask_path": f"masks/{file}",
                "depth_file_path": f"depth/{file}",
                "transform_matrix": poses[view].tolist(),
                "recon": ours | {"distance": 2.0} | ({"part_path": f"parts/{file}"} if labelled else {}),
            }
        )
    cloud = sample_points(solids, points, rng)
    if not labelled:
        cloud.labels = None
    write_ply(folder / "points.ply", cloud)
    identity = np.eye(4).tolist()
    recon = {
        "version": 1,
        "name": folder.name,
        "category": folder.parent.name,
        "object_from_source": identity,
        "source_from_object": identity,
        "source": "none",
        "source_sha256": "",
        "symmetry_order": symmetry_order,
    } | ({"parts": PARTS} if labelled else {})
    intrinsics = {"fl_x": float(cameras.fx[0]), "fl_y": float(cameras.fy[0]), "cx": size / 2, "cy": size / 2}
    transforms = {"camera_model": "PINHOLE", **intrinsics, "w": size, "h": size}
    transforms |= {"integer_depth_scale": DEPTH_SCALE, "frames": frames, "recon": recon}
    (folder / "transforms.json").write_text(json.dumps(transforms))


def _write_view(folder: Path, file: str, solids: list[Solid], camera: Cameras, labelled: bool) -> None:
    size, s = camera.width, SUBSAMPLES
    fine, exact = cast(solids, camera, s), cast(solids, camera)

    def averaged(values: np.ndarray) -> np.ndarray:
        return values.reshape(size, s, size, s, -1).mean((1, 3))

    hit = (fine["part"] > 0).astype(float)[..., None]
    coverage = averaged(hit)
    rgb = averaged(shade(fine["part"], fine["normals"]) * hit) / np.maximum(coverage, 1e-9)
    alpha = np.rint(coverage * 255).astype(np.uint8)
    Image.fromarray(np.dstack((np.rint(rgb).astype(np.uint8), alpha))).save(folder / "images" / file)
    Image.fromarray(alpha[..., 0]).save(folder / "masks" / file)
    depth = np.rint(exact["depth"] / DEPTH_SCALE).astype(np.uint16)
    Image.fromarray(depth).save(folder / "depth" / file)
    normals = np.rint((exact["normals"] + 1) / 2 * 255) * (exact["part"] > 0)[..., None]
    Image.fromarray(normals.astype(np.uint8)).save(folder / "normals" / file)
    if labelled:
        ids = Image.fromarray(exact["part"], mode="P")
        ids.putpalette([channel for color in PALETTE for channel in color])
        ids.save(folder / "parts" / file)
