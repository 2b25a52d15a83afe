# SPDX-License-Identifier: Apache-2.0
"""Value objects: a point cloud as it stands in a file, and points as a model predicts them."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch

from .errors import InputError

# A part id is stored in one byte and 0 is the background.
MAX_PARTS = 255
# The highest visibility: what the photograph shows.
MOST_VISIBLE = 2


@dataclass
class PointCloud:
    """One cloud in numpy: xyz (N,3) float32 in the object frame (+Z up, front -Y) and optional attributes."""

    xyz: np.ndarray  # (N, 3) float32
    colors: np.ndarray | None = None  # (N, 3) uint8, sRGB
    labels: np.ndarray | None = None  # (N,) uint8, 0 = none
    normals: np.ndarray | None = None  # (N, 3) float32, unit
    opacity: np.ndarray | None = None  # (N,) float32 in [0, 1]
    confidence: np.ndarray | None = None  # (N,) float32 in [0, 1]
    comments: dict[str, str] = field(default_factory=dict)
    visibility: np.ndarray | None = None  # (N,) uint8: 0 guessed, 1 symmetric to seen, 2 seen

    def __post_init__(self) -> None:
        """Check shapes; raise InputError when an attribute does not fit the points."""
        self.xyz = np.ascontiguousarray(self.xyz, dtype=np.float32)
        if self.xyz.ndim != 2 or self.xyz.shape[1] != 3:
            raise InputError(f"Points must be an (N, 3) array, got shape {self.xyz.shape}.")
        for name, width, dtype in _ATTRIBUTES:
            value = getattr(self, name)
            if value is None:
                continue
            shape = (len(self), width) if width else (len(self),)
            value = np.ascontiguousarray(value, dtype=dtype)
            if value.shape != shape:
                raise InputError(f"{name} has shape {value.shape}, expected {shape} for {len(self)} points.")
            setattr(self, name, value)

    def __len__(self) -> int:
        return len(self.xyz)


_ATTRIBUTES = (
    ("colors", 3, np.uint8),
    ("labels", 0, np.uint8),
    ("normals", 3, np.float32),
    ("opacity", 0, np.float32),
    ("confidence", 0, np.float32),
    ("visibility", 0, np.uint8),
)


@dataclass
class Points:
    """A batch of predicted clouds: xyz (B,N,3) and what the model's heads give for each point."""

    xyz: torch.Tensor  # (B, N, 3)
    opacity: torch.Tensor | None = None  # (B, N) in (0, 1)
    color: torch.Tensor | None = None  # (B, N, 3) sRGB in [0, 1]
    part_logits: torch.Tensor | None = None  # (B, N, P), no background class: id = argmax + 1
    occupancy_scale: torch.Tensor | None = None  # (B, 1) in (0, 1): how solid a cell full of points is (DPC)

    def map(self, function) -> "Points":
        """Apply `function` to every tensor per point that is there; the occupancy scale is per cloud and stays."""
        names = ("opacity", "color", "part_logits")
        values = {name: getattr(self, name) for name in names}
        mapped = {name: None if value is None else function(value) for name, value in values.items()}
        return replace(self, xyz=function(self.xyz), **mapped)

    def detach(self) -> "Points":
        """The same values, through which no gradient flows."""
        scale = None if self.occupancy_scale is None else self.occupancy_scale.detach()
        return replace(self.map(torch.Tensor.detach), occupancy_scale=scale)

    def cloud(
        self, index: int, comments: dict[str, str] | None = None, parts: int | None = None
    ) -> PointCloud:
        """Return one element of the batch as a PointCloud, colours in 8 bits, labels from 1.

        parts: labels are chosen among the first so many, what the object's category has; None: among all. None of 0.
        """
        xyz = self.xyz[index].detach().cpu().numpy()
        colors = None if self.color is None else _to_bytes(self.color[index])
        opacity = None if self.opacity is None else self.opacity[index].detach().cpu().numpy()
        labels = None
        if self.part_logits is not None and parts != 0:
            own = self.part_logits[index, :, :parts]
            labels = (own.argmax(-1) + 1).to(torch.uint8).cpu().numpy()
        return PointCloud(xyz, colors, labels, opacity=opacity, comments=comments or {})


def _to_bytes(unit: torch.Tensor) -> np.ndarray:
    return (unit.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
