# SPDX-License-Identifier: Apache-2.0
"""Parts of a known shape: shown to the model from several sides, whose predictions vote on its points."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..canonical_frame import read_canonical
from ..errors import CheckpointError, ConfigError, InputError
from ..geometry.alignment import Similarity
from ..methods.run import LoadedRun, Prediction
from ..vocabulary import read_vocabulary
from .frame import best_heading, object_from_file
from .source import Source, votes_of_cloud, votes_of_faces
from .views import render_crops
from .votes import smoothed, vote

MOST_VIEWS, MOST_HEADINGS = 64, 72
# Beyond this distance from all predictions, in diagonals, a label is a guess.
FAR = 0.1


@dataclass(frozen=True)
class LabelOptions:
    """How the object stands in its file, and what is known of it."""

    up: str = "Z"
    front: str = "-Y"
    headings: int = 1  # turns about the up axis that are tried; 1: the front is known
    category: str | None = None  # None: what the model says
    views: int = 8


@dataclass(frozen=True)
class Labelled:
    """Labels of a cloud's points or a mesh's faces, and how they came about."""

    labels: np.ndarray  # (N,) uint8 from 1, of points or faces
    confidence: np.ndarray  # (N,) float32 share of the votes that the label has
    point_labels: np.ndarray  # (K,) uint8 of the points that were looked at
    part_names: tuple[str, ...]
    category: str | None
    category_probability: float | None
    transform: Similarity  # from the file's frame to the object frame
    heading_deg: float
    other_headings_deg: tuple[float, ...]  # that fit as well
    crops: np.ndarray  # (V, S, S, 4) uint8, what the model saw
    share_far: float  # share of the points farther than FAR from all predictions


def label_object(source: Source, run: LoadedRun, options: LabelOptions = LabelOptions()) -> Labelled:
    """Label the parts of a cloud or mesh.

    Raises ConfigError for options out of range, CheckpointError for a model without parts or without an object frame,
    InputError for an object without extent.
    """
    check_options(options)
    xyz = source.points.xyz.astype(np.float64)
    transform = object_from_file(xyz, options.up, options.front)
    normals = source.points.normals
    turned = None if normals is None else normals @ transform.rotation.T
    crops = render_crops(
        transform.apply(xyz), source.points.colors, turned, options.views, run.input_size, run.margin
    )
    prediction = run.predict(crops)
    category, probability = choose_category(prediction, run, options.category)
    clouds, shares, names = _predicted(prediction, run, category)
    transform, heading, others = best_heading(xyz, transform, clouds, options.headings)
    placed = transform.apply(xyz)
    votes, distance = vote(placed, clouds, shares)
    votes = smoothed(placed, None if normals is None else normals.astype(np.float64), votes)
    whole = votes_of_cloud(source, votes) if source.surface is None else votes_of_faces(source, votes)
    return Labelled(
        (whole.argmax(1) + 1).astype(np.uint8),
        whole.max(1).clip(0, 1).astype(np.float32),
        (votes.argmax(1) + 1).astype(np.uint8),
        tuple(names),
        category,
        probability,
        transform,
        heading,
        tuple(others),
        crops,
        float((distance > FAR).mean()),
    )


def check_options(options: LabelOptions) -> None:
    """Raise ConfigError for numbers out of range."""
    for name, value, most in (
        ("--views", options.views, MOST_VIEWS),
        ("--headings", options.headings, MOST_HEADINGS),
    ):
        if not 1 <= value <= most:
            raise ConfigError(f"{name} {value}: expected a number from 1 to {most}.")


def choose_category(
    prediction: Prediction, run: LoadedRun, wanted: str | None
) -> tuple[str | None, float | None]:
    """The category asked for, else the one that the views' mean favours, with its probability; None: not known."""
    vocabulary = read_vocabulary(run.card)
    if wanted is not None:
        if wanted not in vocabulary.categories:
            known = ", ".join(vocabulary.categories) or "none by name"
            raise InputError(f"--category {wanted}: the model of {run.folder} knows {known}.")
        return wanted, None
    if prediction.category is None:
        return vocabulary.only(), None
    mean = prediction.category.float().mean(0).cpu().numpy()
    return vocabulary.categories[int(mean.argmax())], float(mean.max())


def _predicted(
    prediction: Prediction, run: LoadedRun, category: str | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Clouds (V,M,3) in the object frame, probabilities (V,M,P) of the category's parts, and their names."""
    names = read_vocabulary(run.card).part_names(category)
    logits: Any = prediction.points.part_logits
    if logits is None or not names:
        what = f"the category {category} has no parts" if logits is not None else "it has no part head"
        raise CheckpointError(
            f"The model of {run.folder} cannot label parts: {what}. Train one on a dataset with parts, for example "
            "with the recipe splat_full."
        )
    clouds = prediction.points.xyz.detach().cpu().double().numpy()
    shares = logits[..., : len(names)].detach().cpu().double().softmax(-1).numpy()
    if not np.isfinite(clouds).all() or not np.isfinite(shares).all():
        raise CheckpointError(f"The model of {run.folder} predicts numbers that are not finite.")
    return _in_object_frame(clouds, run), shares, names


def _in_object_frame(clouds: np.ndarray, run: LoadedRun) -> np.ndarray:
    """Clouds of a model with a frame of its own are turned as `recon eval` found."""
    if not run.pose_is_learnt:
        return clouds
    canonical = read_canonical(run.folder, run.card.get("steps"))
    if canonical.rotation is None:
        raise CheckpointError(
            f"The model of {run.folder} was trained without cameras, and how its own frame lies in the object's is not "
            "known. Run `recon eval` on it first."
        )
    return clouds @ canonical.rotation.T
