# SPDX-License-Identifier: Apache-2.0
"""Two predictors without learning, in the object frame, that every table is compared with.

Both read the training objects' points.ply, which training itself never does: they know more than a model
trained from pictures, and a model that does not beat them has not learnt to reconstruct.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..pointcloud import PointCloud

BACKGROUND = 0.5  # grey, so that neither light nor dark objects look like the background
FEATURE_SIZE_PX = 64


def take(cloud: PointCloud, index: np.ndarray) -> PointCloud:
    """The points of a cloud at index (K,), with their attributes."""

    def pick(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else values[index]

    return PointCloud(cloud.xyz[index], pick(cloud.colors), pick(cloud.labels), pick(cloud.normals))


def mean_shape(
    load: Callable[[str], PointCloud], names: Sequence[str], count: int, generator: np.random.Generator
) -> PointCloud:
    """The mean training shape: `count` points drawn uniformly from the pooled clouds of the training objects.

    Every object has the same share whatever its number of points: ceil(count / objects) random points of
    each (of `count` random objects when there are more), of which `count` are kept. `load` gives an
    object's cloud in the object frame. Colours and labels come with the points when every object has them.
    """
    if not names:
        raise InputError("The mean shape needs at least one training object.")
    chosen = [names[int(index)] for index in generator.permutation(len(names))[:count]]
    share = -(-count // len(chosen))
    pieces = [thinned(load(name), share, generator) for name in chosen]
    pooled = PointCloud(
        np.concatenate([cloud.xyz for cloud in pieces]),
        _joined([cloud.colors for cloud in pieces]),
        _joined([cloud.labels for cloud in pieces]),
    )
    return thinned(pooled, count, generator)


def _joined(values: list[np.ndarray | None]) -> np.ndarray | None:
    present = [value for value in values if value is not None]
    return np.concatenate(present) if len(present) == len(values) else None


@dataclass(frozen=True)
class Retrieved:
    """For each of Q inputs the position of the nearest training view, and its distance."""

    view: np.ndarray  # (Q,)
    distance: np.ndarray  # (Q,) root of the summed squared differences


def view_features(crops: np.ndarray) -> np.ndarray:
    """Features (V, S*S*4) float32 in [0, 1] of crops (V,S,S,4) uint8: RGB over grey, and the mask.

    Larger crops are averaged down to 64 pixels, smaller ones are taken as they are.
    """
    if crops.ndim != 4 or crops.shape[1] != crops.shape[2] or crops.shape[3] != 4 or crops.dtype != np.uint8:
        raise InputError(f"Crops must be (V,S,S,4) uint8 RGBA, got {crops.shape} {crops.dtype}.")
    pixels = crops.astype(np.float32) / 255
    alpha = pixels[..., 3:]
    pixels[..., :3] = pixels[..., :3] * alpha + BACKGROUND * (1 - alpha)
    factor = crops.shape[1] // FEATURE_SIZE_PX
    if factor > 1 and crops.shape[1] % FEATURE_SIZE_PX == 0:
        shape = (len(crops), FEATURE_SIZE_PX, factor, FEATURE_SIZE_PX, factor, 4)
        pixels = pixels.reshape(shape).mean((2, 4))
    return pixels.reshape(len(crops), -1)


def retrieve(queries: np.ndarray, training: np.ndarray, *, chunk: int = 512) -> Retrieved:
    """Nearest training crop (V,S,S,4) to each query crop (Q,S,S,4) by L2 over all pixels of view_features.

    One matrix product per chunk of training views, so that memory stays at chunk * S * S * 16 bytes.
    """
    if not len(training):
        raise InputError("Retrieval needs at least one training view.")
    if queries.shape[1:] != training.shape[1:]:
        raise InputError(f"Crops differ in shape: {queries.shape[1:]} and {training.shape[1:]}.")
    wanted = view_features(queries)
    best = np.full(len(queries), np.inf, np.float32)
    view = np.zeros(len(queries), np.int64)
    for start in range(0, len(training), chunk):
        block = view_features(training[start : start + chunk])
        # |q - t|^2 = |q|^2 - 2 q.t + |t|^2; the first is the same for all t and is added at the end.
        score = np.einsum("td,td->t", block, block)[None] - 2 * (wanted @ block.T)  # (Q, chunk)
        index = score.argmin(1)
        value = score[np.arange(len(queries)), index]
        better = value < best
        best[better], view[better] = value[better], start + index[better]
    squared = best + np.einsum("qd,qd->q", wanted, wanted)
    return Retrieved(view, np.sqrt(np.maximum(squared, 0)))


def thinned(cloud: PointCloud, count: int, generator: np.random.Generator) -> PointCloud:
    """`count` random points of a cloud; some twice when it has fewer, so that all methods have as many."""
    if len(cloud) >= count:
        return take(cloud, generator.permutation(len(cloud))[:count])
    extra = generator.integers(0, len(cloud), count - len(cloud))
    return take(cloud, np.concatenate((np.arange(len(cloud)), extra)))
