# SPDX-License-Identifier: Apache-2.0
"""The render farm with 1 and 2 processes: 24 views at 128 px of objects with 15,000 faces, files written.

    python benchmarks/farm_bench.py [--objects 6] [--samples 16] [--blender auto]

Prints views per second of each and the ratio of the two; start-up of Blender is included, as users pay it too.
"""

import argparse
import math
import tempfile
from pathlib import Path

from recon_core.farm import FarmOptions, render, usable_cores

RINGS, SEGMENTS = 100, 150  # 15,000 quads
VIEWS, SIZE_PX = 24, 128


def write_torus(path: Path) -> None:
    """A knobbly torus as OBJ: curved everywhere, so that no face is free."""
    lines = ["usemtl seat"]
    for ring in range(RINGS):
        for segment in range(SEGMENTS):
            u, v = 2 * math.pi * segment / SEGMENTS, 2 * math.pi * ring / RINGS
            tube = 0.35 + 0.04 * math.sin(9 * u) * math.sin(6 * v)
            wide = 1 + tube * math.cos(v)
            lines.append(f"v {wide * math.cos(u):.6f} {wide * math.sin(u):.6f} {tube * math.sin(v):.6f}")
    for ring in range(RINGS):
        for segment in range(SEGMENTS):
            right, above = (segment + 1) % SEGMENTS, (ring + 1) % RINGS
            corners = ((ring, segment), (ring, right), (above, right), (above, segment))
            lines.append("f " + " ".join(str(1 + r * SEGMENTS + s) for r, s in corners))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def views_per_second(folder: Path, jobs: int, options: argparse.Namespace) -> float:
    """Render all objects into a fresh dataset."""
    arguments = (f"--views={VIEWS}", f"--size={SIZE_PX}", f"--samples={options.samples}")
    asked = FarmOptions(
        (folder / "meshes",), folder / f"dataset-{jobs}", arguments, blender=options.blender, jobs=jobs, quiet=True
    )
    result = render(asked)
    seconds = result.seconds / options.objects
    print(f"{jobs} process(es): {result} ({seconds:.2f} s per object of {VIEWS} views)")
    return result.views / result.seconds


def main() -> None:
    """Run both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=6, help="objects to render (default: 6)")
    parser.add_argument("--samples", type=int, default=16, help="samples per pixel (default: 16)")
    parser.add_argument("--blender", default="auto", help="auto, wheel or an executable (default: auto)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "meshes").mkdir()
        for index in range(options.objects):
            write_torus(folder / "meshes" / f"torus_{index}.obj")
        print(f"{options.objects} objects, {SIZE_PX} px, {options.samples} samples, {usable_cores()} cores")
        one, two = (views_per_second(folder, jobs, options) for jobs in (1, 2))
    print(f"2 processes are {two / one:.2f} times as fast as 1")


if __name__ == "__main__":
    main()
