# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering speed: ratios within one process, and whole objects with one and two processes.

    python benchmarks/render_bench.py [--repeats 5] [--samples 16]

Prints, for a labelled object of 15,360 quads at 128 px on the CPU:
  bare       RGB alone, no file written (what Blender needs anyway)
  full       all passes, multilayer EXR written and read back, all PNGs of the dataset written
  mask-only  --passes mask --samples 1, files as above
and the ratios full / bare (to stay below 1.3) and full / mask-only (to exceed 5). Blocks of views alternate and
medians are taken, so that other load on the machine hits all alike.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import bpy  # noqa: E402
import numpy as np  # noqa: E402

from render_scripts import options as cli  # noqa: E402
from render_scripts import render_object as ro  # noqa: E402
from render_scripts.lighting import apply_light, choose_light, remove_lights  # noqa: E402
from render_scripts.parts import palette  # noqa: E402
from render_scripts.passes import _set_passes, place_camera  # noqa: E402
from render_scripts.progress import capture_stdout  # noqa: E402
from render_scripts.render_views import make_job, scratch_folder  # noqa: E402
from render_scripts.sources import find_sources  # noqa: E402
from render_scripts.viewset import object_rng, object_views  # noqa: E402

PARTS = {"seat": (0, 0, 0), "back": (0, 0.8, 0.9), "leg": (-0.6, 0, -0.9), "arm": (0.9, 0, 0.3)}
RINGS, SEGMENTS = 48, 80  # 3,840 quads a part, 15,360 in all
VIEWS = 24


def write_object(path: Path) -> None:
    """OBJ of four bumpy ellipsoids, one material each."""
    lines, offset = [], 1
    phi = np.linspace(0, np.pi, RINGS + 1)[:, None]
    theta = np.linspace(0, 2 * np.pi, SEGMENTS, endpoint=False)[None]
    radius = 0.5 + 0.05 * np.sin(9 * theta) * np.sin(5 * phi)
    ball = np.stack((radius * np.sin(phi) * np.cos(theta), radius * np.sin(phi) * np.sin(theta),
                     radius * np.cos(phi) + 0 * theta), -1).reshape(-1, 3)  # fmt: skip
    for name, centre in PARTS.items():
        lines += [f"o {name}", f"usemtl {name}"]
        lines += ["v {:.5f} {:.5f} {:.5f}".format(*row) for row in ball + np.array(centre)]
        for ring in range(RINGS):
            for segment in range(SEGMENTS):
                after = (segment + 1) % SEGMENTS
                at = offset + ring * SEGMENTS
                lines.append(
                    f"f {at + segment} {at + after} {at + after + SEGMENTS} {at + segment + SEGMENTS}"
                )
        offset += len(ball)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def in_process(meshes: Path, output: Path, samples: int, repeats: int) -> dict[str, float]:
    """Median milliseconds per view of the three ways to render, in this process."""
    options = cli.parse([str(meshes), "--output", str(output), "--samples", str(samples)])
    with scratch_folder() as scratch:
        return measure(make_job(options, scratch), meshes, output, samples, repeats)


def measure(job: ro.Job, meshes: Path, output: Path, samples: int, repeats: int) -> dict[str, float]:
    """Alternate the three ways over the same views."""
    source = find_sources([meshes], None)[0]
    model, _ = ro.load_model(job, source, "")
    views = object_views(job.views, 0, source.key)
    light = choose_light("random", object_rng(0, source.key, "light"))
    full = job
    mask = job._replace(settings=job.settings._replace(passes=("mask",), samples=1))
    folder = output / "pngs"
    folder.mkdir(parents=True)
    times: dict[str, list[float]] = {"bare": [], "full": [], "mask-only": []}
    for _ in range(repeats):
        use(job, ("rgb",), samples, light)
        times["bare"] += timed(views, lambda view, index: bare_view(job, view, model.radius))
        use(job, full.settings.passes, samples, light)
        times["full"] += timed(views, lambda view, index: full_view(full, model, view, light, index, folder))
        use(job, ("mask",), 1, None)
        times["mask-only"] += timed(
            views, lambda view, index: full_view(mask, model, view, light, index, folder)
        )
    return {name: 1000 * float(np.median(values)) for name, values in times.items()}


def use(job: ro.Job, passes: tuple[str, ...], samples: int, light: dict | None) -> None:
    """Switch the scene to some passes, samples and light."""
    job.scene.cycles.samples = samples
    _set_passes(job.scene.view_layers[0], job.settings._replace(passes=passes))
    if light is None:
        remove_lights(job.scene)
    else:
        apply_light(job.scene, light)


def timed(views: list, render) -> list[float]:
    """Seconds of each view; one more, the first, builds the scene and is not counted."""
    render(views[0], 0)
    seconds = []
    for index, view in enumerate(views):
        start = time.perf_counter()
        render(view, index)
        seconds.append(time.perf_counter() - start)
    return seconds


def bare_view(job: ro.Job, view, radius: float) -> None:
    """RGB alone, no file."""
    place_camera(job.scene, view, radius)
    bpy.ops.render.render(write_still=False)


def full_view(job: ro.Job, model: ro.Model, view, light: dict, index: int, folder: Path) -> None:
    """Everything render_views does for a view."""
    images = ro.render_view(job, model, view, light, index)
    ro.write_images(
        folder, index, images, ro.depth_scale([view], model.radius), palette(len(model.part_names))
    )


def processes(meshes: Path, output: Path, count: int, samples: int) -> float:
    """Wall seconds per object of 24 views with `count` processes, start of the processes included."""
    script = ROOT / "render_scripts" / "render_views.py"
    start = time.perf_counter()
    children = [
        subprocess.Popen(
            [
                sys.executable,
                str(script),
                str(meshes),
                "--output",
                str(output),
                "--quiet",
                "--samples",
                str(samples),
                "--shard",
                f"{index}/{count}",
            ]
        )
        for index in range(count)
    ]
    codes = [child.wait() for child in children]
    if any(codes):
        raise SystemExit(f"render_views ended with {codes}")
    return (time.perf_counter() - start) / len(find_sources([meshes], None))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="blocks of 24 views of each kind (default 5)")
    parser.add_argument("--samples", type=int, default=16, help="samples per pixel (default 16)")
    parser.add_argument(
        "--objects", type=int, default=4, help="objects for the runs with 1 and 2 processes, 0 for none"
    )
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    options = parser.parse_args()
    stream = capture_stdout()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in range(max(1, options.objects)):
            write_object(folder / "meshes" / "chair" / f"bench_{index}.obj")
        result = in_process(folder / "meshes", folder / "in_process", options.samples, options.repeats)
        report: dict[str, object] = {f"{kind} ms/view": round(value, 1) for kind, value in result.items()}
        report["full / bare"] = round(result["full"] / result["bare"], 2)
        report["full / mask-only"] = round(result["full"] / result["mask-only"], 2)
        for count in (1, 2) if options.objects else ():
            seconds = processes(folder / "meshes", folder / f"out{count}", count, options.samples)
            report[f"24 views, {count} process{'es' * (count > 1)}, s/object"] = round(seconds, 2)
    report["Blender"], report["cores"] = bpy.app.version_string, os.cpu_count()
    lines = [json.dumps(report)] if options.json else [f"{name:34} {value}" for name, value in report.items()]
    print("\n".join(lines), file=stream, flush=True)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # the bpy module can hang while Python shuts down
