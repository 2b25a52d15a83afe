# SPDX-License-Identifier: Apache-2.0
"""Splits that depend on an object's name alone, so that adding objects moves none of the others."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import ConfigError
from ..io.atomic import write_text

SPLITS = ("train", "val", "test")
DEFAULT_RATIOS = (0.8, 0.1, 0.1)


def split_of(name: str, ratios: Sequence[float] = DEFAULT_RATIOS) -> str:
    """Return "train", "val" or "test" for "<category>/<object>"; raise ConfigError for unusable ratios.

    The first 32 bits of the name's SHA-256 as a fraction in [0, 1], cut at the cumulated ratios.
    """
    _check_ratios(ratios)
    fraction = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    if fraction < round(ratios[0], 9):
        return "train"
    # A share of zero stays empty, even for the one name in four billion whose fraction is exactly 1.
    if fraction < round(ratios[0] + ratios[1], 9) or ratios[2] == 0:
        return "val" if ratios[1] else "train"
    return "test"


def split_names(names: Iterable[str], ratios: Sequence[float] = DEFAULT_RATIOS) -> dict[str, list[str]]:
    """Sort names into the three splits, each in alphabetical order."""
    groups: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name in sorted(set(names)):
        groups[split_of(name, ratios)].append(name)
    return groups


def write_splits(
    root: str | Path, names: Iterable[str], ratios: Sequence[float] = DEFAULT_RATIOS
) -> dict[str, list[str]]:
    """Write <root>/splits/{train,val,test}.txt, one name per line, and return what was written."""
    groups = split_names(names, ratios)
    for split, members in groups.items():
        write_text(Path(root) / "splits" / f"{split}.txt", "".join(f"{name}\n" for name in members))
    return groups


def _check_ratios(ratios: Sequence[float]) -> None:
    usable = len(ratios) == 3 and all(math.isfinite(one) and one >= 0 for one in ratios)
    if not usable or not math.isclose(sum(ratios), 1.0, abs_tol=1e-6):
        raise ConfigError(
            f"Split ratios {list(ratios)} must be three numbers >= 0 (train, val, test) that sum to 1, "
            "for example 0.8 0.1 0.1."
        )
