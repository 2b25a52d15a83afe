# SPDX-License-Identifier: Apache-2.0
"""Images, cameras and files that render_views makes of a labelled shape; against ray casts of the source meshes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import MAIN_OPTIONS, render  # pyright: ignore[reportAttributeAccessIssue]
from outputs import KEYS, files_of, image, transforms_of
from PIL import Image, ImageFilter
from raycast import cast, load_object, project
from scipy.ndimage import minimum_filter

from recon_core.io.ply import read_ply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


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
    plan = render(shapes, "--output", dataset, *MAIN_OPTIONS, "--size", "64", "--dry-run")
    assert (plan.status, plan.of("plan")) == (1, [])
    assert "other settings" in plan.of("error")[0]["error"]
    again = render(shapes, "--output", dataset, *MAIN_OPTIONS, "--size", "64", "--dry-run", "--force")
    assert again.of("plan")[0]["objects"] == 3


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
