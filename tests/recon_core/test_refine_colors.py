# SPDX-License-Identifier: Apache-2.0
"""Colours in refinement: what is seen is looked up, the rest follows by the formula, and no image is matched worse."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from reference import refine_brute
from refine_scenes import camera, seat, silhouette

from recon_core.cameras import Cameras
from recon_core.data.crop import fit_box
from recon_core.inference.reconstruct import COLOR_SOURCES
from recon_core.pointcloud import PointCloud
from recon_core.refining import colors
from recon_core.refining.colors import Shot, fit_colors, judge, spread_colors

VIEW = camera(35.0, size=80)
RED, BLUE = (210, 40, 30), (20, 60, 200)


def cloud_of(count: int = 2500, color=(120, 120, 120), **fields) -> PointCloud:
    """A seat of one colour."""
    return PointCloud(seat(count, seed=3), np.full((count, 3), color, np.uint8), **fields)


def photo(paint, view: Cameras = VIEW) -> Shot:
    """The seat in this view, painted all over, or left and right of the middle, over a background of another colour."""
    mask = silhouette(seat(5000, seed=9), view)
    rgba = np.full((view.height, view.width, 4), (0, 255, 0, 255), np.uint8)
    left, right = paint if isinstance(paint[0], tuple) else (paint, paint)
    middle = view.width // 2
    rgba[:, :middle, :3], rgba[:, middle:, :3] = left, right
    rgba[mask < 128, :3] = (0, 255, 0)
    rgba[..., 3] = mask
    return Shot(rgba, view, fit_box(mask))


def test_seen_points_take_the_colour_at_their_place():
    """Left red, right blue; what no image shows is pulled towards both, and the rim never shows the background."""
    cloud = cloud_of()
    fit = fit_colors(cloud, [photo((RED, BLUE))], tied=False)
    assert fit is not None
    assert 0.25 < fit.seen.mean() < 0.75
    u = VIEW.project(torch.from_numpy(cloud.xyz.astype(np.float64))[None])[0][0, :, 0].numpy()
    for side, color in ((u < 37, RED), (u > 43, BLUE)):
        assert np.abs(fit.colors[fit.seen & side].astype(int) - color).mean() < 6
    hidden = fit.colors[~fit.seen].astype(int)
    assert ((hidden[:, 1] < 120) & (hidden[:, 1] > 30)).all()  # no green of the background
    assert fit.psnr_db[0] is not None
    assert fit.psnr_db[1] > fit.psnr_db[0] + 5
    assert fit.drawn.shape == (2, 1, 96, 96, 3)


@pytest.mark.parametrize("tied", [False, True])
def test_what_is_unseen_follows_the_formula(tied):
    """Against the posterior written with loops, with three parts; seen points have exactly what was given."""
    rng = np.random.default_rng(2)
    xyz, labels = rng.normal(size=(40, 3)).astype(np.float32) * 0.3, rng.integers(1, 4, 40)
    cloud = PointCloud(xyz, rng.integers(90, 160, (40, 3)), labels)
    given_colors, seen = rng.uniform(60, 190, (40, 3)), rng.random(40) < 0.5
    assert cloud.colors is not None
    before = cloud.colors.astype(float)
    reach = colors._REACH * float(np.linalg.norm(np.ptp(xyz, axis=0)))
    sizes = (colors._PART, colors._NEAR, reach, colors._NOISE)
    told = refine_brute.color_posterior(xyz.astype(float), labels, given_colors - before, seen, tied, *sizes)
    expected = np.where(seen[:, None], given_colors, before + told)
    found = spread_colors(cloud, given_colors, seen, tied)
    assert np.abs(found - expected).max() < 0.51
    order = rng.permutation(40)
    turned = PointCloud(xyz[order], cloud.colors[order], labels[order])
    assert np.array_equal(spread_colors(turned, given_colors[order], seen[order], tied), found[order])


def test_sides_that_are_tied_tell_each_other():
    """A spot seen on the left is on the right too, where a cloud has no parts that say more."""
    xyz = np.concatenate((seat(300, seed=1), seat(300, seed=1) * np.array([-1, 1, 1], np.float32)))
    cloud = PointCloud(xyz, np.full((600, 3), 100, np.uint8), np.ones(600, np.uint8))
    seen = np.arange(600) < 300
    given_colors = np.where(xyz[:, 2:] > 0.1, 160.0, 60.0) + np.zeros((600, 3))
    apart, tied = (
        spread_colors(cloud, given_colors, seen, how).astype(int)[300:, 0] for how in (False, True)
    )
    high = xyz[300:, 2] > 0.1
    assert tied[high].mean() - tied[~high].mean() > apart[high].mean() - apart[~high].mean() > 0


def test_colours_that_are_no_prediction_say_nothing_of_the_hidden_side():
    cloud = cloud_of(color=(255, 0, 255), comments={"color": COLOR_SOURCES["height"]})
    fit = fit_colors(cloud, [photo(RED)], tied=False)
    assert fit is not None
    assert (np.abs(fit.colors.astype(int) - RED) <= 3).all()
    bare = fit_colors(PointCloud(cloud.xyz), [photo(RED)], tied=False)
    assert bare is not None
    assert bare.psnr_db[0] is None
    assert np.array_equal(bare.colors, fit.colors)


def test_several_images():
    """More of the cloud is seen; where two see a point it takes their mean."""
    cloud, back = cloud_of(), camera(215.0, size=64)
    fit = fit_colors(cloud, [photo(RED), photo(BLUE, back)], tied=False)
    one = fit_colors(cloud, [photo(RED)], tied=False)
    same = fit_colors(cloud, [photo(RED), photo(BLUE)], tied=False)
    assert fit is not None
    assert one is not None
    assert same is not None
    assert fit.seen.mean() > one.seen.mean() + 0.2
    assert (np.abs(same.colors[same.seen].astype(int) - np.add(RED, BLUE) // 2) <= 2).all()


def test_the_size_of_the_photograph_does_not_matter():
    small = photo((RED, BLUE))
    large = np.asarray(Image.fromarray(small.rgba).resize((400, 400), Image.Resampling.NEAREST))
    cx, cy, side = small.box
    first, second = (
        fit_colors(cloud_of(), [shot], tied=False)
        for shot in (small, Shot(large, VIEW, (5 * cx, 5 * cy, 5 * side)))
    )
    assert first is not None
    assert second is not None
    assert np.abs(first.colors.astype(int) - second.colors).mean() < 3


def test_psnr_is_that_of_the_difference():
    cloud, shot = cloud_of(color=(110, 110, 110)), photo((100, 100, 100))
    seen = np.ones((1, len(cloud)), bool)
    assert cloud.colors is not None
    psnr, picture = judge(cloud.xyz, cloud.colors, [shot.crop(96)], seen)
    assert psnr == pytest.approx(20 * np.log10(255 / 10), abs=0.6)
    assert (picture[0, 0, 0] == 255).all()
    assert judge(cloud.xyz, cloud.colors, [shot.crop(96)], ~seen)[0] is None


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 999),
    count=st.integers(10, 300),
    noise=st.sampled_from([0, 40, 255]),
    azimuth=st.floats(0, 360),
)
def test_never_worse(seed, count, noise, azimuth):
    """Whatever cloud and picture: an image is matched better, or all stays as it is."""
    rng = np.random.default_rng(seed)
    shot = photo((RED, BLUE), camera(azimuth, size=48))
    speckled = shot.rgba[..., :3] + rng.integers(-noise, noise + 1, (48, 48, 3))
    shot = replace(shot, rgba=np.dstack((speckled.clip(0, 255).astype(np.uint8), shot.rgba[..., 3])))
    cloud = PointCloud(seat(count, seed=seed), rng.integers(0, 256, (count, 3)))
    fit = fit_colors(cloud, [shot], tied=bool(seed % 2))
    if fit is not None:
        assert fit.psnr_db[0] is not None
        assert fit.psnr_db[1] > fit.psnr_db[0]
        again = fit_colors(replace(cloud, colors=fit.colors), [shot], tied=bool(seed % 2))
        assert again is None or again.psnr_db[1] >= fit.psnr_db[1]


def test_when_colours_stay():
    """By wish; where an image has none to give; where next to nothing is seen; where nothing would be better."""
    cloud, grey = cloud_of(), photo(((90, 90, 90), (140, 140, 140)))
    assert fit_colors(cloud, [photo((RED, BLUE))], False, "keep") is None
    assert fit_colors(cloud, [photo((255, 255, 255))], False, "auto") is None
    assert fit_colors(cloud, [photo((RED, BLUE))], False, "auto") is not None
    assert fit_colors(cloud, [grey], False, "auto") is not None
    assert fit_colors(PointCloud(cloud.xyz), [grey], False, "auto") is None
    assert fit_colors(PointCloud(cloud.xyz), [grey], False, "fit") is not None
    matrix = VIEW.world_to_cam.clone()
    matrix[:, (0, 2)] *= -1  # it looks the other way
    away = replace(photo((RED, BLUE)), camera=replace(VIEW, world_to_cam=matrix))
    assert fit_colors(cloud, [away], False, "fit") is None
    fit = fit_colors(cloud, [photo((RED, BLUE))], False, "fit")
    assert fit is not None
    assert fit_colors(replace(cloud, colors=fit.colors), [photo((RED, BLUE))], False, "fit") is None
