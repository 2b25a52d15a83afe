# SPDX-License-Identifier: Apache-2.0
"""What an exported model cannot do, in sentences for its card; all of it follows from the recipe and the data."""

from typing import Any


def limits_of(card: dict[str, Any]) -> list[str]:
    """Short sentences for whoever uses the model, from the rest of its card (categories, input, outputs, ...)."""
    side, known = card["input"]["size"], ", ".join(card["categories"])
    limits = [
        f"Knows only: {known}. All else comes out as one." if known else "Knows only what it was trained on.",
        *_unnamed(card),
        "One object per image, told by its mask.",
        f"Sees {side} x {side} pixels, gives {card['points']:,} points.",
    ]
    missing = [
        what
        for output, what in (("color", "colours"), ("parts", "parts"), ("rotation", "camera pose"))
        if output not in card["outputs"]
    ]
    if missing:
        limits.append(f"Predicts no {', no '.join(missing)}.")
    if card.get("frame_note"):
        limits.append(f"Orientation: {card['frame_note']}.")
    return limits


def _unnamed(card: dict[str, Any]) -> list[str]:
    """A model of several categories that does not say which one it sees cannot name parts either."""
    if len(card["categories"]) < 2 or "category" in card["outputs"]:
        return []
    return ["Does not say which of these it sees; parts have the names of all."]
