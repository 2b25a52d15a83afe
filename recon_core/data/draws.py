# SPDX-License-Identifier: Apache-2.0
"""Random numbers for the items of a batch."""

import torch


class Draw:
    """Numbers of a CPU generator, moved to the type and device of the images (B,...); one draw per item."""

    def __init__(self, like: torch.Tensor, generator: torch.Generator) -> None:
        self._like, self._generator = like, generator
        self._count = like.shape[0]

    def uniform(self, *shape: int) -> torch.Tensor:
        """Values in [0, 1), of this shape."""
        return torch.rand(*shape, generator=self._generator).to(self._like)

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal values, of this shape."""
        return torch.randn(*shape, generator=self._generator).to(self._like)

    def symmetric(self, limit: float, *shape: int) -> torch.Tensor:
        """Values in [-limit, limit], (B, *shape)."""
        return (self.uniform(self._count, *shape) * 2 - 1) * limit

    def between(self, low: float, high: float) -> torch.Tensor:
        """Values in [low, high], (B,)."""
        return low + self.uniform(self._count) * (high - low)

    def factor(self, spread: float, *shape: int) -> torch.Tensor:
        """Values in [1 - spread, 1 + spread], (B, *shape)."""
        return 1 + self.symmetric(spread, *shape)

    def chosen(self, probability: float) -> torch.Tensor:
        """1 with the probability, else 0, (B,)."""
        return (self.uniform(self._count) < probability).to(self._like.dtype)

    def places(self, weight: torch.Tensor) -> torch.Tensor:
        """Pixel centres (B,2), right and down, drawn in proportion to weight (B,1,H,W) >= 0."""
        cumulative = (weight.flatten(1) + 1e-12).cumsum(1)
        at = self.uniform(self._count)[:, None] * cumulative[:, -1:]
        index = torch.searchsorted(cumulative, at, right=True)[:, 0].clamp(max=cumulative.shape[1] - 1)
        width = weight.shape[-1]
        return torch.stack((index % width, index // width), -1).to(weight) + 0.5
