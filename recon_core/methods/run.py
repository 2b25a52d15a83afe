# SPDX-License-Identifier: Apache-2.0
"""A trained run, loaded for use: crops in, points and poses out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from ..data.augment import compose_input
from ..errors import CheckpointError, InputError
from ..geometry.mirror import between_opinions
from ..geometry.solid import solid_points
from ..io.weights import read_json
from ..mesh import Meshes
from ..models.decoders import Shape
from ..models.surface import as_points, join_meshes
from ..models.viewpoint import best_rotation
from ..pointcloud import Points
from ..training.checkpoints import find_checkpoint, load_weights
from ..vocabulary import Vocabulary, read_vocabulary
from .network import Network
from .pose_choice import Look, pose_at_test_time
from .recipe import KnownPose, Recipe, validate_recipe


@dataclass
class Prediction:
    """Points (B,N,...) in the model's canonical frame and rotations (B,3,3) canonical to camera, where predicted.

    A model of meshes gives them too; its points are samples of their surface. Rotations of a model of known cameras are
    relative to the ray to the object, the best scored of K hypotheses (B,K,3,3) with scores (B,K) that sum to 1.
    """

    points: Points
    rotation: torch.Tensor | None
    meshes: Meshes | None = None
    hypotheses: torch.Tensor | None = None
    scores: torch.Tensor | None = None
    category: torch.Tensor | None = None  # (B, C) probabilities, in the order of the vocabulary's categories


@dataclass
class LoadedRun:
    """A network with its recipe and card."""

    network: Network
    config: Recipe
    card: dict[str, Any]
    device: torch.device
    folder: Path

    @property
    def input_size(self) -> int:
        """Width and height in pixels of the crops that predict takes."""
        return self.config.model.image_size

    @property
    def margin(self) -> float:
        """Side of the crop over the larger side of the mask's box, as in training."""
        return self.config.data.margin

    @property
    def pose_is_learnt(self) -> bool:
        """Whether the model was trained without cameras, and so in a canonical frame of its own."""
        return not isinstance(self.config.pose, KnownPose)

    @property
    def vocabulary(self) -> Vocabulary:
        """The categories that the model knows and the names of their parts."""
        return read_vocabulary(self.card)

    @torch.inference_mode()
    def predict(self, rgba_crops: np.ndarray, batch: int = 64) -> Prediction:
        """Predict from straight-alpha crops (B,S,S,4) uint8; raises InputError when the shape is wrong.

        Points that the model made transparent are replaced (geometry/solid.py). A learnt pose is the middle of those of
        the image and of its mirror image (geometry/mirror.py), when the card knows the plane of symmetry; a hypothesis
        that fits the input's mask better takes its place (methods/pose_choice.py).
        """
        size = self.input_size
        if rgba_crops.ndim != 4 or rgba_crops.shape[1:] != (size, size, 4) or rgba_crops.dtype != np.uint8:
            raise InputError(
                f"predict expects uint8 crops (B,{size},{size},4), got {rgba_crops.dtype} {rgba_crops.shape}."
            )
        chunks = [self._predict(rgba_crops[i : i + batch]) for i in range(0, len(rgba_crops), batch)]
        return _join(chunks)

    def _predict(self, crops: np.ndarray) -> Prediction:
        pixels = torch.from_numpy(np.array(crops)).to(self.device).permute(0, 3, 1, 2)
        images = compose_input(pixels.float() / 255)
        if self.network.pose is None:
            return self._of_known_cameras(images)
        mirror = self.card.get("mirror")
        points, rotation = pose_at_test_time(
            images,
            self._look,
            self.network.pose_of,
            between_opinions,
            None if mirror is None else torch.tensor(mirror).to(images),
            self.config.pose,
            self.margin,
        )
        category = None
        if self.network.category is not None:
            category = self._category(self.network.encode(images))
        return Prediction(points, rotation, category=category)

    def _of_known_cameras(self, images: torch.Tensor) -> Prediction:
        """What a model says about images (B,4,S,S) that was trained with known cameras."""
        features = self.network.encode(images)
        shape = self.network.decode(features, images)
        found = Prediction(self._points(shape), None, _meshes(shape), category=self._category(features))
        if self.network.viewpoint is not None:
            hypotheses, scores = self.network.viewpoint(features)
            found.hypotheses, found.scores = hypotheses, scores.softmax(1)
            found.rotation = best_rotation(hypotheses, scores)
        return found

    def _category(self, features: torch.Tensor) -> torch.Tensor | None:
        logits = self.network.categorise(features)
        return None if logits is None else logits.softmax(1)

    def _look(self, images: torch.Tensor) -> Look:
        """What the network says about images (B,4,S,S)."""
        assert self.network.pose is not None
        features = self.network.encode(images)
        points = self._points(self.network.decode(features, images))
        return Look(points, self.network.pose(features), self.network.pose.hypotheses(features))

    def _points(self, shape: Shape) -> Points:
        """What of a shape is shown and judged: solid points, or points on its mesh."""
        return solid_points(as_points(shape, self.config.model.points))


def load_run(run: str | Path, device: str = "auto") -> LoadedRun:
    """Load a run folder (or one of its checkpoints); raises CheckpointError when it is not one."""
    run = Path(run)
    checkpoint = find_checkpoint(run)
    folder = checkpoint.parent.parent
    recipe = read_run_recipe(folder)
    card = read_json(checkpoint / "card.json")
    target = pick_device(device)
    vocabulary = read_vocabulary(card)
    network = recipe.network(vocabulary.slots, len(vocabulary.categories))
    load_weights(network, checkpoint)
    return LoadedRun(network.to(target).eval(), recipe, card, target, folder)


def _meshes(shape: Shape) -> Meshes | None:
    return None if isinstance(shape, Points) else shape.meshes


def _join(chunks: list[Prediction]) -> Prediction:
    """One prediction of several, one after the other."""
    meshes = [chunk.meshes for chunk in chunks if chunk.meshes is not None]
    names = ("rotation", "hypotheses", "scores", "category")
    fields = {name: [getattr(chunk, name) for chunk in chunks] for name in names}
    joined = {name: None if values[0] is None else torch.cat(values) for name, values in fields.items()}
    points = _join_points([chunk.points for chunk in chunks])
    return Prediction(points, meshes=join_meshes(meshes) if meshes else None, **joined)


def _join_points(parts: list[Points]) -> Points:
    fields = zip(*((c.xyz, c.opacity, c.color, c.part_logits, c.occupancy_scale) for c in parts))
    joined: list[Any] = [None if values[0] is None else torch.cat(values) for values in fields]
    return Points(*joined)


def read_run_recipe(folder: Path) -> Recipe:
    """The resolved recipe that a run folder keeps; raises CheckpointError when there is none."""
    path = folder / "config.yaml"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise CheckpointError(
            f"{folder} has no config.yaml. Expected a folder that `recon train` wrote."
        ) from None
    except yaml.YAMLError as error:
        raise CheckpointError(f"{path} is not valid YAML ({error}).") from None
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} must be a mapping.")
    return validate_recipe(raw, str(path))


def pick_device(name: str) -> torch.device:
    """The device of a name out of auto, cpu, cuda, cuda:N; raises InputError when it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"Unknown device {name!r}. Valid: auto, cpu, cuda, cuda:N.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch sees no CUDA device. Use --device cpu or auto.")
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"Device {name!r} is not supported. Valid: auto, cpu, cuda, cuda:N.")
    return device
