# SPDX-License-Identifier: Apache-2.0
"""Results read back from files: what `recon reconstruct` wrote, with what `recon refine` and `place` made of it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..cameras import Cameras
from ..errors import InputError
from ..evaluation.metrics import mask_iou
from ..io.images import read_image
from ..io.ply import read_ply
from ..placing.picture import silhouette
from ..placing.record import read_start
from ..pointcloud import PointCloud

MAX_JSON_BYTES = 8 << 20
# Width at which outlines are compared, pixels.
_COMPARED_PX = 192


@dataclass(frozen=True)
class Document:
    """One JSON file of ours."""

    path: Path
    record: dict[str, Any]

    @property
    def kind(self) -> str:
        """reconstruct, refine, place, or nothing for a file of another origin."""
        files = self.record.get("files")
        if not isinstance(files, dict) or not isinstance(self.record.get("image"), dict):
            return ""
        if isinstance(self.record.get("refine"), dict):
            return "refine"
        if "object_to_cam" in self.record:
            return "place"
        return "reconstruct" if isinstance(files.get("cloud"), str) else ""

    def file(self, name: str) -> Path | None:
        """A file beside this one that it names under `files`; None when it does not, or names one elsewhere."""
        value = self.record["files"].get(name)
        return self.path.with_name(value) if isinstance(value, str) and Path(value).name == value else None


@dataclass(frozen=True)
class Seen:
    """A cloud under a camera of the photograph, and the IoU of its outline with the mask."""

    name: str  # predicted, refined, placed
    cloud: PointCloud
    camera: Cameras
    iou: float | None


@dataclass
class Result:
    """Everything about one photograph; what is missing is said in `notes`."""

    name: str
    record: dict[str, Any]  # of the latest step that has a cloud
    photo: np.ndarray | None  # (H, W, 4) uint8
    mask: np.ndarray | None  # (H, W) uint8
    clouds: dict[str, PointCloud]  # predicted, refined
    seen: list[Seen] = field(default_factory=list)
    ambiguous: int = 0  # other placements that fit about as well
    notes: list[str] = field(default_factory=list)

    @property
    def cloud(self) -> PointCloud:
        """The latest."""
        return list(self.clouds.values())[-1]

    @property
    def score(self) -> float | None:
        """The mask's IoU under the latest camera; None without."""
        return next((one.iou for one in reversed(self.seen) if one.iou is not None), None)

    @property
    def confidence(self) -> float | None:
        """Mean of the points' confidence."""
        values = self.cloud.confidence
        return None if values is None else float(values.mean())


def read_results(paths: Sequence[Path], photos: Path | None = None) -> list[Result]:
    """Results of JSON files, and of all in folders, best first by score, then by confidence.

    What stands beside a result of `recon reconstruct` and was made of it goes with it. photos: where photographs are
    looked for that are no longer where they were. Raises InputError for files that are none of ours, or no result.
    """
    documents = {one.path.resolve(): one for path in paths for one in _documents(path)}
    every = list((documents | {one.path.resolve(): one for one in _beside(documents.values())}).values())
    results = [_read(base, every, photos) for base in documents.values() if _is_base(base, every)]
    if not results:
        listed = ", ".join(str(path) for path in paths)
        raise InputError(
            f"{listed}: no result with a cloud. Expected JSON files that `recon reconstruct` or `recon refine` wrote, "
            "or folders of them."
        )
    return sorted(results, key=lambda one: (one.score is None, -(one.score or 0), -(one.confidence or 0)))


def _documents(path: Path) -> list[Document]:
    """The documents of a file or folder; files in a folder that are not ours are left out."""
    if path.is_dir():
        found = [_read_json(one, strict=False) for one in sorted(path.glob("*.json"))]
        return [one for one in found if one is not None and one.kind]
    document = _read_json(path, strict=True)
    assert document is not None
    if not document.kind:
        raise InputError(
            f"{path} is not a result. Expected a JSON file of `recon reconstruct`, `recon refine` or `recon place`."
        )
    return [document]


def _beside(documents: Iterable[Document]) -> list[Document]:
    """Documents in the same folders that were made of others."""
    folders = {one.path.parent for one in documents}
    return [
        one for folder in sorted(folders) for one in _documents(folder) if one.kind in ("refine", "place")
    ]


def _read_json(path: Path, strict: bool) -> Document | None:
    """A JSON object's file; None, unless strict, when it is something else."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError(f"larger than {MAX_JSON_BYTES >> 20} MiB")
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("not one JSON object")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (ValueError, RecursionError) as error:
        if strict:
            raise InputError(f"{path}: not a JSON file of ours ({error}).") from None
        return None
    return Document(path, record)


def _is_base(document: Document, every: Sequence[Document]) -> bool:
    """Whether a document has an entry of its own: a prediction, or a refined cloud whose prediction is not here."""
    if document.kind == "refine":
        return not any(_refines(document, other) for other in every)
    return document.kind == "reconstruct"


def _refines(document: Document, other: Document) -> bool:
    return (
        document.kind == "refine"
        and document is not other
        and document.path.resolve() != other.path.resolve()
        and document.record["refine"].get("of") == other.path.name
    )


def _places(document: Document, cloud: Path) -> bool:
    placed = document.record.get("object")
    return document.kind == "place" and isinstance(placed, dict) and placed.get("file") == cloud.name


def _read(base: Document, every: Sequence[Document], photos: Path | None) -> Result:
    """Everything about one photograph."""
    steps = [("refined" if base.kind == "refine" else "predicted", base)]
    steps += [("refined", one) for one in every if _refines(one, base)][-1:]
    photo, mask = _photo(steps, photos), _mask(base)
    result = Result(_name(base), steps[-1][1].record, photo, mask, {})
    for name, document in steps:
        path = document.file("cloud")
        if path is None:
            raise InputError(f"{document.path}: files.cloud is no file beside it.")
        cloud = result.clouds[name] = read_ply(path)
        if isinstance(document.record.get("pose"), dict):
            result.seen.append(_seen(name, cloud, read_start(document.path), mask))
        placed = [one for one in every if _places(one, path) and _same_image(one, base)][-1:]
        for one in placed:
            result.seen.append(_seen("placed", cloud, read_start(one.path), mask))
            result.ambiguous = len(one.record.get("alternatives") or [])
    if photo is None:
        result.notes.append("the photograph is not where it was; give its folder with --photos")
    if mask is None:
        result.notes.append("no mask stands beside it")
    return result


def _seen(name: str, cloud: PointCloud, camera: Cameras, mask: np.ndarray | None) -> Seen:
    if mask is None:
        return Seen(name, cloud, camera, None)
    small = shrunk(mask, _COMPARED_PX)
    shown = silhouette(cloud.xyz, camera, (small.shape[0], small.shape[1]))
    drawn, true = (torch.from_numpy(one[None].astype(np.float32)) for one in (shown, small > 127))
    return Seen(name, cloud, camera, float(mask_iou(drawn, true)))


def shrunk(image: np.ndarray, longest_px: int) -> np.ndarray:
    """An image (H,W) or (H,W,C) uint8 with its longer side at most so many pixels."""
    height, width = image.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0))


def section(record: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of a JSON file that is an object; empty when it is missing or something else."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def _name(base: Document) -> str:
    return str(base.record["image"].get("file") or base.path.stem)


def _same_image(document: Document, base: Document) -> bool:
    return document.record["image"].get("file") == base.record["image"].get("file")


def _photo(steps: Sequence[tuple[str, Document]], photos: Path | None) -> np.ndarray | None:
    """The photograph (H,W,4): where a result says, beside it, or in the folder of photographs."""
    for _, document in steps:
        image = document.record["image"]
        named, name = image.get("path"), str(image.get("file") or "")
        places = [document.path.parent / str(named)] if isinstance(named, str) else []
        if name and Path(name).name == name:
            places += [document.path.parent / name, *([] if photos is None else [photos / name])]
        # A preview of the photograph's own name may stand beside the result.
        own = {document.file("preview"), document.file("cloud")}
        for place in places:
            if place.is_file() and place not in own:
                return read_image(place).rgba
    return None


def _mask(base: Document) -> np.ndarray | None:
    path = base.file("mask")
    if path is None or not path.is_file():
        return None
    return np.asarray(read_image(path).rgba[..., 0])
