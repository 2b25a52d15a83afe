# SPDX-License-Identifier: Apache-2.0
"""Checks what the command line gives before anything is read."""

import math
from pathlib import Path
from typing import cast, get_args

from ...cameras import object_from_axes
from ...errors import InputError
from .base import ImportOptions, Normalise
from .paths import is_plain_name


def checked_options(
    source: Path,
    target: Path,
    category: str | None,
    limit: int,
    views: int,
    size: int,
    up: str | None,
    front: str | None,
    normalise: str | None,
    center: tuple[float, float, float] | None,
    scale: float | None,
    keep_frame: bool,
    dry_run: bool,
    quiet: bool,
) -> ImportOptions:
    """Options that make sense together; raises InputError."""
    if normalise is not None and normalise not in get_args(Normalise):
        raise InputError(f"--normalise is {normalise!r}, expected one of {', '.join(get_args(Normalise))}.")
    if category is not None and not is_plain_name(category):
        raise InputError(f"--category {category!r} cannot be the name of a folder.")
    if (up is None) != (front is None):
        raise InputError("Give --up and --front together, such as --up Y --front X.")
    if up is not None and front is not None:
        object_from_axes(up, front)
    if (center is None) != (scale is None):
        raise InputError("Give --center and --scale together, such as --center 0 0 0.5 --scale 0.4.")
    if center is not None and not all(math.isfinite(one) for one in (*center, scale or 0.0)):
        raise InputError("--center and --scale must be finite numbers.")
    if source.resolve() == target.resolve():
        raise InputError(f"{target} is the source itself. Choose another folder for the dataset.")
    return ImportOptions(
        source.resolve(),
        target,
        category,
        limit,
        views,
        size,
        up,
        front,
        cast(Normalise | None, normalise),
        center,
        scale,
        keep_frame,
        dry_run,
        quiet,
    )
