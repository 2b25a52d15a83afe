# SPDX-License-Identifier: Apache-2.0
"""Distance transforms against brute force, their edge cases, and the cache."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import projection_brute

from recon_core.errors import InputError
from recon_core.geometry.distance_transform import ArrayCache, distance_transform


def random_masks(generator, *shape, share=0.1):
    """Coverage with about `share` of the pixels in the foreground."""
    return (torch.rand(*shape, generator=generator) < share).float()


@pytest.mark.parametrize("inside", [False, True])
def test_agrees_with_brute_force(generator, inside):
    """Every pixel against every other, outside and inside."""
    masks = random_masks(generator, 2, 3, 12, 17, share=0.9 if inside else 0.1)
    exact = projection_brute.distances(~(masks > 0.5) if inside else masks > 0.5)
    got = distance_transform(masks, inside=inside)
    torch.testing.assert_close(got.double(), exact, rtol=1e-6, atol=0)
    assert exact.max() > 1.5


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), count=st.integers(0, 3), seed=st.integers(0, 99))
def test_any_size(height, width, count, seed):
    """Shapes hold; all distances are exact, at most the diagonal."""
    masks = random_masks(torch.Generator().manual_seed(seed), count, height, width)
    got = distance_transform(masks)
    assert got.shape == masks.shape
    torch.testing.assert_close(got.double(), projection_brute.distances(masks > 0.5), rtol=1e-6, atol=0)


def test_empty_and_full_masks_are_defined():
    """No foreground: the diagonal, everywhere; no background likewise for the inside; their opposites are 0."""
    empty, full = torch.zeros(1, 3, 4), torch.ones(1, 3, 4)
    assert (distance_transform(empty) == 5.0).all()
    assert (distance_transform(full) == 0.0).all()
    assert (distance_transform(full, inside=True) == 5.0).all()
    assert (distance_transform(empty, inside=True) == 0.0).all()
    assert distance_transform(torch.zeros(2, 0, 5)).shape == (2, 0, 5)


def test_threshold_and_types(device):
    """Coverage at the threshold is foreground; bool masks need none; types and devices are kept."""
    mask = torch.tensor([[0.5, 0.49, 0.0, 0.0]], device=device, dtype=torch.float64)
    torch.testing.assert_close(distance_transform(mask)[0].cpu(), torch.tensor([0.0, 1, 2, 3]).double())
    assert distance_transform(mask, threshold=0.6)[0, 0] == pytest.approx(math.hypot(1, 4))
    assert distance_transform(mask, threshold=0.4)[0, 2] == 1
    assert distance_transform(mask).device == mask.device
    assert distance_transform(mask > 0.4).dtype == torch.float32


def test_a_turned_mask_has_the_turned_distances(generator):
    """Rows and columns are treated alike."""
    mask = random_masks(generator, 9, 14)
    torch.testing.assert_close(distance_transform(mask.T), distance_transform(mask).T)
    torch.testing.assert_close(distance_transform(mask.flip(1)), distance_transform(mask).flip(1))


def test_the_cache_answers_again_and_tells_masks_apart(generator):
    """Equal pixels hit; other pixels, the inside variant and another shape of the same bits do not."""
    cache = ArrayCache()
    mask = random_masks(generator, 6, 8)
    first = distance_transform(mask, cache=cache)
    first.zero_()  # a caller's own copy
    again = distance_transform(mask.clone(), cache=cache)
    torch.testing.assert_close(again, distance_transform(mask, cache=None))
    assert (cache.hits, cache.misses) == (1, 1)
    for other, inside in ((1 - mask, False), (mask, True), (mask.view(8, 6), False)):
        got = distance_transform(other, inside=inside, cache=cache)
        torch.testing.assert_close(got, distance_transform(other, inside=inside, cache=None))
    assert (cache.hits, cache.misses) == (1, 4)


def test_the_cache_is_bounded(generator):
    """It drops what was unused for longest, and keeps nothing larger than itself."""
    masks = random_masks(generator, 5, 8, 8)
    cache = ArrayCache(max_bytes=2 * 8 * 8 * 4)
    distance_transform(masks[:2], cache=cache)
    distance_transform(masks[:1], cache=cache)  # mask 1 is now the oldest
    distance_transform(masks[2:3], cache=cache)
    assert (len(cache), cache.bytes, cache.hits) == (2, 512, 1)
    distance_transform(masks[:1], cache=cache)
    assert cache.hits == 2
    distance_transform(random_masks(generator, 64, 64), cache=cache)
    assert (len(cache), cache.bytes) == (2, 512)


def test_integer_masks_are_refused():
    """0..255 would be all foreground."""
    with pytest.raises(InputError, match="uint8"):
        distance_transform(torch.zeros(4, 4, dtype=torch.uint8))
    with pytest.raises(InputError, match="H, W"):
        distance_transform(torch.zeros(4))
