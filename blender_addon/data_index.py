# SPDX-License-Identifier: GPL-3.0-or-later
"""The files about a whole training set, as `recon render` writes them: dataset.json, splits, failed.jsonl. No bpy."""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

SPLITS = ("train", "val", "test")
FAILURES = "failed.jsonl"


def write(dataset: Path) -> None:
    """Bring the files in line with the objects that are whole. Where nothing was rendered, nothing is written."""
    keys = objects_of(dataset)
    about = read_json(dataset / "dataset.json")
    if about is not None:
        parts: dict[str, list[str]] = {}
        for key in keys:
            category = key.partition("/")[0]
            if category not in parts:
                parts[category] = _parts_of(dataset / key)
        about["categories"] = sorted(parts)
        about["parts"] = {category: own for category, own in sorted(parts.items()) if own}
        _write(dataset / "dataset.json", json.dumps(about, indent=1) + "\n")
    if keys:
        write_splits(dataset, keys)
    _prune_failures(dataset, set(keys))


def objects_of(dataset: Path) -> list[str]:
    """Names "<category>/<object>" of the objects that are whole, sorted."""
    found = (path.parent for path in dataset.glob("*/*/transforms.json"))
    return sorted(f"{path.parent.name}/{path.name}" for path in found if not path.name.startswith("."))


def write_splits(dataset: Path, keys: list[str]) -> None:
    """Write splits/{train,val,test}.txt, one name per line."""
    for split in SPLITS:
        _write(
            dataset / "splits" / f"{split}.txt", "".join(f"{key}\n" for key in keys if split_of(key) == split)
        )


def split_of(key: str) -> str:
    """The split of an object, by its name alone, so that adding objects moves none: 80, 10 and 10 in a hundred.

    The first 32 bits of the name's SHA-256 as a fraction in 0..1, cut at 0.8 and 0.9.
    """
    fraction = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return "train" if fraction < 0.8 else "val" if fraction < 0.9 else "test"


def record_failure(dataset: Path, key: str, source: str, error: str) -> None:
    """Append a line to failed.jsonl, as render_views does for the objects whose rendering it outlives."""
    with (dataset / FAILURES).open("ab", buffering=0) as file:
        file.write((json.dumps({"object": key, "source": source, "error": error}) + "\n").encode())


def failures(dataset: Path) -> dict[str, dict[str, Any]]:
    """The last record of each object in failed.jsonl; what is no record is left out."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = (dataset / FAILURES).read_text("utf-8", "replace").splitlines()
    found: dict[str, dict[str, Any]] = {}
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            record = json.loads(line)
            found[str(record["object"])] = record
    return found


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None when it is missing or broken."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _prune_failures(dataset: Path, whole: set[str]) -> None:
    """Keep the last line of each object that is still not whole; the file goes when none is left."""
    last = [record for key, record in failures(dataset).items() if key not in whole]
    if last:
        _write(dataset / FAILURES, "".join(json.dumps(record) + "\n" for record in last))
    else:
        (dataset / FAILURES).unlink(missing_ok=True)


def _parts_of(folder: Path) -> list[str]:
    recon = (read_json(folder / "transforms.json") or {}).get("recon")
    names = recon.get("parts") if isinstance(recon, dict) else None
    return names if isinstance(names, list) else []


def _write(path: Path, text: str) -> None:
    """Write beside the path, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
