# SPDX-License-Identifier: Apache-2.0
"""Imports a foreign data set into a native dataset folder: streaming, resumable, with a report of what was skipped."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ... import __version__
from ...errors import DatasetError, ReconError
from ...farm_index import complete_objects
from ...io.atomic import write_json, write_text
from ...visual import palette
from ..splits import SPLITS, split_of
from .base import Entry, FormatInfo, ImportOptions
from .frame import normalisation, object_from_source
from .object_folder import write_object
from .paths import is_plain_name, require_folder

SKIPPED = "skipped.jsonl"
SHOWN_REASONS = 5


@dataclass
class ImportResult:
    """What a run did; `skipped` says why, by object, and `dropped` what of the source was left out, how often."""

    imported: int = 0
    complete_before: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)
    planned: list[str] = field(default_factory=list)  # dry run: what would be imported

    @property
    def exit_status(self) -> int:
        """0: everything is there; 3: some objects were skipped; 1: none could be imported."""
        if not self.skipped:
            return 0
        return 3 if self.imported + self.complete_before + len(self.planned) else 1

    def __str__(self) -> str:
        counts = (
            f"{self.imported} imported, {self.complete_before} complete before, {len(self.skipped)} skipped"
        )
        lines = [
            counts if not self.planned else f"{len(self.planned)} to import, {self.complete_before} complete"
        ]
        lines += [f"left out in {count} objects: {what}" for what, count in sorted(self.dropped.items())]
        lines += [f"{name}: {why}" for name, why in list(self.skipped.items())[:SHOWN_REASONS]]
        more = len(self.skipped) - SHOWN_REASONS
        return "\n".join(lines + ([f"... and {more} more, all of them in {SKIPPED}"] if more > 0 else []))


def run_import(kind: str, entries: Iterator[Entry], info: FormatInfo, options: ImportOptions) -> ImportResult:
    """Write all objects that are not complete yet, one at a time, and bring the dataset's index up to date.

    An object that cannot be used is skipped and named in <target>/skipped.jsonl. Raises DatasetError when source
    or target cannot be used at all.
    """
    if not (info.accepts_file and options.source.is_file()):
        require_folder(options.source)
    index = DatasetIndex.open(options.target, _settings(kind, info, options))
    if not options.dry_run:
        _require_writable(options.target)
    result, seen, total = ImportResult(), set(), None
    entries = islice(entries, options.limit or None)
    if info.countable:
        listed = list(entries)
        entries, total = iter(listed), len(listed)
    try:
        for entry in tqdm(entries, "import", total, unit="object", disable=options.quiet, dynamic_ncols=True):
            _import_one(entry, info, options, index, result, seen)
    finally:
        if not options.dry_run and (result.imported or result.complete_before or result.skipped):
            index.write(result.skipped)
    if not seen:
        raise DatasetError(f"{options.source} holds no objects of the format {kind}.")
    return result


def _require_writable(target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"{target} cannot be written: {error.strerror or error}. Choose another folder."
        ) from error
    if not os.access(target, os.W_OK | os.X_OK):
        raise DatasetError(f"{target} cannot be written. Choose a folder that you may write to.")


def _settings(kind: str, info: FormatInfo, options: ImportOptions) -> dict[str, Any]:
    """What all objects of a dataset must have in common; it goes under "render" in dataset.json."""
    return {
        "imported": kind,
        "normalise": "none" if normalisation(options, info) == "source" else "bbox",
        "source_axes": [options.up or info.up, options.front or info.front],
        "resized": options.size,
        "first_views": options.views,
        "keep_frame": options.keep_frame,
    }


def _import_one(
    entry: Entry,
    info: FormatInfo,
    options: ImportOptions,
    index: "DatasetIndex",
    result: ImportResult,
    seen: set[str],
) -> None:
    name = entry.full_name
    try:
        _check_names(entry, seen)
        seen.add(name)
        index.splits[name] = entry.split
        if (options.target / name / "transforms.json").is_file():
            result.complete_before += 1
        elif options.dry_run:
            result.planned.append(name)
        else:
            found = entry.load()
            index.add_parts(entry.category, found.part_names)
            write_object(options.target, entry, found, object_from_source(options, info, found), options.size)
            if not result.imported:
                index.write({})  # so that a killed run is continued in the same way, or not at all
            result.imported += 1
            result.dropped.update(found.dropped)
    except (ReconError, OSError) as error:
        seen.add(name)
        result.skipped[name] = " ".join(str(error).split())


def _check_names(entry: Entry, seen: set[str]) -> None:
    for what, name in (("category", entry.category), ("object", entry.name)):
        if not is_plain_name(name):
            raise DatasetError(f"{entry.source}: {name!r} cannot be the name of a {what} folder.")
    if entry.full_name in seen:
        raise DatasetError(f"{entry.source}: there is another object with this name.")


class DatasetIndex:
    """dataset.json, the splits and skipped.jsonl of a folder that is being imported into."""

    def __init__(self, root: Path, document: dict[str, Any]) -> None:
        """Use `DatasetIndex.open`."""
        self.root = root
        self.document = document
        self.splits: dict[str, str | None] = {}

    @staticmethod
    def open(root: Path, settings: dict[str, Any]) -> "DatasetIndex":
        """Start a dataset or go on with one; raises DatasetError when it was made in another way."""
        path = root / "dataset.json"
        if not path.is_file():
            others = [one.name for one in os.scandir(root) if one.name != SKIPPED] if root.is_dir() else []
            if root.is_file() or others:
                raise DatasetError(f"{root} is not empty and no dataset. Choose a new folder.")
            generator = f"recon import {settings['imported']} {__version__}"
            document = {"version": 1, "categories": [], "parts": {}, "palette": [], "render": settings}
            return DatasetIndex(root, document | {"seed": 0, "generator": generator})
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            before = {key: document["render"].get(key) for key in settings}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(f"{path} cannot be read ({error}). Choose a new folder.") from error
        if before != settings:
            raise DatasetError(
                f"{root} was made in another way ({before}, now {settings}). Objects of one dataset must be alike: "
                "choose a new folder."
            )
        return DatasetIndex(root, document)

    def add_parts(self, category: str, names: tuple[str, ...]) -> None:
        """Note a category's part names; raises DatasetError when an earlier object had others."""
        known = tuple(self.document["parts"].get(category, ()))
        if known and names and names != known:
            raise DatasetError(
                f"Its parts are {', '.join(names)}; those of {category} are {', '.join(known)}."
            )
        if names:
            self.document["parts"][category] = list(names)

    def write(self, skipped: dict[str, str]) -> None:
        """Write all three for what is complete now."""
        names = complete_objects(self.root)
        categories = sorted({name.partition("/")[0] for name in names})
        if names:
            parts = {key: value for key, value in self.document["parts"].items() if key in categories}
            most = max((len(value) for value in parts.values()), default=0)
            self.document |= {"categories": categories, "parts": parts, "palette": palette(most).tolist()}
            if not any((self.root / name / "points.ply").is_file() for name in names):
                self.document["render"]["points"] = 0
            else:
                self.document["render"].pop("points", None)
            write_json(self.root / "dataset.json", self.document)
            self._write_splits(names)
        write_skipped(self.root, skipped, set(names))

    def _write_splits(self, names: list[str]) -> None:
        """The source's own splits; objects of which it says nothing go by their names."""
        groups: dict[str, list[str]] = {split: [] for split in SPLITS}
        for name in names:
            split = self.splits[name] if name in self.splits else _recorded_split(self.root / name)
            groups[split if split in SPLITS else split_of(name)].append(name)
        for split, members in groups.items():
            write_text(self.root / "splits" / f"{split}.txt", "".join(f"{name}\n" for name in members))


def write_skipped(root: Path, skipped: dict[str, str], complete: set[str]) -> None:
    """Bring skipped.jsonl up to date: what was skipped now and before, without what is complete."""
    path = root / SKIPPED
    records = {name: why for name, why in _read_skipped(path).items() if name not in complete} | skipped
    lines = [json.dumps({"object": name, "error": why}) + "\n" for name, why in sorted(records.items())]
    if lines:
        write_text(path, "".join(lines))
    else:
        path.unlink(missing_ok=True)


def _recorded_split(folder: Path) -> str | None:
    try:
        return json.loads((folder / "transforms.json").read_text(encoding="utf-8"))["recon"].get("split")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _read_skipped(path: Path) -> dict[str, str]:
    records: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            record = json.loads(line)
            records[str(record["object"])] = str(record["error"])
        except (ValueError, KeyError, TypeError):
            continue
    return records
