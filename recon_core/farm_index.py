# SPDX-License-Identifier: Apache-2.0
"""The files that describe a whole dataset folder, written once after all rendering processes have ended."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .data.splits import write_splits
from .io.atomic import write_json, write_text

FAILURES = "failed.jsonl"


def complete_objects(root: Path) -> list[str]:
    """Names "<category>/<object>" of the whole objects in a folder, whatever dataset.json says, sorted."""
    found = (path.parent for path in root.glob("*/*/transforms.json"))
    return sorted(f"{path.parent.name}/{path.name}" for path in found if not path.name.startswith("."))


def write_index(root: Path) -> list[str]:
    """Bring dataset.json, the splits and failed.jsonl in line with the whole objects; return their names.

    Processes that end at the same time each write dataset.json over what they see, so the last word is spoken here.
    """
    names = complete_objects(root)
    document = _read_json(root / "dataset.json")
    if document is not None:
        parts: dict[str, list[str]] = {}
        for name in names:
            category = name.partition("/")[0]
            if category not in parts:
                parts[category] = _part_names(root / name)
        document["categories"] = sorted(parts)
        document["parts"] = {category: own for category, own in sorted(parts.items()) if own}
        write_json(root / "dataset.json", document)
    if names:
        write_splits(root, names)
    _prune_failures(root, set(names))
    return names


def read_failures(root: Path) -> dict[str, dict[str, Any]]:
    """The last record of each object in failed.jsonl; lines that are not records are left out."""
    path = root / FAILURES
    if not path.is_file():
        return {}
    records: dict[str, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("object"), str):
            records[record["object"]] = record
    return records


def record_failure(root: Path, name: str, source: str, error: str) -> None:
    """Append one line to failed.jsonl in a single write, so that lines of several processes do not mix."""
    root.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"object": name, "source": source, "error": error}) + "\n"
    with (root / FAILURES).open("ab", buffering=0) as file:
        file.write(line.encode())


def remove_leftovers(root: Path, names: Iterable[str]) -> None:
    """Remove the temporary folders that a killed process left for these objects."""
    for name in names:
        folder = root / name
        for stale in folder.parent.glob(f".{folder.name}.tmp-*"):
            shutil.rmtree(stale, ignore_errors=True)
        # An empty category folder is the trace of an object that never came to be.
        if folder.parent != root and folder.parent.is_dir() and not any(os.scandir(folder.parent)):
            folder.parent.rmdir()


def remove_scratch(pids: Iterable[int]) -> None:
    """Remove the scratch folders of render_views processes that have ended: a killed one leaves its own behind."""
    for pid in pids:
        for parent in {Path("/dev/shm"), Path(tempfile.gettempdir())}:
            for stale in parent.glob(f"render_views-{pid}-*"):
                shutil.rmtree(stale, ignore_errors=True)


def _prune_failures(root: Path, complete: set[str]) -> None:
    path = root / FAILURES
    if not path.is_file():
        return
    records = [record for name, record in read_failures(root).items() if name not in complete]
    if records:
        write_text(path, "".join(json.dumps(record) + "\n" for record in records))
    else:
        path.unlink()


def _part_names(folder: Path) -> list[str]:
    recon = (_read_json(folder / "transforms.json") or {}).get("recon")
    names = recon.get("parts") if isinstance(recon, dict) else None
    return names if isinstance(names, list) else []


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
