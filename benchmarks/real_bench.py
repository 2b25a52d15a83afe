# SPDX-License-Identifier: Apache-2.0
"""A run on real meshes that training never saw: Chamfer over the baselines' by category, F-score, pose.

    python benchmarks/real_bench.py RUN --meshes MESHES --baselines DATASET --out bench_real

MESHES holds a folder of mesh files per category. They are rendered with random cameras, focal lengths and lights, with
the front axes of real_mesh_fronts.json; every object is a test object. The baselines (mean shape, retrieval) are made
from the training split of DATASET, on which RUN was trained. A turn about the vertical axis that brings a mesh's
surface onto itself counts as a symmetry for pose errors; colours are not looked at.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from recon_core.data.dataset import Dataset
from recon_core.data.splits import write_splits
from recon_core.evaluation.categories import MEAN
from recon_core.io.atomic import write_json

FRONTS = Path(__file__).with_name("real_mesh_fronts.json")
CATEGORIES = ("airplane", "bed", "cabinet", "car", "chair", "lamp", "sofa", "table")
CAMERAS = ("--lens", 30, 90, "--distance", "auto", "--elevation", -5, 40)
# Turned surfaces count as the same where their samples are as near to each other as two samplings of one surface are.
_TOLERANCE = 1.35
_SAMPLES = 4096


def recon(*arguments: object) -> None:
    """Run one verb, its output shown."""
    words = [str(argument) for argument in arguments]
    print("$ recon", *words, flush=True)
    status = subprocess.run([sys.executable, "-m", "recon_core.cli", *words], check=False).returncode
    if status not in (0, 3):  # 3: some objects failed, and were named
        raise SystemExit(status)


def prepare(meshes: Path, data: Path, views: int) -> None:
    """Render what is not there yet; every object is of the test split and knows its symmetry."""
    folders = [meshes / category for category in CATEGORIES if (meshes / category).is_dir()]
    if not folders:
        raise SystemExit(f"{meshes} has none of the folders {', '.join(CATEGORIES)}.")
    only = data.with_suffix(".names")
    data.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{folder.name}/{file.stem}" for folder in folders for file in sorted(folder.iterdir())]
    only.write_text("".join(f"{name}\n" for name in names))
    recon("render", meshes, "--output", data, "--only", only, "--axes", FRONTS, "--views", views, "--size", 128,
          "--light", "photo", "--passes", "rgb,mask", *CAMERAS)  # fmt: skip
    dataset = Dataset.open(data)
    write_splits(data, dataset.objects(), (0, 0, 1))
    for name in dataset.objects():
        path = data / name / "transforms.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        document["recon"]["symmetry_order"] = symmetry_order(dataset.points(name).xyz)
        write_json(path, document)


def symmetry_order(xyz: np.ndarray) -> int:
    """Order of the rotational symmetry of a surface's samples (N,3) about Z: 0 for any angle, 1 for none."""
    rng = np.random.default_rng(0)
    order = rng.permutation(len(xyz))
    first, second = xyz[order[:_SAMPLES]], xyz[order[_SAMPLES : 2 * _SAMPLES]]
    tree = cKDTree(second)
    limit = _TOLERANCE * float(tree.query(first)[0].mean())
    for fold, angles_deg in ((0, (37, 90, 137)), *((n, (360 / n,)) for n in range(8, 1, -1))):
        if all(float(tree.query(_turned(first, angle))[0].mean()) <= limit for angle in angles_deg):
            return fold
    return 1


def _turned(xyz: np.ndarray, angle_deg: float) -> np.ndarray:
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return xyz @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])


def report(metrics: Path) -> dict[str, float]:
    """Print the figures and return those with a limit."""
    result = json.loads(metrics.read_text(encoding="utf-8"))
    values = result["categories"]
    print("category     Chamfer x100  / retrieval  / mean shape  F@0.05  pose@30")
    for category, methods in values.items():
        ours = methods["model"]
        of = [ours["chamfer_sum"] / methods[name]["chamfer_sum"] for name in ("retrieval", "mean_shape")]
        pose = ours["pose_accuracy_symmetric"]
        print(f"{category:<22}{ours['chamfer_sum']:>6.2f}{of[0]:>12.2f}{of[1]:>14.2f}{ours['fscore_0.05']:>9.2f}"
              f"{'-' if pose is None else format(pose, '.2f'):>9}")  # fmt: skip
    mean = {method: one["chamfer_sum"] for method, one in values[MEAN].items()}
    return {"over_retrieval": mean["model"] / mean["retrieval"], "over_mean": mean["model"] / mean["mean_shape"]}


def main() -> None:
    """Render, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--meshes", type=Path, required=True)
    parser.add_argument("--baselines", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("bench_real"))
    parser.add_argument("--views", type=int, default=6)
    arguments = parser.parse_args()
    data, scores = arguments.out / "dataset", arguments.out / "evaluation"
    prepare(arguments.meshes, data, arguments.views)
    recon("eval", arguments.run, "--data", data, "--baselines", arguments.baselines, "--out", scores)
    ratios = report(scores / "metrics.json")
    print(f"mean over categories: {ratios['over_retrieval']:.2f} of retrieval's (limit 0.70), "
          f"{ratios['over_mean']:.2f} of the mean shape's (limit 0.60)")  # fmt: skip


if __name__ == "__main__":
    main()
