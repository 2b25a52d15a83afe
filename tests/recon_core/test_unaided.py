# SPDX-License-Identifier: Apache-2.0
"""Pictures without help: what is in the middle is found among things that stand out more, or called doubtful."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from recon_core.inference.color_mixture import color_cost
from recon_core.inference.foreground import find_mask, mask_record
from recon_core.inference.grabcut import cut_energy
from recon_core.inference.plain_background import lab_from_srgb
from recon_core.inference.unaided import mask_unaided
from recon_core.io.images import LoadedImage

H, W = 110, 150


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def _noise(sigma: float, seed: int) -> np.ndarray:
    field = gaussian_filter(np.random.default_rng(seed).normal(0, 1, (H, W)), sigma)
    return (field / field.std())[..., None]


def _street(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A grey van (H,W,3) with dark windows and wheels on a grey road, its mask, and that of a red sign at the side."""
    rgb = np.full((H, W, 3), (128.0, 128, 130)) + 7 * _noise(1.5, seed)
    rgb[:35] = np.array((150, 152, 155)) + 6 * _noise(4, seed + 1)[:35]
    van, sign = np.zeros((2, H, W), bool)
    van[40:80, 40:115] = True
    sign[12:30, 6:22] = True
    rgb[van] = (186, 187, 190)
    rgb[45:58, 50:105] = (96, 98, 102)
    rgb[74:84, 48:58] = rgb[74:84, 95:105] = (80, 80, 82)
    van[74:84, 48:58] = van[74:84, 95:105] = True
    rgb[sign] = (200, 40, 40)
    rgb = gaussian_filter(rgb, (0.6, 0.6, 0)) + np.random.default_rng(seed).normal(0, 2, rgb.shape)
    return np.clip(rgb, 0, 255).astype(np.uint8), van, sign


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_grey_thing_in_the_middle_is_found_beside_a_red_one(seed):
    rgb, van, sign = _street(seed)
    mask, _ = mask_unaided(rgb)
    assert mask is not None
    assert _iou(mask, van) > 0.9
    assert not (mask & sign).any()


def test_bars_above_and_below_are_no_object():
    rgb = _street()[0]
    barred = np.concatenate((np.zeros((20, W, 3), np.uint8), rgb, np.zeros((20, W, 3), np.uint8)))
    mask, _ = mask_unaided(barred)
    assert mask is not None
    assert not mask[:20].any()
    assert not mask[-20:].any()
    assert _iou(mask[20:-20], mask_unaided(rgb)[0]) == 1


def test_the_energy_is_that_of_its_definition():
    """Of a small picture with noise-free halves, by hand: own mixtures, weights along the border, the prior."""
    rgb = np.zeros((10, 12, 3), np.uint8)
    rgb[:, 6:] = 200
    mask = np.zeros((10, 12), bool)
    mask[:, 6:] = True
    prior = np.random.default_rng(0).normal(size=(10, 12))
    lab = lab_from_srgb(rgb).astype(np.float64)
    jump = float(((lab[0, 5] - lab[0, 6]) ** 2).sum())
    pairs = [(dv, du) for dv, du in ((0, 1), (1, 0), (1, 1), (1, -1))]
    counts = {one: (10 - one[0]) * (12 - abs(one[1])) for one in pairs}
    across = {(0, 1): 10, (1, 0): 0, (1, 1): 9, (1, -1): 9}
    mean_square = jump * sum(across.values()) / sum(counts.values())
    weight = 50 * np.exp(-jump / (2 * mean_square))
    border = weight * sum(across[one] / np.hypot(*one) for one in pairs)
    # Each half has one colour, whose density's covariance is the floor of 1 per axis, weight 1: 0 nats per pixel.
    both = color_cost(lab.reshape(-1, 3), lab.reshape(-1, 3), np.random.default_rng(1)).sum()
    expected = (border - prior[mask].sum() - both) / 120
    assert cut_energy(rgb, mask, prior, np.random.default_rng(1)) == pytest.approx(expected)
    assert cut_energy(rgb, np.zeros_like(mask), prior, np.random.default_rng(1)) == 0


def test_doubt_is_said():
    """Two things at the sides and nothing in the middle are doubtful, a ball there is not, what was given never is."""
    texture = np.array([120, 122, 118]) + 12 * _noise(2.5, 4)
    y, x = np.mgrid[:H, :W]
    balls = {u: (x - u) ** 2 + (y - 57) ** 2 < 18**2 for u in (24, 75, 128)}
    told = {}
    for name, places in {"sides": (24, 128), "middle": (75,)}.items():
        object_mask = np.any([balls[u] for u in places], 0)
        rgb = np.where(object_mask[..., None], (190, 40, 30), texture)
        rgba = np.dstack((np.clip(rgb, 0, 255), np.full((H, W), 255))).astype(np.uint8)
        mask, source = find_mask(LoadedImage(rgba, False), method="grabcut")
        told[name] = mask_record(mask, source)
    assert told["sides"]["doubtful"]
    assert "give --box or --scribbles" in told["sides"]["source"]
    assert not told["middle"]["doubtful"]
    assert told["middle"]["share"] == pytest.approx(balls[75].mean(), rel=0.05)
    assert not mask_record(balls[75].astype(np.uint8) * 255, "mask file a.png")["doubtful"]
