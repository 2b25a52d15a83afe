# SPDX-License-Identifier: Apache-2.0
"""ShapeNet-Part gives labels to objects that are there already, when its clouds fit their masks."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from formats import foreign
from formats.proof import assert_sound, recon, run_import
from formats.test_dpc import write_dpc

from recon_core.data.dataset import Dataset

MODELS = ("model_a", "model_b")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("part")
    run_import("dpc", write_dpc(root / "dpc", MODELS), root / "dataset")
    return root / "dataset"


@pytest.fixture
def dataset(imported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(imported, tmp_path / "dataset"))


def write_clouds(root: Path, layout: str, models: tuple[str, ...] = (*MODELS, "unknown")) -> Path:
    """Clouds of 2,500 points that are normalised in another way than the meshes."""
    folder = root / foreign.CHAIR
    for index, model in enumerate(models):
        xyz, labels = foreign.sample(foreign.make_solid(index), 2500, seed=5)
        xyz = xyz * 1.7 + [0.1, -0.2, 0.3]
        if layout == "pts":
            for name in ("points", "points_label"):
                (folder / name).mkdir(parents=True, exist_ok=True)
            np.savetxt(folder / "points" / f"{model}.pts", xyz)
            np.savetxt(folder / "points_label" / f"{model}.seg", labels, fmt="%d")
        elif layout == "txt":
            folder.mkdir(parents=True, exist_ok=True)
            normals = np.tile([0.0, 1, 0], (len(xyz), 1))
            np.savetxt(folder / f"{model}.txt", np.c_[xyz, normals, labels + 11], fmt="%.6f")
        else:
            (folder / model).mkdir(parents=True)
            np.save(folder / model / "pointcloud_1024.npy", xyz)
            np.save(folder / model / "pointcloud_labels.npy", labels)
    return root


@pytest.mark.parametrize("layout", ["pts", "txt", "npy"])
def test_points_take_the_labels(dataset: Path, tmp_path: Path, layout: str) -> None:
    """The object's own points stay, each with the label of the part that it lies on."""
    before = Dataset.open(dataset).points("chair/model_b").xyz
    run_import("shapenet-part", write_clouds(tmp_path / "in", layout), dataset)
    opened = Dataset.open(dataset)
    cloud = opened.points("chair/model_b")
    np.testing.assert_array_equal(cloud.xyz, before)
    true = foreign.sample(foreign.make_solid(1), 4000)[1]
    assert cloud.labels is not None
    assert (cloud.labels == true).mean() > 0.95
    assert opened.part_names("chair/model_b") == foreign.PART_NAMES
    assert opened.meta.parts == {"chair": foreign.PART_NAMES}
    assert_sound(dataset)


def test_an_object_without_points_gets_the_cloud(dataset: Path, tmp_path: Path) -> None:
    """Centred, with diagonal 1, in the object frame."""
    for path in dataset.glob("chair/*/points.ply"):
        path.unlink()
    run_import("shapenet-part", write_clouds(tmp_path / "in", "pts"), dataset)
    cloud = Dataset.open(dataset).points("chair/model_a")
    assert len(cloud) == 2500
    assert cloud.labels is not None
    assert cloud.xyz[cloud.labels == 1][:, 1].mean() > 0.1
    assert_sound(dataset, 0.85)


def test_a_rerun_skips_what_is_labelled(dataset: Path, tmp_path: Path) -> None:
    """And a dry run writes nothing."""
    source = write_clouds(tmp_path / "in", "pts")
    assert "2 to import" in run_import("shapenet-part", source, dataset, "--dry-run").output
    assert not Dataset.open(dataset).meta.parts
    assert "1 imported" in run_import("shapenet-part", source, dataset, "--limit", 1).output
    assert "1 imported, 1 complete before" in run_import("shapenet-part", source, dataset).output


def test_clouds_that_do_not_fit_are_refused(dataset: Path, tmp_path: Path) -> None:
    """Another front axis: the silhouettes disagree, and the object stays as it was."""
    source = write_clouds(tmp_path / "in", "pts")
    result = run_import("shapenet-part", source, dataset, "--up", "Y", "--front", "-Z", status=1)
    assert "Are the axes others?" in result.output
    assert Dataset.open(dataset).points("chair/model_a").labels is None
    assert len((dataset / "skipped.jsonl").read_text().splitlines()) == 2


FAULTS = {
    "no labels": (lambda folder: (folder / "points_label/model_a.seg").unlink(), "has no labels"),
    "short": (
        lambda folder: (folder / "points_label/model_a.seg").write_text("1\n2\n"),
        "expected 2500 labels",
    ),
    "words": (
        lambda folder: (folder / "points/model_a.pts").write_text("a b c\n"),
        "expected 3 numbers a line",
    ),
    "empty": (lambda folder: (folder / "points/model_a.pts").write_text(""), "is empty"),
    "negative": (
        lambda folder: (folder / "points_label/model_a.seg").write_text("-1\n" * 2500),
        "expected 2500 labels of 0 to 255",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_cloud_is_skipped(dataset: Path, tmp_path: Path, fault: str) -> None:
    """One line says why; the other object is labelled."""
    source = write_clouds(tmp_path / "in", "pts")
    break_it, message = FAULTS[fault]
    break_it(source / foreign.CHAIR)
    result = run_import("shapenet-part", source, dataset, status=3)
    assert message in result.output
    record = json.loads((dataset / "skipped.jsonl").read_text())
    assert record["object"] == "chair/model_a"


def test_labels_of_another_category_are_refused(dataset: Path, tmp_path: Path) -> None:
    """Ids of airplanes (0 to 3) in a chair's file."""
    source = write_clouds(tmp_path / "in", "txt")
    path = source / foreign.CHAIR / "model_a.txt"
    table = np.loadtxt(path)
    table[:, 6] -= 12
    np.savetxt(path, table, fmt="%.6f")
    result = run_import("shapenet-part", source, dataset, status=3)
    assert "expected labels 12 to 15 in 03001627" in result.output


def test_without_a_dataset_there_is_nothing_to_label(dataset: Path, tmp_path: Path) -> None:
    """The target must be a dataset that shares objects with the clouds."""
    source = write_clouds(tmp_path / "in", "pts", ("other",))
    assert "dataset.json" in str(recon("import", "shapenet-part", source, tmp_path).exception)
    assert "none of an object" in str(recon("import", "shapenet-part", source, dataset).exception)
