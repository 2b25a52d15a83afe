# SPDX-License-Identifier: Apache-2.0
"""Confidence and visibility of points: kept, shown, hidden by a threshold, and told in the panel's words."""

import bpy
import numpy as np
import tiny_model

from blender_addon import display, panel_trust, placing, points_object, visibility
from blender_addon.cloud import Cloud
from blender_addon.photo_camera import PhotoCamera
from blender_addon.ply import read_ply, write_ply


def camera(azimuth_deg: float = 0.0, elevation_deg: float = 0.0) -> PhotoCamera:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[2, 3] = tiny_model.rotation(azimuth_deg, elevation_deg), -2
    return PhotoCamera(matrix, 200.0, 100.0, 80.0, 200, 160)


def sphere(count: int = 1500) -> np.ndarray:
    xyz = np.random.default_rng(0).normal(size=(count, 3))
    return (0.4 * xyz / np.linalg.norm(xyz, axis=1, keepdims=True)).astype(np.float32)


def cloud(count: int = 200) -> Cloud:
    random = np.random.default_rng(1)
    labels = np.where(np.arange(count) % 2, 1, 2).astype(np.uint8)
    sure = np.linspace(0, 1, count, dtype=np.float32)
    seen = (np.arange(count) * 3 // count).astype(np.uint8)
    xyz = random.random((count, 3)).astype(np.float32)
    return Cloud(xyz, None, labels, confidence=sure, parts=["lid", "pot"], visibility=seen)


def hidden(points) -> np.ndarray:
    return points_object.get_attribute(points.data, points_object.HIDDEN)


def test_a_sphere_is_seen_from_the_front_only():
    xyz = sphere()
    found = visibility.classify(xyz, camera())
    # Near the rim either may be said, and some look through the gaps of a random cloud: points have no normals.
    assert (found[xyz[:, 1] < -0.1] == visibility.SEEN).all()
    assert (found[xyz[:, 1] > 0.1] == visibility.GUESSED).mean() > 0.9


def test_the_far_side_of_a_symmetric_object_is_mirrored():
    xyz = sphere()
    found = visibility.classify(xyz, camera(azimuth_deg=90))  # it looks along the mirror's normal
    far = xyz[:, 0] < -0.1
    assert (found[far] == visibility.MIRRORED).mean() > 0.95
    lopsided = xyz + np.float32([0.3, 0, 0])
    assert visibility.MIRRORED not in visibility.classify(lopsided, camera(azimuth_deg=90))


def test_points_behind_the_camera_and_single_points():
    xyz = np.float32([[0, 0, 0], [0, -5, 0]])
    assert visibility.classify(xyz, camera()).tolist()[1] == visibility.GUESSED
    assert visibility.classify(xyz[:1], camera()).tolist() == [visibility.SEEN]


def test_shares_in_words():
    counts = np.repeat(np.uint8([2, 1, 0]), [72, 10, 18])
    assert visibility.shares_text(visibility.shares(counts)) == "72% seen, 10% mirrored, 18% guessed"
    assert visibility.shares_text(visibility.shares(np.full(7, 2, np.uint8))) == "100% seen"
    assert visibility.shares(None) == {}
    assert visibility.shares_text({"visibility": "broken"}) == ""


def test_visibility_is_kept_by_ply_and_object(tmp_path):
    made = cloud()
    write_ply(tmp_path / "a.ply", made)
    read = read_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(read.visibility, made.visibility)
    points = placing.add_cloud("a", read, {})
    np.testing.assert_array_equal(points_object.cloud_of(points).visibility, made.visibility)
    assert visibility.shares_text(points_object.record_of(points)) == "33% seen, 34% mirrored, 34% guessed"
    points.recon.color_by = "VISIBILITY"
    shown = points_object.get_attribute(points.data, points_object.DISPLAY)
    for value in range(3):
        expected = points_object.rgba_linear(np.uint8([display.SEEN_COLORS[value]]))[0]
        np.testing.assert_allclose(shown[made.visibility == value] - expected, 0, atol=1e-6)


def test_hiding_unsure_points_and_parts_together():
    points = placing.add_cloud("a", cloud(), {})
    made = cloud()
    points.recon.least_confidence = 0.25
    np.testing.assert_array_equal(hidden(points), made.confidence < 0.25)
    points.recon.parts[0].visible = False
    np.testing.assert_array_equal(hidden(points), (made.confidence < 0.25) | (made.labels == 1))
    assert points.recon.hidden_count == int(hidden(points).sum())
    shown = bpy.context.evaluated_depsgraph_get()
    assert len(points.evaluated_get(shown).data.vertices)
    points.recon.least_confidence = 0.0
    points.recon.parts[0].visible = True
    assert not hidden(points).any()
    assert points.recon.hidden_count == 0


def test_a_cloud_without_confidence_has_no_threshold():
    points = placing.add_cloud("a", Cloud(sphere(50)), {})
    points.recon.least_confidence = 0.9
    assert hidden(points) is None
    rows = Rows()
    panel_trust.draw_threshold(rows, points)
    assert rows.texts == []


class Rows:
    """Stands for a layout and keeps what is drawn."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def label(self, text: str = "", **_) -> None:
        self.texts.append(text)

    def prop(self, _, name: str, **__) -> None:
        self.texts.append(name)


def test_words_of_the_panel(monkeypatch):
    points = placing.add_cloud("a", cloud(), {"refined": {"iou": [0.634, 0.951]}})
    points.recon.least_confidence = 0.5
    rows = Rows()
    monkeypatch.setattr(panel_trust, "wrapped", lambda layout, text: layout.label(text=text))
    panel_trust.draw_threshold(rows, points)
    panel_trust.draw_facts(rows, points_object.record_of(points))
    assert rows.texts == [
        "least_confidence",
        "100 of 200 points shown",
        "Points: 33% seen, 34% mirrored, 34% guessed",
        "Overlap with the mask: 63%, refined 95%",
    ]


def test_reconstructing_in_blender_tells_what_is_seen(settings):
    bpy.ops.recon.reconstruct()
    points = bpy.context.active_object
    known = points_object.record_of(points)["visibility"]
    assert abs(sum(known.values()) - 1) < 1e-3
    assert known["seen"] > 0.1
