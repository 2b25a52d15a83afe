# SPDX-License-Identifier: Apache-2.0
"""Points splatted into a voxel density, and the solid that it outlines: a signed distance on the grid.

Each point stands for a square of surface (samples.py) and is spread as a Gaussian of width sigma, so that a plane of
points gives u(d) = exp(-d^2 / 2 sigma^2) at distance d, whatever the sampling. Where u is above a level there is a
shell around the surface. What it encloses is filled; a second, coarser shell finds the inside of solids whose fine
shell has pinholes. The shell reaches a distance d0 beyond the points: the solid is eroded by the median depth of the
points in it, which puts the surface back where they are (a closing with known radius). Where too little would be left,
around sheets and wires of points, less is eroded, so that they keep a thickness of about one spacing.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.measure import marching_cubes

from ..errors import InputError
from .samples import Samples
from .surface import Surface

# Width of a point in spacings, cells per spacing, and where a shell ends.
SIGMA_STEPS, CELLS_PER_STEP, LEVEL = 1.0, 1.6, 0.2
# The shells that find insides: wider, so that they have fewer pinholes.
COARSE = (1.5, 2.5)
# Half the thickness that everything keeps, in spacings, and the most that is added for it.
LEAST_STEPS, MAX_ADDED_STEPS = 0.7, 2.0
DEFAULT_RESOLUTION, MAX_RESOLUTION = 220, 512
# Empty cells around the points: the surface must not touch the grid's end.
_MARGIN = 4


@dataclass(frozen=True)
class SolidField:
    """Signed distance to the surface, positive inside, on a grid of cubes: values (X,Y,Z) float32 at cell centres."""

    values: np.ndarray
    origin: np.ndarray  # (3,) centre of cell 0, 0, 0
    cell: float
    half: np.ndarray  # (N,) half the solid's thickness around the samples, before any was added

    def at(self, xyz: np.ndarray) -> np.ndarray:
        """Values (N,) at points (N,3), linear between the cells."""
        return _sample(self.values, self.cells_of(xyz))

    def cells_of(self, xyz: np.ndarray) -> np.ndarray:
        """Coordinates (N,3) on the grid."""
        return (xyz - self.origin) / self.cell

    def outward(self, xyz: np.ndarray) -> np.ndarray:
        """Unit vectors (N,3) along which the value falls; 0 where it does not change."""
        where = self.cells_of(xyz)
        blurred = ndimage.gaussian_filter(self.values, 1.0)
        slope = np.stack([_sample(np.gradient(blurred, axis=axis), where) for axis in range(3)], 1)
        return -slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-12)


def solid_field(samples: Samples, resolution: int | None = None) -> SolidField:
    """The solid that points outline; resolution: cells along the longest side. [default: 2 per spacing, up to 220]

    Raises InputError when the resolution is not between 16 and 512.
    """
    if resolution is not None and not 16 <= resolution <= MAX_RESOLUTION:
        raise InputError(f"resolution is {resolution}, expected 16 to {MAX_RESOLUTION} cells.")
    extent = float(np.ptp(samples.xyz, axis=0).max())
    cell = max(samples.step / CELLS_PER_STEP, extent / (resolution or DEFAULT_RESOLUTION))
    cell = extent / resolution if resolution else cell
    sigma = SIGMA_STEPS * max(samples.step, CELLS_PER_STEP * cell / 1.5)  # a Gaussian needs a cell or so
    margin = _MARGIN + int(np.ceil(1.9 * COARSE[-1] * sigma / cell))
    origin = samples.xyz.min(0) - margin * cell
    shape = tuple(int(n) + 2 * margin + 2 for n in np.ptp(samples.xyz, axis=0) / cell)
    where = (samples.xyz - origin) / cell
    solid = _solid(_splatted(samples, where, shape), cell, sigma)
    depth = signed_distance(solid) * np.float32(cell)
    share = _evening_weights(where, shape, sigma / cell)
    depth -= np.float32(_level(_sample(depth, where), share, samples.step))
    depth = ndimage.gaussian_filter(depth, 0.7)
    half = _half_thickness(depth, where, cell, samples.step)
    added = np.clip(LEAST_STEPS * samples.step - half, 0, MAX_ADDED_STEPS * samples.step)
    full = added == 0
    depth -= np.float32(_level(_sample(depth, where)[full], share[full], samples.step))
    depth += _spread(where, added, shape, sigma / cell)
    return SolidField(depth, origin, cell, half)


def density_surface(field: SolidField) -> Surface:
    """The zero level of a field by marching cubes (Lewiner et al. 2003); raises InputError when there is none."""
    if not field.values.max() > 0:
        raise InputError("No surface came of the density: its cells are too large for these points.")
    vertices, faces, _, _ = marching_cubes(field.values, 0.0, gradient_direction="descent")
    surface = Surface(vertices * field.cell + field.origin, faces.astype(np.int64))
    return surface if surface.volume() >= 0 else Surface(surface.vertices, surface.faces[:, ::-1].copy())


def signed_distance(solid: np.ndarray) -> np.ndarray:
    """Distance (X,Y,Z) float32, in cells, to the border between solid and empty cells; positive in the solid."""
    inside = np.asarray(ndimage.distance_transform_edt(solid), np.float32)
    outside = np.asarray(ndimage.distance_transform_edt(~solid), np.float32)
    return np.where(solid, inside - 0.5, 0.5 - outside)


def _level(at_points: np.ndarray, share: np.ndarray, step: float) -> float:
    """The mean depth of points in the solid, without those far from the median: the surface goes through them."""
    if not len(at_points):
        return 0.0
    near = np.abs(at_points - np.median(at_points)) <= step
    return float((at_points * share)[near].sum() / share[near].sum())


def _evening_weights(where: np.ndarray, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Weights (N,) of the samples that make up for clusters, in which the shell is thicker: one over the density."""
    density = ndimage.gaussian_filter(_counts(where, shape), sigma)
    return 1 / np.maximum(_sample(density, where), 1e-9)


def _counts(where: np.ndarray, shape: tuple[int, ...], weight: np.ndarray | None = None) -> np.ndarray:
    """Samples per cell (X,Y,Z) float32, or the sum of their weights (N,)."""
    flat = np.ravel_multi_index(tuple(np.rint(where).astype(np.int64).T), shape)
    return np.bincount(flat, weight, int(np.prod(shape))).reshape(shape).astype(np.float32)


def _splatted(samples: Samples, where: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Surface per cell (X,Y,Z) float32: each point's square, shared linearly among the 8 cells around it."""
    step = samples.step
    weight = np.clip(samples.spacing, step, 2.5 * step) ** 2
    low = np.floor(where).astype(np.int64)
    share = where - low
    total = np.zeros(int(np.prod(shape)))
    for corner in np.ndindex(2, 2, 2):
        factor = np.prod(np.where(corner, share, 1 - share), axis=1)
        flat = np.ravel_multi_index(tuple((low + corner).T), shape)
        total += np.bincount(flat, weight * factor, len(total))
    return total.reshape(shape).astype(np.float32)


def _solid(surface: np.ndarray, cell: float, sigma: float) -> np.ndarray:
    """Cells (X,Y,Z) bool in the fine shell, or in what it or a coarser shell encloses."""
    solid = _shell(surface, cell, sigma)
    for factor in COARSE:
        enclosed = _enclosed(_shell(surface, cell, factor * sigma))
        if enclosed.any():
            # From the cavity out to the points, not beyond: a plane's shell is so thick, a bent one's thicker.
            reach = factor * sigma * np.sqrt(-2 * np.log(LEVEL)) / cell
            solid |= ndimage.distance_transform_edt(~enclosed) <= reach
    return solid | _enclosed(solid)


def _enclosed(solid: np.ndarray) -> np.ndarray:
    """Empty cells (X,Y,Z) bool from which no path through empty cells leads out of the grid."""
    pieces = np.empty(solid.shape, np.int32)
    ndimage.label(~solid, output=pieces)
    return ~solid & (pieces != pieces[0, 0, 0])


def _shell(surface: np.ndarray, cell: float, sigma: float) -> np.ndarray:
    """Where u is above the level: u is 1 in a plane of points."""
    scale = sigma * np.sqrt(2 * np.pi) / cell**3
    return ndimage.gaussian_filter(surface, sigma / cell, truncate=3.0) * np.float32(scale) > LEVEL


def _half_thickness(depth: np.ndarray, where: np.ndarray, cell: float, step: float) -> np.ndarray:
    """The greatest depth (N,) within about 1.5 spacings of each sample; less than nothing where nothing is solid."""
    size = 2 * max(1, round(1.5 * step / cell)) + 1
    return _sample(ndimage.maximum_filter(depth, size), where)


def _spread(where: np.ndarray, values: np.ndarray, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Mean (X,Y,Z) float32 of the samples' values around each cell."""
    if not values.any():
        return np.zeros(shape, np.float32)
    total, count = (
        ndimage.gaussian_filter(_counts(where, shape, weight), 1.5 * sigma) for weight in (values, None)
    )
    return total / np.maximum(count, 1e-9)


def _sample(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    return ndimage.map_coordinates(values, where.T, order=1, mode="nearest")
