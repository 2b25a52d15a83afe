# SPDX-License-Identifier: Apache-2.0
"""What `recon refine` does with files: read, refine, colour again, write PLY, preview and JSON, say what came of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from tqdm import tqdm

from .. import __version__
from ..cameras import Cameras
from ..errors import ConfigError, InputError
from ..inference.foreground import check_method
from ..inference.hints import MaskHints, check_hints
from ..inference.photo_camera import COLOR_SOURCES, pose_record
from ..inference.result_files import relative_path
from ..io.atomic import write_json
from ..io.images import write_png
from ..io.ply import write_ply
from ..pointcloud import PointCloud
from .attributes import confidence_now, with_attributes
from .camera_step import CameraPrior
from .colors import Colors
from .hypotheses import read_hypotheses, viewpoints_of
from .preview import draw_refined
from .refine import Refined, RefineOptions, Symmetry, careful, refine
from .sources import Source, View, read_cameras, read_source, read_views
from .viewpoint import Viewpoints

Pose = Literal["auto", "fit", "keep"]
Report = Callable[[str, float], None]
KEPT = CameraPrior((0.0, 0.0, 0.0), 0.0, 0.0)


@dataclass(frozen=True)
class RefineRequest:
    """What `recon refine` was asked for."""

    source: Path
    images: tuple[Path, ...]
    out: Path
    masks: tuple[Path, ...] = ()
    cameras: tuple[Path, ...] = ()
    foreground: str = "auto"
    pose: Pose = "auto"
    symmetry: Symmetry = "auto"
    steps: int = RefineOptions.steps
    hints: MaskHints = field(default_factory=MaskHints)
    colors: Colors = "auto"

    def __post_init__(self) -> None:
        """Raise ConfigError for values that make no sense."""
        check_method(self.foreground, self.hints)
        check_hints(self.hints, self.masks[0] if self.masks else None, len(self.images))
        if self.pose not in get_args(Pose):
            raise ConfigError(f"pose is {self.pose!r}, expected auto, fit or keep.")
        if self.colors not in get_args(Colors):
            raise ConfigError(f"colors is {self.colors!r}, expected auto, fit or keep.")
        if not self.images:
            raise ConfigError("Give at least one image to refine against.")

    def options(self) -> RefineOptions:
        """The options of the optimisation; cameras that the user gave are right unless said otherwise."""
        kept = self.pose == "keep" or (self.pose == "auto" and bool(self.cameras))
        options = replace(RefineOptions(), camera=KEPT) if kept else careful()
        return replace(options, steps=self.steps, symmetry=self.symmetry)


@dataclass(frozen=True)
class RefineResult:
    """The files that were written, and the JSON file's content."""

    ply: Path
    preview: Path
    json: Path
    record: dict[str, Any]


def refine_files(request: RefineRequest, report: Report = lambda _stage, _share: None) -> RefineResult:
    """Do what was asked; report is called with a stage (load, refine, write) and the share done of all."""
    report("load", 0.0)
    options = request.options()
    source = read_source(request.source)
    cameras = _cameras(request, source)
    views = read_views(request.images, request.masks, cameras, request.foreground, request.hints)
    known = None if options.camera.fixed else viewpoints(request, source, views)
    report("refine", 0.1)
    refined = refine(
        source.cloud,
        [view.camera for view in views],
        [view.mask for view in views],
        options,
        lambda share: report("refine", round(0.1 + 0.75 * share, 3)),
        known,
    )
    photos = [np.dstack((view.image.rgba[..., :3], view.mask)) for view in views]
    refined = refined.with_colors(photos, request.colors)
    report("write", 0.9)
    cloud = with_attributes(source.cloud, refined.cloud, refined.cameras, refined.colors)
    return _write(request, source, views, replace(refined, cloud=cloud))


def viewpoints(request: RefineRequest, source: Source, views: list[View]) -> list[Viewpoints] | None:
    """The viewpoints that the model thought possible, where the pose is its own; other cameras begin where they are."""
    own = None if request.cameras else read_hypotheses(source.record, str(source.path))
    if own is None:
        return None
    return [viewpoints_of(source.cloud.xyz, view.camera, own, view.mask) for view in views]


def _cameras(request: RefineRequest, source: Source) -> list[Cameras]:
    if request.cameras:
        return [camera for path in request.cameras for camera in read_cameras(path)]
    if source.camera is None:
        what = "was made by a model that predicts no pose" if source.record else "is a cloud without a camera"
        raise InputError(
            f"{source.path} {what}. Give --camera FILE, a JSON with the image's camera; `recon place` finds one."
        )
    return [source.camera]


def _write(request: RefineRequest, source: Source, views: list[View], refined: Refined) -> RefineResult:
    """Write the three files; the JSON comes last, so where it is, the others are whole."""
    out = request.out
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be used as a folder ({error.strerror or error}).") from None
    stem = _stem(request, source)
    ply, preview, json_path = (out / f"{stem}.{ending}" for ending in ("ply", "png", "json"))
    cloud = refined.cloud
    write_ply(ply, cloud)
    before = (source.cloud, [view.camera for view in views])
    write_png(preview, draw_refined(views, before, (cloud, refined.cameras), refined))
    record = describe(source, views, refined, out) | {"files": {"cloud": ply.name, "preview": preview.name}}
    write_json(json_path, record)
    return RefineResult(ply, preview, json_path, record)


def _stem(request: RefineRequest, source: Source) -> str:
    """The cloud's name, with _refined where its files, or an image's, would be replaced."""
    stem = source.cloud_path.stem
    inputs = {path.resolve() for path in (source.path, source.cloud_path, *request.images, *request.masks)}
    taken = any((request.out / f"{stem}.{ending}").resolve() in inputs for ending in ("ply", "png", "json"))
    return f"{stem}_refined" if taken else stem


def describe(source: Source, views: list[View], refined: Refined, out: Path) -> dict[str, Any]:
    """What the JSON file in the folder `out` says: the source's, the new pose, and how refining went."""
    kept = {key: value for key, value in source.record.items() if key not in ("files", "timings_ms", "pose")}
    poses = [pose_record(camera, refined=True) for camera in refined.cameras]
    return (
        kept
        | {
            "version": 1,
            "generator": f"recon {__version__}",
            "points": len(refined.cloud),
            "image": _image(views[0], out),
            "confidence": _confidence(source, refined.cloud),
            "pose": poses[0],
            "images": [
                {
                    "file": view.path.name,
                    "path": relative_path(view.path, out),
                    "mask": view.mask_source,
                    "camera": pose["camera"],
                }
                for view, pose in zip(views, poses, strict=True)
            ],
            "refine": {"of": source.path.name} | refined.record(),
        }
        | ({} if refined.colors is None else {"colour": COLOR_SOURCES["fitted"]})
    )


def _image(view: View, out: Path) -> dict[str, Any]:
    """The first image as `recon reconstruct` describes it, as it is found from the folder `out`."""
    height, width = view.mask.shape
    return {
        "file": view.path.name,
        "path": relative_path(view.path, out),
        "width": width,
        "height": height,
        "note": view.image.note,
    }


def _confidence(source: Source, cloud: PointCloud) -> dict[str, Any] | None:
    """What the source's said, of the points as they are now."""
    told = source.record.get("confidence")
    return told | confidence_now(cloud) if isinstance(told, dict) and cloud.confidence is not None else None


def run(request: RefineRequest, as_json: bool, quiet: bool) -> int:
    """Refine, print what came of it, return exit status 0."""
    layout = "{desc:<8}{percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
    with tqdm(total=1.0, bar_format=layout, disable=True if quiet or as_json else None, leave=False) as bar:

        def show(stage: str, share: float) -> None:
            bar.set_description_str(stage, refresh=False)
            bar.update(share - bar.n)

        result = refine_files(request, show)
    files = {"ply": str(result.ply), "preview": str(result.preview), "json": str(result.json)}
    print(json.dumps(files | {"record": result.record}, indent=1) if as_json else text_of(result))
    return 0


def text_of(result: RefineResult) -> str:
    """A few lines of text about one refinement."""
    figures = result.record["refine"]
    sides = "both sides tied" if figures["symmetric"] else "sides not tied"
    turned = f", camera turned by {figures['turned_deg']:.1f}°" if figures["turned_deg"] else ""
    iou, seconds = figures["iou"], figures["seconds"]
    lines = [
        f"{result.ply}: mask IoU {iou[0]:.2f} -> {iou[1]:.2f}, {figures['steps']} steps in {seconds:.1f} s",
        f"  points moved by {100 * figures['moved']:.1f} % of the diagonal on average, {sides}{turned}",
        *_told_of_colors(figures["colors"]),
        f"  {result.preview}  {result.json}",
    ]
    return "\n".join(lines)


def _told_of_colors(figures: dict[str, Any] | None) -> list[str]:
    if figures is None:
        return []
    before, after = figures["psnr_db"]
    started = "" if before is None else f"{before:.1f} -> "
    return [f"  colours of {100 * figures['seen']:.0f} % of the points seen: PSNR {started}{after:.1f} dB"]
