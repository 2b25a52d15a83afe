# SPDX-License-Identifier: GPL-3.0-or-later
"""A photo as the worker gets it: smaller, its mask as transparency, and its camera's centre in the middle. No bpy."""

from dataclasses import dataclass, replace

import numpy as np

from .jobs import UserError
from .photo_camera import PhotoCamera

# The worker compares outlines at 192 pixels at most.
MAX_SIDE = 1024
_MOST_TIMES = 4


@dataclass(frozen=True)
class WorkerPhoto:
    """rgba (h,w,4) uint8; its pixel (u, v) is the photo's (u * step - left, v * step - top)."""

    rgba: np.ndarray
    step: int
    left: int
    top: int
    width: int  # of the photo
    height: int

    def small(self, camera: PhotoCamera) -> PhotoCamera:
        """A camera of the photo as one of the smaller picture."""
        cx, cy = (camera.cx + self.left) / self.step, (camera.cy + self.top) / self.step
        height, width = self.rgba.shape[:2]
        return replace(camera, focal_px=camera.focal_px / self.step, cx=cx, cy=cy, width=width, height=height)

    def full(self, camera: PhotoCamera) -> PhotoCamera:
        """A camera of the smaller picture as one of the photo."""
        cx, cy = camera.cx * self.step - self.left, camera.cy * self.step - self.top
        focal_px = camera.focal_px * self.step
        return replace(camera, focal_px=focal_px, cx=cx, cy=cy, width=self.width, height=self.height)


def for_worker(
    rgb: np.ndarray, mask: np.ndarray, center: tuple[float, float] | None = None, side: int = MAX_SIDE
) -> WorkerPhoto:
    """A photo (H,W,3) and its mask (H,W), uint8, with the camera's center (u, v), or the photo's own, in the middle.

    The photo is padded until it is. Raises UserError for a camera that looks far past the photo.
    """
    height, width = mask.shape
    u, v = center or (width / 2, height / 2)
    if not (abs(u - width / 2) < _MOST_TIMES / 2 * width and abs(v - height / 2) < _MOST_TIMES / 2 * height):
        raise UserError("The scene's camera looks far past the photo: set its Shift nearer to 0.")
    middle, reach = (round(u), round(v)), (max(u, width - u), max(v, height - v))
    step = max(1, int(np.ceil(2 * max(reach) / side)))
    half = [int(np.ceil((extent + 1) / step)) * step for extent in reach]
    left, top = half[0] - middle[0], half[1] - middle[1]
    canvas = np.zeros((2 * half[1], 2 * half[0], 4), np.uint8)
    canvas[top : top + height, left : left + width, :3] = rgb
    canvas[top : top + height, left : left + width, 3] = mask
    return WorkerPhoto(_block_mean(canvas, step), step, left, top, width, height)


def _block_mean(rgba: np.ndarray, step: int) -> np.ndarray:
    """Means over whole blocks of pixels."""
    if step == 1:
        return rgba
    height, width = rgba.shape[0] // step, rgba.shape[1] // step
    sums = np.zeros((height, width, 4), np.uint32)
    for y in range(step):
        for x in range(step):
            sums += rgba[y::step, x::step]
    return (sums // (step * step)).astype(np.uint8)
