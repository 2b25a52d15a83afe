# SPDX-License-Identifier: Apache-2.0
"""A predictor that knows the answers and blurs them: the true cloud with noise, found by the input's pixels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from recon_core.data.cache import load_views
from recon_core.data.dataset import Dataset
from recon_core.pointcloud import PointCloud, Points


@dataclass
class FakePrediction:
    """Points and rotations of a batch."""

    points: Points
    rotation: torch.Tensor | None
    category: torch.Tensor | None = None


class FakePredictor:
    """The true clouds with Gaussian noise; in a frame of its own, with noisy poses, when `turn` (3,3) is given."""

    input_size = 32
    margin = 1.15

    def __init__(
        self,
        data: Path,
        *,
        points: int = 500,
        noise: float = 0.02,
        turn: np.ndarray | None = None,
        pose_noise_deg: float = 8.0,
        heads: bool = True,
        fail: bool = False,
    ) -> None:
        """turn: canonical -> object; heads: whether opacity, colour and parts are predicted; fail: NaN points."""
        self.count, self.noise, self.turn, self.pose_noise_deg = points, noise, turn, pose_noise_deg
        self.heads, self.fail = heads, fail
        self.random = np.random.default_rng(0)
        self.answers: dict[bytes, tuple[PointCloud, np.ndarray]] = {}
        dataset = Dataset.open(data)
        for split in ("train", "val", "test"):
            if dataset.objects(split):
                self._learn(dataset, split)

    @property
    def pose_is_learnt(self) -> bool:
        """Whether the clouds are in a frame of the predictor's own."""
        return self.turn is not None

    def _learn(self, dataset: Dataset, split: str) -> None:
        views = load_views(dataset.root, split, input_size=self.input_size, mask_size=64, progress=False)
        for index, name in enumerate(views.names):
            cloud = dataset.points(name)
            for view in range(views.views):
                rotation = np.array(views.world_to_cam[index, view, :3, :3], np.float64)
                self.answers[np.array(views.inputs[index, view]).tobytes()] = (cloud, rotation)

    def predict(self, rgba_crops: np.ndarray) -> FakePrediction:
        """Noisy answers to crops (B,S,S,4)."""
        known = [self.answers[crop.tobytes()] for crop in rgba_crops]
        picks = [self.random.permutation(len(cloud))[: self.count] for cloud, _ in known]
        xyz = np.stack([cloud.xyz[pick] for (cloud, _), pick in zip(known, picks)]).astype(np.float64)
        xyz += self.noise * self.random.standard_normal(xyz.shape)
        rotation = None
        if self.turn is not None:
            vectors = np.radians(self.pose_noise_deg) / 3**0.5 * self.random.standard_normal((len(known), 3))
            rotations = np.stack([rotation for _, rotation in known])
            xyz = xyz @ self.turn  # object -> canonical
            rotation = torch.from_numpy(rotations @ Rotation.from_rotvec(vectors).as_matrix() @ self.turn)
        xyz[:] = np.nan if self.fail else xyz
        points = Points(torch.from_numpy(xyz).float())
        if self.heads:
            points = Points(points.xyz, torch.full(xyz.shape[:2], 0.9), *self._attributes(known, picks))
        return FakePrediction(points, rotation)

    def _attributes(self, known: list, picks: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor | None]:
        colors = np.stack([cloud.colors[pick] for (cloud, _), pick in zip(known, picks)])
        if any(cloud.labels is None for cloud, _ in known):
            return torch.from_numpy(colors).float() / 255, None
        labels = np.stack([cloud.labels[pick] for (cloud, _), pick in zip(known, picks)]).astype(np.int64)
        return torch.from_numpy(colors).float() / 255, torch.from_numpy(np.eye(4)[labels - 1]).float()
