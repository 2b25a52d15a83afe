# SPDX-License-Identifier: Apache-2.0
"""What `recon refine` does to predictions: Chamfer distance to the truth, fit to the mask and seconds, by category.

    python benchmarks/refine_bench.py --run RUN --data DATASET [--split all|test|val] [--views 1] [--pose known]
        [--objects 40] [--threads 1] [--colors] [--json FILE]

Each object is predicted from its first views, each time refined against that one mask, and held against the true
surface in the object frame (diagonal 1), before and after: precision + coverage x100, as in docs/evaluation.md. Known
pose: the dataset's camera, which stays. Predicted pose: the rotation that the model predicts, with the lens fitted to
the mask, and its other hypotheses, as `recon reconstruct` has them; it may move. Mask IoU is that of the crop at 96 px,
where the mask is drawn by the same brush as the cloud. --colors: the PSNR in dB of the predicted colours, and of
those that `recon refine` fits to the one image, in all other views of the object (refining/colors.py).
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402

from recon_core.cameras import DEFAULT_DISTANCE, Cameras  # noqa: E402
from recon_core.canonical_frame import read_canonical  # noqa: E402
from recon_core.confidence.features import local_spacing  # noqa: E402
from recon_core.confidence.visibility import visible_points  # noqa: E402
from recon_core.data.crop import crop_square, fit_box  # noqa: E402
from recon_core.data.dataset import Dataset  # noqa: E402
from recon_core.errors import ConfigError  # noqa: E402
from recon_core.evaluation.metrics import match_clouds  # noqa: E402
from recon_core.inference.photo_camera import fit_camera  # noqa: E402
from recon_core.inference.reconstruct import hypotheses_of  # noqa: E402
from recon_core.io.atomic import write_json  # noqa: E402
from recon_core.methods.run import LoadedRun, load_run  # noqa: E402
from recon_core.pointcloud import PointCloud  # noqa: E402
from recon_core.refining.colors import Shot, judge  # noqa: E402
from recon_core.refining.hypotheses import viewpoints_of  # noqa: E402
from recon_core.refining.refine import Refined, RefineOptions, careful, refine  # noqa: E402
from recon_core.refining.verb import KEPT  # noqa: E402
from recon_core.refining.viewpoint import Viewpoints  # noqa: E402

TRUE_POINTS = 4096


@dataclass(frozen=True)
class Case:
    """One view of one object: what the model says, and the truth."""

    category: str
    name: str
    cloud: PointCloud
    camera: Cameras
    mask: np.ndarray
    truth: np.ndarray
    known: Viewpoints | None = None
    photo: np.ndarray | None = None
    others: tuple[Shot, ...] = ()


def cases(run: LoadedRun, dataset: Dataset, names: list[str], views: int, pose: str) -> Iterator[Case]:
    """Predictions of the first views of each object."""
    for name in names:
        for view in range(min(views, dataset.views(name))):
            yield case_of(run, dataset, name, view, pose)


def case_of(run: LoadedRun, dataset: Dataset, name: str, view: int, pose: str) -> Case:
    """The prediction of one view, in the object frame."""
    truth = dataset.points(name).xyz
    truth = truth[np.random.default_rng(0).permutation(len(truth))[:TRUE_POINTS]]
    image, mask = dataset.image(name, view), dataset.mask(name, view)
    cut = np.dstack((image[..., :3], mask))
    prediction = run.predict(crop_square(cut, fit_box(mask, run.margin), run.input_size)[None])
    cloud = prediction.points.cloud(0)
    canonical = None
    if run.pose_is_learnt:
        canonical = read_canonical(run.folder, run.card.get("steps")).rotation
    if canonical is not None:
        cloud.xyz = (cloud.xyz.astype(np.float64) @ canonical.T).astype(np.float32)
    camera, known = dataset.cameras(name)[view : view + 1], None
    if pose == "predicted":
        camera = _predicted_camera(run, cloud, prediction.rotation, canonical, mask)
        known = viewpoints_of(cloud.xyz, camera, hypotheses_of(prediction, run), mask)
    others = tuple(_shot(dataset, name, other) for other in range(dataset.views(name)) if other != view)
    return Case(name.partition("/")[0], name, cloud, camera, mask, truth, known, cut, others)


def _shot(dataset: Dataset, name: str, view: int) -> Shot:
    mask = dataset.mask(name, view)
    rgba = np.dstack((dataset.image(name, view)[..., :3], mask))
    return Shot(rgba, dataset.cameras(name)[view : view + 1], fit_box(mask))


def _predicted_camera(
    run: LoadedRun,
    cloud: PointCloud,
    rotation: torch.Tensor | None,
    canonical: np.ndarray | None,
    mask: np.ndarray,
) -> Cameras:
    if rotation is None:
        raise ConfigError("This run predicts no pose: use --pose known.")
    turned = rotation[0].double().numpy()
    turned = turned if canonical is None else turned @ canonical.T
    return fit_camera(cloud.xyz, turned, mask, float(getattr(run.config.pose, "distance", DEFAULT_DISTANCE)))


def score(xyz: np.ndarray, truth: np.ndarray) -> float:
    """Chamfer sum x100."""
    matches = match_clouds(xyz, truth)
    return 100 * float(matches.pred_to_truth.mean() + matches.truth_to_pred.mean())


def color_scores(case: Case, result: Refined) -> dict[str, Any]:
    """Before and after, in the input view and in the others, and the seconds that fitting takes."""
    start = time.perf_counter()
    assert case.photo is not None
    fit = result.with_colors([case.photo], "fit").colors
    seconds, cloud = time.perf_counter() - start, result.cloud
    spacing = float(np.median(local_spacing(cloud.xyz)))
    seen = np.stack([visible_points(cloud.xyz, shot.camera, spacing) for shot in case.others])
    crops = [shot.crop(96) for shot in case.others]
    assert cloud.colors is not None
    after = cloud.colors if fit is None else fit.colors
    held_out = [judge(cloud.xyz, colors, crops, seen)[0] for colors in (cloud.colors, after)]
    shown = None if fit is None else fit.psnr_db
    return {"psnr_held_out": held_out, "psnr_input": shown, "color_seconds": seconds}


def color_line(rows: list[dict[str, Any]]) -> str:
    """Means over cases as text."""
    input_db = np.mean([row["psnr_input"] for row in rows if row["psnr_input"] is not None], 0)
    held_out = np.array([row["psnr_held_out"] for row in rows])
    worse, seconds = (
        (held_out[:, 1] < held_out[:, 0]).mean(),
        np.median([row["color_seconds"] for row in rows]),
    )
    before, after = held_out.mean(0)
    return (
        f"colours: PSNR {input_db[0]:.2f} -> {input_db[1]:.2f} dB in the input view, {before:.2f} -> {after:.2f} dB "
        f"in the others, worse there {100 * worse:.0f}%, {seconds:.2f} s"
    )


def one(case: Case, options: RefineOptions, colors: bool) -> dict[str, Any]:
    """Figures of one case."""
    start, cpu = time.perf_counter(), time.process_time()
    known = None if case.known is None else [case.known]
    result = refine(case.cloud, [case.camera], [case.mask], options, viewpoints=known)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {
        "category": case.category,
        "name": case.name,
        "chamfer": (score(case.cloud.xyz, case.truth), score(result.cloud.xyz, case.truth)),
        "iou": result.figures.iou,
        "objective": result.figures.objective,
        "symmetric": result.figures.symmetric,
        "turned_deg": result.figures.turned_deg,
        "steps": result.figures.steps,
        "seconds": seconds,
        "cpu_seconds": cpu,
    } | (color_scores(case, result) if colors else {})


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over cases."""
    before, after = (np.array([row["chamfer"][k] for row in rows]) for k in (0, 1))
    return {
        "cases": len(rows),
        "chamfer_before": before.mean(),
        "chamfer_after": after.mean(),
        "change": after.mean() / before.mean() - 1,
        "worse": float((after > before).mean()),
        "iou_before": float(np.mean([row["iou"][0] for row in rows])),
        "iou_after": float(np.mean([row["iou"][1] for row in rows])),
        "seconds_median": float(np.median([row["seconds"] for row in rows])),
        "seconds_most": max(row["seconds"] for row in rows),
        "cpu_seconds": float(np.median([row["cpu_seconds"] for row in rows])),
    }


def table(groups: dict[str, dict[str, Any]]) -> str:
    """The summaries as text."""
    columns = (
        ("cases", 6),
        ("Chamfer", 17),
        ("change", 9),
        ("worse", 8),
        ("mask IoU", 16),
        ("seconds (most)", 16),
    )
    lines = [" " * 12 + "".join(f"{name:>{width}}" for name, width in (*columns, ("CPU s", 7)))]
    for name, row in groups.items():
        lines.append(
            f"{name:<12}{row['cases']:>6}{row['chamfer_before']:>8.2f} ->{row['chamfer_after']:>6.2f}"
            f"{100 * row['change']:>8.1f}%{100 * row['worse']:>7.0f}%"
            f"{row['iou_before']:>8.3f} ->{row['iou_after']:>6.3f}"
            f"{row['seconds_median']:>8.2f} ({row['seconds_most']:5.2f}){row['cpu_seconds']:>7.2f}"
        )
    return "\n".join(lines)


def chosen(dataset: Dataset, split: str, objects: int | None) -> list[str]:
    """Names of the objects, at most so many of each category, spread evenly over them."""
    names = dataset.objects(None if split == "all" else split)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition("/")[0], []).append(name)
    if objects is None:
        return names
    return [
        group[place * len(group) // min(objects, len(group))]
        for group in groups.values()
        for place in range(min(objects, len(group)))
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, help="run folder of recon train")
    parser.add_argument("--data", type=Path, required=True, help="dataset folder of recon render")
    parser.add_argument("--split", choices=("all", "train", "val", "test"), default="val")
    parser.add_argument("--views", type=int, default=1, help="views of each object")
    parser.add_argument("--objects", type=int, help="at most so many of each category")
    parser.add_argument("--pose", choices=("known", "predicted"), default="known")
    parser.add_argument("--symmetry", choices=("auto", "on", "off"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--colors", action="store_true", help="colours in the other views too")
    parser.add_argument("--json", type=Path, help="write all figures here as well")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dataset = Dataset.open(arguments.data)
    names = chosen(dataset, arguments.split, arguments.objects)
    options = replace(RefineOptions(), camera=KEPT) if arguments.pose == "known" else careful()
    options = replace(options, symmetry=arguments.symmetry)
    found = cases(load_run(arguments.run, "cpu"), dataset, names, arguments.views, arguments.pose)
    rows = [
        one(case, options, arguments.colors)
        for case in tqdm(found, total=len(names) * arguments.views, unit="case")
    ]
    categories = sorted({row["category"] for row in rows})
    groups = {name: summary([row for row in rows if row["category"] == name]) for name in categories}
    groups["all"] = summary(rows)
    print(table(groups))
    if arguments.colors:
        print(color_line(rows))
    if arguments.json:
        write_json(arguments.json, {"groups": groups, "rows": rows})


if __name__ == "__main__":
    main()
