# SPDX-License-Identifier: Apache-2.0
"""A tour through the panel, from an image to a comparison, in a real Blender window.

blender --factory-startup --enable-event-simulate --python window_tour.py -- SITE_PACKAGES OUTPUT MODEL IMAGE CLOUD

MODEL may be "bundled". An extension that is installed is what the tour goes through, if --factory-startup is left out.
Writes OUTPUT/<step>.png and, at the end, OUTPUT/report.json with the longest stall of the interface and, as "view", the
box (left, top, right, bottom) of the viewport in the pictures.
"""

import contextlib
import sys
from pathlib import Path

import bpy

sys.path.insert(0, str(Path(__file__).resolve().parent))
from window_driver import (
    ARGUMENTS,
    area,
    context,
    only_panels,
    open_sidebar,
    photograph,
    report,
    run,
    sections,
    take_installed,
    tick,
    unfold,
    wait_for_jobs,
    watch_drawing,
    widen_sidebar,
    window,
)

MODEL, IMAGE, CLOUD = ARGUMENTS[:3]


def tidy() -> None:
    """Leave out what hides the points: outlines of what is selected, and the buttons over the view."""
    space = area().spaces.active
    space.overlay.show_outline_selected = space.show_gizmo_navigate = False
    left, top = area().x, window().height - area().y - area().height
    report["view"] = [left, top, left + area().width, top + area().height]


def tour():
    report["installed"] = take_installed()
    import blender_addon

    watch_drawing()
    unfold()
    blender_addon.register()
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    yield from open_sidebar()
    yield from widen_sidebar()
    tidy()
    photograph("1_empty")
    settings = bpy.context.scene.recon
    settings.image = bpy.data.images.load(IMAGE)
    if MODEL != "bundled":
        settings.model_source, settings.model_path = "FILE", MODEL
    with context():
        bpy.ops.recon.show_crop()
    yield 1.5
    photograph("2_image")
    tick["step"] = "reconstruct"
    with context():
        bpy.ops.ed.undo_push(message="Before")
        bpy.ops.recon.reconstruct()
    yield from wait_for_jobs()
    tick["step"] = ""
    with context():
        bpy.ops.view3d.view_selected()
    only_panels("Image", "Reconstruct", "Model Card", "Folder of Images", "Result")
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
    tick["step"] = "align_photo"
    with context():
        bpy.ops.recon.align_photo()
    yield 0.3
    photograph("4_progress")
    yield from wait_for_jobs()
    tick["step"] = ""
    yield 2.0
    photograph("4_align")
    only_panels("Result")
    with context():
        bpy.ops.recon.import_ply(filepath=CLOUD)
        reference = bpy.context.view_layer.objects.active
        points.hide_set(True)
        area().spaces.active.region_3d.view_perspective = "PERSP"
        area().spaces.active.overlay.show_extras = False  # the camera's frame
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
    tick["step"] = "make_surface"
    with context():
        bpy.ops.recon.make_surface()
    surface = next(one for one in bpy.data.objects if one.name.endswith(" surface"))
    report["surface_faces"] = len(surface.data.polygons)
    surface.location.x += 0.7
    yield 1.0
    tick["step"] = ""
    with context():
        surface.select_set(True)
        bpy.ops.view3d.view_selected()
    yield 1.0
    photograph("6_mesh")
    settings.image = None
    only_panels("Status", "Reconstruct")
    with context(), contextlib.suppress(RuntimeError):
        bpy.ops.recon.reconstruct()
    yield 1.0
    photograph("7_error")
    only_panels(*(one.bl_label for one in sections()))
    if not report["installed"]:  # Blender does it when it quits
        blender_addon.unregister()


run(tour())
