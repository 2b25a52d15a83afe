# SPDX-License-Identifier: Apache-2.0
"""Screened Poisson surfaces (Kazhdan and Hoppe, ACM TOG 2013) by open3d, on normals that look outwards.

Orientation decides: a few wrong normals tear a surface. Here they are those of the density's solid (density.py), which
knows inside from outside on thin legs too; along its slope the directions of local planes are taken where both agree.
On sheets and wires of points, which have no inside, the density's own surface is taken instead of the points. Points
deep inside are left out.
"""

import importlib.util
from typing import Any

import numpy as np

from ..errors import InputError, MissingDependency
from .density import SolidField, density_surface
from .samples import Samples
from .surface import Surface

MIN_DEPTH, MAX_DEPTH = 5, 10
# open3d's cube is so much wider than the points.
_SCALE = 1.1
# Neighbours of a local plane; below this cosine to the solid's slope it is not trusted.
_PLANE_POINTS, _AGREE, _AGREE_KNOWN = 10, 0.75, 0.2
# Samples deeper than this, in spacings, are inside.
_DEEP_STEPS = 1.25
# Where half the thickness is below this, in spacings, the density's surface takes the points' place: every n-th vertex.
_THIN_STEPS, _EVERY = 1.1, 2


def has_open3d() -> bool:
    """Whether open3d is installed; nothing is loaded."""
    return importlib.util.find_spec("open3d") is not None


def load_open3d() -> Any:
    """The module; raises MissingDependency with what to install."""
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise MissingDependency(
            f"Poisson surfaces need open3d, which cannot be loaded ({error}). "
            "Install it: pip install 'recon3d[registration]', or use --method density."
        ) from error
    open3d.utility.set_verbosity_level(open3d.utility.VerbosityLevel.Error)
    return open3d


def oriented_samples(
    samples: Samples, field: SolidField, normals: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Points and outward unit normals (M,3) each; thin parts are replaced, what is deep inside is dropped.

    normals: known ones (N,3), turned round where they point into the solid.
    """
    outward = field.outward(samples.xyz)
    planes = local_planes(samples) if normals is None else normals
    cosine = np.einsum("nc,nc->n", planes, outward)
    turned = planes * np.where(cosine < 0, -1.0, 1.0)[:, None]
    trusted = np.abs(cosine) > (_AGREE if normals is None else _AGREE_KNOWN)
    normal = np.where(trusted[:, None], turned, outward)
    thin = field.half < _THIN_STEPS * samples.step
    kept = (
        ~thin & (field.at(samples.xyz) < _DEEP_STEPS * samples.step) & (np.linalg.norm(normal, axis=1) > 0.5)
    )
    if not thin.any():
        return samples.xyz[kept], normal[kept]
    guide = density_surface(field)
    _, nearest = samples.tree.query(guide.vertices)
    rows = np.flatnonzero(thin[nearest])[::_EVERY]
    return (
        np.concatenate((samples.xyz[kept], guide.vertices[rows])),
        np.concatenate((normal[kept], guide.vertex_normals()[rows])),
    )


def local_planes(samples: Samples) -> np.ndarray:
    """Normals (N,3), of either sign, of the planes through each sample's neighbours (least squares)."""
    _, index = samples.tree.query(samples.xyz, k=min(_PLANE_POINTS, len(samples.xyz)))
    around = samples.xyz[index]  # (N, K, 3)
    around = around - around.mean(1, keepdims=True)
    _, axes = np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))
    return axes[:, :, 0]


def poisson_surface(
    points: np.ndarray, normals: np.ndarray, step: float, depth: int | None = None
) -> Surface:
    """The surface of points (M,3) with outward normals (M,3); depth: of the octree. [default: cells of one spacing]

    Raises InputError for a depth outside 5 to 10, or when no surface comes of it.
    """
    if depth is not None and not MIN_DEPTH <= depth <= MAX_DEPTH:
        raise InputError(
            f"depth is {depth}, expected {MIN_DEPTH} to {MAX_DEPTH} halvings of the cloud's box."
        )
    open3d = load_open3d()
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    cloud.normals = open3d.utility.Vector3dVector(normals)
    mesh, _ = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
        cloud, depth=depth or depth_for(points, step), scale=_SCALE, n_threads=1
    )
    surface = Surface(np.asarray(mesh.vertices).copy(), np.asarray(mesh.triangles).astype(np.int64))
    if not len(surface.faces):
        raise InputError("No Poisson surface came of these points. Use --method density.")
    return surface


def depth_for(points: np.ndarray, step: float) -> int:
    """Halvings of the cube around points (M,3) until its cells are as small as the spacing."""
    cells = _SCALE * float(np.ptp(points, axis=0).max()) / step
    return int(np.clip(np.ceil(np.log2(max(cells, 2))), MIN_DEPTH, MAX_DEPTH - 1))


def simplified(surface: Surface, target_faces: int) -> Surface:
    """At most so many faces, by quadric error decimation (Garland and Heckbert 1997); raises MissingDependency."""
    if len(surface.faces) <= target_faces:
        return surface
    open3d = load_open3d()
    mesh = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(surface.vertices),
        open3d.utility.Vector3iVector(surface.faces.astype(np.int32)),
    )
    mesh = mesh.simplify_quadric_decimation(target_faces)
    return Surface(np.asarray(mesh.vertices).copy(), np.asarray(mesh.triangles).astype(np.int64))
