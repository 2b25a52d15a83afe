# SPDX-License-Identifier: Apache-2.0
"""The section Data without a worker: which objects, what is exported of them, rendering, refusals."""

import json
import shutil
import time
from pathlib import Path

import bpy
import numpy as np
import pytest
from data_scene import fill_scene, new_stool

from blender_addon import data_jobs, data_look, data_objects, data_pictures, data_state, session, worker_jobs
from blender_addon.jobs import CANCELLED, Job, UserError

KINDS = (
    "objects",
    "meshes",
    "materials",
    "scenes",
    "collections",
    "images",
    "texts",
    "libraries",
    "node_groups",
)


def counts() -> dict[str, list[str]]:
    return {kind: sorted(one.name for one in getattr(bpy.data, kind)) for kind in KINDS}


def names(groups: list[data_objects.Group]) -> dict[str, list[str]]:
    return {group.name: sorted(one.name for one in group.members) for group in groups}


def run_job(make, fails: str = "") -> Job:
    job = session.start(make())
    assert job.error == fails or (fails and fails in job.error), job.error + job.details
    return job


def export(folder: Path, place: data_jobs.Place) -> dict[str, dict]:
    """What export_glbs.py makes of a request: its GLBs' JSON by object."""
    job = Job("export", lambda job: data_jobs.export_glbs(place, folder, job), lambda result: None)
    job.start()
    assert job.wait(120)
    job.finish()
    assert not job.error, job.error + job.details
    found = {}
    for path in sorted((folder / "meshes").glob("*/*/model.glb")):
        raw = path.read_bytes()
        length = int.from_bytes(raw[12:16], "little")
        found[path.parent.name] = json.loads(raw[20 : 20 + length])
        found[path.parent.name]["object"] = json.loads(path.with_name("object.json").read_text())
    return found


def place(tmp_path: Path) -> data_jobs.Place:
    return data_jobs.Place(tmp_path / "set", ["none"], bpy.app.binary_path)


def triangles_of(glb: dict) -> dict[str, int]:
    """Triangles by the first word of the material's name."""
    found: dict[str, int] = {}
    for mesh in glb["meshes"]:
        for primitive in mesh["primitives"]:
            name = glb["materials"][primitive["material"]]["name"].split(".")[0]
            found[name] = found.get(name, 0) + glb["accessors"][primitive["indices"]]["count"] // 3
    return found


def test_selected_objects_with_what_is_parented_to_them(data):
    scene = bpy.context.scene.collection
    one, two, part = (new_stool(name) for name in ("Büro/1", "b_ro 1", "arm"))
    lamp = bpy.data.objects.new("lamp", bpy.data.lights.new("lamp", "POINT"))
    empty = bpy.data.objects.new("empty", None)
    hidden = new_stool("hidden")
    hidden.hide_render = True
    for each in (one, two, part, lamp, empty, hidden):
        scene.objects.link(each)
        each.select_set(True)
    part.parent = one
    found = data_objects.groups_of(bpy.context)
    assert names(found) == {"B_ro_1": ["Büro/1", "arm"], "b_ro_1-2": ["b_ro 1"]}
    part.select_set(False)  # it comes with what it belongs to
    assert names(data_objects.groups_of(bpy.context))["B_ro_1"] == ["Büro/1", "arm"]
    for each in (one, two, hidden):
        each.select_set(False)
    with pytest.raises(UserError, match="at least one mesh"):
        data_objects.groups_of(bpy.context)


def test_objects_and_collections_of_a_collection(data):
    data.source = "COLLECTION"
    with pytest.raises(UserError, match="Choose the collection"):
        data_objects.groups_of(bpy.context)
    shelf, pair = bpy.data.collections.new("shelf"), bpy.data.collections.new("pair")
    data.collection = shelf
    with pytest.raises(UserError, match="holds nothing"):
        data_objects.groups_of(bpy.context)
    shelf.children.link(pair)
    deeper = bpy.data.collections.new("deeper")
    pair.children.link(deeper)
    shelf.objects.link(new_stool("single"))
    pair.objects.link(new_stool("left"))
    deeper.objects.link(new_stool("right"))
    expected = {"single": ["single"], "pair": ["left", "right"]}
    assert names(data_objects.groups_of(bpy.context)) == expected
    assert data_objects.count_chosen(bpy.context) == 2


@pytest.mark.parametrize("labels", ["MATERIAL", "GROUP", "NONE"])
def test_exported_copies_are_named_by_part(data, tmp_path, labels):
    """Legs are 5 boxes of 12 triangles, the seat is one; the scene keeps its names, materials and selection."""
    data.labels = labels
    one, other = fill_scene(2)
    other.vertex_groups.clear()
    other.modifiers.new("more", "ARRAY").count = 2
    other.scale.x = -2
    before, slots = counts(), [slot.name for slot in one.material_slots]
    request = data_objects.write_request(bpy.context, data_objects.groups_of(bpy.context))
    found = export(request, place(tmp_path))
    assert counts() == before
    assert [slot.name for slot in one.material_slots] == slots
    assert bpy.context.selected_objects == [one, other]
    assert sorted(found) == ["Stool_1", "Stool_2"]
    first, second = (found[name] for name in sorted(found))
    if labels == "NONE":
        assert first["object"]["parts"] == []
        assert sorted(triangles_of(first).values()) == [12, 60]
    else:
        assert triangles_of(first) == {"seat": 12, "leg": 60}
        twice = {"seat": 24, "leg": 120} if labels == "MATERIAL" else {"other": 144}
        assert triangles_of(second) == twice
        parts = ["leg", "seat"] if labels == "MATERIAL" else ["leg", "other", "seat"]
        assert first["object"]["parts"] == second["object"]["parts"] == parts
    assert first["object"]["category"] == "stool"
    low, high = (np.array(second["accessors"][0][key]) for key in ("min", "max"))
    assert (high - low)[0] > 3  # scaled, and twice
    shutil.rmtree(request)


def test_instances_curves_and_faces_without_material(data, tmp_path):
    """An empty that stands for a collection, a curve with thickness, and a mesh in edit mode."""
    pair = bpy.data.collections.new("pair")
    pair.objects.link(new_stool("one"))
    empty = bpy.data.objects.new("copy", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", pair
    curve = bpy.data.curves.new("wire", "CURVE")
    curve.dimensions, curve.bevel_depth = "3D", 0.1
    curve.splines.new("POLY").points.add(2)
    for index, point in enumerate(curve.splines[0].points):
        point.co = (index, 0, index % 2, 1)
    wire, line = (
        bpy.data.objects.new("wire", curve),
        bpy.data.objects.new("line", bpy.data.meshes.new("line")),
    )
    line.data.from_pydata([(0, 0, 0), (1, 0, 0)], [(0, 1)], [])
    for each in (empty, wire, line):
        bpy.context.scene.collection.objects.link(each)
        each.select_set(True)
    request = data_objects.write_request(bpy.context, data_objects.groups_of(bpy.context))
    found = export(request, place(tmp_path))
    assert sorted(found) == ["copy", "wire"]  # a line has no faces
    assert triangles_of(found["copy"]) == {"seat": 12, "leg": 60}
    assert triangles_of(found["wire"]) == {"other": 48}  # not twice, as a curve and as the mesh made of it
    shutil.rmtree(request)


def test_nothing_that_can_be_exported_is_one_line(data, tmp_path):
    line = bpy.data.objects.new("line", bpy.data.meshes.new("line"))
    bpy.context.scene.collection.objects.link(line)
    line.select_set(True)
    request = data_objects.write_request(bpy.context, data_objects.groups_of(bpy.context))
    how = data_jobs.RenderSettings(1, 32, 1, "fixed", "-Y")
    run_job(
        lambda: data_jobs.render_job(place(tmp_path), request, how, print),
        "None of the objects could be exported",
    )
    assert "line: nothing in it has faces" in session.message
    assert not request.exists()


def refusal(operator, **arguments) -> str:
    with pytest.raises(RuntimeError):
        operator(**arguments)
    assert "\n" not in session.message
    return session.message


def test_errors_are_one_line(data, tmp_path, monkeypatch):
    """Without a worker, a folder, objects, a training set or a run, and nothing is left behind."""
    before = counts()
    assert "No worker is set" in refusal(bpy.ops.recon.data_train)
    assert "No worker is set" in refusal(bpy.ops.recon.data_export)
    data.folder = "//recon"
    assert "Save the file first" in refusal(bpy.ops.recon.data_render)
    assert "Save the file first" in refusal(bpy.ops.recon.data_check)
    monkeypatch.setattr(worker_jobs, "command", lambda: [str(tmp_path / "nothing")])
    assert "Save the file first" in refusal(bpy.ops.recon.data_render)
    data.folder = str(tmp_path / "set")
    assert "Select the objects" in refusal(bpy.ops.recon.data_render)
    assert "no training set" in refusal(bpy.ops.recon.data_check)
    assert "no training set" in refusal(bpy.ops.recon.data_train)
    assert "no training to go on with" in refusal(bpy.ops.recon.data_export)
    (tmp_path / "set" / "dataset").mkdir(parents=True)
    (tmp_path / "set" / "dataset" / "dataset.json").write_text('{"categories": ["stool"]}')
    assert "no part labels" in refusal(bpy.ops.recon.data_train)
    assert "no training to go on with" in refusal(bpy.ops.recon.data_train, resume=True)
    data.predicts = "SHAPE"
    assert "cannot be started" in refusal(bpy.ops.recon.data_train)
    assert "There is no picture yet" in refusal(bpy.ops.recon.data_picture, which="SAMPLE")
    assert {**counts(), "texts": []} == before


def test_added_objects_must_have_the_sets_parts(tmp_path):
    meshes, dataset = tmp_path / "meshes" / "stool" / "a", tmp_path / "dataset"
    meshes.mkdir(parents=True)
    dataset.mkdir()

    def try_it(old: list[str] | None, new: list[str]) -> list[str]:
        parts = {"stool": old} if old else {}
        about = {"categories": [] if old is None else ["stool"], "parts": parts}
        (dataset / "dataset.json").write_text(json.dumps(about))
        (meshes / "object.json").write_text(json.dumps({"category": "stool", "parts": new}))
        data_jobs._require_same_parts(dataset, tmp_path / "meshes")
        return json.loads((meshes / "object.json").read_text())["parts"]

    assert try_it(None, ["leg"]) == ["leg"]
    assert try_it(["back", "leg"], ["leg"]) == ["back", "leg"]
    assert try_it([], []) == []
    refused = (
        (["leg"], ["arm", "leg"], "add arm"),
        ([], ["leg"], "no part labels"),
        (["leg"], [], "have none"),
    )
    for old, new, word in refused:
        with pytest.raises(UserError, match=word):
            try_it(old, new)


def test_pictures(tmp_path):
    """Curves of whatever a worker may send; files that come, change and go."""
    assert data_pictures.curve_icon(None) == 0
    assert data_pictures.curve_icon([[1, 2.0], [2, float("nan")], "x", [3], [4, None], [True, 1.0]]) == 0
    losses = [[step, 1 / step] for step in range(1, 50)]
    data_pictures.curve_icon(losses)
    data_pictures.curve_icon(losses)
    assert len(data_pictures._collection) == 1  # in the background icons have no numbers
    drawn = data_pictures.draw_curve(data_pictures.finite_pairs(losses))
    rows = (drawn[..., 2] > 0.9).argmax(0)
    assert rows[0] < 30
    assert rows[-1] > 200
    assert (np.diff(rows) >= -1).all()
    assert data_pictures.file_icon(tmp_path / "none.png") == 0
    assert data_pictures.file_icon(None) == 0


def test_a_cancelled_export_leaves_nothing(data, tmp_path, monkeypatch):
    fill_scene(6)
    request = data_objects.write_request(bpy.context, data_objects.groups_of(bpy.context))
    how = data_jobs.RenderSettings(1, 32, 1, "fixed", "-Y")
    job = session.jobs.start(data_jobs.render_job(place(tmp_path), request, how, print))
    while not job.ended and job.on_cancel is None:
        time.sleep(0.01)
    bpy.ops.recon.cancel()
    assert job.wait(20)
    session.poll()
    assert job.state == CANCELLED
    assert not request.exists()


def test_without_a_worker(data, tmp_path):
    """Two stools are rendered and looked at, and what has no faces is said; a second time they are there."""
    line = bpy.data.objects.new("line", bpy.data.meshes.new("line"))
    bpy.context.scene.collection.objects.link(line)
    data.views, data.size = 2, 32
    fill_scene(2)
    line.select_set(True)
    before = counts()
    assert bpy.ops.recon.data_render() == {"FINISHED"}
    folder = tmp_path / "my sets"
    report = data_state.report_of(folder)
    assert report is not None
    assert not report.ok
    lines = ["2 rendered, 1 failed", "2 objects, 4 views", "Parts: leg, seat", "No problems found"]
    assert report.lines == [*lines, "line: nothing in it has faces that render", data_look.NOTE]
    assert report.sheet == folder / "dataset.png"
    assert sorted(path.name for path in (folder / "dataset").iterdir()) == ["dataset.json", "splits", "stool"]
    assert {**counts(), "texts": []} == before

    line.select_set(False)
    assert bpy.ops.recon.data_render() == {"FINISHED"}
    report = data_state.report_of(folder)
    assert report is not None
    assert report.ok
    assert report.lines[:2] == ["0 rendered, 2 were there", "2 objects, 4 views"]
    assert bpy.ops.recon.data_check() == {"FINISHED"}
    report = data_state.report_of(folder)
    assert report is not None
    assert report.lines == [*lines[1:], data_look.NOTE]
    data.size = 48
    assert "other settings (size 32 there, 48 now). Use the same ones" in refusal(bpy.ops.recon.data_render)
