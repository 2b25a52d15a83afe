# SPDX-License-Identifier: Apache-2.0
"""Procedural tables, cabinets and lamps: the same everywhere, closed, in one piece, labelled, symmetric as stated."""

import json
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "render_scripts"))

from shapes import objects
from shapes.mesh import Mesh, Model, join, rotation
from shapes.rng import Rng
from shapes.skin import face_normals
from shapes.surface import sample_surface
from test_shapes import fingerprint

PARTS = {
    "cabinet": ["body", "door", "drawer", "leg"],
    "lamp": ["base", "lampshade", "canopy", "tube"],
    "table": ["top", "leg", "drawer", "shelf"],
}
ALWAYS = {"table": {"top", "leg"}, "cabinet": {"body"}, "lamp": {"lampshade"}}
SIZES = {"table": (0.3, 2.5), "cabinet": (0.25, 2.6), "lamp": (0.15, 2.4)}  # metres, largest extent
GOLDEN = {
    ("cabinet", 0, 0): "400bf410c851032e",
    ("cabinet", 0, 7): "53861373ea0c2295",
    ("cabinet", 0, 17): "d0bcbb9602481694",
    ("cabinet", 0, 23): "9e8632ae52a5ba69",
    ("cabinet", 7, 123): "61ee0a79899404f4",
    ("lamp", 0, 0): "8615715114ace9ca",
    ("lamp", 0, 1): "f86fa58219f6dcca",
    ("lamp", 0, 2): "53c149276b8e49c5",
    ("lamp", 0, 16): "8fdd21c90e290470",
    ("lamp", 7, 123): "885b1fb065032b13",
    ("table", 0, 0): "17bf733e1cb85588",
    ("table", 0, 1): "49b27bbe75dfb6cc",
    ("table", 0, 3): "e7a3b032d6b0695c",
    ("table", 0, 19): "580ec1cbc8dcc9a6",
    ("table", 0, 30): "9e1d356292bd49cb",
    ("table", 7, 123): "c01931de749fdf1e",
}
COUNT = 20
EACH = [(category, index) for category in PARTS for index in range(COUNT)]


@cache
def model(category: str, index: int) -> Model:
    return objects.build(category, 0, index)


@pytest.mark.parametrize("key", GOLDEN, ids=lambda key: f"{key[0]}-{key[1]}-{key[2]}")
def test_objects_never_change(key):
    assert fingerprint(objects.build(*key)) == GOLDEN[key]


@pytest.mark.parametrize("category", PARTS)
def test_part_names(category):
    assert objects.part_names(category) == PARTS[category]
    seen = {part.label for k in range(COUNT) for part in model(category, k).parts}
    assert seen == set(PARTS[category])


@pytest.mark.parametrize(("category", "index"), EACH)
def test_object_is_whole(category, index):
    made = model(category, index)
    json.dumps(made.style)
    assert ALWAYS[category] <= {part.label for part in made.parts} <= set(PARTS[category])
    for part in made.parts:
        assert np.isfinite(part.mesh.vertices).all()
        assert np.isfinite(part.mesh.uv).all()
        assert edges_are_paired(part.mesh), (part.label, part.material.kind)
        assert part.mesh.volume() > 1e-9
        assert np.linalg.norm(face_normals(part.mesh), axis=1).min() > 1e-12
    low, high = join(part.mesh for part in made.parts).bounds()
    assert low[2] == pytest.approx(0, abs=1e-9)
    smallest, largest = SIZES[category]
    assert smallest < (high - low).max() < largest
    assert sum(len(part.mesh.triangles()[0]) for part in made.parts) < 20_000


def edges_are_paired(mesh: Mesh) -> bool:
    """True where every directed edge has its opposite: the surface is closed."""
    t = mesh.triangles()[0]
    edges = np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]])
    there, back = (np.unique(e[:, 0] * (edges.max() + 1) + e[:, 1]) for e in (edges, edges[:, ::-1]))
    return np.array_equal(there, back) and len(there) == len(edges)


@pytest.mark.parametrize(("category", "index"), EACH)
def test_no_piece_floats(category, index):
    meshes = [part.mesh for part in model(category, index).parts]
    parent = list(range(len(meshes)))

    def root(k: int) -> int:
        return k if parent[k] == k else root(parent[k])

    for a, b in touching(meshes):
        parent[root(a)] = root(b)
    groups = Counter(root(k) for k in range(len(meshes)))
    alone = [meshes[k].bounds() for k in range(len(meshes)) if root(k) != groups.most_common(1)[0][0]]
    assert len(groups) == 1, alone


def touching(meshes: list[Mesh]) -> list[tuple[int, int]]:
    """Pairs of bodies of which one has a point within 2 mm of, or inside, the other."""
    o3d = pytest.importorskip("open3d")
    near, scenes, probes = 2e-3, [], []
    for mesh in meshes:
        scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        scene.add_triangles(mesh.vertices.astype(np.float32), mesh.triangles()[0].astype(np.uint32))
        scenes.append(scene)
        corners = mesh.vertices[mesh.triangles()[0]]
        probes.append(np.concatenate([mesh.vertices, corners.mean(1)]).astype(np.float32))
    boxes = [mesh.bounds() for mesh in meshes]
    pairs = [
        (a, b)
        for a in range(len(meshes))
        for b in range(len(meshes))
        if a != b and (boxes[a][0] - near < boxes[b][1]).all() and (boxes[b][0] - near < boxes[a][1]).all()
    ]
    return [
        (a, b)
        for a, b in pairs
        if scenes[b].compute_signed_distance(probes[a], nthreads=1).numpy().min() < near
    ]


@pytest.mark.parametrize(("category", "index"), EACH)
def test_stated_symmetry_is_true(category, index):
    made = model(category, index)
    order = made.symmetry_order
    assert order >= 0
    if order != 1:
        points = sample_surface(made, PARTS[category], 2000, Rng("symmetry")).xyz
        angles = (37.0, 90.0) if order == 0 else (360.0 / order,)
        assert all(off_after(made, points, angle) < 4e-3 for angle in angles)


def off_after(made: Model, points: np.ndarray, degrees: float) -> float:
    """Largest distance (metres) of turned surface points from the surface."""
    o3d = pytest.importorskip("open3d")
    mesh = join(part.mesh for part in made.parts)
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(mesh.vertices.astype(np.float32), mesh.triangles()[0].astype(np.uint32))
    turned = (points @ rotation("z", degrees).T).astype(np.float32)
    return float(scene.compute_distance(turned, nthreads=1).numpy().max())
