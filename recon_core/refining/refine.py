# SPDX-License-Identifier: Apache-2.0
"""Refine a cloud against masks: coarse to fine, by gradient descent on white unknowns; the best state is kept."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch

from ..cameras import Cameras, rotation_angle_deg
from ..data.crop import Box
from ..errors import ConfigError, InputError
from ..geometry.nearest import build_tree
from ..pointcloud import PointCloud
from ..threads import single_threaded
from .camera_step import CameraPrior
from .colors import ColorFit, Colors, Shot, fit_colors
from .field import Field, FieldPrior, make_field
from .objective import Problem, State, Weights, soft_box
from .symmetry import MirrorGap, mirror_gap
from .targets import make_targets
from .viewpoint import Choice, Viewpoints, choose

Symmetry = Literal["auto", "on", "off"]
Progress = Callable[[float], None]

LEAST_POINTS = 10
# Steps that must have brought something, and how much of the objective.
_PATIENCE, _LEAST_GAIN = 15, 0.002
# Share of the steps after which the splats have their final width, and after which steps become shorter.
_SHARP_FROM, _SLOW_FROM = 0.6, 0.7
# Points between the driving ones move as the mean of so many of these, by inverse distance.
_NEIGHBOURS = 4
_BLOCK = 20_000
# Gradients, in nats per standard deviation, below which steps are proportional to them: what no image shows (depth) has
# gradients next to nothing, and must not be moved as fast as what they show.
_FLAT, _FLAT_FINE = 1.0, 0.05


@dataclass(frozen=True)
class RefineOptions:
    """Everything that can be chosen. Sizes are in pixels of the crops, which are `size` wide."""

    steps: int = 120
    size: int = 96
    symmetry: Symmetry = "auto"
    """Tie both sides of the plane x = 0: when the cloud is symmetric (auto), always or never."""
    camera: CameraPrior = dataclasses.field(default_factory=CameraPrior)
    field: FieldPrior = dataclasses.field(default_factory=FieldPrior)
    weights: Weights = dataclasses.field(default_factory=Weights)
    sigma_px: tuple[float, float] = (6.0, 1.0)
    """Width of the splats at the start and at the end."""
    learning_rate: float = 0.08
    """Standard deviations per step."""
    fine_from: float = 0.5
    """Share of the steps after which each point moves on its own too."""
    points: int = 3000
    """Points that drive; the others follow."""
    anchors: int = 200
    """Anchors of the displacement field."""

    def __post_init__(self) -> None:
        """Raise ConfigError for values that make no sense."""
        for name, low, high in (
            ("steps", 0, 10_000),
            ("size", 16, 512),
            ("points", 10, 20_000),
            ("anchors", 4, 1000),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {low} to {high}.")
        if self.symmetry not in get_args(Symmetry):
            raise ConfigError(f"symmetry is {self.symmetry!r}, expected auto, on or off.")
        if not 0 < self.sigma_px[1] <= self.sigma_px[0]:
            raise ConfigError(
                f"sigma_px is {self.sigma_px}, expected two widths > 0, the first not the smaller one."
            )


def careful() -> RefineOptions:
    """Options for cameras that may be wrong: the outline is believed less, and changes the proportions less.

    A view that is off asks for other proportions first; the model's own are mostly right.
    """
    return RefineOptions(field=FieldPrior(stretch=0.05, shear=0.015), weights=Weights(data=0.07))


@dataclass(frozen=True)
class Figures:
    """What refinement did; pairs are before and after."""

    objective: tuple[float, float]
    iou: tuple[float, float]
    """Mean over the images, of coverage and mask in the crops, cut at one half."""
    moved: float
    """Mean displacement in units of the cloud's diagonal."""
    turned_deg: float
    """Largest turn of a camera."""
    viewpoints: tuple[int, ...]
    """Which of each image's viewpoints was taken; 0 is the one that was given."""
    mirror_ratio: float
    """Distance from the mirror image over the points' spacing; about 1 for a symmetric cloud."""
    symmetric: bool
    """Whether both sides were tied."""
    steps: int
    seconds: float

    def record(self) -> dict[str, Any]:
        """For a JSON file."""
        values = asdict(self)
        return {
            name: [round(one, 5) for one in value] if isinstance(value, tuple) else
            round(value, 5) if isinstance(value, float) else value
            for name, value in values.items()
        }  # fmt: skip


@dataclass(frozen=True)
class Refined:
    """The cloud after, the cameras (1 each) of the full images after, and the figures.

    drawn: coverage of each crop, (3,V,S,S): by the mask, by the cloud before and after; boxes: where the crops are.
    colors: what images gave to the points, None where these keep their colours.
    """

    cloud: PointCloud
    cameras: list[Cameras]
    figures: Figures
    drawn: np.ndarray
    boxes: tuple[Box, ...]
    colors: ColorFit | None = None

    def record(self) -> dict[str, Any]:
        """How it went, for a JSON file."""
        return self.figures.record() | {"colors": None if self.colors is None else self.colors.record()}

    def with_colors(self, photos: Sequence[np.ndarray], wish: Colors) -> "Refined":
        """The same with colours for the cloud from photos (H,W,4) uint8, masks as alpha, if wished (colors.py)."""
        shots = [Shot(*one) for one in zip(photos, self.cameras, self.boxes, strict=True)]
        return replace(self, colors=fit_colors(self.cloud, shots, self.figures.symmetric, wish))


def refine(
    cloud: PointCloud,
    cameras: Sequence[Cameras],
    masks: Sequence[np.ndarray],
    options: RefineOptions | None = None,
    progress: Progress | None = None,
    viewpoints: Sequence[Viewpoints] | None = None,
) -> Refined:
    """Move a cloud, and its cameras within their prior, until it fits masks (H,W) uint8, one for each camera (1).

    viewpoints: of each image, the cameras that may be right, the given one first, when cameras may move at all. The
    cameras are fitted first, with the cloud as it is (viewpoint.py). Attributes stay with their points.
    The objective (objective.py) never gets worse: a start that nothing improves on comes back as it is. progress is
    called with the share done. Deterministic.
    Raises InputError for clouds that cannot be refined and masks that do not fit them.
    """
    options, started = options or RefineOptions(), time.perf_counter()
    with single_threaded():
        setup = _prepare(cloud, cameras, masks, options, viewpoints)
        state, steps = _descend(setup, options, progress or (lambda _share: None))
        with torch.no_grad():
            return _finish(cloud, setup, state, steps, options, started)


@dataclass(frozen=True)
class _Setup:
    given: Problem  # under the cameras that were given
    problem: Problem  # under the viewpoints that were chosen
    choice: Choice | None
    field: Field
    driving: np.ndarray  # (n,) indices into the cloud
    gap: MirrorGap


def _prepare(
    cloud: PointCloud,
    cameras: Sequence[Cameras],
    masks: Sequence[np.ndarray],
    options: RefineOptions,
    viewpoints: Sequence[Viewpoints] | None,
) -> _Setup:
    xyz = _checked(cloud)
    low, high = xyz.min(0), xyz.max(0)
    unit, centre = float(np.linalg.norm(high - low)), (low + high) / 2
    driving = np.random.default_rng(0).permutation(len(xyz))[: options.points]
    gap = mirror_gap(xyz[driving])
    tied = options.symmetry == "on" or (options.symmetry == "auto" and gap.symmetric)
    middle = centre * (0, 1, 1) if tied else centre  # the mirror plane is x = 0
    mirror = options.field.mirror if tied else 0.0
    field = make_field(xyz[driving], options.field, mirror, middle, unit, options.anchors)
    opacity = np.ones(len(xyz)) if cloud.opacity is None else cloud.opacity.astype(np.float64)
    points = torch.from_numpy(xyz[driving].astype(np.float32))
    problem = Problem(
        points=points,
        opacity=torch.from_numpy((opacity / max(opacity[driving].mean(), 1e-6))[driving].astype(np.float32)),
        basis=field.basis(xyz[driving]),
        targets=make_targets(xyz, cameras, masks, options.size),
        camera_prior=options.camera,
        centre=torch.from_numpy(centre.astype(np.float32)),
        unit=unit,
        weights=options.weights,
        box=soft_box(points),
    )
    choice = None if options.camera.fixed else _choice(problem, cameras, viewpoints)
    chosen = problem
    if choice is not None:
        chosen = replace(problem, targets=replace(problem.targets, cameras=choice.cameras))
    return _Setup(problem, chosen, choice, field, driving, gap)


def _choice(problem: Problem, cameras: Sequence[Cameras], viewpoints: Sequence[Viewpoints] | None) -> Choice:
    found = [Viewpoints(camera, np.ones(1)) for camera in cameras] if viewpoints is None else viewpoints
    if len(found) != len(cameras):
        raise InputError(
            f"Viewpoints of {len(found)} images for {len(cameras)} cameras: expected one for each."
        )
    return choose(
        problem.points, problem.opacity, problem.targets, found, problem.camera_prior, problem.centre
    )


def _checked(cloud: PointCloud) -> np.ndarray:
    xyz = cloud.xyz.astype(np.float64)
    if len(xyz) < LEAST_POINTS or not np.isfinite(xyz).all():
        raise InputError(
            f"A cloud to refine needs at least {LEAST_POINTS} points, all finite; this one has {len(xyz)}."
        )
    if not np.linalg.norm(np.ptp(xyz, axis=0)) > 0:
        raise InputError("All points of the cloud are in one place: there is nothing to refine.")
    return xyz


def _descend(setup: _Setup, options: RefineOptions, progress: Progress) -> tuple[State | None, int]:
    """The best state by the objective at the final width, None where none is better than the start; and the steps."""
    problem, sharp = setup.problem, options.sigma_px[1]
    state, best = problem.start(), None
    if setup.choice is not None:
        state.camera = setup.choice.white.clone()
    with torch.no_grad():
        least = float(setup.given.objective(setup.given.start(), sharp))
    adam = _optimizer(state)
    history: list[float] = []
    for step in range(options.steps):
        share = step / max(options.steps - 1, 1)
        sigma = _set_pace(adam, options, share)
        adam.zero_grad()
        value = problem.objective(state, sigma)
        value.backward()
        if sigma == sharp:
            history.append(float(value.detach()))
            if history[-1] < least:
                least, best = history[-1], state.copy()
            if share > _SLOW_FROM and _settled(history):
                return best, step
        adam.step()
        progress((step + 1) / options.steps)
    return best, options.steps


def _optimizer(state: State) -> torch.optim.Adam:
    for one in state.tensors():
        one.requires_grad_()
    groups = [
        {"params": [state.field, state.camera], "eps": _FLAT},
        {"params": [state.fine], "eps": _FLAT_FINE},
    ]
    return torch.optim.Adam(groups, betas=(0.9, 0.95))


def _set_pace(adam: torch.optim.Adam, options: RefineOptions, share: float) -> float:
    """Set the learning rates after this share of the steps; returns sigma in pixels."""
    coarse, sharp = options.sigma_px
    rate = options.learning_rate * min(1.0, 1 - 0.9 * (share - _SLOW_FROM) / (1 - _SLOW_FROM))
    adam.param_groups[0]["lr"] = rate
    adam.param_groups[1]["lr"] = 2 * rate * (share >= options.fine_from)
    return sharp if share >= _SHARP_FROM else coarse * (sharp / coarse) ** (share / _SHARP_FROM)


def _settled(history: list[float]) -> bool:
    if len(history) <= 2 * _PATIENCE:
        return False
    before = min(history[:-_PATIENCE])
    return before - min(history) < _LEAST_GAIN * abs(before)


def _finish(
    cloud: PointCloud, setup: _Setup, state: State | None, steps: int, options: RefineOptions, started: float
) -> Refined:
    given, sharp, before = setup.given, options.sigma_px[1], setup.given.start()
    problem = given if state is None else setup.problem
    state = before if state is None else state
    xyz = _carried(cloud.xyz, setup, state)
    offset = np.linalg.norm(xyz.astype(np.float64) - cloud.xyz, axis=1)
    old, new = given.cameras(before), problem.cameras(state)
    coverage = [given.targets.drawn(sharp, given.weights.density)]
    coverage += [
        given.render(given.place(one), cameras, sharp) for one, cameras in ((before, old), (state, new))
    ]
    taken = problem is not given and setup.choice is not None
    figures = Figures(
        objective=(float(given.objective(before, sharp)), float(problem.objective(state, sharp))),
        iou=(_mean_iou(coverage[1], coverage[0]), _mean_iou(coverage[2], coverage[0])),
        moved=float(offset.mean() / given.unit),
        turned_deg=float(
            rotation_angle_deg(*(one.world_to_cam[:, :3, :3].double() for one in (old, new))).max()
        )
        if taken
        else 0.0,
        viewpoints=setup.choice.index if taken and setup.choice is not None else (0,) * len(old),
        mirror_ratio=setup.gap.ratio,
        symmetric=setup.field.mirror > 0,
        steps=steps,
        seconds=time.perf_counter() - started,
    )
    drawn = torch.stack(coverage).numpy()
    return Refined(replace(cloud, xyz=xyz), given.targets.full(new), figures, drawn, given.targets.boxes)


def _mean_iou(drawn: torch.Tensor, target: torch.Tensor) -> float:
    from ..evaluation.metrics import mask_iou  # loads torchmetrics

    return float(mask_iou(drawn, target).mean())


def _carried(xyz: np.ndarray, setup: _Setup, state: State) -> np.ndarray:
    """All points (N,3) moved: by the field, and by the own offsets of the driving points around them."""
    problem = setup.problem
    fine = (state.fine * (problem.weights.fine * problem.unit)).numpy()
    result = np.empty_like(xyz)
    tree = build_tree(xyz[setup.driving])
    for first in range(0, len(xyz), _BLOCK):
        block = xyz[first : first + _BLOCK]
        smooth = torch.einsum("cnr,cr->nc", setup.field.basis(block), state.field).numpy()
        distance, index = tree.query(block.astype(np.float64), k=min(_NEIGHBOURS, len(setup.driving)))
        share = 1 / np.maximum(distance, 1e-9 * problem.unit)
        share /= share.sum(1, keepdims=True)
        result[first : first + _BLOCK] = block + smooth + (share[..., None] * fine[index]).sum(1)
    result[setup.driving] = problem.place(state).numpy()
    return result
