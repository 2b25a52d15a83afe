# SPDX-License-Identifier: Apache-2.0
"""Batches in blocks: what is computed on the way then stays in a CPU's cache, and out of the peak memory."""

from collections.abc import Iterator

import torch

# Points handled at a time on a CPU.
_BLOCK_POINTS = 16_384


def batch_blocks(points: torch.Tensor) -> Iterator[slice]:
    """Rows of a batch (B,N,...), some tens of thousands of points at a time; the whole batch on a GPU."""
    batch, count = points.shape[:2]
    step = batch if points.device.type != "cpu" else max(_BLOCK_POINTS // max(count, 1), 1)
    for start in range(0, batch, max(step, 1)):
        yield slice(start, start + step)
