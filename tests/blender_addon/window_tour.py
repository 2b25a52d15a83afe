# SPDX-License-Identifier: Apache-2.0
"""Drive the add-on in a real Blender window, step by step, and photograph the X root window after each.

blender --factory-startup --enable-event-simulate --python window_tour.py -- SITE_PACKAGES MODEL IMAGE CLOUD OUTPUT

Writes OUTPUT/<step>.png and, at the end, OUTPUT/report.json with the longest stall of the interface.
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
SITE_PACKAGES, MODEL, IMAGE, CLOUD, OUTPUT = sys.argv[sys.argv.index("--") + 1 :][:5]
sys.path.append(SITE_PACKAGES)
sys.path.insert(0, str(ROOT))
OUT = Path(OUTPUT)
report = {"steps": [], "stalls_ms": {}, "error": ""}
_drawn: list[bool] = []
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


def click(x: int, y: int):
    for kind, value in (("MOUSEMOVE", "NOTHING"), ("LEFTMOUSE", "PRESS"), ("LEFTMOUSE", "RELEASE")):
        window().event_simulate(type=kind, value=value, x=x, y=y)
        yield 0.4


def open_sidebar():
    space = area().spaces.active
    space.show_region_ui = True
    space.shading.type = "MATERIAL"
    space.overlay.show_relationship_lines = False
    yield 1.0
    side = region("UI")
    if hasattr(side, "active_panel_category"):
        side.active_panel_category = "Recon"
    else:
        # The tabs of 3.4 cannot be chosen from Python. Without an object, Recon is the third, after Tool and View.
        for _ in range(2):  # the first click may only close the splash screen
            yield from click(side.x + side.width - 12, window().height - 199)
    yield 1.0
    if not _drawn:
        keep_only_our_tab()
        yield 1.0


def keep_only_our_tab() -> None:
    """Without event simulation the other tabs go, so that ours is the one shown."""
    for one in bpy.types.Panel.__subclasses__():
        ours = getattr(one, "bl_category", "") == "Recon"
        sidebar = (getattr(one, "bl_space_type", ""), getattr(one, "bl_region_type", "")) == ("VIEW_3D", "UI")
        if sidebar and not ours and hasattr(bpy.types, one.__name__):
            bpy.utils.unregister_class(one)


def watch_drawing() -> None:
    """Note when the first section is drawn: then the tab is open."""
    from blender_addon.panel import RECON_PT_image

    draw = RECON_PT_image.draw

    def watched(self, context):
        _drawn.append(True)
        draw(self, context)

    RECON_PT_image.draw = watched


def widen_sidebar():
    """Drag the sidebar's left edge: it opens too narrow for long names."""
    side = region("UI")
    x, y = side.x, side.y + side.height // 3
    window().event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
    yield 0.3
    window().event_simulate(type="LEFTMOUSE", value="PRESS", x=x, y=y)
    for step in range(1, 11):
        window().event_simulate(type="MOUSEMOVE", value="NOTHING", x=x - 10 * step, y=y)
        yield 0.05
    window().event_simulate(type="LEFTMOUSE", value="RELEASE", x=x - 100, y=y)
    yield 0.5


def wait_for_jobs():
    from blender_addon import session

    for _ in range(600):
        if not session.jobs.active:
            break
        yield 0.1
    yield 0.3


def sections() -> list:
    from blender_addon import operators_mesh, panel, panel_align

    return [*panel.CLASSES, *panel_align.CLASSES, operators_mesh.RECON_PT_mesh, panel.RECON_PT_files]


def only_panels(*names: str) -> None:
    """Register the chosen sections alone, so that each has room on the screen."""
    for one in sections():
        if hasattr(bpy.types, one.__name__):
            bpy.utils.unregister_class(one)
    for one in sections():
        if one.bl_label in names:
            bpy.utils.register_class(one)


def tour():
    import blender_addon

    watch_drawing()
    for one in sections():
        one.bl_options = set(one.bl_options) - {"DEFAULT_CLOSED"} if hasattr(one, "bl_options") else set()
    blender_addon.register()
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    yield from open_sidebar()
    yield from widen_sidebar()
    photograph("1_empty")
    settings = bpy.context.scene.recon
    settings.image = bpy.data.images.load(IMAGE)
    settings.model_source, settings.model_path = "FILE", MODEL
    with context():
        bpy.ops.recon.show_crop()
    yield 1.5
    photograph("2_image")
    _tick["step"] = "reconstruct"
    with context():
        bpy.ops.ed.undo_push(message="Before")
        bpy.ops.recon.reconstruct()
    yield from wait_for_jobs()
    _tick["step"] = ""
    with context():
        bpy.ops.view3d.view_selected()
    yield 2.0
    photograph("3_reconstructed")
    with context():
        bpy.ops.ed.undo()
    yield 0.5
    report["after_undo"] = [one.name for one in bpy.data.objects]
    with context():
        bpy.ops.ed.redo()
    yield 0.5
    report["after_redo"] = [one.name for one in bpy.data.objects]
    only_panels("Status", "Align")
    points = bpy.context.view_layer.objects.active
    settings = bpy.context.scene.recon
    _tick["step"] = "align_photo"
    with context():
        bpy.ops.recon.align_photo()
    yield 0.3
    photograph("4_progress")
    yield from wait_for_jobs()
    _tick["step"] = ""
    yield 2.0
    photograph("4_align")
    only_panels("Result")
    with context():
        bpy.ops.recon.import_ply(filepath=CLOUD)
        reference = bpy.context.view_layer.objects.active
        points.hide_set(True)
        area().spaces.active.region_3d.view_perspective = "PERSP"
        bpy.ops.view3d.view_selected()
    reference.recon.color_by = "PART"
    yield 2.0
    photograph("5_parts")
    only_panels("Align", "Compare", "Mesh")
    points.hide_set(False)
    reference.location.x = 0.9
    with context():
        from blender_addon import placing

        placing.select_only(points)
        settings.target = reference
        bpy.ops.recon.align_object()
    yield from wait_for_jobs()
    with context():
        bpy.ops.recon.compare()
    yield from wait_for_jobs()
    reference.hide_set(True)
    with context():
        bpy.ops.view3d.view_selected()
    yield 2.0
    photograph("6_compare")
    settings.image = None
    only_panels("Status", "Reconstruct")
    with context(), contextlib.suppress(RuntimeError):
        bpy.ops.recon.reconstruct()
    yield 1.0
    photograph("7_error")
    only_panels(*(one.bl_label for one in sections()))
    blender_addon.unregister()


_steps = tour()


def advance():
    try:
        return next(_steps)
    except StopIteration:
        pass
    except Exception:
        report["error"] = traceback.format_exc()
    report["tab_opened"] = bool(_drawn)
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
