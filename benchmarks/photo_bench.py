# SPDX-License-Identifier: Apache-2.0
"""Photographs: how well the cloud covers the mask under the estimated camera, before and after refining and placing.

    python benchmarks/photo_bench.py PHOTOS --out bench_photos [--run RUN] [--skip extinguisher mailbox]

For every photograph of the folder: `recon reconstruct`, `recon refine`, `recon place` of the refined cloud from the
refined camera. Where there is a NAME_mask.png it is given; where that is a cut-out of another shape, which does not lie
on the photograph, the cut-out is taken instead. Look at the pictures that are left in --out.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def recon(*arguments: object) -> bool:
    """Run one verb, its output kept quiet unless it fails; whether it succeeded."""
    words = [sys.executable, "-m", "recon_core.cli", *(str(argument) for argument in arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-400:], done.stderr[-400:], file=sys.stderr)
    return done.returncode == 0


def photographs(folder: Path, skip: list[str]) -> list[Path]:
    """The photographs, without their masks and those whose names hold a word of `skip`."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in ENDINGS
        and not path.stem.endswith("_mask")
        and not any(word in path.stem for word in skip)
    ]


def picture_and_mask(photo: Path) -> tuple[Path, tuple[object, ...]]:
    """The picture to use, and the words that give its mask."""
    mask = photo.with_name(f"{photo.stem}_mask.png")
    if not mask.is_file():
        return photo, ()
    with Image.open(photo) as first, Image.open(mask) as second:
        lies_on_it = abs(first.width * second.height / (first.height * second.width) - 1) < 0.03
    return (photo, ("--mask", mask)) if lies_on_it else (mask, ())


def measure(photo: Path, out: Path, run: Path | None) -> dict[str, Any] | None:
    """IoU before, after refining, after placing, and what the model takes it for; None where a step failed."""
    photo, masked = picture_and_mask(photo)
    model = () if run is None else ("--run", run)
    first, second, third = (out / name for name in ("reconstructed", "refined", "placed"))
    result, refined = first / f"{photo.stem}.json", second / f"{photo.stem}.json"
    if not recon("reconstruct", photo, "--out", first, *masked, *model):
        return None
    if not recon("refine", result, photo, "--out", second, "--quiet", *masked):
        return None
    cloud = refined.with_suffix(".ply")
    placed = recon("place", cloud, photo, "--out", third, "--start", refined, *masked)
    record, told = json.loads(refined.read_text()), json.loads(result.read_text())
    found = next(iter(third.glob(f"{photo.stem}*.json")), None) if placed else None
    return {
        "photo": photo.name,
        "category": told["category"],
        "probability": told.get("category_probability"),
        "before": record["refine"]["iou"][0],
        "refined": record["refine"]["iou"][1],
        "placed": None if found is None else json.loads(found.read_text())["scores"]["mask_iou"],
        "mask": told["mask"]["source"],
    }


def main() -> None:
    """Measure every photograph, print a table and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, default=Path("bench_photos"))
    parser.add_argument("--run", type=Path, help="run folder; the shipped model when not given")
    parser.add_argument("--skip", nargs="*", default=[], help="words in the names of photographs to leave out")
    options = parser.parse_args()
    rows = []
    for photo in photographs(options.photos, options.skip):
        row = measure(photo, options.out, options.run)
        if row is None:
            print(f"{photo.name}: failed")
            continue
        rows.append(row)
        placed = "-" if row["placed"] is None else f"{row['placed']:.2f}"
        print(f"{row['photo']:<30}{row['category']!s:<9}{row['probability'] or 1:>5.2f}  before {row['before']:.2f}  "
              f"refined {row['refined']:.2f}  placed {placed}  {row['mask']}", flush=True)  # fmt: skip
    if rows:
        before, after = (statistics.median(row[key] for row in rows) for key in ("before", "refined"))
        print(f"median of {len(rows)}: before {before:.2f} (limit 0.70), refined {after:.2f} (limit 0.92)")
        (options.out / "photos.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
