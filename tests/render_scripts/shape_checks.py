# SPDX-License-Identifier: Apache-2.0
"""What the tests of all procedural objects check alike: closed bodies that hang together, sizes, symmetry."""

import hashlib
import json

import numpy as np
import pytest
import trimesh
from shapes.mesh import Mesh, Model, join, rotation
from shapes.rng import Rng
from shapes.skin import face_normals
from shapes.surface import sample_surface


def fingerprint(made: Model) -> str:
    """Hash of labels, topology and coordinates to 1e-5 m (0.137 keeps round numbers off the limit)."""
    digest = hashlib.sha256()
    for part in made.parts:
        digest.update(part.label.encode() + part.material.kind.encode())
        digest.update(part.mesh.faces.astype("<i8").tobytes())
        digest.update(np.rint(part.mesh.vertices * 1e5 + 0.137).astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def require_whole(
    made: Model, always: set[str], names: list[str], sizes: tuple[float, float], most_triangles: int = 20_000
) -> None:
    """Fail unless all bodies are closed and labelled, it stands on the floor, and its largest extent is in `sizes`."""
    json.dumps(made.style)
    assert always <= {part.label for part in made.parts} <= set(names)
    for part in made.parts:
        assert np.isfinite(part.mesh.vertices).all()
        assert np.isfinite(part.mesh.uv).all()
        assert edges_are_paired(part.mesh.triangles()[0]), (part.label, part.material.kind)
        assert part.mesh.volume() > 1e-9
        assert np.linalg.norm(face_normals(part.mesh), axis=1).min() > 1e-12
    low, high = join(part.mesh for part in made.parts).bounds()
    assert low[2] == pytest.approx(0, abs=1e-9)
    smallest, largest = sizes
    assert smallest < (high - low).max() < largest
    assert sum(len(part.mesh.triangles()[0]) for part in made.parts) < most_triangles


def edges_are_paired(triangles: np.ndarray) -> bool:
    """True where every directed edge has its opposite: the surface is closed."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    there, back = (np.unique(e[:, 0] * (edges.max() + 1) + e[:, 1]) for e in (edges, edges[:, ::-1]))
    return np.array_equal(there, back) and len(there) == len(edges)


def pieces_apart(made: Model, near: float = 1.5e-3) -> list[str]:
    """Labels of the bodies that do not hang together with most of the others."""
    group = list(range(len(made.parts)))
    for a, b in touching([part.mesh for part in made.parts], near):
        one, other = group[a], group[b]
        group = [one if g == other else g for g in group]
    main = max(set(group), key=group.count)
    return [part.label for part, g in zip(made.parts, group, strict=True) if g != main]


def touching(meshes: list[Mesh], near: float) -> list[tuple[int, int]]:
    """Pairs of bodies of which one has a point within `near` metres of, or inside, the other."""
    o3d = pytest.importorskip("open3d")
    scenes, probes = [], []
    for mesh in meshes:
        triangles = mesh.triangles()[0]
        scene = o3d.t.geometry.RaycastingScene(nthreads=1)
        scene.add_triangles(mesh.vertices.astype(np.float32), triangles.astype(np.uint32))
        scenes.append(scene)
        spread = trimesh.sample.sample_surface(trimesh.Trimesh(mesh.vertices, triangles), 300, seed=0)[0]
        probes.append(np.concatenate([mesh.vertices, spread]).astype(np.float32))
    boxes = [mesh.bounds() for mesh in meshes]
    pairs = [(a, b) for a in range(len(meshes)) for b in range(len(meshes)) if a != b]
    pairs = [(a, b) for a, b in pairs if _boxes_meet(boxes[a], boxes[b], near)]
    return [
        (a, b)
        for a, b in pairs
        if scenes[b].compute_signed_distance(probes[a], nthreads=1).numpy().min() < near
    ]


def _boxes_meet(
    one: tuple[np.ndarray, np.ndarray], two: tuple[np.ndarray, np.ndarray], margin: float
) -> bool:
    return bool((one[0] - margin < two[1]).all() and (two[0] - margin < one[1]).all())


def symmetry_error(made: Model, names: list[str]) -> float:
    """Largest distance (metres) of its surface from itself turned about Z as its symmetry order says; 0 without one."""
    order = made.symmetry_order
    assert order >= 0
    if order == 1:
        return 0.0
    points = sample_surface(made, names, 2000, Rng("symmetry")).xyz
    angles = (37.0, 90.0) if order == 0 else (360.0 / order,)
    return max(_off_after(made, points, angle) for angle in angles)


def _off_after(made: Model, points: np.ndarray, degrees: float) -> float:
    o3d = pytest.importorskip("open3d")
    mesh = join(part.mesh for part in made.parts)
    scene = o3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(mesh.vertices.astype(np.float32), mesh.triangles()[0].astype(np.uint32))
    turned = (points @ rotation("z", degrees).T).astype(np.float32)
    return float(scene.compute_distance(turned, nthreads=1).numpy().max())
