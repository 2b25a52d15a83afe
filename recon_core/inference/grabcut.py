# SPDX-License-Identifier: Apache-2.0
"""GrabCut: two colour mixtures and minimum cuts in turn, from what a user said.

After Rother, Kolmogorov and Blake, "GrabCut" (2004). The cuts are scipy's maximum flow. Where the user said nothing:
unaided.py.
"""

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from .color_mixture import color_cost
from .first_guess import BACKGROUND, OBJECT, first_guess
from .plain_background import lab_from_srgb

ITERATIONS = 5
# Weight of the border between object and background along weak edges, against one nat of colour evidence (the paper's).
SMOOTHNESS = 50.0
# Capacities of the minimum cut are integers.
CAPACITY_UNIT = 64
CERTAIN = 2000.0
# Fewer pixels than this on one side have no colours worth fitting.
_LEAST_PIXELS = 30


def mask_by_graph_cut(rgb: np.ndarray, known: np.ndarray, seed: int = 0) -> np.ndarray | None:
    """Object mask (H,W) bool of rgb (H,W,3) uint8 in a cluttered picture; None when nothing stands out.

    known (H,W): OBJECT, BACKGROUND and UNKNOWN (first_guess.py).
    """
    if min(rgb.shape[:2]) < 8:
        return None
    rng = np.random.default_rng(seed)
    guess = first_guess(lab_from_srgb(rgb).astype(np.float64), known, rng)
    mask = alternate(rgb, known, guess, rng)
    return mask if mask.any() else None


def alternate(
    rgb: np.ndarray,
    known: np.ndarray,
    guess: np.ndarray,
    rng: np.random.Generator,
    prior: np.ndarray | None = None,
) -> np.ndarray:
    """Mixtures and cuts in turn on rgb (H,W,3) uint8 from a guess (H,W) bool until the mask stands still.

    prior (H,W): nats by which each pixel is likelier to be object than its colour says.
    """
    lab = lab_from_srgb(rgb).astype(np.float64)
    edges, colors, mask = _edges(lab), lab.reshape(-1, 3), guess
    for _ in range(ITERATIONS):
        if not _can_be_cut(mask):
            break
        object_cost = color_cost(colors, colors[mask.ravel()], rng)
        background_cost = color_cost(colors, colors[~mask.ravel()], rng)
        unary = (object_cost - background_cost).reshape(mask.shape)
        if prior is not None:
            unary -= prior
        unary[known == OBJECT], unary[known == BACKGROUND] = -CERTAIN, CERTAIN
        updated = minimum_cut(unary, edges)
        change, mask = (updated != mask).mean(), updated
        if change < 0.001:
            break
    return mask


def cut_energy(rgb: np.ndarray, mask: np.ndarray, prior: np.ndarray, rng: np.random.Generator) -> float:
    """What cuts minimise, in nats per pixel of rgb (H,W,3) with mask (H,W) bool, less that of a picture without object.

    0 for a mask that cannot be cut; the lower the better.
    """
    if not _can_be_cut(mask):
        return 0.0
    lab = lab_from_srgb(rgb).astype(np.float64)
    colors, inside = lab.reshape(-1, 3), mask.ravel()
    first, second, weight = _edges(lab)
    apart = color_cost(colors[inside], colors[inside], rng).sum()
    apart += color_cost(colors[~inside], colors[~inside], rng).sum()
    border = weight[inside[first] != inside[second]].sum()
    return float((apart + border - prior[mask].sum() - color_cost(colors, colors, rng).sum()) / mask.size)


def _can_be_cut(mask: np.ndarray) -> bool:
    return min(int(mask.sum()), int((~mask).sum())) >= _LEAST_PIXELS


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
