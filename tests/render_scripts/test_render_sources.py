# SPDX-License-Identifier: Apache-2.0
"""render_views on every kind of source: formats, odd and bad files, labels, colours, axes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, render  # pyright: ignore[reportAttributeAccessIssue]
from mesh_sources import BAD
from outputs import image, transforms_of

from recon_core.io.ply import read_ply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_front_view_shows_the_front(odd_run: tuple[Run, Path]) -> None:
    """At azimuth 0 the image's right is +X: the long tip of the wedge (+X in the source) lies to the right."""
    _, folder = odd_run
    transforms = transforms_of(folder / "chair" / "plain")
    parts = image(folder / "chair" / "plain", "parts", 0)
    seat, leg = (np.nonzero(parts == index)[1].mean() for index in (2, 3))
    assert transforms["frames"][0]["recon"]["azimuth_deg"] == 20
    assert seat > leg + 5


def test_bad_sources_fail_with_one_line_each(odd_run: tuple[Run, Path]) -> None:
    import re

    run, folder = odd_run
    assert run.status == 3
    assert "Traceback" not in run.errors
    records = [json.loads(line) for line in (folder / "failed.jsonl").read_text().splitlines()]
    messages = {entry["object"].removeprefix("bad/"): entry["error"] for entry in records}
    assert set(messages) == set(BAD)
    for name, pattern in BAD.items():
        assert re.search(pattern, messages[name]), (name, messages[name])
        assert "\n" not in messages[name]
        assert not (folder / "bad" / name).exists()
    assert {entry["object"] for entry in run.of("failed")} == {f"bad/{name}" for name in BAD}


@pytest.mark.parametrize(
    "name", ["tiny", "huge", "mirrored", "no_material", "red", "as_off", "as_obj", "half_labelled"]
)
def test_odd_sources_show_the_same_shape(odd_run: tuple[Run, Path], name: str) -> None:
    """Scale, mirroring, missing materials and file formats change neither outline nor depth."""
    _, folder = odd_run
    for view in range(2):
        expected = image(folder / "chair" / "plain", "depth", view)
        found = image(folder / "chair" / name, "depth", view)
        assert ((found > 0) != (expected > 0)).sum() <= 2
        both = (found > 0) & (expected > 0)
        assert np.abs(found[both].astype(int) - expected[both].astype(int)).max() <= 3


@pytest.mark.parametrize(("name", "parts"), [("plain", 2), ("mirrored", 2), ("as_obj", 2), ("no_material", 0),
                                              ("half_labelled", 0), ("as_off", 0)])  # fmt: skip
def test_labels(odd_run: tuple[Run, Path], name: str, parts: int) -> None:
    """Parts from material and object names; an object with a face that has none gets no parts folder."""
    _, folder = odd_run
    transforms = transforms_of(folder / "chair" / name)
    assert (folder / "chair" / name / "parts").is_dir() == bool(parts)
    assert ("parts" in transforms["recon"]) == bool(parts)
    labels = read_ply(folder / "chair" / name / "points.ply").labels
    if parts:
        assert set(np.unique(image(folder / "chair" / name, "parts", 0))) == {0, 2, 3}
        assert labels is not None
        assert set(np.unique(labels)) == {2, 3}


@pytest.mark.parametrize(
    ("name", "rgb"), [("red", (255, 0, 0)), ("vertex_green", (0, 255, 0)), ("as_ply", (0, 0, 255)),
                      ("missing_texture", (188, 188, 188)), ("no_material", (188, 188, 188))]
)  # fmt: skip
def test_colours(odd_run: tuple[Run, Path], name: str, rgb: tuple[int, int, int]) -> None:
    """Base colour, vertex colour and grey for what is missing, in points.ply and, hue-wise, in the picture."""
    _, folder = odd_run
    colors = read_ply(folder / "chair" / name / "points.ply").colors
    assert colors is not None
    assert np.abs(colors.astype(int) - rgb).max() <= 1
    pixels = image(folder / "chair" / name, "images", 0)
    mean = pixels[pixels[..., 3] == 255][:, :3].mean(0)
    assert mean[np.argmax(rgb)] > 80
    assert mean.max() - mean.min() > 100 if min(rgb) == 0 else mean.max() - mean.min() < 15


def test_outward_normals_of_points(odd_run: tuple[Run, Path]) -> None:
    """Also for a mirrored source: normals of the block point away from its middle."""
    _, folder = odd_run
    for name in ("plain", "mirrored", "tiny"):
        cloud = read_ply(folder / "chair" / name / "points.ply")
        assert cloud.labels is not None
        assert cloud.normals is not None
        block = cloud.labels == 3
        middle = (cloud.xyz[block].max(0) + cloud.xyz[block].min(0)) / 2
        assert ((cloud.xyz[block] - middle) * cloud.normals[block]).sum(1).min() > 0


def test_doubled_faces_count_once(odd_run: tuple[Run, Path]) -> None:
    """A sheet made two-sided by doubling its faces would shadow itself: black or speckled."""
    _, folder = odd_run
    pixels = image(folder / "chair" / "doubled", "images", 0)
    assert pixels[pixels[..., 3] == 255][:, :3].min() > 60


def test_textures_stay_with_their_object(need_bpy: None, shared_data: Path, tmp_path: Path) -> None:
    """Cycles keeps data between renders; an object must not wear the texture of the one before."""
    names = ["kaykit_rest_chair_A", "kaykit_chair_A", "habitat_chair"]
    options = ["--views", "1", "--size", "48", "--samples", "1", "--passes", "rgb", "--points", "0"]
    for name in names:
        shutil.copy(shared_data / "meshes" / "chair" / f"{name}.glb", tmp_path)
        assert (
            render(
                tmp_path / f"{name}.glb",
                "--output",
                tmp_path / "alone",
                "--category",
                "c",
                "--force",
                *options,
            ).status
            == 0
        )
    assert render(tmp_path, "--output", tmp_path / "together", "--category", "c", *options).status == 0
    for name in names:
        one, other = (image(tmp_path / run / "c" / name, "images", 0) for run in ("alone", "together"))
        np.testing.assert_array_equal(one, other)


MAKE_FORMATS = """
import sys, bpy
folder, leak = sys.argv[1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
def add(mesh_operator, name, material, **where):
    mesh_operator(**where)
    thing = bpy.context.object
    thing.name = name
    if material:
        thing.data.materials.append(bpy.data.materials.new(material))
    return thing
cube = add(bpy.ops.mesh.primitive_cube_add, "box", "seat", size=1)
cone = add(bpy.ops.mesh.primitive_cone_add, "cone", "back", radius1=0.3, depth=0.8, location=(0.3, -0.8, 0.3))
array = cone.modifiers.new("array", "ARRAY")
array.count, array.relative_offset_displace = 2, (0, 0, 1.1)
bpy.ops.object.light_add(type="SUN")
bpy.ops.object.camera_add()
for kind in ("glb", "fbx", "stl"):
    path = f"{folder}/{kind}.{kind}"
    if kind == "glb":
        bpy.ops.export_scene.gltf(filepath=path, export_apply=True)
    elif kind == "fbx":
        bpy.ops.export_scene.fbx(filepath=path, object_types={"MESH", "LIGHT", "CAMERA"})
    else:
        bpy.ops.wm.stl_export(filepath=path)
add(bpy.ops.mesh.primitive_uv_sphere_add, "hidden", None, radius=5).hide_render = True
away = add(bpy.ops.mesh.primitive_uv_sphere_add, "away", None, radius=4)
hidden = bpy.data.collections.new("hidden")
hidden.hide_render = True
scene.collection.children.link(hidden)
hidden.objects.link(away)
scene.collection.objects.unlink(away)
driver = cube.driver_add("location", 0).driver
driver.type = "SCRIPTED"
driver.expression = f"0 * open({leak!r}, 'w').write('x')"
bpy.context.preferences.filepaths.use_scripts_auto_execute = False
text = bpy.data.texts.new("startup.py")
text.write(f"open({leak!r}, 'w')")
text.use_module = True
bpy.ops.wm.save_as_mainfile(filepath=f"{folder}/blend.blend")
import os
sys.stdout.flush()
os._exit(0)
"""


def test_formats_written_by_blender(need_bpy: None, tmp_path: Path) -> None:
    """GLB, FBX, STL and .blend of one scene look alike; hidden things stay out, code in a .blend never runs."""
    folder, leak = tmp_path / "chair", tmp_path / "leak"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", MAKE_FORMATS, str(folder), str(leak)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    leak.unlink(missing_ok=True)  # the script that makes the file is allowed to run its own driver
    run = render(folder, "--output", tmp_path / "d", "--views", "1", "--size", "64", "--samples", "1")
    assert run.status == 0, run.events
    assert not leak.exists()
    boxes = {}
    for kind in ("glb", "fbx", "stl", "blend"):
        recon = transforms_of(tmp_path / "d" / "chair" / kind)["recon"]
        boxes[kind] = np.array(recon["object_from_source"])
        cloud = read_ply(tmp_path / "d" / "chair" / kind / "points.ply")
        assert ("parts" in recon) == (kind != "stl")
        assert np.ptp(cloud.xyz, 0).argmax() == 2  # the cones stand up in every format
    for kind in ("fbx", "stl", "blend"):
        np.testing.assert_allclose(boxes[kind], boxes["glb"], atol=1e-4)


def test_mapping_axes_cameras_background(need_bpy: None, odd_sources: Path, tmp_path: Path) -> None:
    """The remaining inputs at once: mapping, axes, camera file, colour background, one sample, fewer passes."""
    files = {
        "parts.json": {"parts": {"thing": ["wedge", "block"]},
                       "rules": [{"file": "thing/half*", "material": "MYST*", "part": "block"}, {"part": "wedge"}]},
        "axes.json": {"thing/*": {"front": "X"}},
        "cameras.json": {"views": [{"azimuth_deg": 90, "elevation_deg": 0, "distance": 3, "lens_mm": 30},
                                   {"transform_matrix": [[1, 0, 0, 0], [0, 0, -1, -2], [0, 1, 0, 0], [0, 0, 0, 1]]}]},
    }  # fmt: skip
    for name, document in files.items():
        (tmp_path / name).write_text(json.dumps(document))
    run = render(
        odd_sources / "chair" / "half_labelled.glb", "--output", tmp_path / "d", "--category", "thing", "--size", "32",
        "--samples", "1", "--passes", "rgb,parts", "--parts", tmp_path / "parts.json", "--axes", tmp_path / "axes.json",
        "--cameras", tmp_path / "cameras.json", "--background", "10,200,30", "--light", "studio", "--points", "100",
    )  # fmt: skip
    assert run.status == 0, run.events
    folder = tmp_path / "d" / "thing" / "half_labelled"
    assert {path.name for path in folder.iterdir()} == {
        "images",
        "masks",
        "parts",
        "points.ply",
        "transforms.json",
    }
    transforms = transforms_of(folder)
    assert transforms["frames"][0]["fl_x"] == 30.0
    assert transforms["frames"][1]["recon"]["azimuth_deg"] == 0
    turned = np.array(transforms["recon"]["object_from_source"])[:3, :3] @ [1, 0, 0]
    np.testing.assert_allclose(turned / np.linalg.norm(turned), [0, -1, 0], atol=1e-9)
    assert set(np.unique(image(folder, "parts", 0))) == {0, 1, 2}
    assert set(np.unique(image(folder, "masks", 0))) == {0, 255}  # one sample: binary
    rgba = image(folder, "images", 0)
    assert (rgba[..., 3] == 255).all()
    assert (rgba[image(folder, "masks", 0) == 0][:, :3] == (10, 200, 30)).all()
