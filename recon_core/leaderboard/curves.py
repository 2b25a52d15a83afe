# SPDX-License-Identifier: Apache-2.0
"""Scores on the validation split against CPU time: mask IoU from a run's log, Chamfer from its checkpoints.

Both are made after the clock: the Chamfer of a checkpoint is not counted in the run's CPU time.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..data.dataset import Dataset
from ..errors import ReconError
from ..evaluation.align import alignment_split, table_alignment
from ..evaluation.baselines import thinned
from ..evaluation.metrics import match_clouds
from ..evaluation.truth import load_split
from ..io.weights import read_json
from ..methods.run import LoadedRun, load_run
from ..threads import single_threaded
from ..training.checkpoints import latest_checkpoint, list_checkpoints

MAX_OBJECTS = 24
TRUE_POINTS = 2048
Curve = list[tuple[float, float]]  # CPU seconds, score


def iou_curve(run: Path) -> Curve:
    """Mask IoU at each validation of a run; empty when it has no log."""
    try:
        text = (run / "metrics.jsonl").read_text(encoding="utf-8")
    except OSError:
        return []
    lines = [json.loads(line) for line in text.splitlines()]
    return [(line["cpu_s"], line["mask_iou"]) for line in lines if line.get("kind") == "val"]


def chamfer_curve(run: Path, data: Path) -> Curve:
    """Chamfer sum x100 of every checkpoint, from the first view of up to 24 validation objects.

    A checkpoint whose learnt frame cannot be aligned yet has no point.
    """
    dataset = Dataset.open(data)
    curve = []
    with single_threaded():
        for checkpoint in list_checkpoints(run):
            cpu_s = float(read_json(checkpoint / "state.json")["cpu_s"])
            try:
                curve.append((cpu_s, _chamfer(load_run(checkpoint, "cpu"), dataset)))
            except ReconError:
                continue
    return curve


def joined_curve(runs: Sequence[Path], curve_of: Callable[[Path], Curve]) -> Curve:
    """The curves of trainings that follow one another, as one over their CPU time together."""
    curve, before = [], 0.0
    for run in runs:
        curve += [(before + cpu_s, score) for cpu_s, score in curve_of(run)]
        before += float(read_json(latest_checkpoint(run) / "state.json")["cpu_s"])
    return curve


def keep_last_checkpoint(run: Path) -> None:
    """Remove the checkpoints that the curve was made of."""
    for old in list_checkpoints(run)[:-1]:
        shutil.rmtree(old, ignore_errors=True)


def _chamfer(loaded: LoadedRun, dataset: Dataset) -> float:
    """Mean over objects of precision + coverage, Euclidean, object units x 100."""
    views = load_split(dataset, alignment_split(dataset), loaded, progress=False)
    chosen = np.unique(np.linspace(0, len(views) - 1, MAX_OBJECTS).astype(int))
    turn = table_alignment(loaded, dataset, progress=False).rotation if loaded.pose_is_learnt else np.eye(3)
    clouds = loaded.predict(np.array(views.inputs[chosen, 0])).points.xyz.cpu().numpy() @ turn.T
    values = []
    for index, cloud in zip(chosen, clouds):
        truth = thinned(dataset.points(views.names[index]), TRUE_POINTS, np.random.default_rng(int(index)))
        matches = match_clouds(cloud, truth.xyz)
        values.append(float(matches.pred_to_truth.mean() + matches.truth_to_pred.mean()))
    return 100 * float(np.mean(values))
