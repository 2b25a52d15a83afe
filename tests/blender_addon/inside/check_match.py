# SPDX-License-Identifier: Apache-2.0
"""The camera that shows any object as a photo does: alternatives, cancelling, nothing left behind."""

import threading
from pathlib import Path

import bpy
import numpy as np
import pytest
from conftest import new_image

from blender_addon import (
    placing,
    points_object,
    pose_search,
    scene_camera,
    session,
    worker_client,
    worker_jobs,
    worker_photo,
)
from blender_addon.cloud import Cloud
from blender_addon.jobs import CANCELLED, DONE, FAILED, Cancelled, UserError
from blender_addon.photo_camera import PhotoCamera
from blender_addon.ply import read_ply
from blender_addon.refine_jobs import as_transforms

WIDTH, HEIGHT = 200, 160


def lopsided(count: int = 6000) -> np.ndarray:
    """Points on an L of three different boxes: no symmetry."""
    random = np.random.default_rng(0)
    boxes = [
        ((0, 0, 0.1), (0.8, 0.5, 0.2)),
        ((-0.35, 0, 0.5), (0.1, 0.5, 0.8)),
        ((0.3, 0.2, 0.3), (0.1, 0.1, 0.4)),
    ]
    parts = [(random.random((count // 3, 3)) - 0.5) * size + np.array(center) for center, size in boxes]
    return np.concatenate(parts)


def view(azimuth_deg: float, elevation_deg: float, distance: float = 2.5) -> PhotoCamera:
    """A camera that orbits the origin, of a photo of WIDTH x HEIGHT."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[2, 3] = pose_search.rotation_of(azimuth_deg, elevation_deg), -distance
    return PhotoCamera(matrix, 220.0, WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)


def photo_of(xyz: np.ndarray, camera: PhotoCamera) -> np.ndarray:
    """A photo (H,W,4): grey where the points are, transparent elsewhere."""
    shown, _ = pose_search.splat(xyz, camera)
    rgba = np.full((HEIGHT, WIDTH, 4), 120, np.uint8)
    rgba[..., 3] = np.where(shown, 255, 0)
    return rgba


def mesh_object(name: str, xyz: np.ndarray, faces=()):
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(xyz.tolist(), [], list(faces))
    made = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(made)
    placing.select_only(made)
    bpy.context.view_layer.update()
    return made


class FakeWorker:
    """Answers in this process what a test wants; keeps the last message, and the files that came with it."""

    def __init__(self, folder: Path, answer) -> None:
        self.folder, self._answer = folder, answer
        self.message: dict = {}

    def run(self, message: dict, job):
        self.message = message
        return self._answer(self, message, job)

    def inside(self, path) -> Path:
        return self.folder / path


def place_record(*views: PhotoCamera) -> dict:
    """The record of a placement whose views of the object are these."""
    told = [
        {
            "pose": {"camera": as_transforms(one)},
            "object_to_cam": one.world_to_cam.tolist(),
            "apart_deg": 40.0 * k,
        }
        for k, one in enumerate(views)
    ]
    return {**told[0], "alternatives": told[1:]}


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """start(answer) makes a fake worker the chosen one."""

    def start(answer) -> FakeWorker:
        made = FakeWorker(tmp_path, answer)
        monkeypatch.setattr(worker_jobs, "command", lambda: ["recon", "worker"])
        monkeypatch.setattr(worker_client, "worker_for", lambda line, read: made)
        return made

    return start


def choose(xyz: np.ndarray, camera: PhotoCamera):
    settings = bpy.context.scene.recon
    settings.image = new_image("photo.png", photo_of(xyz, camera))
    return settings


def projected(made, scene) -> np.ndarray:
    """Where the scene's camera shows an object's vertices, in pixels of the photo."""
    bpy.context.view_layer.update()
    return scene_camera.of_scene(scene, made, WIDTH, HEIGHT).project(points_object.vertices_of(made.data))


def small_of(worker: FakeWorker, camera: PhotoCamera) -> PhotoCamera:
    """A camera of the photo as the worker would tell it."""
    blank = np.zeros((HEIGHT, WIDTH), np.uint8)
    return worker_photo.for_worker(np.zeros((HEIGHT, WIDTH, 3), np.uint8), blank).small(camera)


@pytest.mark.parametrize("kind", ["mesh", "cloud"])
def test_the_camera_is_set_for_an_object_that_stands_anywhere(worker, kind):
    xyz = lopsided()
    middle = (xyz.max(0) + xyz.min(0)) / 2
    truth = view(40, 20)
    settings = choose(xyz - middle, truth)
    settings.match_focal_mm = 50.0
    asked = worker(lambda one, message, job: {"record": place_record(small_of(one, truth))})
    if kind == "mesh":
        made = mesh_object("thing", xyz / 2)
    else:
        made = placing.add_cloud("thing", Cloud((xyz / 2).astype(np.float32)), {})
    made.location, made.scale = (3, -4, 5), (2, 2, 2)
    bpy.context.view_layer.update()
    assert bpy.ops.recon.match_photo() == {"FINISHED"}, session.message
    scene = bpy.context.scene
    np.testing.assert_allclose(projected(made, scene), truth.project(xyz - middle), atol=0.05)
    assert scene.camera.data.background_images[0].image == settings.image
    assert (scene.render.resolution_x, scene.render.resolution_y) == (WIDTH, HEIGHT)
    found = points_object.record_of(made)["match"]
    assert found["before"] is None
    assert found["solutions"][0]["iou"] > 0.8
    assert asked.message["up"] is True
    padded = small_of(asked, truth).width
    assert asked.message["focal_mm"] == pytest.approx(50.0 * WIDTH / padded, rel=1e-6)
    assert not list(asked.folder.glob("place_*"))
    assert bpy.ops.recon.match_photo() == {"FINISHED"}
    assert points_object.record_of(made)["match"]["before"] > 0.8  # the camera stands right already
    assert len(bpy.data.cameras) == 1


def test_what_the_worker_gets(worker):
    xyz = lopsided(600)
    seen = {}

    def look(one, message, job):
        seen["cloud"] = read_ply(one.folder / message["object"])
        seen["png"] = (one.folder / message["image"]).read_bytes()[:8]
        return {"record": place_record(view(0, 0))}

    worker(look)
    choose(xyz, view(0, 0))
    colors = np.full((len(xyz), 3), 200, np.uint8)
    labels = np.where(xyz[:, 2] > 0.3, 1, 2).astype(np.uint8)
    points = placing.add_cloud(
        "thing", Cloud(xyz.astype(np.float32), colors, labels, parts=["top", "base"]), {}
    )
    points.recon.parts[0].visible = False
    bpy.ops.recon.match_photo()
    assert len(seen["cloud"]) == int((labels == 2).sum())  # hidden points are not matched
    assert seen["png"] == b"\x89PNG\r\n\x1a\n"
    np.testing.assert_allclose(seen["cloud"].colors, 200, atol=1)
    points_object.set_record(points, {"color": "by height"})
    bpy.ops.recon.match_photo()
    assert seen["cloud"].colors is None


def test_alternatives_are_cycled_through(worker):
    xyz = lopsided()
    choose(xyz, view(40, 20))
    worker(
        lambda one, message, job: {
            "record": place_record(*(small_of(one, view(a, 20)) for a in (40, 130, 220)))
        }
    )
    made = mesh_object("thing", xyz)
    bpy.ops.recon.match_photo()
    scene, seen = bpy.context.scene, []
    for index in (0, 1, 2, 0):
        bpy.context.view_layer.update()
        assert points_object.record_of(made)["match"]["index"] == index
        seen.append(np.array(scene.camera.matrix_world))
        assert bpy.ops.recon.next_solution() == {"FINISHED"}
    np.testing.assert_allclose(seen[0], seen[3], atol=1e-5)
    assert np.abs(seen[0] - seen[1]).max() > 0.5
    solutions = points_object.record_of(made)["match"]["solutions"]
    assert [one["apart_deg"] for one in solutions] == [0, 40, 80]
    assert solutions[0]["iou"] > solutions[1]["iou"]
    bpy.data.objects.remove(made)
    assert not bpy.ops.recon.next_solution.poll()


def test_a_matched_cloud_knows_its_camera(worker, settings):
    bpy.ops.recon.reconstruct()
    points = bpy.context.active_object
    points.scale = (3, 3, 3)
    bpy.context.view_layer.update()
    worker(lambda one, message, job: {"record": place_record(small_of(one, view(10, 5, 8)))})
    bpy.ops.recon.match_photo()
    record = points_object.record_of(points)
    assert record["pose"] == "matched"
    camera = PhotoCamera.of_record(record["camera"])
    rotation = camera.world_to_cam[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    before = np.array(bpy.context.scene.camera.matrix_world)
    bpy.ops.recon.align_photo()
    bpy.context.view_layer.update()
    np.testing.assert_allclose(np.array(bpy.context.scene.camera.matrix_world), before, atol=1e-4)


def test_without_a_worker(monkeypatch):
    xyz = lopsided(1500)
    settings = choose(xyz, view(75, 20))
    made = mesh_object("thing", 3 * xyz)
    assert bpy.ops.recon.match_photo() == {"FINISHED"}, session.message
    assert points_object.record_of(made)["match"]["solutions"][0]["iou"] > 0.7
    settings.match_moves = "OBJECT"
    bpy.context.scene.render.resolution_x, bpy.context.scene.render.resolution_y = WIDTH, HEIGHT
    with pytest.raises(RuntimeError, match=r"No worker is set.*only Set Camera"):
        bpy.ops.recon.match_photo()


@pytest.mark.parametrize("what", ["cancel", "deleted", "photo renamed"])
def test_what_happens_meanwhile(worker, monkeypatch, what):
    xyz = lopsided(600)
    settings = choose(xyz, view(0, 10))
    made = mesh_object("thing", xyz)
    reached, opened = threading.Event(), threading.Event()

    def answer(one, message, job):
        reached.set()
        while not opened.wait(0.02):
            if job.cancelling:
                raise Cancelled
        return {"record": place_record(small_of(one, view(0, 10)))}

    fake = worker(answer)
    monkeypatch.setattr(session, "start", session.jobs.start)
    before = [len(kind) for kind in (bpy.data.objects, bpy.data.meshes, bpy.data.cameras, bpy.data.images)]
    bpy.ops.recon.match_photo()
    (job,) = session.jobs.active
    assert reached.wait(20)
    if what == "cancel":
        bpy.ops.recon.cancel()
    elif what == "deleted":
        made.name = "another"
    else:
        settings.image.name = "another"
    opened.set() if what != "cancel" else None
    assert job.wait(20)
    session.poll()
    assert job.state == (CANCELLED if what == "cancel" else FAILED)
    assert ("renamed or deleted" in session.message) == (what != "cancel")
    assert [
        len(kind) for kind in (bpy.data.objects, bpy.data.meshes, bpy.data.cameras, bpy.data.images)
    ] == before
    assert not list(fake.folder.glob("place_*"))
    assert job.state != DONE


def test_photos_for_the_worker_keep_pixels_in_place():
    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (90, 130, 3), dtype=np.uint8)
    mask = random.integers(0, 256, (90, 130), dtype=np.uint8)
    for center, side in ((None, 1024), ((10.0, 80.0), 1024), ((60.0, 33.0), 50)):
        made = worker_photo.for_worker(rgb, mask, center, side)
        height, width = made.rgba.shape[:2]
        camera = PhotoCamera(np.eye(4), 100.0, *(center or (65.0, 45.0)), 130, 90)
        small = made.small(camera)
        assert (small.width, small.height) == (width, height)
        assert abs(small.cx - width / 2) < 1
        assert abs(small.cy - height / 2) < 1
        back = made.full(small)
        assert (back.cx, back.cy, back.focal_px, back.width, back.height) == (
            camera.cx,
            camera.cy,
            100.0,
            130,
            90,
        )
        if made.step == 1:
            np.testing.assert_array_equal(
                made.rgba[made.top : made.top + 90, made.left : made.left + 130], np.dstack((rgb, mask))
            )
        else:
            assert max(height, width) <= side + 2
    with pytest.raises(UserError, match="far past"):
        worker_photo.for_worker(rgb, mask, (1000.0, 0.0))
