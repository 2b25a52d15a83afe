# SPDX-License-Identifier: Apache-2.0
"""Projection against the formula written plainly, and its gradient against autograd's."""

import pytest
import torch

from recon_core.cameras import orbit, pinhole, random_rotations
from recon_core.errors import InputError
from recon_core.projection import project_points


def plain(xyz, world_to_cam, intrinsics, orthographic):
    """The pinhole, as in a textbook."""
    cam = xyz @ world_to_cam[:, :3, :3].transpose(1, 2) + world_to_cam[:, None, :3, 3]
    depth = -cam[..., 2]
    scale = torch.ones_like(depth) if orthographic else 1 / depth.clamp(min=1e-6)
    fx, fy, cx, cy = intrinsics[:, :, None].unbind(1)
    return torch.stack((cx + fx * cam[..., 0] * scale, cy - fy * cam[..., 1] * scale), -1), depth


def scene(batch: int, points: int, generator: torch.Generator, dtype=torch.float64):
    """Random points, cameras at distance 2 with all six degrees of freedom, and their lenses."""
    xyz = torch.randn(batch, points, 3, generator=generator, dtype=dtype) * 0.3
    pose = torch.eye(4, dtype=dtype).repeat(batch, 1, 1)
    pose[:, :3, :3] = random_rotations(batch, generator)
    pose[:, :3, 3] = torch.randn(batch, 3, generator=generator, dtype=dtype) * 0.1 - torch.tensor([0.0, 0, 2]).to(dtype)
    lens = torch.rand(batch, 4, generator=generator, dtype=dtype) * 50 + 20
    return xyz, pose, lens


@pytest.mark.parametrize("orthographic", [False, True])
@pytest.mark.parametrize(("batch", "points"), [(1, 1), (3, 20), (7, 9000), (2, 0)])
def test_values_and_gradients_are_the_plain_formulas(batch, points, orthographic, device, generator):
    """With random cotangents; 7 x 9,000 points take several blocks."""
    results = []
    for function in (plain, project_points):
        inputs = [t.to(device).requires_grad_() for t in scene(batch, points, torch.Generator().manual_seed(1))]
        uv_px, depth = function(*inputs, orthographic)
        cotangents = torch.Generator().manual_seed(2)
        weights = [torch.randn(t.shape, generator=cotangents, dtype=t.dtype).to(device) for t in (uv_px, depth)]
        grads = torch.autograd.grad([uv_px, depth], inputs, weights)
        results.append((uv_px, depth, *grads))
    for expected, found in zip(*results):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("orthographic", [False, True])
def test_gradcheck(orthographic, generator):
    """In float64, for points, poses and lenses."""
    inputs = [t.requires_grad_() for t in scene(2, 4, generator)]
    assert torch.autograd.gradcheck(lambda *t: project_points(*t, orthographic), inputs)


def test_points_behind_and_at_the_camera_are_finite(generator):
    """Their depth says that they are not seen; neither values nor gradients overflow."""
    xyz = torch.tensor([[[0.0, 0.0, 3.0], [0.1, 0.0, 2.0], [0.0, 0.0, 0.0]]]).requires_grad_()
    _, pose, lens = scene(1, 1, generator, torch.float32)
    pose[0, :3, :3], pose[0, :3, 3] = torch.eye(3), torch.tensor([0.0, 0, -2])
    uv_px, depth = project_points(xyz, pose, lens, False)
    assert depth[0].tolist() == [-1.0, 0.0, 2.0]
    (grad,) = torch.autograd.grad(uv_px[0, 2].sum() + depth.sum(), xyz)
    assert bool(torch.isfinite(uv_px).all())
    assert bool(torch.isfinite(grad).all())


def test_one_cloud_for_many_cameras(generator):
    """Points (1,N,3) are shared by all cameras, and collect the gradients of all."""
    xyz, pose, lens = scene(5, 6, generator)
    shared = xyz[:1].clone().requires_grad_()
    copies = xyz[:1].repeat(5, 1, 1).requires_grad_()
    (one,) = torch.autograd.grad(project_points(shared, pose, lens, False)[0].square().sum(), shared)
    (many,) = torch.autograd.grad(project_points(copies, pose, lens, False)[0].square().sum(), copies)
    torch.testing.assert_close(one, many.sum(0, keepdim=True))


def test_points_and_cameras_of_other_precision_are_refused():
    """Neither is converted silently: which of the two is meant is for the caller to say."""
    cameras = pinhole(orbit(torch.zeros(1).double(), torch.zeros(1).double()), 8)
    with pytest.raises(InputError, match=r"Points are torch\.float32 and cameras torch\.float64"):
        cameras.project(torch.zeros(1, 2, 3))
