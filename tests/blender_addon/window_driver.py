# SPDX-License-Identifier: Apache-2.0
"""Drives a real Blender window step by step, and photographs it: what the tours in window_*.py share.

A tour is a generator that yields how many seconds Blender may draw before the next step. Its arguments stand behind
"--": SITE_PACKAGES OUTPUT and what the tour itself needs, which is in ARGUMENTS. The report goes to OUTPUT/report.json.
"""

import contextlib
import faulthandler
import importlib
import json
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Generator
from pathlib import Path
from typing import Any

import bpy

ROOT = Path(__file__).resolve().parents[2]
SITE_PACKAGES, OUTPUT, *ARGUMENTS = sys.argv[sys.argv.index("--") + 1 :]
sys.path.append(SITE_PACKAGES)
sys.path.insert(0, str(ROOT))
OUT = Path(OUTPUT)
_faults = (OUT / "fault.txt").open("w")  # stays open: where Python is when Blender dies
faulthandler.enable(_faults)
report: dict[str, Any] = {"stalls_ms": {}, "error": ""}
tick = {"last": time.perf_counter(), "step": ""}
_drawn: list[bool] = []


def take_installed() -> bool:
    """Have the name blender_addon mean the extension that is installed and enabled; False where there is none.

    Without --factory-startup a tour then goes through what a user has, wheels and all. It is left unregistered.
    """
    keys = bpy.context.preferences.addons.keys()
    package = next((key for key in keys if key.startswith("bl_ext.") and key.endswith(".recon")), "")
    if not package:
        return False
    importlib.import_module(package).unregister()
    for name in [one for one in sys.modules if one == package or one.startswith(f"{package}.")]:
        sys.modules["blender_addon" + name.removeprefix(package)] = sys.modules[name]
    return True


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
    """OUTPUT/<name>.png of the X root window; Blender's own screenshot is black under software GL from 4.3 on.

    While a job's thread runs nothing is redrawn for it: in 3.4, an operator under temp_override looks into the
    override's dictionary without Python's lock when another thread holds it, and dies.
    """
    if not any(thread.name.startswith("recon ") for thread in threading.enumerate()):
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
    bpy.context.scene.eevee.taa_samples = 1  # drawn in software: one pass must do
    yield 1.0
    side = region("UI")
    if hasattr(side, "active_panel_category"):
        for _ in range(20):  # no tab can be chosen before all are drawn, which takes a busy machine a while
            with contextlib.suppress(TypeError):
                side.active_panel_category = "Recon"
            yield 0.5
            if _drawn:
                break
    else:
        # The tabs of 3.4 cannot be chosen from Python. Without an object, Recon is the third, after Tool and View.
        for _ in range(2):  # the first click may only close the splash screen
            yield from click(side.x + side.width - 12, window().height - 199)
    yield 1.0
    if not _drawn:
        keep_only_our_tab()
        yield 1.0


def keep_only_our_tab() -> None:
    """Where no tab can be chosen the others go, so that ours is the one shown."""
    for one in bpy.types.Panel.__subclasses__():
        ours = getattr(one, "bl_category", "") == "Recon"
        sidebar = (getattr(one, "bl_space_type", ""), getattr(one, "bl_region_type", "")) == ("VIEW_3D", "UI")
        if sidebar and not ours and hasattr(bpy.types, one.__name__):
            with contextlib.suppress(RuntimeError):
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
    """Drag the sidebar's left edge: it opens too narrow for long names. A busy machine may miss a drag."""
    before = region("UI").width
    for _ in range(3):
        side = region("UI")
        x, y = side.x, side.y + side.height // 3
        window().event_simulate(type="MOUSEMOVE", value="NOTHING", x=x, y=y)
        yield 0.5
        window().event_simulate(type="LEFTMOUSE", value="PRESS", x=x, y=y)
        for step in range(1, 11):
            window().event_simulate(type="MOUSEMOVE", value="NOTHING", x=x - 10 * step, y=y)
            yield 0.05
        window().event_simulate(type="LEFTMOUSE", value="RELEASE", x=x - 100, y=y)
        yield 0.5
        if region("UI").width > before + 50:
            break


def wait_for_jobs():
    from blender_addon import session

    for _ in range(600):
        if not session.jobs.active:
            break
        yield 0.1
    yield 0.3


def sections() -> list:
    """The sections of the tab, parents before what is folded inside them."""
    from blender_addon import registration
    from blender_addon.panel_base import Section

    return [one for one in registration._CLASSES if issubclass(one, Section)]


def unfold(*labels: str) -> None:
    """Have sections open when they are registered: all that stand by themselves, and these."""
    for one in sections():
        if hasattr(one, "bl_options") and (one.bl_label in labels or not hasattr(one, "bl_parent_id")):
            one.bl_options = set(one.bl_options) - {"DEFAULT_CLOSED"}


def only_panels(*names: str) -> None:
    """Register the chosen sections alone, so that each has room on the screen."""
    for one in sections():
        if hasattr(bpy.types, one.__name__):
            bpy.utils.unregister_class(one)
    for one in sections():
        if one.bl_label in names:
            bpy.utils.register_class(one)


def run(steps: Generator[float, None, None]) -> None:
    """Have a tour run from a timer, write the report and quit."""

    def advance() -> float | None:
        try:
            return next(steps)
        except StopIteration:
            pass
        except Exception:
            report["error"] = traceback.format_exc()
        report["tab_opened"] = bool(_drawn)
        (OUT / "report.json").write_text(json.dumps(report))
        bpy.ops.wm.quit_blender()
        return None

    bpy.context.preferences.view.show_splash = False
    bpy.app.timers.register(_heartbeat, persistent=True)
    bpy.app.timers.register(advance, first_interval=2.0, persistent=True)


def _heartbeat() -> float:
    """The gap between two calls is how long the interface stood still."""
    now = time.perf_counter()
    if tick["step"]:
        gap = (now - tick["last"] - 0.01) * 1000
        report["stalls_ms"][tick["step"]] = max(gap, report["stalls_ms"].get(tick["step"], 0))
    tick["last"] = now
    return 0.01
