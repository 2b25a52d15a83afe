# SPDX-License-Identifier: Apache-2.0
"""What is to be labelled: a cloud's points, or a mesh's faces by points on them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..geometry.nearest import build_tree
from ..geometry.sampling import sample_mesh
from ..meshing.surface import Surface
from ..placing.object_file import read_points_or_meshes, sample_cloud
from ..pointcloud import PointCloud

SAMPLES = 30_000
# Of larger clouds so many points are looked at; the others take what their nearest one gets.
MOST_POINTS = 30_000


@dataclass(frozen=True)
class Source:
    """Points that are looked at and voted on, in the file's frame, and how they belong to the object."""

    points: PointCloud  # K points
    cloud: PointCloud | None  # the whole cloud, for clouds
    surface: Surface | None  # vertices and faces, for meshes
    face: np.ndarray | None  # (K,) the face that each point is on, for meshes

    @property
    def kind(self) -> str:
        """Cloud or mesh."""
        return "cloud" if self.surface is None else "mesh"


def read_source(path: str | Path, seed: int = 0) -> Source:
    """Read a cloud or mesh; raises InputError for what cannot be read or holds too little."""
    found = read_points_or_meshes(path)
    if isinstance(found, PointCloud):
        return source_of_cloud(found, path)
    mesh = found.element(0)
    points = sample_cloud(found, path, seed, SAMPLES)
    vertices, faces = mesh.vertices[0].double().numpy(), mesh.faces.numpy()
    # The same generator draws the same points, now with the face that each is on.
    _, face, _ = sample_mesh(vertices, faces, SAMPLES, np.random.default_rng(seed))
    return Source(points, None, Surface(vertices, faces), face)


def source_of_cloud(cloud: PointCloud, name: str | Path, seed: int = 0) -> Source:
    """The points of a cloud that are looked at; raises InputError for fewer than 50 or coordinates not finite."""
    if len(cloud) < 50 or not np.isfinite(cloud.xyz).all():
        raise InputError(f"{name}: {len(cloud)} points. Expected at least 50, all of them finite.")
    if len(cloud) <= MOST_POINTS:
        return Source(cloud, cloud, None, None)
    pick = np.sort(np.random.default_rng(seed).permutation(len(cloud))[:MOST_POINTS])
    chosen = [None if values is None else values[pick] for values in (cloud.colors, cloud.normals)]
    return Source(PointCloud(cloud.xyz[pick], chosen[0], normals=chosen[1]), cloud, None, None)


def votes_of_faces(source: Source, votes: np.ndarray) -> np.ndarray:
    """Votes (F,P) of a mesh's faces from those of its points (K,P): their means; small faces take the nearest's."""
    assert source.surface is not None
    assert source.face is not None
    faces = source.surface.faces
    count = np.bincount(source.face, minlength=len(faces))
    sums = np.stack([np.bincount(source.face, column, len(faces)) for column in votes.T], 1)
    result = sums / np.maximum(count, 1)[:, None]
    bare = count == 0
    if bare.any():
        middle = source.surface.vertices[faces[bare]].mean(1)
        result[bare] = votes[build_tree(source.points.xyz).query(middle)[1]]
    return result


def votes_of_cloud(source: Source, votes: np.ndarray) -> np.ndarray:
    """Votes (N,P) of all points of a cloud from those of the ones looked at (K,P)."""
    assert source.cloud is not None
    if len(source.cloud) == len(votes):
        return votes
    return votes[build_tree(source.points.xyz).query(source.cloud.xyz)[1]]


def labelled_surface(surface: Surface, labels: np.ndarray, parts: tuple[str, ...]) -> Surface:
    """The surface with a label (F,) per face kept exactly: vertices between parts are doubled."""
    keys = surface.faces.astype(np.int64) * 256 + labels[:, None]
    unique, inverse = np.unique(keys, return_inverse=True)
    return Surface(
        surface.vertices[unique // 256],
        inverse.reshape(-1, 3),
        labels=(unique % 256).astype(np.uint8),
        parts=parts,
    )
