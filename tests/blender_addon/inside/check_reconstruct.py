# SPDX-License-Identifier: Apache-2.0
"""From an image to points in the scene, and everything that can happen meanwhile."""

import json
import os

import bpy
import numpy as np
import pytest
import tiny_model
from conftest import new_image

from blender_addon import engine_onnx, points_object, session
from blender_addon.jobs import CANCELLED, DONE, Job


def data_counts() -> dict[str, int]:
    kinds = ("objects", "meshes", "images", "materials", "node_groups", "texts", "cameras")
    return {kind: len(getattr(bpy.data, kind)) for kind in kinds}


def start(wait: bool = False) -> Job:
    from blender_addon.operators_reconstruct import start_reconstruction

    return start_reconstruction(bpy.context.scene, wait)


def start_unpolled(monkeypatch) -> Job:
    """Start without waiting, as a Blender with a window does."""
    monkeypatch.setattr(session, "start", lambda job, wait: session.jobs.start(job))
    return start()


def test_reconstruct_makes_points_with_attributes(settings):
    assert bpy.ops.recon.reconstruct() == {"FINISHED"}
    points = bpy.context.active_object
    expected = tiny_model.fixed_cloud()
    mesh = points.data
    assert points_object.is_points(points)
    assert np.abs(points_object.vertices_of(mesh)[:, :2] - expected["xyz"][:, :2]).max() < 1e-6
    labels = points_object.get_attribute(mesh, "label")
    np.testing.assert_array_equal(labels, expected["parts"].argmax(1) + 1)
    np.testing.assert_allclose(points_object.get_attribute(mesh, "opacity"), expected["opacity"], atol=1e-6)
    np.testing.assert_allclose(points_object.get_attribute(mesh, "confidence"), 0.8, atol=1e-6)
    colors = points_object.srgb_bytes(points_object.get_attribute(mesh, "color")[:, :3])
    np.testing.assert_array_equal(colors, np.rint(expected["color"] * 255))
    assert [part.name for part in points.recon.parts] == list(tiny_model.PARTS)
    assert sum(part.count for part in points.recon.parts) == 600


def test_record_says_where_the_points_come_from(settings, model):
    bpy.ops.recon.reconstruct()
    record = points_object.record_of(bpy.context.active_object)
    assert record["image"] == "chair.png"
    assert record["model"] == str(model)
    assert record["model_name"] == "box (tiny)"
    assert record["camera"]["width"] == 200
    json.dumps(record)


def test_the_model_sees_the_crop_of_training(settings):
    mean = float(os.environ.get("RECON_TEST_CROP_MEAN", "nan"))  # by the library's own crop
    if np.isnan(mean):
        pytest.skip("not started by test_inside.py")
    bpy.ops.recon.reconstruct()
    moved = (
        points_object.vertices_of(bpy.context.active_object.data)[:, 2]
        - tiny_model.fixed_cloud()["xyz"][:, 2]
    )
    assert np.abs(moved - mean * 1e-6).max() < 1e-6


def test_without_colors_they_are_looked_up_in_the_photo(settings, tmp_path):
    settings.model_path = str(tiny_model.write_model(tmp_path / "plain.onnx", with_color=False))
    bpy.ops.recon.reconstruct()
    points = bpy.context.active_object
    found = points_object.srgb_bytes(points_object.get_attribute(points.data, "color")[:, :3])
    photo = {tuple(pixel) for pixel in tiny_model.photo()[30:130, 90:170, :3].reshape(-1, 3)}
    assert {tuple(color) for color in found} <= photo
    assert points_object.record_of(points)["color"] == "looked up in the photo"


def test_cancel_leaves_nothing(settings, monkeypatch):
    before = data_counts()
    job = start_unpolled(monkeypatch)
    bpy.ops.recon.cancel()
    job.wait(5)
    session.poll()
    assert job.state == CANCELLED
    assert data_counts() == before


def test_file_loaded_meanwhile_cancels(settings, monkeypatch):
    job = start_unpolled(monkeypatch)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    session.poll()
    assert job.state == CANCELLED
    assert not bpy.data.objects


def test_image_deleted_meanwhile_does_not_matter(settings, monkeypatch):
    job = start_unpolled(monkeypatch)
    bpy.data.images.remove(settings.image)
    job.wait(10)
    session.poll()
    assert job.state == DONE
    assert points_object.is_points(bpy.context.active_object)


def test_one_reconstruction_at_a_time(settings, monkeypatch):
    job = start_unpolled(monkeypatch)
    with pytest.raises(Exception, match="already running"):
        start_unpolled(monkeypatch)
    job.wait(10)
    session.poll()


def refusal() -> str:
    before = data_counts()
    with pytest.raises(RuntimeError):
        bpy.ops.recon.reconstruct()
    after = data_counts()
    after["texts"] = before["texts"]  # the details of the error
    assert after == before
    assert "\n" not in session.message
    return session.message


def test_errors_are_one_line(settings, model, tmp_path):
    settings.image = None
    assert "No image is chosen" in refusal()
    (tmp_path / "empty.png").write_bytes(b"")
    settings.image = bpy.data.images.load(str(tmp_path / "empty.png"))
    assert "no pixels" in refusal()
    settings.image = new_image("clear", np.zeros((20, 20, 4), np.uint8))
    assert "empty" in refusal()
    settings.image = new_image("chair")
    settings.mask_source = "IMAGE"
    assert "No mask image" in refusal()
    settings.mask_source = "AUTO"
    settings.model_source = "BUNDLED"
    if not engine_onnx.BUNDLED.is_file():
        assert "brings no model" in refusal()
    settings.model_source, settings.model_path = "FILE", str(tmp_path / "none.onnx")
    assert "does not exist" in refusal()


def test_broken_models_are_one_line(settings, model):
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    assert "changed or cut off" in refusal()
    tiny_model.write_card(model)
    assert "cannot be loaded" in refusal()
    model.write_bytes(whole)
    tiny_model.write_card(model, input={})
    engine_onnx.forget_models()
    assert "lacks what the add-on needs" in refusal()
    model.with_suffix(".json").unlink()
    engine_onnx.forget_models()
    assert "not beside it" in refusal()


def test_mask_image_and_plain_background(settings):
    rgba = tiny_model.photo()
    mask = np.dstack([rgba[..., 3]] * 3 + [np.full(rgba.shape[:2], 255)]).astype(np.uint8)
    opaque = np.where(rgba[..., 3:] > 100, rgba, 255).astype(np.uint8)
    opaque[..., 3] = 255
    settings.image, settings.mask_image, settings.mask_source = (
        new_image("o", opaque),
        new_image("m", mask),
        "IMAGE",
    )
    bpy.ops.recon.reconstruct()
    one = points_object.record_of(bpy.context.active_object)["crop"]
    settings.mask_source = "ESTIMATE"
    bpy.ops.recon.reconstruct()
    other = points_object.record_of(bpy.context.active_object)["crop"]
    assert np.abs(np.subtract(one, other)).max() < 4


def test_reconstruct_again(settings):
    bpy.ops.recon.reconstruct()
    settings.image = None
    assert bpy.ops.recon.reconstruct_again() == {"FINISHED"}
    assert len([one for one in bpy.data.objects if points_object.is_points(one)]) == 2


def test_show_crop_and_paint_mask(settings):
    from blender_addon import crop_preview

    before = len(bpy.data.images)
    assert bpy.ops.recon.show_crop() == {"FINISHED"}
    assert crop_preview.shown()
    assert len(bpy.data.images) == before
    bpy.ops.recon.paint_mask()
    assert settings.mask_source == "IMAGE"
    bpy.ops.recon.reconstruct()
