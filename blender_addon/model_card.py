# SPDX-License-Identifier: GPL-3.0-or-later
"""What the card of an exported model says, in the words of the panel. No bpy here.

Cards are files by others: whatever a field holds, it becomes a short text or is left out.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import engine_onnx
from .jobs import UserError

# Key in the card's test scores, name, and how it is written.
_SCORES = (
    ("chamfer_sum", "Chamfer x 100", "{:.2f}"),
    ("fscore_0.02", "F-score at 0.02", "{:.2f}"),
    ("mask_iou", "Mask IoU", "{:.2f}"),
    ("part_miou", "Part IoU", "{:.2f}"),
    ("colour_psnr", "Color PSNR", "{:.1f} dB"),
    ("pose_accuracy", "Views within 30°", "{:.0%}"),
    ("pose_median_deg", "Median view error", "{:.1f}°"),
)
_MAX_TEXT = 400
_MAX_LIMITS = 20
_MAX_CATEGORIES = 40


@dataclass(frozen=True)
class CardText:
    """Rows of name and text; scores with the words above them; sentences about what the model cannot do."""

    facts: list[tuple[str, str]] = field(default_factory=list)
    scores_of: str = ""
    scores: list[tuple[str, str]] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    problem: str = ""


_cache: dict[tuple[str, int, int], CardText] = {}


def read(model_path: Path) -> CardText:
    """The card beside a model, read again when its file has changed; drawn at every redraw, so kept."""
    try:
        status = model_path.with_suffix(".json").stat()
        key = (str(model_path), status.st_size, status.st_mtime_ns)
    except OSError:
        key = (str(model_path), -1, -1)
    if key not in _cache:
        _cache.clear()
        _cache[key] = _read(model_path)
    return _cache[key]


def _read(model_path: Path) -> CardText:
    try:
        return describe(engine_onnx.read_card(model_path))
    except UserError as error:
        return CardText(problem=str(error))


def describe(card: dict[str, Any]) -> CardText:
    """A card in words."""
    name, recipe = _text(card.get("name")) or Path(_text(card.get("file"))).stem, _text(card.get("recipe"))
    facts = [
        ("Name", f"{name} ({recipe})" if name and recipe else name or recipe),
        ("Knows", ", ".join(_texts(card.get("categories")))),
        *_parts(card.get("parts")),
        ("Points", _number(card.get("points"), "{:,.0f}")),
        ("Data", _data(card.get("data"))),
        ("License", _text(card.get("licence"))),
    ]
    scores_of, scores = _scores(card.get("metrics"))
    return CardText(
        [(title, text) for title, text in facts if text],
        scores_of,
        scores,
        [*_texts(card.get("limits"))][:_MAX_LIMITS],
    )


def _parts(parts: Any) -> list[tuple[str, str]]:
    """One row for all parts, or one for each category."""
    if not isinstance(parts, dict) or not parts:
        return [("Parts", ", ".join(_texts(parts, "name")) or "none")]
    if len(parts) == 1:
        return [("Parts", ", ".join(_texts(next(iter(parts.values())), "name")) or "none")]
    rows = [(_text(category), ", ".join(_texts(names, "name"))) for category, names in parts.items()]
    return [(f"Parts of {category}", names) for category, names in rows[:_MAX_CATEGORIES] if names]


def _data(data: Any) -> str:
    if not isinstance(data, dict):
        return _text(data)
    objects, views = _number(data.get("train"), "{:,.0f}"), _number(data.get("views"), "{:,.0f}")
    parts = [
        _text(data.get("folder")),
        f"{objects} objects" if objects else "",
        f"{views} views each" if views else "",
    ]
    return ", ".join(part for part in parts if part)


def _scores(metrics: Any) -> tuple[str, list[tuple[str, str]]]:
    """The test scores when the model was evaluated, else validation's mask IoU."""
    metrics = metrics if isinstance(metrics, dict) else {}
    test = metrics.get("test")
    if isinstance(test, dict) and isinstance(test.get("scores"), dict):
        rows = [(name, _number(test["scores"].get(key), form)) for key, name, form in _SCORES]
        objects = _number(test.get("objects"), "{:,.0f}")
        of = f"{objects} test objects" if objects else "test objects"
        return of, [(name, text) for name, text in rows if text]
    mask_iou = _number(metrics.get("val_mask_iou"), "{:.2f}")
    return ("validation images", [("Mask IoU", mask_iou)]) if mask_iou else ("", [])


def _number(value: Any, form: str) -> str:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e12
    return form.format(value) if known else ""


def _text(value: Any) -> str:
    return " ".join(str(value).split())[:_MAX_TEXT] if isinstance(value, (str, int, float)) else ""


def _texts(values: Any, key: str = "") -> list[str]:
    if not isinstance(values, list):
        return []
    found = [value.get(key) if key and isinstance(value, dict) else value for value in values]
    return [text for text in map(_text, found) if text]
