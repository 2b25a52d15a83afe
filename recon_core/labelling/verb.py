# SPDX-License-Identifier: Apache-2.0
"""What `recon label` does with files: an object in, labelled copies, a picture and a record out."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import ConfigError, InputError
from ..io.atomic import write_json
from ..io.images import write_png
from ..io.ply import write_ply
from ..meshing.files import write_surface
from ..methods.run import load_run
from .label import FAR, Labelled, LabelOptions, check_options, label_object
from .picture import draw_labels
from .source import Source, labelled_surface, read_source

ENDINGS = {"cloud": (".ply",), "mesh": (".glb", ".ply")}


@dataclass(frozen=True)
class LabelRequest:
    """What `recon label` was asked for."""

    object_file: Path
    run: Path
    out: Path
    options: LabelOptions
    device: str = "auto"


def label_file(request: LabelRequest) -> dict[str, Any]:
    """Label one file, write OUT with its picture and record beside it, and return the record."""
    check_options(request.options)
    if request.out.suffix.lower() not in ENDINGS["mesh"]:
        raise ConfigError(f"--out {request.out}: expected a file that ends in .glb (meshes) or .ply.")
    source = read_source(request.object_file)
    paths = _paths(request, source)
    run = load_run(request.run, request.device)
    start = time.perf_counter()
    found = label_object(source, run, request.options)
    seconds = time.perf_counter() - start
    _write(source, found, paths)
    write_png(paths["picture"], draw_labels(source, found))
    record = describe(source, found, request) | {
        "seconds": round(seconds, 3),
        "files": {name: path.name for name, path in paths.items()},
    }
    write_json(paths["record"], record)
    return record


def _paths(request: LabelRequest, source: Source) -> dict[str, Path]:
    """The files to write; raises ConfigError for an ending that does not fit and for the object's own file."""
    out = request.out
    if out.suffix.lower() not in ENDINGS[source.kind]:
        raise ConfigError(f"--out {out}: {request.object_file} is a cloud, so its labels go to a .ply file.")
    paths = {
        "picture": out.with_suffix(".png"),
        "record": out.with_suffix(".json"),
        "cloud": out.with_suffix(".ply"),
    }
    if source.kind == "mesh":
        paths["mesh"] = out.with_suffix(".glb")
    taken = [path for path in paths.values() if path.resolve() == request.object_file.resolve()]
    if taken:
        raise ConfigError(f"--out {out} would replace the object's own file {taken[0]}. Name another file.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out.parent} cannot be used as a folder ({error.strerror or error}).") from None
    return paths


def _write(source: Source, found: Labelled, paths: dict[str, Path]) -> None:
    """The cloud with labels; of a mesh its faces in both formats, with a material or label for each part."""
    if source.surface is not None:
        surface = labelled_surface(source.surface, found.labels, found.part_names)
        write_surface(paths["mesh"], surface, name=paths["mesh"].stem)
        write_surface(paths["cloud"], surface)
        return
    assert source.cloud is not None
    comments = {**source.cloud.comments, "parts": " ".join("_".join(n.split()) for n in found.part_names)}
    if found.category is not None:
        comments["category"] = "_".join(found.category.split())
    write_ply(
        paths["cloud"],
        replace(source.cloud, labels=found.labels, confidence=found.confidence, comments=comments),
    )


def describe(source: Source, found: Labelled, request: LabelRequest) -> dict[str, Any]:
    """What the JSON file says: share of the surface (or of the points), and confidence, per part."""
    weight = np.ones(len(found.labels))
    if source.surface is not None:
        weight = np.linalg.norm(source.surface.face_crosses(), axis=1)
    own = {name: found.labels == number for number, name in enumerate(found.part_names, 1)}
    parts = {
        name: {
            "share": round(float(weight[mask].sum() / max(weight.sum(), 1e-30)), 4),
            "confidence": round(float(found.confidence[mask].mean()), 4) if mask.any() else None,
            "count": int(mask.sum()),
        }
        for name, mask in own.items()
    }
    return {
        "version": 1,
        "generator": f"recon {__version__}",
        "object": request.object_file.name,
        "kind": source.kind,
        "labelled": "points" if source.surface is None else "faces",
        "category": found.category,
        "category_probability": found.category_probability,
        "parts": parts,
        "confidence": round(float(np.average(found.confidence, weights=np.maximum(weight, 1e-30))), 4),
        "share_far_from_predictions": round(found.share_far, 4),
        "far_diagonals": FAR,
        "heading_deg": found.heading_deg,
        "other_headings_deg": list(found.other_headings_deg),
        "object_from_file": found.transform.matrix().tolist(),
        "run": str(request.run),
    }


def report(record: dict[str, Any], out: Path, as_json: bool) -> None:
    """Print the record, or a few lines about it."""
    if as_json:
        print(json.dumps(record, indent=1))
        return
    shares = ", ".join(f"{name} {part['share']:.0%}" for name, part in record["parts"].items())
    known = record["category"] or "category not known"
    sure = "" if record["category_probability"] is None else f" ({record['category_probability']:.0%})"
    print(
        f"{record['object']}: {known}{sure}, {record['kind']}: {shares}; confidence {record['confidence']:.2f}"
    )
    if record["other_headings_deg"]:
        print(f"  heading {record['heading_deg']:g} degrees; as good: {record['other_headings_deg']}")
    if record["share_far_from_predictions"] > 0.1:
        print(
            f"  {record['share_far_from_predictions']:.0%} of it is far from what the model predicts: check the picture"
        )
    print("  " + "  ".join(str(out.with_name(name)) for name in record["files"].values()))
