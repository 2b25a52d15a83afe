# SPDX-License-Identifier: Apache-2.0
"""GrabCut without a rectangle: two colour mixtures and minimum cuts in turn, started from the picture's border.

After Rother, Kolmogorov and Blake, "GrabCut" (2004). The user's rectangle is replaced by a prior: objects are
photographed near the middle and hardly touch the border.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from .plain_background import lab_from_srgb

COMPONENTS = 5
ITERATIONS = 6
# Weights against one nat of colour evidence: smoothness along weak edges, and the prior of place.
SMOOTHNESS, PLACE = 12.0, 2.5
# Capacities of the minimum cut are integers.
CAPACITY_UNIT = 64
CERTAIN = 1000.0


@dataclass(frozen=True)
class Mixture:
    """Gaussian mixture over Lab: log_weight (K,), mean (K,3), precision (K,3,3), log_determinant (K,)."""

    log_weight: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    log_determinant: np.ndarray

    def component_cost(self, colors: np.ndarray) -> np.ndarray:
        """Negative log density (N,K) of colors (N,3) under each component, weight included."""
        offset = colors[:, None] - self.mean  # (N, K, 3)
        square = np.einsum("nki,kij,nkj->nk", offset, self.precision, offset, optimize=True)
        return 0.5 * (square + self.log_determinant) - self.log_weight


def mask_by_graph_cut(rgb: np.ndarray, seed: int = 0) -> np.ndarray | None:
    """Object mask (H,W) bool of rgb (H,W,3) uint8 in a cluttered picture; None when nothing stands out."""
    top, bottom, left, right = _without_bars(rgb)
    inner = rgb[top:bottom, left:right]
    if min(inner.shape[:2]) < 8:
        return None
    mask = np.zeros(rgb.shape[:2], bool)
    mask[top:bottom, left:right] = _segment(
        lab_from_srgb(inner).astype(np.float64), np.random.default_rng(seed)
    )
    return mask if mask.any() else None


def _without_bars(rgb: np.ndarray) -> tuple[int, int, int, int]:
    """Bounds (top, bottom, left, right) without letterbox bars of one colour.

    Constant rows and columns together are not bars but a plain background, which is left alone.
    """
    height, width = rgb.shape[:2]
    rows, columns = (
        np.flatnonzero((rgb.max(axis).astype(int) - rgb.min(axis) >= 12).any(-1)) for axis in (1, 0)
    )
    if len(rows) == 0 or len(columns) == 0 or (len(rows) < height and len(columns) < width):
        return 0, height, 0, width
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _segment(lab: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Alternate mixtures and cuts on lab (H,W,3) until the mask (H,W) bool stands still."""
    height, width = lab.shape[:2]
    rim = rim_of(height, width)
    place = place_prior(height, width)
    edges = _edges(lab)
    colors = lab.reshape(-1, 3)
    mask = _first_guess(lab, rim, place, rng)
    for _ in range(ITERATIONS):
        if mask.sum() < 30 or (~mask).sum() < 30:
            break
        object_cost = _cost(colors, colors[mask.ravel()], rng)
        background_cost = _cost(colors, colors[~mask.ravel()], rng)
        unary = (object_cost - background_cost).reshape(height, width).clip(-12, 12) - PLACE * place
        unary[rim] = CERTAIN
        updated = minimum_cut(unary, edges)
        change, mask = (updated != mask).mean(), updated
        if change < 0.001:
            break
    return mask


def rim_of(height: int, width: int, share: float = 0.02) -> np.ndarray:
    """The outermost pixels (H,W) bool, taken for background."""
    thickness = max(1, round(share * min(height, width)))
    rim = np.ones((height, width), bool)
    rim[thickness:-thickness, thickness:-thickness] = False
    return rim


def place_prior(height: int, width: int) -> np.ndarray:
    """Log-odds-like prior (H,W) of an object: 1 in the middle, about -1 in the corners."""
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    return 2 * np.exp(-(((x / 0.75) ** 2 + (y / 0.75) ** 2) ** 1.5)) - 1


def _first_guess(lab: np.ndarray, rim: np.ndarray, place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels (H,W) that the border's colours do not explain; failing those, the worst near the middle."""
    height, width = rim.shape
    border = rim_of(height, width, 0.06)
    surprise = _cost(lab.reshape(-1, 3), lab[border], rng).reshape(height, width)
    surprise = gaussian_filter(np.minimum(surprise, np.quantile(surprise[border], 0.9) + 8), 1.5)
    unseen = ~rim & (surprise > np.quantile(surprise[border], 0.95) + 2)
    if unseen.mean() > 0.03:  # colours that the border does not have
        return unseen
    score = np.where(rim | (place < -0.6), -np.inf, surprise + 4 * place)
    return score > np.quantile(score, 0.75)


def _cost(colors: np.ndarray, sample: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Negative log density (N,) of colors (N,3) under a mixture fitted to sample (M,3): best component's."""
    return fit_mixture(sample, rng).component_cost(colors).min(1)


def fit_mixture(colors: np.ndarray, rng: np.random.Generator, components: int = COMPONENTS) -> Mixture:
    """Fit by k-means++ and hard assignments, as GrabCut does; covariances are kept above sensor noise."""
    count = min(components, len(colors))
    if len(colors) > 6000:
        colors = colors[rng.choice(len(colors), 6000, replace=False)]
    assigned = _k_means(colors, count, rng)
    weight, mean, covariance = [], [], []
    for k in range(count):
        own = colors[assigned == k]
        if len(own) == 0:
            continue
        weight.append(len(own) / len(colors))
        mean.append(own.mean(0))
        spread = np.cov(own.T, bias=True) if len(own) > 1 else np.zeros((3, 3))
        covariance.append(spread + 4.0 * np.eye(3))
    stacked = np.stack(covariance)
    return Mixture(np.log(weight), np.stack(mean), np.linalg.inv(stacked), np.linalg.slogdet(stacked)[1])


def _k_means(colors: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    centres = colors[rng.integers(len(colors))][None]
    for _ in range(count - 1):  # k-means++: far colours are likelier centres
        distance = _squares(colors, centres).min(1)
        total = distance.sum()
        chosen = rng.choice(len(colors), p=distance / total) if total > 0 else rng.integers(len(colors))
        centres = np.concatenate((centres, colors[chosen][None]))
    assigned = np.zeros(len(colors), int)
    for _ in range(8):
        assigned = _squares(colors, centres).argmin(1)
        filled = np.bincount(assigned, minlength=count) > 0
        centres[filled] = [colors[assigned == k].mean(0) for k in np.flatnonzero(filled)]
    return assigned


def _squares(colors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return ((colors[:, None] - centres) ** 2).sum(-1)  # (N, K)


def _edges(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """8-neighbour pairs (first, second) of pixel indices and their smoothness weights, low across edges."""
    height, width = lab.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    first, second, square, length = [], [], [], []
    for dv, du in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, height - dv), slice(max(0, -du), width - max(du, 0)))
        there = (slice(dv, height), slice(max(0, du), width + min(du, 0)))
        first.append(index[here].ravel())
        second.append(index[there].ravel())
        square.append(((lab[here] - lab[there]) ** 2).sum(-1).ravel())
        length.append(np.full(index[here].size, np.hypot(dv, du)))
    squares = np.concatenate(square)
    beta = 1.0 / max(2.0 * float(squares.mean()), 1e-6)
    weight = SMOOTHNESS * np.exp(-beta * squares) / np.concatenate(length)
    return np.concatenate(first), np.concatenate(second), weight


def minimum_cut(unary: np.ndarray, edges: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """Mask (H,W) bool of least energy: sum of unary (H,W) over the object plus weights of separated pairs."""
    first, second, weight = edges
    cost = unary.ravel()
    count = cost.size
    source, sink = count, count + 1
    for_object, against = np.flatnonzero(cost < 0), np.flatnonzero(cost > 0)
    rows = np.concatenate((first, second, np.full(for_object.size, source), against))
    columns = np.concatenate((second, first, for_object, np.full(against.size, sink)))
    capacity = np.concatenate((weight, weight, -cost[for_object], cost[against]))
    units = np.rint(capacity * CAPACITY_UNIT).astype(np.int32)
    graph = coo_matrix((units, (rows, columns)), shape=(count + 2, count + 2)).tocsr()
    residual = graph - maximum_flow(graph, source, sink, method="dinic").flow
    residual.eliminate_zeros()
    reached = np.zeros(count + 2, bool)
    reached[breadth_first_order(residual, source, return_predecessors=False)] = True
    return reached[:count].reshape(unary.shape)
