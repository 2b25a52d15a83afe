# SPDX-License-Identifier: Apache-2.0
"""Five million points from a file into the scene and out again."""

from pathlib import Path

import bpy
import numpy as np

from blender_addon import points_object
from blender_addon.cloud import Cloud
from blender_addon.ply import read_ply, write_ply

COUNT = 5_000_000


def test_five_million_points(tmp_path: Path):
    random = np.random.default_rng(0)
    xyz = random.random((COUNT, 3), dtype=np.float32)
    labels = random.integers(1, 4, COUNT).astype(np.uint8)
    made = Cloud(xyz, random.integers(0, 256, (COUNT, 3), dtype=np.uint8), labels, parts=["a", "b", "c"])
    path = tmp_path / "large.ply"
    write_ply(path, made)
    assert bpy.ops.recon.import_ply(filepath=str(path)) == {"FINISHED"}
    points = bpy.context.active_object
    assert [part.count for part in points.recon.parts] == np.bincount(labels, minlength=4)[1:].tolist()
    points.recon.color_by = "PART"
    points.recon.parts[0].visible = False
    shown = points_object.get_attribute(points.data, points_object.DISPLAY)
    assert len(np.unique(shown[::1000], axis=0)) == 3
    assert bpy.ops.recon.export_ply(filepath=str(path)) == {"FINISHED"}
    back = read_ply(path)
    np.testing.assert_array_equal(back.xyz, made.xyz)
    np.testing.assert_array_equal(back.labels, made.labels)
