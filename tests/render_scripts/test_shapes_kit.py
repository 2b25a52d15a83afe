# SPDX-License-Identifier: Apache-2.0
"""Primitives, textures and the surface sampler of the procedural shapes."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "render_scripts"))

from shapes import kit, materials, sweeps
from shapes.mesh import Model, Part, around, both_sides, join
from shapes.rng import Rng
from shapes.surface import corner_normals, sample_surface

BEND = np.concatenate([kit.squircle_grid(0.4, 0.4, 0.4), kit.squircle_grid(0.4, 0.4, 0.4)[..., :1] ** 2], -1)
ELL = [[0, 0], [0.4, 0], [0.4, 0.1], [0.1, 0.1], [0.1, 0.4], [0, 0.4]]
SECTION = np.concatenate([kit.superellipse(0.2, 0.1, 3.0), np.zeros((24, 1))], 1)
PRIMITIVES = {
    "chamfered box": kit.rounded_box(0.4, 0.3, 0.1, 0.01, 1),
    "rounded box": kit.rounded_box(0.4, 0.3, 0.1, 0.02, 3),
    "lathe with poles": kit.lathe([[0, 0], [0.1, 0.05], [0.1, 0.2], [0, 0.25]]),
    "lathe with caps": kit.lathe([[0.1, 0], [0.05, 0.2]]),
    "cylinder": kit.cylinder(0.1, 0.3),
    "extrusion": kit.extrude(ELL, 0.05, 0.005, 2),
    "extrusion of a clockwise outline": kit.extrude(ELL[::-1], 0.05),
    "cushion": kit.cushion(0.4, 0.4, 0.1),
    "loft": kit.loft([SECTION, SECTION * 1.5 + [0, 0, 0.3], SECTION * 0.0 + [0, 0, 0.5]]),
    "sheet": kit.sheet(BEND, 0.02),
    "tube": sweeps.tube(sweeps.filleted([[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]], 0.2), 0.03),
    "tube with round ends": sweeps.tube([[0, 0, 0], [1, 0, 0], [1, 1, 0]], 0.03, ends="round"),
    "ring": sweeps.tube(sweeps.arc(0.3, 0, 360)[:-1], 0.02, loop=True),
    "bar": sweeps.bar([0, 0, 0], [0, 0, 1], 0.02, bulge=0.3),
    "plank": sweeps.plank([0, 0, 0], [0, 0.1, 1], 0.04, 0.06, up=(0, 1, 0)),
    "mirror image": kit.rounded_box(0.4, 0.3, 0.1).moved(1).mirrored("x"),
    "turned and scaled": kit.cylinder(0.1, 0.3).rotated("y", 37, (1, 0, 0)).scaled(1, -2, 3),
    "split sheet": kit.split_sheet(BEND, 0.02, [4])[0],
}


def solid(mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.triangles()[0], process=False)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitive_is_closed_and_outward(name):
    mesh = PRIMITIVES[name]
    body = solid(mesh)
    assert body.is_watertight
    assert body.is_winding_consistent
    assert body.volume > 0
    assert np.isfinite(mesh.vertices).all()
    assert np.isfinite(mesh.uv).all()
    assert body.area_faces.min() > 1e-9
    assert np.array_equal(np.unique(mesh.faces[mesh.faces >= 0]), np.arange(len(mesh.vertices)))


def test_sizes_are_those_asked_for():
    for mesh, size in (
        (kit.rounded_box(0.4, 0.3, 0.1, 0.02, 3), (0.4, 0.3, 0.1)),
        (kit.cushion(0.4, 0.3, 0.1), (0.4, 0.3, 0.1)),
        (kit.extrude(ELL, 0.05), (0.4, 0.4, 0.05)),
        (kit.cylinder(0.1, 0.3), (0.2, 0.2, 0.3)),
        (sweeps.bar([0, 0, 0], [0, 0, 1], 0.02, 12), (0.04, 0.04, 1.0)),
    ):
        low, high = mesh.bounds()
        assert high - low == pytest.approx(size, abs=1e-9)


def test_volumes_match_formulas():
    polygon = 0.5 * 48 * np.sin(2 * np.pi / 48) * 0.1**2  # area of the 48-gon that stands for the circle
    assert kit.cylinder(0.1, 0.3, 1e-5, 48).volume() == pytest.approx(polygon * 0.3, rel=1e-3)
    assert kit.rounded_box(0.4, 0.3, 0.1, 1e-4).volume() == pytest.approx(0.012, rel=1e-3)
    assert kit.extrude(ELL, 0.05, 1e-5).volume() == pytest.approx(0.07 * 0.05, rel=1e-3)
    pieces = kit.split_sheet(BEND, 0.02, [3, 6])
    assert sum(p.volume() for p in pieces) == pytest.approx(kit.sheet(BEND, 0.02).volume(), rel=0.02)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.3, 1.0), min_size=4, max_size=24))
def test_ear_clipping_covers_any_star_polygon(radii):
    t = 2 * np.pi * np.arange(len(radii)) / len(radii)
    polygon = np.array(radii)[:, None] * np.stack([np.cos(t), np.sin(t)], 1)
    p = polygon[kit.ear_clip(polygon)]
    a, b = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    areas = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2
    after = np.roll(polygon, -1, 0)
    shoelace = (polygon[:, 0] * after[:, 1] - polygon[:, 1] * after[:, 0]).sum() / 2
    assert len(p) == len(radii) - 2
    assert areas.min() > -1e-12
    assert areas.sum() == pytest.approx(shoelace)


def test_a_fillet_keeps_ends_and_has_its_radius():
    path = sweeps.filleted([[0, 0, 0], [1, 0, 0], [1, 1, 0]], 0.2, 8)
    assert path[0] == pytest.approx([0, 0, 0])
    assert path[-1] == pytest.approx([1, 1, 0])
    assert np.linalg.norm(path[1:-1] - [0.8, 0.2, 0], axis=1) == pytest.approx(0.2)


def test_a_spline_passes_through_its_knots():
    knots = np.array([[0, 0, 0], [1, 2, 0], [3, 1, 1], [4, 4, 2.0]])
    assert sweeps.catmull_rom(knots, 5)[::5] == pytest.approx(knots)
    assert sweeps.catmull_rom(knots, 5, loop=True)[::5] == pytest.approx(knots)


def test_normals_are_smooth_on_curves_and_crisp_on_edges():
    ball = kit.lathe([[np.sin(a) * 0.5, -np.cos(a) * 0.5] for a in np.linspace(0, np.pi, 25)], 48)
    real = ball.faces >= 0
    radial = ball.vertices[ball.faces] / 0.5
    assert (corner_normals(ball) * radial).sum(-1)[real].min() > 0.99
    box = kit.rounded_box(1, 1, 1, 1e-4)
    normals = corner_normals(box)[box.faces >= 0]
    assert (np.abs(normals).max(1) > 0.999).sum() >= 24


def test_mirrored_and_repeated_copies():
    post = kit.cylinder(0.02, 0.4).moved(0.2, 0.1)
    left, right = both_sides(post)
    assert right.vertices == pytest.approx(left.vertices * [-1, 1, 1])
    ring = around(post, 4, 45)
    assert len(join(ring).vertices) == 4 * len(post.vertices)
    assert join(ring).volume() == pytest.approx(4 * post.volume())


@pytest.mark.parametrize("kind", ["wood", "fabric", "leather", "metal", "plastic"])
def test_textures_are_small_coloured_and_tile(kind):
    make = {"plastic": lambda r, c: materials.plastic(r, c, True)}.get(kind, getattr(materials, kind))
    color = (0.6, 0.4, 0.3)
    texture = make(Rng("texture", kind), color).texture
    assert texture.dtype == np.uint8
    assert texture.shape[0] <= 128
    assert texture.shape[1] <= 128
    assert texture.reshape(-1, 3).mean(0) / 255 == pytest.approx(color, abs=0.1)
    assert 1 < texture.std(axis=(0, 1)).max() < 60
    values = texture.astype(float)
    inner = np.abs(np.diff(values, axis=0)).mean() + 1
    assert np.abs(values[0] - values[-1]).mean() < 4 * inner


def test_colors_at_repeats_the_texture():
    texture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    material = materials.Material("test", (0, 0, 0), texture=texture, tile=(0.3, 0.2))
    uv = np.array([[0.05, 0.05], [0.25, 0.15], [0.35, 0.25], [-0.05, -0.05]])
    assert np.array_equal(material.colors_at(uv), texture[[0, 1, 0, 1], [0, 2, 0, 2]])


def test_random_numbers_never_change():
    rng = Rng("chair", 0, 0)
    assert [round(rng.uniform(0, 1), 12) for _ in range(3)] == [0.696117069412, 0.907217279298, 0.42583444109]
    assert Rng("chair", 0, 1).uniform(0, 1) != Rng("chair", 1, 0).uniform(0, 1)
    draws = [Rng("w", k).weighted({"a": 3.0, "b": 1.0}) for k in range(400)]
    assert 0.68 < draws.count("a") / 400 < 0.82
    assert {Rng("i", k).integer(2, 4) for k in range(50)} == {2, 3, 4}


def test_samples_lie_on_what_can_be_seen():
    red, blue = materials.Material("red", (1, 0, 0)), materials.Material("blue", (0, 0, 1))
    box = kit.rounded_box(1, 1, 1, 0.01)
    ball = kit.lathe([[np.sin(a) * 0.6, -np.cos(a) * 0.6] for a in np.linspace(0, np.pi, 33)], 64).moved(0.5)
    stand = kit.rounded_box(0.2, 0.2, 1.0, 0.01).moved(z=-1.0)  # its top touches the box from below
    model = Model([Part("a", box, red), Part("b", ball, blue), Part("a", stand, red)])
    points = sample_surface(model, ["a", "b"], 6000, Rng("points"))
    inside_box = (np.abs(points.xyz) < 0.5 - 0.012).all(1)  # deeper than the chamfers
    assert not inside_box.any()
    assert np.linalg.norm(points.xyz - [0.5, 0, 0], axis=1)[points.labels == 1].min() > 0.58
    under = (np.abs(points.xyz[:, 2] + 0.5) < 1e-6) & (np.abs(points.xyz[:, :2]) < 0.09).all(1)
    assert not under.any()
    assert set(map(tuple, points.colors[points.labels == 2])) == {(0, 0, 255)}
    assert np.linalg.norm(points.normals, axis=1) == pytest.approx(1)


def test_samples_are_spread_by_area():
    one, two = kit.rounded_box(1, 1, 1, 0.01), kit.rounded_box(2, 2, 2, 0.01).moved(5)
    paint = materials.Material("paint", (1, 1, 1))
    model = Model([Part("a", one, paint), Part("b", two, paint)])
    labels = sample_surface(model, ["a", "b"], 20000, Rng("area")).labels
    assert (labels == 2).mean() == pytest.approx(0.8, abs=0.015)


def test_the_inside_test_agrees_with_signed_distance():
    o3d = pytest.importorskip("open3d")
    from shapes import objects
    from shapes.surface import _inside_another

    model = objects.build("chair", 0, 3)
    points = Rng("inside").random(4000, 3) * [0.7, 0.7, 1.0] - [0.35, 0.35, 0.0]
    mesh = join(p.mesh for p in model.parts)
    p = mesh.vertices[mesh.triangles()[0]]
    owner = np.repeat(np.arange(len(model.parts)), [len(q.mesh.triangles()[0]) for q in model.parts])
    cross = np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0])
    ours = _inside_another(points, np.full(len(points), -1), p, cross, owner, len(model.parts))
    theirs = np.zeros(len(points), bool)
    for part in model.parts:
        scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        triangles = part.mesh.triangles()[0].astype(np.uint32)
        scene.add_triangles(part.mesh.vertices.astype(np.float32), triangles)
        theirs |= scene.compute_signed_distance(points.astype(np.float32), nsamples=3).numpy() < 0
    assert theirs.sum() > 30
    assert (ours != theirs).sum() <= 2  # points within float32 rounding of a surface
