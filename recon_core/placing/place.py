# SPDX-License-Identifier: Apache-2.0
"""Search for the camera under which an object covers a mask: all directions at once, coarse to fine.

A grid of rotations, each with the distance that fills the mask's box, is scored by coverage at 32 pixels; the best that
differ descend together (descend.py), fewer at every size. Views that are apart and fit alike are all told: outlines
alone cannot tell front from back.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..cameras import Cameras, rotation_angle_deg
from ..errors import ConfigError, InputError
from .colors import Painted
from .descend import descend
from .outline import Level, costs
from .overlap import outline_iou
from .starts import any_rotations, fill_box, upright_rotations
from .target import Target
from .views import DOLLY, STEPS, Views, joined
from .wishes import Wishes

Report = Callable[[str, float], None]

POINTS = 16_000
LEAST_POINTS = 20
FULL_FRAME_MM = 36.0
_GRID = 1500
_GRID_POINTS = 600
_APART_DEG = 15.0
_COLOR_WEIGHT = 4.0
_COLOR_SIZE = 48
# Of the grid, so many views of the best outlines are compared by colours too.
_COLORED = 256
# From this size on the usual lens weighs more where the outlines differ more than those of an exact shape.
_LENS_FROM, _EXACT = 64, 0.004


@dataclass(frozen=True)
class PlaceOptions:
    """What is known about the camera beside the mask."""

    focal_mm: float | None = None
    """Focal length for a sensor `sensor_mm` wide; None: looked for."""
    sensor_mm: float = FULL_FRAME_MM
    up: bool = False
    """The object stands upright in the photograph: its +Z leans from the vertical by at most roll_deg."""
    roll_deg: float = 5.0
    ground: bool = False
    """It stands upright on a plane that the camera is above."""
    elevation_deg: tuple[float, float] | None = None
    """Least and greatest elevation of the camera above the object's equator."""
    cropped: bool = False
    """The photograph is a part of a larger one: its principal point is not known to be in its middle."""
    margin: float = 0.02
    """Views that are apart and whose score is within this of the best one's are reported."""
    use_colors: bool = True
    seed: int = 0


@dataclass(frozen=True)
class Solution:
    """One camera, what it scores, and how far it is from the best one."""

    camera: Cameras  # (1)
    iou: float  # of the outlines at 128 px
    cost: float  # what was minimised, colours included
    color_rms: float | None
    apart_deg: float


@dataclass(frozen=True)
class Placement:
    """The best camera of an object and the others that fit about as well, best first."""

    solutions: tuple[Solution, ...]
    start: Solution | None
    focal_is_known: bool

    @property
    def best(self) -> Solution:
        """The solution of the lowest cost."""
        return self.solutions[0]


@dataclass(frozen=True)
class _Stage:
    size: int
    sigma_px: float
    points: int
    keep: int
    iterations: int
    copied: int = 0
    """So many of the best begin from beside as well: through other lenses, and turned up, down, left and right."""


# Tilts of a flat front to either side look alike but for the perspective: what lies beyond is reached from beside.
_LENSES, _BESIDE_DEG = (0.6, 1.7), 12.0
_STAGES = (
    _Stage(32, 2.0, 800, 128, 6),
    _Stage(32, 1.4, 1200, 56, 8),
    _Stage(64, 1.2, 3000, 24, 10),
    _Stage(64, 1.2, 3000, 8, 12, copied=6),
    _Stage(128, 0.9, 8000, 8, 8, copied=2),
    _Stage(160, 0.8, 16_000, 4, 8),
)


def place(
    xyz: np.ndarray,
    mask: np.ndarray,
    options: PlaceOptions = PlaceOptions(),
    rgb: np.ndarray | None = None,
    colors: np.ndarray | None = None,
    normals: np.ndarray | None = None,
    start: Cameras | None = None,
    progress: Report = lambda stage, fraction: None,
) -> Placement:
    """Cameras under which points xyz (N,3) cover mask (H,W) uint8.

    rgb (H,W,3) uint8 is the photograph and colors (N,3) uint8 the points' colours (sRGB), used where both are given;
    normals (N,3) tell light from paint. start: a camera (1) of the photograph to begin from, beside all others.
    Raises InputError for points, masks and pictures that cannot be used, ConfigError for options that contradict.
    """
    with torch.inference_mode():
        problem = _Problem.of(xyz, mask, options, rgb, colors, normals, start)
        return _placement(*_search(problem, progress))


@dataclass(frozen=True)
class _Problem:
    """Everything a search needs, in the object's unit frame and the crop's coordinates."""

    xyz: torch.Tensor  # (N, 3), at most POINTS of them, in random order
    everything: torch.Tensor  # (M, 3), all points
    middle: np.ndarray
    extent: float
    target: Target
    options: PlaceOptions
    wishes: Wishes
    free: torch.Tensor
    painted: Painted | None
    start: Views | None

    @classmethod
    def of(cls, xyz, mask, options, rgb, colors, normals, start) -> "_Problem":
        check_options(options)
        target = Target.of(_checked_mask(mask), rgb)
        order = _chosen_points(xyz, options.seed)
        points = np.asarray(xyz, np.float64)[order]
        low, high = np.quantile(points, [0.002, 0.998], axis=0)
        middle, extent = (low + high) / 2, float(np.linalg.norm(high - low))
        if not extent > 0:
            raise InputError("The object's points all coincide. Expected a cloud with some extent.")
        unit, everything = (
            torch.from_numpy(((np.asarray(some, np.float64) - middle) / extent).astype(np.float32))
            for some in (points, xyz)
        )
        wishes = _wishes(target, options, unit)
        painted = None
        if options.use_colors and rgb is not None and colors is not None:
            painted = _painted(unit, colors[order], None if normals is None else normals[order], target)
        begin = None if start is None else _views_of(start, middle, extent, target)
        return cls(unit, everything, middle, extent, target, options, wishes, _free(options), painted, begin)

    def subset(self, count: int) -> torch.Tensor:
        """The first points; they are in random order."""
        return self.xyz[:count]


def check_options(options: PlaceOptions) -> None:
    """Raise ConfigError for values out of range."""
    for name, value in (("focal length", options.focal_mm), ("sensor width", options.sensor_mm)):
        if value is not None and not 1 <= value <= 10_000:
            raise ConfigError(f"The {name} is {value} mm. Expected 1 to 10,000 mm.")
    if not 0 <= options.roll_deg <= 90:
        raise ConfigError(f"The greatest roll is {options.roll_deg} degrees. Expected 0 to 90.")
    if options.elevation_deg is not None:
        low, high = options.elevation_deg
        if not -90 <= low <= high <= 90:
            raise ConfigError(
                f"The elevations {low:g} to {high:g} degrees are no range. Expected -90 <= least <= greatest <= 90."
            )
    if not 0 <= options.margin <= 1:
        raise ConfigError(f"The margin of ambiguity is {options.margin}. Expected 0 to 1.")


def _checked_mask(mask: np.ndarray) -> np.ndarray:
    if mask.ndim != 2 or mask.dtype != np.uint8 or not mask.size:
        raise InputError(f"The mask has shape {mask.shape} and type {mask.dtype}. Expected (H,W) uint8.")
    return mask


def _chosen_points(xyz: np.ndarray, seed: int) -> np.ndarray:
    """Indices of at most POINTS points in random order; raises InputError for too few and for bad ones."""
    xyz = np.asarray(xyz)
    if xyz.ndim != 2 or xyz.shape[1] != 3 or not np.isfinite(xyz).all():
        raise InputError(f"The object's points have shape {xyz.shape}. Expected finite coordinates (N,3).")
    if len(xyz) < LEAST_POINTS:
        raise InputError(f"The object has {len(xyz)} points. Expected at least {LEAST_POINTS}.")
    return np.random.default_rng(seed).permutation(len(xyz))[:POINTS]


def _wishes(target: Target, options: PlaceOptions, unit: torch.Tensor) -> Wishes:
    height, width = target.mask.shape
    longer = max(height, width) / target.side
    focal = (50.0 if options.focal_mm is None else options.focal_mm) / options.sensor_mm
    # A focal length that is given belongs to the width; a usual one to the longer side.
    focal *= longer if options.focal_mm is None else width / target.side
    centre = target.to_crop(width / 2, height / 2)
    upright = options.up or options.ground
    floor = float(unit[:, 2].quantile(0.002)) if options.ground else None
    return Wishes(focal, centre, longer, options.roll_deg if upright else None, options.elevation_deg, floor)


def _free(options: PlaceOptions) -> torch.Tensor:
    fixed = set() if options.focal_mm is None else {6}
    fixed |= set() if options.cropped else {7, 8}
    return torch.tensor([index for index in range(STEPS) if index not in fixed])


def _painted(xyz: torch.Tensor, colors: np.ndarray, normals: np.ndarray | None, target: Target) -> Painted:
    photo, cover = target.colors(_COLOR_SIZE)
    paint = torch.from_numpy(np.asarray(colors, np.float32) / 255)
    facing = None if normals is None else torch.from_numpy(np.asarray(normals, np.float32))
    return Painted(xyz, paint, facing, photo, cover)


def _search(problem: _Problem, progress: Report) -> tuple[_Problem, Views, torch.Tensor]:
    """Views and their costs (B,) at the finest level, and the problem with the wishes that these hold."""
    progress("directions", 0.0)
    views = _first_views(problem)
    for number, stage in enumerate(_STAGES):
        progress(f"{stage.size} pixels", (number + 0.5) / (len(_STAGES) + 0.5))
        level = problem.target.level(stage.size, stage.sigma_px, stage.points)
        best = _best(problem, views, level, stage.keep, number == 0)
        best = _with_copies(best, stage.copied, problem.options.focal_mm is not None)
        result = descend(
            best, problem.subset(level.points), level, problem.wishes, problem.free, stage.iterations
        )
        views, cost = result.views, result.cost
        if _LENS_FROM <= stage.size < _STAGES[-1].size:
            # An object that is not quite the photographed one says little of the lens: what misfits outweighs it.
            weight = max(1.0, float(cost.min()) / _EXACT)
            problem = replace(problem, wishes=replace(problem.wishes, lens_weight=weight))
    progress("done", 1.0)
    return problem, views, cost


def _first_views(problem: _Problem) -> Views:
    """The grid, and the start if there is one."""
    options, like = problem.options, problem.xyz
    if options.up or options.ground:
        rotations = upright_rotations(options.elevation_deg or (-30.0, 80.0), options.roll_deg, 12.0, like)
    else:
        rotations = any_rotations(_GRID, like)
    wishes, box = problem.wishes, problem.target.mask_box()
    views = fill_box(rotations, problem.subset(_GRID_POINTS), box, wishes.focal, wishes.centre)
    if problem.start is None:
        return views
    known = wishes.focal if options.focal_mm is not None else None
    return joined([problem.start.through(known, None if options.cropped else wishes.centre), views])


def _with_copies(views: Views, count: int, lens_is_known: bool) -> Views:
    """The views, and copies of the first ones from beside."""
    first = views[:count]
    steps = [(DOLLY, float(np.log(factor))) for factor in _LENSES if not lens_is_known]
    steps += [(axis, sign * float(np.radians(_BESIDE_DEG))) for axis in (0, 1) for sign in (-1, 1)]
    copies = [first.moved(_single_step(first, index, length)) for index, length in steps]
    return joined([views, *copies])


def _single_step(views: Views, index: int, length: float) -> torch.Tensor:
    step = torch.zeros(len(views), STEPS).to(views.focal)
    step[:, index] = length
    return step


def _best(problem: _Problem, views: Views, level: Level, keep: int, first: bool) -> Views:
    """The `keep` views of the lowest cost that are apart from all before them."""
    if first:
        outlines = _outline_cost(problem, views, problem.subset(_GRID_POINTS), level)
        order = outlines.argsort()[:_COLORED]
        views, cost = views[order], outlines[order] + color_cost(problem.painted, views[order], level.points)
    else:
        cost = _scored(problem, views, level)
    return views[_distinct(views, cost, 8.0 if first else 3.0, 0.35)[:keep]]


def _scored(problem: _Problem, views: Views, level: Level) -> torch.Tensor:
    outlines = _outline_cost(problem, views, problem.subset(level.points), level)
    return outlines + color_cost(problem.painted, views, level.points)


def _outline_cost(problem: _Problem, views: Views, xyz: torch.Tensor, level: Level) -> torch.Tensor:
    """Costs (B,) of outlines and wishes."""
    plate = level.plate()
    found = [costs(views[rows], xyz, level, plate) for rows in _blocks(len(views))]
    return problem.wishes.cost(views) + torch.cat(found)


def color_cost(painted: Painted | None, views: Views, points: int = POINTS) -> torch.Tensor:
    """What the views' colours cost (B,), by the first points; 0 without colours."""
    if painted is None:
        return torch.zeros_like(views.focal)
    found = [painted.first(points).differences(views[rows]) for rows in _blocks(len(views))]
    return _COLOR_WEIGHT * torch.cat(found)


def _blocks(count: int, step: int = 128) -> list[slice]:
    return [slice(low, low + step) for low in range(0, count, step)]


def _distinct(views: Views, cost: torch.Tensor, apart_deg: float, lens: float = np.inf) -> torch.Tensor:
    """Indices by cost of the views that are so far from all better ones, in angle or by a factor exp(lens)."""
    order = cost.argsort()
    rotation, focal = views.rotation[order], views.focal[order].log()
    kept: list[int] = []
    for index in range(len(order)):
        near = rotation_angle_deg(rotation[kept], rotation[index]) < apart_deg
        if not bool((near & ((focal[kept] - focal[index]).abs() < lens)).any()):
            kept.append(index)
        if len(kept) >= 64:
            break
    return order[kept]


def _placement(problem: _Problem, views: Views, cost: torch.Tensor) -> Placement:
    cost = cost + color_cost(problem.painted, views)
    order = _distinct(views, cost, _APART_DEG)
    views, cost = views[order], cost[order]
    near = cost <= cost[0] + problem.options.margin
    solutions = _solutions(problem, views[near], cost[near])
    start = None
    if problem.start is not None:
        level = problem.target.level(_STAGES[-1].size, _STAGES[-1].sigma_px, _STAGES[-1].points)
        start = _solutions(problem, problem.start, _scored(problem, problem.start, level))[0]
    return Placement(tuple(solutions), start, problem.options.focal_mm is not None)


def _solutions(problem: _Problem, views: Views, cost: torch.Tensor) -> list[Solution]:
    overlaps = outline_iou(views, problem.everything, problem.target)
    rms = None if problem.painted is None else problem.painted.differences(views).sqrt()
    apart = rotation_angle_deg(views.rotation, views.rotation[:1])
    return [
        Solution(
            _camera_of(views[index : index + 1], problem),
            overlaps[index],
            float(cost[index]),
            None if rms is None else float(rms[index]),
            float(apart[index]),
        )
        for index in range(len(views))
    ]


def _camera_of(views: Views, problem: _Problem) -> Cameras:
    """The camera (1, float64) of the photograph for points in their own frame."""
    target, extent = problem.target, problem.extent
    rotation, shift = views.rotation.double(), views.shift.double()
    matrix = torch.eye(4, dtype=torch.float64).repeat(len(views), 1, 1)
    matrix[:, :3, :3] = rotation
    matrix[:, :3, 3] = extent * shift - rotation @ torch.from_numpy(problem.middle)
    focal = views.focal.double() * target.side
    centre = views.centre.double() * target.side + torch.from_numpy(target.corner)
    height, width = target.mask.shape
    return Cameras(matrix, focal, focal.clone(), centre[:, 0], centre[:, 1], width, height)


def _views_of(camera: Cameras, middle: np.ndarray, extent: float, target: Target) -> Views:
    """The inverse of `_camera_of`."""
    matrix = camera.resized(target.mask.shape[1], target.mask.shape[0])
    pose = matrix.world_to_cam.double()
    shift = (pose[:, :3, 3] + pose[:, :3, :3] @ torch.from_numpy(middle)) / extent
    corner = torch.from_numpy(target.corner)
    centre = (torch.stack((matrix.cx, matrix.cy), -1).double() - corner) / target.side
    return Views(pose[:, :3, :3].float(), shift.float(), (matrix.fx / target.side).float(), centre.float())
