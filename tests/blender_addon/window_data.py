# SPDX-License-Identifier: Apache-2.0
"""Drive the section Data in a real Blender window and photograph it: objects to a training set, a run and a model.

blender --factory-startup --python window_data.py -- SITE_PACKAGES OUTPUT WORKER_PYTHON STEPS

With less than 50 steps the network is tiny. Writes OUTPUT/<step>.png and OUTPUT/report.json.
"""

import contextlib
import json
import subprocess
import sys
import time
import traceback
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[2]
SITE_PACKAGES, OUTPUT, PYTHON, STEPS = sys.argv[sys.argv.index("--") + 1 :][:4]
sys.path.append(SITE_PACKAGES)
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "blender_addon")]
OUT = Path(OUTPUT)
PATIENCE_S = 400.0
SMALL = ("model.points=200", "model.width=8", "model.features=32", "model.hidden=32", "optim.objects=2")
report: dict = {"error": "", "stalls_ms": {}}
_tick = {"last": time.perf_counter(), "step": ""}


def window():
    return bpy.context.window_manager.windows[0]


def area():
    return next(one for one in window().screen.areas if one.type == "VIEW_3D")


def region(kind: str):
    return next(one for one in area().regions if one.type == kind)


def context():
    return bpy.context.temp_override(
        window=window(), screen=window().screen, area=area(), region=region("WINDOW")
    )


def photograph(name: str) -> None:
    with context():
        bpy.ops.wm.redraw_timer(type="DRAW_WIN_SWAP", iterations=1)
    subprocess.run(["import", "-window", "root", str(OUT / f"{name}.png")], check=False, timeout=60)
    _tick["last"] = time.perf_counter()  # what a picture takes is no stall


def until(condition):
    """Wait for something to come true; more than enough time means that it does not."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came"
        yield 0.1
    yield 1.0


def ended():
    from blender_addon import session

    return not session.jobs.active


def told(name: str, least: float):
    """Whether the job under way has told of something."""
    from blender_addon import session

    return ended() or any(job.info.get(name, -1) >= least for job in session.jobs.active)


def sections() -> list:
    from blender_addon import panel, panel_data

    return [*panel.CLASSES, *panel_data.CLASSES]


def only_panels(*names: str) -> None:
    """Register the chosen sections alone, so that each has room on the screen."""
    for one in reversed(sections()):
        if hasattr(bpy.types, one.__name__):
            bpy.utils.unregister_class(one)
    for one in sections():
        if one.bl_label in names:
            bpy.utils.register_class(one)


def keep_only_our_tab() -> None:
    """The other tabs go, so that ours is the one shown."""
    for one in bpy.types.Panel.__subclasses__():
        sidebar = (getattr(one, "bl_space_type", ""), getattr(one, "bl_region_type", "")) == ("VIEW_3D", "UI")
        if sidebar and getattr(one, "bl_category", "") != "Recon" and hasattr(bpy.types, one.__name__):
            with contextlib.suppress(RuntimeError):
                bpy.utils.unregister_class(one)


def operate(name: str, **arguments):
    with context():
        return getattr(bpy.ops.recon, name)(**arguments)


def open_scene():
    """Twelve stools, seen from the front, and the sidebar."""
    from data_scene import fill_scene

    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    fill_scene(12)
    space = area().spaces.active
    space.show_region_ui = True
    space.shading.type, space.shading.color_type = "SOLID", "MATERIAL"  # quick where a processor draws
    with context():
        bpy.ops.view3d.view_selected()
    keep_only_our_tab()
    yield 2.0


def tour():
    import blender_addon
    from blender_addon import data_jobs, panel_data, worker_jobs

    for one in sections():
        one.bl_options = set(getattr(one, "bl_options", set())) - {"DEFAULT_CLOSED"}
    blender_addon.register()
    yield from open_scene()
    only_panels("Status", "Data", "Training Set", "Training")
    data = bpy.context.scene.recon_data
    bpy.ops.wm.save_as_mainfile(filepath=str(OUT / "scene.blend"))
    data.category, data.folder = "stool", "//stools"
    data.views, data.size, data.samples, data.steps = (8 if int(STEPS) >= 50 else 3), 64, 4, int(STEPS)
    yield 1.0
    with contextlib.suppress(RuntimeError):
        operate("data_train")
    yield 1.0
    photograph("1_no_worker")
    operate("dismiss")
    worker_jobs.command = lambda: [PYTHON, "-I", "-m", "recon_core.cli", "worker"]
    yield 1.0
    photograph("2_ready")
    _tick["step"] = "render"
    operate("data_render")
    yield from until(lambda: told("objects_done", 1))
    photograph("3_rendering")
    yield from until(ended)
    _tick["step"] = ""
    only_panels("Status", "Data", "Training Set")
    yield 2.0
    photograph("4_checked")
    if int(STEPS) < 50:
        data_jobs.RECIPES["FULL"] = ("splat_full", (*SMALL, "optim.views=2", "data.mask_size=32"))
    only_panels("Status", "Data", "Training")
    _tick["step"] = "train"
    operate("data_train")
    yield from until(lambda: told("step", 0.6 * int(STEPS)))
    photograph("5_training")
    yield from until(ended)
    _tick["step"] = ""
    yield 1.0
    photograph("6_trained")
    yield from use_it()
    assert panel_data.CLASSES
    only_panels(*(one.bl_label for one in sections()))
    blender_addon.unregister()


def use_it():
    """Reconstruct one of the renders with the new model."""
    only_panels("Status", "Image", "Reconstruct")
    picture = sorted((OUT / "stools" / "dataset").glob("*/*/images/000.png"))[0]
    bpy.context.scene.recon.image = bpy.data.images.load(str(picture))
    report["model"] = bpy.context.scene.recon.model_path
    for one in bpy.context.scene.objects:
        one.hide_set(True)
    area().spaces.active.shading.type = "MATERIAL"  # the colors of points
    operate("reconstruct")
    yield from until(ended)
    from blender_addon import session

    report["message"] = session.message
    report["points"] = len(bpy.context.view_layer.objects.active.data.vertices)
    with context():
        bpy.ops.view3d.view_selected()
    yield 2.0
    photograph("7_used")


_steps = tour()


def advance():
    try:
        return next(_steps)
    except StopIteration:
        pass
    except Exception:
        report["error"] = traceback.format_exc()
        with contextlib.suppress(Exception):
            photograph("error")
    (OUT / "report.json").write_text(json.dumps(report))
    bpy.ops.wm.quit_blender()
    return None


def heartbeat():
    """The gap between two calls is how long the interface stood still."""
    now = time.perf_counter()
    if _tick["step"]:
        gap = (now - _tick["last"] - 0.01) * 1000
        report["stalls_ms"][_tick["step"]] = max(gap, report["stalls_ms"].get(_tick["step"], 0))
    _tick["last"] = now
    return 0.01


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(heartbeat, persistent=True)
bpy.app.timers.register(advance, first_interval=2.0, persistent=True)
