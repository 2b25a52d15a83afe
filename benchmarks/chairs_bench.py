# SPDX-License-Identifier: Apache-2.0
"""Shape and pose from masks on 400 procedural chairs, 8 views, 64 px, within CPU-minutes of one core.

    python benchmarks/chairs_bench.py known --out bench_chairs      Chamfer over the retrieval baseline's; limit 0.80
    python benchmarks/chairs_bench.py unknown --out bench_chairs    pose accuracy and median error; 0.85, 10 degrees

Chairs and renders are made once and kept in --out; training uses one thread, and its CPU time is that of the process.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

RECIPES = {"known": ("splat", 5.0), "unknown": ("splat_unposed", 12.0)}


def recon(*arguments: object) -> None:
    """Run one verb, its output shown."""
    words = [str(argument) for argument in arguments]
    print("$ recon", *words, flush=True)
    subprocess.run([sys.executable, "-m", "recon_core.cli", *words], check=True)


def prepare(out: Path, objects: int) -> Path:
    """Make and render the chairs; finished ones are skipped by the verbs themselves."""
    meshes, data = out / "meshes", out / "dataset"
    recon("shapes", "--category", "chair", "--count", objects, "--seed", 0, "--output", meshes)
    recon("render", meshes, "--output", data, "--views", 8, "--size", 128)
    return data


def train(out: Path, data: Path, recipe: str, device: str) -> Path:
    """Train on one thread, unless that run has finished before."""
    run = out / f"run_{recipe}"
    if not run.exists():
        recon("train", recipe, "--data", data, "--out", run, "--threads", 1, "--device", device)
    recon("eval", run, "--data", data, "--device", device)
    return run


def report(run: Path, kind: str) -> None:
    """Print the figures beside their limits."""
    cpu_s = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["cpu_s"]
    methods = json.loads((run / "evaluation/test/metrics.json").read_text())["methods"]
    ours, retrieval = methods["model"], methods["retrieval"]
    print(f"training: {cpu_s / 60:.1f} CPU-minutes (limit {RECIPES[kind][1]:.0f})")
    chamfer, baseline = ours["chamfer_sum"], retrieval["chamfer_sum"]
    limit = " (limit 0.80)" if kind == "known" else ""
    print(f"Chamfer sum x100: {chamfer:.2f} against retrieval's {baseline:.2f}, ratio {chamfer / baseline:.3f}{limit}")
    if kind == "unknown":
        accuracy, median = ours["pose_accuracy_symmetric"], ours["pose_median_deg_symmetric"]
        print(f"pose up to symmetry: accuracy at 30 degrees {accuracy:.3f} (limit 0.85)")
        print(f"pose up to symmetry: median error {median:.1f} degrees (limit 10)")


def main() -> None:
    """Prepare, train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=list(RECIPES))
    parser.add_argument("--out", type=Path, default=Path("bench_chairs"))
    parser.add_argument("--objects", type=int, default=400)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    data = prepare(arguments.out, arguments.objects)
    report(train(arguments.out, data, RECIPES[arguments.kind][0], arguments.device), arguments.kind)


if __name__ == "__main__":
    main()
