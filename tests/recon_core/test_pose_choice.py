# SPDX-License-Identifier: Apache-2.0
"""At test time the hypothesis that fits the input's mask is believed, unless the student is nearly as good."""

from dataclasses import replace

import pytest
import torch

from recon_core.cameras import orbit, pinhole, rotation_about_z, rotation_angle_deg
from recon_core.methods.pose_choice import Look, choose_pose, crop_masks, mirror_look
from recon_core.pointcloud import Points
from recon_core.renderers.splat import optical_depth, splat_mask


def ell(generator: torch.Generator, count: int = 4000) -> torch.Tensor:
    """A solid without any symmetry: a long bar, with a short one on it at one end (1,N,3)."""
    unit = torch.rand(count, 3, generator=generator) - 0.5
    long = unit * torch.tensor([0.8, 0.15, 0.15])
    short = unit * torch.tensor([0.15, 0.35, 0.3]) + torch.tensor([0.3, 0.2, 0.15])
    first = torch.arange(count)[:, None] < count // 2
    return torch.where(first, long, short)[None]


def poses(*azimuths: float) -> torch.Tensor:
    """Upright views (K,3,3)."""
    azimuth = torch.tensor(azimuths)
    return orbit(azimuth, torch.full_like(azimuth, 20.0))[:, :3, :3]


def test_best_fitting_hypothesis_wins(generator):
    """The student is off, one of the hypotheses is right."""
    points, views = Points(ell(generator)), poses(30.0, 75.0, 140.0, 260.0)
    for truth in range(4):
        coverage = crop_masks(points, views[None, truth : truth + 1], 64, 1.15, 2.0)[:, 0]
        student = poses(float(truth) * 7 + 100)
        chosen = choose_pose(student, [Look(points, student, views[None])], coverage, 1.15, 2.0, loyalty=0.1)
        torch.testing.assert_close(chosen[0], views[truth])


def test_loyalty_decides_between_like_fits(generator):
    """A bar looks the same from both ends: what is nearer to the student stays."""
    bar = Points((torch.rand(1, 3000, 3, generator=generator) - 0.5) * torch.tensor([0.8, 0.2, 0.2]))
    truth, turned = poses(40.0), poses(220.0)
    coverage = crop_masks(bar, turned[None], 64, 1.15, 2.0)[:, 0]
    student = rotation_near(truth)
    look = Look(bar, student, torch.cat((turned, truth))[None])
    chosen = choose_pose(student, [look], coverage, 1.15, 2.0, loyalty=1.0)
    assert float(rotation_angle_deg(chosen[0], truth[0])) < 10


def test_mirrored_look_has_the_answer(generator):
    """Only the look at the flipped image holds the right pose; it is found and brought back."""
    points, views = Points(ell(generator)), poses(30.0, 75.0, 140.0)
    plane = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    truth = poses(260.0)
    coverage = crop_masks(points, truth[None], 64, 1.15, 2.0)[:, 0]
    flipped_points = replace(points, xyz=points.xyz @ plane)
    flipped = plane @ truth @ plane  # camera x and the object's plane of symmetry both turn over
    back = mirror_look(Look(flipped_points, flipped, flipped[:, None]), plane)
    torch.testing.assert_close(back.points.xyz, points.xyz)
    torch.testing.assert_close(back.student, truth)
    student = poses(200.0)
    chosen = choose_pose(
        student, [Look(points, student, views[None]), back], coverage, 1.15, 2.0, loyalty=0.1
    )
    torch.testing.assert_close(chosen, truth)


def rotation_near(rotation: torch.Tensor) -> torch.Tensor:
    """Five degrees off."""
    return rotation @ rotation_about_z(torch.deg2rad(torch.tensor(5.0)))


@pytest.mark.parametrize("azimuth", [0.0, 50.0, 200.0])
def test_crop_masks_are_what_a_camera_sees_cropped(generator, azimuth):
    """Against the full frame of the default lens, rendered large and cropped by its own box."""
    points, rotation = Points(ell(generator, 1000)), poses(azimuth)
    size = 256
    camera = pinhole(orbit(torch.tensor([azimuth]), torch.tensor([20.0])), size)
    uv_px, depth = camera.project(points.xyz)
    low, high = uv_px[0].amin(0), uv_px[0].amax(0)
    side = float((high - low).max()) * 1.15
    moved = (uv_px - (low + high) / 2) * (64 / side) + 32
    tau = optical_depth(torch.ones(1, points.xyz.shape[1]), size) * (64 / side) ** 2
    expected = splat_mask(moved, depth, tau, 64, 1.6)
    seen = crop_masks(points, rotation[None], 64, 1.15, 2.0)[:, 0]
    assert float((seen - expected).abs().max()) < 1e-3


def test_one_point_and_no_opacity_give_finite_masks():
    """Nothing divides by the size of a cloud that has none."""
    points = Points(torch.zeros(2, 1, 3), opacity=torch.zeros(2, 1))
    masks = crop_masks(points, poses(0.0, 90.0)[None].expand(2, -1, -1, -1), 32, 1.15, 2.0)
    assert masks.shape == (2, 2, 32, 32)
    assert bool(torch.isfinite(masks).all())
