# SPDX-License-Identifier: Apache-2.0
"""Clouds without transparent points, of the same size."""

import torch

from ..errors import InputError
from ..pointcloud import Points

LEAST_OPACITY = 0.1


def solid_points(points: Points, least: float = LEAST_OPACITY) -> Points:
    """Replace points fainter than `least` by points halfway between solid ones and their nearest solid neighbour.

    A model hides the points that it has no use for by making them transparent; they are not part of the shape. Colour,
    label and opacity are the solid point's. A cloud that is all faint, or has no opacity, stays as it is.
    Raises InputError when `least` is not in [0, 1].
    """
    if not 0 <= least <= 1:
        raise InputError(f"least must be between 0 and 1, got {least}.")
    if points.opacity is None:
        return points
    source, partner = _replacements(points, least)  # (B, N) each
    batch = torch.arange(len(source), device=source.device)[:, None]
    solid = points.map(lambda values: values[batch, source])
    solid.xyz = (solid.xyz + points.xyz[batch, partner]) / 2
    return solid


def _replacements(points: Points, least: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices (B,N) of the solid point that each becomes and of its partner; a solid point's are its own."""
    assert points.opacity is not None
    count = points.xyz.shape[1]
    own = torch.arange(count, device=points.xyz.device)
    source, partner = own.repeat(len(points.xyz), 1), own.repeat(len(points.xyz), 1)
    for item, (xyz, opacity) in enumerate(zip(points.xyz, points.opacity)):
        kept, faint = torch.nonzero(opacity >= least)[:, 0], torch.nonzero(opacity < least)[:, 0]
        if len(kept) < 2 or len(faint) == 0:
            continue
        # Evenly over the solid points, a fixed stride apart, so that the result is the same every time.
        chosen = kept[(torch.arange(len(faint), device=kept.device) * len(kept)) // len(faint) % len(kept)]
        distance = torch.cdist(xyz[chosen], xyz[kept], compute_mode="donot_use_mm_for_euclid_dist")
        distance[chosen[:, None] == kept[None]] = torch.inf
        source[item, faint], partner[item, faint] = chosen, kept[distance.argmin(1)]
    return source, partner
