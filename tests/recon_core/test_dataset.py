# SPDX-License-Identifier: Apache-2.0
"""The dataset folder: reading what was drawn, splits, and each way in which a folder can be broken."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_dataset import DEPTH_SCALE, PARTS, make_tiny_dataset

from recon_core.data.dataset import Dataset
from recon_core.data.splits import split_names, split_of, write_splits
from recon_core.errors import ConfigError, DatasetError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return make_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture
def broken(drawn: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(drawn, tmp_path / "tiny"))


def test_metadata_and_objects(drawn: Path) -> None:
    dataset = Dataset.open(drawn)
    assert dataset.root == drawn
    assert dataset.meta.categories == ["chair"]
    assert dataset.meta.parts == {"chair": PARTS}
    assert len(dataset.meta.palette) == 5
    names = dataset.objects()
    assert names == sorted(names)
    assert len(names) == 4
    by_split = [dataset.objects(split) for split in ("train", "val", "test")]
    assert [len(one) for one in by_split] == [2, 1, 1]
    assert sorted(name for names_of in by_split for name in names_of) == names
    assert dataset.part_names("chair") == dataset.part_names(names[0]) == PARTS
    assert {dataset.symmetry_order(name) for name in names} == {0, 1, 4}
    assert dataset.passes(names[0]) == ("image", "mask", "depth", "parts", "normals")


def test_arrays(drawn: Path) -> None:
    dataset = Dataset.open(drawn)
    name = dataset.objects("train")[0]
    assert dataset.views(name) == 4
    expected = {
        "image": ((32, 32, 4), np.uint8),
        "mask": ((32, 32), np.uint8),
        "parts": ((32, 32), np.uint8),
        "depth": ((32, 32), np.float32),
        "normals": ((32, 32, 3), np.uint8),
    }
    for kind, (shape, dtype) in expected.items():
        array = getattr(dataset, kind)(name, 3)
        assert (array.shape, array.dtype) == (shape, dtype)
    assert np.array_equal(dataset.image(name, 0)[..., 3], dataset.mask(name, 0))


def test_cameras_masks_depth_and_points_agree(drawn: Path) -> None:
    """points.ply, projected by the cameras, lies in the masks and never in front of the depth."""
    dataset = Dataset.open(drawn)
    for name in dataset.objects():
        cloud, cameras = dataset.points(name), dataset.cameras(name)
        assert cameras.world_to_cam.dtype == torch.float64
        assert (cameras.width, cameras.height, len(cameras)) == (32, 32, 4)
        assert np.linalg.norm(np.ptp(cloud.xyz, axis=0)) == pytest.approx(1, abs=0.02)
        uv, depth = cameras.project(torch.from_numpy(cloud.xyz).double().expand(4, -1, -1))
        for view in range(4):
            column, row = uv[view].long().numpy().T
            inside = dataset.mask(name, view)[row, column] > 0
            assert inside.mean() > 0.98
            seen = dataset.depth(name, view)[row, column]
            checked = seen > 0
            assert (depth[view].numpy()[checked] - seen[checked] > -0.1).mean() > 0.9
            covered = np.zeros((32, 32), bool)
            covered[row, column] = True
            solid = dataset.mask(name, view) == 255
            assert covered[solid].mean() > 0.9


def test_depth_and_parts_of_a_pixel_are_those_of_its_ray(drawn: Path) -> None:
    dataset = Dataset.open(drawn)
    name = dataset.objects()[0]
    parts, depth = dataset.parts(name, 0), dataset.depth(name, 0)
    assert set(np.unique(parts)) <= set(range(5))
    assert np.array_equal(parts > 0, depth > 0)
    assert np.allclose(depth / DEPTH_SCALE, np.rint(depth / DEPTH_SCALE), atol=1e-2)
    normals = dataset.normals(name, 0)[parts > 0] / 255 * 2 - 1
    assert np.abs(np.linalg.norm(normals, axis=1) - 1).max() < 0.02


def test_unlabelled(tmp_path: Path) -> None:
    dataset = Dataset.open(make_tiny_dataset(tmp_path / "plain", objects=1, views=2, labelled=False))
    name = dataset.objects()[0]
    assert dataset.part_names(name) == []
    assert "parts" not in dataset.passes(name)
    assert dataset.points(name).labels is None
    with pytest.raises(DatasetError, match="view 0 has no parts"):
        dataset.parts(name, 0)


def test_rgb_images_take_their_alpha_from_the_mask(broken: Path) -> None:
    dataset = Dataset.open(broken)
    name = dataset.objects()[0]
    before = dataset.image(name, 0)
    Image.fromarray(before[..., :3]).save(broken / name / "images/000.png")
    assert np.array_equal(dataset.image(name, 0), before)


def test_views_without_a_mask_file_use_alpha(broken: Path) -> None:
    name = Dataset.open(broken).objects()[0]
    mask = Dataset.open(broken).mask(name, 0)
    _edit(broken / name / "transforms.json", lambda value: value["frames"][0].pop("mask_path"))
    assert np.array_equal(Dataset.open(broken).mask(name, 0), mask)


def _edit(path: Path, change) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def _set(*keys, value):
    def change(target) -> None:
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("version", value=2), "version"),
        (_set("categories", value=[]), "categories"),
        (_set("categories", value=["../secret"]), "not a plain folder name"),
        (_set("parts", value={"sofa": ["seat"]}), "not in categories"),
        (_set("parts", "chair", value=["seat", "seat"]), "different names"),
        (_set("palette", value=[[1, 2]]), "palette"),
    ],
)
def test_bad_metadata(broken: Path, change, message: str) -> None:
    _edit(broken / "dataset.json", change)
    with pytest.raises(DatasetError, match=message):
        Dataset.open(broken)


def test_not_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        Dataset.open(tmp_path / "none")
    with pytest.raises(DatasetError, match=r"has no dataset\.json"):
        Dataset.open(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="not valid JSON"):
        Dataset.open(tmp_path)


FRAME = ("frames", 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("frames", value=[]), "at least one frame"),
        (_set(*FRAME, value=7), "frame 0 must be an object"),
        (_set(*FRAME, "file_path", value="/etc/passwd"), "stay inside"),
        (_set(*FRAME, "file_path", value="../other/images/000.png"), "stay inside"),
        (_set(*FRAME, "mask_path", value="C:\\mask.png"), "stay inside"),
        (_set(*FRAME, "recon", "part_path", value="parts\\..\\..\\x.png"), "stay inside"),
        (_set(*FRAME, "file_path", value=3), "stay inside"),
        (lambda value: [value["frames"][0].pop(key) for key in ("file_path", "mask_path")], "has neither"),
        (_set("w", value=0), "w is 0"),
        (_set("w", value=1e9), "w is"),
        (_set("h", value=float("inf")), "h is inf"),
        (_set("h", value="32"), "h is '32'"),
        (_set("recon", value=[]), "'recon' must be an object"),
    ],
)
def test_bad_transforms(broken: Path, change, message: str) -> None:
    name = Dataset.open(broken).objects()[0]
    _edit(broken / name / "transforms.json", change)
    with pytest.raises(DatasetError, match=message):
        Dataset.open(broken).transforms(name)


@pytest.mark.parametrize(
    ("change", "method", "message"),
    [
        (_set(*FRAME, "transform_matrix", value=[[1, 0], [0, 1]]), "cameras", "no usable cameras"),
        (lambda value: value.pop("fl_x"), "cameras", "no usable cameras"),
        (_set("fl_y", value=-3.0), "cameras", "focal lengths positive"),
        (_set("cx", value=float("nan")), "cameras", "must be finite"),
        (
            _set(*FRAME, "transform_matrix", value=np.diag([2.0, 2, 2, 1]).tolist()),
            "cameras",
            "frame 0 is not rigid",
        ),
        (
            _set(*FRAME, "transform_matrix", value=np.diag([-1.0, 1, 1, 1]).tolist()),
            "cameras",
            "is not rigid",
        ),
        (_set("recon", "symmetry_order", value=-1), "symmetry_order", "symmetry_order is -1"),
        (_set("recon", "symmetry_order", value=2.5), "symmetry_order", "whole number"),
    ],
)
def test_bad_values(broken: Path, change, method: str, message: str) -> None:
    name = Dataset.open(broken).objects()[0]
    _edit(broken / name / "transforms.json", change)
    with pytest.raises(DatasetError, match=message):
        getattr(Dataset.open(broken), method)(name)


def _save(pixels: np.ndarray):
    return lambda path: Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("file", "damage", "method", "message"),
    [
        ("images/000.png", Path.unlink, "image", "is missing"),
        ("masks/000.png", lambda path: path.write_bytes(path.read_bytes()[:60]), "mask", "cannot be decoded"),
        ("masks/000.png", lambda path: path.write_bytes(b"GIF89a"), "mask", "cannot be decoded"),
        ("masks/000.png", _save(np.zeros((16, 32), np.uint8)), "mask", "has 32x16 pixels"),
        ("masks/000.png", _save(np.zeros((32, 32, 3), np.uint8)), "mask", "pixel format RGB, expected L"),
        ("depth/000.png", _save(np.zeros((32, 32), np.uint8)), "depth", "pixel format L"),
        ("parts/000.png", _save(np.full((32, 32), 9, np.uint8)), "parts", "part id 9, but .* has 4"),
    ],
)
def test_bad_files(broken: Path, file: str, damage, method: str, message: str) -> None:
    dataset = Dataset.open(broken)
    name = dataset.objects()[0]
    damage(broken / name / file)
    with pytest.raises(DatasetError, match=message):
        getattr(dataset, method)(name, 0)


def test_links_out_of_the_object_are_refused(broken: Path) -> None:
    dataset = Dataset.open(broken)
    first, second = dataset.objects()[:2]
    path = broken / first / "images/000.png"
    path.unlink()
    path.symlink_to(broken / second / "images/000.png")
    with pytest.raises(DatasetError, match="leads out of the object folder"):
        dataset.image(first, 0)


def test_bad_names_views_and_splits(broken: Path) -> None:
    dataset = Dataset.open(broken)
    for name in ("chair", "chair/../x", "/chair/x", "chair/a/b", ".cache/x"):
        with pytest.raises(DatasetError, match="not an object name"):
            dataset.folder(name)
    with pytest.raises(DatasetError, match="no object 'chair/none'"):
        dataset.transforms("chair/none")
    with pytest.raises(DatasetError, match="there is no view 4"):
        dataset.mask(dataset.objects()[0], 4)
    with pytest.raises(DatasetError, match="no split 'dev'"):
        dataset.objects("dev")
    with (broken / "splits/train.txt").open("a") as file:
        file.write("chair/gone\n")
    with pytest.raises(DatasetError, match="names 1 objects that are not there, the first is chair/gone"):
        dataset.objects("train")
    (broken / "splits/val.txt").unlink()
    with pytest.raises(DatasetError, match="cannot be read"):
        dataset.objects("val")


def test_points_missing_or_bad(broken: Path) -> None:
    dataset = Dataset.open(broken)
    path = broken / dataset.objects()[0] / "points.ply"
    path.write_bytes(b"nothing")
    with pytest.raises(DatasetError, match="not a PLY"):
        dataset.points(dataset.objects()[0])
    path.unlink()
    with pytest.raises(DatasetError, match="is missing"):
        dataset.points(dataset.objects()[0])


def test_splits_follow_the_hash_of_the_name() -> None:
    names = [f"chair/{index:05d}" for index in range(3000)]
    groups = split_names(reversed(names))
    assert sum(map(len, groups.values())) == 3000
    assert len(groups["train"]) == pytest.approx(2400, abs=80)
    assert len(groups["val"]) == pytest.approx(300, abs=60)
    for split, members in groups.items():
        assert members == sorted(members)
        for name in members[:50]:
            fraction = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
            assert split == ("train" if fraction < 0.8 else "val" if fraction < 0.9 else "test")
    # More objects move none of the others.
    assert split_names(names[:1000])["test"] == [name for name in groups["test"] if name in set(names[:1000])]


@pytest.mark.parametrize(
    ("ratios", "expected"), [((1, 0, 0), "train"), ((0, 1, 0), "val"), ((0, 0, 1), "test")]
)
def test_shares_of_one_and_zero(ratios, expected: str) -> None:
    assert {split_of(f"a/{index}", ratios) for index in range(200)} == {expected}


@pytest.mark.parametrize("ratios", [(0.8, 0.1), (0.8, 0.1, 0.2), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)])
def test_bad_ratios(ratios) -> None:
    with pytest.raises(ConfigError, match="sum to 1"):
        split_of("chair/x", ratios)


def test_write_splits_writes_empty_ones_too(tmp_path: Path) -> None:
    write_splits(tmp_path, ["chair/b", "chair/a"], (1, 0, 0))
    assert (tmp_path / "splits/train.txt").read_text() == "chair/a\nchair/b\n"
    assert (tmp_path / "splits/test.txt").read_text() == ""
