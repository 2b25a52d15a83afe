# SPDX-License-Identifier: Apache-2.0
"""Rendering a batch in turns: the memory of a few elements, and each rendered again for its gradient."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd.function import once_differentiable


def in_turns(
    render: Callable[..., torch.Tensor],
    batched: Sequence[torch.Tensor | None],
    shared: Sequence[torch.Tensor],
    at_once: int,
) -> torch.Tensor:
    """render(*batched, *shared) for `at_once` elements of the batch at a time, (B,...), with gradients to all tensors.

    batched: tensors (B,...) or None, the first of them a tensor. shared: tensors that every element uses. A batch of at
    most at_once elements is rendered directly. Otherwise only the inputs are kept, and the backward pass renders again
    (as torch.utils.checkpoint would, without its import and for a loop); it cannot be differentiated a second time.
    """
    first = batched[0]
    assert first is not None
    if len(first) <= at_once:
        return render(*batched, *shared)
    images = _InTurns.apply(render, at_once, len(batched), *batched, *shared)
    assert isinstance(images, torch.Tensor)
    return images


class _InTurns(torch.autograd.Function):
    """A loop over parts of a batch that keeps its inputs only."""

    @staticmethod
    def forward(
        ctx: Any, render: Callable[..., torch.Tensor], at_once: int, batched: int, *inputs
    ) -> torch.Tensor:
        ctx.save_for_backward(*inputs)
        ctx.arguments = render, at_once, batched
        batch = len(inputs[0])
        return torch.cat([render(*_part(inputs, rows, batched)) for rows in _rows(batch, at_once)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor):
        (render, at_once, batched), inputs = ctx.arguments, ctx.saved_tensors
        needed = ctx.needs_input_grad[3:]
        totals = [torch.zeros_like(given) if need else None for given, need in zip(inputs, needed)]
        for rows in _rows(len(grad), at_once):
            leaves = [
                None if given is None else given.detach().requires_grad_(need)
                for given, need in zip(_part(inputs, rows, batched), needed)
            ]
            with torch.enable_grad():
                image = render(*leaves)
            sums = [total for total in _part(totals, rows, batched) if total is not None]
            _add_gradients(image, leaves, grad[rows], sums)
        return None, None, None, *totals


def _add_gradients(
    image: torch.Tensor,
    leaves: Sequence[torch.Tensor | None],
    cotangent: torch.Tensor,
    sums: list[torch.Tensor],
) -> None:
    """Add the image's gradients for those leaves that want one to sums, in place."""
    wanted = [leaf for leaf in leaves if leaf is not None and leaf.requires_grad]
    found = torch.autograd.grad(image, wanted, cotangent, allow_unused=True)
    for total, share in zip(sums, found):
        if share is not None:
            total.add_(share)


def _rows(batch: int, at_once: int) -> list[slice]:
    return [slice(start, start + at_once) for start in range(0, batch, at_once)]


def _part(tensors: Sequence[torch.Tensor | None], rows: slice, batched: int) -> list[torch.Tensor | None]:
    """Views of these rows of the first `batched` tensors, beside the others as they are."""
    own = [None if tensor is None else tensor[rows] for tensor in tensors[:batched]]
    return [*own, *tensors[batched:]]
