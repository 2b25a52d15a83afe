# SPDX-License-Identifier: GPL-3.0-or-later
"""A point cloud in numpy, as it crosses between files, engines and Blender's objects."""

from dataclasses import dataclass, field, replace

import numpy as np


class CloudError(ValueError):
    """A cloud that cannot be used; the message is one line for the user."""


@dataclass
class Cloud:
    """xyz (N,3) float32 (+Z up, front -Y) and what is known of each point; labels count from 1, 0 is none."""

    xyz: np.ndarray
    colors: np.ndarray | None = None  # (N, 3) uint8 sRGB
    labels: np.ndarray | None = None  # (N,) uint8
    opacity: np.ndarray | None = None  # (N,) float32 in [0, 1]
    confidence: np.ndarray | None = None  # (N,) float32 in [0, 1]
    parts: list[str] = field(default_factory=list)
    comments: dict[str, str] = field(default_factory=dict)
    visibility: np.ndarray | None = None  # (N,) uint8: 0 guessed, 1 mirrored, 2 seen

    def __len__(self) -> int:
        return len(self.xyz)

    def transformed(self, matrix: np.ndarray) -> "Cloud":
        """The cloud under a 4x4 matrix."""
        xyz = self.xyz.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
        return replace(self, xyz=xyz.astype(np.float32), parts=list(self.parts), comments=dict(self.comments))


def part_counts(cloud: Cloud) -> dict[str, int]:
    """Number of points per part name, in the order of the ids; empty without labels."""
    if cloud.labels is None:
        return {}
    counts = np.bincount(cloud.labels, minlength=len(cloud.parts) + 1)
    return {part_name(cloud.parts, label): int(counts[label]) for label in range(1, len(counts))}


def part_name(parts: list[str], label: int) -> str:
    """Name of a part id, made up when the file names none."""
    return parts[label - 1] if 0 < label <= len(parts) else f"part {label}"
