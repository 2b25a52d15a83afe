# SPDX-License-Identifier: Apache-2.0
"""`recon export`: a run as one ONNX file and a JSON card; all that is between crop and points is in the graph."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from ..cameras import DEFAULT_DISTANCE
from ..canonical_frame import OBJECT_FRAME, CanonicalFrame, read_canonical
from ..data.augment import TEST_BACKGROUND
from ..data.crop import MASK_THRESHOLD
from ..errors import CheckpointError, ConfigError, MissingDependency
from ..io.atomic import atomic_path, write_json
from ..io.weights import read_json
from ..methods.poses import KnownPose, Pose
from ..methods.run import LoadedRun, load_run
from ..visual import palette
from .limits import limits_of

INPUT = "image"
_LEGEND = {
    "xyz": "(N,3) float32: points in the frame of the card",
    "opacity": "(N,) float32 in 0..1",
    "color": "(N,3) float32: sRGB in 0..1",
    "parts": "(N,P) float32: probability of each part slot; of these, the category's parts in the order of the card "
    "count, and the id is the index plus 1",
    "rotation": "(3,3) float32: from the points' frame to the camera's (+X right, +Y up, looks along -Z)",
    "rotations": "(K,3,3) float32: as rotation, which is the best scored of them",
    "rotation_scores": "(K,) float32: how probable each of rotations is",
    "category": "(C,) float32: probability of each category, in the order of the card",
}


@dataclass(frozen=True)
class Exported:
    """The files that were written."""

    model: Path
    card: Path
    content: dict[str, Any]


def export_run(run_folder: str | Path, out: str | Path, half: bool = False) -> Exported:
    """Write OUT (.onnx) and the card beside it (.json); raises the ReconError family.

    half: weights in half precision; how far that moves points is looked at, and noted in the card.
    MissingDependency without the onnx extra, ConfigError for a model that cannot be exported, one that half precision
    changes, or another ending.
    """
    out = Path(out)
    if out.suffix.lower() != ".onnx":
        raise ConfigError(f"--out {out} must end in .onnx; the card is written beside it.")
    _require_onnx()
    run = load_run(run_folder, "cpu")
    if run.config.model.decoder.makes != "points":
        raise ConfigError(
            f"{run.folder}: a model of meshes cannot be exported yet, only one that predicts points."
        )
    frame = _frame(run)
    data, names, shapes = build_model(run, frame)
    data, weights = _halved(data, run.input_size) if half else (data, {})
    card = describe(run, frame, names, shapes) | {
        **weights,
        "file": out.name,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    try:
        with atomic_path(out) as temporary:
            temporary.write_bytes(data)
        write_json(out.with_suffix(".json"), card)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror or error}.") from error
    return Exported(out, out.with_suffix(".json"), card)


def _halved(data: bytes, size: int) -> tuple[bytes, dict[str, Any]]:
    """The file with half the bytes, and what its card says of that."""
    from .half_weights import half_weights, points_moved

    narrow = half_weights(data)
    return narrow, {"weights": "float16", "points_moved_by_half": points_moved(data, narrow, size)}


def build_model(run: LoadedRun, frame: CanonicalFrame) -> tuple[bytes, list[str], list[list[int]]]:
    """The ONNX file's bytes, and name and shape of each output; raises ConfigError for unknown operations."""
    from onnx import TensorProto, checker, helper, shape_inference

    from .onnx_builder import IR_VERSION, OPSET, Graph
    from .onnx_graph import translate
    from .onnx_input import add_input
    from .onnx_model import ExportModel

    model = ExportModel(run, frame.rotation).eval()
    size = run.input_size
    example = torch.rand(1, 4, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, about its own
        names, shapes = model.names(example), [list(value.shape) for value in model(example)]
        program = torch.export.export(model, (example,)).run_decompositions()
    graph = Graph()
    found = translate(graph, program, [add_input(graph, INPUT, size, TEST_BACKGROUND)])
    for name, value in zip(names, found, strict=True):
        graph.nodes.append(helper.make_node("Identity", [value], [name]))
    image = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, [1, "height", "width", 4])
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(names, shapes)]
    made = helper.make_graph(graph.nodes, "recon", [image], outputs, graph.initializers)
    opsets = [helper.make_opsetid("", OPSET)]
    proto = helper.make_model(made, producer_name="recon", producer_version=__version__, opset_imports=opsets)
    proto.ir_version = IR_VERSION
    checker.check_model(shape_inference.infer_shapes(proto), full_check=True)
    return proto.SerializeToString(), names, shapes


def describe(
    run: LoadedRun, frame: CanonicalFrame, names: list[str], shapes: list[list[int]]
) -> dict[str, Any]:
    """The card: what who uses the file must know. The file's own name, size and hash are added to it."""
    card = run.card
    vocabulary = run.vocabulary
    colors = palette(vocabulary.slots)
    legend = {
        category: [
            {"id": i, "name": name, "color": [int(level) for level in colors[i]]}
            for i, name in enumerate(names, 1)
        ]
        for category, names in vocabulary.parts.items()
    }
    aligned = frame.rotation is not None
    content = {
        "version": 2,  # parts are named per category since 2
        "generator": f"recon {__version__}",
        "recipe": card.get("recipe"),
        "steps": card.get("steps"),
        "frame": OBJECT_FRAME if aligned else card.get("frame", OBJECT_FRAME),
        "frame_note": frame.note if run.pose_is_learnt else "",
        "categories": vocabulary.categories,
        "parts": legend,
        "data": card.get("data"),
        "licence": card.get("licence"),
        "metrics": _metrics(run),
        "points": run.config.model.points,
        "pose": _pose(run.config.pose),
        "input": {
            "name": INPUT,
            "layout": "(1,H,W,4) uint8: sRGB with straight alpha, row 0 on top; alpha is the object's mask",
            "size": run.input_size,
            "margin": run.margin,
            "mask_threshold": MASK_THRESHOLD,
            "note": "a square around the object whose side is margin times the longer side of the box of the mask's "
            "pixels above mask_threshold, transparent beyond the image; of any size, scaled down in the graph",
        },
        "outputs": {
            name: {"shape": shape, "what": _LEGEND[name]} for name, shape in zip(names, shapes, strict=True)
        },
    }
    return content | {"limits": limits_of(content)}


def _pose(pose: Pose) -> dict[str, Any] | None:
    """Whether there is a rotation, in whose frame, and the distance (object diagonals) that cameras stand at."""
    if not isinstance(pose, KnownPose):
        return {"learnt": True, "distance": pose.distance}
    return None if pose.student is None else {"learnt": False, "distance": DEFAULT_DISTANCE}


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError:
        raise MissingDependency(
            "Exporting needs the package onnx, which is not installed. Install it with: pip install 'recon3d[onnx]'"
        ) from None


def _frame(run: LoadedRun) -> CanonicalFrame:
    if not run.pose_is_learnt:
        return CanonicalFrame(None, "")
    return read_canonical(run.folder, run.card.get("steps"))


def _metrics(run: LoadedRun) -> dict[str, Any]:
    """Validation's mask IoU, and what `recon eval` found on the test split, unless the weights are newer."""
    found: dict[str, Any] = {"val_mask_iou": run.card.get("val_mask_iou")}
    path = run.folder / "evaluation" / "test" / "metrics.json"
    weights = run.folder / "checkpoints" / f"step-{run.card.get('steps', 0):07d}" / "weights.safetensors"
    try:
        if path.stat().st_mtime < weights.stat().st_mtime:
            return found
        evaluation = read_json(path)
    except (OSError, CheckpointError):
        return found
    methods = evaluation.get("methods")
    model = methods.get("model") if isinstance(methods, dict) else None
    return found | {
        "test": {
            "data": Path(str(evaluation.get("data"))).name,
            "objects": evaluation.get("objects"),
            "scores": model,
        }
    }
