# SPDX-License-Identifier: Apache-2.0
"""How often `recon place` finds the view of a known object in pictures through drawn cameras.

    recon shapes --output SHAPES --category chair --category table --count 20 --seed 9
    python benchmarks/place_bench.py SHAPES [--cases 100] [--seed 7] [--poses any] [--no-colors] [--json FILE]

The pictures are rendered from the meshes by the rasteriser, with a light that is drawn; the object is given as its
16,384 points. Rotation, lens (25 to 100 mm), distance and place in the picture are unknown. The error is the angle
between the true rotation and the one found, both as seen along the ray to the object, up to the object's symmetry about
Z. Seconds are the processor's, of one thread. The exit status is 1 when a figure was missed.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from place_cases import Case, Drawn, make_case

from recon_core.cameras import Cameras, rotation_about_z, rotation_angle_deg
from recon_core.io.atomic import write_json
from recon_core.placing.place import Placement, PlaceOptions, place
from recon_core.placing.views import towards

WITHIN_DEG, WANTED_SHARE, WANTED_MEDIAN_DEG, WANTED_S = 5.0, 0.92, 1.5, 5.0


def seen_rotation(camera: Cameras, middle: np.ndarray) -> torch.Tensor:
    """Rotation (1,3,3) of the object as seen along the ray to its middle (3,): what a crop's centre does not change."""
    matrix = camera.world_to_cam.double()
    ray = matrix[:, :3, :3] @ torch.from_numpy(middle) + matrix[:, :3, 3]
    return towards(ray).mT @ matrix[:, :3, :3]


def error_deg(found: Cameras, case: Case) -> float:
    """Angle to the true rotation in degrees, the least over the turns that leave the object as it is."""
    middle = (case.cloud.xyz.min(0).astype(np.float64) + case.cloud.xyz.max(0)) / 2
    count = case.symmetry_order or 360
    turns = rotation_about_z(torch.arange(count, dtype=torch.float64) * (2 * np.pi / count))
    first, second = seen_rotation(found, middle), seen_rotation(case.camera, middle)
    return float(rotation_angle_deg(first @ turns, second).min())


def run_case(task: tuple[Path, int], drawn: Drawn, options: PlaceOptions) -> dict[str, Any]:
    """Place one object in its picture; figures of the result."""
    torch.set_num_threads(1)
    case = make_case(*task, drawn)
    wall, processor = time.perf_counter(), time.process_time()
    found = place(case.cloud.xyz, case.mask, options, case.rgb, case.cloud.colors, case.cloud.normals)
    return figures(found, case) | {
        "cpu_s": round(time.process_time() - processor, 3),
        "wall_s": round(time.perf_counter() - wall, 3),
    }


def figures(found: Placement, case: Case) -> dict[str, Any]:
    """Errors of the best solution and of those told with it."""
    errors = [error_deg(one.camera, case) for one in found.solutions]
    return {
        "object": case.name,
        "error_deg": round(errors[0], 3),
        "told": len(errors),
        "error_of_told_deg": round(min(errors), 3),
        "mask_iou": round(found.best.iou, 4),
        "lens_mm": round(case.focal_mm, 2),
        "focal_ratio": round(float(found.best.camera.fx[0] / case.camera.fx[0]), 4),
    }


def tasks(folders: list[Path], cases: int, seed: int, first: int) -> list[tuple[Path, int]]:
    """Objects, one category after the other, each with a seed of its own."""
    groups: dict[Path, list[Path]] = {}
    for about in sorted(path for folder in folders for path in folder.rglob("object.json")):
        groups.setdefault(about.parent.parent, []).append(about.parent)
    if not groups:
        raise SystemExit("No objects of `recon shapes` (object.json) in the folders.")
    names = list(groups)
    return [
        (group[(first + index // len(names)) % len(group)], seed * 100_000 + index)
        for index in range(cases)
        for group in [groups[names[index % len(names)]]]
    ]


def summary(rows: list[dict[str, Any]]) -> dict[str, float]:
    """The figures over all cases."""
    errors, told = (np.array([row[name] for row in rows]) for name in ("error_deg", "error_of_told_deg"))
    return {
        "cases": len(rows),
        "within_5_deg": float((errors <= WITHIN_DEG).mean()),
        "median_deg": float(np.median(errors)),
        "told_within_5_deg": float((told <= WITHIN_DEG).mean()),
        "mean_told": float(np.mean([row["told"] for row in rows])),
        "median_mask_iou": float(np.median([row["mask_iou"] for row in rows])),
        "median_focal_factor": float(np.exp(np.median(np.abs(np.log([row["focal_ratio"] for row in rows]))))),
        "median_cpu_s": float(np.median([row["cpu_s"] for row in rows])),
        "most_cpu_s": max(row["cpu_s"] for row in rows),
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shapes", nargs="+", type=Path, help="folders of `recon shapes`")
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--first", type=int, default=0, help="leave out so many objects of each category")
    parser.add_argument("--poses", choices=("any", "upright"), default="any")
    parser.add_argument(
        "--crop", type=float, default=0.0, help="greatest offset of the lens's centre, in pictures"
    )
    parser.add_argument("--cropped", action="store_true", help="place with --cropped")
    parser.add_argument("--up", action="store_true", help="place with --up --roll 10")
    parser.add_argument("--no-colors", action="store_true", help="masks alone")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", type=Path, help="write all figures here as well")
    return parser.parse_args()


def main() -> int:
    """Run all cases and print the table."""
    arguments = parse()
    options = PlaceOptions(
        up=arguments.up, roll_deg=10.0, cropped=arguments.cropped, use_colors=not arguments.no_colors
    )
    work = partial(run_case, drawn=Drawn(arguments.poses, arguments.crop), options=options)
    rows = []
    with ProcessPoolExecutor(arguments.jobs, get_context("spawn")) as pool:
        for row in pool.map(work, tasks(arguments.shapes, arguments.cases, arguments.seed, arguments.first)):
            rows.append(row)
            print(json.dumps(row), flush=True)
    found = summary(rows)
    print("\n".join(f"{name:>20}  {value:.3f}" for name, value in found.items()))
    if arguments.json:
        write_json(arguments.json, {"summary": found, "cases": rows, "settings": vars_of(arguments)})
    reached = found["within_5_deg"] >= WANTED_SHARE and found["median_deg"] < WANTED_MEDIAN_DEG
    return 0 if reached and found["most_cpu_s"] < WANTED_S else 1


def vars_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The command line's values that change the figures."""
    return {
        name: getattr(arguments, name)
        for name in ("cases", "seed", "first", "poses", "crop", "cropped", "up", "no_colors")
    }


if __name__ == "__main__":
    sys.exit(main())
