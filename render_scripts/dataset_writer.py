# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the dataset folder, standard library only; every file and object folder appears complete or not at all."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DATASET_VERSION = 1
DEFAULT_RATIOS = (0.8, 0.1, 0.1)
SPLITS = ("train", "val", "test")


def write_atomic(path: Path, data: bytes) -> None:
    """Write bytes beside `path`, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def to_json(value: Any, indent: int | None = 1) -> bytes:
    """Indented UTF-8 JSON with a final newline; NaN and infinity raise ValueError."""
    return (json.dumps(value, indent=indent, allow_nan=False) + "\n").encode("utf-8")


@contextmanager
def object_folder(root: Path, key: str) -> Iterator[Path]:
    """Yield a temporary folder; it becomes root/key when the block ends well, and vanishes when it does not."""
    final = root / key
    final.parent.mkdir(parents=True, exist_ok=True)
    for stale in final.parent.glob(f".{final.name}.tmp-*"):
        shutil.rmtree(
            stale, ignore_errors=True
        )  # of a killed run: an object belongs to one process at a time
    temporary = Path(tempfile.mkdtemp(prefix=f".{final.name}.tmp-", dir=final.parent))
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())  # mkdtemp makes private folders
        _replace_folder(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def _replace_folder(temporary: Path, final: Path) -> None:
    if final.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{final.name}.tmp-", dir=final.parent))
        os.replace(final, old / "old")
        os.replace(temporary, final)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(temporary, final)


def read_json(path: Path) -> Any:
    """JSON of a file, None when it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def is_complete(root: Path, key: str, source_sha256: str) -> bool:
    """Whether an object was rendered from this very source file."""
    transforms = read_json(root / key / "transforms.json")
    return isinstance(transforms, dict) and transforms.get("recon", {}).get("source_sha256") == source_sha256


def complete_objects(root: Path) -> list[str]:
    """Keys "<category>/<object>" of all complete objects, sorted."""
    found = (path.parent for path in root.glob("*/*/transforms.json"))
    return sorted(f"{path.parent.name}/{path.name}" for path in found if not path.name.startswith("."))


def write_splits(
    dataset_root: Path, ratios: tuple[float, float, float] = DEFAULT_RATIOS
) -> dict[str, list[str]]:
    """Write splits/{train,val,test}.txt over all complete objects and return them.

    An object's split depends on its name alone, so that adding objects moves none. Raises ValueError for ratios that
    are negative or do not sum to 1.
    """
    if len(ratios) != 3 or min(ratios) < 0 or abs(sum(ratios) - 1) > 1e-6:
        raise ValueError(f"split ratios must be three numbers that sum to 1, got {ratios}")
    splits: dict[str, list[str]] = {name: [] for name in SPLITS}
    for key in complete_objects(dataset_root):
        splits[split_of(key, ratios)].append(key)
    for name, keys in splits.items():
        write_atomic(dataset_root / "splits" / f"{name}.txt", "".join(key + "\n" for key in keys).encode())
    return splits


def split_of(key: str, ratios: tuple[float, float, float] = DEFAULT_RATIOS) -> str:
    """Split of "<category>/<object>": the first 8 hex digits of its SHA-256 as a number in 0..1."""
    unit = int(hashlib.sha256(key.encode("utf-8")).hexdigest()[:8], 16) / 0xFFFFFFFF
    # Rounded, since 0.8 + 0.1 is a little more than 0.9.
    if unit < round(ratios[0], 9):
        return "train"
    # A share of zero stays empty, even for the one name in four billion whose number is exactly 1.
    if unit < round(ratios[0] + ratios[1], 9) or ratios[2] == 0:
        return "val" if ratios[1] else "train"
    return "test"


def write_dataset_json(
    root: Path,
    render: dict[str, Any],
    palette: list[list[int]],
    seed: int,
    generator: str,
    keys: list[str] | None = None,
) -> None:
    """Write dataset.json; categories and part names are those of the complete objects.

    With `keys`, only these are looked at and added to what is there: one shard of many must not read them all.
    """
    categories, parts = set(), {}
    if keys is not None and isinstance(old := read_json(root / "dataset.json"), dict):
        categories, parts = set(old.get("categories", [])), dict(old.get("parts", {}))
    for key in complete_objects(root) if keys is None else keys:
        category = key.split("/")[0]
        transforms = read_json(root / key / "transforms.json")
        if isinstance(transforms, dict):
            categories.add(category)
            names = transforms.get("recon", {}).get("parts")
            if names:
                parts.setdefault(category, names)
    document = {
        "version": DATASET_VERSION,
        "categories": sorted(categories),
        "parts": {category: parts[category] for category in sorted(parts)},
        "palette": palette,
        "render": render,
        "seed": seed,
        "generator": generator,
    }
    write_atomic(root / "dataset.json", to_json(document))


def check_same_settings(root: Path, render: dict[str, Any], seed: int) -> None:
    """Refuse to add to a dataset rendered with other settings; raises ValueError naming the differences."""
    document = read_json(root / "dataset.json")
    if not isinstance(document, dict) or not isinstance(document.get("render"), dict):
        return
    old, new = {**document["render"], "seed": document.get("seed")}, {**render, "seed": seed}
    # Compare as JSON reads it back: tuples become lists.
    new = json.loads(json.dumps(new))
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    if names:
        differences = ", ".join(f"{name} {old.get(name)} there, {new.get(name)} now" for name in names[:4])
        raise ValueError(
            f"{root} was rendered with other settings ({differences}): give the same, another --output, or --force"
        )


def record_failure(root: Path, key: str, source: str, error: str) -> None:
    """Append one line to failed.jsonl; a single write, so that processes do not mix their lines."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / "failed.jsonl").open("ab", buffering=0) as file:
        file.write(to_json({"object": key, "source": source, "error": error}, indent=None))


def prune_failures(root: Path) -> None:
    """Keep the last failure of each object that is still not complete; remove the file when none is left."""
    path = root / "failed.jsonl"
    if not path.is_file():
        return
    complete = set(complete_objects(root))
    last: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            key = json.loads(line)["object"]
        except (ValueError, KeyError, TypeError):
            continue
        if key not in complete:
            last[key] = line
    if last:
        write_atomic(path, "".join(line + "\n" for line in last.values()).encode("utf-8"))
    else:
        path.unlink()
