# SPDX-License-Identifier: Apache-2.0
"""Foreground masks: where they come from, how good they are, what is refused."""

import itertools

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from recon_core.errors import ConfigError, InputError
from recon_core.inference.components import keep_main_components, without_specks
from recon_core.inference.foreground import find_mask
from recon_core.inference.grabcut import minimum_cut
from recon_core.inference.plain_background import lab_from_srgb
from recon_core.io.images import LoadedImage, read_image, write_png


def _shape(height: int = 120, width: int = 160) -> np.ndarray:
    """A chair-like silhouette with thin legs (H,W) bool."""
    mask = np.zeros((height, width), bool)
    mask[20:70, 60:72] = True
    mask[60:74, 60:112] = True
    for left in (60, 82, 108):
        mask[74:104, left : left + 4] = True
    return mask


def _painted(background: np.ndarray, mask: np.ndarray, color=(150, 60, 40)) -> LoadedImage:
    rng = np.random.default_rng(3)
    rgb = np.where(mask[..., None], np.array(color), background).astype(np.float64)
    rgb = gaussian_filter(rgb, (0.6, 0.6, 0)) + rng.normal(0, 1.5, rgb.shape)
    rgb = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return LoadedImage(np.dstack((rgb, np.full(mask.shape, 255, np.uint8))), False)


def _iou(mask: np.ndarray, truth: np.ndarray) -> float:
    found = mask > 127
    return float((found & truth).sum() / (found | truth).sum())


def _flat(color, shape=(120, 160)) -> np.ndarray:
    return np.broadcast_to(np.array(color, float), (*shape, 3))


def _clutter(shape=(120, 160), seed: int = 0) -> np.ndarray:
    """A soft texture of greens and greys, as of a garden out of focus."""
    rng = np.random.default_rng(seed)
    noise = gaussian_filter(rng.normal(0, 1, (*shape, 2)), (4, 4, 0))
    noise /= noise.std()
    return np.clip(
        np.array([90, 115, 80]) + noise[..., :1] * [20, 26, 16] + noise[..., 1:] * [18, 18, 20], 0, 255
    )


def test_alpha_channel_is_used_as_it_is():
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[10:30, 10:30] = 255
    rgba[10, 10:30, 3] = 128
    mask, source = find_mask(LoadedImage(rgba, True))
    assert source == "alpha channel"
    np.testing.assert_array_equal(mask, rgba[..., 3])


def test_opaque_alpha_is_not_a_mask():
    image = _painted(_flat((240, 240, 240)), _shape())
    mask, source = find_mask(LoadedImage(image.rgba, True))
    assert source.startswith("border colour")
    assert _iou(mask, _shape()) > 0.93
    with pytest.raises(InputError, match="opaque everywhere"):
        find_mask(LoadedImage(image.rgba, True), method="alpha")
    with pytest.raises(InputError, match="does not exist"):
        find_mask(image, method="alpha")


@pytest.mark.parametrize("color", [(255, 255, 255), (12, 12, 12), (90, 140, 200), (200, 190, 170)])
def test_plain_background(color):
    mask, source = find_mask(_painted(_flat(color), _shape()))
    assert source == "border colour (plain background)"
    assert _iou(mask, _shape()) > 0.93


def test_background_in_holes_is_removed():
    truth = _shape()
    truth[30:60, 100:112] = truth[20:32, 60:112] = True  # closes a window between back, arm and seat
    mask, _ = find_mask(_painted(_flat((235, 238, 240)), truth))
    assert _iou(mask, truth) > 0.93
    assert mask[45, 85] == 0


def test_graded_background_and_vignette():
    v, u = np.mgrid[-1:1:120j, -1:1:160j]
    field = np.array([200, 205, 215]) - (30 * (u**2 + v**2) + 25 * v)[..., None]
    mask, source = find_mask(_painted(field, _shape()))
    assert source.startswith("border colour")
    assert _iou(mask, _shape()) > 0.93


def test_object_that_touches_the_border():
    truth = _shape()
    truth[70:, 60:112] = True
    mask, source = find_mask(_painted(_flat((230, 230, 235)), truth))
    assert source.startswith("border colour")
    assert _iou(mask, truth) > 0.93


def test_soft_shadow_is_left_out():
    truth = _shape()
    shadow = gaussian_filter(np.pad(np.ones((10, 70)), ((98, 12), (50, 40))), 6)
    mask, _ = find_mask(_painted(_flat((225, 225, 225)) - 45 * shadow[..., None], truth))
    assert _iou(mask, truth) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_cluttered_background(seed):
    truth = _shape()
    truth[60:110, 60:112] = True
    mask, source = find_mask(_painted(_clutter(seed=seed), truth))
    assert source.startswith("graph cut")
    assert _iou(mask, truth) > 0.9


def test_clutter_is_not_taken_for_a_plain_background():
    with pytest.raises(InputError, match="not plain"):
        find_mask(_painted(_clutter(), _shape()), method="border")


def test_letterbox_bars_are_background():
    background = _clutter()
    truth = _shape()
    background[:14], background[-14:] = 0, 0
    mask, _ = find_mask(_painted(background, truth), method="grabcut")
    assert not mask[:14].any()
    assert not mask[-14:].any()
    assert _iou(mask, truth) > 0.7


def test_estimates_are_repeatable():
    image = _painted(_clutter(), _shape())
    first, second = (find_mask(image, method="grabcut")[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_large_image_is_estimated_on_a_small_copy():
    truth = np.kron(_shape(), np.ones((10, 10), bool))
    rgba = np.zeros((*truth.shape, 4), np.uint8)
    rgba[...] = np.where(truth[..., None], (150, 60, 40, 255), (240, 240, 240, 255))
    mask, _ = find_mask(LoadedImage(rgba, False))
    assert mask.shape == truth.shape
    assert _iou(mask, truth) > 0.95


def test_one_colour_is_refused():
    for method in ("auto", "border", "grabcut"):
        with pytest.raises(InputError, match="is empty"):
            find_mask(
                LoadedImage(np.full((50, 50, 4), 255, np.uint8), False), method=method, name="white.png"
            )


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (8, 8)])
def test_tiny_images_are_refused_not_crashed(shape):
    with pytest.raises(InputError):
        find_mask(LoadedImage(np.full((*shape, 4), 255, np.uint8), False))


def test_empty_and_full_alpha_are_refused():
    rgba = np.zeros((50, 50, 4), np.uint8)
    with pytest.raises(InputError, match=r"photo\.png: .*alpha channel is empty"):
        find_mask(LoadedImage(rgba, True), name="photo.png")
    rgba[..., 3] = 255
    rgba[:2, :5, 3] = 0
    with pytest.raises(InputError, match="is full"):
        find_mask(LoadedImage(rgba, True))


def test_unknown_method_is_refused():
    with pytest.raises(ConfigError, match="auto, alpha, border, grabcut"):
        find_mask(_painted(_clutter(), _shape()), method="magic")


def test_mask_file_wins_and_is_resized(tmp_path):
    image = _painted(_clutter(), _shape())
    write_png(tmp_path / "m.png", (_shape() * 255).astype(np.uint8))
    mask, source = find_mask(image, tmp_path / "m.png")
    assert source == "mask file m.png"
    assert _iou(mask, _shape()) == 1
    Image.open(tmp_path / "m.png").resize((80, 60)).save(tmp_path / "half.png")
    mask, source = find_mask(image, tmp_path / "half.png")
    assert source == "mask file half.png, resized from 80 x 60"
    assert mask.shape == (120, 160)
    assert _iou(mask, _shape()) > 0.75
    Image.open(tmp_path / "m.png").resize((64, 64)).save(tmp_path / "square.png")
    assert "aspect ratio differs" in find_mask(image, tmp_path / "square.png")[1]


def test_cut_outs_as_mask_files(tmp_path):
    image = _painted(_clutter(), _shape())
    cut = image.rgba.copy()
    cut[..., 3] = _shape() * 255
    write_png(tmp_path / "alpha.png", cut)
    mask, source = find_mask(image, tmp_path / "alpha.png")
    assert "its alpha channel" in source
    assert _iou(mask, _shape()) == 1
    write_png(
        tmp_path / "white.png", np.where(_shape()[..., None], image.rgba[..., :3], 255).astype(np.uint8)
    )
    mask, source = find_mask(image, tmp_path / "white.png")
    assert "cut-out" in source
    assert _iou(mask, _shape()) > 0.9
    write_png(tmp_path / "photo.png", image.rgba[..., :3])
    with pytest.raises(InputError, match="without a plain background"):
        find_mask(image, tmp_path / "photo.png")


def test_bad_mask_files_are_refused(tmp_path):
    image = _painted(_clutter(), _shape())
    with pytest.raises(InputError, match="does not exist"):
        find_mask(image, tmp_path / "none.png")
    for value, word in ((0, "empty"), (255, "full")):
        write_png(tmp_path / "flat.png", np.full((30, 40), value, np.uint8))
        with pytest.raises(InputError, match=rf"flat\.png is {word}"):
            find_mask(image, tmp_path / "flat.png")


def test_main_components():
    mask = np.zeros((60, 60), bool)
    mask[5:35, 5:35], mask[40:46, 10:16], mask[50:52, 50:52] = True, True, True
    kept = keep_main_components(mask, share=0.02)
    assert kept[42, 12]
    assert not kept[50, 50]
    assert kept.sum() == 900 + 36
    assert not keep_main_components(np.zeros((4, 4), bool), share=0.02).any()


def test_specks_and_pinholes_go():
    mask = np.zeros((40, 40), bool)
    mask[5:25, 5:25], mask[10, 10], mask[30:32, 30:32] = True, False, True
    cleaned = without_specks(mask, smallest=5)
    assert cleaned[10, 10]
    assert cleaned.sum() == 400


def test_minimum_cut_is_the_least_energy_of_all_masks():
    rng = np.random.default_rng(5)
    shape = (3, 4)
    index = np.arange(12).reshape(shape)
    first = np.concatenate((index[:, :-1].ravel(), index[:-1].ravel()))
    second = np.concatenate((index[:, 1:].ravel(), index[1:].ravel()))
    for _ in range(5):
        unary = rng.normal(0, 1, shape)
        weight = rng.uniform(0, 1, first.size)
        masks = np.array(list(itertools.product((0, 1), repeat=12)))
        energy = masks @ unary.ravel() + (np.abs(masks[:, first] - masks[:, second]) * weight).sum(1)
        found = minimum_cut(unary, (first, second, weight)).ravel().astype(int)
        cost = found @ unary.ravel() + (np.abs(found[first] - found[second]) * weight).sum()
        assert cost <= energy.min() + 0.3


def test_lab_of_known_colours():
    rgb = np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 0, 255]]], np.uint8)
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]]
    np.testing.assert_allclose(lab_from_srgb(rgb)[0], expected, atol=0.1)


@pytest.mark.parametrize(
    ("name", "floor"),
    [("triposr_chair.png", 0.98), ("zero123_taxi.png", 0.98), ("instantmesh_extinguisher.png", 0.97)],
)
def test_real_cut_outs_on_white(shared_data, name, floor):
    truth = read_image(shared_data / "photos" / name).rgba
    rgb = np.rint(truth[..., :3] * (truth[..., 3:] / 255) + 255 - truth[..., 3:]).astype(np.uint8)
    image = LoadedImage(np.dstack((rgb, np.full(rgb.shape[:2], 255, np.uint8))), False)
    assert _iou(find_mask(image)[0], truth[..., 3] > 127) > floor
    assert _iou(find_mask(image, method="grabcut")[0], truth[..., 3] > 127) > 0.95
