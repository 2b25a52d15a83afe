# SPDX-License-Identifier: Apache-2.0
"""A method is a recipe: network, pose source, supervision terms and optimisation, composed by YAML."""

import contextlib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from ..data.augment import AugmentConfig
from ..errors import ConfigError
from ..resources import resource_dir
from .config import Config, explain, nearest
from .network import ModelConfig, Network
from .poses import EnsemblePose, KnownPose, Pose, RegressedPose
from .terms import Term

__all__ = [
    "DataConfig", "EnsemblePose", "KnownPose", "LogConfig", "OptimConfig", "Recipe", "RegressedPose", "load_recipe",
    "validate_recipe",
]  # fmt: skip


class OptimConfig(Config):
    """Optimiser, length and batch."""

    kind: Literal["adam"] = "adam"
    lr: Annotated[float, Field(gt=0)] = 1e-3
    """Peak learning rate; a linear warm-up leads to it and a cosine down from it."""
    field_lr: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Factor of the learning rate of the decoder's field of colours and parts (`model.decoder.attributes`)."""
    lr_end: Annotated[float, Field(gt=0, le=1)] = 0.02
    """Learning rate at the end, as a share of the peak."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.02
    """Share of the run that warms up."""
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Strength of the weight decay."""
    decay: Literal["decoupled", "loss"] = "decoupled"
    """Weights shrink by themselves, at a rate (AdamW); or half their squared norm is added to the loss, for kernels of
    encoder and decoder alone, as DPC has it."""
    clip: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest gradient norm; null: no limit."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the encoder's products in training; bfloat16 takes 40 % off its time where the device multiplies it, elsewhere
    float32 is used. Renderers, losses and predictions are in float32 always."""
    steps: Annotated[int, Field(ge=1)] = 3000
    objects: Annotated[int, Field(ge=1)] = 16
    """Objects per step."""
    views: Annotated[int, Field(ge=1)] = 4
    """Supervised views per object and step; the first of them is the input."""


class DataConfig(Config):
    """What is read from the dataset, and at which size."""

    views: Annotated[int, Field(ge=1)] | None = None
    """Only so many views of each object are trained with, the first ones; null: all."""
    neighbours: Annotated[int, Field(ge=1, le=100)] = 3
    """Similar images per image that terms about neighbours choose from."""
    mask_size: Annotated[int, Field(ge=16, le=1024)] = 64
    """Width of the supervision images in pixels."""
    margin: Annotated[float, Field(ge=1, le=3)] = 1.15
    """Side of the input crop over the larger side of the mask's box."""
    mirror: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of objects that are shown mirrored, all views alike: twice the shapes for nothing."""
    recolor: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of objects that are shown in other colours, the input and all views alike: channels swapped, brighter or
    darker, greyer or more vivid."""
    augment: AugmentConfig = AugmentConfig()


class LogConfig(Config):
    """How often things are written, in steps."""

    metrics: Annotated[int, Field(ge=1)] = 20
    samples: Annotated[int, Field(ge=1)] = 500
    validation: Annotated[int, Field(ge=1)] = 500
    checkpoint: Annotated[int, Field(ge=1)] = 500
    keep: Annotated[int, Field(ge=1)] = 2
    """Checkpoints kept."""


class Recipe(Config):
    """A whole run."""

    name: str = "splat"
    seed: int = 0
    start: str | None = None
    """Run folder (or checkpoint) of a like network whose weights this one starts from; null: random ones."""
    model: ModelConfig = ModelConfig()
    pose: Pose = KnownPose()
    terms: Annotated[tuple[Term, ...], Field(min_length=1)]
    optim: OptimConfig = OptimConfig()
    data: DataConfig = DataConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _heads_fit_terms(self) -> "Recipe":
        for term in self.terms:
            if term.head and term.head not in self.model.heads:
                raise ValueError(f"the term {term.kind} needs the head {term.head!r} in model.heads")
        return self

    @model_validator(mode="after")
    def _shapes_fit_terms(self) -> "Recipe":
        makes = self.model.decoder.makes
        for term in self.terms:
            if term.shape not in ("any", makes):
                decoder = self.model.decoder.kind
                raise ValueError(
                    f"the term {term.kind} is about {term.shape}, but model.decoder {decoder} makes {makes}"
                )
        return self

    @model_validator(mode="after")
    def _cycles_need_poses(self) -> "Recipe":
        for term in self.terms:
            if term.kind in ("cycle", "neighbour_mask") and self.pose.kind == "known":
                raise ValueError(
                    f"the term {term.kind} is about poses that are learnt: pose.kind known has none"
                )
        return self

    @model_validator(mode="after")
    def _turns_need_cameras(self) -> "Recipe":
        if self.data.augment.rotation_deg > 0 and self.pose.kind != "known":
            raise ValueError(
                "data.augment.rotation_deg changes the pose of the input view: it needs pose.kind known"
            )
        return self

    def network(self, parts: int, categories: int = 0) -> Network:
        """A network of this recipe with fresh weights, for so many part slots and categories."""
        pose = self.pose
        viewpoint = pose.student if isinstance(pose, KnownPose) else None
        return Network(
            self.model,
            parts,
            pose.hypotheses,
            pose.rotation,
            pose.net,
            viewpoint=viewpoint,
            categories=categories,
        )

    @property
    def passes(self) -> tuple[str, ...]:
        """The image passes that the terms compare with."""
        targets = (term.target for term in self.terms if term.target)
        return ("masks", *dict.fromkeys(targets))


def load_recipe(path: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe (a path, or the name of a shipped one), apply `a.b=value` overrides, validate.

    Raises ConfigError that names the key and the nearest valid one.
    """
    raw = _read_yaml(_find(path))
    if "extends" in raw:
        base = _read_yaml(_find(path).parent / str(raw.pop("extends")))
        if "extends" in base:
            raise ConfigError(
                f"{path}: 'extends' goes one level deep; the base must not extend another recipe."
            )
        raw = _merge(base, raw)
    for override in overrides or []:
        _apply_override(raw, override)
    return validate_recipe(raw, str(path))


def validate_recipe(raw: dict[str, Any], origin: str) -> Recipe:
    """Validate a raw mapping; raise ConfigError with one line per fault."""
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{origin} is not a valid recipe:\n{explain(error, Recipe)}") from None


def _find(path: str | Path) -> Path:
    path = Path(path)
    if path.is_file():
        return path
    shipped = resource_dir("configs")
    for candidate in (shipped / path.name, shipped / f"{path.name}.yaml"):
        if candidate.is_file():
            return candidate
    names = sorted(p.stem for p in shipped.glob("*.yaml") if p.stem != "base")
    raise ConfigError(f"No recipe {str(path)!r}. {nearest(path.stem, names)}")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the recipe {path}: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must be a mapping (key: value), got {type(raw).__name__}.")
    return raw


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Deep-merge mappings; lists and scalars replace. A change of `kind` replaces the whole mapping."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        same_kind = (
            isinstance(value, dict)
            and isinstance(old, dict)
            and ("kind" not in value or value.get("kind") == old.get("kind"))
        )
        merged[key] = _merge(old, value) if same_kind and isinstance(old, dict) else value
    return merged


def _apply_override(raw: dict[str, Any], override: str) -> None:
    """Set one dotted key, as in `terms.0.weight=2`; the value is parsed as YAML."""
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"--set {override!r}: expected key=value, for example --set optim.lr=0.001.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: the value is not valid YAML: {error}") from None
    # YAML 1.1 reads 1e-3 as text; a bare number is what was meant.
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    target: Any = raw
    *parents, last = key.strip().split(".")
    for part in parents:
        target = _child(target, part, override)
    if isinstance(target, list):
        target[_index(target, last, override)] = value
    else:
        target[last] = value


# Groups that may be written as a bare name.
_NAMED_PARTS = ("encoder", "decoder", "pose_encoder")


def _child(target: Any, part: str, override: str) -> Any:
    if isinstance(target, list):
        return target[_index(target, part, override)]
    child = target.setdefault(part, {})
    if isinstance(child, str) and part in _NAMED_PARTS:
        child = target[part] = {"kind": child}
    if not isinstance(child, dict | list):
        raise ConfigError(f"--set {override!r}: {part!r} is a value, not a group of keys.")
    return child


def _index(target: list[Any], part: str, override: str) -> int:
    if part.isdigit() and int(part) < len(target):
        return int(part)
    raise ConfigError(f"--set {override!r}: {part!r} is not an index from 0 to {len(target) - 1}.")
