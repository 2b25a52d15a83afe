# SPDX-License-Identifier: Apache-2.0
"""Make docs/images/placing.png: objects placed in pictures of themselves, from whose camera nothing is known.

    recon shapes --output SHAPES --category airplane --category chair --category sofa --count 1 --seed 11
    python docs/make_placing.py SHAPES/airplane/NAME SHAPES/chair/NAME SHAPES/sofa/NAME
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
from place_cases import Case, Drawn, make_case

from recon_core import visual
from recon_core.placing.picture import draw_over, outlined
from recon_core.placing.place import PlaceOptions, place

COLORS, WIDTH = 128, 780


def row_of(case: Case) -> tuple[list[np.ndarray], list[str]]:
    """The picture with its mask, the best view, and the next one that fits about as well."""
    cloud = case.cloud
    found = place(cloud.xyz, case.mask, PlaceOptions(), case.rgb, cloud.colors, cloud.normals)
    # An even background, for a small file.
    even = np.median(case.rgb[case.mask == 0], axis=0).astype(np.uint8)
    rgb = np.where(case.mask[..., None] > 0, case.rgb, even)
    pale = np.rint(0.45 * rgb + 0.55 * 225).astype(np.uint8)
    tiles, texts = [outlined(rgb, case.mask)], [f"a {case.focal_mm:.0f} mm lens"]
    for number, one in enumerate(found.solutions[:2]):
        tiles.append(outlined(draw_over(pale, cloud.xyz, cloud.colors, one.camera), case.mask))
        lens = float(one.camera.fx[0]) / one.camera.width * 36
        turned = f"or turned by {one.apart_deg:.0f}°" if number else f"placed, {lens:.0f} mm"
        texts.append(f"{turned}: IoU {one.iou:.2f}")
    return tiles, texts


def main(folders: list[str]) -> None:
    """One row for each object."""
    rows, labels = [], []
    for number, folder in enumerate(folders):
        tiles, texts = row_of(make_case(Path(folder), 40 + number, Drawn("upright")))
        rows.append(tiles)
        labels.append(texts)
    picture = Image.fromarray(visual.grid(rows, labels))
    picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    small = picture.quantize(COLORS, dither=Image.Dither.NONE)
    small.save(ROOT / "docs" / "images" / "placing.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
