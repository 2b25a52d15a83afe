# SPDX-License-Identifier: GPL-3.0-or-later
"""Which pixels of an image are the object: its alpha channel, a mask image, or a plain background's colour."""

import numpy as np

from .jobs import UserError

# An object takes between these shares of the picture; outside them the mask is no use to a model.
MIN_SHARE, MAX_SHARE = 0.001, 0.98
# Differences in Lab; about 2.3 is just noticeable.
MIN_THRESHOLD, MAX_THRESHOLD = 6.0, 14.0
PLAIN_SHARE, MAX_SPREAD = 0.7, 2.5
ESTIMATE_SIDE = 448
_FIX = "Use an image with a transparent background, or choose a mask image"


def find_mask(rgba: np.ndarray, source: str, mask_rgba: np.ndarray | None = None) -> np.ndarray:
    """Coverage (H,W) uint8 of the object in rgba (H,W,4) uint8, by source AUTO, ALPHA, ESTIMATE or IMAGE.

    AUTO takes the alpha channel where it separates something, else a plain background. Raises UserError.
    """
    if source == "IMAGE":
        return _checked(_from_image(mask_rgba, rgba.shape[:2]), "The mask image")
    transparent = bool((rgba[..., 3] < 32).mean() >= 0.001)
    if source == "ALPHA" and not transparent:
        raise UserError(f"The image has no transparent background. {_FIX}.")
    if transparent and source in ("AUTO", "ALPHA"):
        return _checked(rgba[..., 3], "The alpha channel")
    return _checked(plain_background_mask(rgba), "The estimated mask")


def plain_background_mask(rgba: np.ndarray) -> np.ndarray:
    """Coverage (H,W) uint8 by the distance from a smooth colour field fitted to the border. Raises UserError."""
    step = max(1, -(-max(rgba.shape[:2]) // ESTIMATE_SIDE))
    small = _box_mean(rgba[..., :3], step)
    lab = lab_from_srgb(small)
    field, spread = _border_field(lab)
    if field is None:
        raise UserError(f"The background is not plain. {_FIX}, or paint one.")
    distance = np.linalg.norm(lab - field, axis=-1)
    threshold = float(np.clip(4 * spread, MIN_THRESHOLD, MAX_THRESHOLD))
    mask = _without_specks(distance > threshold)
    grown = np.repeat(np.repeat(mask, step, 0), step, 1)[: rgba.shape[0], : rgba.shape[1]]
    return np.where(grown, np.uint8(255), np.uint8(0))


def lab_from_srgb(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab (H,W,3) under D65 of sRGB (H,W,3) uint8."""
    share = rgb.astype(np.float32) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750]])
    to_xyz = np.vstack((to_xyz, [0.0193339, 0.1191920, 0.9503041]))
    xyz = linear @ (to_xyz / np.array([[0.95047], [1.0], [1.08883]])).T
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack((116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])), -1)


def _border_field(lab: np.ndarray) -> tuple[np.ndarray | None, float]:
    """A quadratic colour field (H,W,3) through the border and its spread; None when the border is not like one."""
    height, width = lab.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    design = np.stack((np.ones_like(x), x, y, x * x, x * y, y * y), -1)
    border = np.zeros((height, width), bool)
    border[:2], border[-2:], border[:, :2], border[:, -2:] = True, True, True, True
    rows, colors = design[border], lab[border]
    residual = np.linalg.norm(colors - np.median(colors, axis=0), axis=1)
    weights = residual <= max(10.0, 2 * float(np.median(residual)))
    ridge = 0.02 * len(rows) * np.diag([0, 1, 1, 1, 1, 1])
    coefficients = np.zeros((6, 3))
    for _ in range(6):
        used = rows[weights]
        coefficients = np.linalg.lstsq(used.T @ used + ridge, used.T @ colors[weights], rcond=None)[0]
        residual = np.linalg.norm(colors - rows @ coefficients, axis=1)
        scale = max(1.0, 1.48 * float(np.median(residual[weights])))
        weights = residual < min(3 * scale, MAX_THRESHOLD)
        if not weights.any():
            return None, 99.0
    inside = residual < MAX_THRESHOLD * 0.75
    spread = float(np.sqrt((residual[inside] ** 2).mean())) if inside.any() else 99.0
    plain = inside.mean() >= PLAIN_SHARE and spread <= MAX_SPREAD
    return (design @ coefficients if plain else None), spread


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """A mask (H,W) bool after a majority vote of 3x3 pixels: no single pixels of noise."""
    padded = np.pad(mask.astype(np.uint8), 1)
    height, width = mask.shape
    votes = sum(
        padded[row : row + height, column : column + width] for row in range(3) for column in range(3)
    )
    return np.asarray(votes) >= 5


def _box_mean(rgb: np.ndarray, step: int) -> np.ndarray:
    """Means over blocks (H/step, W/step, 3) uint8, the last ones over what is there."""
    if step == 1:
        return rgb
    rows, columns = np.arange(0, rgb.shape[0], step), np.arange(0, rgb.shape[1], step)
    sums = np.add.reduceat(np.add.reduceat(rgb, rows, 0, dtype=np.uint32), columns, 1)
    counts = np.outer(np.diff([*rows, rgb.shape[0]]), np.diff([*columns, rgb.shape[1]]))
    return (sums // counts[..., None]).astype(np.uint8)


def _from_image(mask_rgba: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """The alpha of a mask image where it has one, else its brightness, brought to the image's size."""
    if mask_rgba is None:
        raise UserError("No mask image is chosen.")
    transparent = (mask_rgba[..., 3] < 32).mean() >= 0.001
    mask = mask_rgba[..., 3] if transparent else mask_rgba[..., :3].mean(-1).round().astype(np.uint8)
    if mask.shape == shape:
        return mask
    rows = (np.arange(shape[0]) + 0.5) * mask.shape[0] / shape[0]
    columns = (np.arange(shape[1]) + 0.5) * mask.shape[1] / shape[1]
    return mask[rows.astype(int)[:, None], columns.astype(int)[None]]


def _checked(mask: np.ndarray, name: str) -> np.ndarray:
    share = float((mask > 127).mean())
    if share < MIN_SHARE:
        raise UserError(f"{name} is empty: no object in it. {_FIX}.")
    if share > MAX_SHARE:
        raise UserError(f"{name} covers the whole picture: no background is left. {_FIX}.")
    return mask
