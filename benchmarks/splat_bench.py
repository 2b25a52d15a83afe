# SPDX-License-Identifier: Apache-2.0
"""Mask, forward and backward: optical-depth splatting against a dense voxel renderer, same points, one run.

    python benchmarks/splat_bench.py [--device cuda] [--threads 1]

Each pair is timed in turns, so that a busy machine slows both; medians and their ratio are printed. Memory is the
growth of the process's peak over its state before the first call, each measured in a process of its own.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from dense_voxels import voxel_mask

from recon_core.cameras import orbit, pinhole
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


def seconds(step: Callable[[], None], device: torch.device) -> float:
    """One timed call."""
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(size: int, device: torch.device, repeats: int) -> dict[str, float]:
    """Median seconds of both, taken in turns."""
    steps = {name: make(size, device) for name, make in STEPS.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(repeats):
        for name, step in steps.items():
            times[name].append(seconds(step, device))
    return {name: statistics.median(values) for name, values in times.items()}


def peak_growth_mb(name: str, size: int, device: torch.device) -> float:
    """Growth of the peak memory of this process (or of the GPU) by one step."""
    step = STEPS[name](size, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    STEPS[name](16, device)()  # libraries are loaded and threads started before the count begins
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts again from here
    before = _peak_mb()
    step()
    return _peak_mb() - before


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def memory_in_own_process(name: str, size: int, device: torch.device) -> float:
    """The same, apart from whatever this process has already used."""
    command = [sys.executable, __file__, "--memory", name, "--size", str(size), "--device", str(device)]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--memory", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=64, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    if arguments.memory:
        print(json.dumps(peak_growth_mb(arguments.memory, arguments.size, device)))
        return
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {arguments.threads} thread(s)"
    print(f"mask forward + backward, B={BATCH}, N={POINTS}, {where}")
    print(f"{'size':>9} {'splat ms':>9} {'voxels ms':>10} {'times':>7} {'splat MB':>9} {'voxels MB':>10} {'share':>7}")
    for size in (64, 128):
        times = compare(size, device, arguments.repeats if size == 64 else max(arguments.repeats // 2, 3))
        memory = {name: memory_in_own_process(name, size, device) for name in STEPS}
        print(
            f"{size:>4}x{size:<4} {times['splat'] * 1e3:9.1f} {times['voxels'] * 1e3:10.1f} "
            f"{times['voxels'] / times['splat']:7.1f} {memory['splat']:9.1f} {memory['voxels']:10.1f} "
            f"{'1/' + format(memory['voxels'] / max(memory['splat'], 1e-9), '.0f'):>7}"
        )


if __name__ == "__main__":
    main()
