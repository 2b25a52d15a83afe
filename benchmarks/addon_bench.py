# SPDX-License-Identifier: Apache-2.0
"""The add-on's figures: click to points, stalls of the interface, display, import, ICP.

    python benchmarks/addon_bench.py --model MODEL.onnx [--image IMAGE] [--json FILE] [--no-window]

MODEL.onnx and its card are what `recon export` writes; times depend on its size. Display, import and ICP are measured
in this Python's bpy module, click and stalls in the window that the Blender on PATH opens on a virtual screen (Xvfb),
where there are both. Judged is the processor's time, so that other work on the machine does not count: that of all
threads, for stalls that of the interface's thread alone. Wall times stand beside it. The virtual screen draws nothing,
for software would take seconds for what a graphics card does in no time. The exit status is 1 when a figure was missed.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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
        environment = {**os.environ, "DISPLAY": screen, "LIBGL_ALWAYS_SOFTWARE": "1", "GALLIUM_NOOP": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False
        )
    if not report.is_file():
        raise SystemExit(f"Blender's window failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    found = json.loads(report.read_text(encoding="utf-8"))
    if found["error"]:
        raise SystemExit(found["error"])
    return found


@dataclass(frozen=True)
class Figure:
    """One figure to reach: at most `wanted` by the processor's time, or at least where it is a share."""

    name: str
    measured: float
    wanted: float
    wall: float | None = None

    @property
    def reached(self) -> bool:
        """Whether it was."""
        return self.measured >= self.wanted if self.wall is None else self.measured <= self.wanted


def figures(inside: dict[str, Any], window: dict[str, Any] | None) -> Iterator[Figure]:
    """What was wanted, and what was measured."""

    def time_of(name: str, pair: tuple[float, float], wanted: float) -> Figure:
        return Figure(f"{name}: ms", pair[0], wanted, pair[1])

    first, again = inside["reconstruct"]["first"], inside["reconstruct"]["again"]
    if window:
        first, again = _clicks(window, "click_to_points")
    yield time_of("click to points, first time", first, 1500)
    yield time_of("click to points, after that", again, 500)
    if window:
        first, again = _clicks(window, "stall")
        yield time_of("longest stall, first time", first, 50)
        yield time_of("longest stall, after that", again, 50)
    yield time_of("100,000 points shown", inside["display"]["shown"], 300)
    yield time_of("100,000 points recoloured", inside["display"]["recolored"], 300)
    yield time_of("1 million points imported", inside["import_1m"], 3000)
    for name in ("upright", "free"):
        yield time_of(f"ICP to {inside['icp']['vertices']:,} vertices, {name}", inside["icp"][name], 1000)
    yield Figure("ICP: share of 10 starts that converge", inside["icp_converged"], 0.9)


def _clicks(window: dict[str, Any], kind: str) -> tuple[tuple[float, float], tuple[float, float]]:
    """Processor and wall time of the first click, and the longest of the others."""
    pairs = [(step[f"{kind}_cpu"], step[kind]) for name, step in window["steps"].items() if name != "idle"]
    return pairs[0], (max(cpu for cpu, _ in pairs[1:]), max(wall for _, wall in pairs[1:]))


def table(found: list[Figure]) -> str:
    """A Markdown table."""
    lines = ["| figure | processor | wall | wanted | |", "|---|---|---|---|---|"]
    for one in found:
        wall = "" if one.wall is None else f"{one.wall:,.0f}"
        bound = f"{'at least' if one.wall is None else 'at most'} {one.wanted:,g}"
        measured = f"{one.measured:,.0f}" if one.measured > 10 else f"{one.measured:.2g}"
        state = "reached" if one.reached else "missed"
        lines.append(f"| {one.name} | {measured} | {wall} | {bound} | {state} |")
    return "\n".join(lines)


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
    print(f"{table(found)}\n\n5 million points imported: {inside['import_5m'][0] / 1000:.1f} s")
    if window:
        about = "longest in ms, of the interface's thread but for stall and click_to_points"
        print(f"\nBlender {window['version']}, {about}:\n\n{breakdown(window)}")
    if options.json:
        write_json(options.json, {"inside": inside, "window": window})
    return 0 if all(one.reached for one in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
