# SPDX-License-Identifier: Apache-2.0
"""DIB-R's terms as recipes name them: what they compute, what they move, which fields they take."""

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from recon_core.cameras import orbit, pinhole
from recon_core.losses.mesh import flatness, laplacian, topology
from recon_core.mesh import icosphere
from recon_core.methods.terms.base import Views
from recon_core.methods.terms.mesh import MeshColor, MeshMask, MeshSmooth
from recon_core.models.mesh_decoder import MeshPrediction

SIZE = 32


def prediction(generator, radius=0.4) -> MeshPrediction:
    """Two spheres of one colour each."""
    sphere = icosphere(2, radius).map(lambda t: t.repeat(2, *[1] * (t.ndim - 1)))
    colors = torch.tensor([0.8, 0.3])[:, None, None].expand(2, 162, 3)
    offsets = torch.randn(2, 162, 3, generator=generator)
    return MeshPrediction(replace(sphere, vertex_colors=colors), offsets, None)


def views(generator, shape: MeshPrediction, count=3) -> Views:
    """What that shape looks like from three sides, hard masks and its colours."""
    azimuth = torch.arange(2 * count) * 50.0
    cameras = pinhole(orbit(azimuth, torch.full_like(azimuth, 15.0)), SIZE)
    blank = Views(cameras, torch.zeros(2, count, SIZE, SIZE))
    images = MeshColor().render(shape, blank, 0.0)
    return Views(cameras, (images[..., 0] > 0).float(), images)


def test_a_perfect_mesh_costs_next_to_nothing(generator):
    """Same mask and colours: the soft rim is all that is left of the silhouette's loss."""
    shape = prediction(generator)
    seen = views(generator, shape)
    assert MeshMask().evaluate(shape, seen, 0.0).shape == (2, 3)
    assert float(MeshMask().evaluate(shape, seen, 0.0).max()) < 0.08
    assert float(MeshColor().evaluate(shape, seen, 0.0).abs().max()) == 0
    smaller = prediction(generator, 0.25)
    assert float(MeshMask().evaluate(smaller, seen, 0.0).min()) > 0.5
    darker = replace(shape, meshes=replace(shape.meshes, vertex_colors=shape.meshes.vertex_colors - 0.1))
    expected = 0.1 * seen.masks.mean((-1, -2))
    torch.testing.assert_close(MeshColor().evaluate(darker, seen, 0.0), expected, atol=1e-4, rtol=0)


def test_terms_grow_a_mesh_that_is_too_small(generator):
    """The soft mask's gradient points outwards; colours move vertices only if they may."""
    seen = views(generator, prediction(generator))
    small = prediction(generator, 0.37)
    vertices = small.meshes.vertices.clone().requires_grad_()
    colors = torch.rand(2, 162, 3, generator=generator).requires_grad_()
    shape = replace(small, meshes=replace(small.meshes, vertices=vertices, vertex_colors=colors))
    (grad,) = torch.autograd.grad(MeshMask().evaluate(shape, seen, 0.0).sum(), vertices)
    assert float((grad * vertices.detach()).sum()) < 0
    for allowed in (True, False):
        loss = MeshColor(move_vertices=allowed).evaluate(shape, seen, 0.0).sum()
        to_vertices, to_colors = torch.autograd.grad(loss, (vertices, colors), allow_unused=True)
        assert float(to_colors.abs().sum()) > 0
        assert (to_vertices is not None and float(to_vertices.abs().sum()) > 0) == allowed


def test_smoothness_is_the_weighted_sum_of_its_parts(generator):
    """Per mesh, the same for every view; weights of 0 leave a part out."""
    shape = prediction(generator)
    seen = views(generator, shape)
    mesh = topology(shape.meshes.faces, 2, 162)
    expected = 0.01 * laplacian(shape.offsets, mesh) + 0.001 * flatness(shape.meshes.vertices, mesh)
    got = MeshSmooth().evaluate(shape, seen, 0.0)
    torch.testing.assert_close(got, expected[:, None].expand(2, 3))
    none = MeshSmooth(laplacian=0, flatness=0).evaluate(shape, seen, 0.0)
    assert float(none.abs().max()) == 0
    more = MeshSmooth(laplacian=0, flatness=0, normal_consistency=1, edge_length=1, move=1)
    assert float(more.evaluate(shape, seen, 0.0).min()) > 0


def test_options_and_their_limits(generator):
    """Fewer views, parity mode; wrong values are refused."""
    shape = prediction(generator)
    seen = views(generator, shape)
    assert MeshMask(views=1, knum=30).evaluate(shape, seen, 0.0).shape == (2, 1)
    normal, winding = (MeshMask(cull=cull).evaluate(shape, seen, 0.0) for cull in ("normal", True))
    torch.testing.assert_close(normal, winding, atol=0.01, rtol=0)
    for wrong in ({"sigmainv": 0}, {"knum": 0}, {"loss": "dice"}, {"sigma": 1}):
        with pytest.raises(ValidationError):
            MeshMask(**wrong)
