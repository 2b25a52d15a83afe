# SPDX-License-Identifier: Apache-2.0
"""The mean training shape and retrieval against brute force."""

import time

import numpy as np
import pytest

from recon_core.errors import InputError
from recon_core.evaluation.baselines import mean_shape, retrieve, thinned, view_features
from recon_core.pointcloud import PointCloud


def _clouds() -> dict[str, PointCloud]:
    """Three clouds at x = 0, 1, 2 with colours and labels of their own, of unequal sizes."""
    clouds = {}
    for index, size in enumerate((40, 400, 4000)):
        xyz = np.random.default_rng(index).random((size, 3)) * 0.1 + (index, 0, 0)
        clouds[f"chair/{index}"] = PointCloud(xyz, np.full((size, 3), index * 10), np.full(size, index + 1))
    return clouds


def test_mean_shape_gives_every_object_its_share() -> None:
    clouds = _clouds()
    mean = mean_shape(clouds.__getitem__, list(clouds), 300, np.random.default_rng(0))
    assert len(mean) == 300
    owner = np.floor(mean.xyz[:, 0]).astype(int)
    assert (np.bincount(owner) == 100).all()
    assert mean.labels is not None
    assert mean.colors is not None
    assert (mean.labels == owner + 1).all()
    assert (mean.colors[:, 0] == owner * 10).all()


def test_mean_shape_of_more_objects_than_points_reads_only_as_many() -> None:
    clouds, read = _clouds(), []

    def load(name: str) -> PointCloud:
        read.append(name)
        return clouds[name]

    assert len(mean_shape(load, list(clouds), 2, np.random.default_rng(0))) == 2
    assert len(read) == 2
    with pytest.raises(InputError):
        mean_shape(load, [], 10, np.random.default_rng(0))


def test_mean_shape_drops_attributes_that_not_every_object_has() -> None:
    clouds = _clouds()
    clouds["chair/1"].labels = None
    mean = mean_shape(clouds.__getitem__, list(clouds), 30, np.random.default_rng(0))
    assert mean.labels is None
    assert mean.colors is not None


def test_thinned_keeps_attributes_and_fills_up_small_clouds() -> None:
    cloud = _clouds()["chair/0"]
    assert len(np.unique(thinned(cloud, 25, np.random.default_rng(0)).xyz, axis=0)) == 25
    filled = thinned(cloud, 100, np.random.default_rng(0))
    assert len(filled) == 100
    assert len(np.unique(filled.xyz, axis=0)) == 40


def test_features_put_the_object_on_grey_beside_its_mask() -> None:
    crop = np.zeros((1, 2, 2, 4), np.uint8)
    crop[0, 0, 0] = (255, 0, 102, 255)
    crop[0, 0, 1] = (255, 0, 102, 51)
    feature = view_features(crop).reshape(2, 2, 4)
    np.testing.assert_allclose(feature[0, 0], (1, 0, 0.4, 1), atol=1e-6)
    np.testing.assert_allclose(feature[0, 1], (0.2 + 0.4, 0.4, 0.08 + 0.4, 0.2), atol=1e-6)
    np.testing.assert_allclose(feature[1, 1], (0.5, 0.5, 0.5, 0))  # the colour under alpha 0 does not count
    large = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 4)).astype(np.uint8)
    assert view_features(large).shape == (1, 64 * 64 * 4)
    with pytest.raises(InputError):
        view_features(large[..., :3])


@pytest.mark.parametrize("chunk", [3, 512])
def test_retrieval_is_the_least_distance_over_all_pairs(chunk) -> None:
    generator = np.random.default_rng(0)
    training = generator.integers(0, 256, (20, 8, 8, 4)).astype(np.uint8)
    queries = training[[13, 2, 7]].astype(int) + generator.integers(-40, 40, (3, 8, 8, 4))
    queries = np.clip(queries, 0, 255).astype(np.uint8)
    found = retrieve(queries, training, chunk=chunk)
    pairs = np.linalg.norm(view_features(queries)[:, None] - view_features(training)[None], axis=-1)
    assert found.view.tolist() == pairs.argmin(1).tolist() == [13, 2, 7]
    np.testing.assert_allclose(found.distance, pairs.min(1), rtol=1e-4)
    with pytest.raises(InputError):
        retrieve(queries, training[:0])
    with pytest.raises(InputError):
        retrieve(queries, training[:, :4, :4])


def test_retrieval_among_many_views_is_fast() -> None:
    training = np.random.default_rng(0).integers(0, 256, (2560, 64, 64, 4)).astype(np.uint8)
    queries = training[::8].copy()
    start = time.perf_counter()
    found = retrieve(queries, training)
    print(f"320 inputs against 2560 views: {time.perf_counter() - start:.2f} s")
    assert (found.view == np.arange(0, 2560, 8)).all()
    assert time.perf_counter() - start < 10  # about 1 s on a quiet core
