# SPDX-License-Identifier: GPL-3.0-or-later
"""Random numbers that are the same on every numpy and every Blender."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Rng:
    """A PCG64 stream of which only `random()` is used: the one call numpy keeps stable."""

    def __init__(self, *key: object) -> None:
        """Seed from the key, e.g. Rng("chair", 0, 17): sha256 of its parts joined by "/"."""
        digest = hashlib.sha256("/".join(str(part) for part in key).encode()).digest()
        self._generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))

    def random(self, *shape: int) -> np.ndarray:
        """Uniform doubles in [0, 1) of the given shape."""
        return self._generator.random(shape)

    def uniform(self, low: float, high: float) -> float:
        """One double in [low, high)."""
        return low + (high - low) * float(self._generator.random())

    def integer(self, low: int, high: int) -> int:
        """One whole number in low..high, both ends included."""
        return low + int(self._generator.random() * (high - low + 1))

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return float(self._generator.random()) < probability

    def choice(self, options: Sequence[T]) -> T:
        """One of the options, all equally likely."""
        return options[int(self._generator.random() * len(options))]

    def weighted(self, weights: dict[str, float]) -> str:
        """One key of `weights`, as likely as its weight (any positive scale)."""
        draw = float(self._generator.random()) * sum(weights.values())
        for name, weight in weights.items():
            draw -= weight
            if draw < 0:
                return name
        return next(reversed(weights))
