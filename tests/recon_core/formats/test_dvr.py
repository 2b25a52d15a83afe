# SPDX-License-Identifier: Apache-2.0
"""DVR's layout: import against an own writer of NMR-like views, export, and the way there and back."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from formats import foreign
from formats.proof import assert_sound, mean_colour_error, recon, run_import
from tiny_dataset import make_tiny_dataset

from recon_core.data.dataset import Dataset

VIEWS, SIZE, FOCAL = 4, 64, 3.7320508  # 30 degrees: 1 / tan(15)


def nmr_camera(azimuth_deg: float, elevation_deg: float = 30.0, distance: float = 2.732) -> np.ndarray:
    """world_mat (4,4) of a camera on a ring about +Y: x right, y down, z forward."""
    a, e = np.radians(azimuth_deg), np.radians(elevation_deg)
    eye = distance * np.array([np.cos(e) * np.sin(a), np.sin(e), -np.cos(e) * np.cos(a)])
    forward = -eye / distance
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack((right, np.cross(forward, right), forward))
    matrix[:3, 3] = -matrix[:3, :3] @ eye
    return matrix


def nmr_view(solid: foreign.Solid, world_mat: np.ndarray) -> foreign.View:
    """Image coordinates in [-1, 1], top left first."""

    def rays(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        direction = np.stack(((2 * u - 1) / FOCAL, (2 * v - 1) / FOCAL, np.ones_like(u)), -1)
        return -world_mat[:3, :3].T @ world_mat[:3, 3], direction @ world_mat[:3, :3]

    return foreign.see(solid, SIZE, rays)


def write_dvr(root: Path) -> Path:
    """NMR_Dataset/<class>/ with two objects and the three lists."""
    folder = root / foreign.CHAIR
    for index in range(2):
        solid, own = foreign.make_solid(index, "edge"), folder / f"id_{index}"
        cameras = {}
        for view in range(VIEWS):
            world_mat = nmr_camera(15.0 + 90 * view)
            camera_mat = np.diag([FOCAL, FOCAL, 1, 1])
            cameras |= {f"world_mat_{view}": world_mat, f"world_mat_inv_{view}": np.linalg.inv(world_mat)}
            cameras |= {f"camera_mat_{view}": camera_mat, f"camera_mat_inv_{view}": np.linalg.inv(camera_mat)}
            seen = nmr_view(solid, world_mat)
            foreign.save(own / "image" / f"{view:04d}.png", seen.on_white)
            foreign.save(own / "mask" / f"{view:04d}.png", seen.mask)
        np.savez(own / "cameras.npz", **cameras)
        xyz = foreign.sample(solid, 6000)[0]
        np.savez(
            own / "pointcloud.npz", points=xyz.astype(np.float32), normals=np.tile([0, 1.0, 0], (len(xyz), 1))
        )
    for split, names in {"train": "id_0\n", "val": "", "test": "id_1\n"}.items():
        (folder / f"softras_{split}.lst").write_text(names)
    return root


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dvr(tmp_path_factory.mktemp("dvr") / "NMR_Dataset")


@pytest.fixture
def source(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "in"))


def test_points_fill_the_masks(pristine: Path, tmp_path: Path) -> None:
    """Objects come to diagonal 1; silhouettes agree; lists give the splits; white is taken out of the edges."""
    run_import("dvr", pristine, tmp_path / "out")
    assert_sound(tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.objects("train") == ["chair/id_0"]
    assert dataset.objects("test") == ["chair/id_1"]
    xyz = dataset.points("chair/id_0").xyz
    assert np.linalg.norm(xyz.max(0) - xyz.min(0)) == pytest.approx(1, abs=1e-5)
    assert xyz[xyz[:, 2] > 0.3][:, 1].mean() > 0.1
    seen = nmr_view(foreign.make_solid(0, "edge"), nmr_camera(15.0 + 90))
    assert mean_colour_error(tmp_path / "out", "chair/id_0", 1, seen.rgba) < 1
    edge = (seen.mask > 100) & (seen.mask < 250)
    found = dataset.image("chair/id_0", 1).astype(float)
    assert np.abs(found[edge][:, :3] - seen.rgb[edge]).mean() < 3  # not white


def test_source_scale_may_be_kept(pristine: Path, tmp_path: Path) -> None:
    """--normalise source leaves the longest edge at 1 and the distance at 2.732."""
    run_import("dvr", pristine, tmp_path / "out", "--normalise", "source")
    assert_sound(tmp_path / "out")
    xyz = Dataset.open(tmp_path / "out").points("chair/id_0").xyz
    assert (xyz.max(0) - xyz.min(0)).max() == pytest.approx(1, abs=1e-2)
    distance = foreign.transforms_of(tmp_path / "out", "chair/id_0")["frames"][0]["recon"]["distance"]
    assert distance == pytest.approx(2.732)


def cameras_with(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Rewrite a cameras.npz."""

    def apply(root: Path) -> None:
        path = root / foreign.CHAIR / "id_0" / "cameras.npz"
        with np.load(path) as loaded:
            values = dict(loaded)
        change(values)
        np.savez(path, **values)

    return apply


def _pickled(values: dict) -> None:
    values["world_mat_1"] = np.array([{"a": 1}], dtype=object)


def own(root: Path) -> Path:
    return root / foreign.CHAIR / "id_0"


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickle in npz": (cameras_with(_pickled), "a pickle is never run"),
    "missing camera": (cameras_with(lambda values: values.pop("camera_mat_3")), "has no camera_mat_3"),
    "mirrored": (
        cameras_with(lambda values: values.update(world_mat_0=np.diag([1.0, -1, 1, 1]))),
        "mirrored",
    ),
    "not finite": (cameras_with(lambda values: values.update(world_mat_2=np.full((4, 4), np.nan))), "finite"),
    "negative focal": (
        cameras_with(lambda values: values.update(camera_mat_0=np.diag([-1.0, 1, 1, 1]))),
        "focal lengths",
    ),
    "no npz": (lambda root: (own(root) / "cameras.npz").write_bytes(b"text"), "no npz file"),
    "no masks": (lambda root: shutil.rmtree(own(root) / "mask"), "neither an alpha channel nor"),
    "no images": (lambda root: shutil.rmtree(own(root) / "image"), "has no views"),
    "text as points": (
        lambda root: np.savez(own(root) / "pointcloud.npz", points=np.zeros((3, 4))),
        "expected finite points",
    ),
    "object gone": (lambda root: shutil.rmtree(own(root)), "named by a list and is not there"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_object_is_skipped(source: Path, tmp_path: Path, fault: str) -> None:
    """One line says why; the other object is imported."""
    break_it, message = FAULTS[fault]
    break_it(source)
    result = run_import("dvr", source, tmp_path / "out", status=3)
    assert message in result.output
    assert [one.name for one in (tmp_path / "out" / "chair").iterdir()] == ["id_1"]


def test_a_list_cannot_lead_out_of_the_folder(source: Path, tmp_path: Path) -> None:
    """Lists may say ../.. only in vain: the last step of the path is the id."""
    (source / foreign.CHAIR / "softras_val.lst").write_text("../../secret\n..\n")
    result = run_import("dvr", source, tmp_path / "out", status=3)
    assert "2 imported" in result.output
    names = {
        json.loads(line)["object"] for line in (tmp_path / "out" / "skipped.jsonl").read_text().splitlines()
    }
    assert names == {"chair/secret", "chair/.."}
    assert not (tmp_path / "out" / "secret").exists()


def test_a_bomb_is_refused_by_its_size(source: Path, tmp_path: Path) -> None:
    """100 MB of zeros pack into 100 kB; what they would unpack to is looked at first."""
    np.savez_compressed(own(source) / "cameras.npz", world_mat_0=np.zeros(12_500_000))
    result = run_import("dvr", source, tmp_path / "out", status=3)
    assert "would unpack to 100 MB" in result.output


def test_export_writes_what_import_reads(tmp_path: Path) -> None:
    """Native to DVR and back: cameras, masks, colours, points and splits are what they were."""
    native = make_tiny_dataset(tmp_path / "native", objects=3, views=3, size=48)
    result = recon("export-dataset", native, tmp_path / "dvr", "--format", "dvr", "--quiet")
    assert result.exit_code == 0, result.output
    assert "3 exported" in result.output
    run_import("dvr", tmp_path / "dvr", tmp_path / "back", "--normalise", "source")
    assert_sound(tmp_path / "back", 0.85)
    before, after = Dataset.open(native), Dataset.open(tmp_path / "back")
    for split in ("train", "val", "test"):
        assert sorted(after.objects(split)) == sorted(before.objects(split))
    for name in before.objects():
        first, second = before.cameras(name), after.cameras(name)
        np.testing.assert_allclose(second.world_to_cam, first.world_to_cam, atol=1e-9)
        np.testing.assert_allclose(second.fx, first.fx)
        np.testing.assert_allclose(after.points(name).xyz, before.points(name).xyz, atol=1e-6)
        np.testing.assert_array_equal(after.mask(name, 1), before.mask(name, 1))
        full = before.mask(name, 1) == 255
        np.testing.assert_array_equal(after.image(name, 1)[full], before.image(name, 1)[full])
    again = recon("export-dataset", native, tmp_path / "dvr", "--quiet")
    assert "0 exported, 3 complete before" in again.output


def test_exported_world_is_shapenets(tmp_path: Path) -> None:
    """+Y up: a point on top in our frame is at the top of every exported view."""
    native = make_tiny_dataset(tmp_path / "native", objects=1, views=2, size=48)
    recon("export-dataset", native, tmp_path / "dvr", "--names", "--quiet")
    folder = next(path.parent for path in (tmp_path / "dvr" / "chair").glob("*/cameras.npz"))
    xyz = Dataset.open(native).points(f"chair/{folder.name}").xyz
    with np.load(folder / "pointcloud.npz") as loaded:
        np.testing.assert_allclose(loaded["points"][:, 1], xyz[:, 2], atol=1e-6)
        np.testing.assert_allclose(loaded["points"][:, 0], -xyz[:, 1], atol=1e-6)
    with np.load(folder / "cameras.npz") as loaded:
        high, low = (loaded["world_mat_0"] @ [0, y, 0, 1] for y in (0.3, -0.3))
        assert high[1] / high[2] < low[1] / low[2]  # y down
        np.testing.assert_allclose(loaded["world_mat_0"] @ loaded["world_mat_inv_0"], np.eye(4), atol=1e-9)


def test_export_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    """Other formats, a folder that is no dataset, a target inside the dataset."""
    native = make_tiny_dataset(tmp_path / "native", objects=1, views=2, size=32)
    assert "no export format" in str(
        recon("export-dataset", native, tmp_path / "x", "--format", "obj").exception
    )
    assert "does not exist" in str(recon("export-dataset", tmp_path / "no", tmp_path / "x").exception)
    assert "lies in the dataset" in str(recon("export-dataset", native, native / "dvr").exception)
