# SPDX-License-Identifier: Apache-2.0
"""The pictures of docs/meshing.md: clouds, and the surfaces that both methods make of them, from above and from below.

    python docs/make_meshing.py OUT.png CLOUD.ply [MESH.glb ...] [--points 8000]

Of a mesh, points are sampled, and its colours are not drawn; of a cloud, so many of its points are taken.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image

from recon_core.geometry.sampling import sample_mesh
from recon_core.io.atomic import atomic_path
from recon_core.io.glb import read_glb
from recon_core.io.ply import read_ply
from recon_core.meshing.mesh_cloud import MeshOptions, mesh_cloud
from recon_core.meshing.surface import Surface
from recon_core.pointcloud import PointCloud
from recon_core.visual import PLAIN_COLOR, color_labels, draw_cloud, grid

TILE_PX, OVERSAMPLING = 216, 2
VIEWS = ((35.0, 18.0), (215.0, -22.0))
HEADINGS = ["points", "density", "from below", "poisson", "from below"]


def main() -> None:
    """Draw a row for each object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("objects", type=Path, nargs="+", help="PLY clouds or GLB meshes")
    parser.add_argument("--points", type=int, default=8000)
    options = parser.parse_args()
    rows = [row(path, options.points) for path in options.objects]
    with atomic_path(options.out) as temporary:
        Image.fromarray(grid(rows, HEADINGS)).save(temporary, "PNG", optimize=True)


def row(path: Path, count: int) -> list[np.ndarray]:
    """Pictures of one object, and a line about each of its surfaces."""
    cloud = normalised(read_ply(path) if path.suffix == ".ply" else sampled(path, count), count)
    colors = None if cloud.labels is None else color_labels(cloud.labels)
    pictures = [draw_cloud(cloud.xyz, colors, *VIEWS[0], size=TILE_PX)]
    for method in ("density", "poisson"):
        start = time.process_time()
        result = mesh_cloud(cloud, MeshOptions(method))
        record = result.record() | {"cpu_seconds": round(time.process_time() - start, 2)}
        print(path, {key: record[key] for key in ("method", "faces", "watertight", "pieces", "volume", "cpu_seconds")})
        pictures += [draw_surface(result.surface, *view) for view in VIEWS]
    return pictures


def sampled(path: Path, count: int) -> PointCloud:
    """Points on a mesh, evenly by area."""
    mesh = read_glb(path)
    xyz, _, _ = sample_mesh(mesh.vertices[0].numpy(), mesh.faces.numpy(), count, np.random.default_rng(0))
    return PointCloud(xyz)


def normalised(cloud: PointCloud, count: int) -> PointCloud:
    """Some of the points without their normals, box centre at the origin, box diagonal 1."""
    chosen = np.random.default_rng(0).permutation(len(cloud))[:count]
    low, high = cloud.xyz.min(0), cloud.xyz.max(0)
    labels = None if cloud.labels is None else cloud.labels[chosen]
    return PointCloud((cloud.xyz[chosen] - (low + high) / 2) / np.linalg.norm(high - low), labels=labels)


def draw_surface(surface: Surface, azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """A lit picture (T,T,3) uint8 by ray casting, parts in their colours; faces seen from inside are red."""
    import open3d

    size = TILE_PX * OVERSAMPLING
    right_up_back = camera_axes(np.radians(azimuth_deg), np.radians(elevation_deg))
    v, u = np.mgrid[:size, :size] + 0.5
    aim = np.stack((u - size / 2, size / 2 - v, np.full_like(u, -1.875 * size)), -1) @ right_up_back
    aim /= np.linalg.norm(aim, axis=-1, keepdims=True)
    rays = np.concatenate((np.broadcast_to(2 * right_up_back[2], aim.shape), aim), -1).astype(np.float32)
    scene = open3d.t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(surface.vertices.astype(np.float32), surface.faces.astype(np.uint32))
    hits = scene.cast_rays(open3d.core.Tensor(rays))
    seen = np.isfinite(hits["t_hit"].numpy())
    normal = hits["primitive_normals"].numpy()
    normal /= np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    light = 0.35 + 0.65 * np.clip(normal @ (np.array([-0.35, 0.5, 0.79]) @ right_up_back), 0, 1)
    labels = surface.face_labels()
    shades = np.tile(PLAIN_COLOR, (len(surface.faces), 1)) if labels is None else color_labels(labels)
    image = np.full((size, size, 3), 255.0)
    image[seen] = (shades[hits["primitive_ids"].numpy()[seen]] * light[seen][:, None]).clip(0, 255)
    image[seen & ((normal * aim).sum(-1) > 0)] = (255, 0, 0)
    picture = Image.fromarray(image.astype(np.uint8))
    return np.asarray(picture.resize((TILE_PX, TILE_PX), Image.Resampling.LANCZOS))


def camera_axes(azimuth: float, elevation: float) -> np.ndarray:
    """Right, up and back (3,3) of the default camera on its orbit; azimuth 0 sees the front."""
    sa, ca, se, ce = np.sin(azimuth), np.cos(azimuth), np.sin(elevation), np.cos(elevation)
    return np.array([(ca, sa, 0), (-sa * se, ca * se, ce), (sa * ce, -ca * ce, se)])


if __name__ == "__main__":
    main()
