# SPDX-License-Identifier: Apache-2.0
"""The picture of docs/refining.md: predictions before and after refinement, over their image and from the other side.

    python docs/make_refining.py OUT.png --run RUN --data DATASET CATEGORY/OBJECT:VIEW ...

Cameras are the dataset's and stay. The last column is the truth.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from refine_bench import Case, case_of, score  # noqa: E402

from recon_core.data.crop import crop_cameras, crop_square, fit_box  # noqa: E402
from recon_core.data.dataset import Dataset  # noqa: E402
from recon_core.io.atomic import atomic_path  # noqa: E402
from recon_core.methods.run import load_run  # noqa: E402
from recon_core.refining.preview import AFTER, BEFORE, draw_dots  # noqa: E402
from recon_core.refining.refine import RefineOptions, refine  # noqa: E402
from recon_core.refining.verb import KEPT  # noqa: E402
from recon_core.visual import draw_cloud, grid, to_rgb  # noqa: E402

TILE_PX = 150


def row(case: Case, image: np.ndarray) -> tuple[list[np.ndarray], list[str]]:
    """Pictures of one case and their captions."""
    result = refine(case.cloud, [case.camera], [case.mask], replace(RefineOptions(), camera=KEPT))
    box = fit_box(case.mask, 1.25)
    photo = to_rgb(crop_square(np.dstack((image[..., :3], case.mask)), box, TILE_PX))
    camera = crop_cameras(case.camera, box, TILE_PX)
    pictures = [photo]
    pictures += [
        draw_dots(photo, xyz, camera, color)
        for xyz, color in ((case.cloud.xyz, BEFORE), (result.cloud.xyz, AFTER))
    ]
    away = _behind(case)
    clouds = (case.cloud.xyz, result.cloud.xyz, case.truth)
    pictures += [draw_cloud(xyz, None, away, 15, TILE_PX) for xyz in clouds]
    iou = result.figures.iou
    scores = [
        f"{word}: {score(xyz, case.truth):.1f}"
        for word, xyz in zip(("before", "after"), clouds, strict=False)
    ]
    return pictures, ["image", f"before: IoU {iou[0]:.2f}", f"after: IoU {iou[1]:.2f}", *scores, "truth"]


def _behind(case: Case) -> float:
    """Azimuth in degrees across from the camera's."""
    matrix = case.camera.world_to_cam[0]
    eye = -(matrix[:3, :3].T @ matrix[:3, 3])
    return float(np.degrees(np.arctan2(float(eye[0]), -float(eye[1])))) + 140


def main() -> None:
    """Draw a row for each view."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("views", nargs="+", help="CATEGORY/OBJECT:VIEW")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    run, dataset = load_run(options.run, "cpu"), Dataset.open(options.data)
    rows, texts = [], []
    for text in options.views:
        name, _, view = text.rpartition(":")
        pictures, captions = row(
            case_of(run, dataset, name, int(view), "known"), dataset.image(name, int(view))
        )
        rows.append(pictures)
        texts.append(captions)
    with atomic_path(options.out) as temporary:
        Image.fromarray(grid(rows, texts)).quantize(200).save(temporary, "PNG", optimize=True)


if __name__ == "__main__":
    main()
