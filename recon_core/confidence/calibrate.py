# SPDX-License-Identifier: Apache-2.0
"""`recon calibrate`: fit the maps from evidence to confidence on validation objects, and write RUN/confidence.json."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..methods.run import LoadedRun, load_run
from ..threads import single_threaded
from .calibration import Calibration, fit_map, map_name, write_calibration
from .features import Evidence, feature_table
from .observe import observe
from .reliability import Reliability, reliability
from .variants import Mode

MODES: tuple[Mode, ...] = ("fast", "full")
# Points that a map is fitted to: more change nothing in its few numbers.
_MOST_POINTS = 200_000


@dataclass
class _Table:
    """Features and distances of one map, gathered prediction by prediction."""

    features: list[np.ndarray] = field(default_factory=list)
    distance: list[np.ndarray] = field(default_factory=list)

    def add(self, evidence: Evidence, distance: np.ndarray) -> None:
        self.features.append(feature_table(evidence).astype(np.float32))
        self.distance.append(distance.astype(np.float32))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """At most _MOST_POINTS rows, evenly chosen."""
        features, distance = np.concatenate(self.features), np.concatenate(self.distance)
        step = -(-len(distance) // _MOST_POINTS)
        return features[::step].astype(np.float64), distance[::step].astype(np.float64)


@dataclass(frozen=True)
class Calibrated:
    """What was fitted, the file that was written, and how the maps do on the data that they were fitted to."""

    path: Path
    found: dict[str, Any]
    fits: dict[str, Reliability]


def calibrate_run(
    run_dir: str | Path,
    data: str | Path,
    split: str = "val",
    *,
    views: int = 4,
    device: str = "auto",
    progress: bool = True,
) -> Calibrated:
    """Fit all maps on a split of a dataset with points and write them beside the run's weights.

    Raises ReconErrors for runs and data that cannot be used.
    """
    run = load_run(run_dir, device)
    with single_threaded():
        calibration, found, fits = fit_calibration(run, data, split, views, progress)
    path = write_calibration(run.folder, calibration, run.card.get("steps"), found)
    return Calibrated(path, found, fits)


def fit_calibration(
    run: LoadedRun, data: str | Path, split: str, views: int, progress: bool
) -> tuple[Calibration, dict[str, Any], dict[str, Reliability]]:
    """The maps of all modes, with and without a camera; what they were found on; how they do on it."""
    tables: dict[str, _Table] = {}
    names, predictions, predicted = set(), 0, True
    for observation in observe(run, data, split, MODES, views=views, true_camera=True, progress=progress):
        for mode, one in observation.items():
            tables.setdefault(map_name(mode, True), _Table()).add(one.evidence, one.distance)
            unseen = replace(one.evidence, visibility=None)
            tables.setdefault(map_name(mode, False), _Table()).add(unseen, one.distance)
            names.add(one.name)
            predicted = one.evidence.pose_spread is not None
        predictions += 1
    maps, fits = {}, {}
    for name, table in tables.items():
        features, distance = table.arrays()
        maps[name] = fit_map(features, distance)
        fits[name] = reliability(maps[name].apply(features)[0], distance)
    found = {
        "data": Path(data).resolve().name,
        "split": split,
        "objects": len(names),
        "predictions": predictions,
        "cameras": "predicted" if predicted else "true, as the model predicts none",
    }
    return Calibration(maps, ""), found, fits


def as_text(done: Calibrated) -> str:
    """What the command prints."""
    lines = [f"{'map':<14}{'mean':>7}{'within':>8}{'error':>7}{'rank':>7}"]
    for name, one in done.fits.items():
        lines.append(
            f"{name:<14}{one.mean:>7.3f}{one.share:>8.3f}{one.calibration_error:>7.3f}{one.rank_correlation:>7.3f}"
        )
    lines += [
        "mean confidence, true share within the distance, their mean difference over ten bins, and rank correlation",
        f"with the true distance, on {done.found['objects']} objects that the maps were fitted to.",
        str(done.path),
    ]
    return "\n".join(lines)
