# SPDX-License-Identifier: GPL-3.0-or-later
"""What the section Result says of how far points are to be trusted: confidence, visibility, refining."""

from typing import Any

from . import points_object, visibility
from .panel_base import wrapped


def draw_threshold(layout: Any, points: Any) -> None:
    """The slider that hides unsure points, where the points know how sure they are."""
    settings = points.recon
    if points_object.CONFIDENCE not in points.data.attributes:
        return
    layout.prop(settings, "least_confidence", slider=True)
    if settings.hidden_count:
        count = len(points.data.vertices)
        layout.label(text=f"{count - settings.hidden_count:,} of {count:,} points shown")


def draw_facts(layout: Any, record: dict[str, Any]) -> None:
    """How much of the cloud the photo shows, and what refining did."""
    seen = visibility.shares_text(record)
    if seen:
        wrapped(layout, f"Points: {seen}")
    refined = record.get("refined")
    overlap = refined.get("iou") if isinstance(refined, dict) else None
    if isinstance(overlap, list) and len(overlap) == 2:
        before, after = overlap
        wrapped(layout, f"Overlap with the mask: {before:.0%}, refined {after:.0%}")
