# SPDX-License-Identifier: GPL-3.0-or-later
"""The photo's camera, as far as a predicted rotation and the mask fix it, and colours looked up through it."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .crop import MASK_THRESHOLD

DEFAULT_DISTANCE = 2.0
# A few stray points must not decide the size of the object.
_STRAY_SHARE, _STRAY_REACH = 0.005, 0.2
# Low to high, distinct for the colour-blind.
RAMP = ((52, 62, 120), (44, 120, 142), (70, 170, 120), (190, 205, 70), (250, 230, 110))
_CHUNK = 1 << 22
# The worker refuses more.
_MOST_HYPOTHESES = 16


@dataclass
class PhotoCamera:
    """A pinhole camera: world_to_cam (4,4) OpenGL, focal length and principal point in pixels, row 0 on top."""

    world_to_cam: np.ndarray
    focal_px: float
    cx: float
    cy: float
    width: int
    height: int
    # All views that the model thought possible, as recon's JSON files have them: of a predicted camera alone.
    hypotheses: list[dict[str, Any]] = field(default_factory=list)

    def project(self, xyz: np.ndarray) -> np.ndarray:
        """Pixel coordinates (N,2) of points (N,3)."""
        cam = np.asarray(xyz, np.float64) @ self.world_to_cam[:3, :3].T + self.world_to_cam[:3, 3]
        plane = cam[:, :2] * (1, -1) / np.maximum(-cam[:, 2:], 1e-6)
        return plane * self.focal_px + (self.cx, self.cy)

    def resized(self, width: int, height: int) -> "PhotoCamera":
        """The same view at another number of pixels and the same aspect ratio."""
        scale = width / self.width
        return PhotoCamera(
            self.world_to_cam, self.focal_px * scale, self.cx * scale, self.cy * scale, width, height
        )

    def record(self) -> dict:
        """For JSON."""
        told = {"hypotheses": self.hypotheses} if self.hypotheses else {}
        return {
            **told,
            "world_to_cam": np.asarray(self.world_to_cam).tolist(),
            "focal_px": self.focal_px,
            "cx": self.cx,
            "cy": self.cy,
            "width": self.width,
            "height": self.height,
        }

    @classmethod
    def of_record(cls, record: dict) -> "PhotoCamera":
        """The camera of a record()."""
        matrix = np.array(record["world_to_cam"], np.float64).reshape(4, 4)
        focal_px, cx, cy = (float(record[name]) for name in ("focal_px", "cx", "cy"))
        hypotheses = record.get("hypotheses")
        known = hypotheses if isinstance(hypotheses, list) else []
        return cls(matrix, focal_px, cx, cy, int(record["width"]), int(record["height"]), known)


def hypotheses_of(rotations: np.ndarray | None, scores: np.ndarray | None) -> list[dict[str, Any]]:
    """Rotations (K,3,3) from the cloud's frame to the camera's, and scores (K,), for JSON; the likeliest first."""
    if rotations is None or scores is None:
        return []
    order = np.argsort(-scores, kind="stable")[:_MOST_HYPOTHESES]
    return [
        {"quaternion_wxyz": _quaternion(rotations[k]), "score": float(np.clip(scores[k], 0, 1))}
        for k in order
    ]


def _quaternion(rotation: np.ndarray) -> list[float]:
    """w, x, y, z of a rotation (3,3): an eigenvector (Bar-Itzhack 2000), also where it is not quite orthogonal."""
    m = np.asarray(rotation, np.float64)
    matrix = np.zeros((4, 4))  # of x, y, z, w; the upper triangle counts
    matrix[:3, :3] = m + m.T - np.trace(m) * np.eye(3)
    matrix[np.arange(3), np.arange(3)] = 2 * np.diag(m) - np.trace(m)
    matrix[:3, 3] = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    matrix[3, 3] = np.trace(m)
    x, y, z, w = np.linalg.eigh(matrix, UPLO="U")[1][:, -1].tolist()
    return [w, x, y, z]


def fit_camera(
    xyz: np.ndarray, rotation: np.ndarray, mask: np.ndarray, distance: float = DEFAULT_DISTANCE
) -> PhotoCamera:
    """The camera of a picture with mask (H,W) uint8 in which points xyz (N,3) fill the mask's box.

    rotation (3,3) turns the points' frame into the camera's; the camera looks at the origin from `distance`. Focal
    length and principal point are what brings the box of the projected points onto the mask's.
    """
    rotation = np.asarray(rotation, np.float64)
    cam = np.asarray(xyz, np.float64) @ rotation.T - (0, 0, distance)
    low, high = _points_box(cam[:, :2] * (1, -1) / np.maximum(-cam[:, 2:], 1e-6))
    box_low, box_high = mask_box(mask)
    focal_px = float((box_high - box_low).max() / max((high - low).max(), 1e-9))
    centre = (box_low + box_high) / 2 - focal_px * (low + high) / 2
    matrix = np.eye(4)
    matrix[:3, :3], matrix[2, 3] = rotation, -distance
    return PhotoCamera(
        matrix, focal_px, float(centre[0]), float(centre[1]), int(mask.shape[1]), int(mask.shape[0])
    )


def mask_box(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left-top and right-bottom corner (u, v) in pixels of the covered pixels of mask (H,W) uint8."""
    columns = np.flatnonzero(mask.max(axis=0) > MASK_THRESHOLD)
    rows = np.flatnonzero(mask.max(axis=1) > MASK_THRESHOLD)
    return np.array([columns[0], rows[0]], float), np.array([columns[-1] + 1, rows[-1] + 1], float)


def _points_box(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates of points (N,2), but for stray ones far outside the box of nearly all."""
    low, high = np.quantile(plane, [_STRAY_SHARE, 1 - _STRAY_SHARE], axis=0)
    reach = _STRAY_REACH * (high - low)
    kept = plane[((plane >= low - reach) & (plane <= high + reach)).all(1)]
    return (kept.min(0), kept.max(0)) if len(kept) else (low, high)


def colors_from_photo(xyz: np.ndarray, camera: PhotoCamera, rgba: np.ndarray) -> np.ndarray:
    """Colours (N,3) uint8 of points where they project into rgba (H,W,4) with the mask as alpha.

    A point outside the mask takes its nearest pixel's colour; hidden points take what hides them.
    """
    height, width = rgba.shape[:2]
    u, v = camera.resized(width, height).project(xyz).T
    column = np.clip(np.floor(u), 0, width - 1).astype(np.int64)
    row = np.clip(np.floor(v), 0, height - 1).astype(np.int64)
    # Half-covered pixels of the rim are blends with the background.
    solid = rgba[..., 3] > 200 if (rgba[..., 3] > 200).any() else rgba[..., 3] > MASK_THRESHOLD
    outside = np.flatnonzero(~solid[row, column])
    row[outside], column[outside] = _nearest_solid(solid, row[outside], column[outside])
    return rgba[row, column, :3]


def _nearest_solid(solid: np.ndarray, row: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The solid pixel nearest to each pixel outside: one of the rim, so few are compared."""
    padded = np.pad(solid, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rim = np.argwhere(solid & ~inner).astype(np.float32)
    if not len(rim) or not len(row):
        return row, column
    pixels = np.stack((row, column), 1).astype(np.float32)
    step = max(1, _CHUNK // len(rim))
    best = [
        ((part[:, None] - rim[None]) ** 2).sum(-1).argmin(1)
        for part in (pixels[start : start + step] for start in range(0, len(pixels), step))
    ]
    chosen = rim[np.concatenate(best)].astype(np.int64)
    return chosen[:, 0], chosen[:, 1]


def ramp_colors(values: np.ndarray) -> np.ndarray:
    """Colours (N,3) uint8 from low to high for values (N,) in [0, 1]."""
    position = np.clip(values, 0, 1) * (len(RAMP) - 1)
    steps = np.arange(len(RAMP))
    channels = [np.interp(position, steps, channel) for channel in np.array(RAMP, float).T]
    return np.stack(channels, 1).round().astype(np.uint8)


def height_shares(xyz: np.ndarray) -> np.ndarray:
    """Heights (N,) scaled to [0, 1] between the lowest and highest points, but for stray ones."""
    if not len(xyz):
        return np.zeros(0)
    low, high = np.quantile(xyz[:, 2], [_STRAY_SHARE, 1 - _STRAY_SHARE])
    return np.clip((xyz[:, 2] - low) / max(high - low, 1e-9), 0, 1)
