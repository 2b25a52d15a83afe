# SPDX-License-Identifier: Apache-2.0
"""Aligning: the photo's camera, cursor, floor, size, ICP; and comparing."""

import time

import bpy
import numpy as np
import pytest
import tiny_model
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Euler, Matrix, Vector

from blender_addon import icp, placing, points_object, pose_search, scene_camera, session
from blender_addon.cloud import Cloud
from blender_addon.photo_camera import PhotoCamera


def lopsided(count: int, seed: int = 0) -> np.ndarray:
    """Points on an L of three different boxes: no symmetry."""
    random = np.random.default_rng(seed)
    boxes = [
        ((0, 0, 0.1), (0.8, 0.5, 0.2)),
        ((-0.35, 0, 0.5), (0.1, 0.5, 0.8)),
        ((0.3, 0.2, 0.3), (0.1, 0.1, 0.4)),
    ]
    parts = [(random.random((count // 3 + 1, 3)) - 0.5) * size + np.array(center) for center, size in boxes]
    return np.concatenate(parts)[:count]


def add(name: str, xyz: np.ndarray, labels: np.ndarray | None = None, parts: tuple = ()):
    return placing.add_cloud(name, Cloud(xyz.astype(np.float32), labels=labels, parts=list(parts)), {})


def world(points) -> np.ndarray:
    bpy.context.view_layer.update()
    return points_object.cloud_of(points).xyz.astype(float)


def test_photo_camera_shows_the_points_where_the_photo_does(settings):
    bpy.ops.recon.reconstruct()
    points = bpy.context.active_object
    points.location, points.rotation_euler, points.scale = (1, 2, 3), (0.3, 0.2, 0.9), (2, 2, 2)
    bpy.context.view_layer.update()
    assert bpy.ops.recon.align_photo() == {"FINISHED"}
    bpy.context.view_layer.update()
    scene = bpy.context.scene
    camera = PhotoCamera.of_record(points_object.record_of(points)["camera"])
    expected = camera.project(points_object.vertices_of(points.data))
    assert (scene.render.resolution_x, scene.render.resolution_y) == (200, 160)
    for vertex, (u, v) in list(zip(world(points), expected))[::37]:
        x, y, depth = world_to_camera_view(scene, scene.camera, Vector(vertex))
        assert depth > 0
        assert abs(x * 200 - u) < 0.02
        assert abs((1 - y) * 160 - v) < 0.02
    # The projected box fills the mask's box along one side and lies within it along the other.
    np.testing.assert_allclose((expected.min(0) + expected.max(0)) / 2, (130, 80), atol=1)
    assert scene.camera.data.background_images[0].image.name == "chair.png"
    again = scene_camera.of_scene(scene, points, 200, 160)
    np.testing.assert_allclose(again.project(points_object.vertices_of(points.data)), expected, atol=0.02)
    before, after = points_object.record_of(points)["alignment"]["Overlap with the photo"]
    assert before is None
    assert after > 0.4


def test_photo_camera_is_used_again(settings):
    bpy.ops.recon.reconstruct()
    for _ in range(3):
        bpy.ops.recon.align_photo()
    assert len(bpy.data.cameras) == 1
    assert len(bpy.context.scene.camera.data.background_images) == 1


def test_pose_is_searched_when_the_model_predicts_none(settings, tmp_path):
    settings.model_path = str(tiny_model.write_model(tmp_path / "no_pose.onnx", with_pose=False))
    bpy.ops.recon.reconstruct()
    points = bpy.context.active_object
    assert points_object.record_of(points)["camera"] is None
    assert bpy.ops.recon.align_photo() == {"FINISHED"}
    assert points_object.record_of(points)["pose"] == "searched"
    assert bpy.context.scene.camera is not None


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 10), (73, 25), (205, -5), (310, 45)])
def test_search_finds_the_view(azimuth, elevation):
    xyz = lopsided(6000)
    xyz = (xyz - (xyz.max(0) + xyz.min(0)) / 2) / np.linalg.norm(np.ptp(xyz, axis=0))
    colors = np.clip((xyz + 0.5) * 255, 0, 255).astype(np.uint8)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[2, 3] = pose_search.rotation_of(azimuth, elevation), -2
    camera = PhotoCamera(matrix, 180.0, 70.0, 50.0, 130, 100)
    shown, front = pose_search.splat(xyz, camera)
    rgb = np.where((front >= 0)[..., None], colors[front], 0).astype(np.uint8)
    start = time.perf_counter()
    found, _ = pose_search.search(xyz, colors, rgb, shown.astype(np.uint8) * 255)
    print(f"search: {time.perf_counter() - start:.2f} s")
    turn = found.world_to_cam[:3, :3] @ matrix[:3, :3].T
    assert np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) < 6
    assert pose_search.silhouette_iou(xyz, found, shown.astype(np.uint8) * 255) > 0.85


def test_floor_cursor_and_size():
    points = add("cloud", lopsided(600))
    bpy.ops.recon.align_floor(height=0.25)
    assert abs(np.quantile(world(points)[:, 2], 0.005) - 0.25) < 1e-4
    bpy.context.scene.cursor.location = (3, -2, 1)
    bpy.ops.recon.align_cursor(anchor="BASE")
    low, high = np.quantile(world(points), [0.005, 0.995], axis=0)
    np.testing.assert_allclose([*(low + high)[:2] / 2, low[2]], (3, -2, 1), atol=1e-4)
    bpy.ops.recon.set_dimension(axis="Y", size=2.5)
    low, high = np.quantile(world(points), [0.005, 0.995], axis=0)
    assert abs(high[1] - low[1] - 2.5) < 1e-3
    np.testing.assert_allclose([*(low + high)[:2] / 2, low[2]], (3, -2, 1), atol=1e-3)


def test_umeyama_is_exact():
    random = np.random.default_rng(1)
    source = random.normal(size=(20, 3))
    matrix = np.array(Matrix.LocRotScale(Vector((1, 2, 3)), Euler((0.4, 1.0, 2.0)), Vector((1.7,) * 3)))
    np.testing.assert_allclose(icp.similarity(source, icp.moved(matrix, source), True), matrix, atol=1e-5)
    rigid = icp.similarity(source, icp.moved(matrix, source), False)
    np.testing.assert_allclose(rigid[:3, :3] @ rigid[:3, :3].T, np.eye(3), atol=1e-9)


def test_upright_stays_upright():
    source = lopsided(1500, seed=2)
    turn = np.array(Matrix.Rotation(np.radians(130), 3, "Z"))
    off = 0.6 * source @ turn.T + (1, 2, 3)
    found = icp.align(icp.Side(off), icp.Side(lopsided(4000, seed=1)), upright=True)
    assert np.linalg.norm(icp.moved(found.matrix, off) - source, axis=1).mean() < 0.03
    np.testing.assert_allclose(found.matrix[2, :2], 0, atol=1e-12)
    matrix = icp.upright_similarity(source, off, True)
    np.testing.assert_allclose(icp.moved(matrix, source), off, atol=1e-9)


def test_icp_converges_from_45_degrees_and_30_percent():
    target, good = icp.Side(lopsided(5000, seed=1)), 0
    source = lopsided(2000, seed=2)
    random = np.random.default_rng(0)
    start = time.perf_counter()
    for trial in range(10):
        axis = random.normal(size=3)
        turn = np.array(Matrix.Rotation(np.radians(45), 3, Vector(axis)))
        scale = 1.3 if trial % 2 else 0.7
        off = scale * source @ turn.T + random.normal(size=3) * 0.3
        found = icp.align(icp.Side(off), target, use_turns=False)
        error = np.linalg.norm(icp.moved(found.matrix, off) - source, axis=1).mean()
        good += error < 0.03
        assert found.rms_after < found.rms_before
    print(f"icp: {good} of 10, {(time.perf_counter() - start) / 10:.2f} s each")
    assert good >= 9


def test_align_to_a_mesh_and_numbers():
    bpy.ops.mesh.primitive_monkey_add(size=1.0, rotation=(0, 0, 2.2), location=(4, 0, 0))
    monkey = bpy.context.active_object
    modifier = monkey.modifiers.new("more", "SUBSURF")
    modifier.levels = 3
    bpy.context.view_layer.update()
    from blender_addon.surfaces import samples_of

    xyz, _ = samples_of(monkey, 2000, seed=5)
    back = np.array(monkey.matrix_world.inverted())
    points = add("cloud", icp.moved(back, xyz) * 0.8)
    settings = bpy.context.scene.recon
    settings.target = monkey
    start = time.perf_counter()
    assert bpy.ops.recon.align_object() == {"FINISHED"}
    print(f"to mesh: {time.perf_counter() - start:.2f} s")
    assert np.linalg.norm(world(points) - xyz, axis=1).max() < 0.1
    before, after = points_object.record_of(points)["alignment"]["RMS distance"]
    assert after < 0.1 * before
    settings.limit = 0.05
    assert bpy.ops.recon.compare() == {"FINISHED"}
    found = points_object.record_of(points)["comparison"]
    assert found["precision"] > 0.95
    assert found["coverage"] > 0.95
    assert points.recon.color_by == "DISTANCE"
    distance = points_object.get_attribute(points.data, "distance")
    assert abs(distance.mean() - found["accuracy"]) < 1e-5


def test_parts_decide_between_symmetric_turns():
    random = np.random.default_rng(0)
    xyz = (random.random((3000, 3)) - 0.5) * (1.0, 0.4, 0.3)
    labels = np.where(xyz[:, 0] > 0, 1, 2).astype(np.uint8)
    target = add("target", xyz, labels, ("head", "tail"))
    turned = xyz * (-1, -1, 1)
    swapped = np.where(labels == 1, 2, 1).astype(np.uint8)  # the same parts, listed in another order
    points = add("cloud", turned[:1000], swapped[:1000], ("tail", "head"))
    settings = bpy.context.scene.recon
    settings.target, settings.use_parts, settings.use_scale = target, True, False
    assert bpy.ops.recon.align_object() == {"FINISHED"}
    assert np.linalg.norm(world(points) - xyz[:1000], axis=1).mean() < 0.05


def test_refusals():
    points = add("cloud", lopsided(100))
    with pytest.raises(RuntimeError, match="Choose a target"):
        bpy.ops.recon.align_object()
    with pytest.raises(RuntimeError, match="photo of this cloud"):
        bpy.ops.recon.align_photo()
    bpy.context.scene.recon.target = add("few", lopsided(5))
    placing.select_only(points)
    with pytest.raises(RuntimeError, match="at least 10 points"):
        bpy.ops.recon.align_object()
    bpy.context.scene.recon.use_parts = True
    with pytest.raises(RuntimeError, match="needs parts"):
        bpy.ops.recon.align_object()


def test_object_deleted_meanwhile_is_one_line(monkeypatch):
    points = add("cloud", lopsided(300))
    bpy.context.scene.recon.target = add("target", lopsided(300))
    placing.select_only(points)
    monkeypatch.setattr(session, "start", session.jobs.start)
    bpy.ops.recon.align_object()
    bpy.data.objects.remove(points)
    (job,) = session.jobs.active
    job.wait(20)
    session.poll()
    assert "renamed or deleted" in session.message


def test_chamfer_against_brute_force():
    from blender_addon.compare import compare

    random = np.random.default_rng(0)
    one, other = random.random((60, 3)), random.random((80, 3))
    matrix = np.linalg.norm(one[:, None] - other[None], axis=2)
    found = compare(one, other, 0.15)
    np.testing.assert_allclose(found.distance, matrix.min(1), atol=1e-6)
    np.testing.assert_allclose(found.chamfer, matrix.min(1).mean() + matrix.min(0).mean(), atol=1e-6)
    np.testing.assert_allclose(found.precision, (matrix.min(1) <= 0.15).mean())
    np.testing.assert_allclose(found.coverage, (matrix.min(0) <= 0.15).mean())
