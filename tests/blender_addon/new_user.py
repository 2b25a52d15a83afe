# SPDX-License-Identifier: Apache-2.0
"""What a new user does who has the zip and Blender, and nothing else: run inside Blender by test_new_user.py.

blender --background --factory-startup --python new_user.py -- ARGUMENTS.json

Installs the zip, goes from an image to a comparison by operators, reloads scripts, switches the add-on off and on, and
removes it. Writes what it saw as JSON; asserting is the caller's.
"""

import contextlib
import importlib.util
import json
import socket
import sys
import time
import traceback
from pathlib import Path

arguments = json.loads(Path(sys.argv[-1]).read_text())
sys.path += arguments["packages"]
if not arguments["legacy"]:
    import bpy  # the wheel
import bpy  # noqa: E402

seen: dict = {"error": "", "connections": 0}


def refuse(*_, **__):
    seen["connections"] += 1
    raise OSError("no network here")


socket.socket.connect = refuse


def install() -> str:
    """Install the zip, and say by which name Blender knows the add-on."""
    if arguments["legacy"]:
        bpy.ops.preferences.addon_install(filepath=arguments["zip"])
        bpy.ops.preferences.addon_enable(module="recon")
        return "recon"
    bpy.ops.extensions.package_install_files(
        filepath=arguments["zip"], repo="user_default", enable_on_install=True
    )
    return "bl_ext.user_default.recon"


def remove(name: str) -> None:
    if arguments["legacy"]:
        with contextlib.suppress(
            RuntimeError
        ):  # Blender 3.4, when all is done, redraws an area, and here is none
            bpy.ops.preferences.addon_remove(module=name)
    else:
        bpy.ops.extensions.package_uninstall(repo_index=repository(), pkg_id="recon")


def repository() -> int:
    repos = bpy.context.preferences.extensions.repos
    return next(index for index, repo in enumerate(repos) if repo.module == "user_default")


def switch(name: str, on: bool) -> None:
    operator = bpy.ops.preferences.addon_enable if on else bpy.ops.preferences.addon_disable
    operator(module=name)


def registered() -> list[str]:
    return sorted(name for name in dir(bpy.types) if name.upper().startswith("RECON_"))


def reconstruct() -> dict:
    """Image -> Reconstruct -> Align to photo -> Compare, as the panel's buttons do it."""
    settings = bpy.context.scene.recon
    settings.image = bpy.data.images.load(arguments["image"])
    start = time.perf_counter()
    bpy.ops.recon.reconstruct()
    seconds = time.perf_counter() - start
    points = bpy.context.active_object
    bpy.ops.recon.align_photo()
    bpy.ops.mesh.primitive_cube_add(size=0.6)
    settings.target = bpy.context.active_object
    for other in bpy.context.selected_objects:
        other.select_set(False)
    points.select_set(True)
    bpy.context.view_layer.objects.active = points
    bpy.ops.recon.align_object()
    bpy.ops.recon.compare()
    record = json.loads(points["recon_record"])
    return {
        "engine": settings.engine,
        "model_source": settings.model_source,
        "points": len(points.data.vertices),
        "parts": [part.name for part in points.recon.parts],
        "camera": bpy.context.scene.camera is not None,
        "color_by": points.recon.color_by,
        "record": record,
        "seconds": seconds,
    }


def whole() -> None:
    for name in ("blender_addon", "recon_core", "render_scripts"):
        seen[f"checkout's {name}"] = importlib.util.find_spec(name) is not None
    name = install()
    seen["registered"] = registered()
    seen["folder"] = sys.modules[name].__file__
    seen["first"] = reconstruct()
    seen["runtime"] = sys.modules["onnxruntime"].__file__
    before = sys.modules[f"{name}.session"]
    bpy.utils.load_scripts(
        reload_scripts=True
    )  # what F8 does: the operator itself does nothing without a window
    seen["reloaded"] = sys.modules[f"{name}.session"] is not before
    seen["after_reload"] = {"registered": registered(), **reconstruct()}
    left = set()
    for _ in range(10):
        switch(name, on=False)
        left |= set(registered())
        switch(name, on=True)
    seen["left_when_off"] = sorted(left)
    seen["after_ten"] = registered()
    remove(name)
    seen["after_removal"] = registered()
    seen["files_after_removal"] = Path(seen["folder"]).exists()


try:
    whole()
except BaseException:
    seen["error"] = traceback.format_exc()
Path(arguments["report"]).write_text(json.dumps(seen, default=str))
sys.stdout.flush()
if not arguments["legacy"]:
    import os

    os._exit(0)  # the bpy wheel hangs at its exit while anything is registered
