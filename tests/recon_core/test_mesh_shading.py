# SPDX-License-Identifier: Apache-2.0
"""Textures, normals, lights and the one-call renderer: closed forms, gradients, invariances."""

import math
from dataclasses import replace

import pytest
import torch
from torch.autograd import gradcheck

from recon_core.cameras import orbit, pinhole, random_rotations
from recon_core.errors import InputError
from recon_core.mesh import Meshes, icosphere
from recon_core.renderers.mesh_images import render_meshes
from recon_core.renderers.mesh_shading import (
    Lambert,
    Phong,
    SphericalHarmonics,
    harmonics,
    sample_texture,
    shade,
)


def sphere(batch=2, dtype=torch.float64, subdivisions=3):
    """White spheres of radius 0.4."""
    one = icosphere(subdivisions, 0.4)
    return one.map(lambda t: t.to(dtype).repeat(batch, *[1] * (t.ndim - 1)))


def cameras_at(azimuth_deg, size=48, dtype=torch.float64, elevation_deg=0.0):
    """Cameras round the origin."""
    azimuth = torch.tensor(azimuth_deg, dtype=dtype)
    return pinhole(orbit(azimuth, torch.full_like(azimuth, elevation_deg)), size)


def test_texture_has_texels_at_their_centres_and_wraps():
    """v runs up, row 0 is on top; between texels values are linear; u = -0.125 is u = 0.875."""
    texture = torch.arange(12.0, dtype=torch.float64).view(1, 3, 4, 1)
    centres = torch.tensor(
        [[[[0.125, 1 - 1 / 6], [0.875, 1 / 6], [-0.125, 1 / 6], [0.25, 0.5], [0.0, 0.5]]]],
        dtype=torch.float64,
    )
    values = sample_texture(texture, centres)[0, 0, :, 0]
    torch.testing.assert_close(values, torch.tensor([0.0, 11.0, 11.0, 4.5, (4 + 7) / 2], dtype=torch.float64))


def test_gradcheck_of_texture_and_lights(generator):
    """Texture, coordinates, colours, normals, and what a light is made of."""
    texture = torch.rand(1, 3, 4, 2, generator=generator, dtype=torch.float64).requires_grad_()
    uv = torch.rand(1, 2, 3, 2, generator=generator, dtype=torch.float64).requires_grad_()
    assert gradcheck(sample_texture, (texture, uv))
    color, eye, normal = (torch.rand(1, 2, 2, 3, generator=generator, dtype=torch.float64) for _ in range(3))
    coefficients = torch.rand(1, 9, 3, generator=generator, dtype=torch.float64)
    direction = torch.rand(1, 3, generator=generator, dtype=torch.float64)
    for tensor in (color, normal, coefficients, direction):
        tensor.requires_grad_()
    assert gradcheck(lambda c, n, d: shade(c, n, Lambert(d)), (color, normal, direction))
    assert gradcheck(
        lambda c, n, d: shade(c * 0.1, n, Phong(d, specular=0.01), eye / 2), (color, normal, direction)
    )
    assert gradcheck(lambda c, n, k: shade(c, n, SphericalHarmonics(k)), (color, normal, coefficients))


def test_harmonics_are_the_cosine_convolved_basis(generator):
    """Against the integral: light L(w) = one basis function, irradiance / pi by quadrature over the sphere."""
    steps = 400
    z = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps * 2 - 1
    angle = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps * 2 * math.pi
    z, angle = (t.flatten() for t in torch.meshgrid(z, angle, indexing="ij"))
    ring = (1 - z * z).sqrt()
    w = torch.stack((ring * angle.cos(), ring * angle.sin(), z), -1)
    scale = torch.tensor([1.0] + [2 / 3] * 3 + [1 / 4] * 5, dtype=torch.float64)
    plain = harmonics(w) / scale  # the basis itself
    gram = plain.T @ plain * (4 * math.pi / len(w))
    torch.testing.assert_close(gram, torch.eye(9, dtype=torch.float64), atol=1e-3, rtol=0)
    normal = random_rotations(1, generator)[0, 0]
    irradiance = ((w @ normal).clamp(min=0)[:, None] * plain).sum(0) * (4 * math.pi / len(w)) / math.pi
    torch.testing.assert_close(harmonics(normal), irradiance, atol=1e-3, rtol=0)
    differs = (harmonics(normal) - harmonics(normal, "kaolin")).abs() > 1e-6
    assert differs.nonzero()[:, 0].tolist() == [6, 7]


@pytest.mark.parametrize("interpolation", ["affine", "perspective"])
def test_normals_of_a_sphere(interpolation):
    """Smooth normals are the direction from the centre; flat ones are near it and constant on faces."""
    meshes, cameras = sphere(), cameras_at([0.0, 90.0])
    smooth = render_meshes(meshes, cameras, normals=True, interpolation=interpolation)
    flat = render_meshes(meshes, cameras, normals=True, smooth=False, interpolation=interpolation)
    assert smooth.normals is not None
    assert flat.normals is not None
    middle = smooth.normals[:, 24, 24]
    front = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(middle, front, atol=0.03, rtol=0)
    seen = smooth.face >= 0
    assert float((smooth.normals * flat.normals).sum(-1)[seen].min()) > 0.97
    torch.testing.assert_close(smooth.normals.norm(dim=-1)[seen], torch.ones(int(seen.sum())).double())
    for normals, most in ((flat.normals, 1), (smooth.normals, 10**6)):
        colours = normals[smooth.face == smooth.face[0, 24, 24]].round(decimals=9).unique(dim=0)
        assert (len(colours) == 1) == (most == 1)


def test_lambert_on_a_sphere():
    """Brightest where the surface looks to the light, ambient alone where it looks away."""
    light = Lambert((0.0, -1.0, 0.0), 0.2, 0.8)
    lit = render_meshes(sphere(), cameras_at([0.0, 180.0]), light=light)
    seen = lit.face >= 0
    assert float(lit.color[0, 24, 24, 0]) == pytest.approx(1, abs=0.01)
    assert float(lit.color[1][seen[1]].max()) == pytest.approx(0.2, abs=0.01)
    assert bool((lit.color[~seen] == 0).all())


def test_phong_shines_where_the_mirrored_light_meets_the_eye():
    """Light from the right, eye in front: the highlight is half way, at 45 degrees."""
    light = Phong((1.0, 0.0, 0.0), ambient=0.0, diffuse=0.0, specular=1.0, shininess=200.0)
    lit = render_meshes(sphere(1), cameras_at([0.0], 96), light=light)
    row, column = divmod(int(lit.color[0, ..., 0].argmax()), 96)
    offset = 0.4 * math.sin(math.pi / 4) / (2 - 0.4 * math.cos(math.pi / 4)) * 1.875 * 96
    assert abs(row - 47.5) <= 2
    assert abs(column - 47.5 - offset) <= 3


def test_constant_harmonics_only_scale(generator):
    """A light without direction leaves colours equal up to its strength."""
    meshes = sphere()
    meshes = replace(meshes, vertex_colors=torch.rand(2, 642, 3, generator=generator, dtype=torch.float64))
    coefficients = torch.zeros(2, 9, dtype=torch.float64)
    coefficients[:, 0] = math.sqrt(4 * math.pi) * 0.5
    cameras = cameras_at([0.0, 120.0])
    lit = render_meshes(meshes, cameras, light=SphericalHarmonics(coefficients))
    torch.testing.assert_close(lit.color, 0.5 * render_meshes(meshes, cameras).color)


def test_texture_sits_where_the_sphere_says():
    """u grows towards +X as seen from the front, v upwards; from behind, +X is on the left."""
    texture = torch.zeros(1, 8, 16, 3, dtype=torch.float64)
    texture[:, :, 8:, 0] = 1  # u > 1/2: +X
    texture[:, :4, :, 1] = 1  # v > 1/2: +Z
    image = render_meshes(
        replace(sphere(1), texture=texture), cameras_at([0.0]), interpolation="perspective"
    ).color[0]
    assert image[24, 34, 0] == 1
    assert image[24, 14, 0] == 0
    assert image[14, 24, 1] == 1
    assert image[34, 24, 1] == 0
    back = render_meshes(replace(sphere(1), texture=texture), cameras_at([180.0])).color[0]
    assert back[24, 14, 0] == 1
    assert back[24, 34, 0] == 0


def test_background_and_counts():
    """Per-view backgrounds beside the object; a wrong number of cameras is named."""
    background = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    images = render_meshes(sphere(), cameras_at([0.0, 30.0]), background=background)
    assert images.color[0, 0, 0].tolist() == [1, 0, 0]
    assert images.color[1, 0, 0].tolist() == [0, 0, 1]
    assert images.color[0, 24, 24].tolist() == [1, 1, 1]
    with pytest.raises(InputError, match="repeat_views"):
        render_meshes(sphere(1), cameras_at([0.0, 30.0]))
    assert len(sphere(1).repeat_views(2)) == 2


def test_an_image_pulls_a_mesh_towards_it():
    """Gradient descent on the soft mask's IoU and on colours moves a small sphere onto a larger, shifted target."""
    target = render_meshes(
        replace(sphere(1, torch.float32), vertex_colors=torch.full((1, 642, 3), 0.8)).with_vertices(
            sphere(1, torch.float32).vertices * 0.9 + torch.tensor([0.05, 0.0, 0.03])
        ),
        cameras_at([0.0], 48, torch.float32),
    )
    start = sphere(1, torch.float32).vertices * 0.7
    place = torch.zeros(3, requires_grad=True)
    size = torch.ones(1, requires_grad=True)
    shown = torch.full((1, 642, 3), 0.3, requires_grad=True)
    optimizer = torch.optim.Adam([place, size, shown], lr=0.02)
    history = []
    for _ in range(60):
        meshes = Meshes(start * size + place, icosphere(3).faces, shown)
        images = render_meshes(meshes, cameras_at([0.0], 48, torch.float32))
        overlap = (images.mask * target.mask).sum() / (
            images.mask + target.mask - images.mask * target.mask
        ).sum()
        loss = 1 - overlap + ((images.color - target.color).abs() * target.mask[..., None]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert history[-1] < 0.15 * history[0]


def test_culling_by_normal_differs_at_the_rim_alone():
    """A card seen from its front: its normal may point away from the camera's axis all the same."""
    vertices = torch.tensor([[[0.5, 0.2, -0.2], [0.5, -0.4, -0.2], [0.5, 0.2, 0.2]]], dtype=torch.float64)
    card = Meshes(vertices, torch.tensor([[0, 1, 2]]))  # faces -X, towards the axis
    front = cameras_at([0.0], 96)
    shown = [int((render_meshes(card, front, cull=cull).face >= 0).sum()) for cull in (True, "normal", False)]
    assert shown[0] == shown[2] > 20
    tilted = card.with_vertices(vertices + torch.tensor([[[0.03, 0, 0], [0, 0, 0], [0.03, 0, 0]]]).double())
    by_image, by_normal = (render_meshes(tilted, front, cull=cull).face for cull in (True, "normal"))
    assert int((by_image >= 0).sum()) > 20
    assert int((by_normal >= 0).sum()) == 0
