# SPDX-License-Identifier: Apache-2.0
"""Surfaces by the worker, as objects: attributes, groups, place, refusals, and nothing left after a cancel."""

import json
import sys
import textwrap

import bpy
import numpy as np
import pytest

from blender_addon import placing, points_object, session, surface_jobs, worker_client, worker_jobs
from blender_addon.cloud import Cloud, CloudError
from blender_addon.surface_file import read_surface

# A worker that makes a tetrahedron of any cloud; it writes what it was asked, and the points that it got.
FAKE = """
import json, struct, sys, time
from pathlib import Path
def say(**message):
    sys.stdout.write(json.dumps(message) + "\\n"); sys.stdout.flush()
hello = json.loads(sys.stdin.readline())
say(type="hello", protocol=1, version="9", python="3", jobs=["mesh"])
folder = Path(hello["job_folder"])
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] != "mesh":
        break
    got = (folder / message["cloud"]).read_bytes()[:400].decode("latin-1")
    Path(NOTE).write_text(json.dumps({**message, "ply": got}))
    if WAIT:
        say(type="progress", id=message["id"], job="mesh", stage="density", fraction=0.3)
        time.sleep(60)
    out = folder / message["out"]
    out.mkdir()
    header = "ply\\nformat binary_little_endian 1.0\\ncomment parts lid pot\\nelement vertex 4\\n"
    header += "".join(f"property float {c}\\n" for c in "xyz")
    header += "".join(f"property uchar {c}\\n" for c in ("red", "green", "blue", "label"))
    header += "element face 4\\nproperty list uchar int vertex_indices\\nend_header\\n"
    rows = b"".join(struct.pack("<3f4B", *v) for v in [
        (0, 0, 0, 255, 0, 0, 1), (1, 0, 0, 255, 0, 0, 1), (0, 1, 0, 0, 0, 255, 2), (0, 0, 1, 0, 0, 255, 2)])
    faces = b"".join(struct.pack("<B3i", 3, *f) for f in [(0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2)])
    (out / "cloud.ply").write_bytes(header.encode() + rows + faces)
    say(type="result", id=message["id"], job="mesh", surface=str(out / "cloud.ply"), parts=["lid", "pot"],
        record={"method": "poisson", "watertight": True, "area": 2.4, "volume": 0.17})
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """Makes the fake worker the chosen one; returns the file of what it was asked."""

    def start(wait: bool = False):
        note = tmp_path / "asked.json"
        path = tmp_path / "fake.py"
        path.write_text(f"NOTE, WAIT = {str(note)!r}, {wait}\n" + textwrap.dedent(FAKE))
        monkeypatch.setattr(worker_jobs, "command", lambda: [python(), "-I", str(path)])
        return note

    yield start
    worker_client.close_worker()


def python() -> str:
    return sys.executable if "python" in sys.executable.rsplit("/", 1)[-1] else "/usr/bin/python3"


def ball():
    random = np.random.default_rng(0)
    xyz = random.normal(size=(300, 3)).astype(np.float32)
    labels = np.where(xyz[:, 2] > 0, 1, 2).astype(np.uint8)
    colors = random.integers(0, 256, (300, 3), dtype=np.uint8)
    return placing.add_cloud("ball", Cloud(xyz, colors, labels, parts=["lid", "pot"]), {})


def test_a_surface_by_the_worker(worker):
    asked = worker()
    points = ball()
    points.location, points.scale = (1, 2, 3), (2, 2, 2)
    points.recon.parts[1].visible = False
    bpy.context.view_layer.update()
    settings = bpy.context.scene.recon
    settings.surface_method, settings.surface_smooth, settings.surface_faces = "POISSON", 7, 500
    assert bpy.ops.recon.make_worker_surface() == {"FINISHED"}
    message = json.loads(asked.read_text())
    assert (message["method"], message["smooth"], message["target_faces"]) == ("poisson", 7, 500)
    shown = int((points_object.get_attribute(points.data, "label") == 1).sum())
    assert f"element vertex {shown}" in message["ply"]
    made = bpy.context.active_object
    assert made.name == "ball surface"
    assert made.matrix_world == points.matrix_world
    assert (len(made.data.vertices), len(made.data.polygons), len(made.data.edges)) == (4, 4, 6)
    assert not made.data.validate()  # nothing had to be mended
    np.testing.assert_array_equal(points_object.get_attribute(made.data, "label"), [1, 1, 2, 2])
    colors = points_object.get_attribute(made.data, "color")
    np.testing.assert_allclose(colors[[0, 2]], [[1, 0, 0, 1], [0, 0, 1, 1]])
    assert [group.name for group in made.vertex_groups] == ["lid", "pot"]
    assert [made.data.vertices[3].groups[0].group, made.data.vertices[0].groups[0].group] == [1, 0]
    assert points_object.record_of(made)["watertight"] is True
    normals = np.array([polygon.normal for polygon in made.data.polygons])
    centers = np.array([polygon.center for polygon in made.data.polygons]) - 0.25
    assert ((normals * centers).sum(1) > 0).all()
    assert not list(worker_client._current.folder.glob("mesh_*"))


def test_density_and_all_faces(worker):
    asked = worker()
    ball()
    bpy.context.scene.recon.surface_method = "DENSITY"
    bpy.ops.recon.make_worker_surface()
    message = json.loads(asked.read_text())
    assert message["method"] == "density"
    assert "target_faces" not in message


def test_cancel_leaves_nothing(worker, monkeypatch):
    worker(wait=True)
    monkeypatch.setattr(session, "start", session.jobs.start)
    monkeypatch.setattr(worker_client, "CANCEL_S", 0.3)
    monkeypatch.setattr(worker_client, "CLOSE_S", 0.3)
    ball()
    before = (len(bpy.data.objects), len(bpy.data.meshes), len(bpy.data.materials))
    bpy.ops.recon.make_worker_surface()
    (job,) = session.jobs.active
    for _ in range(200):
        if job.fraction == 0.3:
            break
        job.wait(0.1)
    assert job.stage == "Density"
    bpy.ops.recon.cancel()
    assert job.wait(20)
    session.poll()
    assert job.state == "cancelled"
    assert (len(bpy.data.objects), len(bpy.data.meshes), len(bpy.data.materials)) == before


def test_a_cloud_deleted_meanwhile(worker, monkeypatch):
    worker()
    monkeypatch.setattr(session, "start", session.jobs.start)
    points = ball()
    bpy.ops.recon.make_worker_surface()
    bpy.data.objects.remove(points)
    (job,) = session.jobs.active
    assert job.wait(20)
    session.poll()
    assert "renamed or deleted" in session.message
    assert not bpy.data.objects


def test_without_a_worker():
    ball()
    with pytest.raises(RuntimeError, match="No worker is set"):
        bpy.ops.recon.make_worker_surface()


def test_many_faces_are_quick():
    import time

    from blender_addon.surface_file import TriangleMesh

    side = 250
    u, v = np.meshgrid(np.arange(side), np.arange(side))
    corner = (v[:-1, :-1] * side + u[:-1, :-1]).ravel()
    lower = np.stack((corner, corner + 1, corner + side), 1)
    upper = np.stack((corner + 1, corner + side + 1, corner + side), 1)
    faces = np.concatenate((lower, upper))
    xyz = np.stack((u.ravel(), v.ravel(), 0 * u.ravel()), 1).astype(np.float32)
    start = time.perf_counter()
    mesh = surface_jobs.new_mesh("grid", TriangleMesh(Cloud(xyz), faces))
    assert time.perf_counter() - start < 5
    assert len(mesh.polygons) == len(faces)
    assert not mesh.validate()


@pytest.mark.parametrize("fault", ["cut", "no faces", "ascii", "corner", "quad"])
def test_bad_surfaces_are_refused(tmp_path, fault):
    import struct

    header = "ply\nformat binary_little_endian 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
    header += "property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    face = struct.pack("<B3i", 4 if fault == "quad" else 3, 0, 1, 9 if fault == "corner" else 2)
    if fault == "no faces":
        header = header.replace("element face 1\nproperty list uchar int vertex_indices\n", "")
    if fault == "ascii":
        header, face = header.replace("binary_little_endian", "ascii"), b"0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    data = header.encode() + (b"" if fault == "ascii" else bytes(36)) + face
    path = tmp_path / "a.ply"
    path.write_bytes(data[:-40] if fault == "cut" else data)
    with pytest.raises(CloudError):
        read_surface(path)
