# SPDX-License-Identifier: Apache-2.0
"""Cutting an object from a plain background: the border gives a colour field, a flood removes what follows it."""

import numpy as np
from scipy import ndimage

from .components import label_components, without_specks

# Differences are CIE76 in Lab; about 2.3 is just noticeable.
MIN_THRESHOLD, MAX_THRESHOLD = 5.0, 14.0
# Soft shadows keep the background's hue, darken it by at most this much in L, and have no sharp edge.
SHADOW_DEPTH, SHADOW_CHROMA, SHADOW_SLOPE = 22.0, 4.0, 2.0
# The border is plain when this share of it, on at least three sides, follows the fitted field.
PLAIN_SHARE, PLAIN_SIDE_SHARE = 0.7, 0.5
MAX_SPREAD = 2.0


def mask_by_border_color(rgb: np.ndarray) -> np.ndarray | None:
    """Object mask (H,W) bool of rgb (H,W,3) uint8 on a plain or smoothly graded background, else None."""
    lab = np.asarray(ndimage.gaussian_filter(lab_from_srgb(rgb), (0.8, 0.8, 0)))
    field, spread = fit_border_field(lab)
    if field is None:
        return None
    difference = lab - field
    distance = np.linalg.norm(difference, axis=-1)
    threshold = float(np.clip(4.0 * spread, MIN_THRESHOLD, MAX_THRESHOLD))
    # A border without any noise is a cut-out pasted on a colour: nothing there casts a shadow.
    background = _flood(distance, difference, threshold, shadows=spread > 0.15)
    background |= _enclosed_background(distance, threshold, background)
    return without_specks(~_halo(background, distance), max(4, distance.size // 20000))


def lab_from_srgb(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab (H,W,3) float32 (D65) of sRGB (H,W,3) uint8."""
    table = np.arange(256) / 255.0
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4).astype(np.float32)[
        rgb
    ]
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = linear @ (to_xyz / np.array([[0.95047], [1.0], [1.08883]])).T.astype(np.float32)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack((116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])), -1)


def fit_border_field(lab: np.ndarray) -> tuple[np.ndarray | None, float]:
    """Fit a quadratic colour field to the border of lab (H,W,3), ignoring where the object touches it.

    Returns the field (H,W,3) and the spread of the border about it in Lab units, or (None, spread) when the
    border does not follow such a field.
    """
    height, width = lab.shape[:2]
    x, y = np.linspace(-1, 1, width)[None], np.linspace(-1, 1, height)[:, None]
    side = _side_of_border(height, width)
    rows, columns = np.nonzero(side >= 0)
    coefficients, residual = _robust_fit(_quadratic(x[0, columns], y[rows, 0]), lab[rows, columns])
    inlier = residual < MAX_THRESHOLD * 0.75
    shares = sorted(float(inlier[side[rows, columns] == k].mean()) for k in range(4))
    spread = float(np.sqrt((residual[inlier] ** 2).mean())) if inlier.any() else 99.0
    if inlier.mean() < PLAIN_SHARE or shares[1] < PLAIN_SIDE_SHARE or spread > MAX_SPREAD:
        return None, spread
    one, along_x, along_y, xx, xy, yy = coefficients.astype(np.float32)  # (3,) each
    x, y = x[..., None].astype(np.float32), y[..., None].astype(np.float32)
    return (one + x * along_x + x * x * xx) + (y * along_y + y * y * yy) + (x * y) * xy, spread


def _robust_fit(design: np.ndarray, lab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (6,3) of design (N,6) for colours lab (N,3) by reweighting, and distances (N,) from the fit."""
    residual = np.linalg.norm(lab - np.median(lab, axis=0), axis=1)
    weights = (residual <= max(10.0, float(np.median(residual)) * 2)).astype(np.float64)
    # A little ridge keeps the corners of the field sane when only part of the border is left.
    ridge = 0.02 * len(lab) * np.diag([0, 1, 1, 1, 1, 1])
    coefficients = np.zeros((6, 3))
    for _ in range(6):
        weighted = (design * weights[:, None]).T
        coefficients = np.linalg.lstsq(weighted @ design + ridge, weighted @ lab, rcond=None)[0]
        residual = np.linalg.norm(lab - design @ coefficients, axis=1)
        scale = max(1.0, 1.48 * float(np.median(residual[weights > 0]) if weights.any() else 99))
        weights = (residual < min(3 * scale, MAX_THRESHOLD)).astype(np.float64)
    return coefficients, residual


def _side_of_border(height: int, width: int, thickness: int = 2) -> np.ndarray:
    """0 to 3 for top, bottom, left and right pixels of the border, -1 inside (H,W)."""
    side = np.full((height, width), -1, np.int8)
    side[:, :thickness], side[:, -thickness:] = 2, 3
    side[:thickness], side[-thickness:] = 0, 1
    return side


def _quadratic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.stack((np.ones_like(x), x, y, x * x, x * y, y * y), -1)  # (N, 6)


def _flood(distance: np.ndarray, difference: np.ndarray, threshold: float, shadows: bool) -> np.ndarray:
    """Background (H,W) connected to the border: close to the field, or a soft shadow on it."""
    passable = distance < threshold
    if shadows:
        darker = -difference[..., 0]
        chroma = np.hypot(difference[..., 1], difference[..., 2])
        slope = ndimage.gaussian_gradient_magnitude(difference[..., 0], 1.0)
        passable |= (darker > 0) & (darker < SHADOW_DEPTH) & (chroma < SHADOW_CHROMA) & (slope < SHADOW_SLOPE)
    labels, _ = label_components(passable)
    rim = np.zeros(distance.shape, bool)
    rim[[0, -1]], rim[:, [0, -1]] = True, True
    outside = np.zeros(labels.max() + 1, bool)
    outside[labels[rim & (distance < threshold)]] = True
    outside[0] = False
    return outside[labels]


def _enclosed_background(distance: np.ndarray, threshold: float, background: np.ndarray) -> np.ndarray:
    """Background seen through holes of the object: enclosed, and nearer to the field than the flood had to be."""
    labels, areas = label_components((distance < 0.9 * threshold) & ~background)
    seeds = (areas >= max(6, distance.size // 8000))[labels]
    # Grow the kept holes back to the full threshold, where the soft edge of the object begins.
    allowed = (distance < threshold) & ~background
    return ndimage.binary_dilation(seeds, iterations=2, mask=allowed).astype(bool) | seeds


def _halo(background: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Background (H,W) plus the pixels of its rim that are less than half object: blends of both colours."""
    near = ndimage.binary_dilation(background, iterations=2).astype(bool)
    object_distance = ndimage.maximum_filter(np.where(background, 0, distance), 5)
    return background | (near & (distance < 0.45 * object_distance))
