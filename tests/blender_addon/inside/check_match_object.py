# SPDX-License-Identifier: Apache-2.0
"""An object moved under the camera that the scene has: where it ends up, what leans, what is refused."""

from dataclasses import replace
from types import SimpleNamespace

import bpy
import numpy as np
import pytest
from check_match import (  # noqa: F401 (worker is a fixture)
    HEIGHT,
    WIDTH,
    choose,
    lopsided,
    mesh_object,
    place_record,
    projected,
    view,
    worker,
)

from blender_addon import match, placing, points_object, scene_camera, session, worker_photo
from blender_addon.jobs import UserError
from blender_addon.photo_camera import PhotoCamera


@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("shift", [0.0, 0.13])
def test_the_object_is_moved_under_the_camera(worker, upright, shift):  # noqa: F811
    xyz = lopsided()
    middle = (xyz.max(0) + xyz.min(0)) / 2
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    camera = bpy.data.objects.new("mine", bpy.data.cameras.new("mine"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    camera.location, camera.rotation_euler = (5, 1, 3), (np.radians(65), 0, np.radians(70))
    camera.data.lens, camera.data.shift_x = 220 / WIDTH * 36, shift
    bpy.context.view_layer.update()
    where = camera.matrix_world.copy()
    # The object as it would stand: upright below the camera, at 2.5 from it.
    known = scene_camera.of_scene(scene, SimpleNamespace(matrix_world=np.eye(4)), WIDTH, HEIGHT)
    standing = known.world_to_cam[:3, :3] @ _turn(30)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = standing, (0.1, -0.05, -2.5)
    truth = PhotoCamera(matrix, known.focal_px, known.cx, known.cy, WIDTH, HEIGHT)
    settings = choose(xyz - middle, truth)
    settings.match_moves, settings.match_upright = "OBJECT", upright

    def answer(one, message, job):
        blank = np.zeros((HEIGHT, WIDTH), np.uint8)
        rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        return {
            "record": place_record(worker_photo.for_worker(rgb, blank, (known.cx, known.cy)).small(truth))
        }

    asked = worker(answer)
    made = mesh_object("thing", xyz / 2)
    made.scale, made.location = (2, 2, 2), (9, 9, 9)
    bpy.context.view_layer.update()
    assert bpy.ops.recon.match_photo() == {"FINISHED"}, session.message
    np.testing.assert_allclose(projected(made, scene), truth.project(xyz - middle), atol=0.1)
    assert camera.matrix_world == where
    np.testing.assert_allclose(made.matrix_world.to_scale(), (2, 2, 2), atol=1e-4)
    found = points_object.record_of(made)["match"]
    assert found["moves"] is True
    assert found["before"] < 0.05  # it stood elsewhere
    assert found["solutions"][0]["iou"] > 0.8
    if upright:
        np.testing.assert_allclose(np.array(made.matrix_world)[2, :2], 0, atol=1e-4)
        low, high = asked.message["elevation_deg"]
        assert low < 25 < high
        assert high - low == pytest.approx(16)
    else:
        assert "elevation_deg" not in asked.message


def _turn(azimuth_deg: float) -> np.ndarray:
    a = np.radians(azimuth_deg)
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])


def test_what_leans_is_made_upright_or_refused():
    known = view(0, 30)
    lean = np.eye(4)
    lean[:3, :3] = [[1, 0, 0], [0, np.cos(0.1), -np.sin(0.1)], [0, np.sin(0.1), np.cos(0.1)]]
    leaning = replace(known, world_to_cam=known.world_to_cam @ lean)
    ((mended, _),) = match._under(known, True, [(leaning, 0.0)])
    np.testing.assert_allclose(mended.world_to_cam[:3, 2], known.world_to_cam[:3, 2], atol=1e-9)
    np.testing.assert_allclose(
        mended.world_to_cam[:3, :3] @ mended.world_to_cam[:3, :3].T, np.eye(3), atol=1e-9
    )
    fallen = replace(known, world_to_cam=known.world_to_cam @ np.diag([1.0, -1, -1, 1]))
    assert len(match._under(known, True, [(fallen, 0.0), (leaning, 0.0)])) == 1
    with pytest.raises(UserError, match="fits from no side"):
        match._under(known, True, [(fallen, 0.0)])


def test_refusals(worker):  # noqa: F811
    worker(lambda one, message, job: {"record": {"version": 1}})
    xyz = lopsided(300)
    made = mesh_object("thing", xyz)
    with pytest.raises(RuntimeError, match="No image is chosen"):
        bpy.ops.recon.match_photo()
    settings = choose(xyz, view(0, 0))
    with pytest.raises(RuntimeError, match="answer lacks the views"):
        bpy.ops.recon.match_photo()
    assert not bpy.data.cameras
    settings.match_moves = "OBJECT"
    with pytest.raises(RuntimeError, match="needs a scene camera"):
        bpy.ops.recon.match_photo()
    bpy.context.scene.camera = bpy.data.objects.new("mine", bpy.data.cameras.new("mine"))
    with pytest.raises(RuntimeError, match="same proportions"):
        bpy.ops.recon.match_photo()
    made.data.clear_geometry()
    with pytest.raises(RuntimeError, match="no points or faces"):
        bpy.ops.recon.match_photo()
    mesh_object("two", xyz[:2])
    with pytest.raises(RuntimeError, match="too few"):
        bpy.ops.recon.match_photo()
    empty = bpy.data.objects.new("empty", None)
    bpy.context.scene.collection.objects.link(empty)
    placing.select_only(empty)
    assert not bpy.ops.recon.match_photo.poll()
