# SPDX-License-Identifier: Apache-2.0
"""DPC's renderer in loops over points, cells and rays: slow, and as its formulas read."""

import itertools
import math

import torch


def scatter(points, values, cells, margin):
    """Trilinear sums (B,D,H,W,C) of values (B,N,C) at points (B,N,3) in cells; a dict of cells, beyond the ends too."""
    sums = {}
    for element, point in itertools.product(range(points.shape[0]), range(points.shape[1])):
        place = points[element, point]
        if place.isnan().any():
            continue
        low = [math.floor(axis) for axis in place.tolist()]
        for corner in itertools.product((0, 1), repeat=3):
            weight = values.new_ones(())
            for axis in range(3):
                weight = weight * (1 - (place[axis] - (low[axis] + corner[axis])).abs())
            cell = tuple(first + step for first, step in zip(low, corner))
            if all(-margin <= index < size + margin for index, size in zip(cell, cells)):
                key = (element, *cell)
                sums[key] = sums.get(key, 0) + weight * values[element, point]
    return sums


def gaussian(sigma, taps, length):
    """Kernel {offset: value} of sum 1."""
    reach = taps // 2 if taps else 4 * length
    values = {offset: torch.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-reach, reach + 1)}
    mass = sum(values.values())
    return {offset: value / mass for offset, value in values.items()}


def blur(sums, batch, cells, channels, sigma, taps, dtype):
    """Volume (B,D,H,W,C): every source cell spread by the product of three kernels."""
    kernels = [gaussian(sigma[axis], taps, cells[axis]) for axis in range(3)]
    volume = torch.zeros(batch, *cells, channels, dtype=dtype)
    for (element, *source), value in sums.items():
        along = [
            torch.stack(
                [
                    kernels[axis].get(target - source[axis], sigma.new_zeros(()))
                    for target in range(cells[axis])
                ]
            )
            for axis in range(3)
        ]
        spread = torch.einsum("d,h,w,c->dhwc", *along, value)
        volume = (
            volume
            + torch.nn.functional.one_hot(torch.tensor(element), batch).to(dtype).view(-1, 1, 1, 1, 1)
            * spread
        )
    return volume


def place_in_cells(uv_px, depth, image_size, near, far, cells, grid):
    """Points (B,N,3) = depth, row, column in cells; NaN where outside."""
    height, width = image_size
    share = torch.stack(((depth - near) / (far - near), uv_px[..., 1] / height, uv_px[..., 0] / width), -1)
    outside = ((share < 0) | (share > 1)).any(-1, keepdim=True) | (depth <= 0)[..., None]
    size = torch.tensor(cells, dtype=share.dtype)
    place = share * (size - 1) if grid == "corner" else share * size - 0.5
    return torch.where(outside, torch.full_like(place, float("nan")), place)


def occupancy(uv_px, depth, frame, sigma, taps=None, scale=None, weight=None, clamp_first=True):
    """Occupancies (B,D,H,W); frame = image_size, near, far, cells, grid."""
    cells, margin = frame[3], int(frame[4] == "centre")
    values = (torch.ones_like(depth) if weight is None else weight)[..., None]
    sums = scatter(place_in_cells(uv_px, depth, *frame), values, cells, margin)
    if clamp_first:
        sums = {cell: value.clamp(0, 1) for cell, value in sums.items()}
    volume = blur(sums, len(uv_px), cells, 1, sigma, taps, uv_px.dtype)[..., 0]
    return (volume if scale is None else volume * scale.view(-1, 1, 1, 1)).clamp(0, 1)


def mean_features(uv_px, depth, features, frame, sigma, taps=None, divisor=1e-6):
    """Features (B,D,H,W,C) of cells: blurred sums over blurred counts."""
    margin = int(frame[4] == "centre")
    values = torch.cat((torch.ones_like(depth)[..., None], features), -1)
    sums = scatter(place_in_cells(uv_px, depth, *frame), values, frame[3], margin)
    volume = blur(sums, len(uv_px), frame[3], values.shape[-1], sigma, taps, uv_px.dtype)
    return volume[..., 1:] / (volume[..., :1] + divisor)


def ray_ends(occupancies):
    """Probabilities (B,D+1,H,W): r_i = o_i prod_{j<i} (1 - o_j), and the last that of none."""
    clear, ends = torch.ones_like(occupancies[:, 0]), []
    for index in range(occupancies.shape[1]):
        ends.append(occupancies[:, index] * clear)
        clear = clear * (1 - occupancies[:, index])
    return torch.stack([*ends, clear], 1)


def mask(*arguments, **options):
    """Silhouettes (B,H,W): the sum of the ends' probabilities."""
    return ray_ends(occupancy(*arguments, **options))[:, :-1].sum(1)
