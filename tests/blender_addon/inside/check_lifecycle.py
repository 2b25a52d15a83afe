# SPDX-License-Identifier: Apache-2.0
"""What happens to the scene while a job runs: held up in the middle, every job meets it for sure."""

import threading
from collections.abc import Iterator

import bpy
import numpy as np
import pytest

from blender_addon import (
    compare,
    icp,
    photo_camera,
    pipeline,
    placing,
    points_object,
    pose_search,
    session,
)
from blender_addon.cloud import Cloud
from blender_addon.jobs import CANCELLED, DONE, FAILED, Job


class Gate:
    """Holds the work of a job up at its first report, on its own thread, until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def wrap(self, function):
        def held(*arguments, **named):
            self.reached.set()
            assert self.opened.wait(30)
            return function(*arguments, **named)

        return held


@pytest.fixture
def gate(monkeypatch) -> Iterator[Gate]:
    """Jobs run beside Blender, as with a window, and stop at the gate."""
    found = Gate()
    monkeypatch.setattr(session, "start", lambda job, wait=False: session.jobs.start(job))
    monkeypatch.setattr(pipeline, "find_mask", found.wrap(pipeline.find_mask))
    monkeypatch.setattr(icp, "_subset", found.wrap(icp._subset))
    monkeypatch.setattr(compare, "_distances", found.wrap(compare._distances))
    yield found
    found.opened.set()


def running(gate: Gate) -> Job:
    """The job under way, which stands at the gate."""
    (job,) = session.jobs.active
    assert gate.reached.wait(30)
    assert not job.ended
    return job


def finish(gate: Gate, job: Job) -> None:
    """Let the work go on and hand its result over."""
    gate.opened.set()
    assert job.wait(30)
    session.poll()
    assert not session.jobs.active


def two_clouds():
    random = np.random.default_rng(0)
    xyz = (random.random((400, 3)) * (1, 2, 3)).astype(np.float32)
    target = placing.add_cloud("target", Cloud(xyz), {})
    points = placing.add_cloud("cloud", Cloud(xyz + np.float32(0.1)), {})
    bpy.context.scene.recon.target = target
    return points


def datablocks() -> dict[str, int]:
    kinds = ("objects", "meshes", "images", "materials", "node_groups", "cameras", "collections")
    return {kind: len(getattr(bpy.data, kind)) for kind in kinds}


OPERATORS = ("align_object", "compare")


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("how", ["renamed", "deleted", "made something else"])
def test_cloud_changed_meanwhile(gate, operator, how):
    points = two_clouds()
    getattr(bpy.ops.recon, operator)()
    job = running(gate)
    if how == "renamed":
        points.name = "another"
    elif how == "deleted":
        bpy.data.objects.remove(points)
    else:
        points.recon.is_points = False
    where = None if how == "deleted" else points.matrix_world.copy()
    finish(gate, job)
    assert job.state == FAILED
    assert "renamed or deleted" in session.message
    assert where is None or points.matrix_world == where
    assert not bpy.data.texts or "Traceback" not in session.message


@pytest.mark.parametrize("operator", OPERATORS)
def test_target_deleted_meanwhile_does_not_matter(gate, operator):
    two_clouds()
    getattr(bpy.ops.recon, operator)()
    job = running(gate)
    bpy.data.objects.remove(bpy.data.objects["target"])
    finish(gate, job)
    assert job.state == DONE, job.error


def test_points_deleted_meanwhile_are_not_compared(gate):
    points = two_clouds()
    bpy.ops.recon.compare()
    job = running(gate)
    points.data.clear_geometry()
    points.data.vertices.add(3)
    finish(gate, job)
    assert job.state == FAILED
    assert "changed" in session.message


@pytest.mark.parametrize("name", ["chair.png points", "chair.png"])
def test_renamed_before_the_photo_is_found(gate, settings, name, monkeypatch):
    camera = photo_camera.PhotoCamera(np.eye(4), 200.0, 100.0, 80.0, 200, 160)
    monkeypatch.setattr(pose_search, "search", gate.wrap(lambda *_: (camera, 1.0)))
    gate.opened.set()
    bpy.ops.recon.reconstruct()
    (job,) = session.jobs.active
    finish(gate, job)
    points, image = bpy.context.active_object, settings.image
    image.name = "chair.png"
    points_object.set_record(points, {**points_object.record_of(points), "image": image.name})
    gate.reached.clear()
    gate.opened.clear()
    bpy.ops.recon.align_photo(search=True)
    job = running(gate)
    (image if name == "chair.png" else points).name = "another"
    finish(gate, job)
    assert job.state == FAILED
    assert "renamed or deleted" in session.message
    assert not bpy.data.cameras


def test_active_object_deleted_meanwhile(gate, settings):
    two_clouds()
    bpy.ops.recon.reconstruct()
    job = running(gate)
    for one in list(bpy.data.objects):
        bpy.data.objects.remove(one)
    finish(gate, job)
    assert job.state == DONE, job.error
    assert [one for one in bpy.data.objects if points_object.is_points(one)] == [bpy.context.active_object]


def test_scene_deleted_meanwhile(gate, settings):
    bpy.ops.recon.reconstruct()
    job = running(gate)
    first = bpy.context.scene
    bpy.ops.scene.new(type="EMPTY")
    bpy.data.scenes.remove(first)
    finish(gate, job)
    assert job.state == DONE, job.error
    assert points_object.is_points(bpy.context.view_layer.objects.active)


@pytest.mark.parametrize("start", ["reconstruct", "align_object", "compare"])
def test_cancel_in_the_middle(gate, settings, start):
    two_clouds()
    before = datablocks()
    placed = bpy.context.active_object.matrix_world.copy()
    getattr(bpy.ops.recon, start)()
    job = running(gate)
    assert bpy.ops.recon.cancel() == {"FINISHED"}
    finish(gate, job)
    assert job.state == CANCELLED
    assert datablocks() == before
    assert bpy.context.active_object.matrix_world == placed
    assert session.message == ""
    assert bpy.ops.recon.cancel.poll() is False


@pytest.mark.parametrize("start", ["reconstruct", "align_object", "compare"])
def test_file_loaded_in_the_middle(gate, settings, start, tmp_path):
    two_clouds()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    getattr(bpy.ops.recon, start)()
    job = running(gate)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    names = sorted(one.name for one in bpy.data.objects)
    assert job.state == CANCELLED
    gate.opened.set()
    assert job.wait(30)
    session.poll()
    assert sorted(one.name for one in bpy.data.objects) == names == ["cloud", "target"]
    assert bpy.ops.recon.compare() == {"FINISHED"}  # and it works on in the new file
    finish(gate, session.jobs.active[0])
    assert session.jobs.last.state == DONE


def test_unregistered_in_the_middle(gate, settings, addon):
    before = datablocks()
    bpy.ops.recon.reconstruct()
    job = running(gate)
    addon.unregister()
    gate.opened.set()
    assert job.wait(30)
    assert job.state == CANCELLED
    assert datablocks() == before
    addon.register()
