# SPDX-License-Identifier: Apache-2.0
"""What `recon place` and the worker's job do with files: object, photograph and mask in, JSON and picture out."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..inference.foreground import find_mask, mask_record
from ..inference.hints import MaskHints
from ..inference.photo_camera import COLOR_SOURCES
from ..io.atomic import write_json
from ..io.images import read_image, write_png
from ..pointcloud import PointCloud
from ..threads import single_threaded
from ..visual import to_rgb
from .object_file import read_object
from .picture import draw_placement
from .place import PlaceOptions, Report, check_options, place
from .record import placement_record, read_start


@dataclass(frozen=True)
class PlaceRequest:
    """What `recon place` was asked for."""

    object: Path
    image: Path
    out: Path
    options: PlaceOptions = field(default_factory=PlaceOptions)
    mask: Path | None = None
    foreground: str = "auto"
    start: Path | None = None
    hints: MaskHints = field(default_factory=MaskHints)


@dataclass(frozen=True)
class Placed:
    """The files of one placement and the JSON file's content."""

    json: Path
    picture: Path
    record: dict[str, Any]


def place_files(request: PlaceRequest, report: Report = lambda stage, fraction: None) -> Placed:
    """Place an object and write OBJECT_in_IMAGE.json and .png into the folder; the JSON comes last.

    Raises the ReconError family for files and options that cannot be used.
    """
    began = time.perf_counter()
    check_options(request.options)
    report("load", 0.0)
    cloud, kind = read_object(request.object, request.options.seed)
    image = read_image(request.image)
    mask, source = find_mask(image, request.mask, request.foreground, str(request.image), hints=request.hints)
    start = None if request.start is None else read_start(request.start)
    rgb, paint = to_rgb(image.rgba), own_colors(cloud)
    with single_threaded():
        placement = place(
            cloud.xyz, mask, request.options, rgb, paint, cloud.normals, start,
            lambda stage, fraction: report(stage, 0.1 + 0.8 * fraction),
        )  # fmt: skip
    report("write", 0.9)
    stem = f"{request.object.stem}_in_{request.image.stem}"
    picture, document = (_folder(request.out) / f"{stem}{ending}" for ending in (".png", ".json"))
    write_png(picture, draw_placement(placement, cloud, rgb, mask))
    about = {
        "object": {"file": request.object.name, "kind": kind, "points": len(cloud)},
        "image": {
            "file": request.image.name,
            "width": mask.shape[1],
            "height": mask.shape[0],
            "note": image.note,
        },
        "mask": mask_record(mask, source),
        "colors_used": request.options.use_colors and paint is not None,
        "seconds": round(time.perf_counter() - began, 3),
        "files": {"picture": picture.name},
    }
    record = placement_record(placement, cloud.xyz, request.options) | about
    write_json(document, record)
    return Placed(document, picture, record)


def own_colors(cloud: PointCloud) -> np.ndarray | None:
    """The colours (N,3) of a cloud, None where they are not the object's own.

    What was looked up in a photograph, or fitted to it, agrees with it from wherever it was looked up, right or wrong;
    what shows the height agrees with nothing.
    """
    borrowed = [COLOR_SOURCES[source] for source in ("projected", "fitted", "height")]
    return None if cloud.comments.get("color") in borrowed else cloud.colors


def _folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--out {out} cannot be used as a folder ({error.strerror or error}). "
            "Expected a folder that can be written."
        ) from error
    return out


def text_of(placed: Placed) -> str:
    """A few lines for people."""
    record = placed.record
    scores, lens = record["scores"], record["focal_mm"]["sensor_36_mm"]
    colour = "" if scores["color_rms"] is None else f", colours differ by {scores['color_rms']:.3f}"
    lens_text = f"{lens:.0f} mm{'' if record['focal_known'] else ' (estimated)'}"
    found = f"mask IoU {scores['mask_iou']:.3f}{colour}, lens {lens_text}, {record['seconds']:.1f} s"
    lines = [
        f"{record['object']['file']} in {record['image']['file']}: {found}",
        f"  mask: {record['mask']['source']}",
    ]
    if record["start"] is not None:
        lines.append(f"  before: mask IoU {record['start']['scores']['mask_iou']:.3f}")
    for other in record["alternatives"]:
        lines.append(
            f"  fits about as well: {other['apart_deg']:.0f} degrees away, mask IoU {other['scores']['mask_iou']:.3f}, "
            f"cost {other['scores']['cost']:.4f} against {scores['cost']:.4f}"
        )
    return "\n".join([*lines, f"  {placed.json}  {placed.picture}"])


def run(request: PlaceRequest, as_json: bool = False) -> None:
    """Place and print."""
    placed = place_files(request)
    paths = {"json": str(placed.json), "picture": str(placed.picture)}
    print(json.dumps(paths | {"record": placed.record}, indent=1) if as_json else text_of(placed))
