# SPDX-License-Identifier: Apache-2.0
"""DPC's silhouettes, forward and backward: recon_core's voxel renderer against plain convolutions, one run.

    python benchmarks/voxel_bench.py [--device cuda] [--threads 1] [--grid 64] [--points 8000] [--json FILE]

Both start from the same projected points. `mask` is what training needs: the silhouette with DPC's clip. `images` also
gives the depth map, which the plain form always computes. Times are medians taken in turns; memory is the growth of the
peak, each in a process of its own; differences are those from the plain form, of gradients relative to their norm.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch

from recon_core.bench.dense_dpc import dpc_projection
from recon_core.bench.measure import compare, describe, own_process_mb, peak_growth_mb
from recon_core.cameras import orbit, pinhole
from recon_core.io.atomic import write_json
from recon_core.renderers.voxel import DPC_CLIP, Blur, dpc_frustum, voxel_mask, voxel_render

BATCH, SIGMA, TAPS = 8, 3.0, 21


def make_inputs(grid: int, points: int, device: torch.device) -> list[torch.Tensor]:
    """Projections uv_px (B,N,2) and depth (B,N) of chair-sized boxes, scales (B,) and target masks (B,D,D)."""
    generator = torch.Generator().manual_seed(0)
    extent = torch.rand(BATCH, 1, 3, generator=generator) * 0.3 + 0.2
    xyz = (torch.rand(BATCH, points, 3, generator=generator) - 0.5) * extent
    cameras = pinhole(orbit(torch.arange(BATCH) * 45.0, torch.full((BATCH,), 20.0)), grid)
    uv_px, depth = cameras.project(xyz)
    scale = torch.rand(BATCH, generator=generator) * 0.5 + 0.5
    target = torch.rand(BATCH, grid, grid, generator=generator)
    return [tensor.to(device) for tensor in (uv_px, depth, scale, target)]


def render_mask(uv_px: torch.Tensor, depth: torch.Tensor, scale: torch.Tensor, grid: int) -> torch.Tensor:
    """The silhouette alone."""
    return voxel_mask(uv_px, depth, dpc_frustum(grid, grid), Blur(SIGMA, TAPS), scale, clip=DPC_CLIP)


def render_images(uv_px: torch.Tensor, depth: torch.Tensor, scale: torch.Tensor, grid: int) -> torch.Tensor:
    """Silhouette and depth map."""
    images = voxel_render(
        uv_px,
        depth,
        dpc_frustum(grid, grid),
        Blur(SIGMA, TAPS),
        scale=scale,
        clip=DPC_CLIP,
        released_depth=True,
    )
    return images.mask + 0 * images.depth


def render_plain(uv_px: torch.Tensor, depth: torch.Tensor, scale: torch.Tensor, grid: int) -> torch.Tensor:
    """The plain form."""
    coordinates = torch.stack((depth - 2.0, uv_px[..., 1] / grid - 0.5, uv_px[..., 0] / grid - 0.5), -1)
    return dpc_projection(coordinates, grid, SIGMA, TAPS, scale, DPC_CLIP)[0]


RENDERERS = {"mask": render_mask, "images": render_images, "plain": render_plain}


def make_step(
    name: str, grid: int, points: int, device: torch.device
) -> Callable[[], tuple[torch.Tensor, ...]]:
    """Render, compare with the target, and differentiate; gives the silhouettes and the gradients."""
    uv_px, depth, scale, target = make_inputs(grid, points, device)
    for leaf in (uv_px, depth, scale):
        leaf.requires_grad_()

    def step() -> tuple[torch.Tensor, ...]:
        mask = RENDERERS[name](uv_px, depth, scale, grid)
        return mask.detach(), *torch.autograd.grad((mask - target).square().sum(), (uv_px, depth, scale))

    return step


def differences(grid: int, points: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Largest difference of silhouettes from the plain form, and of gradients as a share of their norm."""
    plain = make_step("plain", grid, points, device)()
    found = {}
    for name in ("mask", "images"):
        mask, *gradients = make_step(name, grid, points, device)()
        relative = [
            float((ours - theirs).norm() / theirs.norm()) for ours, theirs in zip(gradients, plain[1:])
        ]
        found[name] = {
            "difference": float((mask - plain[0]).abs().max()),
            "gradient_difference": max(relative),
        }
    return found


def memory_mb(name: str, grid: int, points: int, device: torch.device) -> float:
    """Growth of this process's peak by a second step: the first has loaded libraries and the like."""
    step = make_step(name, grid, points, device)
    return peak_growth_mb(step, step, device)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--grid", type=int, default=64)
    parser.add_argument("--points", type=int, default=8000)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--memory", choices=list(RENDERERS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device, size = torch.device(arguments.device), (arguments.grid, arguments.points)
    if arguments.memory:
        print(json.dumps(memory_mb(arguments.memory, *size, device)))
        return
    print(
        f"forward + backward, B={BATCH}, N={size[1]}, {size[0]}^3, {TAPS} taps, float32, {describe(device)}"
    )
    rows = measure(arguments, device)
    headings = ("ms", "times faster", "MB", "share of memory", "difference", "of gradients")
    print(f"{'':>7}" + "".join(f"{heading:>16}" for heading in headings))
    for name, row in rows.items():
        share = f"1/{row['memory_ratio']:.1f}"
        print(
            f"{name:>7}{row['ms']:16.1f}{row['ratio']:16.1f}{row['mb']:16.1f}{share:>16}"
            f"{row['difference']:16.1e}{row['gradient_difference']:16.1e}"
        )
    if arguments.json:
        write_json(arguments.json, {"device": describe(device), "rows": rows})


def measure(arguments: argparse.Namespace, device: torch.device) -> dict[str, dict[str, float]]:
    """Time, memory and differences of each form."""
    size = arguments.grid, arguments.points
    times = compare({name: make_step(name, *size, device) for name in RENDERERS}, device, arguments.repeats)
    same = ["--device", device, "--threads", arguments.threads, "--grid", size[0], "--points", size[1]]
    memory = {name: own_process_mb(__file__, ["--memory", name, *same]) for name in RENDERERS}
    apart = differences(*size, device) | {"plain": {"difference": 0.0, "gradient_difference": 0.0}}
    return {
        name: {
            "ms": times[name] * 1e3,
            "ratio": times["plain"] / times[name],
            "mb": memory[name],
            "memory_ratio": memory["plain"] / max(memory[name], 1e-9),
        }
        | apart[name]
        for name in RENDERERS
    }


if __name__ == "__main__":
    main()
