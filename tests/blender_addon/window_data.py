# SPDX-License-Identifier: Apache-2.0
"""Drive the section Data in a real Blender window and photograph it: objects to a training set, a run and a model.

blender --factory-startup --python window_data.py -- SITE_PACKAGES OUTPUT WORKER_PYTHON STEPS

With less than 50 steps the network is tiny. Writes OUTPUT/<step>.png and OUTPUT/report.json.
"""

import contextlib
import sys
import time
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
import window_driver
from window_driver import (
    ARGUMENTS,
    OUT,
    area,
    context,
    keep_only_our_tab,
    only_panels,
    report,
    run,
    sections,
    tick,
    unfold,
)

PYTHON, STEPS = ARGUMENTS[:2]
PATIENCE_S = 400.0
SMALL = ("model.points=200", "model.width=8", "model.features=32", "model.hidden=32", "optim.objects=2")


def photograph(name: str) -> None:
    window_driver.photograph(name)
    tick["last"] = time.perf_counter()  # what a picture takes is no stall


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

    unfold("Training Set", "Training")
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
    tick["step"] = "render"
    operate("data_render")
    yield from until(lambda: told("objects_done", 1))
    photograph("3_rendering")
    yield from until(ended)
    tick["step"] = ""
    only_panels("Status", "Data", "Training Set")
    yield 2.0
    photograph("4_checked")
    if int(STEPS) < 50:
        data_jobs.RECIPES["FULL"] = ("splat_full", (*SMALL, "optim.views=2", "data.mask_size=32"))
    only_panels("Status", "Data", "Training")
    tick["step"] = "train"
    operate("data_train")
    yield from until(lambda: told("step", 0.6 * int(STEPS)))
    photograph("5_training")
    yield from until(ended)
    tick["step"] = ""
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


run(tour())
