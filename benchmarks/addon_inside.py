# SPDX-License-Identifier: Apache-2.0
"""Inside Blender without a window, started by addon_bench.py: times of reconstruction, display, import and ICP.

python addon_inside.py MODEL IMAGE FOLDER > REPORT; the last line of the output is JSON. Times are pairs in ms: of the
processor, over all threads, and on the wall.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT / "tests" / "blender_addon"))
REPEATS = 5


Pair = list[float]


def timed(action: Callable[[], Any]) -> Pair:
    """Processor and wall time (ms) of a call, what it changed being evaluated too."""
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    bpy.context.evaluated_depsgraph_get().update()
    return [(time.process_time() - cpu) * 1000, (time.perf_counter() - wall) * 1000]


def slowest(times: list[Pair]) -> Pair:
    """The longest of each kind."""
    return [max(kind) for kind in zip(*times)]


def random_cloud(count: int) -> Any:
    """Coloured and labelled points (count,3)."""
    from blender_addon.cloud import Cloud

    random = np.random.default_rng(0)
    return Cloud(
        random.random((count, 3), dtype=np.float32),
        random.integers(0, 256, (count, 3), dtype=np.uint8),
        random.integers(1, 5, count).astype(np.uint8),
        parts=["back", "seat", "leg", "arm"],
    )


def fresh() -> None:
    """An empty file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)


def measure_reconstruction(model: str, image: str) -> dict[str, Any]:
    """The operator, in a fresh process and again."""
    settings = bpy.context.scene.recon
    settings.image = bpy.data.images.load(image)
    settings.model_source, settings.model_path = "FILE", model
    first = timed(bpy.ops.recon.reconstruct)
    again = [timed(bpy.ops.recon.reconstruct) for _ in range(REPEATS)]
    points = bpy.context.active_object
    return {"first": first, "again": slowest(again), "points": len(points.data.vertices)}


def measure_display(count: int = 100_000) -> dict[str, Pair]:
    """Points shown, and shown in other colours."""
    from blender_addon import placing

    fresh()
    cloud = random_cloud(count)
    shown = [timed(lambda: placing.add_cloud("cloud", cloud, {})) for _ in range(REPEATS)]
    points = bpy.context.active_object
    modes = ("PART", "HEIGHT", "CONFIDENCE", "RGB")
    recolored = [timed(lambda mode=mode: setattr(points.recon, "color_by", mode)) for mode in modes]
    return {"shown": slowest(shown), "recolored": slowest(recolored)}


def measure_import(folder: Path, count: int) -> Pair:
    """A PLY file to an object in the scene."""
    from blender_addon.ply import write_ply

    fresh()
    path = folder / f"{count}.ply"
    write_ply(path, random_cloud(count))
    took = timed(lambda: bpy.ops.recon.import_ply(filepath=str(path)))
    path.unlink()
    assert len(bpy.context.active_object.data.vertices) == count
    return took


def measure_icp() -> dict[str, Any]:
    """Align 8,000 points to a mesh of 50,000 vertices, with each way of starting; the slower of two."""
    import icp_case

    from blender_addon import icp, placing
    from blender_addon.cloud import Cloud

    fresh()
    target = icp_case.dense_mesh_object(50_000)
    xyz = icp_case.chair_points(8000, seed=1)
    found: dict[str, Any] = {"vertices": len(target.data.vertices)}
    settings = bpy.context.scene.recon
    for upright, name in ((True, "upright"), (False, "free")):
        took = []
        for start in icp_case.starts(upright=upright)[:2]:
            points = placing.add_cloud("cloud", Cloud(icp.moved(start, xyz).astype(np.float32)), {})
            settings.target, settings.use_upright = target, upright
            took.append(timed(bpy.ops.recon.align_object))
            bpy.data.objects.remove(points)
        found[name] = slowest(took)
    return found


def measure_convergence() -> float:
    """Share of the fixed starts, 45 degrees and 30 % off, from which the chair is found."""
    import icp_case

    return float(np.mean([icp_case.converges(start) for start in icp_case.starts(upright=False)]))


def main() -> None:
    """Measure everything; the report is the last line."""
    model, image, folder = sys.argv[1:4]
    import blender_addon

    fresh()
    blender_addon.register()
    report: dict[str, Any] = {"version": bpy.app.version_string}
    report["reconstruct"] = measure_reconstruction(model, image)
    report["display"] = measure_display()
    report["import_1m"] = measure_import(Path(folder), 1_000_000)
    report["import_5m"] = measure_import(Path(folder), 5_000_000)
    report["icp"] = measure_icp()
    report["icp_converged"] = measure_convergence()
    blender_addon.unregister()
    print(json.dumps(report), flush=True)
    os._exit(0)  # the wheel of 4.5 may hang at the interpreter's end


if __name__ == "__main__":
    main()
