# SPDX-License-Identifier: Apache-2.0
"""The mesh decoder: its start, its sizes, what gradients reach, and that it can be trained through the renderer."""

import math

import pytest
import torch

from recon_core.cameras import orbit, pinhole
from recon_core.errors import ConfigError
from recon_core.losses.mesh import DIBR_WEIGHTS, flatness, laplacian, masked_color, topology
from recon_core.losses.silhouette import silhouette_loss
from recon_core.mesh import icosphere
from recon_core.models.mesh_decoder import MeshDecoder, normalized, small_mesh_decoder
from recon_core.renderers.mesh_images import render_meshes
from recon_core.renderers.mesh_shading import SphericalHarmonics


def test_sizes_of_the_released_network():
    """3 -> 512, five blocks conditioned on 256 features, 512 -> 6, one scale: the layers' weights, counted by hand."""
    decoder = MeshDecoder()
    linear = lambda a, b: a * b + b  # noqa: E731
    expected = linear(3, 512) + 5 * (linear(256, 512) + 2 * linear(512, 512) + 1) + linear(512, 6) + 1
    assert sum(p.numel() for p in decoder.parameters()) == expected
    prediction = decoder(torch.zeros(2, 256))
    assert prediction.meshes.vertices.shape == prediction.offsets.shape == (2, 642, 3)
    assert prediction.meshes.faces.shape == (1280, 3)
    small = small_mesh_decoder()
    assert sum(p.numel() for p in small.parameters()) < expected / 10
    assert small(torch.zeros(1, 256)).meshes.faces.shape == (320, 3)


@pytest.mark.parametrize(("how", "size"), [("diagonal", 1 / math.sqrt(3)), ("half_extent", 1.0)])
def test_the_first_mesh_is_the_sphere(how, size, generator):
    """Whatever the features say, as the offsets' scale starts at 0; normalised as asked."""
    decoder = MeshDecoder(64, 32, 2, 2, normalization=how)
    vertices = decoder(torch.randn(3, 64, generator=generator)).meshes.vertices
    sphere = normalized(icosphere(2).vertices, how).expand(3, -1, -1)
    torch.testing.assert_close(vertices, sphere)
    extent = vertices.amax(1) - vertices.amin(1)
    torch.testing.assert_close(extent, torch.full((3, 3), size), atol=0.03, rtol=0)


def test_gradients_reach_every_weight_once_the_scale_has_moved(generator):
    """At the start the scale and the colours; then all."""
    decoder = small_mesh_decoder(32)
    for step in range(2):
        decoder.zero_grad()
        for block in decoder.blocks:
            torch.nn.init.normal_(block.second.weight, std=0.01 * step, generator=generator)
        decoder.offset_scale.data.fill_(0.1 * step)
        meshes = decoder(torch.randn(2, 32, generator=generator)).meshes
        (meshes.vertices * torch.randn(162, 3, generator=generator)).sum().backward()
        assert float(decoder.offset_scale.grad.abs()) > 0
    decoder.zero_grad()
    meshes = decoder(torch.randn(2, 32, generator=generator)).meshes
    (
        meshes.vertices.square().sum()
        + (meshes.vertex_colors * torch.rand(162, 3, generator=generator)).sum()
    ).backward()
    assert all(float(p.grad.abs().max()) > 0 for p in decoder.parameters())


def test_texture_and_light_branches(generator):
    """Shapes and ranges; at the start the light changes nothing; gradients reach both through the renderer."""
    decoder = small_mesh_decoder(32, texture_size=32, light=True)
    prediction = decoder(torch.randn(2, 32, generator=generator))
    texture, light = prediction.meshes.texture, prediction.light
    assert texture.shape == (2, 32, 32, 3)
    assert light.shape == (2, 9)
    azimuth = torch.tensor([0.0, 90.0])
    cameras = pinhole(orbit(azimuth, torch.zeros(2)), 32)
    plain = render_meshes(prediction.meshes, cameras).color
    lit = render_meshes(prediction.meshes, cameras, light=SphericalHarmonics(light)).color
    torch.testing.assert_close(lit, plain, atol=0.02, rtol=0)
    lit.sum().backward()
    assert float(decoder.texture.start.weight.grad.abs().max()) > 0
    assert float(decoder.light.linear.weight.grad.abs().max()) > 0
    with pytest.raises(ConfigError, match="power of two"):
        small_mesh_decoder(32, texture_size=20)


@pytest.mark.slow
def test_dibr_losses_fit_a_shape():
    """An ellipsoid's masks and colour from six sides, DIB-R's losses and weights: the mesh takes its proportions."""
    torch.manual_seed(0)
    target = icosphere(2, 0.5).map(lambda t: t.repeat(6, *[1] * (t.ndim - 1)))
    xyz = normalized(target.vertices * torch.tensor([1.0, 0.5, 0.7]), "diagonal")
    azimuth = torch.arange(6) * 60.0
    cameras = pinhole(orbit(azimuth, torch.full((6,), 20.0)), 48)
    seen = render_meshes(target.with_vertices(xyz), cameras)
    mask, color = (seen.face >= 0).float(), torch.tensor([0.8, 0.3, 0.2]).expand(6, 48, 48, 3)
    decoder = small_mesh_decoder(16)
    mesh = topology(decoder.faces, 1, 162)
    optimizer = torch.optim.Adam(decoder.parameters(), 3e-3)
    code, weights, history = torch.ones(1, 16), DIBR_WEIGHTS, []
    for _ in range(80):
        prediction = decoder(code)
        images = render_meshes(prediction.meshes.repeat_views(6), cameras)
        loss = weights.silhouette * silhouette_loss(images.mask, mask, "iou").mean()
        loss = loss + weights.color * masked_color(images.color, color, mask).mean()
        loss = loss + weights.laplacian * laplacian(prediction.offsets, mesh).mean()
        loss = loss + weights.flatness * flatness(prediction.meshes.vertices, mesh).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    vertices = decoder(code).meshes.vertices.detach()[0]
    extent = vertices.amax(0) - vertices.amin(0)
    expected = xyz[0].amax(0) - xyz[0].amin(0)
    assert history[-1] < 0.3 * history[0]
    torch.testing.assert_close(extent, expected, atol=0.08, rtol=0)
