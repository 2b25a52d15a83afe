# SPDX-License-Identifier: Apache-2.0
"""The object in a cluttered picture when nobody says where it is: cuts from several starts, and whether they agree.

Where object and background have the same colours, a cut follows whatever stands out: a sign on the wall instead of the
grey car before it. Two things help, neither of which needs colours: what a picture is taken of is near its middle, and
cuts begun from different guesses end alike where the picture leaves no choice. Of their ends the one of least energy is
taken; where they differ, or the middle stays empty, the mask is doubtful.
"""

import numpy as np
from PIL import Image

from .first_guess import BACKGROUND, first_guess, place_prior, rim_of
from .grabcut import alternate, cut_energy
from .plain_background import lab_from_srgb

# Nats by which the middle is likelier to be object than the colours say, and the corners less; and how wide the middle
# is: wide enough for an object that fills the picture.
PLACE_WEIGHT, PLACE_REACH = 3.0, 0.95
# Starts are cut on a copy with at most this many pixels along the longer side.
START_SIDE = 112
# A mask is doubtful when its mean IoU with those from the other starts is less, or it covers less of the middle.
LEAST_AGREEMENT, LEAST_MIDDLE = 0.8, 0.2


def mask_unaided(rgb: np.ndarray, seed: int = 0) -> tuple[np.ndarray | None, bool]:
    """Object mask (H,W) bool of rgb (H,W,3) uint8, None if nothing stands out, and whether it is doubtful."""
    top, bottom, left, right = _without_bars(rgb)
    inner = rgb[top:bottom, left:right]
    if min(inner.shape[:2]) < 8:
        return None, True
    chosen, agreement = _best_of_starts(_resized(inner, START_SIDE / max(START_SIDE, *inner.shape[:2])), seed)
    if chosen.shape != inner.shape[:2]:
        size = (inner.shape[1], inner.shape[0])
        grown = Image.fromarray(chosen.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
        chosen = _cut(inner, np.asarray(grown) > 127, seed)
    middle = place_prior(*inner.shape[:2]) > 0.5
    doubtful = agreement < LEAST_AGREEMENT or float(chosen[middle].mean()) < LEAST_MIDDLE
    mask = np.zeros(rgb.shape[:2], bool)
    mask[top:bottom, left:right] = chosen
    return (mask, doubtful) if mask.any() else (None, True)


def _best_of_starts(rgb: np.ndarray, seed: int) -> tuple[np.ndarray, float]:
    """The mask (H,W) bool of least energy of those that cuts make of the guesses, and its mean IoU with the others."""
    masks = [_cut(rgb, guess, seed) for guess in _guesses(rgb, seed)]
    prior = _prior(rgb)
    energies = [cut_energy(rgb, mask, prior, np.random.default_rng(seed)) for mask in masks]
    best = int(np.argmin(energies))
    return masks[best], float(np.mean([_iou(masks[best], mask) for i, mask in enumerate(masks) if i != best]))


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    """0 for two empty masks: they agree on nothing."""
    return float((one & other).sum() / max(int((one | other).sum()), 1))


def _guesses(rgb: np.ndarray, seed: int) -> list[np.ndarray]:
    """Where cuts begin: what the border's colours do not explain, nearly everything, and the middle."""
    height, width = rgb.shape[:2]
    lab = lab_from_srgb(rgb).astype(np.float64)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    rectangle = (np.abs(x) < 0.9) & (np.abs(y) < 0.9)
    return [first_guess(lab, None, np.random.default_rng(seed)), rectangle, x**2 + y**2 < 0.6**2]


def _cut(rgb: np.ndarray, guess: np.ndarray, seed: int) -> np.ndarray:
    """The mask (H,W) bool that alternating cuts make of a guess; the picture's rim is background."""
    rim = rim_of(*rgb.shape[:2])
    known = np.where(rim, BACKGROUND, 0).astype(np.int8)
    prior = _prior(rgb)
    return alternate(rgb, known, guess & ~rim, np.random.default_rng(seed), prior)


def _prior(rgb: np.ndarray) -> np.ndarray:
    return PLACE_WEIGHT * place_prior(rgb.shape[0], rgb.shape[1], PLACE_REACH)


def _resized(rgb: np.ndarray, scale: float) -> np.ndarray:
    if scale >= 1:
        return rgb
    size = (max(8, round(rgb.shape[1] * scale)), max(8, round(rgb.shape[0] * scale)))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))


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
