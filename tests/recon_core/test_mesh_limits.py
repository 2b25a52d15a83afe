# SPDX-License-Identifier: Apache-2.0
"""The mesh rasteriser: degenerate and wrong input, any size, types and devices."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mesh_scenes import MODES, SIZE, soup, sphere_views

from recon_core.errors import InputError
from recon_core.renderers.mesh import interpolate, rasterize, visible_faces
from recon_core.renderers.mesh_soft import soft_mask


@pytest.mark.parametrize(
    ("uv", "depth", "faces"),
    [
        (torch.zeros(1, 0, 2), torch.zeros(1, 0), torch.zeros(0, 3, dtype=torch.int64)),
        (torch.rand(2, 3, 2) * 20, torch.ones(2, 3), torch.zeros(0, 3, dtype=torch.int64)),
        (torch.rand(1, 3, 2) * 20, torch.tensor([[1.0, 1.0, -0.5]]), torch.tensor([[0, 1, 2]])),
        (torch.rand(1, 3, 2) * 20 + 1e9, torch.ones(1, 3), torch.tensor([[0, 1, 2]])),
        (torch.tensor([[[1.0, 1.0], [5.0, 9.0], [torch.nan, 4.0]]]), torch.ones(1, 3), torch.tensor([[0, 1, 2]])),
    ],
    ids=["no vertices", "no faces", "behind", "outside", "NaN"],
)  # fmt: skip
def test_nothing_to_see_is_an_empty_image(uv, depth, faces, device):
    """Face -1, value 0, mask 0, finite gradients."""
    uv, depth, faces = uv.to(device).requires_grad_(), depth.to(device), faces.to(device)
    for mode in MODES:
        seen = rasterize(uv, depth, faces, SIZE, interpolation=mode)
        image = interpolate(
            seen.face, uv, depth, faces, torch.ones(*uv.shape[:2], 2, device=device), interpolation=mode
        )
        mask = soft_mask(seen.face, uv, depth, faces)
        assert bool((seen.face == -1).all())
        assert (
            seen.depth.abs().max()
            == image.abs().max()
            == mask.abs().max()
            == seen.barycentrics.abs().max()
            == 0
        )
        (image.sum() + mask.sum() + seen.depth.sum()).backward()
    assert uv.grad is None or bool(torch.isfinite(uv.grad).all())


def test_faces_without_area_hide_nothing_but_still_pull(generator):
    """A needle and a point cover no pixel; their outline has a soft mask and finite gradients."""
    uv = torch.tensor([[[4.0, 4.0], [9.0, 9.0], [14.0, 14.0]]], dtype=torch.float64, requires_grad=True)
    depth, faces = torch.ones(1, 3, dtype=torch.float64), torch.tensor([[0, 1, 2], [1, 1, 1]])
    seen = rasterize(uv, depth, faces, 18)
    assert bool((seen.face == -1).all())
    mask = soft_mask(seen.face, uv, depth, faces, sigmainv=100.0)
    assert float(mask.detach().max()) > 0.9
    mask.sum().backward()
    assert bool(torch.isfinite(uv.grad).all())
    assert float(uv.grad.norm()) > 0


@settings(max_examples=25, deadline=None)
@given(
    batch=st.integers(1, 3), vertices=st.integers(3, 20), faces=st.integers(0, 30), height=st.integers(1, 20),
    width=st.integers(1, 20), channels=st.integers(0, 4), knum=st.sampled_from([None, 1, 30]),
    mode=st.sampled_from(MODES),
)  # fmt: skip
def test_any_size_gives_finite_images_in_range(batch, vertices, faces, height, width, channels, knum, mode):
    """Shapes hold, weights sum to 1 on faces, the mask stays in [0, 1]."""
    generator = torch.Generator().manual_seed(faces)
    uv, depth, index = soup(generator, batch, vertices, max(faces, 1), (height, width), torch.float32)
    index = index[:, :faces]
    seen = rasterize(uv, depth, index, (height, width), interpolation=mode)
    values = torch.rand(batch, vertices, channels, generator=generator)
    image = interpolate(seen.face, uv, depth, index, values, interpolation=mode)
    mask = soft_mask(seen.face, uv, depth, index, knum=knum)
    assert image.shape == (batch, height, width, channels)
    assert mask.shape == seen.face.shape == seen.depth.shape == (batch, height, width)
    assert bool(torch.isfinite(image).all())
    assert bool(((mask >= 0) & (mask <= 1)).all())
    torch.testing.assert_close(seen.barycentrics.sum(-1), (seen.face >= 0).float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_devices_and_types_agree(device, dtype):
    """CPU float64 is the reference for every device and type."""
    xyz, faces, cameras = sphere_views()
    uv, depth = cameras.project(xyz)
    face = visible_faces(uv, depth, faces, 40, cull=True)
    expected = soft_mask(face, uv, depth, faces), interpolate(face, uv, depth, faces, xyz)
    uv, depth, xyz = (t.to(device, dtype) for t in (uv, depth, xyz))
    faces = faces.to(device)
    again = visible_faces(uv, depth, faces, 40, cull=True)
    assert float((again.cpu() != face).double().mean()) < 2e-3
    same = again.cpu() == face
    got = soft_mask(again, uv, depth, faces), interpolate(again, uv, depth, faces, xyz)
    for a, b in zip(got, expected):
        assert a.dtype == dtype
        assert a.device.type == device.type
        torch.testing.assert_close(
            a.double().cpu()[same], b[same], atol=2e-3 if dtype == torch.float32 else 1e-9, rtol=0
        )


def test_half_precision_attributes_are_drawn_in_the_vertices_type():
    """Colours of a network in mixed precision; the gradient comes back in their type."""
    uv, depth, faces = (
        torch.tensor([[[0.0, 0.0], [0.0, 9.0], [9.0, 0.0]]]),
        torch.ones(1, 3),
        torch.tensor([[0, 1, 2]]),
    )
    values = torch.ones(1, 3, 2, dtype=torch.bfloat16, requires_grad=True)
    image = interpolate(visible_faces(uv, depth, faces, 8), uv, depth, faces, values)
    assert image.dtype == torch.float32
    image.sum().backward()
    assert values.grad.dtype == torch.bfloat16
    assert float(values.grad.sum()) == pytest.approx(float(image.detach().sum()), rel=0.01)


def test_a_batch_of_none_is_a_batch_of_none():
    """B = 0 gives no images."""
    faces = torch.tensor([[0, 1, 2]])
    seen = rasterize(torch.zeros(0, 3, 2), torch.zeros(0, 3), faces, SIZE)
    mask = soft_mask(seen.face, torch.zeros(0, 3, 2), torch.zeros(0, 3), faces)
    assert seen.face.shape == seen.depth.shape == mask.shape == (0, *SIZE)


def test_wrong_input_is_named():
    """Shapes, types and ranges."""
    uv, depth, faces = torch.rand(1, 3, 2), torch.ones(1, 3), torch.tensor([[0, 1, 2]])
    with pytest.raises(InputError, match="uv_px"):
        rasterize(torch.rand(1, 3, 3), depth, faces, 8)
    with pytest.raises(InputError, match="3 vertices"):
        rasterize(uv, depth, torch.tensor([[0, 1, 3]]), 8)
    with pytest.raises(InputError, match="integer"):
        rasterize(uv, depth, faces.float(), 8)
    with pytest.raises(InputError, match="float32"):
        rasterize(uv.half(), depth.half(), faces, 8)
    with pytest.raises(InputError, match="face_mask"):
        rasterize(uv, depth, faces, 8, face_mask=torch.ones(1, 2, dtype=torch.bool))
    face = visible_faces(uv, depth, faces, 8)
    with pytest.raises(InputError, match="sigmainv"):
        soft_mask(face, uv, depth, faces, sigmainv=0.0)
    with pytest.raises(InputError, match="attributes"):
        interpolate(face, uv, depth, faces, torch.rand(2, 3, 1))
