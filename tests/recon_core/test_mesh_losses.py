# SPDX-License-Identifier: Apache-2.0
"""Mesh regularisers and the mesh value object against closed forms, loops, gradients, and degenerate input."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from recon_core.cameras import random_rotations
from recon_core.errors import InputError
from recon_core.losses.mesh import (
    DIBR_WEIGHTS,
    edge_length,
    flatness,
    laplacian,
    masked_color,
    move,
    normal_consistency,
    topology,
)
from recon_core.mesh import Meshes, batch_meshes, icosphere

CUBE = torch.tensor(
    [[x, y, z] for x in (0.0, 1.0) for y in (0.0, 1.0) for z in (0.0, 1.0)], dtype=torch.float64
)
CUBE_FACES = torch.tensor(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 5, 7], [1, 7, 3]]
)  # fmt: skip


@pytest.mark.parametrize("subdivisions", [0, 1, 2, 3, 4])
def test_icosphere_is_a_closed_sphere_facing_outwards(subdivisions):
    """Counts, Euler's formula, radius, orientation, enclosed volume."""
    sphere = icosphere(subdivisions, 0.5)
    count = 10 * 4**subdivisions + 2
    assert sphere.vertices.shape == (1, count, 3)
    assert sphere.faces.shape == (2 * count - 4, 3)
    mesh = topology(sphere.faces, 1, count)
    assert len(mesh.edges) == len(mesh.pairs) == 3 * count - 6
    torch.testing.assert_close(sphere.vertices.norm(dim=-1), torch.full((1, count), 0.5))
    corners = sphere.vertices[0][sphere.faces].double()
    volume = torch.linalg.det(corners).sum() / 6
    assert 0.6 < float(volume) / (4 / 3 * math.pi * 0.5**3) < 1
    centre = corners.mean(1)
    assert bool(((centre * sphere.face_normals()[0]).sum(-1) > 0).all())
    torch.testing.assert_close(sphere.vertex_normals(), sphere.vertices * 2, atol=0.05, rtol=0)


def test_texture_coordinates_of_the_sphere_are_continuous():
    """No face spans the seam; the front is in the middle, up is up, and u, v give back the vertex."""
    sphere = icosphere(3)
    assert sphere.uv is not None
    assert sphere.uv_faces is not None
    corners = sphere.uv[0][sphere.uv_faces]  # (F, 3, 2)
    assert float((corners.amax(1) - corners.amin(1)).amax()) < 0.3
    assert float(corners.min()) >= 0
    longitude, latitude = (corners[..., 0] - 0.5) * 2 * math.pi, (corners[..., 1] - 0.5) * math.pi
    places = 0.5 * torch.stack(
        (latitude.cos() * longitude.sin(), -latitude.cos() * longitude.cos(), latitude.sin()), -1
    )
    torch.testing.assert_close(places, sphere.vertices[0][sphere.faces], atol=1e-5, rtol=0)
    assert sphere.uv.shape[1] > 642


def test_cube_in_closed_form():
    """Twelve edges at right angles, six flat diagonals; known lengths."""
    mesh = topology(CUBE_FACES, 1, 8)
    assert len(mesh.edges) == 18
    assert float(flatness(CUBE[None], mesh)) == pytest.approx(12)
    assert float(normal_consistency(CUBE[None], mesh)) == pytest.approx(12 / 18)
    assert float(edge_length(CUBE[None], mesh)) == pytest.approx((12 * 1 + 6 * 2) / 18)
    assert float(edge_length(CUBE[None], mesh, 1.0)) == pytest.approx(6 * (math.sqrt(2) - 1) ** 2 / 18)
    assert float(move(2 * CUBE[None])) == pytest.approx(float((4 * CUBE.square()).sum() / 8))


def test_laplacian_agrees_with_a_loop_over_neighbours(generator):
    """DIB-R's form: sum over vertices and coordinates of (A delta - delta)^2, A the average of neighbours."""
    sphere = icosphere(1)
    delta = torch.randn(2, 42, 3, generator=generator, dtype=torch.float64)
    neighbours = [set() for _ in range(42)]
    for face in sphere.faces.tolist():
        for vertex in face:
            neighbours[vertex] |= set(face) - {vertex}
    for b in range(2):
        expected = sum(
            float((delta[b, sorted(near)].mean(0) - delta[b, v]).square().sum())
            for v, near in enumerate(neighbours)
        )
        mesh = topology(sphere.faces, 2, 42)
        assert float(laplacian(delta, mesh)[b]) == pytest.approx(expected)
        assert float(laplacian(delta, mesh, "mean")[b]) == pytest.approx(expected / 42)
    assert float(laplacian(torch.ones(2, 42, 3), topology(sphere.faces, 2, 42)).abs().max()) < 1e-10


def test_meshes_of_different_sizes_are_as_if_alone(generator):
    """Padding counts nothing, and an element without faces is 0."""
    sphere = icosphere(1)
    vertices = sphere.vertices[0].double() + 0.05 * torch.randn(
        42, 3, generator=generator, dtype=torch.float64
    )
    none = torch.zeros(0, 3, dtype=torch.int64)
    meshes = batch_meshes([CUBE, vertices, torch.zeros(1, 3).double()], [CUBE_FACES, sphere.faces, none])
    mesh = topology(meshes.faces, 3, meshes.vertices.shape[1])
    for loss in (laplacian, flatness, normal_consistency, edge_length):
        together = loss(meshes.vertices, mesh)
        assert together.shape == (3,)
        assert float(together[2]) == 0
        for b, (xyz, faces) in enumerate(((CUBE, CUBE_FACES), (vertices, sphere.faces))):
            alone = loss(xyz[None], topology(faces, 1, len(xyz)))
            assert float(together[b]) == pytest.approx(float(alone[0]))
    assert meshes.element(0).faces.shape == (12, 3)
    assert meshes.face_normals()[0, 12:].abs().max() == 0


def test_shared_faces_are_those_of_every_mesh():
    """A batch that shares its faces has the edges and pairs of one that repeats them."""
    faces = icosphere(1).faces
    shared, own = topology(faces, 3, 42), topology(faces.expand(3, -1, -1), 3, 42)
    assert torch.equal(shared.corners, own.corners)
    assert torch.equal(shared.edges, own.edges)
    assert torch.equal(shared.pairs, own.pairs)


def test_gradcheck_and_rigid_motion(generator):
    """Analytic gradients; turning and shifting a mesh changes nothing."""
    xyz = (CUBE + 0.1 * torch.randn(8, 3, generator=generator, dtype=torch.float64))[None]
    mesh = topology(CUBE_FACES, 1, 8)
    moved = xyz @ random_rotations(1, generator)[0] + 0.3
    for loss in (laplacian, flatness, normal_consistency, lambda v, m: edge_length(v, m, 0.7)):
        assert gradcheck(lambda v, loss=loss: loss(v, mesh), xyz.clone().requires_grad_())
        torch.testing.assert_close(loss(moved, mesh), loss(xyz, mesh))
    assert gradcheck(lambda v: Meshes(v, CUBE_FACES).vertex_normals(), xyz.clone().requires_grad_())


def test_flat_and_degenerate_faces_have_finite_gradients():
    """All vertices at one place, or on one line."""
    line = torch.linspace(0, 1, 8)[:, None].expand(8, 3)
    for xyz in (torch.zeros(1, 8, 3), line[None]):
        inputs = xyz.clone().requires_grad_()
        mesh = topology(CUBE_FACES, 1, 8)
        losses = [flatness(inputs, mesh), normal_consistency(inputs, mesh), edge_length(inputs, mesh, 0.1)]
        normals = Meshes(inputs, CUBE_FACES).vertex_normals()
        (torch.stack(losses).sum() + normals.sum()).backward()
        assert bool(torch.isfinite(inputs.grad).all())


def test_dibr_colour_and_weights(generator):
    """Only pixels of the target count, over the whole image; the published weights."""
    predicted, target = (torch.rand(2, 4, 5, 3, generator=generator) for _ in range(2))
    mask = torch.zeros(2, 4, 5)
    mask[0, 1, 2] = 1
    loss = masked_color(predicted, target, mask)
    assert float(loss[0]) == pytest.approx(float((predicted - target)[0, 1, 2].abs().sum()) / 60)
    assert float(loss[1]) == 0
    assert (DIBR_WEIGHTS.color, DIBR_WEIGHTS.silhouette, DIBR_WEIGHTS.laplacian, DIBR_WEIGHTS.flatness) == (
        3.0, 1.0, 0.01, 0.001,
    )  # fmt: skip


def test_wrong_shapes_are_named():
    """A field of another mesh; values that do not fit each other."""
    with pytest.raises(InputError, match="topology"):
        flatness(torch.zeros(1, 7, 3), topology(CUBE_FACES, 1, 8))
    with pytest.raises(InputError, match="vertex_colors"):
        Meshes(CUBE[None], CUBE_FACES, vertex_colors=torch.zeros(1, 7, 3))
    with pytest.raises(InputError, match="texture"):
        Meshes(CUBE[None], CUBE_FACES, texture=torch.zeros(1, 4, 4, 3))
    with pytest.raises(InputError, match="subdivisions"):
        icosphere(9)
