# SPDX-License-Identifier: Apache-2.0
"""Part labels carried over by nearest points: against plain loops, ties, limits, bad input."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recon_core.errors import InputError
from recon_core.geometry.labels import transfer_labels


def _brute(source, labels, target, neighbours, limit):
    """By sorting all distances of each point."""
    found = []
    for point in target:
        distance = np.linalg.norm(source - point, axis=1)
        near = [int(labels[i]) for i in distance.argsort(kind="stable")[:neighbours] if distance[i] < limit]
        most = max(Counter(near).values(), default=0)
        winner = next((label for label in near if near.count(label) == most), 0)
        found.append((winner, most / max(len(near), 1)))
    return np.array(found).reshape(-1, 2).T


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(0, 20), st.integers(1, 6), st.integers(0, 10_000), st.floats(0.05, 2))
def test_agrees_with_sorting_all_distances(count, wanted, neighbours, seed, limit):
    generator = np.random.default_rng(seed)
    source, target = generator.random((count, 3)), generator.random((wanted, 3))
    labels = generator.integers(0, 4, count).astype(np.uint8)
    found, share = transfer_labels(source, labels, target, neighbours=neighbours, max_distance=limit)
    expected, expected_share = _brute(source, labels, target, neighbours, limit)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(share, expected_share, rtol=1e-6)


def test_a_vote_outweighs_one_stray_neighbour():
    source = np.array([[0.0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]])
    labels = np.array([7, 2, 2])
    assert transfer_labels(source, labels, np.zeros((1, 3)))[0] == [7]
    found, share = transfer_labels(source, labels, np.zeros((1, 3)), neighbours=3)
    assert (found, share) == (pytest.approx([2]), pytest.approx([2 / 3]))
    assert transfer_labels(source, labels, np.zeros((1, 3)), neighbours=2)[0] == [7]  # a tie: the nearest
    assert transfer_labels(source, labels, np.zeros((1, 3)), neighbours=9)[0] == [2]  # all vote


def test_coincident_points_and_far_ones():
    source, labels = np.zeros((4, 3)), np.array([3, 3, 3, 1])
    assert transfer_labels(source, labels, np.zeros((2, 3)), neighbours=4)[0].tolist() == [3, 3]
    far = transfer_labels(source, labels, np.full((1, 3), 9.0), neighbours=2, max_distance=1)
    assert far[0].tolist() == [0]
    assert far[1].tolist() == [0]


@pytest.mark.parametrize(
    ("source", "labels", "options", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), {}, "non-empty"),
        (np.zeros((2, 3)), np.zeros(3, int), {}, "2 integer labels"),
        (np.zeros((2, 3)), np.zeros(2), {}, "integer labels"),
        (np.zeros((2, 3)), np.array([1, -1]), {}, "negative"),
        (np.zeros((2, 3)), np.ones(2, int), {"neighbours": 0}, "at least 1"),
    ],
)
def test_bad_input_is_refused(source, labels, options, message):
    with pytest.raises(InputError, match=message):
        transfer_labels(source, labels, np.zeros((1, 3)), **options)


def test_points_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="finite"):
        transfer_labels(np.zeros((2, 3)), np.ones(2, int), np.full((1, 3), np.nan), neighbours=2)
