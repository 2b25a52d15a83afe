# SPDX-License-Identifier: Apache-2.0
"""Mask, forward and backward: optical-depth splatting against a dense voxel renderer, same points, one run.

    python benchmarks/splat_bench.py [--device cuda] [--threads 1] [--json FILE]

Each pair is timed in turns, so that a busy machine slows both; medians and their ratio are printed. Memory is the
growth of the process's peak over its state before the first call, each measured in a process of its own.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch

from recon_core.bench.dense_voxels import voxel_mask
from recon_core.bench.measure import compare, describe, own_process_mb, peak_growth_mb
from recon_core.cameras import orbit, pinhole
from recon_core.io.atomic import write_json
from recon_core.renderers.splat import optical_depth, splat_mask

BATCH, POINTS = 16, 8000


def make_inputs(size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Points (B,N,3) of random chair-sized boxes, and target masks (B,S,S)."""
    generator = torch.Generator().manual_seed(0)
    extent = torch.rand(BATCH, 1, 3, generator=generator) * 0.3 + 0.2
    xyz = (torch.rand(BATCH, POINTS, 3, generator=generator) - 0.5) * extent
    return xyz.to(device), torch.rand(BATCH, size, size, generator=generator).to(device)


def splat_step(size: int, device: torch.device) -> Callable[[], None]:
    """Project, splat, compare, and differentiate."""
    xyz, target = make_inputs(size, device)
    cameras = pinhole(orbit(torch.arange(BATCH) * 22.5, torch.full((BATCH,), 20.0)), size).to(device)
    tau = optical_depth(torch.full(xyz.shape[:2], 0.5, device=device), size)
    points = xyz.requires_grad_()

    def step() -> None:
        points.grad = None
        uv_px, depth = cameras.project(points)
        (splat_mask(uv_px, depth, tau, size, 1.5) - target).square().sum().backward()

    return step


def voxel_step(size: int, device: torch.device) -> Callable[[], None]:
    """The same with a D^3 grid of D = size."""
    xyz, target = make_inputs(size, device)
    points = xyz.requires_grad_()

    def step() -> None:
        points.grad = None
        (voxel_mask((points + 0.5) * (size - 1), size, 1.5) - target).square().sum().backward()

    return step


STEPS = {"splat": splat_step, "voxels": voxel_step}


def memory_mb(name: str, size: int, device: torch.device) -> float:
    """Growth of this process's peak by one step, after a small one."""
    return peak_growth_mb(STEPS[name](size, device), STEPS[name](16, device), device)


def own_memory_mb(name: str, size: int, device: torch.device) -> float:
    """The same, apart from whatever this process has already used."""
    return own_process_mb(__file__, ["--memory", name, "--size", size, "--device", device])


def measure(size: int, device: torch.device, repeats: int) -> dict[str, float]:
    """One row of the table."""
    steps = {name: make(size, device) for name, make in STEPS.items()}
    times = compare(steps, device, repeats if size == 64 else max(repeats // 2, 3))
    memory = {name: own_memory_mb(name, size, device) for name in STEPS}
    row: dict[str, float] = {"size": size, "ratio": times["voxels"] / times["splat"]}
    row |= {f"{name}_ms": seconds * 1e3 for name, seconds in times.items()}
    row |= {f"{name}_mb": growth for name, growth in memory.items()}
    return row | {"memory_ratio": memory["voxels"] / max(memory["splat"], 1e-9)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--memory", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=64, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    if arguments.memory:
        print(json.dumps(memory_mb(arguments.memory, arguments.size, device)))
        return
    print(f"mask forward + backward, B={BATCH}, N={POINTS}, {describe(device)}")
    print(
        f"{'size':>9} {'splat ms':>9} {'voxels ms':>10} {'times':>7} {'splat MB':>9} {'voxels MB':>10} {'share':>7}"
    )
    rows = []
    for size in (64, 128):
        rows.append(row := measure(size, device, arguments.repeats))
        print(
            f"{size:>4}x{size:<4} {row['splat_ms']:9.1f} {row['voxels_ms']:10.1f} {row['ratio']:7.1f} "
            f"{row['splat_mb']:9.1f} {row['voxels_mb']:10.1f} {'1/' + format(row['memory_ratio'], '.0f'):>7}"
        )
    if arguments.json:
        write_json(arguments.json, {"device": describe(device), "rows": rows})


if __name__ == "__main__":
    main()
