# SPDX-License-Identifier: Apache-2.0
"""Randomised lenses, distances, rolls, light, materials and ground: drawn as said, recorded, and masks untouched."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import render  # pyright: ignore[reportAttributeAccessIssue]
from outputs import KEYS, files_of, image, transforms_of
from raycast import project

from recon_core.cameras import orbit as core_orbit
from recon_core.cli_data import join_ranges as join_in_recon
from recon_core.data.cache import load_views
from recon_core.data.dataset import Dataset
from recon_core.io.ply import read_ply
from render_scripts.options import join_ranges
from render_scripts.photo_light import SCENES, choose_photo, warm_color
from render_scripts.viewset import ViewSettings, framing_distance, object_rng, object_views, orbit

CAMERA_KNOBS = ["--lens", "25", "100", "--distance", "auto", "--roll", "30"]
LOOK_KNOBS = ["--light", "photo", "--materials", "random", "--ground", "1"]
OPTIONS = ["--views", "4", "--size", "64", "--samples", "4", "--seed", "5"]


# --- cameras -----------------------------------------------------------------------------------------------


def test_the_default_lens_frames_from_the_default_distance() -> None:
    """And for every lens the ball of radius 1/2 has the same radius in the image: tan(asin(r / d)) f."""
    lens_mm = np.array([25.0, 35.0, 60.0, 100.0, 400.0])
    distance = framing_distance(lens_mm)
    assert distance[2] == pytest.approx(2.0, abs=1e-12)
    radius = np.tan(np.arcsin(0.5 / distance)) * lens_mm / 16
    np.testing.assert_allclose(radius, radius[2], rtol=1e-12)
    assert 0.95 < radius[2] < 1


def test_knobs_draw_within_their_ranges_and_leave_directions_alone() -> None:
    settings = ViewSettings(count=400, lens_mm=(25.0, 100.0), distance=(1.5, 3.0), roll_deg=20.0)
    views, plain = object_views(settings, 1, "a/b"), object_views(ViewSettings(count=400), 1, "a/b")
    lens, distance, roll = (
        np.array([getattr(view, name) for view in views]) for name in ("lens_mm", "distance", "roll_deg")
    )
    for values, low, high in ((lens, 25, 100), (distance, 1.5, 3), (roll, -20, 20)):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
        assert len(np.unique(values)) == 400
    assert np.median(lens) == pytest.approx(50, abs=6)  # even in the logarithm
    assert np.abs(np.corrcoef([lens, distance, roll]) - np.eye(3)).max() < 0.15
    for view, other in zip(views, plain):
        assert (view.azimuth_deg, view.elevation_deg) == (other.azimuth_deg, other.elevation_deg)
        assert (other.lens_mm, other.distance, other.roll_deg) == (60.0, 2.0, 0.0)
    auto = object_views(settings._replace(distance=None), 1, "a/b")
    assert [view.lens_mm for view in auto] == lens.tolist()  # another knob's draw does not move
    np.testing.assert_allclose([view.distance for view in auto], framing_distance(lens))


def test_roll_turns_the_picture_clockwise_and_keeps_the_place() -> None:
    plain, rolled = orbit(30.0, 10.0, 2.0, 60.0), orbit(30.0, 10.0, 2.0, 60.0, 25.0)
    np.testing.assert_array_equal(plain.camera_to_world[:3, 2:], rolled.camera_to_world[:3, 2:])
    turn = plain.camera_to_world[:3, :3].T @ rolled.camera_to_world[:3, :3]
    assert math.degrees(math.acos(turn[0, 0])) == pytest.approx(25)
    up = np.linalg.inv(rolled.camera_to_world)[:3, :3] @ plain.camera_to_world[:3, 1]
    assert up[0] > 0  # what was up leans to the right
    expected = torch.linalg.inv(core_orbit(torch.tensor([30.0]).double(), torch.tensor([10.0]).double()))[0]
    np.testing.assert_allclose(plain.camera_to_world, expected.numpy(), atol=1e-12)


def test_camera_files_fill_in_what_they_leave_out(tmp_path: Path) -> None:
    path = tmp_path / "cameras.json"
    entries = [{"azimuth_deg": 90, "elevation_deg": 0}, {"azimuth_deg": 0, "elevation_deg": 0, "lens_mm": 30}]
    path.write_text(json.dumps({"views": [*entries, entries[1] | {"distance": 3, "roll_deg": 4}]}))
    views = object_views(
        ViewSettings(str(path), lens_mm=(80.0, 90.0), distance=None, roll_deg=10.0), 0, "x/y"
    )
    assert 80 <= views[0].lens_mm <= 90
    assert 0 < abs(views[0].roll_deg) <= 10
    for view in views[:2]:
        assert view.distance == pytest.approx(float(framing_distance(np.array(view.lens_mm))))
    assert (views[2].lens_mm, views[2].distance, views[2].roll_deg) == (30, 3, 4)


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["--lens", "25", "100", "m"], ["--lens=25..100", "m"]),
        (["--lens", "60", "m", "--distance", ".5", "2."], ["--lens", "60", "m", "--distance=.5..2."]),
        (["--distance", "auto", "7"], ["--distance", "auto", "7"]),
        (["--views", "3", "4"], ["--views", "3", "4"]),
        (["--lens"], ["--lens"]),
    ],
)
def test_two_numbers_are_one_range(given: list[str], joined: list[str]) -> None:
    assert join_ranges(given) == join_in_recon(given) == joined


# --- light -------------------------------------------------------------------------------------------------


def test_photo_light_is_as_bright_as_its_exposure_and_every_scene_comes() -> None:
    scenes = set()
    for index in range(200):
        light = choose_photo(object_rng(0, f"chair/{index}", "light"))
        assert light == choose_photo(object_rng(0, f"chair/{index}", "light"))
        assert json.loads(json.dumps(light)) == light
        scenes.add(light["scene"])
        suns = sum(sun["strength"] for sun in light["suns"])
        lamps = sum(
            one["power"] / (4 * math.pi * np.linalg.norm(one["position"]) ** 2) for one in light["lamps"]
        )
        white = (suns + lamps) / math.pi + max(light["sky"]["up"])
        assert 0.6 < white < 1.75
        assert bool(light["suns"]) != bool(light["lamps"])
        assert 1 <= len(light["suns"] + light["lamps"]) <= 3
        for sun in light["suns"]:
            assert np.linalg.norm(sun["direction"]) == pytest.approx(1, abs=1e-3)
    assert scenes == set(SCENES)
    assert warm_color(0.0) == [1, 1, 1]
    assert warm_color(1.0)[0] > warm_color(1.0)[1] > warm_color(1.0)[2]
    assert warm_color(-1.0)[0] < warm_color(-1.0)[1] < warm_color(-1.0)[2]


# --- renders -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def posed(need_bpy: None, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cameras' knobs alone."""
    folder = tmp_path_factory.mktemp("posed") / "d"
    run = render(shapes, "--output", folder, *OPTIONS, *CAMERA_KNOBS)
    assert run.status == 0, run.errors
    return folder


@pytest.fixture(scope="module")
def looked(need_bpy: None, shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every knob."""
    folder = tmp_path_factory.mktemp("looked") / "d"
    run = render(shapes, "--output", folder, *OPTIONS, *CAMERA_KNOBS, *LOOK_KNOBS)
    assert run.status == 0, run.errors
    return folder


@pytest.mark.slow
def test_light_materials_and_ground_change_colours_alone(posed: Path, looked: Path) -> None:
    """Coverage, parts and depth are the same bits; normals are averages, which materials weigh: rounding apart."""
    for key in KEYS:
        before, after = files_of(posed / key), files_of(looked / key)
        assert before.keys() == after.keys()
        for name in (name for name in before if name.startswith(("masks/", "parts/", "depth/"))):
            assert before[name] == after[name], name
        for view in range(4):
            old, new = image(posed / key, "images", view), image(looked / key, "images", view)
            np.testing.assert_array_equal(old[..., 3], new[..., 3])
            assert (np.abs(old.astype(int) - new)[old[..., 3] > 0] > 8).mean() > 0.3
            normals = [image(folder / key, "normals", view).astype(int) for folder in (posed, looked)]
            assert np.abs(normals[0] - normals[1]).max() <= 3


@pytest.mark.slow
def test_what_was_drawn_is_written(posed: Path, looked: Path) -> None:
    settings = json.loads((looked / "dataset.json").read_text())["render"]
    expected = {"lens": [25, 100], "distance": "auto", "roll": 30, "light": "photo", "materials": "random"}
    assert settings.items() >= {**expected, "ground": 1}.items()
    assert not {"ground", "materials"} & set(json.loads((posed / "dataset.json").read_text())["render"])
    for key in KEYS:
        transforms = transforms_of(looked / key)
        assert not {"fl_x", "fl_y"} & set(transforms)
        assert transforms["recon"]["ground"]["height"] < 0
        assert set(transforms["recon"]["materials"]) == {"1", "2", "3", "4"}
        for frame in transforms["frames"]:
            assert 25 / 32 * 64 <= frame["fl_x"] == frame["fl_y"] <= 100 / 32 * 64
            assert abs(frame["recon"]["roll_deg"]) <= 30
            assert frame["recon"]["light"]["kind"] == "photo"
        assert len({frame["fl_x"] for frame in transforms["frames"]}) == 4


@pytest.mark.slow
def test_frames_are_filled_and_points_project_into_masks(looked: Path) -> None:
    for key in KEYS:
        dataset, cloud = Dataset.open(looked), read_ply(looked / key / "points.ply")
        uv = dataset.cameras(key).project(torch.from_numpy(cloud.xyz).double().expand(4, -1, -1))[0].numpy()
        for view in range(4):
            mask = image(looked / key, "masks", view)
            assert mask.sum() == mask[1:-1, 1:-1].sum()
            column, row = np.floor(uv[view]).astype(int).T
            padded = np.pad(mask, 1)
            near = np.max(
                [padded[1 + dy : 65 + dy, 1 + dx : 65 + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)], 0
            )
            assert (near[row, column] > 0).all()
            own = transforms_of(looked / key)
            frame = own["frames"][view]
            alone = project(
                {**own, "frames": [frame], "fl_x": frame["fl_x"], "fl_y": frame["fl_y"]}, 0, cloud.xyz
            )[0]
            np.testing.assert_allclose(uv[view], alone, atol=1e-3)


@pytest.mark.slow
def test_focal_lengths_reach_the_training_cameras(looked: Path, tmp_path: Path) -> None:
    names = Dataset.open(looked).objects()
    for split in ("train", "val", "test"):
        (looked / "splits" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    views = load_views(looked, "train", input_size=16, mask_size=32, cache_dir=tmp_path, progress=False)
    for row, name in enumerate(views.names):
        expected = [frame["fl_x"] / 2 for frame in transforms_of(looked / name)["frames"]]
        cameras = views.cameras(np.full(4, row), np.arange(4))
        np.testing.assert_allclose(cameras.fx.numpy(), expected, rtol=1e-6)
        np.testing.assert_allclose(views.fy[row], expected, rtol=1e-6)


@pytest.mark.slow
def test_points_wear_the_drawn_colours(posed: Path, looked: Path) -> None:
    changed = 0
    for key in KEYS:
        before, after = read_ply(posed / key / "points.ply"), read_ply(looked / key / "points.ply")
        assert before.colors is not None
        assert after.colors is not None
        np.testing.assert_array_equal(before.xyz, after.xyz)
        for label, change in transforms_of(looked / key)["recon"]["materials"].items():
            rows = after.labels == int(label)
            old, new = before.colors[rows].astype(float), after.colors[rows].astype(float)
            if not len(new) or change["kind"] == "keep":
                np.testing.assert_array_equal(old, new)
                continue
            changed += 1
            linear = np.array(change["color"])
            srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255
            if change["kind"] == "flat":
                np.testing.assert_allclose(new, np.tile(srgb, (len(new), 1)), atol=1)
            else:  # bright stays brighter than dark, and the order of the channels is the tint's
                assert (np.diff(new[np.argsort(old.max(1))].max(1)) >= -1).all()
                assert np.argmax(new.mean(0)) == np.argmax(linear)
    assert changed >= 4
