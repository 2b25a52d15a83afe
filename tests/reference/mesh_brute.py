# SPDX-License-Identifier: Apache-2.0
"""Every face against every pixel, one after the other in float64: DIB-R's rasteriser and soft mask by definition.

One view at a time: uv_px (V,2), depth (V,), faces (F,3). Gradients by autograd.
"""

import torch


def pixel_centres(size: tuple[int, int]) -> torch.Tensor:
    """Centres (H,W,2) in pixels."""
    rows, columns = torch.meshgrid(
        torch.arange(size[0], dtype=torch.float64), torch.arange(size[1], dtype=torch.float64), indexing="ij"
    )
    return torch.stack((columns, rows), -1) + 0.5


def area2(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Twice the signed area of triangles."""
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (
        c[..., 0] - a[..., 0]
    )


def weights_of(uv_px: torch.Tensor, face: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Screen barycentric weights (...,3) of points (...,2): ratios of areas."""
    a, b, c = (uv_px[int(i)] for i in face)
    return torch.stack((area2(points, b, c), area2(a, points, c), area2(a, b, points)), -1) / area2(a, b, c)


def render(uv_px, depth, faces, values, size, *, cull=False, perspective=False, near=1e-3):
    """Face (H,W), weights (H,W,3), depth (H,W) and values (H,W,C) of vertex values (V,C); -1 and 0 where empty."""
    points = pixel_centres(size)
    best = torch.full(size, torch.inf, dtype=torch.float64)
    seen = torch.full(size, -1)
    weights = torch.zeros(*size, 3, dtype=torch.float64)
    image = torch.zeros(*size, values.shape[1], dtype=torch.float64)
    for index, face in enumerate(faces):
        if bool((face < 0).any()) or bool((depth[face] <= near).any()):
            continue
        area = float(area2(*uv_px[face].detach()))
        if abs(area) < 1e-9 or (cull and area > 0):  # v runs down: a front is clockwise in (u, v)
            continue
        w = weights_of(uv_px, face, points)
        if perspective:
            w_used = w / depth[face]
            w_used = w_used / w_used.sum(-1, keepdim=True)
        else:
            w_used = w
        z = (w_used * depth[face]).sum(-1)
        nearer = (w >= 0).all(-1) & (z < best)
        best = torch.where(nearer, z, best)
        seen = torch.where(nearer, index, seen)
        weights = torch.where(nearer[..., None], w_used, weights)
        image = torch.where(nearer[..., None], w_used @ values[face], image)
    return seen, weights, torch.where(seen >= 0, best, 0.0), image


def distance_squared(points: torch.Tensor, corners: torch.Tensor) -> torch.Tensor:
    """Least of six squared distances (...): to three edges, where the foot is within, and to three corners."""
    cases = []
    for k in range(3):
        a, b = corners[k], corners[(k + 1) % 3]
        length2 = ((b - a) ** 2).sum()
        if length2 > 0:
            foot = ((points - a) * (b - a)).sum(-1) / length2
            square = area2(a, b, points) ** 2 / length2
            cases.append(torch.where((foot >= 0) & (foot <= 1), square, 4.0))
    cases += [((points - corner) ** 2).sum(-1) for corner in corners]
    return torch.stack(cases).amin(0)


def soft_mask(seen, uv_px, depth, faces, sigmainv, boxlen, knum=None, near=1e-3):
    """Mask (H,W): 1 on faces; elsewhere 1 - prod (1 - exp(-sigmainv d^2)).

    knum None: faces with d <= boxlen. Else the first knum faces whose box, enlarged by boxlen, holds the pixel.
    """
    size = tuple(seen.shape)
    half = torch.tensor([size[1] / 2, size[0] / 2], dtype=torch.float64)
    points = pixel_centres(size) / half  # v still runs down: distances are the same
    free = torch.ones(size, dtype=torch.float64)
    count = torch.zeros(size)
    for face in faces:
        if bool((face < 0).any()) or bool((depth[face] <= near).any()):
            continue
        corners = uv_px[face] / half
        square = distance_squared(points, corners)
        if knum is None:
            near_it = square <= boxlen**2
        else:
            low, high = corners.detach().amin(0) - boxlen, corners.detach().amax(0) + boxlen
            x, y = points.unbind(-1)
            near_it = (x >= low[0]) & (x < high[0]) & (y > low[1]) & (y <= high[1]) & (count < knum)
            count = count + near_it
        free = torch.where(near_it, free * (1 - torch.exp(-sigmainv * square)), free)
    return torch.where(seen >= 0, 1.0, 1 - free)
