# SPDX-License-Identifier: Apache-2.0
"""`recon check`: one valid dataset, and the same with one fault at a time, each with its message."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from recon_core.cameras import orbit, pinhole
from recon_core.cli import app
from recon_core.data.check import CHECKS, check_dataset
from recon_core.data.check_points import Spacing, check_silhouette, points_outside
from recon_core.data.check_report import as_json
from recon_core.errors import DatasetError
from recon_core.io.ply import read_ply, write_ply
from recon_core.pointcloud import PointCloud

sys.path.insert(0, str(Path(__file__).parent))
from tiny_dataset import make_tiny_dataset


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_dataset(tmp_path_factory.mktemp("tiny") / "dataset", objects=4, views=3, size=48)


@pytest.fixture
def dataset(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "dataset"))


def first(root: Path) -> Path:
    return sorted((root / "chair").iterdir())[0]


def edit_json(path: Path, change: Callable[[dict], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def edit_transforms(change: Callable[[dict], object]) -> Callable[[Path], None]:
    return lambda root: edit_json(first(root) / "transforms.json", change)


def edit_image(relative: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        path = first(root) / relative
        with Image.open(path) as image:
            pixels, palette = change(np.array(image)), image.getpalette() if image.mode == "P" else None
        changed = Image.fromarray(pixels, mode="P" if palette else None)
        if palette:
            changed.putpalette(palette)
        changed.save(path)

    return apply


def edit_points(change: Callable[[np.ndarray], np.ndarray], labels: bool = False) -> Callable[[Path], None]:
    def apply(root: Path) -> None:
        cloud = read_ply(first(root) / "points.ply")
        if labels:
            cloud.labels = change(cloud.labels).astype(np.uint8)
        else:
            cloud.xyz = change(cloud.xyz).astype(np.float32)
        write_ply(first(root) / "points.ply", cloud)

    return apply


def scaled_rotation(transforms: dict) -> None:
    matrix = transforms["frames"][1]["transform_matrix"]
    matrix[0][:3] = [1.01 * value for value in matrix[0][:3]]


def nearly_rotation(transforms: dict) -> None:
    transforms["frames"][1]["transform_matrix"][0][0] += 3e-4


def mirrored_rotation(transforms: dict) -> None:
    for row in transforms["frames"][1]["transform_matrix"]:
        row[0] = -row[0]


def swapped_cameras(transforms: dict) -> None:
    frames = transforms["frames"]
    frames[0]["transform_matrix"], frames[1]["transform_matrix"] = (
        frames[1]["transform_matrix"], frames[0]["transform_matrix"],
    )  # fmt: skip


def shift_into_border(mask: np.ndarray) -> np.ndarray:
    columns = np.flatnonzero((mask > 200).any(0))
    return np.roll(mask, -columns[0], 1)


def paint_corner(ids: np.ndarray) -> np.ndarray:
    ids[:4, :4] = 1
    return ids


def repeat_line(root: Path) -> None:
    path = root / "splits" / "train.txt"
    path.write_text(path.read_text() + (root / "splits" / "test.txt").read_text())


FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "image gone": (lambda root: (first(root) / "images/001.png").unlink(), "files", "001.png is missing"),
    "mask truncated": (
        lambda root: (first(root) / "masks/000.png").write_bytes(b"\x89PNG\r\n\x1a\n"), "files", "cannot be decoded",
    ),
    "wrong size": (edit_image("depth/000.png", lambda depth: depth[:20]), "files", "48x20 pixels"),
    "wrong format": (edit_image("masks/000.png", lambda m: np.dstack((m, m, m))), "files", "pixel format RGB"),
    "empty mask": (edit_image("masks/001.png", np.zeros_like), "mask empty", "the mask is empty"),
    "full mask": (edit_image("masks/001.png", lambda m: np.full_like(m, 255)), "mask full", "the mask is full"),
    "cut mask": (edit_image("masks/001.png", shift_into_border), "mask cut", r"cut by the frame \(left\)"),
    "alpha off": (edit_image("images/002.png", lambda i: i // 2), "alpha", "alpha and mask differ in"),
    "other mask": (edit_image("masks/002.png", lambda m: m[::-1]), "silhouette", "points fall outside the mask"),
    "fat mask": (
        edit_image("masks/002.png", lambda m: np.pad(np.full((44, 44), 255, np.uint8), 2)), "silhouette", "IoU of",
    ),
    "part id": (edit_image("parts/000.png", lambda p: np.where(p > 0, 9, 0).astype(np.uint8)), "parts", "part id 9"),
    "part outside": (edit_image("parts/000.png", paint_corner), "parts", "16 pixels have a part id outside"),
    "part names": (edit_transforms(lambda t: t["recon"].update(parts=["wing"])), "parts", "not those of dataset.json"),
    "normals": (edit_image("normals/000.png", lambda n: n // 3), "normals", "do not have length 1"),
    "depth holes": (edit_image("depth/001.png", np.zeros_like), "depth", "have no depth"),
    "depth scale": (edit_transforms(lambda t: t.update(integer_depth_scale=7e-5)), "depth", "off the points"),
    "no depth scale": (edit_transforms(lambda t: t.pop("integer_depth_scale")), "files", "integer_depth_scale is None"),
    "not orthonormal": (edit_transforms(scaled_rotation), "cameras", "frame 1 is not rigid"),
    "nearly orthonormal": (edit_transforms(nearly_rotation), "cameras", "view 1: .* not orthonormal"),
    "mirrored": (edit_transforms(mirrored_rotation), "cameras", "frame 1 is not rigid"),
    "no focal length": (edit_transforms(lambda t: t.update(fl_x=0.0)), "cameras", "focal lengths positive"),
    "principal point": (edit_transforms(lambda t: t.update(cx=480.0)), "cameras", "outside the image"),
    "small matrix": (
        edit_transforms(lambda t: t["frames"][0].update(transform_matrix=[[1.0] * 4] * 3)),
        "cameras", "no usable cameras",
    ),
    "wrong cameras": (edit_transforms(swapped_cameras), "silhouette", "camera and image do not belong together"),
    "symmetry": (edit_transforms(lambda t: t["recon"].update(symmetry_order=-2)), "symmetry", "whole number >= 0"),
    "broken json": (
        lambda root: (first(root) / "transforms.json").write_text("{"), "transforms", "not valid JSON",
    ),
    "no points": (lambda root: (first(root) / "points.ply").unlink(), "points", "points.ply is missing"),
    "labels": (edit_points(lambda labels: labels + 10, labels=True), "points", "there are 4 parts"),
    "points moved": (edit_points(lambda xyz: xyz + 0.2), "normalised", "centre 0.20. off the origin"),
    "split unknown": (
        lambda root: (root / "splits/val.txt").write_text("chair/ghost\n"), "splits", "the first is chair/ghost",
    ),
    "split twice": (repeat_line, "splits", "more than once"),
    "split absent": (lambda root: (root / "splits/test.txt").write_text(""), "splits", "1 objects are in no split"),
    "category": (
        lambda root: shutil.copytree(root / "chair", root / "lamp"), "index", "the folder lamp holds objects",
    ),
    "palette": (
        lambda root: edit_json(root / "dataset.json", lambda meta: meta.update(palette=[[0, 0, 0]])),
        "index", "1 colours for part ids up to 4",
    ),
}  # fmt: skip


def test_valid_dataset_has_no_problems(pristine: Path) -> None:
    report = check_dataset(pristine, quiet=True)
    assert [str(problem) for problem in report.problems] == []
    assert (report.objects, report.views, len(report.ious)) == (4, 12, 12)
    assert min(report.ious) > 0.9
    assert all(report.done[code] for code in CHECKS)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named(dataset: Path, fault: str) -> None:
    spoil, code, message = FAULTS[fault]
    spoil(dataset)
    found = [problem for problem in check_dataset(dataset, quiet=True).errors if problem.code == code]
    assert any(re.search(message, str(problem)) for problem in found), found


def test_leftovers_are_warnings(dataset: Path) -> None:
    (dataset / "failed.jsonl").write_text('{"object": "chair/x"}\n')
    (dataset / "chair" / ".x.tmp-1").mkdir()
    report = check_dataset(dataset, quiet=True)
    assert report.errors == []
    assert [problem.code for problem in report.problems] == ["leftovers", "leftovers"]


def test_limit_and_datasets_without_parts_or_points(tmp_path: Path) -> None:
    root = make_tiny_dataset(tmp_path / "plain", objects=4, views=2, labelled=False, points=64)
    report = check_dataset(root, limit=2, quiet=True)
    assert (report.objects, report.views, report.errors) == (2, 4, [])
    for path in root.rglob("points.ply"):
        path.unlink()
    edit_json(root / "dataset.json", lambda meta: meta["render"].update(points=0))
    assert check_dataset(root, quiet=True).errors == []


def test_no_dataset_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no dataset\.json"):
        check_dataset(tmp_path)


def test_command_line_table_json_and_sheet(dataset: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    good = CliRunner().invoke(app, ["check", str(dataset), "--sheet", str(sheet)])
    assert good.exit_code == 0, good.output
    assert "No problems found." in good.output
    with Image.open(sheet) as image:
        assert image.width > 5 * 48
        assert image.height > 4 * 48
    edit_image("masks/001.png", np.zeros_like)(dataset)
    bad = CliRunner().invoke(app, ["check", str(dataset), "--json"])
    assert bad.exit_code == 1
    report = json.loads(bad.stdout)
    assert (report["ok"], report["counts"]["mask empty"]) == (False, 1)
    assert json.loads(as_json(check_dataset(dataset, quiet=True))) == report


def test_parts_thinner_than_a_pixel_may_cover_less_than_half_of_it() -> None:
    """An antenna beside a body: were half coverage asked of its pixels, a tenth of the points would be outside."""
    body = np.random.default_rng(0).uniform(-0.2, 0.2, (900, 3))
    antenna = np.column_stack((np.zeros(100), np.zeros(100), np.linspace(0.22, 0.45, 100)))
    cloud = PointCloud(np.concatenate((body, antenna)).astype(np.float32))
    camera = pinhole(orbit(torch.zeros(1).double(), torch.zeros(1).double()), 48)
    uv_px = camera.project(torch.from_numpy(cloud.xyz)[None].double())[0][0].numpy()
    column, row = np.floor(uv_px).astype(int).T
    mask = np.zeros((48, 48), np.uint8)
    mask[row[:900], column[:900]] = 255
    mask[row[900:], column[900:]] = np.maximum(mask[row[900:], column[900:]], 40)
    assert points_outside(uv_px, mask >= 128) > 0.02
    iou, problems = check_silhouette(cloud, Spacing.of(cloud), camera, mask)
    assert iou > 0.8
    assert problems == []
    mask[mask < 128] = 0
    assert "fall outside the mask" in check_silhouette(cloud, Spacing.of(cloud), camera, mask)[1][0]
