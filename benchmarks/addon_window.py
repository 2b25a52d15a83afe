# SPDX-License-Identifier: Apache-2.0
"""Inside a Blender with a window, started by addon_bench.py: how long the interface stands still, and click to points.

blender --factory-startup --python addon_window.py -- SITE_PACKAGES MODEL IMAGE OUTPUT.json

A timer is asked for every 5 ms; what a gap between two of its calls is longer than that is a stall. Beside it stands
how long the processor worked for the main thread between two calls, and at what.
"""

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bpy

ROOT = Path(__file__).resolve().parents[1]
SITE_PACKAGES, MODEL, IMAGE, OUTPUT = sys.argv[sys.argv.index("--") + 1 :][:4]
sys.path.append(SITE_PACKAGES)
sys.path.insert(0, str(ROOT))
INTERVAL_S, REPEATS = 0.005, 5
report: dict[str, Any] = {"error": "", "steps": {}}
_state: dict[str, Any] = {"last": time.perf_counter(), "cpu": time.thread_time(), "step": "", "since": {}}


def note(kind: str, seconds: float) -> None:
    """Keep the longest of a kind in the step under way, in ms."""
    if _state["step"]:
        kinds = report["steps"].setdefault(_state["step"], {})
        kinds[kind] = max(kinds.get(kind, 0.0), seconds * 1000)


def heartbeat() -> float:
    """What is longer than the interval between two calls is a stall."""
    now = time.perf_counter()
    note("stall", now - _state["last"] - INTERVAL_S)
    note("stall_cpu", time.thread_time() - _state["cpu"])
    _state["last"], _state["cpu"] = now, time.thread_time()
    return INTERVAL_S


def timed(module: Any, name: str) -> None:
    """Have a function of the add-on note how long it takes."""
    function: Callable[..., Any] = getattr(module, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        start = time.thread_time()
        try:
            return function(*arguments, **named)
        finally:
            note(f"{module.__name__.rpartition('.')[2]}.{name}", time.thread_time() - start)

    setattr(module, name, wrapped)


def watch_blender() -> None:
    """Note how long the dependency graph and the viewport take."""

    def begin(kind: str) -> Callable[..., None]:
        return lambda *_: _state["since"].__setitem__(kind, time.thread_time())

    def end(kind: str) -> Callable[..., None]:
        return lambda *_: note(kind, time.thread_time() - _state["since"].get(kind, time.thread_time()))

    bpy.app.handlers.depsgraph_update_pre.append(begin("depsgraph"))
    bpy.app.handlers.depsgraph_update_post.append(end("depsgraph"))
    view: Any = bpy.types.SpaceView3D
    view.draw_handler_add(begin("viewport"), (), "WINDOW", "PRE_VIEW")
    view.draw_handler_add(end("viewport"), (), "WINDOW", "POST_PIXEL")


def area() -> Any:
    """The 3D viewport."""
    screen = bpy.context.window_manager.windows[0].screen
    return next(one for one in screen.areas if one.type == "VIEW_3D")


def show_our_tab() -> None:
    """Open the sidebar with our sections in it: the other tabs go, for 3.4 cannot choose one from Python."""
    for one in bpy.types.Panel.__subclasses__():
        place = (getattr(one, "bl_space_type", ""), getattr(one, "bl_region_type", ""))
        others = place == ("VIEW_3D", "UI") and not one.__module__.startswith("blender_addon")
        if others and hasattr(bpy.types, one.__name__):
            bpy.utils.unregister_class(one)
    area().spaces.active.show_region_ui = True


def clicked() -> None:
    """What the button does."""
    window = bpy.context.window_manager.windows[0]
    region = next(one for one in area().regions if one.type == "WINDOW")
    with bpy.context.temp_override(window=window, screen=window.screen, area=area(), region=region):
        bpy.ops.recon.reconstruct()


def reconstruct(step: str) -> Iterator[float]:
    """One click, until the points are there and the interface has come to rest."""
    from blender_addon import session

    _state["step"], start, cpu = step, time.perf_counter(), time.process_time()
    clicked()
    while session.jobs.active:
        yield 0.0
    note("click_to_points", time.perf_counter() - start)
    note("click_to_points_cpu", time.process_time() - cpu)
    if session.message:
        raise RuntimeError(session.message)
    yield 1.5
    _state["step"] = ""


def steps() -> Iterator[float]:
    """Everything that is measured."""
    import blender_addon

    blender_addon.register()
    from blender_addon import operators_reconstruct, placing, session

    for module, name in (
        (operators_reconstruct, "start_reconstruction"),
        (session, "poll"),
        (placing, "add_cloud"),
        (placing, "finish"),
    ):
        timed(module, name)
    watch_blender()
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    show_our_tab()
    settings = bpy.context.scene.recon
    settings.image = bpy.data.images.load(IMAGE)
    settings.model_source, settings.model_path = "FILE", MODEL
    yield 3.0
    _state["step"] = "idle"
    for _ in range(20):
        area().tag_redraw()
        yield 0.05
    _state["step"] = ""
    yield from reconstruct("first")
    for number in range(REPEATS):
        yield from reconstruct(f"again {number + 1}")
    report["points"] = len(bpy.context.view_layer.objects.active.data.vertices)
    blender_addon.unregister()


_steps = steps()


def advance() -> float | None:
    """One step after the other; at the end the report, and out."""
    try:
        return next(_steps)
    except StopIteration:
        pass
    except Exception:
        report["error"] = traceback.format_exc()
    report["version"] = bpy.app.version_string
    Path(OUTPUT).write_text(json.dumps(report), encoding="utf-8")
    bpy.ops.wm.quit_blender()
    return None


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(heartbeat, persistent=True)
bpy.app.timers.register(advance, first_interval=2.0, persistent=True)
