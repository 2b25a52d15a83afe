# SPDX-License-Identifier: Apache-2.0
"""Refining by the worker: of a result in the scene, and as the last stage of a reconstruction."""

import json

import bpy
import numpy as np
import pytest
from check_match import FakeWorker
from mathutils import Quaternion

from blender_addon import points_object, scene_camera, session, worker_client, worker_jobs
from blender_addon.jobs import UserError
from blender_addon.photo_camera import PhotoCamera
from blender_addon.ply import read_ply, write_ply

SHIFT = np.float32([0.05, 0, 0])
FIGURES = {
    "iou": [0.6, 0.95],
    "moved": 0.02,
    "turned_deg": 1.0,
    "symmetric": True,
    "steps": 80,
    "seconds": 1.2,
}


def shifted(one: FakeWorker, message: dict, job) -> dict:
    """Moves every point by SHIFT, and the camera with them."""
    source = json.loads((one.folder / message["source"]).read_text())
    cloud = read_ply((one.folder / message["source"]).with_name(source["files"]["cloud"]))
    cloud.xyz = cloud.xyz + SHIFT
    write_ply(one.folder / "refined.ply", cloud)
    camera = dict(source["pose"]["camera"])
    moved = np.array(camera["transform_matrix"])
    moved[:3, 3] += SHIFT
    camera["transform_matrix"] = moved.tolist()
    return {
        "cloud": "refined.ply",
        "record": {"pose": {"camera": camera}, "refine": {**FIGURES, "objective": [2, 1]}},
    }


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """start(answer) makes a fake worker the chosen one."""

    def start(answer=shifted) -> FakeWorker:
        made = FakeWorker(tmp_path, answer)
        monkeypatch.setattr(worker_jobs, "command", lambda: ["recon", "worker"])
        monkeypatch.setattr(worker_client, "worker_for", lambda line, read: made)
        return made

    return start


def test_a_result_is_refined_where_it_stands(worker, settings):
    asked = worker()
    bpy.ops.recon.reconstruct()
    points = bpy.context.active_object
    points.recon.least_confidence = 0.2
    before, labels = points_object.vertices_of(points.data), points_object.get_attribute(points.data, "label")
    camera = PhotoCamera.of_record(points_object.record_of(points)["camera"])
    bpy.ops.recon.align_photo()
    assert bpy.ops.recon.refine() == {"FINISHED"}, session.message
    np.testing.assert_allclose(points_object.vertices_of(points.data), before + SHIFT, atol=1e-6)
    np.testing.assert_array_equal(points_object.get_attribute(points.data, "label"), labels)
    record = points_object.record_of(points)
    assert record["refined"] == FIGURES
    moved = PhotoCamera.of_record(record["camera"])
    np.testing.assert_allclose(moved.project(before + SHIFT), camera.project(before), atol=0.02)
    assert asked.message["steps"] == 120
    assert not list(asked.folder.glob("refine_*"))
    # The scene's camera, which stood at the photo's, has followed.
    bpy.context.view_layer.update()
    seen = scene_camera.of_scene(bpy.context.scene, points, camera.width, camera.height)
    np.testing.assert_allclose(seen.project(before + SHIFT), camera.project(before), atol=0.05)
    settings.refine_steps = 33
    bpy.ops.recon.refine()
    assert asked.message["steps"] == 33
    bpy.ops.recon.refine(steps=7)
    assert asked.message["steps"] == 7


def test_refining_as_the_last_stage(worker, settings):
    bpy.ops.recon.reconstruct()
    plain = points_object.vertices_of(bpy.context.active_object.data)
    asked = worker()
    settings.refine_steps = 50
    assert bpy.ops.recon.reconstruct() == {"FINISHED"}, session.message
    points = bpy.context.active_object
    np.testing.assert_allclose(points_object.vertices_of(points.data), plain + SHIFT, atol=1e-6)
    assert points_object.record_of(points)["refined"]["iou"] == [0.6, 0.95]
    assert asked.message["steps"] == 50
    assert session.message == ""


def test_a_reconstruction_survives_what_cannot_be_refined(worker, settings, tmp_path):
    def broken(one, message, job):
        raise UserError("The outline is empty.")

    worker(broken)
    settings.refine_steps = 50
    assert bpy.ops.recon.reconstruct() == {"FINISHED"}
    assert session.message == "Not refined: The outline is empty."
    assert len(bpy.context.active_object.data.vertices) == 600
    import tiny_model

    settings.model_path = str(tiny_model.write_model(tmp_path / "no_pose.onnx", with_pose=False))
    assert bpy.ops.recon.reconstruct() == {"FINISHED"}
    assert "predicts no pose" in session.message
    with pytest.raises(RuntimeError, match="use To Photo or Match to Photo first"):
        bpy.ops.recon.refine()


def told_of(one: FakeWorker, message: dict, job) -> dict:
    """As `shifted`, with all points yellow; keeps the source and the cloud that it was asked with."""
    one.source = json.loads((one.folder / message["source"]).read_text())
    one.cloud = read_ply((one.folder / message["source"]).with_name(one.source["files"]["cloud"]))
    answer = shifted(one, message, job)
    cloud = read_ply(one.folder / "refined.ply")
    cloud.colors = np.tile(np.uint8([250, 200, 0]), (len(cloud), 1))
    write_ply(one.folder / "refined.ply", cloud)
    answer["record"]["refine"]["colors"] = {"seen": 0.5, "psnr_db": [15.0, 25.0]}
    return answer


def test_all_viewpoints_of_a_prediction_are_tried(worker, settings, tmp_path):
    """The worker is told of them while the camera is the predicted one, and not of a camera that came out of it."""
    import tiny_model

    turns = np.stack([tiny_model.rotation(azimuth) for azimuth in (30.0, 140.0, 250.0)])
    more = {"rotations": turns, "rotation_scores": np.float32([0.3, 0.6, 0.1])}
    settings.model_path = str(tiny_model.write_model(tmp_path / "several.onnx", more=more))
    bpy.ops.recon.reconstruct()
    points = bpy.context.active_object
    asked = worker(told_of)
    assert bpy.ops.recon.refine() == {"FINISHED"}, session.message
    told = asked.source["pose"]["hypotheses"]
    assert [one["score"] for one in told] == pytest.approx([0.6, 0.3, 0.1])
    for one, turn in zip(told, turns[[1, 0, 2]]):
        found = np.array(Quaternion(one["quaternion_wxyz"]).to_matrix())
        np.testing.assert_allclose(found, turn, atol=1e-5)
    assert "hypotheses" not in points_object.record_of(points)["camera"]
    assert bpy.ops.recon.refine() == {"FINISHED"}
    assert asked.source["pose"]["hypotheses"] == []


def test_colours_are_those_that_the_worker_found(worker, settings, tmp_path):
    """Predicted ones are sent along, those that were looked up are not; the record says where they are from now."""
    import tiny_model

    for with_color in (True, False):
        model = tiny_model.write_model(tmp_path / f"{with_color}.onnx", with_color=with_color)
        settings.model_path, settings.refine_steps = str(model), 9
        asked = worker(told_of)
        assert bpy.ops.recon.reconstruct() == {"FINISHED"}, session.message
        points = bpy.context.active_object
        assert (asked.cloud.colors is not None) == with_color
        assert points_object.record_of(points)["color"] == "fitted to the photo"
        colors = points_object.get_attribute(points.data, "color")[:, :3]
        assert (points_object.srgb_bytes(colors) == (250, 200, 0)).all()


def test_without_a_worker(settings):
    settings.refine_steps = 50
    with pytest.raises(RuntimeError, match=r"Refining is done by the worker. No worker is set"):
        bpy.ops.recon.reconstruct()
    settings.refine_steps = 0
    bpy.ops.recon.reconstruct()
    with pytest.raises(RuntimeError, match="No worker is set"):
        bpy.ops.recon.refine()


@pytest.mark.parametrize("fault", ["fewer points", "no camera", "cut off"])
def test_answers_that_cannot_be_used(worker, settings, fault):
    def answer(one, message, job):
        told = shifted(one, message, job)
        if fault == "no camera":
            told["record"] = {"refine": FIGURES}
        elif fault == "fewer points":
            cloud = read_ply(one.folder / "refined.ply")
            cloud.xyz, cloud.colors, cloud.labels = cloud.xyz[:-1], None, None
            cloud.opacity = cloud.confidence = cloud.visibility = None
            write_ply(one.folder / "refined.ply", cloud)
        else:
            data = (one.folder / "refined.ply").read_bytes()
            (one.folder / "refined.ply").write_bytes(data[:-5])
        return told

    bpy.ops.recon.reconstruct()
    points = bpy.context.active_object
    before = points_object.vertices_of(points.data)
    worker(answer)
    with pytest.raises(RuntimeError, match=r"points for 600|lacks the camera|cut off"):
        bpy.ops.recon.refine()
    np.testing.assert_array_equal(points_object.vertices_of(points.data), before)
