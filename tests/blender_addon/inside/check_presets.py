# SPDX-License-Identifier: Apache-2.0
"""Presets kept, taken and removed; the log behind the one line; what stays after unregistering."""

import atexit
import sys

import bpy
import numpy as np
import pytest

from blender_addon import crop_preview, engine_onnx, jobs, log, operators_batch, placing, session
from blender_addon.cloud import Cloud


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """The user's folder of scripts, where presets are kept."""
    monkeypatch.setenv("BLENDER_USER_SCRIPTS", str(tmp_path / "scripts"))
    return tmp_path / "scripts"


def take(path, menu: str) -> None:
    assert bpy.ops.script.execute_preset(filepath=str(path), menu_idname=menu) == {"FINISHED"}


def test_display_presets(scripts):
    points = placing.add_cloud("cloud", Cloud(np.zeros((3, 3), np.float32)), {})
    points.recon.shape, points.recon.size, points.recon.color_by = "CUBE", 0.125, "HEIGHT"
    assert bpy.ops.recon.display_preset_add(name="Big Cubes") == {"FINISHED"}
    path = scripts / "presets" / "recon" / "display" / "Big_Cubes.py"
    assert path.is_file()
    other = placing.add_cloud("other", Cloud(np.zeros((5, 3), np.float32)), {})
    take(path, "RECON_PT_display_presets")
    assert (other.recon.shape, other.recon.size, other.recon.color_by) == ("CUBE", 0.125, "HEIGHT")
    assert other.modifiers[0].node_group.name == "Recon Cubes"  # shown, not only set
    assert bpy.ops.recon.display_preset_add(name="Big Cubes", remove_name=True) == {"FINISHED"}
    assert not path.exists()


def test_a_display_preset_needs_a_cloud(scripts):
    assert not bpy.ops.recon.display_preset_add.poll()


def test_alignment_presets(scripts):
    settings = bpy.context.scene.recon
    settings.use_scale, settings.use_parts, settings.use_upright = False, True, False
    bpy.ops.recon.align_preset_add(name="rigid")
    for name in ("use_scale", "use_turns", "use_upright", "use_parts"):
        settings.property_unset(name)
    take(scripts / "presets" / "recon" / "align" / "rigid.py", "RECON_PT_align_presets")
    assert not settings.use_scale
    assert settings.use_turns
    assert not settings.use_upright
    assert settings.use_parts


def test_the_log_keeps_what_the_line_leaves_out():
    assert not bpy.ops.recon.show_log.poll()

    def work(job):
        raise KeyError("weights")

    session.start(jobs.Job("x", work, lambda result: None))
    assert session.message == "KeyError: 'weights'"
    text = log.found().as_string()
    assert "Traceback" in text
    assert "in work" in text
    session.say("Something else", "more\nlines")
    text = log.found().as_string()
    assert text.index("Traceback") < text.index("Something else") < text.index("    lines")
    assert bpy.ops.recon.show_log() == {"FINISHED"}
    assert len(bpy.data.texts) == 1


def test_foreseen_errors_write_no_log():
    def work(job):
        raise jobs.UserError("No image is chosen.")

    session.start(jobs.Job("x", work, lambda result: None))
    assert session.message == "No image is chosen."
    assert log.found() is None


def test_the_log_does_not_grow_for_ever():
    for number in range(50):
        log.write(f"entry {number}", "x" * 5000)
    text = log.found().as_string()
    assert len(text) <= log.MAX_CHARACTERS + 1
    assert "entry 49" in text
    assert "entry 3\n" not in text


def ours() -> dict[str, set[str]]:
    """Everything of the add-on that Blender holds on to, by kind."""
    handlers = {
        f"{kind}: {one.__module__}"
        for kind in dir(bpy.app.handlers)
        for one in (
            getattr(bpy.app.handlers, kind) if isinstance(getattr(bpy.app.handlers, kind), list) else ()
        )
        if getattr(one, "__module__", "").startswith("blender_addon")
    }
    menus = {
        f"{name}: {draw.__name__}"
        for name in ("TOPBAR_MT_file_import", "TOPBAR_MT_file_export")
        for draw in getattr(bpy.types, name)._dyn_ui_initialize()
        if draw.__module__.startswith("blender_addon")
    }
    pointers = {
        f"{one.__name__}.recon" for one in (bpy.types.Scene, bpy.types.Object) if hasattr(one, "recon")
    }
    types = {name for name in dir(bpy.types) if name.upper().startswith("RECON")}
    return {
        "types": types,
        "handlers": handlers,
        "menus": menus,
        "properties": pointers,
        "operators": set(dir(bpy.ops.recon)),
    }


def test_ten_times_on_and_off_leave_nothing(addon, settings, monkeypatch):
    """After a reconstruction, so that models, previews and timers have been made."""
    hooks = []
    monkeypatch.setattr(atexit, "register", lambda one: hooks.append(one))
    monkeypatch.setattr(atexit, "unregister", lambda one: hooks.remove(one))
    hooks.append(session.worker_client.close_worker)  # by the fixture
    bpy.ops.recon.reconstruct()
    registered, path = ours(), list(sys.path)
    assert registered["handlers"]
    assert registered["menus"]
    for _ in range(10):
        addon.unregister()
        assert not any(ours().values()), ours()
        assert not hooks
        assert not engine_onnx._cache
        assert crop_preview._collection is None
        assert operators_batch._feeder is None
        assert not bpy.app.timers.is_registered(session.poll)
        assert sys.path == [one for one in path if one != str(engine_onnx.VENDOR)]
        addon.register()
        assert ours() == registered
        assert len(hooks) == 1
