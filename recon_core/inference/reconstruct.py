# SPDX-License-Identifier: Apache-2.0
"""From a photograph to a cloud: read, cut out, crop as in training, predict, colour; then PLY, preview and JSON."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from .. import __version__
from ..cameras import DEFAULT_DISTANCE, Cameras
from ..canonical_frame import OBJECT_FRAME, read_canonical
from ..confidence.assess import Confidence, assess
from ..confidence.variants import Mode, check_mode
from ..data.crop import crop_square, fit_box
from ..errors import CheckpointError, ConfigError, InputError, ReconError
from ..io.atomic import write_json
from ..io.images import LoadedImage, read_image, write_png
from ..io.ply import write_ply
from ..pointcloud import PointCloud, Points
from ..vocabulary import Vocabulary, read_vocabulary
from .foreground import check_method, find_mask, mask_record
from .hints import MaskHints, check_hints
from .photo_camera import COLOR_SOURCES, colors_by_height, colors_from_photo, fit_camera, result_pose
from .result_files import MASK_ENDING, distinct_stems, relative_path

# Colours are looked up in the photograph itself, at most this many pixels wide.
_COLOR_SIDE = 512


class Predictor(Protocol):
    """What is asked of a run (recon_core.methods.run.LoadedRun)."""

    card: dict[str, Any]
    folder: Path

    @property
    def input_size(self) -> int:
        """Width and height in pixels of the crops."""
        ...

    @property
    def margin(self) -> float:
        """Side of the crop over the longer side of the mask's box."""
        ...

    @property
    def pose_is_learnt(self) -> bool:
        """Whether the model chose its canonical frame itself."""
        ...

    def predict(self, rgba_crops: np.ndarray) -> Any:
        """Prediction of crops (B,S,S,4) uint8: points, and where predicted rotation (B,3,3) and category (B,C)."""
        ...


@dataclass
class Reconstruction:
    """A cloud from one photograph, in memory, with everything that led to it. Timings are in milliseconds."""

    image: LoadedImage
    mask: np.ndarray  # (H, W) uint8
    mask_source: str
    box: tuple[float, float, float]
    crop: np.ndarray  # (S, S, 4) uint8
    cloud: PointCloud
    color_source: str
    camera: Cameras | None
    category: str | None
    category_probability: float | None  # None where the model knows one category alone
    part_names: list[str]
    frame: str
    timings_ms: dict[str, float] = field(default_factory=dict)
    confidence: Confidence | None = None
    hypotheses: tuple[np.ndarray, np.ndarray] | None = None  # rotations (K,3,3) to the camera, scores (K,)
    refined: dict[str, Any] | None = None  # how refinement went, where it was asked for
    refined_row: tuple[list[np.ndarray], list[str]] = ([], [])  # pictures of it, and what they show


@dataclass(frozen=True)
class ReconstructResult:
    """The files written for one photograph, and the JSON file's content."""

    image_path: Path
    ply: Path
    preview: Path
    json: Path
    record: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """A photograph that could not be reconstructed, and the sentence that says why."""

    image_path: Path
    message: str


def reconstruct_image(
    image_path: str | Path,
    run: Predictor,
    mask_path: str | Path | None = None,
    foreground: str = "auto",
    confidence: str = "none",
    hints: MaskHints | None = None,
) -> Reconstruction:
    """Reconstruct one photograph in memory; raises InputError when it, or its mask, cannot be used.

    confidence: none, or how thoroughly to find out which points to trust (recon_core/confidence/variants.py).
    hints: where the object is (hints.py).
    """
    mode = check_mode(confidence)
    timings: dict[str, float] = {}
    with _timed(timings, "read"):
        image = read_image(image_path)
    with _timed(timings, "mask"):
        mask, source = find_mask(image, mask_path, foreground, str(image_path), hints=hints)
    with _timed(timings, "crop"):
        cut = np.dstack((image.rgba[..., :3], mask))
        box = fit_box(mask, run.margin)
        crop = crop_square(cut, box, run.input_size)
    with _timed(timings, "predict"):
        prediction = run.predict(crop[None])
        vocabulary = read_vocabulary(run.card)
        category, probability = _category(prediction.category, vocabulary)
        names = vocabulary.part_names(category)
        cloud = _checked_cloud(prediction.points, run, len(names) or None)
        rotation, frame = _in_object_frame(cloud, prediction.rotation, run)
    with _timed(timings, "colour"):
        camera = _camera(rotation, cloud, mask, run)
        color_source = _add_colors(cloud, camera, cut)
    with _timed(timings, "confidence"):
        trust = _add_confidence(cloud, camera, crop, prediction, run, mode)
    timings["total"] = round(sum(timings.values()), 3)
    _name_parts(cloud, category, names)
    return Reconstruction(
        image,
        mask,
        source,
        box,
        crop,
        cloud,
        color_source,
        camera,
        category,
        probability,
        names,
        frame,
        timings,
        trust,
        None if rotation is None else hypotheses_of(prediction, run),
    )


def reconstruct(
    image_path: str | Path,
    run: Predictor,
    mask_path: str | Path | None = None,
    out_dir: str | Path = ".",
    foreground: str = "auto",
    stem: str | None = None,
    confidence: str = "none",
    hints: MaskHints | None = None,
    refine: bool = False,
) -> ReconstructResult:
    """Reconstruct one photograph and write OUT/<stem>.ply, .png (preview), .mask.png and .json; each file is atomic.

    refine: fit the cloud to the mask first (recon_core/refining). Raises InputError.
    """
    result = reconstruct_image(image_path, run, mask_path, foreground, confidence, hints)
    if refine:
        from ..refining.of_reconstruction import refine_reconstruction

        result = refine_reconstruction(result, Path(image_path))
    return write_reconstruction(result, Path(image_path), run, Path(out_dir), stem or Path(image_path).stem)


def reconstruct_all(
    image_paths: Sequence[str | Path],
    run: Predictor,
    out_dir: str | Path,
    mask_path: str | Path | None = None,
    foreground: str = "auto",
    confidence: str = "none",
    hints: MaskHints | None = None,
    refine: bool = False,
) -> Iterator[ReconstructResult | Failure]:
    """Reconstruct photographs one after the other; a failure is yielded and does not stop the others.

    Raises ConfigError for an unknown foreground method or confidence and for one mask, box or strokes given with
    several images, InputError when out_dir cannot be a folder.
    """
    paths = [Path(path) for path in image_paths]
    if mask_path is not None and len(paths) > 1:
        raise ConfigError(
            f"--mask {mask_path} belongs to one image, but {len(paths)} images were given. "
            "Run them one by one, or give images with an alpha channel."
        )
    check_method(foreground, hints)
    check_hints(hints or MaskHints(), mask_path, len(paths))
    check_mode(confidence)
    out = _output_folder(Path(out_dir))
    for path, stem in zip(paths, distinct_stems(paths, out), strict=True):
        try:
            yield reconstruct(path, run, mask_path, out, foreground, stem, confidence, hints, refine)
        except ReconError as error:
            yield Failure(path, str(error))
        except OSError as error:  # a full disk, a folder that vanished
            yield Failure(path, f"{path}: its results cannot be written to {out}: {error.strerror or error}.")


def exit_status(outcomes: Sequence[ReconstructResult | Failure]) -> int:
    """0 when every image was reconstructed, 3 when some were, 1 when none was."""
    failures = sum(isinstance(outcome, Failure) for outcome in outcomes)
    if failures == 0:
        return 0
    return 1 if failures == len(outcomes) else 3


def write_reconstruction(
    result: Reconstruction, image_path: Path, run: Predictor, out_dir: Path, stem: str
) -> ReconstructResult:
    """Write the four files of one result; the JSON comes last, so where it is, the others are whole."""
    from .preview import draw_preview

    endings = (".ply", ".png", MASK_ENDING, ".json")
    ply, preview, mask, json_path = (out_dir / f"{stem}{ending}" for ending in endings)
    timings = dict(result.timings_ms)
    with _timed(timings, "write_ply"):
        write_ply(ply, result.cloud)
    with _timed(timings, "write_mask"):
        write_png(mask, result.mask)
    with _timed(timings, "preview"):
        rotation = None if result.camera is None else result.camera.world_to_cam[0, :3, :3].numpy()
        picture = draw_preview(
            result.image.rgba,
            result.mask,
            result.mask_source,
            result.crop,
            result.cloud,
            result.part_names,
            rotation,
            result.refined_row,
        )
        write_png(preview, picture)
    record = describe(result, image_path, run) | {
        "timings_ms": timings,
        "files": {"cloud": ply.name, "preview": preview.name, "mask": mask.name},
    }
    record["image"]["path"] = relative_path(image_path, out_dir)
    write_json(json_path, record)
    return ReconstructResult(image_path, ply, preview, json_path, record)


def describe(result: Reconstruction, image_path: Path, run: Predictor) -> dict[str, Any]:
    """What the JSON file says about a result."""
    card, cloud = run.card, result.cloud
    parts = None
    if cloud.labels is not None:
        parts = {name: int((cloud.labels == index).sum()) for index, name in enumerate(result.part_names, 1)}
    centre_u, centre_v, side = result.box
    return {
        "version": 1,
        "generator": f"recon {__version__}",
        "image": {
            "file": image_path.name,
            "width": result.image.rgba.shape[1],
            "height": result.image.rgba.shape[0],
            "note": result.image.note,
        },
        "category": result.category,
        "category_probability": result.category_probability,
        "categories_of_the_model": list(card.get("categories") or []),
        "mask": mask_record(result.mask, result.mask_source),
        "crop": {"centre_px": [centre_u, centre_v], "side_px": side, "size": result.crop.shape[0]},
        "points": len(cloud),
        "frame": result.frame,
        "colour": COLOR_SOURCES[result.color_source],
        "parts": parts,
        "confidence": None if result.confidence is None else result.confidence.record(),
        "pose": result_pose(result.camera, result.hypotheses, result.refined is not None),
        "refine": result.refined,
        "run": {"folder": str(run.folder), "recipe": card.get("recipe"), "steps": card.get("steps")},
    }


def _category(probabilities: torch.Tensor | None, vocabulary: Vocabulary) -> tuple[str | None, float | None]:
    """The most probable of the model's categories and its probability; its only one; None where it cannot say."""
    if probabilities is None:
        return vocabulary.only(), None
    best = int(probabilities[0].argmax())
    return vocabulary.categories[best], round(float(probabilities[0, best]), 4)


def _checked_cloud(points: Points, run: Predictor, parts: int | None) -> PointCloud:
    cloud = points.cloud(0, parts=parts)
    finite = np.isfinite(cloud.xyz).all() and (cloud.opacity is None or np.isfinite(cloud.opacity).all())
    if not finite or len(cloud) == 0:
        raise CheckpointError(
            f"The model of {run.folder} predicts points that are not finite. Expected finite numbers; its weights are "
            "spoilt: use an earlier checkpoint or train again."
        )
    return cloud


def _in_object_frame(
    cloud: PointCloud, rotation: torch.Tensor | None, run: Predictor
) -> tuple[np.ndarray | None, str]:
    """Turn the cloud in place from a frame of the model's own to the object frame, where it is known how.

    Returns the rotation (3,3) from the cloud's frame to the camera's, if the model predicts one, and the frame
    in words, which are in the PLY's comments too.
    """
    own = " ".join(str(run.card.get("frame", OBJECT_FRAME)).split())
    turned = None if rotation is None else rotation[0].detach().cpu().double().numpy()
    if turned is not None and run.pose_is_learnt:
        canonical = read_canonical(Path(run.folder), run.card.get("steps"))
        if canonical.rotation is not None:
            cloud.xyz = (cloud.xyz.astype(np.float64) @ canonical.rotation.T).astype(np.float32)
            turned, own = turned @ canonical.rotation.T, OBJECT_FRAME
        own = f"{own} ({canonical.note})"
    cloud.comments["frame"] = own
    return turned, own


def _camera(
    rotation: np.ndarray | None, cloud: PointCloud, mask: np.ndarray, run: Predictor
) -> Cameras | None:
    if rotation is None:
        return None
    pose = getattr(getattr(run, "config", None), "pose", None)
    distance = float(getattr(pose, "distance", DEFAULT_DISTANCE))
    return fit_camera(cloud.xyz, rotation, mask, distance)


def hypotheses_of(prediction: Any, run: Predictor) -> tuple[np.ndarray, np.ndarray] | None:
    """The viewpoints that the model thinks possible, with their scores, where its frame is the cloud's."""
    found, scores = getattr(prediction, "hypotheses", None), getattr(prediction, "scores", None)
    if found is None or scores is None or run.pose_is_learnt:
        return None
    return found[0].detach().cpu().double().numpy(), scores[0].detach().cpu().double().numpy()


def _add_colors(cloud: PointCloud, camera: Cameras | None, cut: np.ndarray) -> str:
    """Colour the cloud in place by the best source there is; returns which and says so in the PLY's comments."""
    source = "predicted"
    if cloud.colors is None and camera is not None:
        step = max(1, max(cut.shape[:2]) // _COLOR_SIDE)
        source, cloud.colors = "projected", colors_from_photo(cloud.xyz, camera, cut[::step, ::step])
    elif cloud.colors is None:
        source, cloud.colors = "height", colors_by_height(cloud.xyz)
    cloud.comments["color"] = COLOR_SOURCES[source]
    return source


def _add_confidence(
    cloud: PointCloud, camera: Cameras | None, crop: np.ndarray, prediction: Any, run: Predictor, mode: Mode
) -> Confidence | None:
    """Give the cloud's points their confidence and visibility in place, and return more about them."""
    if mode == "none":
        return None
    found = assess(run, crop, prediction, mode, camera, cloud.xyz)
    cloud.confidence, cloud.visibility = found.probability, found.visibility
    cloud.comments["confidence"] = found.note
    return found


def _name_parts(cloud: PointCloud, category: str | None, names: list[str]) -> None:
    """Note category and parts in the PLY's comments, names in the order of their ids, with underscores."""
    if category is not None:
        cloud.comments["category"] = " ".join(category.split())
    if cloud.labels is not None and names:
        cloud.comments["parts"] = " ".join("_".join(str(name).split()) for name in names)


def _output_folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"--out {out} cannot be used as a folder ({error.strerror or error}). "
            "Expected a folder that can be written."
        ) from error
    return out


@contextmanager
def _timed(timings_ms: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    timings_ms[stage] = round((time.perf_counter() - start) * 1000, 3)
