# SPDX-License-Identifier: Apache-2.0
"""Every figure of the renderers and of the projection losses that docs/benchmarks.md states, in one go.

    python benchmarks/renderers.py [--device cuda] [--threads 1 2] [--out outputs/renderers] [--repeats 5]

Runs splat_bench, voxel_bench, planes_bench, mesh_bench and projection_bench of this folder, each in a process of its
own, and how the splat's cost grows, with one thread and with two; then prints what was wanted and whether it was
reached. OUT/renderers.json holds all numbers. The exit status is 1 when a figure was missed.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from recon_core.bench.run import BenchOptions, Report, run
from recon_core.io.atomic import write_json

BENCHES = ("splat", "voxel", "planes", "mesh", "projection")
# Where the cost of a call no longer shows: 16 views of many points, or of many pixels.
GROWTH_POINTS, GROWTH_SIZES, VIEWS = (8000, 16000, 32000, 64000), (64, 128, 256, 512), 16
FEW_POINTS = 1000
LINEAR = 1.1  # exponents up to this count as linear


@dataclass(frozen=True)
class Figure:
    """One figure to reach: at least `wanted` where `more` is better, else at most."""

    name: str
    measured: float
    wanted: float
    more: bool

    @property
    def reached(self) -> bool:
        """Whether it was."""
        return self.measured >= self.wanted if self.more else self.measured <= self.wanted


def bench(name: str, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run one benchmark of this folder and read the JSON file that it writes."""
    script = Path(__file__).with_name(f"{name}_bench.py")
    target = options.out / f"{name}_{threads}.json"
    command = [sys.executable, script, "--device", options.device, "--threads", threads, "--json", target]
    command += ["--repeats", options.repeats]
    # Threads that spin while they wait halve the speed of a machine that others use too.
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(threads)}
    subprocess.run(list(map(str, command)), check=True, env=environment)
    return json.loads(target.read_text(encoding="utf-8"))


def growth(threads: int, options: argparse.Namespace) -> dict[str, Any]:
    """Time of the splat's mask against points and against pixels, and the exponents."""
    common = {"only": ("splat mask",), "views": VIEWS, "repeats": options.repeats, "threads": threads}
    common |= {"device": torch.device(options.device), "memory": False, "quiet": True, "with_brute": False}
    reports: list[tuple[str, Report]] = [
        ("points", run(BenchOptions(sizes=(64,), points=GROWTH_POINTS, **common))),
        ("pixels", run(BenchOptions(sizes=GROWTH_SIZES, points=(FEW_POINTS,), **common))),
    ]
    found = {}
    for along, report in reports:
        exponent = next(e for e in report.exponents if e.along == along and e.form == "ours")
        times = {f"{row.count} at {row.size} px": row.ours.both_ms for row in report.rows}
        found[along] = asdict(exponent) | {"ms_per_view": times}
        print(
            f"splat mask along {along}: exponent {exponent.exponent:.2f}, at the end {exponent.at_the_end:.2f}"
        )
        print("  " + ", ".join(f"{where}: {took:.2f} ms" for where, took in times.items()))
    return found


def figures(results: dict[str, Any]) -> Iterator[Figure]:
    """What was wanted of one run, and what was measured."""
    for row, wanted in zip(results["splat"]["rows"], (8.0, 100.0)):
        size = f"{row['size']}x{row['size']}"
        yield Figure(f"splat, {size}: times as fast as dense voxels", row["ratio"], wanted, True)
        yield Figure(f"splat, {size}: dense voxels' memory over its own", row["memory_ratio"], 20.0, True)
    voxel = results["voxel"]["rows"]["mask"]
    yield Figure("voxel: times as fast as 3D convolutions", voxel["ratio"], 6.0, True)
    yield Figure("voxel: difference", voxel["difference"], 1e-5, False)
    yield Figure("voxel: convolutions' memory over its own", voxel["memory_ratio"], 3.0, True)
    for row in results["planes"]["rows"]:
        where = f"planes, B={row['batch']} N={row['points']} {row['size']} px"
        yield Figure(f"{where}: times as fast as dense", row["ratio"], 20.0, True)
        yield Figure(f"{where}: difference", row["image_difference"], 1e-5, False)
    mesh = results["mesh"]
    yield Figure("mesh: times as fast as brute force", mesh["ratio"], 50.0, True)
    yield Figure("mesh: ms per view", mesh["ms"], 25.0, False)
    yield Figure("mesh: MB for 128 views", mesh["mb_128_views"], 100.0, False)
    pair = results["projection"]["cases"]["N=8000 S=64"]
    yield Figure("DRWR pair loss: ms for 4 views of 8,000 points", pair["pair"], 60.0, False)
    yield Figure("DRWR pair loss: cosine of gradients", pair["stable cosine"], 0.999, True)
    for along, found in results["growth"].items():
        yield Figure(f"splat: exponent in {along}, largest cases", found["at_the_end"], LINEAR, False)


def table(found: list[Figure]) -> str:
    """A Markdown table."""
    lines = ["| figure | measured | wanted | |", "|---|---|---|---|"]
    for one in found:
        bound = f"{'at least' if one.more else 'at most'} {one.wanted:g}"
        lines.append(
            f"| {one.name} | {one.measured:.3g} | {bound} | {'reached' if one.reached else 'missed'} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Run everything; print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("outputs/renderers"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    everything, missed = {}, 0
    bar = tqdm(total=len(options.threads) * (len(BENCHES) + 1), unit="benchmark")
    for threads in options.threads:
        results: dict[str, Any] = {}
        for name in BENCHES:
            results[name] = bench(name, threads, options)
            bar.update()
        results["growth"] = growth(threads, options)
        bar.update()
        found = list(figures(results))
        print(f"\n{threads} thread(s)\n\n{table(found)}\n", flush=True)
        missed += sum(not one.reached for one in found)
        everything[threads] = results | {"figures": [asdict(one) | {"reached": one.reached} for one in found]}
        write_json(options.out / "renderers.json", everything)
    bar.close()
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
