# SPDX-License-Identifier: Apache-2.0
"""Supervision terms by name: the closed registry that recipes choose from."""

from typing import Annotated

from pydantic import Field

from .base import TermConfig, Views, pick_views, shrink_views
from .splat import SplatColor, SplatMask, SplatParts

TERMS: tuple[type[TermConfig], ...] = (SplatMask, SplatColor, SplatParts)
Term = Annotated[SplatMask | SplatColor | SplatParts, Field(discriminator="kind")]

__all__ = [
    "TERMS",
    "SplatColor",
    "SplatMask",
    "SplatParts",
    "Term",
    "TermConfig",
    "Views",
    "pick_views",
    "shrink_views",
]
