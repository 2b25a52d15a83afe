# SPDX-License-Identifier: Apache-2.0
"""DRC's renders by view.txt or camera files, with the clouds and part maps that CAPNet and DIFFER added."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from formats import foreign
from formats.proof import assert_sound, run_import
from scipy.io import savemat

from recon_core.data.dataset import Dataset

VIEWS, SIZE = 4, 64


def drc_view(solid: foreign.Solid, azimuth_deg: float, elevation_deg: float) -> foreign.View:
    """cam = R_el R_az p - (0, 0, 2) with p = (-y, -z, x); row = 120 cam0 / |z| + 32, column = 120 cam1 / |z| + 32."""
    a, e = np.radians(azimuth_deg), np.radians(elevation_deg)
    around = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    over = np.array([[np.cos(e), 0, np.sin(e)], [0, 1, 0], [-np.sin(e), 0, np.cos(e)]])
    turn = over @ around

    def to_shapenet(p: np.ndarray) -> np.ndarray:
        return np.stack((p[..., 2], -p[..., 0], -p[..., 1]), -1)

    def rays(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen = np.stack(((64 * v - 32) / 120, (64 * u - 32) / 120, -np.ones_like(u)), -1)
        return to_shapenet(np.array([0.0, 0, 2]) @ turn), to_shapenet(seen @ turn)

    return foreign.see(solid, SIZE, rays)


def write_drc(root: Path, *, labelled: bool = True) -> Path:
    """ShapeNet_rendered/<synset>/<model>/ with view.txt, 16-bit depth, clouds and part maps."""
    for index in range(2):
        solid, folder = (
            foreign.make_solid(index),
            root / "ShapeNet_rendered" / foreign.CHAIR / f"model_{index}",
        )
        lines = []
        for number, (azimuth, elevation) in enumerate(foreign.dpc_angles(VIEWS, index)):
            seen = drc_view(solid, azimuth, elevation)
            foreign.save(folder / f"render_{number}.png", seen.rgba)
            foreign.save(folder / f"depth_{number}.png", foreign.depth_levels(seen))
            if labelled:
                np.save(folder / f"labels_{number}.npy", seen.part)
            lines.append(f"{azimuth:.6f} {elevation:.6f} 0.000000 2.000000\n")
        (folder / "view.txt").write_text("".join(lines))
        if labelled:
            xyz, labels = foreign.sample(solid, 4000)
            np.save(folder / "pointcloud_1024.npy", xyz.astype(np.float32))
            np.save(folder / "pointcloud_labels.npy", labels.astype(np.int64))
    splits = root / "splits"
    splits.mkdir()
    (splits / f"{foreign.CHAIR}_train_list.txt").write_text(f"{foreign.CHAIR}/model_1\n")
    np.save(splits / f"{foreign.CHAIR}_test_list.npy", np.array(["model_0"]))
    np.save(splits / f"{foreign.CHAIR}_val_list.npy", np.array(["a pickle"], dtype=object), allow_pickle=True)
    return root


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drc(tmp_path_factory.mktemp("drc") / "data")


@pytest.fixture
def source(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "in"))


def test_points_fill_the_masks_and_parts_are_kept(pristine: Path, tmp_path: Path) -> None:
    """view.txt alone gives the cameras; labels of points and pixels are 1-based and named."""
    run_import("drc", pristine, tmp_path / "out")
    report = assert_sound(tmp_path / "out")
    assert report.done["parts"] == 2 * VIEWS + 2 * VIEWS
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.part_names("chair/model_0") == foreign.PART_NAMES
    seen = drc_view(foreign.make_solid(0), *foreign.dpc_angles(VIEWS, 0)[2])
    np.testing.assert_array_equal(dataset.parts("chair/model_0", 2), seen.part)
    cloud = dataset.points("chair/model_0")
    assert cloud.labels is not None
    back = cloud.xyz[cloud.labels == 1].mean(0)
    assert back[1] > 0.1  # behind
    assert back[2] > 0.1  # above
    assert dataset.objects("train") == ["chair/model_1"]
    assert dataset.objects("test") == ["chair/model_0"]


def test_camera_files_win_and_give_the_same(source: Path, tmp_path: Path) -> None:
    """camera_k.mat in Blender's world agrees with view.txt."""
    for index in range(2):
        for number, angles in enumerate(foreign.dpc_angles(VIEWS, index)):
            extrinsic, position = foreign.dpc_extrinsic(*angles)
            folder = source / "ShapeNet_rendered" / foreign.CHAIR / f"model_{index}"
            savemat(
                folder / f"camera_{number}.mat", {"extrinsic": extrinsic, "pos": position, "K": np.eye(3)}
            )
    run_import("drc", source, tmp_path / "a")
    for path in source.glob("*/*/*/view.txt"):
        path.write_text("nonsense")
    run_import("drc", source, tmp_path / "b")
    assert_sound(tmp_path / "b")
    first, second = (Dataset.open(tmp_path / one).cameras("chair/model_0").world_to_cam for one in "ab")
    np.testing.assert_allclose(first, second, atol=1e-9)


def test_without_labels(tmp_path: Path) -> None:
    """No parts, no points: still a dataset that passes the check."""
    run_import("drc", write_drc(tmp_path / "in", labelled=False), tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.meta.parts == {}
    assert dataset.meta.render["points"] == 0


def model(root: Path) -> Path:
    return root / "ShapeNet_rendered" / foreign.CHAIR / "model_0"


def _cut_lines(root: Path) -> None:
    path = model(root) / "view.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no cameras": (lambda root: (model(root) / "view.txt").unlink(), "neither camera_k.mat"),
    "few lines": (_cut_lines, "has 2 lines, there is a render_3.png"),
    "words": (
        lambda root: (model(root) / "view.txt").write_text("a b c d\n" * 4),
        "expected four numbers a line",
    ),
    "three": (
        lambda root: (model(root) / "view.txt").write_text("1 2 3\n" * 4),
        "expected four numbers a line",
    ),
    "tilted": (lambda root: (model(root) / "view.txt").write_text("1 2 3 2\n" * 4), "views with a tilt"),
    "no distance": (lambda root: (model(root) / "view.txt").write_text("1 2 0 0\n" * 4), "distances above 0"),
    "infinite": (
        lambda root: (model(root) / "view.txt").write_text("inf 2 0 2\n" * 4),
        "expected finite numbers",
    ),
    "binary": (lambda root: (model(root) / "view.txt").write_bytes(b"\xff\xfe\x00"), "is not a text file"),
    "pickled points": (
        lambda root: np.save(model(root) / "pointcloud_1024.npy", np.array([{}], object), allow_pickle=True),
        "a pickle is never run",
    ),
    "labels short": (
        lambda root: np.save(model(root) / "pointcloud_labels.npy", np.ones(5, int)),
        "expected 4000 labels",
    ),
    "part map": (
        lambda root: np.save(model(root) / "labels_1.npy", np.zeros((3, 3), int)),
        "part ids of the image's",
    ),
    "unknown part": (
        lambda root: np.save(model(root) / "labels_1.npy", np.full((SIZE, SIZE), 9)),
        "holds the id 9, there are 4 parts",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_object_is_skipped(source: Path, tmp_path: Path, fault: str) -> None:
    """One line says why; the other object is imported."""
    break_it, message = FAULTS[fault]
    break_it(source)
    result = run_import("drc", source, tmp_path / "out", status=3)
    assert message in result.output
    assert [one.name for one in (tmp_path / "out" / "chair").iterdir()] == ["model_1"]
