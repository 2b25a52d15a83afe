# SPDX-License-Identifier: Apache-2.0
"""Monotone maps from features to a probability and a distance: fitted on validation objects, kept as plain numbers.

A score is a sum of features with weights that are not negative, so that more doubt never gives more confidence. The
probability that a point lies within a distance of the true surface, and its expected distance from it, are monotone
functions of the score, found by pooling adjacent violators (Ayer et al. 1955) over quantiles of the score and linear
between them.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from .. import __version__
from ..errors import CheckpointError
from ..io.atomic import write_json
from ..io.weights import read_json
from .features import FEATURES

FILE_NAME = "confidence.json"
THRESHOLD = 0.02
"""Distance from the true surface, in object diagonals, within which a point counts as right."""
_KNOTS = 24
_LOG_FLOOR = 0.003  # distances below it are all good


@dataclass(frozen=True)
class ScoreMap:
    """One fitted map: score = features @ weights; at `score` the probability falls and the distance grows."""

    weights: np.ndarray  # (F,) of FEATURES, none negative
    score: np.ndarray  # (Q,) increasing
    probability: np.ndarray  # (Q,) in [0, 1], not increasing: within THRESHOLD of the surface
    distance: np.ndarray  # (Q,) not decreasing: expected distance to the surface, object diagonals

    def apply(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probability and expected distance (N,) each of features (N,F); constant beyond the fitted scores."""
        score = features @ self.weights
        return np.interp(score, self.score, self.probability), np.interp(score, self.score, self.distance)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        rounded = {name: np.round(getattr(self, name), 6).tolist() for name in _KNOT_LISTS}
        return {"weights": dict(zip(FEATURES, np.round(self.weights, 6).tolist())), **rounded}


_KNOT_LISTS = ("score", "probability", "distance")


@dataclass(frozen=True)
class Calibration:
    """Maps by name ("fast", "fast, camera", ...), and in words where they come from."""

    maps: dict[str, ScoreMap]
    note: str

    def find(self, mode: str, camera: bool) -> ScoreMap:
        """The map of a mode, for points whose visibility is known or not; the nearest there is."""
        names = (
            map_name(mode, camera),
            map_name(mode, False),
            map_name("fast", camera),
            map_name("fast", False),
        )
        return next(self.maps[name] for name in names if name in self.maps)


def map_name(mode: str, camera: bool) -> str:
    """The key of a map."""
    return f"{mode}, camera" if camera else mode


def fit_map(features: np.ndarray, distance: np.ndarray) -> ScoreMap:
    """Fit features (N,F) of points to their true distances (N,) from the surface, N >= 2."""
    target = np.log(distance + _LOG_FLOOR)
    centre = features.mean(0)
    weights, _ = nnls(features - centre, target - target.mean())
    if not weights.any():
        weights = np.zeros(features.shape[1])
    score = features @ weights
    knots = _quantile_bins(score)
    at = np.array([score[bin].mean() for bin in knots])
    sizes = np.array([len(bin) for bin in knots], float)
    right = np.array([(distance[bin] <= THRESHOLD).mean() for bin in knots])
    far = np.array([distance[bin].mean() for bin in knots])
    return ScoreMap(weights, at, -pooled(-right, sizes), pooled(far, sizes))


def pooled(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The not decreasing sequence (Q,) nearest to values (Q,) in weighted least squares: adjacent violators pooled."""
    blocks: list[list[float]] = []  # mean, weight, length
    for value, weight in zip(values, weights, strict=True):
        blocks.append([float(value), float(weight), 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, mass, length = blocks.pop()
            last = blocks[-1]
            last[0] = (last[0] * last[1] + mean * mass) / (last[1] + mass)
            last[1], last[2] = last[1] + mass, last[2] + length
    return np.repeat([block[0] for block in blocks], [int(block[2]) for block in blocks])


def _quantile_bins(score: np.ndarray) -> list[np.ndarray]:
    """Indices of points in up to _KNOTS bins of equal size by score; equal scores share a bin."""
    order = np.argsort(score, kind="stable")
    edges = np.linspace(0, len(order), min(_KNOTS, len(order)) + 1).astype(int)[1:-1]
    ordered = score[order]
    starts = np.unique([np.searchsorted(ordered, ordered[edge], "left") for edge in edges])
    return [part for part in np.split(order, starts) if len(part)]


def write_calibration(
    run_folder: Path, calibration: Calibration, steps: int | None, found: dict[str, Any]
) -> Path:
    """Write RUN/confidence.json; it holds for the weights it was found with, which it names by their steps."""
    content = {
        "version": 1,
        "generator": f"recon {__version__}",
        "steps": steps,
        "within": THRESHOLD,
        "found": found,
        "maps": {name: one.record() for name, one in calibration.maps.items()},
    }
    path = run_folder / FILE_NAME
    write_json(path, content)
    return path


def read_calibration(run_folder: Path, steps: int | None) -> Calibration:
    """The run's own calibration for weights of `steps` steps, else the default one, with the reason.

    Raises CheckpointError for a file that is broken.
    """
    path = run_folder / FILE_NAME
    if not path.is_file():
        return default_calibration("`recon calibrate` of this run has not been done")
    content = read_json(path)
    if content.get("steps") != steps:
        return default_calibration(f"{FILE_NAME} is of step {content.get('steps')}, these weights of {steps}")
    found = content.get("found")
    objects = found.get("objects", "some") if isinstance(found, dict) else "some"
    return Calibration(
        _maps_of(content, path), f"calibrated on {objects} objects of this run's validation data"
    )


def default_calibration(reason: str = "") -> Calibration:
    """The maps that come with this package, of another model."""
    text = files("recon_core.confidence").joinpath("default.json").read_text(encoding="utf-8")
    because = f": {reason}" if reason else ""
    return Calibration(
        _maps_of(json.loads(text), Path("default.json")), f"calibrated on another model{because}"
    )


def _maps_of(content: Mapping[str, Any], path: Path) -> dict[str, ScoreMap]:
    maps = content.get("maps")
    if not isinstance(maps, dict) or map_name("fast", False) not in maps:
        raise _broken(path, 'expected "maps" with at least "fast"')
    return {str(name): _map_of(one, path) for name, one in maps.items()}


def _map_of(record: Any, path: Path) -> ScoreMap:
    try:
        weights = np.array([float(record["weights"].get(name, 0.0)) for name in FEATURES])
        score, probability, distance = (np.array([float(v) for v in record[name]]) for name in _KNOT_LISTS)
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise _broken(path, f"a map lacks numbers ({error})") from None
    if not 1 <= len(score) == len(probability) == len(distance) <= 4096:
        raise _broken(path, "the lists of a map differ in length")
    every = np.concatenate((weights, score, probability, distance))
    if not all(map(math.isfinite, every)) or (weights < 0).any() or (np.diff(score) < 0).any():
        raise _broken(path, "a map is not made of finite numbers, weights from 0 on and increasing scores")
    if (
        probability.min() < 0
        or probability.max() > 1
        or (np.diff(probability) > 0).any()
        or distance.min() < 0
    ):
        raise _broken(path, "probabilities must fall within [0, 1]")
    return ScoreMap(weights, score, probability, distance)


def _broken(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path}: {what}. Remove the file and run `recon calibrate`.")
