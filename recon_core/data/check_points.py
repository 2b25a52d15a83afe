# SPDX-License-Identifier: Apache-2.0
"""Checks that compare an object's surface samples with its images.

Silhouette from points: each projected point is a disc whose radius is RADIUS_SPACINGS times the median distance of
neighbouring points; the union of the discs is shrunk by that radius again (a morphological closing), so that it is
not larger than the object. It is drawn finer than the mask and compared with it at half coverage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.spatial import KDTree

from ..cameras import Cameras, camera_to_world
from ..pointcloud import PointCloud

HALF = 128
# Random points at density d have a median neighbour distance of 0.47 / sqrt(d). With discs of 3 times that, 0.2 %
# of a surface stays uncovered.
RADIUS_SPACINGS = 3.0
MIN_IOU = 0.8
# The silhouette is drawn at about this width and reduced to the mask's size.
FINE_WIDTH_PX = 384
MAX_POINTS_OUTSIDE = 0.02
# Below so many points the discs are too coarse for a verdict on the outline.
MIN_POINTS_FOR_IOU = 500
SPACING_SAMPLE = 2000
DEPTH_SAMPLE = 2000
# Object units: half a step of a 16-bit depth image is far below; this allows for curvature between the points.
DEPTH_TOLERANCE = 0.02
OUTLINE_MARGIN_PX = 1.5


@dataclass(frozen=True)
class Spacing:
    """Median distance between neighbouring points, object units, and a tree over the points."""

    median: float
    tree: KDTree

    @staticmethod
    def of(cloud: PointCloud) -> Spacing:
        """Measure a cloud."""
        tree = KDTree(cloud.xyz)
        if len(cloud) < 2:
            return Spacing(0.0, tree)
        step = max(1, len(cloud) // SPACING_SAMPLE)
        distance, _ = tree.query(cloud.xyz[::step], k=2)
        return Spacing(float(np.median(distance[:, 1])), tree)


def check_cloud(cloud: PointCloud, parts: int, normalised: bool) -> list[tuple[str, str]]:
    """Codes and sentences about a cloud alone: finite, labels 1..parts, centred with diagonal 1."""
    if not np.isfinite(cloud.xyz).all():
        return [("points", "points.ply holds coordinates that are not finite")]
    problems = []
    if cloud.labels is not None and cloud.labels.max() > parts:
        problems.append(("points", f"points.ply holds label {cloud.labels.max()}, there are {parts} parts"))
    low, high = cloud.xyz.min(0), cloud.xyz.max(0)
    centre, diagonal = np.abs(low + high).max() / 2, float(np.linalg.norm(high - low))
    # Samples do not reach the very corners of the box; the fewer, the less.
    if normalised and len(cloud) >= MIN_POINTS_FOR_IOU and (centre > 0.03 or not 0.9 < diagonal < 1.01):
        message = f"the points' box has its centre {centre:.3f} off the origin and diagonal {diagonal:.3f}"
        problems.append(("normalised", f"{message}, expected 0 and 1"))
    return problems


def check_silhouette(
    cloud: PointCloud, spacing: Spacing, camera: Cameras, mask: np.ndarray
) -> tuple[float, list[str]]:
    """IoU of one view's mask (H,W) with the silhouette of the points, and sentences when they disagree."""
    uv_px, depth = _project(cloud, camera)
    if not (depth > 0).all():
        return 0.0, ["points of the object lie behind the camera"]
    covered = mask >= HALF
    # Blades and antennas thinner than a pixel cover less than half of it: any coverage will do for their points.
    outside = points_outside(uv_px, mask > 0)
    if outside > MAX_POINTS_OUTSIDE:
        message = (
            f"{outside:.1%} of the points fall outside the mask: camera and image do not belong together"
        )
        return silhouette_iou(uv_px, depth, spacing.median, camera, covered), [message]
    if len(cloud) < MIN_POINTS_FOR_IOU:
        return 1.0, []
    iou = silhouette_iou(uv_px, depth, spacing.median, camera, covered)
    if iou < MIN_IOU:
        return iou, [f"mask and reprojected points agree by an IoU of {iou:.2f} only (at least {MIN_IOU})"]
    return iou, []


def points_outside(uv_px: np.ndarray, covered: np.ndarray) -> float:
    """Share of projected points (N,2) farther than OUTLINE_MARGIN_PX from every covered pixel (H,W)."""
    distance = _distance_px(~covered)
    height, width = covered.shape
    column, row = np.floor(uv_px).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    far = np.ones(len(uv_px), bool)
    far[inside] = distance[row[inside], column[inside]] > OUTLINE_MARGIN_PX
    # A point outside the frame says nothing when the object is cut by it; "mask cut" reports that.
    return float(far[inside].mean()) if inside.any() else 1.0


def silhouette_iou(
    uv_px: np.ndarray, depth: np.ndarray, spacing: float, camera: Cameras, covered: np.ndarray
) -> float:
    """IoU of a mask (H,W) bool with the closed union of discs about projected points (N,2)."""
    scale = 1.0 if camera.orthographic else 1.0 / float(np.median(depth))
    # On the images' own pixels, rods of one pixel would come out up to two pixels wide.
    fine = int(np.clip(round(FINE_WIDTH_PX / camera.width), 1, 8))
    radius = max(RADIUS_SPACINGS * spacing * float(camera.fx[0]) * scale * fine, 1.0)
    height, width = covered.shape
    margin = (int(np.ceil(radius / fine)) + 1) * fine
    free = np.ones((height * fine + 2 * margin, width * fine + 2 * margin), bool)
    column, row = (np.floor(uv_px * fine).astype(int) + margin).T
    inside = (column >= 0) & (column < free.shape[1]) & (row >= 0) & (row < free.shape[0])
    free[row[inside], column[inside]] = False
    discs = _distance_px(free) <= radius
    closed = ((_distance_px(discs) > radius) | ~free)[margin:-margin, margin:-margin]
    drawn = closed.reshape(height, fine, width, fine).mean((1, 3)) >= 0.5
    union = (drawn | covered).sum()
    return float((drawn & covered).sum() / union) if union else 1.0


def check_depth(
    cloud: PointCloud, spacing: Spacing, camera: Cameras, depth: np.ndarray, mask: np.ndarray
) -> list[str]:
    """Lift depth (H,W) of fully covered pixels into the object frame: the points must be close by."""
    inside = mask == 255
    if not inside.any():
        return []
    missing = float((depth[inside] <= 0).mean())
    if missing > 0.02:
        return [f"{missing:.0%} of the pixels inside the mask have no depth"]
    row, column = np.nonzero(inside & (depth > 0))
    step = max(1, len(row) // DEPTH_SAMPLE)
    xyz = _lift(row[::step], column[::step], depth, camera)
    distance, _ = spacing.tree.query(xyz)
    tolerance = max(DEPTH_TOLERANCE, RADIUS_SPACINGS * spacing.median)
    if np.median(distance) > tolerance:
        return [
            f"the depth image lies {np.median(distance):.3f} off the points (median; at most {tolerance:.3f})"
        ]
    return []


def _distance_px(away: np.ndarray) -> np.ndarray:
    """Distance of every true pixel (H,W) to the nearest false one; without any, larger than the image."""
    if away.all():
        return np.full(away.shape, float(sum(away.shape)))
    return np.asarray(distance_transform_edt(away))


def _project(cloud: PointCloud, camera: Cameras) -> tuple[np.ndarray, np.ndarray]:
    uv_px, depth = camera.project(torch.from_numpy(cloud.xyz.astype(np.float64))[None])
    return uv_px[0].numpy(), depth[0].numpy()


def _lift(row: np.ndarray, column: np.ndarray, depth: np.ndarray, camera: Cameras) -> np.ndarray:
    """World points (N,3) of pixel centres at their planar depth."""
    z = depth[row, column].astype(np.float64)
    scale = np.ones_like(z) if camera.orthographic else z
    x = (column + 0.5 - float(camera.cx[0])) / float(camera.fx[0]) * scale
    y = -(row + 0.5 - float(camera.cy[0])) / float(camera.fy[0]) * scale
    pose = camera_to_world(camera.world_to_cam)[0].numpy()
    return np.stack((x, y, -z), -1) @ pose[:3, :3].T + pose[:3, 3]
