# SPDX-License-Identifier: Apache-2.0
"""How well `recon label` finds the parts of shapes whose labels are known: part mIoU on a dataset's points.

    python benchmarks/label_bench.py --run RUN --data DATASET [--split test] [--objects 10] [--turned]

Each object's points.ply is labelled without its own labels, and judged on all of its points: IoU per part, mean over
the parts that the object has, mean over objects. Beside it: the labels of the nearest predicted point of the first view
alone. --turned: each object is turned about its up axis by a random angle that is not told; 16 headings are tried.
"""

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from recon_core.data.dataset import Dataset
from recon_core.evaluation.metrics import part_mean_iou
from recon_core.geometry.nearest import nearest
from recon_core.geometry.search import turns_about_z
from recon_core.labelling.label import LabelOptions, label_object
from recon_core.labelling.source import source_of_cloud
from recon_core.methods.run import LoadedRun, load_run
from recon_core.pointcloud import PointCloud

HEADINGS = 16


def main() -> None:
    """Print a line per category, and the mean over categories."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--objects", type=int, default=10, help="of each category")
    parser.add_argument("--turned", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run, dataset = load_run(options.run, "cpu"), Dataset.open(options.data)
    by_category: dict[str, list[str]] = {}
    for name in dataset.objects(options.split):
        by_category.setdefault(name.split("/")[0], []).append(name)
    print(f"{'category':<12}{'objects':>8}{'recon label':>12}{'one view':>10}{'CPU s':>8}")
    rows = []
    for category, names in by_category.items():
        start = time.process_time()
        scores = np.array(
            [score(dataset.points(n), category, run, options.turned) for n in names[: options.objects]]
        )
        seconds = (time.process_time() - start) / len(scores)
        rows.append(scores.mean(0))
        print(
            f"{category:<12}{len(scores):>8}{rows[-1][0]:>12.3f}{rows[-1][1]:>10.3f}{seconds:>8.2f}",
            flush=True,
        )
    mean = np.mean(rows, axis=0)
    print(f"{'mean':<12}{'':>8}{mean[0]:>12.3f}{mean[1]:>10.3f}")


def score(cloud: PointCloud, category: str, run: LoadedRun, turned: bool) -> tuple[float, float]:
    """Part mIoU of the labels, and of the first view's prediction."""
    assert cloud.labels is not None
    shown = replace(cloud, labels=None)
    if turned:
        turn = turns_about_z(360)[np.random.default_rng(int(1e6 * abs(cloud.xyz[0, 0]))).integers(360)]
        assert cloud.normals is not None
        shown = replace(shown, xyz=cloud.xyz @ turn.T, normals=cloud.normals @ turn.T)
    options = LabelOptions(headings=HEADINGS if turned else 1, category=category)
    found = label_object(source_of_cloud(shown, category), run, options)
    points = run.predict(found.crops[:1]).points
    assert points.part_logits is not None
    labels = points.part_logits[0, :, : len(found.part_names)].argmax(-1).numpy() + 1
    _, index = nearest(found.transform.apply(shown.xyz.astype(np.float64)), points.xyz[0].double().numpy())
    truth = torch.from_numpy(cloud.labels)
    return tuple(float(part_mean_iou(torch.from_numpy(one), truth)) for one in (found.labels, labels[index]))  # type: ignore[return-value]


if __name__ == "__main__":
    main()
