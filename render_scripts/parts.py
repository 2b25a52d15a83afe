# SPDX-License-Identifier: GPL-3.0-or-later
"""Part labels of faces from material names, object names, mesh names or a mapping file."""

import fnmatch
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

# By id, as the procedural objects have them; of airplane, car and chair these are ShapeNet-Part's. Id 0 is background.
KNOWN_PARTS = {
    "airplane": ["body", "wing", "tail", "engine"],
    "bed": ["mattress", "frame", "pillow", "leg"],
    "bench": ["back", "seat", "leg", "arm"],
    "cabinet": ["body", "door", "drawer", "leg"],
    "car": ["roof", "hood", "wheel", "body"],
    "chair": ["back", "seat", "leg", "arm"],
    "lamp": ["base", "lampshade", "canopy", "tube"],
    "sofa": ["back", "seat", "arm", "leg"],
    "table": ["top", "leg", "drawer", "shelf"],
}
MAX_PARTS = 254
# Colours of ids 0, 1, 2, ... in palette PNGs.
BASE_PALETTE = [
    [0, 0, 0], [230, 85, 70], [70, 130, 220], [90, 180, 90], [240, 190, 60], [150, 95, 200], [60, 190, 190],
    [240, 140, 190], [150, 110, 70], [180, 200, 80], [120, 140, 160], [250, 130, 50], [40, 90, 110],
]  # fmt: skip
PREFIX = re.compile(r"[._]")


class Rule(NamedTuple):
    """Part of what matches three globs: file ("category/name"), object or mesh name, material name."""

    file: str
    object: str
    material: str
    part: str


class Mapping(NamedTuple):
    """Contents of a --parts file: part names by category, and rules in order."""

    parts: dict[str, list[str]]
    rules: list[Rule]


def palette(count: int) -> list[list[int]]:
    """Palette rows for ids 0..count; beyond the hand-picked colours, even steps around the colour circle."""
    rows = list(BASE_PALETTE[: count + 1])
    for index in range(len(rows), count + 1):
        rows.append([60 + (index * 97) % 180, 60 + (index * 57) % 180, 60 + (index * 151) % 180])
    return rows


def read_mapping(path: Path | None) -> Mapping:
    """Read {"parts": {"chair": ["back", ...]}, "rules": [{"file", "object", "material", "part"}, ...]}.

    Globs default to "*"; the first rule that matches wins. Raises ValueError naming the entry.
    """
    if path is None:
        return Mapping({}, [])
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        parts = {str(key): part_names(value) for key, value in document.get("parts", {}).items()}
        rules = [_rule(entry) for entry in document.get("rules", [])]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"--parts {path}: {error}; expected {{'parts': {{...}}, 'rules': [...]}}") from error
    return Mapping(parts, rules)


def _rule(entry: Any) -> Rule:
    if not isinstance(entry, dict) or not isinstance(entry.get("part"), str):
        raise ValueError(f"rule {entry!r} has no part name")
    file, thing, material = (str(entry.get(key, "*")).lower() for key in ("file", "object", "material"))
    return Rule(file, thing, material, entry["part"])


def part_names(value: Any) -> list[str]:
    """Check a list of part names by id order; raises ValueError."""
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise ValueError(f"part names must be a list of words, got {value!r}")
    if len(value) > MAX_PARTS or len({name.lower() for name in value}) != len(value):
        raise ValueError(f"part names must be at most {MAX_PARTS} and all different, got {value!r}")
    return list(value)


def names_for(category: str, description: dict[str, Any], mapping: Mapping) -> list[str]:
    """Part names of an object: its object.json, else the mapping file, else those known for the category."""
    if "parts" in description:
        return part_names(description["parts"])
    return mapping.parts.get(category, KNOWN_PARTS.get(category, []))


def part_id(
    names: list[str], mapping: Mapping, key: str, object_names: tuple[str, ...], material: str | None
) -> int:
    """Part id (1-based) of faces with a material on an object; 0 when nothing names a part."""
    ids = {name.lower(): index + 1 for index, name in enumerate(names)}
    for name in (material, *object_names):
        found = _by_name(name, ids)
        if found:
            return found
    for rule in mapping.rules:
        is_object = any(fnmatch.fnmatchcase(name.lower(), rule.object) for name in object_names)
        is_material = fnmatch.fnmatchcase((material or "").lower(), rule.material)
        if is_object and is_material and fnmatch.fnmatchcase(key.lower(), rule.file):
            return ids.get(rule.part.lower(), 0)
    return 0


def _by_name(name: str | None, ids: dict[str, int]) -> int:
    """Whole name, or the prefix before the first "." or "_"."""
    lowered = (name or "").lower()
    return ids.get(lowered, ids.get(PREFIX.split(lowered, maxsplit=1)[0], 0))
