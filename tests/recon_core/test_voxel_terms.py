# SPDX-License-Identifier: Apache-2.0
"""DPC's terms: what they render, which points they keep, what their gradients reach, wrong settings."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from recon_core.cameras import orbit, pinhole
from recon_core.methods.terms.base import Views
from recon_core.methods.terms.voxel import VoxelColor, VoxelSilhouette
from recon_core.pointcloud import Points
from recon_core.renderers.voxel import DPC_CLIP, Blur, dpc_frustum, voxel_mask

BATCH, VIEWS, SIZE = 2, 3, 32


@pytest.fixture
def points(generator) -> Points:
    """Two boxes of 600 coloured points, a flat and a tall one."""
    extent = torch.tensor([[[0.6, 0.5, 0.15]], [[0.2, 0.3, 0.7]]])
    xyz = (torch.rand(BATCH, 600, 3, generator=generator) - 0.5) * extent
    return Points(xyz, color=torch.rand(BATCH, 600, 3, generator=generator))


@pytest.fixture
def views(points) -> Views:
    """What three cameras see of them: silhouettes by the plain renderer, red images."""
    azimuths = torch.tensor([0.0, 60.0, 200.0]).repeat(BATCH)
    cameras = pinhole(orbit(azimuths, torch.full((BATCH * VIEWS,), 25.0)), SIZE)
    seen = cameras.project(points.xyz.repeat_interleave(VIEWS, 0))
    masks = voxel_mask(*seen, dpc_frustum(SIZE, SIZE), Blur(0.8)).view(BATCH, VIEWS, SIZE, SIZE)
    images = torch.zeros(BATCH, VIEWS, SIZE, SIZE, 3)
    images[..., 0] = 1
    return Views(cameras, masks, images)


def test_render_is_the_renderer_in_the_dpc_frustum(points, views):
    """With DPC's settings the term's picture is voxel_mask's: the shift of the depth changes nothing."""
    term = VoxelSilhouette(grid=16, nodes="corner", keep=(1, 1), sigma_voxels=(2, 1), released=True)
    seen = views.cameras.project(points.xyz.repeat_interleave(VIEWS, 0))
    expected = voxel_mask(*seen, dpc_frustum(SIZE, 16), Blur(1.5, 21), clip=DPC_CLIP)
    got = term.render(points, views, 0.5)
    torch.testing.assert_close(got, expected.view(BATCH, VIEWS, 16, 16), atol=2e-5, rtol=0)


@pytest.mark.parametrize("projection", ["rays", "maximum"])
@pytest.mark.parametrize("loss", ["l2_half_sum", "bce", "iou"])
def test_the_right_shape_has_the_least_loss(points, views, projection, loss):
    """Both objects and all views prefer their own points to each other's."""
    term = VoxelSilhouette(grid=SIZE, keep=(1, 1), sigma_voxels=(0.8, 0.8), loss=loss, projection=projection)
    right = term.evaluate(points, views, 0.0)
    wrong = term.evaluate(points.map(lambda value: value.flip(0)), views, 0.0)
    assert right.shape == (BATCH, VIEWS)
    assert bool((right < wrong).all())


def test_distance_of_the_camera_needs_no_setting(points, views):
    """The same picture from twice as far with twice the lens keeps all points in the volume."""
    term = VoxelSilhouette(grid=SIZE, keep=(1, 1), sigma_voxels=(0.8, 0.8))
    azimuths = torch.tensor([0.0, 60.0, 200.0]).repeat(BATCH)
    far = pinhole(orbit(azimuths, torch.full((BATCH * VIEWS,), 25.0), 40.0), SIZE, 1.875 * 20)
    near = term.render(points, views, 0.0)
    again = term.render(points, replace(views, cameras=far), 0.0)
    assert float((near - again).abs().mean()) < 0.05
    assert float(again.amax()) > 0.9


def test_points_behind_a_close_camera_render_nothing():
    """A camera within the volume: what is behind it stays invisible though it is near the origin."""
    cameras = pinhole(orbit(torch.zeros(1), torch.zeros(1), 0.2), SIZE)
    views = Views(cameras, torch.zeros(1, 1, SIZE, SIZE))
    term = VoxelSilhouette(grid=SIZE, keep=(1, 1))
    behind = Points(torch.tensor([[[0.0, -0.4, 0.0]]]))  # the camera is at y = -0.2 and looks to +y
    assert term.render(behind, views, 0.0).max() == 0
    assert term.render(Points(-behind.xyz), views, 0.0).max() > 0


def test_kept_points_are_a_growing_share_and_the_same_again(points):
    """floor(N keep) points per object; the same at the same progress, others at the next; all at the end."""
    term = VoxelSilhouette()
    first, again = term.subset(points, 0.25), term.subset(points, 0.25)
    count = int(600 * (0.07 + 0.93 * 0.25))
    assert first.xyz.shape == (BATCH, count, 3)
    assert torch.equal(first.xyz, again.xyz)
    assert not torch.equal(first.xyz, term.subset(points, 0.25 + 1e-6).xyz)
    assert len(first.xyz[0].unique(dim=0)) == count
    match = (first.xyz[1, :, None] == points.xyz[1, None]).all(-1).int().argmax(1)
    assert torch.equal(first.color[1], points.color[1, match])
    assert term.subset(points, 1.0) is points


def test_opacity_weighs_points(points, views):
    """Transparent points are not there."""
    term = VoxelSilhouette(grid=16, keep=(1, 1))
    clear = replace(points, opacity=torch.zeros(BATCH, 600))
    assert term.render(clear, views, 0.5).max() == 0
    assert term.render(points, views, 0.5).max() > 0.5


@pytest.mark.parametrize("move_points", [False, True])
@pytest.mark.parametrize("released", [False, True])
def test_colour_paints_points_and_moves_them_only_if_told(points, views, move_points, released):
    """Gradients make points redder; they reach positions only with move_points."""
    xyz, color = points.xyz.clone().requires_grad_(), points.color.clone().requires_grad_()
    term = VoxelColor(keep=(1, 1), sigma_voxels=(1, 1), move_points=move_points, released=released)
    loss = term.evaluate(Points(xyz, color=color), views, 0.0)
    assert loss.shape == (BATCH, 2)
    loss.sum().backward()
    assert (xyz.grad is not None) == move_points
    total = color.grad.sum((0, 1))
    assert total[0] < 0 < total[1]
    assert total[2] > 0


def test_masks_are_averaged_or_strided(views):
    """mean keeps coverage; stride takes every n-th pixel, as DPC's code does."""
    mean, stride = VoxelSilhouette(grid=16), VoxelSilhouette(grid=16, mask_sampling="stride")
    torch.testing.assert_close(mean.target_masks(views).mean(), views.masks.mean())
    torch.testing.assert_close(stride.target_masks(views), views.masks[..., ::2, ::2])


def test_wide_images_have_fewer_rows(points, views):
    """Cells stay square in a 32 x 16 image."""
    wide = Views(replace(views.cameras, height=16, cy=views.cameras.cy - 8), views.masks[..., 8:24, :])
    term = VoxelSilhouette(grid=16, keep=(1, 1))
    assert term.render(points, wide, 0.0).shape == (BATCH, VIEWS, 8, 16)
    assert torch.isfinite(term.evaluate(points, wide, 0.0)).all()


def test_small_views_get_a_small_volume_of_the_same_width(points, views):
    """A search at 16 px renders 16 cells with half the sigma: about the same picture, coarser."""
    small = Views(views.cameras.resized(16, 16), torch.zeros(BATCH, VIEWS, 16, 16))
    term = VoxelSilhouette(grid=32, keep=(1, 1), sigma_voxels=(3, 3), depth_cells=20)
    assert term.cells(views) == (20, 32, 32)
    assert term.cells(small) == (10, 16, 16)
    pooled = torch.nn.functional.avg_pool2d(term.render(points, views, 0.0), 2)
    assert float((term.render(points, small, 0.0) - pooled).abs().mean()) < 0.1


def test_points_fit_the_masks(views, generator):
    """From two Gaussian balls, the views' masks alone shape both objects: the loss falls to a fifth."""
    term = VoxelSilhouette(grid=16, keep=(0.5, 1), sigma_voxels=(1.5, 0.7), loss="l2")
    xyz = (torch.randn(BATCH, 300, 3, generator=generator) * 0.15).requires_grad_()
    optimizer = torch.optim.Adam([xyz], lr=0.02)
    losses = []
    for step in range(60):
        loss = term.evaluate(Points(xyz), views, step / 60).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize(
    "wrong", [{"taps": 4}, {"keep": (0.0, 1.0)}, {"grid": 1}, {"sigma": 2}, {"loss": "l3"}]
)
def test_wrong_settings_are_refused(wrong):
    """Even kernels, empty clouds, unknown keys."""
    with pytest.raises(ValidationError):
        VoxelSilhouette(**wrong)
