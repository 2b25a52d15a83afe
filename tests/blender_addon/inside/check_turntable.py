# SPDX-License-Identifier: Apache-2.0
"""The turntable: side by side in every frame, orientations kept, all undone by Remove; and pictures of it."""

import math
import struct

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from blender_addon import placing, strip, turntable
from blender_addon.cloud import Cloud
from blender_addon.compat import curves_of


def scene_with_both(points: int = 200):
    """A cloud of a tall box and, away from it and turned, a wide box as the reference."""
    random = np.random.default_rng(0)
    cloud = placing.add_cloud(
        "cloud", Cloud(((random.random((points, 3)) - 0.5) * (0.4, 0.6, 1.2)).astype(np.float32)), {}
    )
    bpy.ops.mesh.primitive_cube_add(size=1, location=(3, 1, 0.5), rotation=(0, 0, 0.4))
    reference = bpy.context.active_object
    reference.scale = (0.9, 0.5, 0.7)
    cloud.location = (0.2, -0.1, 0.3)
    bpy.context.scene.recon.target = reference
    bpy.context.view_layer.update()
    placing.select_only(cloud)
    return cloud, reference


def state():
    kinds = ("objects", "meshes", "cameras", "lights", "actions", "collections", "images", "node_groups")
    return {kind: sorted(one.name for one in getattr(bpy.data, kind)) for kind in kinds}


def copies():
    found = [one for one in bpy.data.collections[turntable.NAME].objects if one.type == "MESH"]
    return sorted(found, key=lambda one: one.name.lower())  # cloud, Cube


def in_picture(thing) -> np.ndarray:
    """Corners (8,3) of a box in the camera's view: x and y from 0 to 1, depth."""
    scene = bpy.context.scene
    graph = bpy.context.evaluated_depsgraph_get()
    graph.update()
    world = thing.evaluated_get(graph).matrix_world
    return np.array([world_to_camera_view(scene, scene.camera, world @ Vector(c)) for c in thing.bound_box])


@pytest.mark.parametrize("size", [(1920, 1080), (500, 900)])
def test_side_by_side_all_around(size):
    cloud, reference = scene_with_both()
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = size
    assert bpy.ops.recon.add_turntable(frames=24) == {"FINISHED"}
    first, second = copies()
    assert (first.data, second.data) == (cloud.data, reference.data)
    fill = []
    for frame in (1, 4, 7, 13, 20, 24, 40):
        scene.frame_set(frame)
        left, right = in_picture(first), in_picture(second)
        both = np.concatenate((left, right))
        assert (both[:, :2] > 0).all()
        assert (both[:, :2] < 1).all()
        assert (both[:, 2] > 0).all()
        assert left[:, 0].max() < right[:, 0].min()
        fill.append(np.ptp(both[:, :2], axis=0).max())
    assert max(fill) > 0.6  # not lost in a corner of it
    # Their orientation and size in the world are the originals'.
    for copy, original in ((first, cloud), (second, reference)):
        graph = bpy.context.evaluated_depsgraph_get()
        turned = np.array(copy.evaluated_get(graph).matrix_world)[:3, :3]
        np.testing.assert_allclose(turned, np.array(original.matrix_world)[:3, :3], atol=1e-6)
    heights = [np.array(copy.evaluated_get(graph).matrix_world)[2, 3] for copy in (first, second)]
    np.testing.assert_allclose(heights, [0.3, 0.5], atol=1e-5)


def test_the_turn_is_even_and_goes_on():
    scene_with_both()
    bpy.ops.recon.add_turntable(frames=10)
    scene = bpy.context.scene
    pivot = turntable.pivot_of(scene)
    angles = []
    for frame in (*range(1, 12), 36):
        scene.frame_set(frame)
        angles.append(pivot.matrix_world.to_euler().z % (2 * math.pi))
    steps = np.diff(np.unwrap(angles[:11]))
    np.testing.assert_allclose(steps, 2 * math.pi / 10, atol=1e-4)
    assert abs(angles[11] - angles[5]) < 1e-4  # frame 36 is frame 6 of the third turn
    (curve,) = curves_of(pivot)
    assert {key.interpolation for key in curve.keyframe_points} == {"LINEAR"}
    assert [modifier.type for modifier in curve.modifiers] == ["CYCLES"]
    assert (scene.frame_start, scene.frame_end) == (1, 10)


def test_remove_undoes_everything():
    cloud, reference = scene_with_both()
    camera = bpy.data.objects.new("mine", bpy.data.cameras.new("mine"))
    scene = bpy.context.scene
    scene.collection.objects.link(camera)
    scene.camera, scene.frame_start, scene.frame_end = camera, 5, 77
    scene.frame_set(33)
    reference.hide_render = True
    before = state()
    bpy.ops.recon.add_turntable()
    assert cloud.hide_render
    assert cloud.hide_viewport
    bpy.data.objects["cloud"].name = "renamed"
    assert bpy.ops.recon.remove_turntable() == {"FINISHED"}
    before["objects"] = sorted({*before["objects"], "renamed"} - {"cloud"})
    assert state() == before
    assert (scene.camera, scene.frame_start, scene.frame_end, scene.frame_current) == (camera, 5, 77, 33)
    assert (cloud.hide_viewport, cloud.hide_render) == (False, False)
    assert (reference.hide_viewport, reference.hide_render) == (False, True)
    assert not bpy.ops.recon.remove_turntable.poll()


def test_built_again_and_things_of_others():
    cloud, reference = scene_with_both()
    before = state()
    bpy.ops.recon.add_turntable(frames=10)
    once = state()
    placing.select_only(cloud)
    turntable.build(bpy.context, cloud, reference, 20, 0.2, 30)
    assert state() == once
    light = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT"))
    bpy.data.collections[turntable.NAME].objects.link(light)
    turntable.remove(bpy.context.scene)
    assert {*state()["objects"]} == {*before["objects"], "lamp"}
    assert not turntable.remove(bpy.context.scene)


def test_an_original_deleted_meanwhile():
    cloud, reference = scene_with_both()
    bpy.ops.recon.add_turntable()
    bpy.data.objects.remove(reference)
    assert bpy.ops.recon.remove_turntable() == {"FINISHED"}
    assert [one.name for one in bpy.data.objects] == [cloud.name]
    assert not cloud.hide_viewport


def test_it_survives_a_file(tmp_path):
    scene_with_both()
    bpy.ops.recon.add_turntable()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.recon.remove_turntable()
    assert {one.name for one in bpy.data.objects} == {"Cube", "cloud"}
    assert not bpy.data.objects["cloud"].hide_viewport


def test_refusals():
    cloud, _ = scene_with_both()
    bpy.context.scene.recon.target = None
    with pytest.raises(RuntimeError, match="Choose a target"):
        bpy.ops.recon.add_turntable()
    assert not bpy.ops.recon.contact_strip.poll()
    lone = placing.add_cloud("one", Cloud(np.zeros((1, 3), np.float32)), {})
    lone.modifiers.clear()
    bpy.context.view_layer.update()
    bpy.context.scene.recon.target = cloud
    with pytest.raises(RuntimeError, match="no extent"):
        bpy.ops.recon.add_turntable()
    assert turntable.NAME not in bpy.data.collections


def png_size(path) -> tuple[int, int]:
    return struct.unpack(">II", path.read_bytes()[16:24])


def test_contact_strip(tmp_path):
    """Rendered by a second Blender: the pictures differ, and nothing is left in this file."""
    scene_with_both(60)
    bpy.context.scene.render.resolution_x, bpy.context.scene.render.resolution_y = 200, 100
    bpy.ops.recon.add_turntable(frames=12)
    before = state()
    path = tmp_path / "strip.png"
    assert bpy.ops.recon.contact_strip(filepath=str(path), count=3, columns=2, width=60, samples=1) == {
        "FINISHED"
    }
    assert state() == before
    assert png_size(path) == (2 * 60 + 4, 2 * 30 + 4)
    image = bpy.data.images.load(str(path))
    from blender_addon.images import rgba_of

    pixels = rgba_of(image).astype(int)
    one, two = pixels[:30, :60], pixels[:30, 64:]
    assert np.ptp(one[..., :3]) > 40
    assert np.abs(one - two).max() > 20
    assert (pixels[34:, 64:] == 255).all()  # the fourth place stays white


def test_strip_refusals(tmp_path):
    scene_with_both(60)
    bpy.ops.recon.add_turntable()
    with pytest.raises(RuntimeError, match="does not exist"):
        bpy.ops.recon.contact_strip(filepath=str(tmp_path / "none" / "a.png"))
    with pytest.raises(RuntimeError, match="100 million"):
        bpy.ops.recon.contact_strip(filepath=str(tmp_path / "a.png"), count=64, width=4096)


def test_strip_of_a_blender_that_fails(tmp_path, monkeypatch):
    scene_with_both(60)
    bpy.ops.recon.add_turntable()
    monkeypatch.setattr(strip, "_SCRIPT", tmp_path / "none.py")
    made = []
    monkeypatch.setattr(
        strip.tempfile, "mkdtemp", lambda prefix: made.append(tmp_path / "work") or _folder(made[0])
    )
    with pytest.raises(RuntimeError, match="Rendering failed"):
        bpy.ops.recon.contact_strip(filepath=str(tmp_path / "a.png"), count=1)
    assert not made[0].exists()
    assert not (tmp_path / "a.png").exists()


def _folder(path):
    path.mkdir()
    return str(path)
