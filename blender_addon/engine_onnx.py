# SPDX-License-Identifier: GPL-3.0-or-later
"""Exported models run in Blender's own process by ONNX Runtime: crop in, points out. No bpy here: runs on a thread."""

import hashlib
import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .cloud import Cloud
from .crop import DEFAULT_MARGIN
from .jobs import UserError
from .photo_camera import DEFAULT_DISTANCE

MAX_MODEL_BYTES, MAX_CARD_BYTES = 1 << 30, 1 << 20
BUNDLED = Path(__file__).parent / "models" / "default.onnx"
VENDOR = Path(__file__).parent / "vendor"
_MISSING = (
    "ONNX Runtime is missing in this Blender. Install the zip that was built for this platform and version of Blender, "
    "or use the worker (Preferences > Add-ons > Recon)."
)


@dataclass
class Model:
    """A loaded model and what its card says."""

    path: Path
    card: dict[str, Any]
    session: Any
    input_name: str
    input_size: int
    margin: float
    distance: float
    categories: list[str]
    parts: dict[str, list[str]]  # names by id, of each category


@dataclass
class Answer:
    """What a model says about one crop; None for what it does not predict."""

    cloud: Cloud
    rotation: np.ndarray | None = (
        None  # (3, 3) from the cloud's frame to the camera's: the best of `rotations`
    )
    rotations: np.ndarray | None = None  # (K, 3, 3), with
    scores: np.ndarray | None = None  # (K,) how probable each is
    category: str = ""
    probability: float | None = None  # of the category, where the model chose among several


_lock = threading.Lock()
_cache: dict[tuple[str, int, int], Model] = {}


def runtime() -> Any:
    """The onnxruntime module; raises UserError when it is not there or does not load."""
    if VENDOR.is_dir() and str(VENDOR) not in sys.path:
        sys.path.append(str(VENDOR))  # add-ons of Blender 3.4 to 4.1: no wheels there
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(_MISSING + f" ({error})") from error
    return onnxruntime


def read_card(model_path: Path) -> dict[str, Any]:
    """The JSON card beside a model; raises UserError when it cannot be used."""
    path = model_path.with_suffix(".json")
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise UserError(f"{path.name} is too large for a model's card.")
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"{path.name}, the card of {model_path.name}, is not beside it. `recon export` writes both."
        ) from error
    except ValueError as error:
        raise UserError(f"{path.name} is not a model's card: it is not JSON.") from error
    if not isinstance(card, dict):
        raise UserError(f"{path.name} is not a model's card.")
    return card


def load_model(path: Path) -> Model:
    """Load a model, or take it from memory when the file has not changed. Raises UserError."""
    path = Path(path)
    try:
        status = path.stat()
    except OSError:
        raise UserError(f"The model {path} does not exist.") from None
    if not 0 < status.st_size <= MAX_MODEL_BYTES:
        raise UserError(
            f"The model {path.name} has {status.st_size} bytes: it is no model that can be used here."
        )
    key = (str(path), status.st_size, status.st_mtime_ns)
    with _lock:
        if key not in _cache:
            _cache.clear()
            _cache[key] = _load(path)
        return _cache[key]


def forget_models() -> None:
    """Free the memory of loaded models, and what runtime() added to the search path."""
    with _lock:
        _cache.clear()
    if str(VENDOR) in sys.path:
        sys.path.remove(str(VENDOR))


def _load(path: Path) -> Model:
    onnxruntime = runtime()
    card = read_card(path)
    data = path.read_bytes()
    expected = card.get("sha256")
    if expected and hashlib.sha256(data).hexdigest() != expected:
        raise UserError(f"{path.name} is not the file that its card describes: it was changed or cut off.")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Two threads answer as fast as more for models this small, and leave Blender its cores.
    options.intra_op_num_threads = 2
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise UserError(
            f"{path.name} cannot be loaded: it is damaged or no ONNX model ({_short(error)})."
        ) from error
    return _described(path, card, session)


def _described(path: Path, card: dict[str, Any], session: Any) -> Model:
    """Check inputs and outputs against what the add-on feeds and reads."""
    inputs, names = session.get_inputs(), [output.name for output in session.get_outputs()]
    fits = len(inputs) == 1 and len(inputs[0].shape) == 4 and inputs[0].type == "tensor(uint8)"
    if not fits or inputs[0].shape[3] != 4 or "xyz" not in names:
        raise UserError(
            f"{path.name} is no model of recon: expected one RGBA image in and xyz out, it gives {names}."
        )
    try:
        about, pose = card["input"], card.get("pose") or {}
        size, margin = int(about["size"]), float(about.get("margin", DEFAULT_MARGIN))
        distance = float(pose.get("distance", DEFAULT_DISTANCE))
        categories = [str(one) for one in card.get("categories") or []]
        parts = _parts(card.get("parts") or {}, categories)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{path.with_suffix('.json').name} lacks what the add-on needs: {_short(error)}."
        ) from error
    if not (1 <= size <= 4096 and 1 <= margin < 100 and distance > 0):
        raise UserError(
            f"{path.with_suffix('.json').name}: input size {size} or margin {margin} is out of range."
        )
    return Model(path, card, session, inputs[0].name, size, margin, distance, categories, parts)


def _parts(legend: Any, categories: list[str]) -> dict[str, list[str]]:
    """Part names by category; cards of version 1 have one list, which all categories share."""
    if isinstance(legend, list):
        names = [str(part["name"]) for part in legend]
        return dict.fromkeys(categories or [""], names) if names else {}
    return {str(one): [str(part["name"]) for part in parts] for one, parts in legend.items()}


def part_names(parts: dict[str, list[str]], category: str) -> list[str]:
    """The parts of a category by id; where it is not known, each slot's names over all categories, with slashes."""
    if category in parts:
        return parts[category]
    longest = max((len(names) for names in parts.values()), default=0)
    slots = [[names[i] for names in parts.values() if i < len(names)] for i in range(longest)]
    return ["/".join(dict.fromkeys(names)) for names in slots]


def predict(model: Model, crop: np.ndarray) -> Answer:
    """What a model says about a crop (S,S,4) uint8. Raises UserError."""
    names = [output.name for output in model.session.get_outputs()]
    try:
        values = model.session.run(names, {model.input_name: np.ascontiguousarray(crop[None])})
    except Exception as error:
        raise UserError(f"{model.path.name} failed: {_short(error)}") from error
    outputs = dict(zip(names, values))
    try:
        category, probability = _category(outputs, model)
        cloud = _cloud(outputs, model, category)
    except (ValueError, IndexError) as error:
        raise UserError(f"{model.path.name} gives points that cannot be used: {_short(error)}.") from error
    rotation, rotations, scores = (outputs.get(n) for n in ("rotation", "rotations", "rotation_scores"))
    return Answer(cloud, rotation, rotations, scores, category, probability)


def _category(outputs: dict[str, np.ndarray], model: Model) -> tuple[str, float | None]:
    """The most probable category and how probable it is; the model's only one; nothing where it cannot say."""
    if "category" not in outputs:
        return (model.categories[0] if len(model.categories) == 1 else ""), None
    shares = outputs["category"].reshape(-1)
    best = int(shares.argmax())
    return model.categories[best], float(shares[best])


def _cloud(outputs: dict[str, np.ndarray], model: Model, category: str) -> Cloud:
    names = part_names(model.parts, category)
    cloud = Cloud(np.ascontiguousarray(outputs["xyz"], dtype=np.float32), parts=list(names))
    if category:
        cloud.comments["category"] = category
    if cloud.xyz.ndim != 2 or cloud.xyz.shape[1] != 3 or not len(cloud) or not np.isfinite(cloud.xyz).all():
        raise UserError(f"{model.path.name} gives points that are not finite: its weights are spoilt.")
    if "color" in outputs:
        cloud.colors = np.rint(np.clip(outputs["color"], 0, 1) * 255).astype(np.uint8).reshape(len(cloud), 3)
    if "opacity" in outputs:
        cloud.opacity = np.clip(outputs["opacity"], 0, 1).astype(np.float32).reshape(len(cloud))
    if "parts" in outputs and names:
        own = outputs["parts"].reshape(len(cloud), -1)[:, : len(names)]  # other categories have more slots
        cloud.labels = (own.argmax(-1) + 1).astype(np.uint8)
        share = own.max(-1) / np.maximum(own.sum(-1), 1e-9)
        cloud.confidence = np.clip(share, 0, 1).astype(np.float32)
    return cloud


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
