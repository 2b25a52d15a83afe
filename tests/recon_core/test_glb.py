# SPDX-License-Identifier: Apache-2.0
"""GLB files: round trips, the frame, colours, and damaged files."""

import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from recon_core.errors import InputError
from recon_core.io.glb import linear_from_srgb, read_glb, srgb_from_linear, write_glb
from recon_core.mesh import Meshes, batch_meshes, icosphere


def document(path) -> dict:
    """The JSON chunk of a GLB file."""
    data = path.read_bytes()
    return json.loads(data[20 : 20 + struct.unpack_from("<I", data, 12)[0]])


def test_vertex_colours_survive(tmp_path, generator):
    """Places, faces and colours come back; dark colours too, which 8 linear bits would merge."""
    sphere = icosphere(2)
    colors = torch.rand(1, 162, 3, generator=generator) ** 4
    write_glb(tmp_path / "mesh.glb", replace(sphere, vertex_colors=colors, uv=None, uv_faces=None))
    back = read_glb(tmp_path / "mesh.glb")
    torch.testing.assert_close(back.vertices, sphere.vertices)
    assert torch.equal(back.faces, sphere.faces)
    assert back.vertex_colors is not None
    torch.testing.assert_close(back.vertex_colors, colors, atol=1e-5, rtol=0)


def test_a_texture_survives_with_its_seam(tmp_path, generator):
    """Same corners, coordinates and texels; vertices on the seam are split."""
    sphere = icosphere(2)
    texture = torch.randint(0, 256, (1, 8, 16, 3), generator=generator).float() / 255
    write_glb(tmp_path / "mesh.glb", replace(sphere, texture=texture))
    back = read_glb(tmp_path / "mesh.glb")
    assert back.texture is not None
    assert back.uv is not None
    assert sphere.uv is not None
    torch.testing.assert_close(back.texture, texture)
    torch.testing.assert_close(back.uv[0][back.faces], sphere.uv[0][sphere.uv_faces])
    torch.testing.assert_close(back.vertices[0][back.faces], sphere.vertices[0][sphere.faces])
    assert back.vertices.shape[1] > 162


def test_the_file_is_y_up_with_smooth_normals_and_a_matt_material(tmp_path):
    """What other software reads: +Z becomes +Y, the front -Y becomes +Z; bounds stand in the accessor."""
    vertices = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]])
    mesh = Meshes(vertices, torch.tensor([[0, 1, 2]]), torch.full((1, 3, 3), 0.5))
    write_glb(tmp_path / "mesh.glb", mesh)
    tree = document(tmp_path / "mesh.glb")
    attributes = tree["meshes"][0]["primitives"][0]["attributes"]
    assert {"POSITION", "NORMAL", "COLOR_0"} == set(attributes)
    position = tree["accessors"][attributes["POSITION"]]
    assert position["max"] == [1, 2, 1]  # x right, y up, z to the front
    assert position["min"] == [0, 0, 0]
    material = tree["materials"][tree["meshes"][0]["primitives"][0]["material"]]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0
    import trimesh

    solid = trimesh.load(tmp_path / "mesh.glb", force="mesh", process=False)
    normal = mesh.face_normals()[0, 0]
    expected = np.array([normal[0], normal[2], -normal[1]])
    np.testing.assert_allclose(solid.vertex_normals, np.tile(expected, (3, 1)), atol=1e-6)


def test_one_of_a_batch_without_its_padding(tmp_path):
    """The faces that fill up a batch are not written."""
    small, large = icosphere(0), icosphere(1)
    meshes = batch_meshes([small.vertices[0], large.vertices[0]], [small.faces, large.faces])
    write_glb(tmp_path / "mesh.glb", meshes, 0)
    assert read_glb(tmp_path / "mesh.glb").faces.shape == (20, 3)


def test_colour_conversion_goes_back_and_forth():
    """And agrees with known values."""
    values = np.linspace(0, 1, 257)
    np.testing.assert_allclose(srgb_from_linear(linear_from_srgb(values)), values, atol=1e-7)
    assert float(linear_from_srgb(np.array(0.5))) == pytest.approx(0.21404, abs=1e-5)


def test_nothing_is_left_of_a_mesh_that_cannot_be_written(tmp_path):
    """No faces, or NaN: a message, no file."""
    sphere = icosphere(0)
    for bad in (
        replace(sphere, faces=torch.zeros(0, 3, dtype=torch.int64), uv=None, uv_faces=None),
        sphere.with_vertices(sphere.vertices * torch.nan),
    ):
        with pytest.raises(InputError, match="finite"):
            write_glb(tmp_path / "mesh.glb", bad)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("keep", [0, 10, 25, 400, -200])
def test_damaged_files_are_named(tmp_path, keep):
    """Cut short anywhere."""
    path = tmp_path / "mesh.glb"
    write_glb(path, icosphere(1))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"mesh\.glb"):
        read_glb(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_glb(tmp_path / "missing.glb")


def test_real_files_stand_upright(shared_data):
    """A chair by others, +Y up in its file, is +Z up here: its extents are the file's, turned."""
    import trimesh

    path = shared_data / "meshes" / "chair" / "aws_ChairD.glb"
    bounds = trimesh.load(path, force="mesh").bounds
    mesh = read_glb(path)
    extent = mesh.vertices[0].amax(0) - mesh.vertices[0].amin(0)
    np.testing.assert_allclose(extent.numpy(), (bounds[1] - bounds[0])[[0, 2, 1]], rtol=1e-4)
    assert mesh.texture is not None or mesh.vertex_colors is not None
