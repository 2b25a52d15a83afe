# SPDX-License-Identifier: Apache-2.0
"""What an exported model cannot do, in sentences for its card; all of it follows from the recipe and the data."""

from typing import Any


def limits_of(card: dict[str, Any]) -> list[str]:
    """Sentences for whoever uses the model, from the rest of its card (categories, input, outputs, data, ...)."""
    outputs, data, side = card["outputs"], card.get("data") or {}, card["input"]["size"]
    known = ", ".join(card["categories"]) or "what it was trained on"
    limits = [
        f"Knows {known} only: whatever it is shown, it answers with one of these.",
        "One object per image, told from the background by its mask.",
        f"Sees {side} x {side} pixels and answers with {card['points']:,} points: finer detail is lost.",
    ]
    if isinstance(data, dict) and data.get("train"):
        limits.append(f"Trained on {data['train']:,} objects: what looks unlike them may come out wrong.")
    missing = [
        what
        for output, what in (("color", "colours"), ("parts", "parts"), ("rotation", "camera pose"))
        if output not in outputs
    ]
    if missing:
        limits.append(f"Predicts no {', no '.join(missing)}.")
    if card.get("frame_note"):
        limits.append(f"Orientation: {card['frame_note']}.")
    return limits
