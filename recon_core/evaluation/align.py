# SPDX-License-Identifier: Apache-2.0
"""The rotation from a model's own frame to the object frame, as our table has it and as each protocol does.

All are found on the validation split (on training objects where that is empty) from true cameras or points: they
are part of the measurement, not of the method.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from tqdm import tqdm

from ..data.dataset import Dataset
from ..data.viewset import ViewSet
from ..errors import ConfigError
from ..geometry.common_rotation import common_rotation
from ..geometry.sampling import voxel_means
from .canonical import MAX_OBJECTS, MAX_VIEWS, MIN_ASYMMETRIC, Alignment, AlignmentObject, canonical_alignment
from .predictor import Predictor
from .protocols import Protocol
from .truth import load_split

# Objects of each category that the rotation of least Chamfer is fitted to; with 512 points of each it rests by then.
MAX_FITTED = 60
# The key of a rotation that holds for every category.
EVERY = ""


def alignment_split(dataset: Dataset) -> str:
    """Where models with learnt poses are aligned."""
    return "val" if dataset.objects("val") else "train"


def table_alignment(predictor: Predictor, dataset: Dataset, progress: bool) -> Alignment:
    """The consensus alignment of our table (canonical.py), by objects without symmetry where there are enough."""
    views = load_split(dataset, alignment_split(dataset), predictor, progress)
    asymmetric = np.flatnonzero(views.symmetry_order == 1)
    chosen = asymmetric if len(asymmetric) >= MIN_ASYMMETRIC else np.arange(len(views))
    return canonical_alignment(_objects(predictor, dataset, views, chosen[:MAX_OBJECTS], progress))


def protocol_turns(
    protocols: Sequence[Protocol], predictor: Predictor, dataset: Dataset, table: Alignment, progress: bool
) -> dict[str, dict[str, np.ndarray]]:
    """For each protocol with an alignment of its own, rotations (3,3) by category (EVERY: for all of them).

    They take clouds that our table has aligned already to the protocol's alignment: R_protocol R_table^T.
    """
    wanted = {one.alignment for one in protocols} - {"table"}
    if not wanted:
        return {}
    views = load_split(dataset, alignment_split(dataset), predictor, progress)
    found: dict[str, dict[str, np.ndarray]] = {}
    if "dpc" in wanted:
        objects = _objects(
            predictor, dataset, views, np.arange(len(views))[:MAX_OBJECTS], progress, voxel=0.01
        )
        found["dpc"] = {EVERY: canonical_alignment(objects, mode="dpc").rotation}
    if "chamfer" in wanted:
        found["chamfer"] = _by_chamfer(predictor, dataset, views, progress)
    return {
        one.name: {key: rotation @ table.rotation.T for key, rotation in found[one.alignment].items()}
        for one in protocols
        if one.alignment in found
    }


def turn_of(turns: Mapping[str, np.ndarray], category: str) -> np.ndarray:
    """The rotation of a category, or that of all of them."""
    return turns.get(category, turns[EVERY])


def _objects(
    predictor: Predictor,
    dataset: Dataset,
    views: ViewSet,
    chosen: np.ndarray,
    progress: bool,
    voxel: float | None = None,
) -> list[AlignmentObject]:
    """What the model says about the first views of some objects; voxel: true points as means per cell."""
    objects = []
    for index in tqdm(chosen, desc="aligning", unit="object", disable=not progress):
        count = min(MAX_VIEWS, views.views)
        prediction = predictor.predict(np.array(views.inputs[index, :count]))
        if prediction.rotation is None:
            raise ConfigError("A model with learnt poses must predict a rotation; this one gives none.")
        truth = dataset.points(views.names[index]).xyz
        objects.append(
            AlignmentObject(
                points=prediction.points.xyz.detach().cpu().numpy(),
                predicted=prediction.rotation.detach().cpu().numpy(),
                true=np.asarray(views.world_to_cam[index, :count, :3, :3]),
                truth=truth if voxel is None else voxel_means(truth, voxel),
                symmetry_order=int(views.symmetry_order[index]),
            )
        )
    return objects


def _by_chamfer(
    predictor: Predictor, dataset: Dataset, views: ViewSet, progress: bool
) -> dict[str, np.ndarray]:
    """Per category the rotation of least mean squared Chamfer, from the first view of each object; EVERY of all."""
    clouds: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    for index in tqdm(range(len(views)), desc="fitting a rotation", unit="object", disable=not progress):
        name = views.names[index]
        pairs = clouds.setdefault(name.partition("/")[0], [])
        if len(pairs) < MAX_FITTED:
            points = predictor.predict(np.array(views.inputs[index, :1])).points.xyz[0]
            pairs.append((points.detach().cpu().numpy(), dataset.points(name).xyz))
    if len(clouds) > 1:
        every = [pair for pairs in clouds.values() for pair in pairs[: max(1, MAX_FITTED // len(clouds))]]
    else:
        every = next(iter(clouds.values()))
    groups = {EVERY: every} | (clouds if len(clouds) > 1 else {})
    return {key: common_rotation(*zip(*pairs)).rotation for key, pairs in groups.items()}
