# SPDX-License-Identifier: Apache-2.0
"""Predictions of a dataset's objects with their evidence beside the true distances of their points."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..cameras import Cameras
from ..canonical_frame import read_canonical
from ..data.dataset import Dataset
from ..data.viewset import ViewSet
from ..errors import CheckpointError, ConfigError, DatasetError
from ..evaluation.truth import load_split
from ..geometry.nearest import build_tree, nearest
from ..inference.photo_camera import fit_camera
from ..methods.run import LoadedRun
from .assess import gather
from .features import Evidence
from .variants import Mode


@dataclass(frozen=True)
class Observation:
    """One prediction: what is known about its N points, and how far each is from the true surface (N,)."""

    name: str
    view: int
    evidence: Evidence
    distance: np.ndarray


def observe(
    run: LoadedRun,
    data: str | Path,
    split: str,
    modes: Sequence[Mode],
    *,
    views: int = 4,
    true_camera: bool = False,
    progress: bool = True,
) -> Iterator[dict[Mode, Observation]]:
    """Predict from the first `views` views of each object of a split, and observe in every mode.

    Cameras are fitted to the input's mask as for a photograph, with the predicted rotation; with true_camera, the true
    one takes its place where none is predicted. Raises DatasetError for a split without points or objects,
    CheckpointError when the model's frame is not known, ConfigError for an impossible number of views.
    """
    dataset = Dataset.open(data)
    turn = object_from_model(run)
    if not dataset.objects(split):
        raise DatasetError(f"{dataset.root}: the {split} split is empty.")
    viewset = load_split(dataset, split, run, progress)
    if not views >= 1:
        raise ConfigError(f"--views is {views}, expected at least 1.")
    for index in tqdm(range(len(viewset)), desc=f"observing {split}", unit="object", disable=not progress):
        name = viewset.names[index]
        tree = build_tree(dataset.points(name).xyz)
        for view in range(min(views, viewset.views)):
            crop = np.array(viewset.inputs[index, view])
            prediction = run.predict(crop[None])
            xyz = prediction.points.xyz[0].detach().cpu().double().numpy() @ turn.T
            camera = _camera(run, viewset, index, view, xyz, prediction.rotation, turn, true_camera)
            distance, _ = nearest(xyz, tree)
            yield {
                mode: Observation(name, view, gather(run, crop, prediction, mode, camera, xyz), distance)
                for mode in modes
            }


def object_from_model(run: LoadedRun) -> np.ndarray:
    """The rotation (3,3) from the frame of a run's points to the object frame; raises CheckpointError without it."""
    if not run.pose_is_learnt:
        return np.eye(3)
    canonical = read_canonical(run.folder, run.card.get("steps"))
    if canonical.rotation is None:
        raise CheckpointError(
            f"{run.folder}: the model has a frame of its own, so its points cannot be held against true ones "
            f"({canonical.note}). Run `recon eval` first."
        )
    return canonical.rotation


def _camera(
    run: LoadedRun,
    viewset: ViewSet,
    index: int,
    view: int,
    xyz: np.ndarray,
    rotation: torch.Tensor | None,
    turn: np.ndarray,
    true_camera: bool,
) -> Cameras | None:
    if rotation is not None:
        turned = rotation[0].detach().cpu().double().numpy() @ turn.T
    elif true_camera:
        turned = np.array(viewset.world_to_cam[index, view, :3, :3], np.float64)
    else:
        return None
    distance = float(np.linalg.norm(viewset.world_to_cam[index, view, :3, 3]))
    return fit_camera(xyz, turned, np.array(viewset.masks[index, view]), distance)
