# SPDX-License-Identifier: Apache-2.0
"""The images to fit: each mask cropped around object and cloud to one small size, with the cameras of the crops."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ..cameras import Cameras
from ..data.crop import MASK_THRESHOLD, Box, crop_cameras, crop_mask, crop_square
from ..errors import InputError
from ..renderers.splat import splat_mask

# Around the mask and what of the cloud is beyond it.
_MARGIN = 1.1
# A cloud that projects far beyond its mask must not make the mask a dot.
_MOST_SIDES = 2.5


@dataclass(frozen=True)
class Targets:
    """V views of one size: masks (V,S,S) in [0,1], cameras of the crops, and colours (V,S,S,3) in [0,1] where given."""

    masks: torch.Tensor
    cameras: Cameras
    boxes: tuple[Box, ...]
    sizes: tuple[tuple[int, int], ...]  # width and height of the full images
    colors: torch.Tensor | None = None

    @property
    def size(self) -> int:
        """Side in pixels."""
        return self.masks.shape[-1]

    def drawn(self, sigma_px: float, density: float) -> torch.Tensor:
        """The masks (V,S,S) as points that fill them evenly would be drawn.

        A splat reaches beyond its point: compared with the mask itself, a cloud that is right looks too large, and
        would be shrunk by about a pixel.
        """
        steps = torch.arange(self.size, dtype=self.masks.dtype) + 0.5
        v, u = torch.meshgrid(steps, steps, indexing="ij")
        pixels = torch.stack((u, v), -1).reshape(1, -1, 2).expand(len(self.masks), -1, -1)
        tau = density * self.masks.flatten(1)
        return splat_mask(pixels, torch.ones_like(tau), tau, self.size, sigma_px)

    def full(self, cameras: Cameras) -> list[Cameras]:
        """Cameras (1 each, float64) of the full images, from cameras of the crops."""
        found = []
        for index, ((cx, cy, side), (width, height)) in enumerate(zip(self.boxes, self.sizes, strict=True)):
            one = cameras[index : index + 1].to(torch.float64)
            scale = side / self.size
            corner = one.fx.new_tensor([[cx - side / 2, cy - side / 2]])
            found.append(replace(one.warped(one.fx.new_tensor([scale]), corner), width=width, height=height))
        return found


def make_targets(
    xyz: np.ndarray,
    cameras: Sequence[Cameras],
    masks: Sequence[np.ndarray],
    size: int,
    images: Sequence[np.ndarray] | None = None,
) -> Targets:
    """Crop masks (H,W) uint8, and images (H,W,3) uint8, around the object and the projected points xyz (N,3).

    Raises InputError for masks that do not fit their cameras, are empty, or see nothing of the cloud.
    """
    if len(cameras) != len(masks) or not masks:
        raise InputError(
            f"{len(masks)} masks for {len(cameras)} cameras; expected one for each, and at least one."
        )
    crops, colors, seen, boxes = [], [], [], []
    for index, mask in enumerate(masks):
        camera = cameras[index].to(torch.float64)
        if mask.ndim != 2 or mask.dtype != np.uint8 or not (mask > MASK_THRESHOLD).any():
            raise InputError(
                f"Mask {index + 1} must be (H,W) uint8 with an object in it, got {mask.dtype} {mask.shape}."
            )
        camera = camera.resized(mask.shape[1], mask.shape[0])
        box = _box(xyz, camera, mask, index)
        boxes.append(box)
        crops.append(torch.from_numpy(crop_mask(mask, box, size)).float() / 255)
        seen.append(crop_cameras(camera, box, size))
        if images is not None:
            rgba = np.dstack((images[index], mask))
            colors.append(torch.from_numpy(crop_square(rgba, box, size)[..., :3].copy()).float() / 255)
    sizes = tuple((mask.shape[1], mask.shape[0]) for mask in masks)
    return Targets(
        torch.stack(crops), joined(seen), tuple(boxes), sizes, torch.stack(colors) if colors else None
    )


def _box(xyz: np.ndarray, camera: Cameras, mask: np.ndarray, index: int) -> Box:
    uv_px, depth = camera.project(torch.as_tensor(xyz, dtype=torch.float64)[None])
    uv = uv_px[0][depth[0] > 0].numpy()
    if len(uv) < len(xyz) / 2:
        raise InputError(
            f"Image {index + 1}: most of the cloud is behind the camera. Expected the pose that `recon reconstruct` "
            "or `recon place` found for this image."
        )
    rows, columns = (
        np.flatnonzero((mask > MASK_THRESHOLD).any(1)),
        np.flatnonzero((mask > MASK_THRESHOLD).any(0)),
    )
    low, high = np.array([columns[0], rows[0]], float), np.array([columns[-1] + 1, rows[-1] + 1], float)
    reach = (_MOST_SIDES - 1) / 2 * (high - low).max()
    spread = np.quantile(uv, [0.005, 0.995], axis=0)
    low = np.minimum(low, np.maximum(spread[0], low - reach))
    high = np.maximum(high, np.minimum(spread[1], high + reach))
    centre = (low + high) / 2
    return float(centre[0]), float(centre[1]), float((high - low).max() * _MARGIN)


def joined(cameras: list[Cameras]) -> Cameras:
    """One batch, in float32, of cameras of images of one size."""
    fields = ("world_to_cam", "fx", "fy", "cx", "cy")
    values = [torch.cat([getattr(one, name) for one in cameras]).float() for name in fields]
    first = cameras[0]
    return Cameras(*values, width=first.width, height=first.height, orthographic=first.orthographic)
