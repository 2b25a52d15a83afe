# SPDX-License-Identifier: Apache-2.0
"""The values of every method under every protocol that was asked for, object by object and view by view."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from ..pointcloud import PointCloud
from .align import turn_of
from .baselines import take
from .metrics import pose_error_deg
from .protocol_scores import over_objects, over_views, pose_summary, predicted_cloud, score_cloud, true_cloud
from .protocols import Protocol, ProtocolMetric, pose_names, protocol_metrics
from .truth import Truth

Values = dict[str, float]


class ProtocolBoard:
    """Scores of clouds in the object frame under one protocol."""

    def __init__(
        self,
        protocol: Protocol,
        parts: Mapping[str, Sequence[str]],
        turns: Mapping[str, np.ndarray] | None = None,
        pose_is_learnt: bool = False,
    ) -> None:
        """parts: names by category. turns: rotations of the model's clouds to the protocol's alignment."""
        self.protocol, self.parts, self.turns = protocol, parts, turns
        self.pose_is_learnt = pose_is_learnt
        self.views: dict[str, dict[str, list[Values]]] = {}  # method -> object -> per view
        self.errors_deg: dict[str, list[torch.Tensor]] = {}
        self.predicted_points = 0
        self.true_points = 0
        self._object: str | None = None
        self._truth = PointCloud(np.zeros((0, 3)))
        self._known: dict[int, tuple[PointCloud, Values]] = {}  # by identity, with the cloud so that it lives

    def add(
        self, method: str, truth: Truth, view: int, cloud: PointCloud, rotation: torch.Tensor | None
    ) -> None:
        """Count the cloud (object frame) and the rotation (3,3), object -> camera, predicted from one view."""
        if self.protocol.inputs is not None and view >= self.protocol.inputs:
            return
        if truth.name != self._object:
            self._object, self._known = truth.name, {}
            self._truth = true_cloud(self.protocol, truth.samples, truth.cloud, truth.name)
            self.true_points = max(self.true_points, len(self._truth))
        if id(cloud) not in self._known:
            self._known[id(cloud)] = cloud, self._score(method, truth, view, cloud)
        values = self._known[id(cloud)][1]
        self.views.setdefault(method, {}).setdefault(truth.name, []).append(values)
        if rotation is not None and self.protocol.pose:
            turn = self._turn(method, truth.name)
            turned = rotation if turn is None else rotation @ torch.from_numpy(turn).T.to(rotation)
            error = pose_error_deg(turned[None], truth.rotations[view][None])
            self.errors_deg.setdefault(method, []).append(error)

    def _turn(self, method: str, name: str) -> np.ndarray | None:
        """The rotation that the model's clouds still need; the baselines are in the object frame already."""
        return turn_of(self.turns, name.partition("/")[0]) if self.turns and method == "model" else None

    def _score(self, method: str, truth: Truth, view: int, cloud: PointCloud) -> Values:
        chosen = predicted_cloud(self.protocol, cloud, f"{truth.name} {method} {view}")
        turn = self._turn(method, truth.name)
        if turn is not None:
            chosen = take(chosen, np.arange(len(chosen)))
            chosen.xyz = (chosen.xyz @ turn.T).astype(np.float32)
        if method == "model":
            self.predicted_points = max(self.predicted_points, len(chosen))
        parts = len(self.parts.get(truth.name.partition("/")[0], ()))
        return score_cloud(self.protocol, chosen, self._truth, truth.longest_edge, parts)

    def metrics(self) -> list[ProtocolMetric]:
        """The metrics under their full names, of the counts seen."""
        voxels = self.protocol.true_choice == "voxels"
        true_points = f"voxels{self.protocol.voxel:g}" if voxels else str(self.true_points)
        return protocol_metrics(self.protocol, self.predicted_points, true_points, self.pose_is_learnt)

    def result(self) -> dict[str, Any]:
        """Everything as plain values for JSON: metrics, and per method every number by its full name."""
        metrics = self.metrics()
        rows: list[dict[str, Any]] = [
            {"name": one.name, "lower_is_better": one.lower_is_better, "digits": one.digits}
            for one in metrics
        ]
        if self.protocol.pose:
            accuracy, median = pose_names(self.protocol, self.pose_is_learnt)
            rows.append({"name": accuracy, "lower_is_better": False, "digits": 3})
            rows.append({"name": median, "lower_is_better": True, "digits": 1})
        return {
            "title": self.protocol.title,
            "definition": asdict(self.protocol),
            "points": {"predicted": self.predicted_points, "true": self.true_points},
            "metrics": rows,
            "methods": {method: self._values(method, metrics) for method in self.views},
            "chamfer_by_view": {
                method: {
                    name: [self.protocol.scale * one["chamfer"] for one in views]
                    for name, views in objects.items()
                }
                for method, objects in self.views.items()
            },
        }

    def _values(self, method: str, metrics: Sequence[ProtocolMetric]) -> dict[str, float | None]:
        values = {one.name: one.scale * self._mean(method, one) for one in metrics}
        if self.protocol.pose:
            errors = self.errors_deg.get(method, [])
            summary = pose_summary(torch.cat(errors) if errors else torch.empty(0))
            values |= dict(zip(pose_names(self.protocol, self.pose_is_learnt), summary))
        return {name: value if math.isfinite(value) else None for name, value in values.items()}

    def _mean(self, method: str, metric: ProtocolMetric) -> float:
        objects = self.views[method]
        reduced = [
            over_views([one.get(metric.value, math.nan) for one in views], metric.views)
            for views in objects.values()
        ]
        return over_objects(reduced, list(objects), categories=self.protocol.categories)
