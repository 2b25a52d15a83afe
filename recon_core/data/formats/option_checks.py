# SPDX-License-Identifier: Apache-2.0
"""Checks what the command line gives before anything is read."""

import math
from typing import get_args

from ...cameras import object_from_axes
from ...errors import InputError
from .base import ImportOptions, Normalise
from .paths import is_plain_name


def check_options(options: ImportOptions) -> None:
    """Raise InputError for options that make no sense, alone or together."""
    if options.normalise not in (None, *get_args(Normalise)):
        raise InputError(
            f"--normalise is {options.normalise!r}, expected one of {', '.join(get_args(Normalise))}."
        )
    if options.category is not None and not is_plain_name(options.category):
        raise InputError(f"--category {options.category!r} cannot be the name of a folder.")
    if options.source.resolve() == options.target.resolve():
        raise InputError(f"{options.target} is the source itself. Choose another folder for the dataset.")
    _check_axes(options.up, options.front)
    _check_place(options.center, options.scale)


def _check_axes(up: str | None, front: str | None) -> None:
    if (up is None) != (front is None):
        raise InputError("Give --up and --front together, such as --up Y --front X.")
    if up is not None and front is not None:
        object_from_axes(up, front)


def _check_place(center: tuple[float, float, float] | None, scale: float | None) -> None:
    if (center is None) != (scale is None):
        raise InputError("Give --center and --scale together, such as --center 0 0 0.5 --scale 0.4.")
    if center is not None and not (all(map(math.isfinite, center)) and scale and 0 < scale < math.inf):
        raise InputError("--center and --scale must be finite numbers, --scale above 0.")
