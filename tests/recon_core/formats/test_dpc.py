# SPDX-License-Identifier: Apache-2.0
"""DPC's renders: cameras, masks, depth, points and splits; what is damaged is skipped with one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from formats import foreign
from formats.proof import assert_sound, eye_of, mean_colour_error, run_import
from scipy.io import savemat

from recon_core.data.dataset import Dataset

VIEWS, SIZE, MODELS = 3, 64, ("model_a", "model_b", "model_c")


def write_dpc(root: Path, models: tuple[str, ...] = MODELS, synset: str = foreign.CHAIR) -> Path:
    """renders/, gt/downsampled/ and splits/ as DPC's download scripts leave them."""
    for index, model in enumerate(models):
        solid = foreign.make_solid(index)
        folder = root / "renders" / synset / model
        for number, angles in enumerate(foreign.dpc_angles(VIEWS, index)):
            extrinsic, position = foreign.dpc_extrinsic(*angles)
            view = foreign.dpc_view(solid, SIZE, extrinsic)
            foreign.save(folder / f"render_{number}.png", view.rgba)
            foreign.save(folder / f"depth_{number}.png", foreign.depth_levels(view))
            savemat(folder / f"camera_{number}.mat", {"extrinsic": extrinsic, "pos": position})
        truth = root / "gt" / "downsampled" / synset / f"{model}.mat"
        truth.parent.mkdir(parents=True, exist_ok=True)
        savemat(truth, {"points": foreign.sample(solid, 4000)[0]})
    (root / "splits").mkdir(exist_ok=True)
    lists = {"test": [models[0]], "train": list(models[1:2]), "val": list(models[2:])}
    (root / "splits" / f"{synset}.file").write_text(foreign.torch_split_file(lists))
    return root


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dpc(tmp_path_factory.mktemp("dpc") / "data")


@pytest.fixture
def source(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "data"))


def test_points_fill_the_masks(pristine: Path, tmp_path: Path) -> None:
    """Silhouettes and depth agree in every view, the frame is ours, colours are straight, splits are DPC's."""
    run_import("dpc", pristine, tmp_path / "out")
    report = assert_sound(tmp_path / "out")
    assert report.objects == 3
    assert report.done["depth"] == 9
    dataset = Dataset.open(tmp_path / "out")
    assert [dataset.objects(split) for split in ("test", "train", "val")] == [
        ["chair/model_a"],
        ["chair/model_b"],
        ["chair/model_c"],
    ]
    xyz = dataset.points("chair/model_a").xyz
    assert xyz[xyz[:, 2] > 0.3][:, 1].mean() > 0.1  # the back is behind: +Y, as the front faces -Y
    view = foreign.dpc_view(
        foreign.make_solid(0), SIZE, foreign.dpc_extrinsic(*foreign.dpc_angles(VIEWS, 0)[1])[0]
    )
    np.testing.assert_array_equal(dataset.mask("chair/model_a", 1), view.mask)
    assert mean_colour_error(tmp_path / "out", "chair/model_a", 1, view.rgba) < 1
    depth = dataset.depth("chair/model_a", 1)
    np.testing.assert_allclose(depth[view.part > 0], view.depth[view.part > 0], atol=2e-4)
    assert not depth[view.part == 0].any()


def test_azimuth_is_kept(pristine: Path, tmp_path: Path) -> None:
    """DRC's azimuth counts from the front, as ours does: the recorded orbit is the drawn one."""
    run_import("dpc", pristine, tmp_path / "out", "--limit", 1)
    frames = foreign.transforms_of(tmp_path / "out", "chair/model_a")["frames"]
    for frame, (azimuth, elevation) in zip(frames, foreign.dpc_angles(VIEWS, 0), strict=True):
        assert frame["recon"]["azimuth_deg"] == pytest.approx(azimuth % 360, abs=1e-6)
        assert frame["recon"]["elevation_deg"] == pytest.approx(elevation, abs=1e-6)
        assert frame["recon"]["distance"] == pytest.approx(2.0)
    assert (
        eye_of(tmp_path / "out", "chair/model_a")
        .norm(dim=1)
        .allclose(eye_of(tmp_path / "out", "chair/model_a").new_tensor(2.0))
    )


def test_position_alone_is_enough(source: Path, tmp_path: Path) -> None:
    """A camera file with only `pos` gives the same cameras."""
    for folder in (source / "renders" / foreign.CHAIR).iterdir():
        for number in range(VIEWS):
            _, position = foreign.dpc_extrinsic(*foreign.dpc_angles(VIEWS, MODELS.index(folder.name))[number])
            savemat(folder / f"camera_{number}.mat", {"pos": position})
    run_import("dpc", source, tmp_path / "out")
    assert_sound(tmp_path / "out")


def test_a_rerun_skips_what_is_complete(source: Path, tmp_path: Path) -> None:
    """After the first object, the second run adds the others and leaves the first alone."""
    run_import("dpc", source, tmp_path / "out", "--limit", 1)
    path = tmp_path / "out" / "chair" / "model_a" / "transforms.json"
    before = path.stat().st_mtime_ns
    (tmp_path / "out" / "chair" / ".model_b.tmp-1").mkdir()  # what a killed run leaves
    result = run_import("dpc", source, tmp_path / "out")
    assert "2 imported, 1 complete before, 0 skipped" in result.output
    assert path.stat().st_mtime_ns == before
    assert not list((tmp_path / "out").glob("*/.*"))
    assert "0 imported, 3 complete before" in run_import("dpc", source, tmp_path / "out").output


def test_dry_run_writes_nothing(pristine: Path, tmp_path: Path) -> None:
    """It counts."""
    assert "3 to import" in run_import("dpc", pristine, tmp_path / "out", "--dry-run").output
    assert not (tmp_path / "out").exists()


def test_size_and_views(pristine: Path, tmp_path: Path) -> None:
    """Images are resampled with their cameras, and only the first views are taken."""
    run_import("dpc", pristine, tmp_path / "out", "--size", 48, "--views", 2)
    report = assert_sound(tmp_path / "out", 0.88)
    assert report.views == 6
    assert foreign.transforms_of(tmp_path / "out", "chair/model_a")["w"] == 48


def model_a(root: Path) -> Path:
    return root / "renders" / foreign.CHAIR / "model_a"


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no camera": (lambda root: (model_a(root) / "camera_1.mat").unlink(), "camera_1.mat is missing"),
    "cut camera": (lambda root: _truncate(model_a(root) / "camera_1.mat"), "no MATLAB file that can be read"),
    "empty camera": (
        lambda root: savemat(model_a(root) / "camera_0.mat", {"x": 1.0}),
        "neither an 'extrinsic'",
    ),
    "mirrored camera": (
        lambda root: savemat(model_a(root) / "camera_0.mat", {"extrinsic": np.diag([-1.0, 1, 1, 1])}),
        "mirrored, sheared or empty",
    ),
    "wrong shape": (
        lambda root: savemat(model_a(root) / "camera_0.mat", {"extrinsic": np.eye(3)}),
        "expected finite 4x4 matrices",
    ),
    "text as camera": (
        lambda root: savemat(model_a(root) / "camera_0.mat", {"extrinsic": "text"}),
        "extrinsic is a char, expected numbers",
    ),
    "cut image": (lambda root: _truncate(model_a(root) / "render_2.png"), "damaged or truncated PNG"),
    "empty mask": (
        lambda root: foreign.save(model_a(root) / "render_1.png", np.zeros((SIZE, SIZE, 4), np.uint8)),
        "View 1: the mask is empty",
    ),
    "other size": (
        lambda root: foreign.save(model_a(root) / "render_1.png", np.full((32, 32, 4), 255, np.uint8)),
        "have different sizes",
    ),
    "no alpha": (
        lambda root: (
            foreign.save(model_a(root) / "render_1.png", np.zeros((SIZE, SIZE, 3), np.uint8)),
            (model_a(root) / "depth_1.png").unlink(),
        ),
        "no alpha channel",
    ),
    "colour as depth": (
        lambda root: foreign.save(model_a(root) / "depth_0.png", np.zeros((SIZE, SIZE, 3), np.uint8)),
        "Expected a grey PNG with 16 bits",
    ),
    "bad truth": (
        lambda root: savemat(
            root / "gt/downsampled" / foreign.CHAIR / "model_a.mat", {"points": np.zeros((4, 2))}
        ),
        "expected finite points (N, 3)",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_object_is_skipped(source: Path, tmp_path: Path, fault: str) -> None:
    """The others are imported; the report has one line with the reason; no half object stays."""
    break_it, message = FAULTS[fault]
    break_it(source)
    result = run_import("dpc", source, tmp_path / "out", status=3)
    assert "2 imported, 0 complete before, 1 skipped" in result.output
    record = json.loads((tmp_path / "out" / "skipped.jsonl").read_text())
    assert record["object"] == "chair/model_a"
    assert message in record["error"]
    assert "\n" not in record["error"]
    assert message in result.output
    assert sorted(one.name for one in (tmp_path / "out" / "chair").iterdir()) == ["model_b", "model_c"]


def test_a_mended_object_leaves_the_report(source: Path, tmp_path: Path) -> None:
    """skipped.jsonl goes when everything is there."""
    camera = model_a(source) / "camera_1.mat"
    saved = camera.read_bytes()
    camera.unlink()
    run_import("dpc", source, tmp_path / "out", status=3)
    camera.write_bytes(saved)
    run_import("dpc", source, tmp_path / "out")
    assert not (tmp_path / "out" / "skipped.jsonl").exists()
    assert_sound(tmp_path / "out")


def test_nothing_usable(source: Path, tmp_path: Path) -> None:
    """Exit status 1; a second run into the same folder is possible."""
    for path in source.glob("renders/*/*/camera_0.mat"):
        path.unlink()
    run_import("dpc", source, tmp_path / "out", status=1)
    run_import("dpc", source, tmp_path / "out", status=1)
    assert not (tmp_path / "out" / "dataset.json").exists()
