# SPDX-License-Identifier: Apache-2.0
"""Where a graph cut begins: pixels that the known background does not explain, or that look like the known object."""

import numpy as np
from scipy.ndimage import gaussian_filter

from .color_mixture import color_cost

OBJECT, UNKNOWN, BACKGROUND = 1, 0, -1
# Fewer strokes than this many pixels say nothing about colours.
LEAST_OBJECT, LEAST_BACKGROUND = 10, 30


def first_guess(lab: np.ndarray, known: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """A first mask (H,W) bool of lab (H,W,3); known (H,W) holds OBJECT, UNKNOWN and BACKGROUND, None: nothing said."""
    if known is None:
        return _against_border(lab, rng)
    if (known == OBJECT).sum() >= LEAST_OBJECT:
        guess = _nearer_to_object(lab, known, rng)
    elif (known == BACKGROUND).sum() >= LEAST_BACKGROUND:
        guess = _against_background(lab, known, rng)
    else:
        guess = _against_border(lab, rng)
    return (guess | (known == OBJECT)) & (known != BACKGROUND)


def rim_of(height: int, width: int, share: float = 0.02) -> np.ndarray:
    """The outermost pixels (H,W) bool, taken for background."""
    thickness = max(1, round(share * min(height, width)))
    rim = np.ones((height, width), bool)
    rim[thickness:-thickness, thickness:-thickness] = False
    return rim


def place_prior(height: int, width: int, reach: float = 0.75) -> np.ndarray:
    """Log-odds-like prior (H,W) of an object: 1 in the middle, about -1 in the corners.

    reach: how far from the middle, in half widths and half heights, it falls to -0.26.
    """
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    return 2 * np.exp(-(((x / reach) ** 2 + (y / reach) ** 2) ** 1.5)) - 1


def _nearer_to_object(lab: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels whose colour is likelier under the object's strokes than under the background's (or the border's)."""
    background = known == BACKGROUND
    if background.sum() < LEAST_BACKGROUND:
        background = background | (rim_of(*known.shape, share=0.06) & (known != OBJECT))
    colors = lab.reshape(-1, 3)
    nearer = color_cost(colors, lab[known == OBJECT], rng) < color_cost(colors, lab[background], rng)
    return nearer.reshape(known.shape)


def _against_background(lab: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels not known to be background that its colours do not explain; when they are few, all of them."""
    background = known == BACKGROUND
    surprise = _surprise(lab, background, rng, blur_px=1.0)
    unseen = ~background & (surprise > np.quantile(surprise[background], 0.95) + 1)
    return unseen if unseen.sum() >= 0.15 * (~background).sum() else ~background


def _against_border(lab: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pixels that the border's colours do not explain; failing those, the worst near the middle."""
    height, width = lab.shape[:2]
    rim, border, place = rim_of(height, width), rim_of(height, width, 0.06), place_prior(height, width)
    surprise = _surprise(lab, border, rng, blur_px=1.5)
    unseen = ~rim & (surprise > np.quantile(surprise[border], 0.95) + 2)
    if unseen.mean() > 0.03:  # colours that the border does not have
        return unseen
    score = np.where(rim | (place < -0.6), -np.inf, surprise + 4 * place)
    return score > np.quantile(score, 0.75)


def _surprise(lab: np.ndarray, sample: np.ndarray, rng: np.random.Generator, blur_px: float) -> np.ndarray:
    """How badly the colours of a sample (H,W) bool explain each pixel, in nats, smoothed; outliers are capped."""
    cost = color_cost(lab.reshape(-1, 3), lab[sample], rng).reshape(lab.shape[:2])
    return gaussian_filter(np.minimum(cost, np.quantile(cost[sample], 0.9) + 8), blur_px)
