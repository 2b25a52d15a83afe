# SPDX-License-Identifier: Apache-2.0
"""render_views as its users run it; its images against ray casts of the source meshes."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MAIN_OPTIONS, SCRIPT, Run, render  # pyright: ignore[reportAttributeAccessIssue]
from mesh_sources import BAD, write_bad
from PIL import Image, ImageFilter
from raycast import cast, load_object, project
from scipy.ndimage import minimum_filter

from recon_core.io.ply import read_ply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KEYS = [f"chair/chair_0_0000{index}" for index in range(3)]


def transforms_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "transforms.json").read_text())


def image(folder: Path, kind: str, view: int) -> np.ndarray:
    return np.asarray(Image.open(folder / kind / f"{view:03d}.png"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_index_passes_match_ray_casts(dataset: Path, shapes: Path) -> None:
    """Foreground, part ids and depth at pixel centres: at most 10 pixels of 100,000 differ."""
    wrong_mask = wrong_part = wrong_depth = pixels = 0
    for key in KEYS:
        transforms = transforms_of(dataset / key)
        triangles = load_object(shapes / key / "model.glb", transforms["recon"])
        for view in range(4):
            hits = cast(triangles, transforms, view)
            depth = image(dataset / key, "depth", view) * transforms["integer_depth_scale"]
            both = (depth > 0) & (hits.depth > 0)
            pixels += depth.size
            wrong_mask += int(((depth > 0) != (hits.depth > 0)).sum())
            parts = image(dataset / key, "parts", view)
            wrong_part += int((~np.take_along_axis(hits.parts, parts[..., None].astype(np.int64), -1)).sum())
            wrong_depth += int((np.abs(depth - hits.depth)[both] > 2e-4).sum())
    assert pixels > 150_000
    assert max(wrong_mask, wrong_part, wrong_depth) <= 10 * pixels / 100_000, (
        wrong_mask,
        wrong_part,
        wrong_depth,
    )


def test_mask_is_anti_aliased_coverage(dataset: Path, shapes: Path) -> None:
    """Coverage is 1 inside, 0 outside, in between at the outline alone, and equals the alpha of the picture."""
    for key in KEYS:
        mask = image(dataset / key, "masks", 0)
        inside = image(dataset / key, "depth", 0) > 0
        np.testing.assert_array_equal(mask, image(dataset / key, "images", 0)[..., 3])
        padded = np.pad(inside, 2)
        shifts = [padded[2 + dy : 130 + dy, 2 + dx : 130 + dx] for dy in range(-2, 3) for dx in range(-2, 3)]
        assert mask[np.all(shifts, 0)].min() == 255
        assert mask[~np.any(shifts, 0)].max() == 0
        assert ((mask > 0) & (mask < 255)).sum() > 50
        assert abs(mask.mean() / 255 - inside.mean()) < 0.005


def test_normals_are_in_the_object_frame(dataset: Path, shapes: Path) -> None:
    """Decoded normals agree with face normals of the source; smooth shading bends some."""
    transforms = transforms_of(dataset / KEYS[0])
    hits = cast(load_object(shapes / KEYS[0] / "model.glb", transforms["recon"]), transforms, 0)
    pixels = image(dataset / KEYS[0], "normals", 0)
    inside = (image(dataset / KEYS[0], "depth", 0) > 0) & (hits.depth > 0)
    decoded = pixels[inside] / 127.5 - 1.0
    assert np.all(np.abs(np.linalg.norm(decoded, axis=1) - 1) < 0.02)
    angles = np.degrees(np.arccos(np.clip((decoded * hits.normals[inside]).sum(1), -1, 1)))
    assert np.median(angles) < 3
    assert np.percentile(angles, 80) < 15
    assert not pixels[image(dataset / KEYS[0], "depth", 0) == 0].any()


def test_points_lie_on_the_visible_surface(dataset: Path) -> None:
    """points.ply projects into the mask, is never in front of the depth image, and carries colours and labels."""
    for key in KEYS:
        transforms = transforms_of(dataset / key)
        cloud = read_ply(dataset / key / "points.ply")
        assert cloud.xyz.shape == (16384, 3)
        assert cloud.labels is not None
        assert set(np.unique(cloud.labels)) <= set(range(1, len(transforms["recon"]["parts"]) + 1))
        assert cloud.normals is not None
        assert cloud.colors is not None
        np.testing.assert_allclose(np.linalg.norm(cloud.normals, axis=1), 1, atol=1e-3)
        assert abs(np.linalg.norm(np.ptp(cloud.xyz, 0)) - 1) < 0.03
        uv, depth = project(transforms, 1, cloud.xyz)
        column, row = np.floor(uv).astype(int).T
        mask = Image.fromarray(image(dataset / key, "masks", 1)).filter(ImageFilter.MaxFilter(3))
        assert (np.asarray(mask)[row, column] > 0).all()
        seen = image(dataset / key, "depth", 1) * transforms["integer_depth_scale"]
        nearest = minimum_filter(np.where(seen > 0, seen, np.inf), 3)[row, column]
        assert (depth > nearest - 0.01)[np.isfinite(nearest)].mean() > 0.999


def test_cameras_and_json(dataset: Path) -> None:
    """The file of one object holds all that DESIGN's dataset folder asks for."""
    transforms = transforms_of(dataset / KEYS[0])
    assert transforms["camera_model"] == "PINHOLE"
    assert transforms["fl_x"] == transforms["fl_y"] == 1.875 * 128
    assert (transforms["w"], transforms["h"], transforms["cx"], transforms["cy"]) == (128, 128, 64, 64)
    assert len(transforms["frames"]) == 4
    for frame in transforms["frames"]:
        for path in (frame["file_path"], frame["mask_path"], frame["depth_file_path"]):
            assert (dataset / KEYS[0] / path).is_file()
        matrix = np.array(frame["transform_matrix"])
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-9)
        recon = frame["recon"]
        azimuth, elevation = np.radians([recon["azimuth_deg"], recon["elevation_deg"]])
        eye = [np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
        np.testing.assert_allclose(matrix[:3, 3], 2 * np.array(eye), atol=1e-9)
        assert -20 <= recon["elevation_deg"] <= 40
        assert recon["light"]["suns"]
    there, back = (
        np.array(transforms["recon"][name]) for name in ("object_from_source", "source_from_object")
    )
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-9)
    document = json.loads((dataset / "dataset.json").read_text())
    assert document["parts"] == {"chair": ["back", "seat", "leg", "arm"]}
    assert document["palette"][0] == [0, 0, 0]


def test_front_view_shows_the_front(odd_run: tuple[Run, Path]) -> None:
    """At azimuth 0 the image's right is +X: the long tip of the wedge (+X in the source) lies to the right."""
    _, folder = odd_run
    transforms = transforms_of(folder / "chair" / "plain")
    parts = image(folder / "chair" / "plain", "parts", 0)
    seat, leg = (np.nonzero(parts == index)[1].mean() for index in (2, 3))
    assert transforms["frames"][0]["recon"]["azimuth_deg"] == 20
    assert seat > leg + 5


def test_splits_cover_all_objects(dataset: Path) -> None:
    lines = [(dataset / "splits" / f"{name}.txt").read_text().split() for name in ("train", "val", "test")]
    assert sorted(key for keys in lines for key in keys) == KEYS


def test_rerun_skips_and_shards_agree(dataset: Path, shapes: Path, tmp_path: Path) -> None:
    """Complete objects are left alone; shards and --only render the same bytes as one run."""
    before = (dataset / KEYS[0] / "transforms.json").stat().st_mtime_ns
    again = render(shapes, "--output", dataset, *MAIN_OPTIONS)
    assert again.status == 0
    assert [entry["object"] for entry in again.of("skipped")] == KEYS
    assert (dataset / KEYS[0] / "transforms.json").stat().st_mtime_ns == before
    (tmp_path / "only.txt").write_text(f"# the second\n{KEYS[1]}\n")
    first = render(shapes, "--output", tmp_path / "d", *MAIN_OPTIONS, "--shard", "0/3")
    second = render(shapes, "--output", tmp_path / "d", *MAIN_OPTIONS, "--only", tmp_path / "only.txt")
    assert [len(run.of("object")) for run in (first, second)] == [1, 1]
    for key in KEYS[:2]:
        assert files_of(tmp_path / "d" / key) == files_of(dataset / key)
    assert not (tmp_path / "d" / KEYS[2]).exists()


def test_other_settings_are_refused(dataset: Path, shapes: Path) -> None:
    run = render(shapes, "--output", dataset, *MAIN_OPTIONS, "--size", "64", as_json=False)
    assert run.status == 1
    assert "other settings (size 128 there, 64 now)" in run.errors
    assert "Traceback" not in run.errors


def test_half_an_object_is_rendered_again(dataset: Path, shapes: Path, tmp_path: Path) -> None:
    """What a killed run leaves behind (a temporary folder, no transforms.json) neither counts nor stays."""
    root = tmp_path / "d"
    shutil.copytree(dataset, root)
    (root / KEYS[0] / "transforms.json").unlink()
    stale = root / "chair" / f".{Path(KEYS[0]).name}.tmp-dead"
    stale.mkdir()
    run = render(shapes, "--output", root, *MAIN_OPTIONS)
    assert [entry["object"] for entry in run.of("object")] == [KEYS[0]]
    assert files_of(root / KEYS[0]) == files_of(dataset / KEYS[0])
    assert not stale.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_leaves_whole_objects(
    need_bpy: None, shapes: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """A signal in the middle of an object: no traceback, no temporary folder, complete objects stay."""
    command = [sys.executable, str(SCRIPT), str(shapes), "--output", str(tmp_path), "--json-progress"]
    with subprocess.Popen(
        [*command, "--views", "8"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        for line in run.stdout:
            event = json.loads(line)
            if event["event"] == "view" and event["object"] == KEYS[1]:
                run.send_signal(number)
                break
        errors = run.stderr.read()
    assert run.returncode == 130
    assert "continues from here" in errors
    assert "Traceback" not in errors
    assert [path.name for path in (tmp_path / "chair").iterdir()] == [Path(KEYS[0]).name]


def test_dry_run_writes_nothing(shapes: Path, tmp_path: Path) -> None:
    run = render(shapes, "--output", tmp_path / "d", "--dry-run", "--views", "5")
    assert run.status == 0
    assert run.of("plan")[0]["objects"] == 3
    assert run.of("plan")[0]["views"] == 5
    assert run.of("plan")[0]["megabytes"] > 0
    assert not (tmp_path / "d").exists()


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


def test_nothing_usable_is_status_1(need_bpy: None, tmp_path: Path) -> None:
    write_bad(tmp_path / "bad")
    for path in (tmp_path / "bad").iterdir():
        if path.stem not in ("zipped", "empty"):
            path.unlink()
    assert render(tmp_path / "bad", "--output", tmp_path / "d").status == 1
    missing = render(tmp_path / "nowhere", "--output", tmp_path / "d", as_json=False)
    assert missing.status == 1
    assert "does not exist" in missing.errors


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--passes", "rgb,albedo"], "unknown pass 'albedo'"),
        (["--shard", "3/3"], "count from 0"),
        (["--elevation", "-100", "0"], "-90..90"),
        (["--azimuth", "90", "0"], "must rise"),
        (["--cameras", "sideways"], "cannot be read"),
        (["--background", "300,0,0"], "0..255"),
        (["--background", "no.png"], "neither transparent"),
        (["--up", "Z", "--front=-Z"], "on one line"),
        (["--front", "W"], "not one of"),
        (["--parts", "no.json"], "--parts"),
        (["--axes", "no.json"], "--axes"),
        (["--size", "1000000"], "not in"),
        (["--lens", "0"], "above 0"),
        ([], "--output"),
    ],
)
def test_wrong_use_is_one_sentence(
    need_bpy: None, odd_sources: Path, tmp_path: Path, arguments, message
) -> None:
    output = ["--output", tmp_path / "d"] if arguments else []
    run = render(odd_sources / "chair" / "plain.glb", *output, *arguments, as_json=False)
    assert run.status == 1
    assert message in run.errors
    assert "Traceback" not in run.errors
    assert not (tmp_path / "d").exists()


def test_help_names_defaults_and_units(need_bpy: None) -> None:
    run = render("--help", as_json=False)
    assert run.status == 0
    for words in ("default: 128", "pixels", "degrees", "in mm", "Exit status", "front axis"):
        assert words in run.output
