# SPDX-License-Identifier: Apache-2.0
"""In a Blender window: undo, redo and undoing everything while jobs run, and after them.

blender --factory-startup --python window_undo.py -- SITE_PACKAGES MODEL IMAGE REPORT.json

Work stands still at a gate until the undo has happened, so that it meets every job in the middle.
"""

import json
import sys
import threading
import time
import traceback
from pathlib import Path

import bpy

ROOT = Path(__file__).resolve().parents[2]
SITE_PACKAGES, MODEL, IMAGE, REPORT = sys.argv[sys.argv.index("--") + 1 :][:4]
sys.path.append(SITE_PACKAGES)
sys.path.insert(0, str(ROOT))
report = {"error": ""}
gate = threading.Event()


def hold(module, name: str) -> None:
    """Have a function wait for the gate, on the thread that calls it."""
    function = getattr(module, name)

    def held(*arguments, **named):
        assert gate.wait(60)
        return function(*arguments, **named)

    setattr(module, name, held)


def context():
    window = bpy.context.window_manager.windows[0]
    area = next(one for one in window.screen.areas if one.type == "VIEW_3D")
    region = next(one for one in area.regions if one.type == "WINDOW")
    return bpy.context.temp_override(window=window, screen=window.screen, area=area, region=region)


def call(name: str) -> None:
    group, _, operator = name.partition(".")
    with context():
        getattr(getattr(bpy.ops, group), operator)()


def ended():
    """Wait until no job is left; the work of those that run goes on."""
    from blender_addon import session

    gate.set()
    for _ in range(2400):
        if not session.jobs.active:
            break
        yield 0.05
    assert not session.jobs.active
    yield 0.1


def names() -> list[str]:
    return sorted(one.name for one in bpy.data.objects)


def steps():
    import blender_addon

    blender_addon.register()
    from blender_addon import icp, pipeline, session

    hold(pipeline, "find_mask")
    hold(icp, "_subset")
    for one in list(bpy.data.objects):
        bpy.data.objects.remove(one)
    settings = bpy.context.scene.recon
    settings.image = bpy.data.images.load(IMAGE)
    settings.model_source, settings.model_path = "FILE", MODEL
    with context():
        bpy.ops.ed.undo_push(message="Start")
        bpy.ops.mesh.primitive_cube_add()
        bpy.ops.ed.undo_push(message="Cube")

    call("recon.reconstruct")
    yield 0.2
    call("ed.undo")  # the cube goes, the job stays
    report["undo while reconstructing"] = [names(), len(session.jobs.active)]
    yield from ended()
    report["reconstructed"] = [names(), session.jobs.last.state, session.message]
    call("ed.undo")
    report["undone after that"] = names()
    call("ed.redo")
    report["redone"] = names()

    # The object that a job is about goes away and comes back under it.
    with context():
        bpy.ops.mesh.primitive_monkey_add(location=(2, 0, 0))
        bpy.context.scene.recon.target = bpy.context.view_layer.objects.active
        points = next(one for one in bpy.data.objects if one.recon.is_points)
        bpy.context.view_layer.objects.active = points
        bpy.ops.ed.undo_push(message="Monkey")
    gate.clear()
    call("recon.align_object")
    yield 0.2
    call("ed.undo")
    call("ed.undo")
    report["undo while aligning"] = names()
    yield from ended()
    report["alignment of what is gone"] = [session.jobs.last.state, session.message]
    call("ed.redo")
    call("ed.redo")
    report["redone at the end"] = names()
    gate.clear()
    call("recon.align_object")
    yield 0.2
    call("ed.undo")
    call("ed.redo")
    place = bpy.data.objects["photo points"].matrix_world.copy()
    yield from ended()
    moved = bpy.data.objects["photo points"].matrix_world != place
    report["alignment after undo and redo"] = [session.jobs.last.state, moved]
    call("ed.undo")
    report["alignment undone"] = bpy.data.objects["photo points"].matrix_world == place
    blender_addon.unregister()


_steps = steps()


def advance():
    try:
        return next(_steps)
    except StopIteration:
        pass
    except Exception:
        report["error"] = traceback.format_exc()
    gate.set()
    Path(REPORT).write_text(json.dumps(report))
    time.sleep(0.1)
    bpy.ops.wm.quit_blender()
    return None


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(advance, first_interval=1.0, persistent=True)
