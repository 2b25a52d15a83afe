# SPDX-License-Identifier: Apache-2.0
"""Refinement: its prior against the formula, never worse, what it mends, what it leaves, what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import refine_brute, splat_brute
from refine_scenes import camera, seat, silhouette

from recon_core.cameras import Cameras, quaternion_to_matrix, rotation_angle_deg
from recon_core.errors import ConfigError, InputError
from recon_core.geometry.chamfer import chamfer
from recon_core.pointcloud import PointCloud
from recon_core.refining.camera_step import CameraPrior, moved
from recon_core.refining.field import FieldPrior, make_field, mirrored_kernels
from recon_core.refining.objective import Problem, State, Weights, soft_box
from recon_core.refining.refine import RefineOptions, refine
from recon_core.refining.symmetry import mirror_gap
from recon_core.refining.targets import make_targets

KEPT = CameraPrior((0.0, 0.0, 0.0), 0.0, 0.0)
QUICK = RefineOptions(
    steps=60, size=32, sigma_px=(2.5, 0.7), anchors=60, points=600, learning_rate=0.12, camera=KEPT
)
TRUTH = seat(6000, seed=9)


def distance(xyz: np.ndarray, truth: np.ndarray = TRUTH) -> float:
    """Chamfer sum x100."""
    forth, back = chamfer(
        torch.from_numpy(xyz)[None].float(), torch.from_numpy(truth)[None].float(), squared=False
    )
    return 100 * float(forth + back)


def error(xyz: np.ndarray) -> float:
    """Chamfer sum x100 beyond that of as many true points."""
    return distance(xyz) - distance(seat(len(xyz), seed=5))


@pytest.mark.parametrize("mirror", [0.0, 0.7, 1.0])
def test_prior_is_the_formula(mirror):
    """Kernels pair by pair; with every point an anchor, the basis has exactly the prior's covariance."""
    places = np.random.default_rng(1).normal(size=(12, 3)) * 0.3
    prior = FieldPrior(stretch=0.2, shear=0.1, bumps=((0.4, 0.05), (0.1, 0.02)))
    expected = refine_brute.covariance(places, prior.stretch, prior.shear, prior.bumps, mirror)
    assert np.allclose(mirrored_kernels(places, places, prior, mirror), expected, atol=1e-12)
    centre, unit = np.array([0.0, 0.3, -0.2]), 2.5
    field = make_field(places * unit + centre, prior, mirror, centre, unit, anchors=12)
    basis = field.basis(places * unit + centre).double().numpy() / unit
    assert np.allclose(basis @ basis.transpose(0, 2, 1), expected, atol=2e-5)


def test_tied_sides_move_alike():
    """At correlation 1 the field of any coefficients is symmetric, everywhere; at 0 it is not."""
    xyz = seat(300)
    for mirror, tied in ((1.0, True), (0.0, False)):
        field = make_field(xyz, FieldPrior(), mirror, np.zeros(3), 1.0, anchors=40)
        white = torch.from_numpy(np.random.default_rng(3).normal(size=(3, field.rank))).float()
        places = np.random.default_rng(4).uniform(-0.4, 0.4, (50, 3))
        here, there = (
            torch.einsum("cnr,cr->nc", field.basis(p), white).numpy() for p in (places, places * (-1, 1, 1))
        )
        assert np.allclose(here, there * (-1, 1, 1), atol=1e-5) == tied


def test_masks_are_drawn_as_points_that_fill_them():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 8:34] = 255
    view = replace(camera(0.0, size=40))
    targets = make_targets(seat(500), [view], [mask], 24)
    steps = torch.arange(24, dtype=torch.float64) + 0.5
    pixels = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(1, -1, 2)
    tau = 3.0 * targets.masks.double().flatten(1)
    expected = splat_brute.mask(pixels, torch.ones_like(tau), tau, (24, 24), 1.3)
    assert torch.allclose(targets.drawn(1.3, 3.0).double(), expected, atol=3e-2)
    back = targets.full(targets.cameras)[0]
    for name in ("fx", "fy", "cx", "cy", "world_to_cam"):
        assert torch.allclose(getattr(back, name), getattr(view, name), atol=1e-4)
    assert (back.width, back.height) == (40, 40)


def test_camera_steps():
    """Nothing at 0; a turn keeps where the centre is seen, as does a zoom; a shift moves everything by its share."""
    view, centre = camera(30.0), torch.tensor([0.1, -0.05, 0.2], dtype=torch.float64)
    prior = CameraPrior(turn_deg=(5.0, 5.0, 5.0), shift=0.1, zoom=0.2)

    def seen(white: list[float], xyz: torch.Tensor = centre) -> tuple[Cameras, torch.Tensor]:
        after = moved(view, torch.tensor([white], dtype=torch.float64), prior, centre)
        return after, after.project(xyz.reshape(1, 1, 3))[0][0, 0]

    before = view.project(centre.reshape(1, 1, 3))[0][0, 0]
    same, place = seen([0.0] * 6)
    assert torch.allclose(same.world_to_cam, view.world_to_cam)
    assert torch.allclose(place, before)
    turned, place = seen([0.0, 2.0, 0.0, 0.0, 0.0, 1.0])
    angle = rotation_angle_deg(turned.world_to_cam[:, :3, :3], view.world_to_cam[:, :3, :3])
    assert float(angle) == pytest.approx(10.0, abs=1e-4)
    assert torch.allclose(place, before)
    assert torch.allclose(turned.fx, view.fx * np.exp(0.2))
    assert torch.allclose(seen([0, 0, 0, 1.0, -2.0, 0])[1] - before, torch.tensor([9.6, -19.2]).double())


def small_problem(dtype: torch.dtype, opacity: float = 1.0) -> Problem:
    """Thirty points against one mask, with a camera that may move."""
    xyz = seat(30).astype(np.float64)
    field = make_field(xyz, FieldPrior(), 0.9, np.zeros(3), 1.0, anchors=8)
    targets = make_targets(xyz, [camera(30.0)], [silhouette(TRUTH, camera(30.0))], 16)
    targets = replace(targets, masks=targets.masks.to(dtype), cameras=targets.cameras.to(dtype))
    points = torch.from_numpy(xyz).to(dtype)
    return Problem(
        points, torch.full((30,), opacity, dtype=dtype), field.basis(xyz).to(dtype), targets, CameraPrior(),
        torch.zeros(3, dtype=dtype), 1.0, Weights(), soft_box(points * 1.1),
    )  # fmt: skip


def test_gradients_of_the_objective():
    problem, random = small_problem(torch.float64), torch.Generator().manual_seed(0)
    shapes = [one.shape for one in problem.start().tensors()]
    values = [0.1 * torch.randn(s, generator=random, dtype=torch.float64) for s in shapes]
    inputs = [value.requires_grad_() for value in values]
    assert torch.autograd.gradcheck(
        lambda *parts: problem.objective(State(*parts), 1.5), inputs, atol=1e-4, fast_mode=True
    )


@settings(max_examples=8, deadline=None)
@given(
    scale=st.tuples(*[st.floats(0.6, 1.6)] * 3),
    azimuth=st.floats(0, 360),
    steps=st.integers(0, 25),
    rate=st.sampled_from([0.05, 0.3, 3.0]),
    free=st.booleans(),
    count=st.integers(10, 120),
)
def test_never_worse(scale, azimuth, steps, rate, free, count):
    """Whatever the start, even with steps far too long, the objective does not rise, and everything stays finite."""
    cloud = PointCloud(
        seat(count, scale=scale), opacity=np.random.default_rng(0).random(count).astype(np.float32)
    )
    view = camera(azimuth)
    options = replace(
        QUICK, steps=steps, learning_rate=rate, size=24, anchors=20, camera=CameraPrior() if free else KEPT
    )
    result = refine(cloud, [view], [silhouette(TRUTH, view)], options)
    before, after = result.figures.objective
    assert after <= before
    assert np.isfinite(result.cloud.xyz).all()
    if steps == 0:
        assert np.array_equal(result.cloud.xyz, cloud.xyz)


def test_a_wrong_height_is_mended():
    """A cloud a quarter too tall, from one view: nearer to the truth and to the mask; attributes and order are kept."""
    cloud = PointCloud(seat(600, scale=(1, 1, 1.25)), labels=np.arange(600) % 7, comments={"frame": "object"})
    told: list[float] = []
    result = refine(cloud, [camera(35.0)], [silhouette(TRUTH, camera(35.0))], QUICK, told.append)
    assert error(result.cloud.xyz) < 0.75 * error(cloud.xyz)
    assert result.figures.iou[1] > max(0.9, result.figures.iou[0])
    assert result.figures.symmetric
    assert np.array_equal(result.cloud.labels, cloud.labels)
    assert result.cloud.comments == cloud.comments
    assert told == sorted(told)
    assert 0 < told[-1] <= 1
    again = refine(cloud, [camera(35.0)], [silhouette(TRUTH, camera(35.0))], QUICK)
    assert np.array_equal(again.cloud.xyz, result.cloud.xyz)


def test_a_right_cloud_stays():
    """Other samples of the true surface hardly move: what is drawn is drawn alike, so nothing shrinks."""
    cloud = PointCloud(seat(600, seed=5))
    result = refine(cloud, [camera(35.0)], [silhouette(TRUTH, camera(35.0))], QUICK)
    assert result.figures.moved < 0.015
    ratio = np.ptp(result.cloud.xyz, axis=0) / np.ptp(cloud.xyz, axis=0)
    assert np.all(np.abs(ratio - 1) < 0.04)


def test_the_unseen_side_follows_its_mirror_image():
    """Too narrow, seen from the side of one half: tied, both halves come out; the answer's halves are alike."""
    cloud = PointCloud(seat(600, scale=(0.75, 1, 1)))
    view = camera(40.0)
    tied = refine(cloud, [view], [silhouette(TRUTH, view)], replace(QUICK, symmetry="on"))
    assert mirror_gap(tied.cloud.xyz).ratio < 1.6
    assert error(tied.cloud.xyz) < 0.7 * error(cloud.xyz)


def test_more_images_show_depth():
    """Too deep, seen from the front: one image says little of it, a second one from the side does."""
    cloud = PointCloud(seat(600, scale=(1, 1.4, 1)))
    views = [camera(0.0, 5.0), camera(90.0, 5.0)]
    masks = [silhouette(TRUTH, view) for view in views]
    one = refine(cloud, views[:1], masks[:1], QUICK)
    two = refine(cloud, views, masks, QUICK)
    assert error(two.cloud.xyz) < 0.7 * error(one.cloud.xyz)
    assert len(two.cameras) == 2


def test_a_wrong_pose_is_mended():
    """A right cloud under a camera that is turned by 6 degrees: the camera moves back, the cloud hardly."""
    view = camera(35.0)
    vector = torch.tensor([0.0, np.radians(6.0) / 2, 0.0], dtype=torch.float64)
    turn = torch.eye(4, dtype=torch.float64)
    turn[:3, :3] = quaternion_to_matrix(torch.cat((torch.ones(1, dtype=torch.float64), vector)))
    off = view.rotated(turn[None, :3, :3])
    cloud = PointCloud(seat(600, seed=5))
    result = refine(cloud, [off], [silhouette(TRUTH, view)], replace(QUICK, camera=CameraPrior(), steps=100))

    def angle(one: Cameras) -> float:
        return float(rotation_angle_deg(one.world_to_cam[:, :3, :3], view.world_to_cam[:, :3, :3]))

    assert angle(off) == pytest.approx(6.0, abs=0.1)
    assert angle(result.cameras[0]) < 3.5
    assert result.figures.turned_deg > 2
    assert np.linalg.norm(result.cloud.xyz - cloud.xyz, axis=1).mean() < 0.02


@pytest.mark.parametrize("factor", [0.01, 250.0])
def test_the_unit_does_not_matter(factor):
    """World and camera in another unit: the same answer in that unit."""
    xyz, view = seat(300, scale=(1, 1, 1.2)), camera(35.0)
    mask = silhouette(TRUTH, view)
    far = view.world_to_cam.clone()
    far[:, :3, 3] *= factor
    options = replace(QUICK, steps=30)
    first = refine(PointCloud(xyz), [view], [mask], options)
    second = refine(PointCloud(xyz * factor), [replace(view, world_to_cam=far)], [mask], options)
    assert np.allclose(second.cloud.xyz / factor, first.cloud.xyz, atol=4e-3)
    assert second.figures.iou[1] == pytest.approx(first.figures.iou[1], abs=0.02)


def test_the_size_of_the_picture_does_not_matter():
    xyz = seat(300, scale=(1, 1, 1.2))
    options = replace(QUICK, steps=30)
    results = [
        refine(
            PointCloud(xyz), [camera(35.0, size=s)], [silhouette(TRUTH, camera(35.0, size=s))], options
        ).cloud.xyz
        for s in (96, 240)
    ]
    assert np.abs(results[0] - results[1]).mean() < 0.006


def test_many_points_follow_the_driving_ones():
    """With a tenth of the points driving, the others move as those around them; all fit as well."""
    xyz = seat(4000, scale=(1, 1, 1.25))
    view = camera(35.0)
    result = refine(PointCloud(xyz), [view], [silhouette(TRUTH, view)], replace(QUICK, points=400))
    assert error(result.cloud.xyz) < 0.75 * error(xyz)
    assert len(result.cloud) == 4000


def test_symmetry_is_seen():
    rng = np.random.default_rng(0)
    assert mirror_gap(seat(800)).symmetric
    assert mirror_gap(seat(800) + rng.normal(0, 0.005, (800, 3))).symmetric
    assert not mirror_gap(seat(800) + np.float32([0.1, 0, 0])).symmetric
    assert not mirror_gap(seat(800)[seat(800)[:, 0] > 0]).symmetric


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda c, v, m: (PointCloud(c.xyz[:5]), v, m), "at least 10 points"),
        (lambda c, v, m: (PointCloud(np.full_like(c.xyz, np.nan)), v, m), "finite"),
        (lambda c, v, m: (PointCloud(np.ones_like(c.xyz)), v, m), "one place"),
        (lambda c, v, m: (c, v, [m[0] * 0]), "object in it"),
        (lambda c, v, m: (c, v, [m[0].astype(float)]), "uint8"),
        (lambda c, v, m: (c, v * 2, m), "1 masks for 2 cameras"),
        (lambda c, v, m: (c, [], []), "at least one"),
        (lambda c, v, m: (PointCloud(c.xyz - np.float32([0, 9, 0])), v, m), "behind the camera"),
    ],
)
def test_what_cannot_be_refined_is_said(break_it, sentence):
    view = camera(0.0)
    cloud, views, masks = break_it(PointCloud(seat(60)), [view], [silhouette(TRUTH, view)])
    with pytest.raises(InputError, match=sentence):
        refine(cloud, views, masks, QUICK)


@pytest.mark.parametrize(
    "values", [{"steps": -1}, {"size": 4}, {"symmetry": "maybe"}, {"sigma_px": (0.5, 2.0)}, {"anchors": 0}]
)
def test_bad_options(values):
    with pytest.raises(ConfigError):
        replace(QUICK, **values)
