# SPDX-License-Identifier: Apache-2.0
"""GrabCut: two colour mixtures and minimum cuts in turn, from what a user said or from the picture's border.

After Rother, Kolmogorov and Blake, "GrabCut" (2004). Where the user said nothing, the picture's rim is background.
The cuts are scipy's maximum flow.
"""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from .color_mixture import color_cost
from .first_guess import BACKGROUND, OBJECT, first_guess, rim_of
from .plain_background import lab_from_srgb

ITERATIONS = 5
# Weight of the border between object and background along weak edges, against one nat of colour evidence (the paper's).
SMOOTHNESS = 50.0
# Capacities of the minimum cut are integers.
CAPACITY_UNIT = 64
CERTAIN = 2000.0
# Fewer pixels than this on one side have no colours worth fitting.
_LEAST_PIXELS = 30


def mask_by_graph_cut(rgb: np.ndarray, known: np.ndarray | None = None, seed: int = 0) -> np.ndarray | None:
    """Object mask (H,W) bool of rgb (H,W,3) uint8 in a cluttered picture; None when nothing stands out.

    known (H,W): OBJECT, BACKGROUND and UNKNOWN (first_guess.py); None when the user said nothing.
    """
    top, bottom, left, right = _without_bars(rgb) if known is None else (0, rgb.shape[0], 0, rgb.shape[1])
    inner = rgb[top:bottom, left:right]
    if min(inner.shape[:2]) < 8:
        return None
    rng = np.random.default_rng(seed)
    guess = first_guess(lab_from_srgb(inner).astype(np.float64), known, rng)
    if known is None:
        known = np.where(rim_of(*inner.shape[:2]), BACKGROUND, 0).astype(np.int8)
        guess &= known != BACKGROUND
    mask = np.zeros(rgb.shape[:2], bool)
    mask[top:bottom, left:right] = _alternate(inner, known, guess, rng)
    return mask if mask.any() else None


def _alternate(rgb: np.ndarray, known: np.ndarray, guess: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mixtures and cuts in turn on rgb (H,W,3) uint8 from a guess (H,W) bool until the mask stands still."""
    lab = lab_from_srgb(rgb).astype(np.float64)
    edges, colors, mask = _edges(lab), lab.reshape(-1, 3), guess
    for _ in range(ITERATIONS):
        if not _can_be_cut(mask):
            break
        object_cost = color_cost(colors, colors[mask.ravel()], rng)
        background_cost = color_cost(colors, colors[~mask.ravel()], rng)
        unary = (object_cost - background_cost).reshape(mask.shape)
        unary[known == OBJECT], unary[known == BACKGROUND] = -CERTAIN, CERTAIN
        updated = minimum_cut(unary, edges)
        change, mask = (updated != mask).mean(), updated
        if change < 0.001:
            break
    return mask


def _can_be_cut(mask: np.ndarray) -> bool:
    return min(int(mask.sum()), int((~mask).sum())) >= _LEAST_PIXELS


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
    units = np.rint(np.minimum(capacity, CERTAIN) * CAPACITY_UNIT).astype(np.int32)
    graph = coo_matrix((units, (rows, columns)), shape=(count + 2, count + 2)).tocsr()
    residual = graph - maximum_flow(graph, source, sink, method="dinic").flow
    residual.eliminate_zeros()
    reached = np.zeros(count + 2, bool)
    reached[breadth_first_order(residual, source, return_predecessors=False)] = True
    return reached[:count].reshape(unary.shape)
