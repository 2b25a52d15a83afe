# SPDX-License-Identifier: Apache-2.0
"""A small labelled object in ShapeNet's frame (+Y up, front +X), seen by pinholes that recon_core knows nothing of.

Every view is cast ray by ray from a camera centre and pixel directions, which the tests work out in each format's own
convention. The object has no symmetry, so that a turned or mirrored camera shows.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

CHAIR, PART_NAMES = "03001627", ["back", "seat", "leg", "arm"]
COLOURS = np.array([[0, 0, 0], [200, 60, 40], [60, 150, 70], [50, 80, 210], [230, 180, 50]], float)
SUBSAMPLES = 4
# Centre, half extents, part; the back is behind the seat (-X), the arm on the left side only (-Z).
_BOXES = [
    ((0.0, 0.0, 0.0), (0.45, 0.07, 0.5), 2),
    ((-0.4, 0.55, 0.0), (0.06, 0.5, 0.42), 1),
    ((0.1, -0.4, 0.15), (0.22, 0.34, 0.16), 3),
    ((0.1, 0.22, -0.42), (0.3, 0.15, 0.06), 4),
]


@dataclass
class Solid:
    """Boxes: centre (K,3), half extents (K,3), part (K,), in ShapeNet's frame."""

    center: np.ndarray
    half: np.ndarray
    part: np.ndarray


@dataclass
class View:
    """What a camera sees, (H,W): straight colours, coverage, part ids, planar depth (0 = background)."""

    rgb: np.ndarray
    mask: np.ndarray
    part: np.ndarray
    depth: np.ndarray

    @property
    def rgba(self) -> np.ndarray:
        """Straight colours and coverage (H,W,4) uint8."""
        return np.dstack((self.rgb, self.mask))

    @property
    def on_white(self) -> np.ndarray:
        """Composited on white, (H,W,3) uint8."""
        alpha = self.mask[..., None] / 255.0
        return np.rint(self.rgb * alpha + 255 * (1 - alpha)).astype(np.uint8)


def make_solid(index: int = 0, normalise: str = "diagonal") -> Solid:
    """The object, slightly different for each index: box centre 0 and diagonal 1, or longest edge 1, or as it is."""
    rng = np.random.default_rng(index)
    center = np.array([one[0] for one in _BOXES])
    half = np.array([one[1] for one in _BOXES]) * rng.uniform(0.85, 1.15, (len(_BOXES), 3))
    low, high = (center - half).min(0), (center + half).max(0)
    size = {"diagonal": np.linalg.norm(high - low), "edge": (high - low).max(), "none": 1.0}[normalise]
    shift = 0.0 if normalise == "none" else (low + high) / 2
    return Solid((center - shift) / size, half / size, np.array([one[2] for one in _BOXES]))


def cast(
    solid: Solid, origin: np.ndarray, direction: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Part (H,W), t (H,W) and brightness of the nearest hit of origin (3,) + t direction (H,W,3); part 0: none."""
    safe = np.where(np.abs(direction) < 1e-12, 1e-12, direction)
    best = np.full(direction.shape[:2], np.inf)
    part, light = np.zeros(direction.shape[:2], np.uint8), np.zeros(direction.shape[:2])
    for center, half, label in zip(solid.center, solid.half, solid.part, strict=True):
        one, two = (center - half - origin) / safe, (center + half - origin) / safe
        near, far = np.minimum(one, two), np.maximum(one, two)
        t, axis = near.max(-1), near.argmax(-1)
        hit = (t < far.min(-1)) & (t > 0) & (t < best)
        best[hit], part[hit], light[hit] = t[hit], label, np.array([0.6, 1.0, 0.8])[axis[hit]]
    return part, np.where(part > 0, best, 0.0), light


def see(
    solid: Solid, size: int, rays: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> View:
    """Render one view. `rays(u, v)` gives the origin (3,) and directions (...,3) of positions in [0,1]^2 of the image.

    u runs to the right, v down; t along a direction is the planar depth.
    """
    fine = size * SUBSAMPLES
    part, _, light = cast(solid, *rays(*_grid(fine)))
    colour = COLOURS[part] * light[..., None]
    hit = (part > 0).astype(float)

    def averaged(values: np.ndarray) -> np.ndarray:
        return values.reshape(size, SUBSAMPLES, size, SUBSAMPLES, -1).mean((1, 3))

    coverage = averaged(hit)
    rgb = averaged(colour) / np.maximum(coverage, 1e-9)
    exact_part, depth, _ = cast(solid, *rays(*_grid(size)))
    mask = np.rint(coverage[..., 0] * 255).astype(np.uint8)
    return View(np.rint(rgb).astype(np.uint8), mask, exact_part, depth)


def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    v, u = np.meshgrid((np.arange(size) + 0.5) / size, (np.arange(size) + 0.5) / size, indexing="ij")
    return u, v


def sample(solid: Solid, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points (N,3) uniform on the outer surface, and their parts (N,)."""
    rng = np.random.default_rng(seed)
    x, y, z = solid.half.T
    faces = np.stack((y * z, z * x, x * y), 1)  # (K, 3) area of a face by its normal's axis
    box, axis = np.unravel_index(
        rng.choice(faces.size, count * 3, p=(faces / faces.sum()).ravel()), faces.shape
    )
    unit = rng.uniform(-1, 1, (len(box), 3))
    unit[np.arange(len(box)), axis] = rng.choice([-1.0, 1.0], len(box))
    at = solid.center[box] + unit * solid.half[box]
    inside = np.zeros(len(at), bool)
    for other in range(len(solid.part)):
        local = np.abs(at - solid.center[other]) / solid.half[other]
        inside |= (other != box) & (local < 1).all(1)
    return at[~inside][:count], solid.part[box][~inside][:count]


def save(path: Path, pixels: np.ndarray) -> None:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def blender_to_shapenet(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) of Blender's world after the OBJ import, back to the file: (x, y, z) -> (x, z, -y)."""
    return np.stack((vectors[..., 0], vectors[..., 2], -vectors[..., 1]), -1)


def dpc_extrinsic(
    azimuth_deg: float, elevation_deg: float, distance: float = 2.0
) -> tuple[np.ndarray, np.ndarray]:
    """World-to-camera (4,4), OpenCV axes, and position (3,), of a camera on a sphere in Blender's world."""
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    position = distance * np.array(
        [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
    )
    forward = -position / distance
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack((right, np.cross(forward, right), forward))
    matrix[:3, 3] = -matrix[:3, :3] @ position
    return matrix, position


def dpc_view(solid: Solid, size: int, extrinsic: np.ndarray) -> View:
    """What Blender's 60 mm lens on a 32 mm sensor sees: (x, y) / z times 1.875 spans [-0.5, 0.5]."""

    def rays(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        direction = np.stack(((u - 0.5) / 1.875, (v - 0.5) / 1.875, np.ones_like(u)), -1) @ extrinsic[:3, :3]
        origin = -extrinsic[:3, :3].T @ extrinsic[:3, 3]
        return blender_to_shapenet(origin), blender_to_shapenet(direction)

    return see(solid, size, rays)


def depth_levels(view: View) -> np.ndarray:
    """DPC's 16-bit depth: value * 10 / 65535, the background at 10."""
    return np.rint(np.where(view.part > 0, view.depth, 10.0) * 65535 / 10).astype(np.uint16)


def dpc_angles(views: int, seed: int) -> list[tuple[float, float]]:
    """Azimuth and elevation in degrees, as DRC draws them."""
    rng = np.random.default_rng([7, seed])
    return [(float(rng.integers(-180, 180)), float(rng.integers(-20, 40))) for _ in range(views)]


def torch_split_file(splits: dict[str, list[str]]) -> str:
    """A table of tables of strings, as Lua Torch serialises it as text."""
    lines = ["3", "1", str(len(splits))]
    for place, (split, names) in enumerate(splits.items()):
        lines += ["2", str(len(split)), split, "3", str(place + 2), str(len(names))]
        for index, name in enumerate(names, 1):
            lines += ["1", str(index), "2", str(len(name)), name]
    return "\n".join(lines) + "\n"


def transforms_of(root: Path, name: str) -> dict:
    """The transforms.json of an imported object."""
    return json.loads((root / name / "transforms.json").read_text())
