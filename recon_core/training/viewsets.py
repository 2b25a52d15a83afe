# SPDX-License-Identifier: Apache-2.0
"""The splits that training reads, from the decoded cache."""

from dataclasses import dataclass, replace
from pathlib import Path

from ..data.cache import load_views
from ..data.dataset import Dataset
from ..data.viewset import ViewSet
from ..errors import DatasetError
from ..methods.recipe import Recipe
from ..vocabulary import Vocabulary, make_vocabulary

_CACHE_PASS = {"masks": "mask", "images": "image", "parts": "parts"}


@dataclass(frozen=True)
class TrainingData:
    """Views of the training and validation objects."""

    root: Path
    train: ViewSet
    val: ViewSet
    vocabulary: Vocabulary


def open_training_data(root: Path, recipe: Recipe) -> TrainingData:
    """Open (and on the first time build) the caches that a recipe needs; raise DatasetError when they do not fit it."""
    if recipe.pose.kind == "known":
        _refuse_unknown_cameras(Dataset.open(root))
    train = first_views(_load(root, "train", recipe), recipe.data.views)
    # A small dataset may have no validation object: samples and validation then show training objects.
    val = _load(root, "val", recipe) if Dataset.open(root).objects("val") else train
    vocabulary = make_vocabulary(train.categories, train.part_names)
    if "parts" in recipe.model.heads and not vocabulary.slots:
        raise DatasetError(
            f"{root} has no part labels, but the recipe has the head 'parts'. Use a recipe without."
        )
    return TrainingData(root, train, val, vocabulary)


def _refuse_unknown_cameras(dataset: Dataset) -> None:
    """Images imported without cameras carry placeholders, which would be learnt as if they were true."""
    for name in dataset.objects("train"):
        if not dataset.pose_known(name):
            raise DatasetError(
                f"{dataset.root}: the cameras of {name} are not known (its images were imported without any), but the "
                "recipe takes them as they are. Use a recipe that learns poses, such as splat_unposed."
            )


def first_views(viewset: ViewSet, count: int | None) -> ViewSet:
    """The view set with the first `count` views of each object alone; all when None."""
    if count is None or count >= viewset.views:
        return viewset
    names = ("inputs", "masks", "world_to_cam", "fx", "fy", "cx", "cy", "images", "parts", "depth")
    found = {name: getattr(viewset, name) for name in names}
    return replace(viewset, **{name: value[:, :count] for name, value in found.items() if value is not None})


def _load(root: Path, split: str, recipe: Recipe) -> ViewSet:
    passes = tuple(_CACHE_PASS[name] for name in recipe.passes)
    return load_views(
        root,
        split,
        input_size=recipe.model.image_size,
        mask_size=recipe.data.mask_size,
        passes=passes,
        margin=recipe.data.margin,
    )
