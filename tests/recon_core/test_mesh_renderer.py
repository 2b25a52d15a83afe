# SPDX-License-Identifier: Apache-2.0
"""The mesh rasteriser and its soft mask against brute force, gradients and invariances."""

import math

import numpy as np
import pytest
import torch
from mesh_scenes import MODES, SIZE, soup, sphere_views
from reference import mesh_brute
from torch.autograd import gradcheck

from recon_core.cameras import Cameras, random_rotations
from recon_core.renderers.mesh import forward_normals, interpolate, rasterize, visible_faces
from recon_core.renderers.mesh_pairs import view_groups
from recon_core.renderers.mesh_soft import soft_mask


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cull", [False, True])
def test_fragments_agree_with_brute_force(generator, mode, cull):
    """Same faces, weights, depth and attributes in every pixel."""
    uv, depth, faces = soup(generator)
    values = torch.rand(2, 14, 3, generator=generator, dtype=torch.float64)
    got = rasterize(uv, depth, faces, SIZE, cull=cull, interpolation=mode)
    image = interpolate(got.face, uv, depth, faces, values, interpolation=mode)
    for b in range(2):
        seen, weights, z, expected = mesh_brute.render(
            uv[b], depth[b], faces[b], values[b], SIZE, cull=cull, perspective=mode == "perspective"
        )
        assert torch.equal(got.face[b], seen)
        assert 0.3 < float((seen >= 0).double().mean()) < 1
        torch.testing.assert_close(got.barycentrics[b], weights)
        torch.testing.assert_close(got.depth[b], z)
        torch.testing.assert_close(image[b], expected)


@pytest.mark.parametrize("knum", [None, 3, 30])
def test_soft_mask_agrees_with_brute_force(generator, knum):
    """Both modes; with knum=3 most pixels have more faces than they may count."""
    uv, depth, faces = soup(generator, spread=0.6)
    sigmainv, boxlen = 70.0, 0.3
    face = visible_faces(uv, depth, faces, SIZE)
    got = soft_mask(face, uv, depth, faces, sigmainv=sigmainv, boxlen=boxlen, knum=knum)
    for b in range(2):
        expected = mesh_brute.soft_mask(face[b], uv[b], depth[b], faces[b], sigmainv, boxlen, knum)
        torch.testing.assert_close(got[b], expected)
        assert float(((expected > 0.05) & (expected < 0.95)).double().mean()) > 0.05


def test_parity_mode_depends_on_the_order_of_faces_and_the_other_does_not(generator):
    """The first knum by index, against all."""
    uv, depth, faces = soup(generator, spread=0.6)
    face, turned = visible_faces(uv, depth, faces, SIZE), faces.flip(1)
    assert torch.equal(face >= 0, visible_faces(uv, depth, turned, SIZE) >= 0)
    few = [soft_mask(face, uv, depth, f, sigmainv=70.0, boxlen=0.3, knum=2) for f in (faces, turned)]
    every = [soft_mask(face, uv, depth, f, sigmainv=70.0) for f in (faces, turned)]
    assert (few[0] - few[1]).abs().max() > 0.01
    torch.testing.assert_close(every[0], every[1])


@pytest.mark.parametrize("mode", MODES)
def test_gradients_agree_with_brute_force(generator, mode):
    """Random cotangents on values, weights, depth and the soft mask; for positions, depth and values."""
    uv, depth, faces = soup(generator, batch=1, spread=0.8)
    values = torch.rand(1, 14, 2, generator=generator, dtype=torch.float64)
    pulls = [torch.randn(*SIZE, c, generator=generator, dtype=torch.float64) for c in (2, 3, 1, 1)]
    inputs = [t.clone().requires_grad_() for t in (uv, depth, values)]

    def fast(uv, depth, values):
        seen = rasterize(uv, depth, faces, SIZE, interpolation=mode)
        image = interpolate(seen.face, uv, depth, faces, values, interpolation=mode)
        mask = soft_mask(seen.face, uv, depth, faces, sigmainv=200.0, boxlen=0.2, knum=30)
        return image[0], seen.barycentrics[0], seen.depth[0, ..., None], mask[0, ..., None]

    def exact(uv, depth, values):
        seen, weights, z, image = mesh_brute.render(
            uv[0], depth[0], faces[0], values[0], SIZE, perspective=mode == "perspective"
        )
        mask = mesh_brute.soft_mask(seen, uv[0], depth[0], faces[0], 200.0, 0.2, 30)
        return image, weights, z[..., None], mask[..., None]

    for index, pull in enumerate(pulls):
        kinds = [
            torch.autograd.grad(
                (run(*inputs)[index] * pull).sum(), inputs, allow_unused=True, materialize_grads=True
            )
            for run in (fast, exact)
        ]
        for got, expected in zip(*kinds):
            torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-8)
        assert float(kinds[1][0].norm()) > 0


@pytest.mark.parametrize("mode", MODES)
def test_gradcheck(mode):
    """Analytic against numerical gradients, on two triangles of which one hides part of the other."""
    uv = torch.tensor([[[1.2, 0.8], [6.9, 1.6], [3.1, 5.7], [5.3, 6.2]]], dtype=torch.float64)
    depth = torch.tensor([[1.0, 1.5, 0.8, 2.0]], dtype=torch.float64)
    faces = torch.tensor([[0, 1, 2], [1, 3, 2]])
    values = torch.tensor([[[0.1], [0.9], [0.4], [0.7]]], dtype=torch.float64)
    for tensor in (uv, depth, values):
        tensor.requires_grad_()

    def run(uv, depth, values):
        seen = rasterize(uv, depth, faces, (7, 8), interpolation=mode)
        mask = soft_mask(seen.face, uv, depth, faces, sigmainv=20.0, boxlen=1.5)
        image = interpolate(seen.face, uv, depth, faces, values, interpolation=mode)
        return image, seen.barycentrics, seen.depth, mask

    assert gradcheck(run, (uv, depth, values))


def test_one_triangle_in_closed_form():
    """A right triangle: its pixels, its linear value, and the soft mask at a known distance."""
    uv = torch.tensor(
        [[[2.0, 2.0], [2.0, 10.0], [10.0, 2.0]]], dtype=torch.float64
    )  # counter-clockwise as seen
    depth, faces = torch.ones(1, 3, dtype=torch.float64), torch.tensor([[0, 1, 2]])
    face = visible_faces(uv, depth, faces, 16, cull=True)
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    inside = (columns >= 2) & (rows >= 2) & (columns + rows + 1 <= 12)
    assert torch.equal(face[0] >= 0, inside)
    value = interpolate(face, uv, depth, faces, uv)  # each pixel's value is its own centre
    centres = torch.stack((columns + 0.5, rows + 0.5), -1).double()
    torch.testing.assert_close(value[0][inside], centres[inside])
    mask = soft_mask(face, uv, depth, faces, sigmainv=30.0)
    assert bool((mask[0][inside] == 1).all())
    assert float(mask[0, 5, 0]) == pytest.approx(math.exp(-30 * (1.5 / 8) ** 2))  # 1.5 pixels left of an edge
    assert float(mask[0, 0, 0]) == pytest.approx(math.exp(-30 * 2 * (1.5 / 8) ** 2))  # from the corner (2, 2)


def test_perspective_differs_from_affine_as_it_should():
    """Half way along an edge on the screen, a far corner counts less than half."""
    uv = torch.tensor([[[0.0, 0.0], [20.0, 0.0], [20.0, 20.0], [0.0, 20.0]]], dtype=torch.float64)
    depth = torch.tensor([[1.0, 3.0, 3.0, 1.0]], dtype=torch.float64)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    far = torch.tensor([[[0.0], [1.0], [1.0], [0.0]]], dtype=torch.float64)
    images = {}
    for mode in MODES:
        seen = rasterize(uv, depth, faces, 20, interpolation=mode)
        images[mode] = interpolate(seen.face, uv, depth, faces, far, interpolation=mode)[0, 4, 9, 0]
        expected = {"affine": 9.5 / 20, "perspective": (9.5 / 20 / 3) / (9.5 / 20 / 3 + 10.5 / 20)}[mode]
        assert float(images[mode]) == pytest.approx(expected)
        assert float(seen.depth[0, 4, 9]) == pytest.approx(1 + 2 * expected)


def test_order_of_faces_changes_nothing(generator):
    """The same surface through any list of its faces."""
    xyz, faces, cameras = sphere_views()
    uv, depth = cameras.project(xyz)
    order = torch.randperm(len(faces), generator=generator)
    first, second = (rasterize(uv, depth, f, 40, cull=True) for f in (faces, faces[order]))
    assert torch.equal(first.face >= 0, second.face >= 0)
    torch.testing.assert_close(first.depth, second.depth)
    masks = [soft_mask(f.face, uv, depth, g) for f, g in ((first, faces), (second, faces[order]))]
    torch.testing.assert_close(masks[0], masks[1])


def test_turning_camera_and_object_together_changes_nothing(generator):
    """Only their relative pose matters."""
    xyz, faces, cameras = sphere_views()
    turn = random_rotations(3, generator)
    views = [cameras.project(xyz), cameras.rotated(turn.transpose(1, 2)).project(xyz @ turn.transpose(1, 2))]
    first, second = (soft_mask(visible_faces(*v, faces, 40), *v, faces) for v in views)
    torch.testing.assert_close(first, second, rtol=1e-6, atol=1e-8)


def test_culling_the_back_of_a_closed_mesh_changes_nothing(generator):
    """All that is seen of a sphere from outside faces the camera; turned inside out, culling leaves the far side."""
    xyz, faces, cameras = sphere_views()
    uv, depth = cameras.project(xyz)
    full, culled = (rasterize(uv, depth, faces, 40, cull=cull) for cull in (False, True))
    assert torch.equal(full.face, culled.face)
    inside_out = rasterize(uv, depth, faces.flip(-1), 40, cull=True)
    covered = full.face >= 0
    assert float((inside_out.face >= 0)[covered].double().mean()) > 0.99
    assert bool((inside_out.depth > full.depth)[covered & (inside_out.face >= 0)].all())


def test_culling_by_normal_as_the_released_code_does(generator):
    """Near the rim, a normal may point forward on a face that shows its back; elsewhere both agree."""
    xyz, faces, cameras = sphere_views()
    rotation, translation = cameras.world_to_cam[:, :3, :3], cameras.world_to_cam[:, :3, 3]
    forward = forward_normals(xyz @ rotation.transpose(1, 2) + translation[:, None], faces)
    by_normal = visible_faces(*cameras.project(xyz), faces, 40, face_mask=forward)
    by_winding = visible_faces(*cameras.project(xyz), faces, 40, cull=True)
    assert torch.equal(by_normal, by_winding)
    assert 0 < int(forward.sum()) < forward.numel()


def test_equal_depth_shows_the_lowest_face():
    """Two copies of a triangle in one plane; and a shared edge through pixel centres leaves no hole."""
    uv = torch.tensor([[[0.5, 0.5], [0.5, 8.5], [8.5, 0.5], [8.5, 8.5]]])
    faces = torch.tensor([[1, 2, 0], [0, 1, 2], [1, 3, 2]])
    face = visible_faces(uv, torch.ones(1, 4), faces, 9)
    assert set(face.unique().tolist()) == {-1, 0, 2}
    assert bool((face[0, 1:8, 1:8] >= 0).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_pixel_falls_between_neighbouring_faces(generator, dtype):
    """Thousands of quadrilaterals whose diagonal runs through a pixel's centre but for rounding: one half has it."""
    count = 4000
    angle = torch.rand(count, generator=generator, dtype=torch.float64) * 2 * math.pi
    along = torch.stack((angle.cos(), angle.sin()), -1)
    across = torch.stack((-angle.sin(), angle.cos()), -1)
    reach = torch.rand(4, count, 1, generator=generator, dtype=torch.float64) * 50 + 2
    centre = torch.tensor([3.5, 4.5], dtype=torch.float64)
    ends = (-reach[0] * along, reach[1] * along, -reach[2] * across, reach[3] * across)
    uv = (centre + torch.stack(ends, 1)).to(dtype)  # (count, 4, 2)
    for faces in ([[0, 1, 2], [1, 0, 3]], [[0, 1, 2], [0, 3, 1]], [[1, 2, 0], [3, 0, 1]]):
        face = visible_faces(uv, torch.ones(count, 4, dtype=dtype), torch.tensor(faces), 8)
        assert bool((face[:, 4, 3] >= 0).all())
        assert float((face[:, 4, 3] == 0).double().mean()) > 0.2


@pytest.mark.parametrize("mode", MODES)
def test_agrees_with_an_independent_ray_caster(generator, mode):
    """Rays through pixel centres against the mesh in space (Open3D): same cover but for edge pixels, same depth."""
    xyz, faces, cameras = sphere_views(1, 48)
    xyz = xyz * torch.tensor([1.0, 0.6, 0.8], dtype=torch.float64)
    got = rasterize(*cameras.project(xyz), faces, 48, interpolation=mode, cull=True)
    hit, depth = cast_rays(xyz[0].numpy(), faces.numpy(), cameras)
    seen = got.face[0] >= 0
    assert int((seen != hit).sum()) <= 4
    both = seen & hit
    tolerance = 1e-5 if mode == "perspective" else 2e-3  # affine depth is not quite planar; rays are float32
    assert float((got.depth[0] - depth)[both].abs().max()) < tolerance
    assert int(both.sum()) > 400


def cast_rays(xyz: np.ndarray, faces: np.ndarray, cameras: Cameras) -> tuple[torch.Tensor, torch.Tensor]:
    """Hit (H,W) and planar depth (H,W) of one camera's rays."""
    height, width = cameras.height, cameras.width
    centres = mesh_brute.pixel_centres((height, width)).view(-1, 2)
    x = (centres[:, 0] - cameras.cx) / cameras.fx
    y = -(centres[:, 1] - cameras.cy) / cameras.fy
    rays = torch.stack((x, y, -torch.ones_like(x)), -1) @ cameras.world_to_cam[0, :3, :3]
    eye = -(cameras.world_to_cam[0, :3, :3].T @ cameras.world_to_cam[0, :3, 3])
    o3d = pytest.importorskip("open3d")
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(xyz.astype(np.float32), faces.astype(np.uint32))
    both = torch.cat((eye.expand_as(rays), rays), -1).float().numpy()
    # Rays advance one unit of planar depth per unit of length.
    depth = torch.from_numpy(scene.cast_rays(o3d.core.Tensor(both))["t_hit"].numpy()).double()
    hit = torch.isfinite(depth)
    return hit.view(height, width), torch.where(hit, depth, 0.0).view(height, width)


def test_meshes_of_different_sizes_render_as_if_alone(generator):
    """Rows of -1 fill up; an element without faces is an empty image."""
    uv, depth, faces = soup(generator, batch=3)
    faces[0, 7:] = -1
    faces[1] = -1
    seen = rasterize(uv, depth, faces, SIZE)
    mask = soft_mask(seen.face, uv, depth, faces, knum=30)
    assert bool((seen.face[1] == -1).all())
    assert mask[1].abs().max() == 0
    for b, count in ((0, 7), (2, 18)):
        alone = rasterize(uv[b : b + 1], depth[b : b + 1], faces[b, :count], SIZE)
        assert torch.equal(alone.face[0], seen.face[b])
        alone_mask = soft_mask(alone.face, uv[b : b + 1], depth[b : b + 1], faces[b, :count], knum=30)
        torch.testing.assert_close(alone_mask[0], mask[b])


def test_work_in_pieces_changes_nothing(generator, monkeypatch):
    """A batch that is cut into many runs of views and pairs gives the same images and gradients."""
    uv, depth, faces = soup(generator, batch=4)
    uv.requires_grad_()

    def run():
        seen = rasterize(uv, depth, faces, SIZE)
        mask = soft_mask(seen.face, uv, depth, faces, sigmainv=300.0)
        (grad,) = torch.autograd.grad((mask.square().sum() + seen.depth.square().sum()), uv)
        return seen.face, mask.detach(), grad

    whole, twice = run(), torch.cat((faces, faces), 1)
    monkeypatch.setattr("recon_core.renderers.mesh_pairs._PIECE", {"cpu": 100, "cuda": 100})
    assert len(list(view_groups(4, 18, SIZE, uv.device))) == 4
    for first, second in zip(whole, run()):
        torch.testing.assert_close(first, second)
    # Copies of all faces, at the same depth, come in later pieces: they never win.
    assert torch.equal(visible_faces(uv, depth, twice, SIZE).long(), whole[0])


@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_the_same_on_every_run(generator, device, mode):
    """Bit for bit: sums have a fixed order on every device."""
    uv, depth, faces = (t.to(device) for t in soup(generator, vertices=40, faces=300, dtype=torch.float32))
    values = torch.rand(2, 40, 3, generator=generator).to(device)
    runs = []
    for _ in range(3):
        inputs = [t.clone().requires_grad_() for t in (uv, depth, values)]
        face = visible_faces(inputs[0], inputs[1], faces, 64, interpolation=mode)
        image = interpolate(face, inputs[0], inputs[1], faces, inputs[2], interpolation=mode)
        loss = image.square().sum() + soft_mask(face, inputs[0], inputs[1], faces).square().sum()
        runs.append(torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True))
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other))
