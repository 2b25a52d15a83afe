# SPDX-License-Identifier: Apache-2.0
"""A folder of images to a grid of clouds: order, places, records, failures, cancelling, files meanwhile."""

from pathlib import Path

import bpy
import numpy as np
import pytest
import tiny_model

from blender_addon import batch, log, operators_batch, points_object, session
from blender_addon.jobs import CANCELLED, Job, UserError
from blender_addon.png import write_png


@pytest.fixture
def folder(settings, tmp_path: Path) -> Path:
    """Three images that are fine, one without an object, one that is no image, and something else."""
    found = tmp_path / "chairs"
    found.mkdir()
    for index, name in enumerate(("chair10.png", "chair2.png", "Chair1.PNG")):
        photo = tiny_model.photo()
        photo[..., :3] = photo[..., :3] // (index + 2)
        write_png(found / name, photo)
    write_png(found / "clear.png", np.zeros((20, 20, 4), np.uint8))
    (found / "broken.png").write_bytes(b"no image")
    (found / "notes.txt").write_text("no image either")
    (found / ".hidden.png").write_bytes(b"")
    settings.batch_folder, settings.image = str(found), None
    return found


def counts() -> dict[str, int]:
    kinds = ("objects", "meshes", "images", "materials", "node_groups", "texts", "collections")
    return {kind: len(getattr(bpy.data, kind)) for kind in kinds}


def start_unwatched(monkeypatch) -> Job:
    """Start as a Blender with a window does, but with the timers in the test's hands."""
    monkeypatch.setattr(operators_batch, "_run", lambda job, feed, paths, wait: session.jobs.start(job))
    return operators_batch.start(bpy.context.scene)


def test_a_folder_becomes_a_grid_in_a_collection(folder):
    bpy.context.scene.cursor.location = (5, 0, 0)
    bpy.context.scene.recon.batch_spacing = 1.5
    assert bpy.ops.recon.reconstruct_folder() == {"FINISHED"}
    collection = bpy.data.collections["chairs clouds"]
    clouds = sorted(collection.objects, key=lambda one: (one.location.y, one.location.x))
    assert [one.name for one in clouds] == ["Chair1 points", "chair2 points", "chair10 points"]
    places = [tuple(one.location) for one in clouds]
    assert places == [(5, 0, 0), (6.5, 0, 0), (5, 1.5, 0)]
    assert all(points_object.is_points(one) for one in clouds)
    assert len(bpy.data.objects) == 3
    assert bpy.context.active_object == clouds[0]
    for one in clouds:
        record = points_object.record_of(one)
        assert one.name.startswith(Path(record["image"]).stem)
        assert record["engine"] == "Blender"
        assert record["camera"]["width"] == 200


def test_each_cloud_is_the_one_of_its_image_alone(folder):
    bpy.ops.recon.reconstruct_folder()
    together = points_object.vertices_of(bpy.data.objects["chair2 points"].data)
    bpy.context.scene.recon.image = bpy.data.images.load(str(folder / "chair2.png"))
    bpy.ops.recon.reconstruct()
    alone = points_object.vertices_of(bpy.context.active_object.data)
    np.testing.assert_array_equal(together, alone)
    other = points_object.vertices_of(bpy.data.objects["chair10 points"].data)
    assert np.abs(other - alone).max() > 1e-6  # the model's answer depends on the image


def test_failures_are_one_line_and_listed(folder):
    bpy.ops.recon.reconstruct_folder()
    assert session.message.startswith("2 of 5 images failed. The first: broken.png has no pixels")
    assert "\n" not in session.message
    text = log.found().as_string()
    assert text.count("broken.png") == 2  # in the heading and in the list
    assert "clear.png: " in text
    assert "Traceback" not in text  # both are foreseen
    assert {image.name for image in bpy.data.images} == {
        "chair.png",
        "chair2.png",
        "chair10.png",
        "Chair1.PNG",
    }


def test_without_any_success_nothing_is_placed(folder):
    for path in folder.glob("[cC]hair*"):
        path.unlink()
    before = counts()
    with pytest.raises(RuntimeError, match="All 2 images failed"):
        bpy.ops.recon.reconstruct_folder()
    assert {**counts(), "texts": before["texts"]} == before
    assert log.found().as_string().count("All 2 images failed") == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"batch_folder": ""}, "No folder is chosen"),
        ({"batch_folder": "/no/such/folder"}, "cannot be read"),
        ({"mask_source": "IMAGE"}, "belongs to one image"),
        ({"model_path": "/no/such/model.onnx"}, "does not exist"),
        ({"engine": "WORKER"}, "No training run is chosen"),
    ],
)
def test_refusals_are_one_line(folder, change, said):
    before = counts()
    for name, value in change.items():
        setattr(bpy.context.scene.recon, name, value)
    with pytest.raises(RuntimeError, match=said):
        bpy.ops.recon.reconstruct_folder()
    assert "\n" not in session.message
    assert counts() == before


def test_an_empty_folder_is_refused(settings, tmp_path):
    (tmp_path / "empty").mkdir()
    settings.batch_folder = str(tmp_path / "empty")
    with pytest.raises(RuntimeError, match="holds no images"):
        bpy.ops.recon.reconstruct_folder()


def test_cancel_between_images_leaves_nothing(folder, monkeypatch):
    before = counts()
    job = start_unwatched(monkeypatch)
    assert not bpy.ops.recon.reconstruct_folder.poll()
    assert not bpy.ops.recon.reconstruct.poll()
    bpy.ops.recon.cancel()
    assert job.wait(5)
    session.poll()
    assert job.state == CANCELLED
    assert counts() == before


def test_a_file_loaded_meanwhile_cancels(folder, monkeypatch):
    job = start_unwatched(monkeypatch)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    session.poll()
    assert job.state == CANCELLED
    assert not bpy.data.objects


def test_the_timer_feeds_one_image_at_a_time_and_ends(folder):
    job, feed = Job("x", lambda job: None, lambda result: None), batch.Feed()
    feeder = operators_batch._Feeder(job, feed, [folder / "chair2.png", folder / "broken.png"])
    before = counts()
    assert feeder() is not None
    assert feed.full
    assert feeder() is not None  # not taken yet: nothing more is read
    assert feed.take(job).shape == (160, 200, 4)
    assert feeder() is not None
    with pytest.raises(UserError):
        feed.take(job)
    assert feeder() is None
    assert counts() == before


def test_the_timer_goes_with_the_addon(folder, addon):
    job = Job("x", lambda job: None, lambda result: None)
    feeder = operators_batch._Feeder(job, batch.Feed(), [folder / "chair2.png"])
    bpy.app.timers.register(feeder, first_interval=100)
    operators_batch._feeder = feeder
    addon.unregister()
    assert not bpy.app.timers.is_registered(feeder)
    addon.register()


def test_images_stay_when_the_file_is_saved(folder, tmp_path):
    bpy.ops.recon.reconstruct_folder()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    points = bpy.data.objects["chair2 points"]
    assert points[points_object.IMAGE].name == points_object.record_of(points)["image"] == "chair2.png"
    bpy.context.view_layer.objects.active = points
    assert bpy.ops.recon.align_photo() == {"FINISHED"}


def test_many_points_are_drawn_cheaply():
    assert operators_batch.shape_for(1000) == "SPHERE"
    assert operators_batch.shape_for(100_000) == "CUBE"
    assert operators_batch.shape_for(10_000_000) == "POINT"


def test_progress_counts_images():
    job = Job("x", lambda job: None, lambda result: None)
    share = batch.Share(job, 3, 4, "d.png")
    share.report(0.5, "Predicting")
    assert job.fraction == pytest.approx(0.875)
    assert job.stage == "4 of 4: d.png"
    share.fraction = 1.0
    assert job.fraction == 1.0
    job.cancel()
    assert share.cancelling
