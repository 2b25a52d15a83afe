# SPDX-License-Identifier: Apache-2.0
"""The yardstick of mesh_bench: DIB-R with every pixel against every face, in plain PyTorch.

A run of pixels at a time; distances are computed again in the backward pass, as they would not fit into memory.
"""

import torch
from torch.utils.checkpoint import checkpoint

_PIXELS = 2048


def dense_mesh(
    uv_px: torch.Tensor,
    depth: torch.Tensor,
    faces: torch.Tensor,
    values: torch.Tensor,
    size: int,
    reach: float,
    soft: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Soft mask (S,S) and values (S,S,C) of one view: uv_px (V,2), depth (V,), faces (F,3) culled, values (V,C).

    soft: False leaves the probabilities beside the faces out of the mask.
    """
    grid = torch.arange(size, device=uv_px.device, dtype=uv_px.dtype) + 0.5
    y, x = (axis.flatten() for axis in torch.meshgrid(grid, grid, indexing="ij"))  # (S*S,), row by row
    masks, images = [], []
    for px, py in zip(x.split(_PIXELS), y.split(_PIXELS)):
        face = _nearest(px[:, None], py[:, None], uv_px.detach()[faces], depth[faces])
        seen, chosen = face >= 0, faces[face.clamp(min=0)]
        weights = torch.stack(_weights(px, py, uv_px[chosen]), -1)  # (P, 3)
        images.append((weights[..., None] * values[chosen]).sum(1) * seen[:, None])
        beside = torch.zeros_like(px)
        if soft:
            beside = checkpoint(_probability, px, py, uv_px[faces], size, reach, use_reentrant=False)
        assert isinstance(beside, torch.Tensor)
        masks.append(torch.where(seen, 1.0, beside))
    return torch.cat(masks).view(size, size), torch.cat(images).view(size, size, -1)


def _weights(x: torch.Tensor, y: torch.Tensor, corners: torch.Tensor) -> list[torch.Tensor]:
    """Barycentric weights of pixels x, y in triangles (F,3,2), which broadcast against them."""
    cx, cy = corners[..., 0].unbind(-1), corners[..., 1].unbind(-1)
    area = (cx[1] - cx[0]) * (cy[2] - cy[0]) - (cy[1] - cy[0]) * (cx[2] - cx[0])
    weights = []
    for k in range(3):
        i, j = (k + 1) % 3, (k + 2) % 3
        dx, dy = (cx[j] - cx[i]) / area, (cy[j] - cy[i]) / area
        weights.append(dx * (y - cy[i]) - dy * (x - cx[i]))
    return weights


@torch.no_grad()
def _nearest(x: torch.Tensor, y: torch.Tensor, corners: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Nearest face (P,), or -1, of those that show their front; x, y (P,1)."""
    edges = corners[:, 1:] - corners[:, :1]
    front = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0] < 0
    w0, w1, w2 = _weights(x, y, corners)  # (P, F)
    z = w0 * depth[:, 0] + w1 * depth[:, 1] + w2 * depth[:, 2]
    best, face = torch.where((w0 >= 0) & (w1 >= 0) & (w2 >= 0) & front, z, torch.inf).min(1)
    return torch.where(torch.isfinite(best), face, -1)


def _probability(
    x: torch.Tensor, y: torch.Tensor, corners: torch.Tensor, size: int, reach: float
) -> torch.Tensor:
    """1 - prod (1 - exp(-7000 d^2)) (P,) over all faces (F,3,2) within reach."""
    cx, cy = (corners * (2 / size)).unbind(-1)
    px, py = x[:, None] * (2 / size), y[:, None] * (2 / size)
    best = None
    for k in range(3):
        ax, ay = px - cx[:, k], py - cy[:, k]
        dx, dy = cx[:, (k + 1) % 3] - cx[:, k], cy[:, (k + 1) % 3] - cy[:, k]
        t = ((ax * dx + ay * dy) / (dx * dx + dy * dy)).clamp(0, 1)
        square = (ax - t * dx) ** 2 + (ay - t * dy) ** 2  # (P, F)
        best = square if best is None else torch.minimum(best, square)
    assert best is not None
    probability = torch.where(best <= reach**2, torch.exp(-7000 * best), 0.0).clamp(max=1 - 1e-7)
    return -torch.expm1(torch.log1p(-probability).sum(1))
