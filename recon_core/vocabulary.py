# SPDX-License-Identifier: Apache-2.0
"""What a model knows by name: its categories, and the parts of each.

A model has as many part slots as its richest category has parts; slot i of a chair is the chair's part i, of a car the
car's. So the names of the slots, and how many of them count, follow from the category.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Vocabulary:
    """Categories in the order of the classifier's outputs, and the names of each one's parts by id (place + 1)."""

    categories: list[str]
    parts: dict[str, list[str]]

    @property
    def slots(self) -> int:
        """Part slots of a model: the most that a category has."""
        return max((len(names) for names in self.parts.values()), default=0)

    def part_names(self, category: str | None) -> list[str]:
        """The parts of a category; of one that is not known or None, each slot's names over all, joined by a slash."""
        if category in self.parts:
            return self.parts[category]
        lists = [self.parts.get(one, []) for one in self.categories]
        longest = max((len(names) for names in lists), default=0)
        return ["/".join(dict.fromkeys(n[i] for n in lists if i < len(n))) for i in range(longest)]

    def only(self) -> str | None:
        """The category, where there is one alone."""
        return self.categories[0] if len(self.categories) == 1 else None


def make_vocabulary(categories: Sequence[str], parts: Mapping[str, Sequence[str]]) -> Vocabulary:
    """Of a dataset: categories without part names have no parts."""
    return Vocabulary(list(categories), {one: list(parts[one]) for one in categories if parts.get(one)})


def read_vocabulary(card: Mapping[str, Any]) -> Vocabulary:
    """Of a run's card. Cards written before parts were kept per category list the names of the slots for all."""
    categories = [str(one) for one in card.get("categories") or []]
    parts = card.get("parts") or {}
    if isinstance(parts, Mapping):
        return make_vocabulary(categories, parts)
    names = [str(name) for name in parts]
    return Vocabulary(categories, dict.fromkeys(categories or [""], names) if names else {})
