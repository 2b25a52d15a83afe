# SPDX-License-Identifier: Apache-2.0
"""Multilinear scatter: each point is shared by the corners of its grid cell, in any number of dimensions."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from ..blocks import batch_blocks


def linear_scatter(
    positions: Sequence[torch.Tensor], values: torch.Tensor, shape: Sequence[int]
) -> torch.Tensor:
    """Sum values (B,N,C) of points into a grid (B,*shape,C), linearly between the cells along every axis.

    positions: one (B,N) tensor per axis of `shape`, in cells: 0 is the first cell's node, size - 1 the last one's, and
    both ends are allowed. Positions outside, or not a number, must have been replaced (and their values set to zero).
    Gradients reach values and positions; only the inputs are kept for them. 2^axes additions per point and channel.
    """
    grid = _LinearScatter.apply(values, tuple(shape), *positions)
    assert isinstance(grid, torch.Tensor)
    return grid.view(len(values), *shape, values.shape[-1])


class _LinearScatter(torch.autograd.Function):
    """Scatter to the corners of each point's cell, one corner at a time: autograd would keep all of them."""

    @staticmethod
    def forward(
        ctx: Any, values: torch.Tensor, shape: tuple[int, ...], *positions: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(values, *positions)
        ctx.shape = shape
        grid = values.new_zeros(len(values), _count(shape), values.shape[-1])
        for rows in batch_blocks(values):
            _scatter_block(grid[rows], values[rows], [axis[rows] for axis in positions], shape)
        return grid

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor):
        values, *positions = ctx.saved_tensors
        grad = grad.contiguous()
        wanted = ctx.needs_input_grad[2:]
        along = [torch.zeros_like(axis) if needed else None for axis, needed in zip(positions, wanted)]
        to_values = torch.zeros_like(values) if ctx.needs_input_grad[0] else None
        for rows in batch_blocks(values):
            totals = [None if axis is None else axis[rows] for axis in along]
            block = None if to_values is None else to_values[rows]
            _gather_block(
                grad[rows], values[rows], [axis[rows] for axis in positions], ctx.shape, block, totals
            )
        return to_values, None, *along


def _scatter_block(
    grid: torch.Tensor, values: torch.Tensor, positions: Sequence[torch.Tensor], shape: Sequence[int]
) -> None:
    """Add values (b,N,C) to grid (b,cells,C) in place."""
    flat = grid.flatten(0, 1)
    cell, axes = _cells(positions, shape)
    for offset, weights, _ in _corners(axes, shape):
        _add(flat, (cell + offset).flatten(), values * _product(weights)[..., None])


def _gather_block(
    grad: torch.Tensor,
    values: torch.Tensor,
    positions: Sequence[torch.Tensor],
    shape: Sequence[int],
    to_values: torch.Tensor | None,
    along: Sequence[torch.Tensor | None],
) -> None:
    """Add the gradients of values (b,N,C) and positions (b,N) in place, from that of the grid (b,cells,C)."""
    flat = grad.flatten(0, 1)
    cell, axes = _cells(positions, shape)
    moving = any(total is not None for total in along)
    for offset, weights, signs in _corners(axes, shape):
        picked = _pick(flat, (cell + offset).flatten()).view(values.shape)  # (b, N, C)
        if to_values is not None:
            to_values.addcmul_(picked, _product(weights)[..., None])
        pull = (picked * values).sum(-1) if moving else None
        for axis, total in enumerate(along):
            if total is None or pull is None:
                continue
            others = [weight for other, weight in enumerate(weights) if other != axis]
            total.addcmul_(pull, _product(others) if others else torch.ones_like(pull), value=signs[axis])


def _add(grid: torch.Tensor, index: torch.Tensor, amounts: torch.Tensor) -> None:
    """Add amounts (B,N,C) to the rows of grid (cells,C); one channel is several times faster without its axis."""
    if grid.shape[-1] == 1:
        grid.view(-1).index_add_(0, index, amounts.flatten())
    else:
        grid.index_add_(0, index, amounts.flatten(0, 1))


def _pick(grid: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Rows of grid (cells,C)."""
    return (grid.view(-1) if grid.shape[-1] == 1 else grid).index_select(0, index)


def _cells(
    positions: Sequence[torch.Tensor], shape: Sequence[int]
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Flat index (B,N) of each point's lowest corner, and its position in the cell along each axis."""
    first = positions[0]
    cell = torch.arange(len(first), device=first.device)[:, None] * _count(shape)
    axes = []
    for position, size, step in zip(positions, shape, _steps(shape)):
        # The last node belongs to the last cell, so that its upper corner exists.
        low = position.floor().clamp(0, max(size - 2, 0))
        cell = cell + low.long() * step
        axes.append(position - low)
    return cell, axes


def _corners(
    axes: list[torch.Tensor], shape: Sequence[int]
) -> Iterator[tuple[int, list[torch.Tensor], list[int]]]:
    """Offset of each corner, its weight along each axis, and whether that grows (1) or falls (-1) along the axis."""
    # Along an axis of one cell both corners are that one.
    steps = [step if size > 1 else 0 for step, size in zip(_steps(shape), shape)]
    for upper in itertools.product((False, True), repeat=len(axes)):
        offset = sum(step for step, up in zip(steps, upper) if up)
        weights = [at if up else 1 - at for at, up in zip(axes, upper)]
        yield offset, weights, [1 if up else -1 for up in upper]


def _steps(shape: Sequence[int]) -> list[int]:
    return [_count(shape[axis + 1 :]) for axis in range(len(shape))]


def _count(shape: Sequence[int]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _product(factors: list[torch.Tensor]) -> torch.Tensor:
    result = factors[0]
    for factor in factors[1:]:
        result = result * factor
    return result
