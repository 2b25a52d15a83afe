# SPDX-License-Identifier: Apache-2.0
"""A tour through the model's card, a folder of images, presets and the log, in a real Blender window.

blender --factory-startup --enable-event-simulate --python window_batch.py -- SITE_PACKAGES OUTPUT MODEL FOLDER
"""

import sys
from pathlib import Path

import bpy
from mathutils import Euler

sys.path.insert(0, str(Path(__file__).resolve().parent))
from window_driver import (
    ARGUMENTS,
    area,
    click,
    context,
    only_panels,
    open_sidebar,
    photograph,
    region,
    report,
    run,
    sections,
    tick,
    unfold,
    wait_for_jobs,
    watch_drawing,
    widen_sidebar,
)

MODEL, FOLDER = ARGUMENTS[:2]


def tour():
    import blender_addon
    from blender_addon import session

    watch_drawing()
    unfold("Model Card", "Folder of Images")
    blender_addon.register()
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    yield from open_sidebar()
    yield from widen_sidebar()
    settings = bpy.context.scene.recon
    settings.model_source, settings.model_path = "FILE", MODEL
    only_panels("Status", "Reconstruct", "Model Card")
    yield 1.0
    photograph("1_card")
    only_panels("Status", "Reconstruct", "Folder of Images")
    settings.batch_folder = FOLDER
    tick["step"] = "folder"
    with context():
        bpy.ops.ed.undo_push(message="Before")
        bpy.ops.recon.reconstruct_folder()
    yield 0.6
    photograph("2_progress")
    yield from wait_for_jobs()
    tick["step"] = ""
    report["clouds"] = sorted(one.name for one in bpy.data.objects)
    report["message"] = session.message
    with context():
        bpy.ops.object.select_all(action="SELECT")
        area().spaces.active.region_3d.view_rotation = Euler((1.1, 0.0, 0.5)).to_quaternion()
        bpy.ops.view3d.view_selected()
        bpy.ops.object.select_all(action="DESELECT")
    yield 3.0
    photograph("3_grid")
    with context():
        bpy.ops.recon.show_log()
    yield 2.0
    report["editors"] = [one.type for each in bpy.context.window_manager.windows for one in each.screen.areas]
    photograph("4_log")
    while len(bpy.context.window_manager.windows) > 1:
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[-1]):
            bpy.ops.wm.window_close()
    yield 0.5
    with context():
        bpy.ops.ed.undo()
    report["after_undo"] = [one.name for one in bpy.data.objects]
    with context():
        bpy.ops.ed.redo()
    report["after_redo"] = sorted(one.name for one in bpy.data.objects)
    yield 0.5
    only_panels("Result")
    with context():
        bpy.ops.recon.display_preset_add(name="Parts")
    yield 1.0
    side = region("UI")
    # The presets' button stands at the right end of the section's header, left of the grip.
    yield from click(side.x + side.width - 62, side.y + side.height - 16)
    yield 1.0
    photograph("5_presets")
    only_panels(*(one.bl_label for one in sections()))
    blender_addon.unregister()


run(tour())
