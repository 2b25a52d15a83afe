# SPDX-License-Identifier: Apache-2.0
"""Soft mask and three features of a mesh, forward and backward: the ragged rasteriser against every pixel x face.

    python benchmarks/mesh_bench.py [--device cuda] [--threads 1] [--json FILE]

The mesh is DIB-R's template (642 vertices, 1,280 faces), deformed, at 224x224. Both are timed in turns in one run.
Memory is that of 128 views in one call, measured in a process of its own, without the images that are returned and
their gradients (4 floats each per pixel), which any renderer has to hold.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from recon_core.bench.dense_mesh import dense_mesh
from recon_core.bench.measure import compare, describe, own_process_mb, peak_growth_mb
from recon_core.cameras import Cameras, orbit, pinhole
from recon_core.io.atomic import write_json
from recon_core.mesh import icosphere
from recon_core.renderers.mesh import interpolate, visible_faces
from recon_core.renderers.mesh_soft import soft_mask

SIZE, CHANNELS, REACH = 224, 3, 0.0314
# DIB-R's camera: 30 degrees of view from 2.732.
FOCAL_WIDTHS, DISTANCE, ELEVATION_DEG = 1.8660, 2.732, 30.0


def make_scene(views: int, device: torch.device, subdivisions: int = 3) -> tuple[torch.Tensor, ...]:
    """Vertices (B,V,3) of a lumpy sphere, faces (F,3), values (B,V,C)."""
    generator = torch.Generator().manual_seed(0)
    sphere = icosphere(subdivisions, 0.45)
    lumps = 1 + 0.1 * torch.sin(9 * sphere.vertices) @ torch.randn(3, 1, generator=generator).clamp(-1, 1)
    vertices = (sphere.vertices * lumps).repeat(views, 1, 1)
    values = torch.rand(views, vertices.shape[1], CHANNELS, generator=generator)
    return vertices.to(device), sphere.faces.to(device), values.to(device)


def make_cameras(views: int, device: torch.device) -> Cameras:
    """All round the object."""
    azimuth = torch.arange(views) * (360.0 / views)
    pose = orbit(azimuth, torch.full((views,), ELEVATION_DEG), DISTANCE)
    return pinhole(pose, SIZE, FOCAL_WIDTHS).to(device)


def ragged_step(views: int, device: torch.device) -> Callable[[], list[torch.Tensor]]:
    """Project, rasterise, and differentiate all views at once; returns mask, image and both gradients."""
    vertices, faces, values = make_scene(views, device)
    cameras = make_cameras(views, device)
    vertices.requires_grad_()
    values.requires_grad_()

    def step() -> list[torch.Tensor]:
        uv_px, depth = cameras.project(vertices)
        face = visible_faces(uv_px, depth, faces, SIZE, cull=True)
        image = interpolate(face, uv_px, depth, faces, values)
        mask = soft_mask(face, uv_px, depth, faces, boxlen=REACH)
        cotangents = [torch.full_like(mask, 0.5), torch.full_like(image, 0.3)]
        return [mask, image, *torch.autograd.grad([mask, image], [vertices, values], cotangents)]

    return step


def dense_step(device: torch.device) -> Callable[[], list[torch.Tensor]]:
    """The first of those views by brute force."""
    vertices, faces, values = make_scene(1, device)
    cameras = make_cameras(1, device)
    vertices.requires_grad_()
    values.requires_grad_()

    def step() -> list[torch.Tensor]:
        uv_px, depth = cameras.project(vertices)
        mask, image = dense_mesh(uv_px[0], depth[0], faces, values[0], SIZE, REACH)
        cotangents = [torch.full_like(mask, 0.5), torch.full_like(image, 0.3)]
        return [mask[None], image[None], *torch.autograd.grad([mask, image], [vertices, values], cotangents)]

    return step


def difference(device: torch.device) -> dict[str, float]:
    """Largest difference of mask and image, relative difference of both gradients, of one view."""
    ours, dense = ([t.detach() for t in step()] for step in (ragged_step(1, device), dense_step(device)))
    names = ("mask", "image", "vertex gradient", "value gradient")
    return {
        name: float((a - b).abs().max() if index < 2 else (a - b).norm() / b.norm())
        for index, (name, a, b) in enumerate(zip(names, ours, dense))
    }


def memory_mb(views: int, device: torch.device) -> float:
    """Peak growth (MiB) of one step less the images and their gradients."""
    returned = 2 * views * SIZE * SIZE * (1 + CHANNELS) * 4 / 2**20
    return peak_growth_mb(ragged_step(views, device), ragged_step(1, device), device) - returned


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--views", type=int, default=8, help="views per call of the timed step")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    if arguments.memory:
        print(json.dumps(memory_mb(128, device)))
        return
    found = measure(arguments, device)
    print(
        f"soft mask + {CHANNELS} features, forward + backward, 1,280 faces, {SIZE}x{SIZE}, {describe(device)}"
    )
    print(f"per view: {found['ms']:.1f} ms, dense {found['dense_ms']:.0f} ms: {found['ratio']:.0f} times")
    print(f"128 views in one call: {found['mb_128_views']:.0f} MB beside the images and their gradients")
    print("difference: " + ", ".join(f"{name} {value:.1e}" for name, value in found["differences"].items()))
    if arguments.json:
        write_json(arguments.json, {"device": describe(device)} | found)


def measure(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Milliseconds per view of both, memory of 128 views, differences."""
    steps = {"ragged": ragged_step(arguments.views, device), "dense": dense_step(device)}
    times = compare(steps, device, arguments.repeats, most_s=60.0)
    per_view = times["ragged"] / arguments.views
    memory = own_process_mb(__file__, ["--memory", "--device", device, "--threads", arguments.threads])
    return {
        "ms": per_view * 1e3,
        "dense_ms": times["dense"] * 1e3,
        "ratio": times["dense"] / per_view,
        "mb_128_views": memory,
        "differences": difference(device),
    }


if __name__ == "__main__":
    main()
