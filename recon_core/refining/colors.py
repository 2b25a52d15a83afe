# SPDX-License-Identifier: Apache-2.0
"""Colours after the shape: points take what the images show of them, and tell it to those that no image shows.

A seen point's colour is looked up at its place, the mean of the images that see it. Of the others only the difference d
to the colour that was predicted for them is estimated, channel by channel, by a Gaussian process with

    k(p, q) = part^2 [same part] + near^2 (e(p, q) + e(p, M q)),    e(p, q) = exp(-|p - q|^2 / (2 reach^2))

from the differences at seen points, each known up to a deviation `noise`: light falls from one side, and a side that is
seen says less of the others than of itself. M reflects in the plane x = 0; its term is there where sides are tied
(field.py). (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, equation 2.25.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from ..cameras import Cameras
from ..confidence.features import local_spacing
from ..confidence.visibility import visible_points
from ..data.crop import Box, crop_cameras, crop_square
from ..inference.photo_camera import COLOR_SOURCES, colors_from_photo
from ..pointcloud import PointCloud
from ..renderers.splat import splat_features

Colors = Literal["auto", "fit", "keep"]

# Standard deviations in steps of 8 bits, and the reach in diagonals of the cloud. Tuned on validation renders.
_PART, _NEAR, _NOISE, _REACH = 30.0, 20.0, 60.0, 0.1
# So many seen points tell the others; more say no more, at the cube of the time.
_TELLERS = 400
_BLOCK = 20_000
_FEWEST_SEEN = 10
# Side of the crops in which colours are looked up, and of those in which the cloud is drawn to judge them.
_READ_PX, _DRAWN_PX = 192, 96
_SIGMA_PX, _SLABS, _DENSITY = 1.0, 8, 6.0
_SOLID_ALPHA, _COVERED = 200, 0.5
# Steps of 8 bits that are a difference: JPEG makes flat greys differ a little.
_DIFFERENCE = 8
_NO_PREDICTION = (COLOR_SOURCES["projected"], COLOR_SOURCES["height"])


@dataclass(frozen=True)
class Shot:
    """One image with its mask as alpha (H,W,4) uint8, the camera (1) of it, and where the object is in it."""

    rgba: np.ndarray
    camera: Cameras
    box: Box

    def crop(self, size: int) -> tuple[np.ndarray, Cameras]:
        """Pixels (size,size,4) uint8 around the object and the camera (1) of them; blends at the rim are left out."""
        solid = self.rgba[..., 3] > _SOLID_ALPHA
        alpha = np.where(solid, self.rgba[..., 3], 0) if solid.any() else self.rgba[..., 3]
        rgba = np.dstack((self.rgba[..., :3], alpha.astype(np.uint8)))
        camera = self.camera.to(torch.float64).resized(self.rgba.shape[1], self.rgba.shape[0])
        return crop_square(rgba, self.box, size), crop_cameras(camera, self.box, size)


@dataclass(frozen=True)
class ColorFit:
    """Colours that images gave to a cloud, and how well they match; pairs are before and after."""

    colors: np.ndarray  # (N, 3) uint8
    seen: np.ndarray  # (N,), whether some image shows the point
    psnr_db: tuple[float | None, float]
    """Of the seen points, drawn over the pixels of the masks that they cover; None where there were no colours."""
    drawn: np.ndarray  # (2, V, S, S, 3) uint8, white around; before: what was there, or what is there now

    def record(self) -> dict[str, Any]:
        """For a JSON file."""
        before, after = self.psnr_db
        pair = [None if before is None else round(before, 3), round(after, 3)]
        return {"seen": round(float(self.seen.mean()), 4), "psnr_db": pair}


def fit_colors(cloud: PointCloud, shots: Sequence[Shot], tied: bool, wish: Colors = "fit") -> ColorFit | None:
    """The cloud's colours brought to what images show; None where they stay.

    They stay when that is wished, when next to nothing of the cloud is seen, when images would not be matched better,
    and, by auto, when there is nothing to take: images of one flat colour (silhouettes), or grey ones for a cloud
    without colours. tied: both sides of x = 0 are alike.
    """
    if wish == "keep":
        return None
    crops = [shot.crop(_DRAWN_PX) for shot in shots]
    if wish == "auto" and not _worth_it(cloud, [pixels for pixels, _ in crops]):
        return None
    spacing = max(float(np.median(local_spacing(cloud.xyz))), 1e-9)
    seen = np.stack([visible_points(cloud.xyz, shot.camera, spacing) for shot in shots])  # (V, N)
    some = seen.max(0)
    if some.sum() < _FEWEST_SEEN:
        return None
    found = spread_colors(cloud, looked_up(cloud.xyz, shots, seen), some, tied)
    after, picture = judge(cloud.xyz, found, crops, seen)
    before, old = (None, picture) if cloud.colors is None else judge(cloud.xyz, cloud.colors, crops, seen)
    if after is None or (before is not None and after <= before):
        return None
    return ColorFit(found, some, (before, after), np.stack((old, picture)))


def _worth_it(cloud: PointCloud, crops: Sequence[np.ndarray]) -> bool:
    """Whether crops (S,S,4) show colours; greys do for a cloud that has some to be compared."""
    inside = np.concatenate([rgba[rgba[..., 3] > 127, :3] for rgba in crops]).astype(float)
    if not len(inside):
        return False
    low, high = np.quantile(inside, [0.02, 0.98], axis=0)
    if (high - low).max() <= _DIFFERENCE:
        return False
    return cloud.colors is not None or float(np.quantile(np.ptp(inside, axis=1), 0.98)) > _DIFFERENCE


def looked_up(xyz: np.ndarray, shots: Sequence[Shot], seen: np.ndarray) -> np.ndarray:
    """Mean colours (N,3) float64 of points (N,3) in the images that see them, seen (V,N); 0 where none does."""
    total = np.zeros((len(xyz), 3))
    for shot, shown in zip(shots, seen, strict=True):
        pixels, camera = shot.crop(_READ_PX)
        total[shown] += colors_from_photo(xyz[shown], camera, pixels)
    return total / np.maximum(seen.sum(0), 1)[:, None]


def spread_colors(cloud: PointCloud, given: np.ndarray, seen: np.ndarray, tied: bool) -> np.ndarray:
    """Colours (N,3) uint8: those given (N,3) where seen (N,), and what they tell of the others (above)."""
    expected = given[seen].mean(0) + np.zeros((len(given), 3))
    if cloud.colors is not None and cloud.comments.get("color") not in _NO_PREDICTION:
        expected = cloud.colors.astype(np.float64)
    tellers = np.flatnonzero(seen)
    tellers = np.random.default_rng(0).permutation(tellers)[:_TELLERS]
    covariance = _kernel(cloud, tellers, tellers, tied) + _NOISE**2 * np.eye(len(tellers))
    weights = np.linalg.solve(covariance, (given - expected)[tellers])  # (m, 3)
    result, hidden = given.copy(), np.flatnonzero(~seen)
    for first in range(0, len(hidden), _BLOCK):
        block = hidden[first : first + _BLOCK]
        result[block] = expected[block] + _kernel(cloud, block, tellers, tied) @ weights
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


def _kernel(cloud: PointCloud, one: np.ndarray, other: np.ndarray, tied: bool) -> np.ndarray:
    """k (n,m) among points of two lists of indices (n,) and (m,)."""
    reach = _REACH * max(float(np.linalg.norm(np.ptp(cloud.xyz, axis=0))), 1e-12)
    p, q = cloud.xyz[one].astype(np.float64) / reach, cloud.xyz[other].astype(np.float64) / reach
    near = _bell(p, q) + (_bell(p, q * (-1, 1, 1)) if tied else 0)
    same = 1.0 if cloud.labels is None else cloud.labels[one][:, None] == cloud.labels[other]
    return _PART**2 * same + _NEAR**2 * near


def _bell(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    square = (p**2).sum(1)[:, None] + (q**2).sum(1) - 2 * p @ q.T
    return np.exp(-np.maximum(square, 0) / 2)


def judge(
    xyz: np.ndarray, colors: np.ndarray, crops: Sequence[tuple[np.ndarray, Cameras]], seen: np.ndarray
) -> tuple[float | None, np.ndarray]:
    """PSNR in dB of points (N,3), drawn where each image sees them (V,N), and the drawings (V,S,S,3) uint8 on white.

    Judged over pixels that are the mask's and the cloud's by more than half; None where there are none.
    """
    from ..evaluation.metrics import color_psnr  # loads torchmetrics

    pairs, pictures = [], []
    for (pixels, camera), shown in zip(crops, seen, strict=True):
        truth = torch.from_numpy(pixels).float() / 255
        coverage, mixed = _drawn(xyz[shown], colors[shown], camera, float(truth[..., 3].sum()))
        both = (coverage > _COVERED) & (truth[..., 3] > _COVERED)
        pairs.append(((mixed / coverage.clamp(min=1e-6)[..., None])[both], truth[..., :3][both]))
        pictures.append(mixed + 1 - coverage[..., None])
    drawn, true = (torch.cat(values) for values in zip(*pairs, strict=True))
    pictures_np = (torch.stack(pictures).clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return (float(color_psnr(drawn, true)) if len(drawn) else None), pictures_np


def _drawn(
    xyz: np.ndarray, colors: np.ndarray, camera: Cameras, area_px: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Coverage (S,S) and colours times coverage (S,S,3) of seen points (n,3) that fill such an area."""
    uv_px, depth = (one.float() for one in camera.project(torch.as_tensor(xyz, dtype=torch.float64)[None]))
    tau = torch.full_like(depth, _DENSITY * area_px / max(len(xyz), 1))
    paint = torch.from_numpy(colors.astype(np.float32))[None] / 255
    coverage, mixed = splat_features(uv_px, depth, tau, paint, _DRAWN_PX, _SIGMA_PX, _SLABS)
    return coverage[0], mixed[0]
