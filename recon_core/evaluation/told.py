# SPDX-License-Identifier: Apache-2.0
"""How often a model of several categories says rightly which one it sees."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch


class ToldCategories:
    """Views counted by their true category and the one that was told."""

    def __init__(self) -> None:
        self.views: Counter[tuple[str, str]] = Counter()

    def add(self, true: str, probabilities: torch.Tensor, names: Sequence[str]) -> None:
        """Count views of one object: probabilities (V,C) of the categories `names`."""
        for best in probabilities.argmax(1).tolist():
            self.views[true, names[int(best)]] += 1

    def result(self) -> dict[str, Any] | None:
        """Shares of all views and of each category's that were told rightly, and how many of which went where."""
        if not self.views:
            return None
        totals, right = Counter[str](), Counter[str]()
        for (true, told), count in self.views.items():
            totals[true] += count
            right[true] += count * (true == told)
        confused = [(true, told, n) for (true, told), n in self.views.most_common() if true != told]
        return {
            "accuracy": right.total() / totals.total(),
            "by_category": {true: right[true] / totals[true] for true in sorted(totals)},
            "confused": [{"true": true, "told": told, "views": n} for true, told, n in confused],
        }
