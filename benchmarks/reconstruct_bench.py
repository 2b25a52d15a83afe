# SPDX-License-Identifier: Apache-2.0
"""How long `recon reconstruct` takes: per image with the model loaded, on one core, and the whole command.

    python benchmarks/reconstruct_bench.py [--run RUN] [--repeats 20] [IMAGE ...]

Without --run an untrained model of the recipe splat_full's size is made (2,000 points, all heads): weights do not
change the time. Without images, those in examples/ are used. "reconstruct" is everything from the file to the
coloured cloud (to stay under 100 ms); PLY and preview are reported apart. The whole command starts a new process
(to stay under 6 s).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# One core: the figures are those of a single thread.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
os.environ.update(ONE_THREAD)


def untrained_run(folder: Path) -> Path:
    """A run folder with random weights: colour and part heads, pose ensemble, 2,000 points."""
    import torch

    from recon_core.io.atomic import write_json
    from recon_core.io.weights import save_tensors
    from recon_core.methods.network import Network
    from recon_core.methods.recipe import validate_recipe
    from recon_core.training.run_folder import create_run

    terms = [{"kind": kind} for kind in ("splat_mask", "splat_color", "splat_parts")]
    recipe = validate_recipe(
        {
            "name": "untrained",
            "model": {"heads": ["xyz", "opacity", "color", "parts"]},
            "pose": {"kind": "ensemble"},
            "terms": terms,
        },
        "benchmark",
    )
    torch.manual_seed(0)
    parts = ["back", "seat", "leg", "arm"]
    create_run(folder, recipe, "cpu")
    checkpoint = folder / "checkpoints" / "step-0000000"
    checkpoint.mkdir(parents=True)
    network = Network(recipe.model, len(parts), recipe.pose.hypotheses)
    save_tensors(checkpoint / "weights.safetensors", dict(network.state_dict()))
    write_json(checkpoint / "card.json", {"version": 1, "categories": ["chair"], "parts": parts})
    return folder


def time_stages(run_folder: Path, images: list[Path], repeats: int, out: Path) -> dict[str, list[float]]:
    """Milliseconds of every stage, of every image and repeat after a first unmeasured round."""
    import torch

    from recon_core.inference.reconstruct import reconstruct
    from recon_core.methods.run import load_run

    torch.set_num_threads(1)
    run = load_run(run_folder, "cpu")
    stages: dict[str, list[float]] = {}
    for repeat in range(repeats + 1):
        for image in images:
            record = reconstruct(image, run, out_dir=out).record
            for stage, value in record["timings_ms"].items():
                stages.setdefault(stage, []).extend([value] if repeat else [])
    return stages


def time_command(run_folder: Path, image: Path, out: Path, repeats: int = 3) -> list[float]:
    """Seconds of whole commands, each a new process."""
    command = [sys.executable, "-m", "recon_core.cli", "reconstruct", str(image)]
    command += ["--run", str(run_folder), "--out", str(out), "--device", "cpu"]
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(
            command, check=True, cwd=ROOT, env={**os.environ, **ONE_THREAD}, stdout=subprocess.DEVNULL
        )
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    images = options.images or sorted((ROOT / "examples").glob("chair_*.png"))
    with tempfile.TemporaryDirectory() as folder:
        run = options.run or untrained_run(Path(folder) / "run")
        stages = time_stages(run, images, options.repeats, Path(folder) / "out")
        print(f"{len(images)} images x {options.repeats}, one thread, CPU: milliseconds per image")
        print(f"{'stage':<12}{'median':>9}{'slowest':>9}")
        for stage, values in stages.items():
            print(f"{stage:<12}{statistics.median(values):>9.1f}{max(values):>9.1f}")
        median = statistics.median(stages["total"])
        print(f"reconstruct (read to coloured cloud): {median:.1f} ms, limit 100 ms")
        seconds = time_command(run, images[0], Path(folder) / "out")
        print(f"whole command, new process: median {statistics.median(seconds):.2f} s, limit 6 s")


if __name__ == "__main__":
    main()
