# SPDX-License-Identifier: Apache-2.0
"""The add-on's figures: click to points, stalls of the interface, display, import, ICP.

    python benchmarks/addon_bench.py --model MODEL.onnx [--image IMAGE] [--json FILE] [--no-window]

MODEL.onnx and its card are what `recon export` writes; times depend on its size. Display, import and ICP are measured
in this Python's bpy module, click and stalls in the window that the Blender on PATH opens on a virtual screen (Xvfb):
without either, in the bpy module, where nothing can stall. Prints what was wanted and whether it was reached; the exit
status is 1 when a figure was missed.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from renderers import Figure, table

from recon_core.io.atomic import write_json

HERE = Path(__file__).resolve().parent
SIDE = 1024
TIMEOUT_S = 900


def make_image(path: Path) -> Path:
    """An object in the middle of a transparent picture, SIDE x SIDE."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    rgba = np.zeros((SIDE, SIDE, 4), np.uint8)
    rgba[..., 0], rgba[..., 1], rgba[..., 2] = 255 * (x + 0.5), 255 * (y + 0.5), 90
    rgba[..., 3] = 255 * ((np.abs(x) < 0.3) & (np.abs(y + 0.1 * x) < 0.35) & (np.hypot(x, y - 0.3) > 0.15))
    Image.fromarray(rgba).save(path)
    return path


def without_window(model: Path, image: Path, folder: Path) -> dict[str, Any]:
    """What addon_inside.py measures in the bpy module of this Python."""
    command = [sys.executable, str(HERE / "addon_inside.py"), str(model), str(image), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise SystemExit(f"addon_inside.py failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def virtual_screen() -> Iterator[str]:
    """Name of a screen that nobody sees."""
    command = ["Xvfb", "-displayfd", "1", "-screen", "0", "1400x1000x24", "+extension", "GLX"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        try:
            yield f":{int(server.stdout.readline())}"
        finally:
            server.terminate()


def in_window(model: Path, image: Path, folder: Path) -> dict[str, Any]:
    """What addon_window.py measures in the Blender on PATH."""
    packages = Path(importlib.util.find_spec("onnxruntime").origin).parents[1]  # type: ignore[union-attr, arg-type]
    report = folder / "window.json"
    command = ["blender", "--factory-startup", "--window-geometry", "0", "0", "1400", "1000", "--python"]
    command += [str(HERE / "addon_window.py"), "--", str(packages), str(model), str(image), str(report)]
    with virtual_screen() as screen:
        environment = {**os.environ, "DISPLAY": screen, "LIBGL_ALWAYS_SOFTWARE": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False
        )
    if not report.is_file():
        raise SystemExit(f"Blender's window failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    found = json.loads(report.read_text(encoding="utf-8"))
    if found["error"]:
        raise SystemExit(found["error"])
    return found


def figures(inside: dict[str, Any], window: dict[str, Any] | None) -> Iterator[Figure]:
    """What was wanted, and what was measured."""
    if window:
        steps = {name: step for name, step in window["steps"].items() if name != "idle"}
        again = [step for name, step in steps.items() if name != "first"]
        clicks = steps["first"]["click_to_points"], max(step["click_to_points"] for step in again)
    else:
        clicks = inside["reconstruct"]["first"], inside["reconstruct"]["again"]
    yield Figure("click to points, first time: ms", clicks[0], 1500, False)
    yield Figure("click to points, after that: ms", clicks[1], 500, False)
    if window:
        yield Figure("longest stall, first time: ms", steps["first"]["stall"], 50, False)
        yield Figure("longest stall, after that: ms", max(step["stall"] for step in again), 50, False)
    yield Figure("100,000 points shown: ms", inside["display"]["shown"], 300, False)
    yield Figure("100,000 points recoloured: ms", inside["display"]["recolored"], 300, False)
    yield Figure("1 million points imported: ms", inside["import_1m"], 3000, False)
    for name in ("upright", "free"):
        label = f"ICP to {inside['icp']['vertices']:,} vertices, {name}: ms"
        yield Figure(label, inside["icp"][name], 1000, False)
    yield Figure("ICP, share of 10 starts that converge", inside["icp_converged"], 0.9, True)


def breakdown(window: dict[str, Any]) -> str:
    """The longest of each kind of work on the main thread, per step."""
    kinds = sorted({kind for step in window["steps"].values() for kind in step})
    lines = [f"| step | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for name, step in window["steps"].items():
        lines.append(f"| {name} | {' | '.join(f'{step[k]:.1f}' if k in step else '' for k in kinds)} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="exported model, with its card beside it")
    parser.add_argument("--image", type=Path, help="picture of an object; one is made without it")
    parser.add_argument("--json", type=Path, help="write the measurements here as well")
    parser.add_argument("--no-window", action="store_true")
    options = parser.parse_args()
    has_window = not options.no_window and all(shutil.which(name) for name in ("blender", "Xvfb"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = options.image or make_image(folder / "object.png")
        inside = without_window(options.model.resolve(), image.resolve(), folder)
        window = in_window(options.model.resolve(), image.resolve(), folder) if has_window else None
    found = list(figures(inside, window))
    size = options.model.stat().st_size / 1e6
    print(f"{inside['reconstruct']['points']:,} points, model of {size:.0f} MB; bpy {inside['version']}\n")
    print(f"{table(found)}\n\n5 million points imported in {inside['import_5m'] / 1000:.1f} s")
    if window:
        print(f"\nBlender {window['version']}, longest in ms:\n\n{breakdown(window)}")
    if options.json:
        write_json(options.json, {"inside": inside, "window": window})
    return 0 if all(one.reached for one in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
