# SPDX-License-Identifier: Apache-2.0
"""Wrong masks: each error does what its name says, to the share of images that is asked for, and nothing when off."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from tiny_dataset import make_tiny_dataset

from recon_core.data.augment import AugmentConfig, augment_input, compose_input, warp
from recon_core.data.cache import load_views
from recon_core.data.draws import Draw
from recon_core.data.mask_errors import (
    bars,
    blobs,
    extents,
    outline,
    random_bars,
    random_blobs,
    random_cut,
    refit,
    soften_outline,
)

SIZE = 48
OFF = AugmentConfig.off()
ERRORS = ("matting", "hole", "spill", "occluder", "cut")


@pytest.fixture(scope="module")
def crops(tmp_path_factory) -> torch.Tensor:
    """32 crops (32,4,48,48) of boxes and balls."""
    root = make_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny", 4, 6, SIZE, points=256)
    views = load_views(root, "train", input_size=SIZE, mask_size=SIZE, progress=False)
    pixels = torch.from_numpy(np.array(views.inputs)).flatten(0, 1).permute(0, 3, 1, 2).float() / 255
    return pixels.repeat(3, 1, 1, 1)[:32]


def _draw(like: torch.Tensor, seed: int = 0) -> Draw:
    return Draw(like, torch.Generator().manual_seed(seed))


def _only(name: str, strength: float, probability: float = 1.0) -> AugmentConfig:
    return OFF.model_copy(update={f"{name}_probability": probability, name: strength})


# --- shapes ------------------------------------------------------------------------------------------------


def test_blobs_have_the_area_of_their_radius_and_bars_of_their_width() -> None:
    center = torch.tensor([[24.0, 24.0], [20.3, 30.7], [24.0, 24.0]])
    radius, plain = torch.tensor([10.0, 6.5, 0.0]), torch.zeros(3, 1, SIZE, SIZE)
    area = blobs(center, radius, plain).sum((1, 2, 3))
    torch.testing.assert_close(area, math.pi * radius**2, rtol=0.02, atol=1e-6)
    where = torch.stack(torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="xy"))
    mean = (blobs(center, radius, plain)[:2] * where).sum((2, 3)) / area[:2, None]
    torch.testing.assert_close(mean, center[:2], atol=0.02, rtol=0)
    width = torch.tensor([4.0, 7.0, 0.0])
    across = bars(center, torch.tensor([0.0, math.pi / 2, 1.0]), width, (SIZE, SIZE))
    torch.testing.assert_close(across.sum((1, 2, 3)), width * SIZE, rtol=1e-4, atol=1e-4)
    assert across[0, 0, 23:25].min() == 1  # at angle 0 it lies flat
    assert across[1, 0, :, 19:22].min() == 1


def test_ragged_blobs_stay_within_their_reach() -> None:
    weight = torch.ones(16, 1, SIZE, SIZE)
    found = random_blobs(weight, 10.0, 1.0, _draw(weight))
    assert (found.sum((1, 2, 3)) > 0).all()
    assert found.sum((1, 2, 3)).max() < math.pi * 16**2
    round_ones = blobs(torch.full((16, 2), 24.0), torch.full((16,), 8.0), torch.zeros(16, 1, SIZE, SIZE))
    assert torch.pdist(found.flatten(1)).min() > 0
    assert (found - round_ones).abs().sum() > 0


def test_outlines_are_where_masks_change() -> None:
    square = torch.zeros(1, 1, 16, 16)
    square[..., 5:11, 4:12] = 1
    inside = ndimage.binary_erosion(square[0, 0].numpy() > 0, np.ones((3, 3)))
    around = ndimage.binary_dilation(square[0, 0].numpy() > 0, np.ones((3, 3)))
    np.testing.assert_array_equal(outline(square)[0, 0].numpy() > 0, around & np.logical_not(inside))
    touching = torch.ones(1, 1, 8, 8)  # beyond the frame there is nothing
    assert outline(touching)[0, 0, 0].min() == 1


def test_places_are_drawn_in_proportion_to_their_weight() -> None:
    weight = torch.zeros(4000, 1, 6, 5)
    weight[:, 0, 1, 3], weight[:, 0, 4, 0] = 3.0, 1.0
    found = _draw(weight).places(weight)
    first = (found == torch.tensor([3.5, 1.5])).all(1)
    assert ((found == torch.tensor([0.5, 4.5])).all(1) | first).all()
    assert float(first.float().mean()) == pytest.approx(0.75, abs=0.03)


def test_soft_outlines_keep_the_inside_and_lose_what_is_thin() -> None:
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 8:40] = 1
    mask[..., 16:48, 52:54] = 1
    soft = soften_outline(mask, torch.tensor([2.0]), torch.tensor([0.3]))
    assert soft[0, 0, 24:40, 16:32].min() > 0.999
    assert soft[0, 0, 30, 52:54].max() < 0.3
    # A straight edge: (Phi(d / sigma) - loss) / (1 - loss) at the pixel's centre.
    inside = torch.arange(-6, 6) + 0.5
    expected = ((torch.special.ndtr(inside / 2) - 0.3) / 0.7).clamp(0, 1)
    torch.testing.assert_close(soft[0, 0, 32, 2:14], expected, atol=0.02, rtol=0)
    assert torch.equal(soften_outline(mask, torch.tensor([0.0]), torch.tensor([0.3])), mask)


def test_extents_against_numpy_and_of_empty_masks(crops: torch.Tensor) -> None:
    low, high = extents(crops[:, 3:])
    for index, alpha in enumerate(crops[:, 3].numpy()):
        rows, columns = np.nonzero(alpha > 0.5)
        assert low[index].tolist() == [columns.min(), rows.min()]
        assert high[index].tolist() == [columns.max() + 1, rows.max() + 1]
    low, high = extents(torch.zeros(1, 1, 5, 7))
    assert (low.tolist(), high.tolist()) == ([[0, 0]], [[7, 5]])


# --- cuts --------------------------------------------------------------------------------------------------


def test_cuts_take_one_side_and_the_rest_fills_the_crop(crops: torch.Tensor) -> None:
    alpha = crops[:, 3:]
    kept, scale, shift = random_cut(alpha, 0.4, 1.0, _draw(alpha, 1))
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    low, high = extents(alpha)
    sides = set()
    for index, gone in enumerate((1 - kept[:, 0]).bool()):
        if not gone.any():
            continue
        is_rows = bool((gone == gone[:, :1]).all())  # a band from side to side, else from top to bottom
        band = gone[:, 0] if is_rows else gone[0]
        assert is_rows or (gone == gone[:1]).all()
        assert (band.long().diff() != 0).sum() == 1
        first, last = int(low[index, int(is_rows)]), int(high[index, int(is_rows)])
        assert int(band[first:last].sum()) <= 0.4 * (last - first) + 1
        sides.add((is_rows, bool(band[0])))
    assert len(sides) == 4
    assert ((alpha * kept).sum((1, 2, 3)) >= 0.3 * alpha.sum((1, 2, 3))).all()
    moved, _ = warp(torch.cat((crops[:, :3], alpha * kept), 1), scale, shift)
    after_low, after_high = extents(moved[:, 3:])
    torch.testing.assert_close((after_high - after_low).amax(1), (high - low).amax(1), atol=2.0, rtol=0)
    torch.testing.assert_close(after_high + after_low, high + low, atol=2.5, rtol=0)


def test_refit_of_equal_masks_changes_nothing(crops: torch.Tensor) -> None:
    scale, shift = refit(crops[:, 3:], crops[:, 3:])
    assert torch.equal(scale, torch.ones(32))
    assert torch.equal(shift, torch.zeros(32, 2))


def test_uncut_items_stay_as_they_are(crops: torch.Tensor) -> None:
    changed = augment_input(crops, _only("cut", 0.4, 0.5), torch.Generator().manual_seed(0))
    same = [torch.allclose(one, two, atol=1e-5) for one, two in zip(changed, compose_input(crops))]
    assert 6 <= sum(same) <= 26


# --- inputs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_hits_its_share_and_its_strength_alone_does_nothing(
    crops: torch.Tensor, name: str
) -> None:
    plain = compose_input(crops)
    generator = torch.Generator().manual_seed(0)
    torch.testing.assert_close(augment_input(crops, OFF.model_copy(update={name: 0.1}), generator), plain)
    changed = augment_input(crops, _only(name, 0.1, 0.5), torch.Generator().manual_seed(1))
    hit = ((changed - plain).abs() > 1e-4).flatten(1).any(1)
    assert 6 <= int(hit.sum()) <= 26
    again = augment_input(crops, _only(name, 0.1, 0.5), torch.Generator().manual_seed(1))
    assert torch.equal(changed, again)
    assert torch.isfinite(changed).all()
    assert 0 <= float(changed.min()) <= float(changed.max()) <= 1


@pytest.mark.parametrize(("name", "sign"), [("hole", -1), ("spill", 1), ("occluder", -1)])
def test_holes_take_and_spills_add(crops: torch.Tensor, name: str, sign: int) -> None:
    changed = augment_input(crops, _only(name, 0.15), torch.Generator().manual_seed(2))
    grown = changed[:, 3] - crops[:, 3]
    assert (sign * grown >= -1e-5).all()
    assert ((sign * grown).sum((1, 2)) > 1).float().mean() > 0.9
    # What the mask leaves out is grey in a cut-out; what it holds by mistake shows the scene.
    outside = (changed[:, 3:] == 0).expand(-1, 3, -1, -1)
    assert (changed[:, :3][outside] == 0.5).all()
    if name == "spill":
        spilt = ((changed[:, 3:] == 1) & (crops[:, 3:] == 0)).expand(-1, 3, -1, -1)
        assert (changed[:, :3][spilt] - 0.5).abs().mean() > 0.1


def test_what_stands_in_front_is_seen_where_the_scene_is(crops: torch.Tensor) -> None:
    config = _only("occluder", 0.3).model_copy(update={"background_probability": 1.0})
    changed = augment_input(crops, config, torch.Generator().manual_seed(2))
    covered = (crops[:, 3] == 1) & (changed[:, 3] == 0)  # (B, H, W)
    assert covered.flatten(1).any(1).float().mean() > 0.9
    for rgb, there in zip(changed[:, :3], covered):
        colors = rgb[:, there]
        assert not there.any() or (colors - colors[:, :1]).abs().max() < 1e-5  # one colour


def test_bars_lie_over_the_object(crops: torch.Tensor) -> None:
    alpha = crops[:, 3:]
    found = random_bars(alpha, 6.0, 1.0, _draw(alpha))
    assert ((found * alpha).sum((1, 2, 3)) > 0.5).all()


def test_matting_makes_values_between(crops: torch.Tensor) -> None:
    changed = augment_input(crops, _only("matting", 0.05), torch.Generator().manual_seed(0))[:, 3]

    def between(mask: torch.Tensor) -> torch.Tensor:
        return ((mask > 0.05) & (mask < 0.95)).float().mean((1, 2))

    assert (between(changed) > between(crops[:, 3])).float().mean() > 0.9


def test_shift_is_independent_of_scale(crops: torch.Tensor) -> None:
    """Crop jitter: the object's centre moves whatever its size does."""
    ball = torch.zeros(400, 4, SIZE, SIZE)
    ball[:, 3:] = blobs(torch.full((400, 2), 24.0), torch.full((400,), 9.0), torch.zeros(400, 1, SIZE, SIZE))
    config = OFF.model_copy(update={"scale": 0.2, "shift": 0.1})
    mask = augment_input(ball, config, torch.Generator().manual_seed(0))[:, 3:]
    area = mask.sum((1, 2, 3))
    at = torch.arange(SIZE) + 0.5
    across, down = (mask * at).sum((1, 2, 3)) / area, (mask * at[:, None]).sum((1, 2, 3)) / area
    spread = torch.stack((area.sqrt(), across, down))
    assert (torch.corrcoef(spread) - torch.eye(3)).abs().max() < 0.15
    assert float(across.std()) == pytest.approx(2 * 0.1 * SIZE / math.sqrt(12), rel=0.1)


def test_errors_are_off_by_default() -> None:
    assert all(getattr(AugmentConfig(), f"{name}_probability") == 0 for name in ERRORS)
