# SPDX-License-Identifier: Apache-2.0
"""A tour of what the worker adds: refining, confidence, and any mesh matched to a photo, in a real Blender window.

blender --factory-startup --enable-event-simulate --python window_match.py -- SITE_PACKAGES OUTPUT WORKER_PYTHON MODEL
IMAGE [MESH.glb [RUN]]. Without MESH a monkey's head is matched. Writes OUTPUT/<step>.png and OUTPUT/report.json.
"""

import sys
import time
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

sys.path.insert(0, str(Path(__file__).resolve().parent))
from window_driver import (
    ARGUMENTS,
    OUT,
    area,
    context,
    only_panels,
    open_sidebar,
    photograph,
    report,
    run,
    sections,
    unfold,
    watch_drawing,
    widen_sidebar,
)

PYTHON, MODEL, IMAGE = ARGUMENTS[:3]
MESH, RUN = [*ARGUMENTS[3:], "", ""][:2]


def record() -> dict:
    from blender_addon import points_object

    return points_object.record_of(bpy.context.view_layer.objects.active)


def patiently():
    """Wait for the worker, which loads torch first, on a machine that may be busy."""
    from blender_addon import session

    end = time.monotonic() + 200
    while session.jobs.active and time.monotonic() < end:
        yield 0.1
    yield 0.3


def tidy() -> None:
    space = area().spaces.active
    space.overlay.show_outline_selected = space.show_gizmo_navigate = False


def refining(settings):
    settings.image = bpy.data.images.load(IMAGE)
    settings.model_source, settings.model_path, settings.refine_steps = "FILE", MODEL, 120
    with context():
        bpy.ops.recon.show_crop()
        bpy.ops.recon.reconstruct()
    yield 0.5
    photograph("1_refining")
    yield from patiently()
    if RUN:
        settings.engine, settings.run_path = "WORKER", RUN
        bpy.data.objects.remove(bpy.context.view_layer.objects.active)
        with context():
            bpy.ops.recon.reconstruct()
        yield from patiently()
    report["refined"] = record().get("refined")
    report["visibility"] = record().get("visibility")
    points = bpy.context.view_layer.objects.active
    with context():
        bpy.ops.view3d.view_selected()
    only_panels("Status", "Reconstruct", "Result")
    yield 2.0
    photograph("2_refined")
    points.recon.color_by = "VISIBILITY"
    yield 2.0
    photograph("3_visibility")
    points.recon.color_by = "CONFIDENCE"
    points.recon.least_confidence = 0.5
    yield 2.0
    photograph("4_confidence")
    bpy.data.objects.remove(points)


def new_mesh():
    if not MESH:
        bpy.ops.mesh.primitive_monkey_add()
    else:
        if not hasattr(np, "bool"):
            np.bool = bool  # the importer of 3.4 needs it
        bpy.ops.import_scene.gltf(filepath=MESH)
        meshes = [one for one in bpy.context.selected_objects if one.type == "MESH"]
        with context():
            bpy.context.view_layer.objects.active = meshes[0]
            bpy.ops.object.join()
    made = bpy.context.view_layer.objects.active
    made.name = "Chair" if MESH else "Suzanne"
    return made


def take_photo(scene, made) -> str:
    """A render of the object, from somewhere, against transparency."""
    camera = bpy.data.objects.new("true camera", bpy.data.cameras.new("true camera"))
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    scene.collection.objects.link(camera)
    scene.collection.objects.link(sun)
    box = np.array([made.matrix_world @ Vector(corner) for corner in made.bound_box])
    middle, size = Vector((box.min(0) + box.max(0)) / 2), float(np.linalg.norm(np.ptp(box, axis=0)))
    # The front is -Y: seen from the front's right, a little above.
    aside = Vector((0.55, -0.75, 0.35)).normalized() * 1.9 * size
    camera.location, camera.rotation_euler = middle + aside, aside.to_track_quat("Z", "Y").to_euler()
    sun.data.energy, sun.rotation_euler = 4, (0.6, 0.3, 0.2)
    camera.data.clip_end = 100 * size
    render = scene.render
    render.engine, scene.cycles.samples, scene.cycles.device = "CYCLES", 16, "CPU"
    scene.cycles.use_denoising, render.film_transparent = False, True
    render.resolution_x, render.resolution_y, render.filepath = 480, 360, str(OUT / "taken.png")
    scene.camera = camera
    with context():
        bpy.context.view_layer.update()
        bpy.ops.render.render(write_still=True)
    render.engine = "BLENDER_EEVEE"
    for one in (camera, sun):
        bpy.data.objects.remove(one)
    return render.filepath


def matching(settings):
    scene = bpy.context.scene
    with context():
        bpy.ops.object.select_all(action="DESELECT")
    made = new_mesh()
    settings.image = bpy.data.images.load(take_photo(scene, made))
    made.rotation_euler.z += 0.5
    made.location = (0.3, 0.2, 0.0)
    only_panels("Status", "Align", "Match to Photo")
    with context():
        made.select_set(True)
        bpy.ops.view3d.view_selected()
    yield 1.5
    photograph("5_before")
    with context():
        bpy.ops.recon.match_photo()
    yield 3.0
    photograph("6_matching")
    yield from patiently()
    with context():
        bpy.ops.view3d.view_center_camera()
    yield 2.0
    photograph("7_matched")
    report["match"] = {key: value for key, value in record().get("match", {}).items() if key != "solutions"}
    report["solutions"] = [[one["iou"], one["apart_deg"]] for one in record()["match"]["solutions"]]
    if len(report["solutions"]) > 1:
        with context():
            bpy.ops.recon.next_solution()
        yield 2.0
        photograph("8_next")
    settings.match_moves = "OBJECT"
    made.location.x += 0.5
    with context():
        bpy.ops.recon.match_photo()
    yield from patiently()
    yield 2.0
    photograph("9_moved")
    report["moved"] = record()["match"]["solutions"][0]["iou"]


def tour():
    import blender_addon
    from blender_addon import session, worker_client, worker_jobs

    worker_jobs.command = lambda: worker_client.command_of(PYTHON)
    watch_drawing()
    unfold("Match to Photo")
    blender_addon.register()
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    yield from open_sidebar()
    yield from widen_sidebar()
    tidy()
    settings = bpy.context.scene.recon
    yield from refining(settings)
    yield from matching(settings)
    report["message"] = session.message
    only_panels(*(one.bl_label for one in sections()))
    blender_addon.unregister()


run(tour())
