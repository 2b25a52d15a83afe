# SPDX-License-Identifier: Apache-2.0
"""The truth about one object, and how a predicted cloud is held against it."""

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree

from ..cameras import Cameras
from ..data.cache import load_views
from ..data.dataset import Dataset
from ..data.viewset import ViewSet
from ..geometry.nearest import build_tree
from ..pointcloud import PointCloud
from ..renderers.splat import optical_depth, splat_mask
from .baselines import take
from .metrics import Matches, match_clouds
from .predictor import Predictor

MASK_SIZE_PX = 64
# The renderer's density and the sharpest sigma of training: with these, 2,000 points sampled from a true
# surface
# close its silhouette without growing it (IoU about 0.90 at 64 px).
SPLAT_SIGMA_PX = 0.7
SPLAT_DENSITY = 1.5
MAX_UNSEEN_VIEWS = 8
DEFAULT_TRUE_POINTS = 4096


@dataclass(frozen=True)
class Truth:
    """One object: V views, M true points, and a second sampling of its surface for the noise floor."""

    name: str
    symmetry_order: int
    cloud: PointCloud  # M points, object frame
    tree: cKDTree  # of cloud.xyz
    floor: PointCloud  # other points of the same surface, none of them in `cloud`
    samples: PointCloud  # all points of the surface but those of `floor`: `cloud` and more
    longest_edge: float  # of the box of all points, object units
    inputs: np.ndarray  # (V, S, S, 4) uint8
    masks: torch.Tensor  # (V, 64, 64) coverage in [0, 1]
    cameras: Cameras  # V, of the full frames at 64 px
    rotations: torch.Tensor  # (V, 3, 3) object -> camera


@dataclass(frozen=True)
class Judged:
    """A cloud in the object frame beside the truth: nearest neighbours, and silhouettes in some of the views."""

    cloud: PointCloud
    matches: Matches
    views: list[int]
    coverage: torch.Tensor  # (len(views), 64, 64)


def load_truth(
    dataset: Dataset, views: ViewSet, index: int, predicted_points: int, true_points: int
) -> Truth:
    """Read the object at `index` of a view set, with about `true_points` true points (see split_samples)."""
    name = views.names[index]
    points = dataset.points(name)
    cloud, floor, samples = split_samples(points, predicted_points, true_points, name)
    every = np.arange(views.views)
    cameras = views.cameras(np.full_like(every, index), every)
    return Truth(
        name=name,
        symmetry_order=int(views.symmetry_order[index]),
        cloud=cloud,
        tree=build_tree(cloud.xyz),
        floor=floor,
        samples=samples,
        longest_edge=float(np.ptp(points.xyz, axis=0).max()),
        inputs=np.array(views.inputs[index]),
        masks=torch.from_numpy(np.array(views.masks[index])).float() / 255,
        cameras=cameras,
        rotations=cameras.world_to_cam[:, :3, :3],
    )


def split_samples(
    cloud: PointCloud, predicted_points: int, true_points: int, name: str
) -> tuple[PointCloud, PointCloud, PointCloud]:
    """Random subsets of a surface's samples: the truth; as many others as are predicted; all but these others.

    The truth has `true_points`, or fewer where that would leave too few for the second: never less than half
    of the samples. Which points, depends on the object's name alone.
    """
    total = len(cloud)
    order = np.random.default_rng(zlib.crc32(name.encode())).permutation(total)
    count = min(true_points, max(total - predicted_points, (total + 1) // 2))
    rest = order[count : count + predicted_points]
    samples = np.concatenate((order[:count], order[count + predicted_points :]))
    return take(cloud, order[:count]), take(cloud, rest if len(rest) else order[:1]), take(cloud, samples)


def load_split(dataset: Dataset, split: str, predictor: Predictor, progress: bool) -> ViewSet:
    """The views of a split as the model sees them, from the cache that training uses where it fits."""
    return load_views(
        dataset.root,
        split,
        input_size=predictor.input_size,
        mask_size=MASK_SIZE_PX,
        margin=predictor.margin,
        progress=progress,
    )


def unseen_views(view: int, total: int) -> list[int]:
    """Up to 8 of the object's views other than the input, spread evenly over them."""
    others = [(view + step) % total for step in range(1, total)]
    if len(others) <= MAX_UNSEEN_VIEWS:
        return others
    return [others[place * len(others) // MAX_UNSEEN_VIEWS] for place in range(MAX_UNSEEN_VIEWS)]


def judge(cloud: PointCloud, truth: Truth, views: list[int], workers: int = 1) -> Judged:
    """Hold a cloud in the object frame against the truth, rendering it in the given views."""
    matches = match_clouds(cloud.xyz, truth.cloud.xyz, truth_tree=truth.tree, workers=workers)
    return Judged(cloud, matches, views, render_coverage(cloud, truth.cameras[views]))


def render_coverage(cloud: PointCloud, cameras: Cameras) -> torch.Tensor:
    """Coverage (V,H,W) of a cloud splatted with its opacity (1 where it has none) into V views."""
    count = len(cameras)
    xyz = torch.from_numpy(cloud.xyz).expand(count, -1, -1)
    opacity = torch.ones(len(cloud)) if cloud.opacity is None else torch.from_numpy(cloud.opacity)
    size = (cameras.height, cameras.width)
    tau = optical_depth(opacity.expand(count, -1), size, SPLAT_DENSITY)
    uv_px, depth = cameras.project(xyz)
    return splat_mask(uv_px, depth, tau, size, SPLAT_SIGMA_PX * cameras.width / MASK_SIZE_PX)
