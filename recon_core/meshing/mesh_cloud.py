# SPDX-License-Identifier: Apache-2.0
"""From a cloud to a closed surface with the cloud's colours and part labels."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ..errors import ConfigError, InputError
from ..geometry.labels import transfer_labels
from ..pointcloud import PointCloud
from .density import SolidField, density_surface, solid_field
from .poisson import MIN_DEPTH, depth_for, has_open3d, oriented_samples, poisson_surface, simplified
from .samples import Samples, usable_samples
from .surface import Surface, taubin_smoothed, with_faces

Method = Literal["auto", "poisson", "density"]
METHODS: tuple[Method, ...] = ("auto", "poisson", "density")
Report = Callable[[str, float], None]
# Rounds of smoothing: marching cubes leaves steps, the Poisson surface is smooth.
DEFAULT_SMOOTH = {"density": 8, "poisson": 2}
# A piece of surface belongs to the object when this share of its vertices is within so many spacings of a point.
_NEAR_STEPS, _NEAR_SHARE = 3.0, 0.5
# A piece with less than this share of the largest one's area is dust.
_DUST = 5e-3
_COLOR_POINTS, _LABEL_POINTS = 4, 5


@dataclass(frozen=True)
class MeshOptions:
    """How a surface is made; lengths are in spacings of the cloud's points."""

    method: Method = "auto"
    smooth: int | None = None
    """Rounds of Taubin smoothing. None: 8 for density, 2 for poisson."""
    target_faces: int | None = None
    """At most so many faces."""
    resolution: int | None = None
    """Density: cells along the longest side, 16 to 512. None: 2 per spacing, up to 220."""
    depth: int | None = None
    """Poisson: halvings of the cloud's box, 5 to 10. None: until cells are as small as the spacing."""
    trim: float | None = None
    """Cut off surface farther than this from any point; leaves open borders. None: the surface stays closed."""

    def __post_init__(self) -> None:
        """Raise ConfigError for values out of range."""
        if self.method not in METHODS:
            raise ConfigError(f"Unknown method {self.method!r}. Expected one of: {', '.join(METHODS)}.")
        if self.smooth is not None and not 0 <= self.smooth <= 1000:
            raise ConfigError(f"smooth is {self.smooth}, expected 0 to 1000 rounds.")
        if self.target_faces is not None and self.target_faces < 100:
            raise ConfigError(f"target_faces is {self.target_faces}, expected at least 100.")
        if self.trim is not None and not self.trim > 0:
            raise ConfigError(f"trim is {self.trim}, expected more than 0 spacings.")

    def chosen(self) -> Literal["poisson", "density"]:
        """The method that auto stands for here."""
        if self.method == "auto":
            return "poisson" if has_open3d() else "density"
        return self.method


@dataclass(frozen=True)
class MeshResult:
    """A surface and what is to be said about it."""

    surface: Surface
    method: str
    watertight: bool
    notes: tuple[str, ...]
    timings_s: dict[str, float]

    def record(self) -> dict[str, Any]:
        """Figures for a report, in the cloud's unit."""
        surface = self.surface
        return {
            "method": self.method,
            "vertices": len(surface.vertices),
            "faces": len(surface.faces),
            "watertight": self.watertight,
            "area": round(surface.area(), 6),
            "volume": round(surface.volume(), 6) if self.watertight else None,
            "pieces": surface.components()[0],
            "notes": list(self.notes),
            "seconds": {name: round(value, 3) for name, value in self.timings_s.items()},
        }


def mesh_cloud(
    cloud: PointCloud,
    options: MeshOptions | None = None,
    *,
    name: str = "The cloud",
    parts: tuple[str, ...] = (),
    report: Report = lambda stage, fraction: None,
) -> MeshResult:
    """Make a closed surface of a cloud, with its colours and labels; report(stage, fraction) tells how far it is.

    Raises InputError for clouds without a surface, MissingDependency for Poisson without open3d.
    """
    options = options or MeshOptions()
    clock = _Clock(report)
    clock.start("points", 0.0)
    samples = usable_samples(cloud, name)
    clock.start("density", 0.1)
    field = solid_field(samples, options.resolution)
    surface, method, notes = _surface_of(cloud, samples, field, options, clock)
    clock.start("finish", 0.75)
    surface = _tidied(surface, samples, options, method)
    clock.start("attributes", 0.9)
    surface = with_attributes(surface, cloud, samples, parts)
    if samples.strays:
        notes.append(f"{samples.strays} stray points left out")
    watertight = surface.is_watertight()
    if not watertight and options.trim is None:
        notes.append("not watertight")
    clock.stop()
    return MeshResult(surface, method, watertight, tuple(notes), clock.seconds)


def _surface_of(
    cloud: PointCloud, samples: Samples, field: SolidField, options: MeshOptions, clock: "_Clock"
) -> tuple[Surface, str, list[str]]:
    """The raw surface, how it was made, and notes; auto falls back to density when Poisson's is not closed."""
    if options.chosen() == "poisson":
        clock.start("poisson", 0.35)
        normals = None if cloud.normals is None else cloud.normals[samples.index].astype(np.float64)
        surface = _closed_poisson(samples, *oriented_samples(samples, field, normals), options.depth)
        if options.method == "poisson" or surface.is_watertight():
            return surface, "poisson", []
        return supported(density_surface(field), samples), "density", ["the Poisson surface was not closed"]
    clock.start("marching cubes", 0.35)
    return supported(density_surface(field), samples), "density", []


def _closed_poisson(samples: Samples, points: np.ndarray, normals: np.ndarray, depth: int | None) -> Surface:
    """The Poisson surface; where edges touch in one octree they do not in another, so three depths are tried."""
    usual = depth_for(points, samples.step)
    depths = (depth,) if depth is not None else (usual, usual + 1, max(usual - 1, MIN_DEPTH))
    tried = []
    for one in depths:
        tried.append(supported(poisson_surface(points, normals, samples.step, one), samples))
        if tried[-1].is_watertight():
            return tried[-1]
    return tried[0]


def supported(surface: Surface, samples: Samples) -> Surface:
    """Without pieces that no points are near, and without dust; whole pieces go, so what is closed stays closed."""
    pieces, owner = surface.components()
    if pieces == 1:
        return surface
    distance, _ = samples.tree.query(surface.vertices[surface.faces[:, 0]])
    near = np.bincount(owner, distance <= _NEAR_STEPS * samples.step, pieces) / np.bincount(
        owner, minlength=pieces
    )
    area = np.bincount(owner, np.linalg.norm(surface.face_crosses(), axis=1), pieces)
    kept = (near >= _NEAR_SHARE) & (area >= _DUST * area.max())
    if not kept.any():
        raise InputError("No surface near the points came of it. Try the other --method.")
    return with_faces(surface, kept[owner])


def _tidied(surface: Surface, samples: Samples, options: MeshOptions, method: str) -> Surface:
    rounds = DEFAULT_SMOOTH[method] if options.smooth is None else options.smooth
    surface = taubin_smoothed(surface, rounds)
    if options.trim is not None:
        distance, _ = samples.tree.query(surface.vertices)
        near = distance <= options.trim * samples.step
        if not near.any():
            raise InputError(
                f"trim {options.trim:g} leaves nothing of the surface. Expected 2 or more spacings."
            )
        surface = with_faces(surface, near[surface.faces].all(1))
    return surface if options.target_faces is None else simplified(surface, options.target_faces)


def with_attributes(
    surface: Surface, cloud: PointCloud, samples: Samples, parts: tuple[str, ...] = ()
) -> Surface:
    """Colours of vertices: the mean of the nearest points by inverse distance; labels: what most of them say."""
    colors = labels = None
    if cloud.colors is not None:
        distance, index = samples.tree.query(surface.vertices, k=_COLOR_POINTS)
        weight = 1 / (distance + 0.1 * samples.step)
        shades = cloud.colors[samples.index][index].astype(np.float64)  # (V, K, 3)
        mean = (shades * weight[..., None]).sum(1) / weight.sum(1, keepdims=True)
        colors = np.rint(mean).astype(np.uint8)
    if cloud.labels is not None:
        known = cloud.labels[samples.index]
        labels, _ = transfer_labels(samples.tree, known, surface.vertices, neighbours=_LABEL_POINTS)
    return replace(surface, colors=colors, labels=labels, parts=parts if labels is not None else ())


class _Clock:
    """Tells the stages and measures them."""

    def __init__(self, report: Report) -> None:
        self._report, self._stage, self._since = report, "", time.perf_counter()
        self.seconds: dict[str, float] = {}

    def start(self, stage: str, fraction: float) -> None:
        self.stop()
        self._stage, self._since = stage, time.perf_counter()
        self._report(stage, fraction)

    def stop(self) -> None:
        if self._stage:
            self.seconds[self._stage] = time.perf_counter() - self._since
        self._stage = ""
