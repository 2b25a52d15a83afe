# SPDX-License-Identifier: Apache-2.0
"""Time and memory of the steps that benchmarks compare: in turns, medians, memory in a process of its own."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

Step = Callable[[], object]


def seconds(step: Step, device: torch.device) -> float:
    """Wall seconds of one call, until the device has finished."""
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(steps: Mapping[str, Step], device: torch.device, repeats: int) -> dict[str, float]:
    """Median seconds of each step, taken in turns so that a busy machine slows all; one call each is not counted."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        seconds(step, device)
    for _ in range(repeats):
        for name, step in steps.items():
            times[name].append(seconds(step, device))
    return {name: statistics.median(values) for name, values in times.items()}


def peak_growth_mb(step: Step, warmup: Step, device: torch.device) -> float:
    """Growth (MiB) of the peak memory of this process, or of the GPU, by one step.

    warmup: the same at a small size, run before the count begins: it loads libraries and starts threads.
    The process's peak is read from Linux's /proc; use own_process_mb for a figure apart from earlier use.
    """
    seconds(warmup, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        seconds(step, device)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts again from here
    before = _peak_mb()
    step()
    return _peak_mb() - before


def _peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def own_process_mb(script: str, arguments: Sequence[object]) -> float:
    """Run `python script arguments...`, which prints one number (peak_growth_mb's) as JSON, and return it."""
    command = [sys.executable, script, *map(str, arguments)]
    # Freed blocks go back to the system at once: the peak is then what is alive, not what malloc keeps.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    return float(json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout))


def describe(device: torch.device) -> str:
    """The GPU's name, or the CPU and its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} thread(s)"
