# SPDX-License-Identifier: Apache-2.0
"""What may move, and how far: smooth displacement fields with a Gaussian-process prior that knows the mirror plane.

A displacement f(p) of every place p is drawn from a Gaussian process whose components c = x, y, z are independent, with

    k_c(p, q) = stretch^2 p_c q_c + shear^2 sum_{j != c} p_j q_j + sum_l a_l^2 exp(-|p - q|^2 / (2 l^2))

stretch: the scale along the component's own axis; shear: leaning; l: how far a bump of size a_l reaches. For an object
with the mirror plane x = 0 (M reflects in it) places move as their mirror images do, with a correlation rho:

    k'_c(p, q) = k_c(p, q) + s_c rho k_c(p, M q),   s = (-1, 1, 1)

which is again a kernel for 0 <= rho <= 1; at rho = 1 every drawn field is exactly symmetric. So what one view shows of
the left side moves the right side too, and the two sides together see depth that one of them does not.

The process is represented by m anchors (Nystroem): f(p) = k(p, anchors) U L^-1/2 z, with K = U L U^T among the
anchors, so that z is white: |z|^2 / 2 is the prior's negative logarithm. (Rasmussen and Williams, Gaussian
Processes for Machine Learning, 2006, chapters 2 and 8.1.)
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..geometry.sampling import farthest_points

# Eigenvalues below this share of the largest are numerical noise.
_RANK_SHARE = 1e-6
_MIRROR = (-1.0, 1.0, 1.0)


@dataclass(frozen=True)
class FieldPrior:
    """Standard deviations of displacements in units of the cloud's diagonal, for places half a diagonal away."""

    stretch: float = 0.10
    """Share by which a length along an axis may differ."""
    shear: float = 0.03
    """Slope by which one axis may lean on another."""
    bumps: tuple[tuple[float, float], ...] = ((0.3, 0.03), (0.12, 0.02), (0.05, 0.01))
    """Pairs of a length over which neighbours move together, and how far they move."""
    mirror: float = 0.95
    """Correlation with the mirror image's displacement in the plane x = 0, for clouds that have it."""


@dataclass(frozen=True)
class Field:
    """The basis of a displacement field around `centre`: anchors (m,3) and weights (3,m,r), centred and in units."""

    anchors: np.ndarray
    weights: np.ndarray
    prior: FieldPrior
    mirror: float
    centre: np.ndarray
    unit: float

    @property
    def rank(self) -> int:
        """Coefficients of each component."""
        return self.weights.shape[-1]

    def basis(self, xyz: np.ndarray) -> torch.Tensor:
        """Displacement (3,N,r) float32 of points xyz (N,3) per unit of the white coefficients, in the points' unit."""
        places = (np.asarray(xyz, np.float64) - self.centre) / self.unit
        kernels = mirrored_kernels(places, self.anchors, self.prior, self.mirror)
        return torch.from_numpy((kernels @ self.weights * self.unit).astype(np.float32))


def make_field(
    xyz: np.ndarray, prior: FieldPrior, mirror: float, centre: np.ndarray, unit: float, anchors: int = 200
) -> Field:
    """The field over points xyz (N,3); mirror: correlation with the mirror image in x = centre_x, 0 for none."""
    places = (np.asarray(xyz, np.float64) - centre) / unit
    chosen = places[farthest_points(places, min(anchors, len(places)))]
    weights = [_whitened(kernel) for kernel in mirrored_kernels(chosen, chosen, prior, mirror)]
    rank = max(one.shape[1] for one in weights)
    padded = [np.pad(one, ((0, 0), (0, rank - one.shape[1]))) for one in weights]
    return Field(chosen, np.stack(padded), prior, mirror, np.asarray(centre, np.float64), float(unit))


def mirrored_kernels(first: np.ndarray, second: np.ndarray, prior: FieldPrior, mirror: float) -> np.ndarray:
    """k' (3,N,m) of the components between places (N,3) and (m,3)."""
    kernels = _kernels(first, second, prior)
    if mirror:
        signs = np.array(_MIRROR)[:, None, None]
        kernels = kernels + mirror * signs * _kernels(first, second * _MIRROR, prior)
    return kernels


def _kernels(first: np.ndarray, second: np.ndarray, prior: FieldPrior) -> np.ndarray:
    square = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    square = np.maximum(square, 0)
    bumps = sum(size**2 * np.exp(-square / (2 * length**2)) for length, size in prior.bumps)
    products = np.stack([np.outer(first[:, axis], second[:, axis]) for axis in range(3)])
    own = prior.stretch**2 * products
    other = prior.shear**2 * (products.sum(0) - products)
    return own + other + bumps


def _whitened(kernel: np.ndarray) -> np.ndarray:
    """U L^-1/2 (m,r) of a kernel matrix (m,m), largest eigenvalues first."""
    values, vectors = np.linalg.eigh(kernel)
    kept = values > _RANK_SHARE * max(values[-1], 1e-30)
    return (vectors[:, kept] / np.sqrt(values[kept]))[:, ::-1]
