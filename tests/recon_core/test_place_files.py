# SPDX-License-Identifier: Apache-2.0
"""Placing with files: objects of every kind, the record and a start read back, the picture, the command line."""

import json

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from placing_scenes import BOXES, PAINT, boxes, camera, picture, points
from typer.testing import CliRunner

from recon_core import cli
from recon_core.cameras import from_transforms
from recon_core.errors import InputError
from recon_core.inference.reconstruct import COLOR_SOURCES
from recon_core.io.glb import write_glb
from recon_core.io.ply import write_ply
from recon_core.mesh import Meshes
from recon_core.placing import place as placing
from recon_core.placing.object_file import read_object
from recon_core.placing.picture import draw_placement, front_points, silhouette
from recon_core.placing.place import Placement, PlaceOptions, Solution
from recon_core.placing.record import object_to_world, placement_record, read_start
from recon_core.placing.verb import own_colors
from recon_core.pointcloud import PointCloud


@pytest.fixture
def quick(monkeypatch):
    """Few small stages."""
    stage = placing._Stage
    monkeypatch.setattr(placing, "_STAGES", (stage(32, 2.0, 600, 24, 6), stage(64, 1.2, 3000, 4, 6)))
    monkeypatch.setattr(placing, "_GRID", 500)


def written(path, kind):
    """The boxes as a file, turned to +Y up where the format is."""
    vertices, faces = boxes()
    colors = np.repeat(PAINT[: len(BOXES)], 8, 0)
    if kind == "cloud.ply":
        xyz, paint = points(count=3000)
        write_ply(path / kind, PointCloud(xyz, paint))
    elif kind.endswith(".glb"):
        write_glb(
            path / kind,
            Meshes(
                torch.from_numpy(vertices).float()[None], torch.from_numpy(faces),
                torch.from_numpy(colors / 255).float()[None],
            ),
        )  # fmt: skip
    else:
        turned = np.stack((vertices[:, 0], vertices[:, 2], -vertices[:, 1]), 1)
        solid = trimesh.Trimesh(
            turned if kind.endswith(".obj") else vertices, faces, vertex_colors=colors, process=False
        )
        solid.export(path / kind)
    return path / kind


@pytest.mark.parametrize("kind", ["cloud.ply", "mesh.ply", "mesh.glb", "mesh.obj", "mesh.stl", "mesh.off"])
def test_objects_of_every_kind_stand_alike(tmp_path, kind):
    """The same boxes, +Z up, with their colours where the format has some."""
    cloud, what = read_object(written(tmp_path, kind))
    assert what == kind.split(".")[0]
    low, high = boxes()[0].min(0), boxes()[0].max(0)
    assert np.abs(cloud.xyz.min(0) - low).max() < 0.02
    assert np.abs(cloud.xyz.max(0) - high).max() < 0.02
    top = cloud.xyz[:, 2] > 0.95  # the lamp
    assert top.any()
    if kind not in ("mesh.stl", "mesh.off"):
        assert cloud.colors is not None
        assert np.abs(cloud.colors[top].astype(int) - PAINT[3]).max() <= 3
    if what == "mesh":
        assert np.linalg.norm(cloud.normals, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.fbx", b"x", "Export the object as GLB"), ("a.ply", b"", "empty"), ("a.ply", b"ply\nformat x\n", "PLY"),
        ("a.glb", b"glTF", "not a GLB"), ("a.obj", b"\x00\x01", "a.obj"), ("a.stl", b"solid\nendsolid\n", "a.stl"),
        ("none.glb", None, "cannot be read"), ("folder.ply", "folder", "folder.ply"),
    ],
)  # fmt: skip
def test_objects_that_cannot_be_read(tmp_path, name, data, sentence):
    if data == "folder":
        (tmp_path / name).mkdir()
    elif data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=sentence):
        read_object(tmp_path / name)


def placement(seen) -> Placement:
    one = Solution(seen, 0.9, 0.01, 0.05, 0.0)
    return Placement((one, Solution(seen, 0.8, 0.02, None, 90.0)), one, False)


def test_record_says_where_everything_is():
    """Camera and object_to_world together show the object as object_to_cam does; --ground puts it on z = 0."""
    seen, (xyz, _) = camera(), points()
    xyz = xyz + np.float32([0, 0, 2.5])
    record = placement_record(placement(seen), xyz, PlaceOptions(ground=True))
    lifted = np.array(record["object_to_world"])
    placed = xyz @ lifted[:3, :3].T + lifted[:3, 3]
    assert placed[:, 2].min() == pytest.approx(0, abs=0.02)
    pose = record["pose"]["camera"]
    found = from_transforms(pose | {"frames": [{"transform_matrix": pose["transform_matrix"]}]})
    uv = found.project(torch.from_numpy(placed).double()[None])[0]
    own = torch.tensor(record["object_to_cam"], dtype=torch.float64)[None]
    assert torch.allclose(own, seen.world_to_cam)
    assert torch.allclose(uv, seen.project(torch.from_numpy(xyz).double()[None])[0], atol=1e-3)
    assert np.allclose(np.array(record["world_to_cam"]) @ lifted, record["object_to_cam"])
    assert record["focal_mm"]["sensor_36_mm"] == pytest.approx(45)
    assert record["focal_mm"]["sensor_32_mm"] == pytest.approx(40)
    assert (record["ambiguous"], len(record["alternatives"])) == (True, 1)
    json.dumps(record, allow_nan=False)
    assert np.array_equal(object_to_world(xyz, PlaceOptions()), np.eye(4))


def test_a_start_is_read_back(tmp_path):
    seen, (xyz, _) = camera(), points()
    record = placement_record(placement(seen), xyz, PlaceOptions(up=True))
    (tmp_path / "a.json").write_text(json.dumps(record))
    found = read_start(tmp_path / "a.json")
    assert torch.allclose(found.world_to_cam, seen.world_to_cam)
    assert torch.allclose(found.fx, seen.fx)
    assert (found.width, found.height) == (200, 150)


NUMBERS = '"w": 1, "h": 1, "fl_x": 1, "fl_y": 1, "cx": 0, "cy": 0'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "not a JSON"), ("[]", "no camera"), ('{"pose": null}', "no camera"),
        ('{"pose": {"camera": {}}}', "no camera"),
        ('{"pose": {"camera": {"transform_matrix": [[1]], ' + NUMBERS + "}}}", "cannot be used"),
        ('{"pose": {"camera": {"transform_matrix": "x", "w": 1}}}', "cannot be used"),
    ],
)  # fmt: skip
def test_starts_that_cannot_be_read(tmp_path, text, sentence):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_start(tmp_path / "a.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_start(tmp_path / "none.json")


def test_front_points_are_the_nearest():
    """Two layers over one another: the near one is drawn; behind the camera nothing is."""
    seen = camera(eye=(0, -3, 0), target=(0, 0, 0))
    flat = np.random.default_rng(0).uniform(-0.3, 0.3, (4000, 3)) * (1, 0, 1)
    xyz = np.concatenate((flat, flat + (0, -0.5, 0), flat + (0, -6, 0)))
    index = front_points(xyz, seen, (150, 200))
    assert index.max() < 8000
    inner = index[60:90, 85:115]
    assert (inner >= 4000).all()
    mask = silhouette(xyz, seen, (150, 200))
    side = 0.6 / 2.5 * float(seen.fx[0])
    assert mask.sum() == pytest.approx(side**2, rel=0.1)


def test_picture_shows_start_result_and_rivals():
    seen = camera()
    mask, rgb = picture(seen)
    xyz, colors = points()
    one = draw_placement(placement(seen), PointCloud(xyz, colors), rgb, mask)
    assert one.dtype == np.uint8
    assert one.shape[1] > 4 * 320
    plain = draw_placement(placement(seen), PointCloud(xyz), rgb, mask)
    assert plain.shape == one.shape
    assert not np.array_equal(plain, one)


def test_box_and_strokes_say_where_the_object_is(tmp_path, quick):
    """Beside a second thing on a plain wall; the record says how the mask was found, and what excludes each other."""
    mask, rgb = picture(camera())
    wall = np.where(mask[..., None] > 127, rgb, 205).astype(np.uint8)
    wall[5:60, 5:30] = (30, 60, 190)
    Image.fromarray(wall).save(tmp_path / "photo.png")
    strokes = np.zeros((*mask.shape, 4), np.uint8)
    rows, columns = np.nonzero(mask > 127)
    strokes[(mask > 127) & (np.arange(mask.shape[0])[:, None] % 6 == 0)] = (0, 255, 0, 255)
    strokes[:4], strokes[30:33, 5:30] = (255, 0, 0, 255), (255, 0, 0, 255)
    Image.fromarray(strokes).save(tmp_path / "strokes.png")
    runner, cloud = CliRunner(), written(tmp_path, "cloud.ply")
    given = ["place", str(cloud), str(tmp_path / "photo.png"), "--out", str(tmp_path / "o"), "--json"]
    left, top = columns.min() - 4, rows.min() - 4
    box = ["--box", str(left), str(top), str(columns.max() + 4 - left), str(rows.max() + 4 - top)]
    share = (mask > 127).mean()
    for extra, source in {
        (): "border colour", tuple(box): "in the given box", ("--scribbles", str(tmp_path / "strokes.png")): "strokes",
    }.items():  # fmt: skip
        done = runner.invoke(cli.app, [*given, *extra])
        assert done.exit_code == 0, done.output
        found = json.loads(done.output)["record"]["mask"]
        assert source in found["source"]
        assert (abs(found["share"] - share) < 0.02) == bool(
            extra
        )  # without help the second thing is taken too
    wrong = runner.invoke(cli.app, [*given, *box, "--mask", str(tmp_path / "photo.png")])
    assert "already says what the object is" in str(wrong.exception)


@pytest.mark.parametrize("source", ["predicted", "projected", "fitted", "height"])
def test_only_colours_of_its_own_are_compared(source):
    """What came from a photograph says nothing of where that was taken from."""
    xyz, colors = points()
    cloud = PointCloud(xyz, colors, comments={"color": COLOR_SOURCES[source]})
    assert (own_colors(cloud) is not None) == (source == "predicted")
    assert own_colors(PointCloud(xyz, colors)) is colors


def test_command_line(tmp_path, quick):
    """Files, JSON and sentences; a mistake is no traceback."""
    mask, rgb = picture(camera())
    Image.fromarray(np.dstack((rgb, mask))).save(tmp_path / "photo.png")
    cloud = written(tmp_path, "cloud.ply")
    runner = CliRunner()
    given = ["place", str(cloud), str(tmp_path / "photo.png"), "--out", str(tmp_path / "o")]
    done = runner.invoke(cli.app, [*given, "--up", "--elevation", "0", "60", "--json"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.output)
    record = json.loads((tmp_path / "o" / "cloud_in_photo.json").read_text())
    assert printed["record"] == record
    assert record["scores"]["mask_iou"] > 0.9
    assert record["mask"]["source"] == "alpha channel"
    assert (tmp_path / "o" / "cloud_in_photo.png").stat().st_size > 1000
    again = runner.invoke(cli.app, [*given, "--start", printed["json"], "--focal-mm", "45", "--no-colors"])
    assert again.exit_code == 0, again.output
    assert "before: mask IoU" in again.output
    assert "lens 45 mm," in again.output
    for extra, sentence in {
        ("--focal-mm", "0"): "focal length", ("--elevation", "60", "0"): "no range",
        ("--start", str(cloud)): "not a JSON", ("--foreground", "magic"): "Unknown foreground method",
    }.items():  # fmt: skip
        wrong = runner.invoke(cli.app, [*given, *extra])
        assert wrong.exit_code != 0
        assert sentence in str(wrong.exception)
