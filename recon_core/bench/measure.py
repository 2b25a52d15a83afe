# SPDX-License-Identifier: Apache-2.0
"""Time and memory of the steps that benchmarks compare: in turns, medians, memory in a process of its own.

With one CPU thread, time is the processor's time of this process: other work on the machine, which would make it wait,
does not count. With more threads, and on a GPU, it is wall time.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch

Step = Callable[[], object]
Name = TypeVar("Name")
# Calls longer than this are measured from the first on.
_LONG_S = 1.0


def seconds(step: Step, device: torch.device, calls: int = 1) -> float:
    """Seconds of one call, of `calls` in a row, until the device has finished; see the module for which seconds."""
    clock = time.process_time if counts_processor_time(device) else time.perf_counter
    start = clock()
    for _ in range(calls):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (clock() - start) / calls


def counts_processor_time(device: torch.device) -> bool:
    """Whether times are the processor's, not wall times."""
    return device.type == "cpu" and torch.get_num_threads() == 1


def compare(
    steps: Mapping[Name, Step],
    device: torch.device,
    repeats: int,
    least_s: float = 0.2,
    most_s: float = math.inf,
) -> dict[Name, float]:
    """Median seconds of one call of each step, taken in turns so that a busy machine slows all.

    A turn is as many calls as take least_s: a step of milliseconds after one of a second would be timed with cold
    caches and with memory that the other has just given back to the system, which no training has, and a busy system
    takes the processor away from whoever had it last. First calls are not counted, except
    those of steps so long that it makes no difference. There are `repeats` turns, fewer when most_s have passed.
    """
    start = time.perf_counter()
    calls, times = {}, {}
    for name, step in steps.items():
        calls[name], once = _first_calls(step, device, least_s)
        times[name] = [once] if once > _LONG_S else []
    for _ in range(max(repeats, 1)):
        for name, step in steps.items():
            if not times[name] or time.perf_counter() - start < most_s:
                times[name].append(seconds(step, device, calls[name]))
    return {name: statistics.median(values) for name, values in times.items()}


def _first_calls(step: Step, device: torch.device, least_s: float) -> tuple[int, float]:
    """Call once or twice, which loads libraries and warms caches: calls that make a turn, and seconds of one."""
    once = seconds(step, device)
    if once < least_s:
        once = seconds(step, device)
    return max(1, math.ceil(least_s / max(once, 1e-6))), once


def peak_growth_mb(step: Step, warmup: Step, device: torch.device) -> float:
    """Growth (MiB) of the peak memory of this process, or of the GPU, by one step.

    warmup: the same at a small size, run before the count begins: it loads libraries and starts threads.
    The process's peak is read from Linux's /proc; use a process of its own for a figure apart from earlier use.
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


def memory_environment() -> dict[str, str]:
    """This process's environment, for one whose memory is measured.

    Freed blocks go back to the system at once there: the peak is then what is alive, not what malloc keeps.
    """
    return os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}


def own_process_mb(script: str, arguments: Sequence[object]) -> float:
    """Run `python script arguments...`, which prints one number (peak_growth_mb's) as JSON, and return it."""
    command = [sys.executable, script, *map(str, arguments)]
    finished = subprocess.run(command, check=True, capture_output=True, env=memory_environment())
    return float(json.loads(finished.stdout))


def describe(device: torch.device) -> str:
    """The GPU's name, or the CPU and its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if counts_processor_time(device):
        return "CPU, 1 thread, processor time"
    return f"CPU, {torch.get_num_threads()} threads, wall time"
