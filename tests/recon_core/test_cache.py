# SPDX-License-Identifier: Apache-2.0
"""The cache against the files it was made from, its rebuilding, and the batches drawn from it."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_dataset import PARTS, make_tiny_dataset

from recon_core.data import cache
from recon_core.data.cache import load_views
from recon_core.data.crop import crop_square, fit_box
from recon_core.data.dataset import Dataset
from recon_core.data.resize import area_resized, center_resized
from recon_core.data.viewset import ViewSet, gather_batch, sample_batch, subset
from recon_core.errors import ConfigError, DatasetError

ALL = ("mask", "image", "parts", "depth")
OBJECTS, VIEWS, SIZE = 8, 6, 32


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return make_tiny_dataset(tmp_path_factory.mktemp("data") / "tiny", OBJECTS, VIEWS, SIZE)


@pytest.fixture
def copied(drawn: Path, tmp_path: Path) -> Path:
    """A copy to change, with an empty cache."""
    return Path(shutil.copytree(drawn, tmp_path / "tiny", ignore=shutil.ignore_patterns(".cache")))


@pytest.fixture(scope="module")
def viewset(drawn: Path) -> ViewSet:
    return _load(drawn, passes=ALL)


def _load(root: Path, split: str = "train", **options) -> ViewSet:
    return load_views(root, split, **{"input_size": 24, "mask_size": 16, "progress": False} | options)


def _folders(root: Path) -> list[Path]:
    return sorted((root / ".cache").iterdir())


def test_arrays_hold_what_the_files_hold(drawn: Path, viewset: ViewSet) -> None:
    dataset = Dataset.open(drawn)
    assert viewset.names == dataset.objects("train")
    assert (len(viewset), viewset.views, viewset.mask_size, viewset.input_size) == (4, VIEWS, 16, 24)
    assert (viewset.categories, viewset.part_names, viewset.num_parts) == (["chair"], {"chair": PARTS}, 4)
    assert viewset.symmetry_order.tolist() == [dataset.symmetry_order(name) for name in viewset.names]
    assert viewset.images is not None
    assert viewset.parts is not None
    assert viewset.depth is not None
    for row, name in enumerate(viewset.names):
        for view in range(VIEWS):
            rgba, mask = dataset.image(name, view), dataset.mask(name, view)
            crop = crop_square(rgba, fit_box(mask), 24)
            assert np.array_equal(viewset.inputs[row, view], crop)
            blocks = mask.reshape(16, 2, 16, 2).astype(float).mean((1, 3))
            assert np.abs(viewset.masks[row, view] - blocks).max() <= 1  # rounded along rows, then columns
            assert np.array_equal(viewset.parts[row, view], dataset.parts(name, view)[1::2, 1::2])
            assert np.array_equal(viewset.depth[row, view], dataset.depth(name, view)[1::2, 1::2])
            weight = rgba[..., 3:].astype(float)
            weighted = (rgba[..., :3] * weight).reshape(16, 2, 16, 2, 3).sum((1, 3))
            total = weight.reshape(16, 2, 16, 2, 1).sum((1, 3))
            solid = total[..., 0] > 2 * 255
            straight = weighted[solid] / total[solid]
            assert np.abs(viewset.images[row, view][solid] - straight).max() <= 3  # 8-bit steps in between


def test_cameras_are_scaled_to_the_masks(drawn: Path, viewset: ViewSet) -> None:
    dataset = Dataset.open(drawn)
    for row, name in enumerate(viewset.names):
        expected = dataset.cameras(name).resized(16, 16)
        found = viewset.cameras(np.full(VIEWS, row), np.arange(VIEWS))
        assert (found.width, found.height) == (16, 16)
        for field in ("world_to_cam", "fx", "fy", "cx", "cy"):
            torch.testing.assert_close(getattr(found, field), getattr(expected, field).float())


def test_area_and_center_resizing_against_loops() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (12, 18), dtype=np.uint8)
    area, center = area_resized(values, 6), center_resized(values, 6)
    for row in range(6):
        for column in range(6):
            block = values[2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
            assert abs(block.mean() - int(area[row, column])) <= 1
            assert center[row, column] == values[2 * row + 1, 3 * column + 1]


def test_the_second_opening_is_instant_and_reads_no_picture(
    drawn: Path, viewset: ViewSet, monkeypatch
) -> None:
    monkeypatch.setattr(cache, "_build", lambda *_: pytest.fail("was built again"))
    start = time.perf_counter()
    again = _load(drawn, passes=("depth", "parts", "image"))  # the order and "mask" make no difference
    assert time.perf_counter() - start < 0.5  # measured: 0.01
    assert again.names == viewset.names
    assert np.array_equal(again.inputs, viewset.inputs)


def test_arrays_cannot_be_written_and_nothing_is_pickled(drawn: Path, viewset: ViewSet) -> None:
    assert isinstance(viewset.inputs, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        viewset.masks[0] = 0
    suffixes = {path.suffix for folder in _folders(drawn) for path in folder.iterdir()}
    assert suffixes == {".npy", ".json"}


def test_points_are_never_read(copied: Path) -> None:
    for path in copied.rglob("points.ply"):
        path.unlink()
    assert len(_load(copied)) == 4


@pytest.mark.parametrize(
    "options",
    [
        {"input_size": 20},
        {"mask_size": 8},
        {"margin": 1.3},
        {"views": 2},
        {"split": "val"},
    ],
)
def test_each_setting_has_its_own_cache(drawn: Path, viewset: ViewSet, options) -> None:
    before = set(_folders(drawn))
    other = _load(drawn, **{"passes": ALL} | options)
    assert len(set(_folders(drawn)) - before) == 1
    assert before <= set(_folders(drawn))
    assert other.views == options.get("views", VIEWS)


def test_a_cache_with_more_passes_serves_a_request_for_fewer(copied: Path) -> None:
    full = _load(copied, passes=("mask", "image", "parts"))
    plain = _load(copied)
    assert len(_folders(copied)) == 1
    assert np.array_equal(plain.masks, full.masks)
    assert np.array_equal(plain.inputs, full.inputs)
    assert (plain.images, plain.parts) == (None, None)
    assert _load(copied, passes=("parts",)).parts is not None
    _load(copied, passes=("depth",))
    assert len(_folders(copied)) == 2


def test_fewer_views_are_spread_over_all(drawn: Path, viewset: ViewSet) -> None:
    assert np.array_equal(_load(drawn, views=3).masks, np.asarray(viewset.masks)[:, [0, 2, 4]])


def test_changed_data_is_decoded_again_and_the_old_cache_removed(copied: Path) -> None:
    first = np.array(_load(copied).masks)
    name = Dataset.open(copied).objects("train")[0]
    path = copied / name / "masks/000.png"
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    os.utime(copied / name / "transforms.json", (1, 1))  # an object is rendered as a whole
    second = _load(copied).masks
    assert not np.array_equal(first[0, 0], second[0, 0])
    assert np.array_equal(first[1:], second[1:])
    assert len(_folders(copied)) == 1


def _truncate(folder: Path) -> None:
    path = folder / "inputs.npy"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _zero(folder: Path) -> None:
    path = folder / "masks.npy"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(bytes(size - size // 2))


def _swap(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    meta["arrays"]["masks"]["dtype"] = "<f4"
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _zero,
        _swap,
        lambda folder: (folder / "fx.npy").unlink(),
        lambda folder: (folder / "meta.json").unlink(),
        lambda folder: (folder / "meta.json").write_text('{"names": ['),
        lambda folder: (folder / "meta.json").write_text("[]"),
        lambda folder: (folder / "meta.json").write_text('{"names": [], "arrays": {}}'),
    ],
)
def test_damaged_caches_are_built_anew(copied: Path, damage) -> None:
    good = np.array(_load(copied).masks)
    (folder,) = _folders(copied)
    damage(folder)
    again = _load(copied)
    assert np.array_equal(again.masks, good)
    assert again.inputs.shape == (4, VIEWS, 24, 24, 4)
    assert _folders(copied) == [folder]


def test_a_failed_build_leaves_nothing(copied: Path) -> None:
    name = Dataset.open(copied).objects("train")[2]
    Image.fromarray(np.zeros((SIZE, SIZE), np.uint8)).save(copied / name / "masks/003.png")
    with pytest.raises(DatasetError, match=rf"{name} view 3: The mask .* is empty"):
        _load(copied)
    assert _folders(copied) == []


def test_old_leftovers_are_swept(copied: Path) -> None:
    old, young = copied / ".cache/.building-old", copied / ".cache/.building-young"
    old.mkdir(parents=True)
    young.mkdir()
    os.utime(old, (1, 1))
    _load(copied)
    assert not old.exists()
    assert young.exists()


@pytest.mark.slow
def test_two_processes_give_the_same_arrays(copied: Path, viewset: ViewSet) -> None:
    parallel = _load(copied, passes=ALL, workers=2)
    for name in ("inputs", "masks", "images", "parts", "depth", "world_to_cam", "fx", "symmetry_order"):
        assert np.array_equal(getattr(parallel, name), getattr(viewset, name))


@pytest.mark.slow
def test_faults_in_worker_processes_are_told(copied: Path) -> None:
    name = Dataset.open(copied).objects("train")[0]
    (copied / name / "images/001.png").unlink()
    with pytest.raises(DatasetError, match=r"001\.png is missing"):
        _load(copied, workers=2)


def test_datasets_that_share_a_cache_folder(drawn: Path, copied: Path, tmp_path: Path) -> None:
    for _ in range(2):
        _load(drawn, cache_dir=tmp_path / "shared")
        _load(copied, cache_dir=tmp_path / "shared")
    assert len(list((tmp_path / "shared").iterdir())) == 2


def test_read_only_datasets_use_the_users_cache(copied: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(cache.os, "access", lambda *_: False)  # root may write anywhere
    _load(copied)
    assert not (copied / ".cache").exists()
    assert len(list((tmp_path / "home/recon").rglob("meta.json"))) == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"passes": ("mask", "colour")}, ConfigError, "Unknown passes"),
        ({"passes": "mask"}, ConfigError, "Unknown passes"),
        ({"input_size": 0}, ConfigError, "must be 1 to 4096"),
        ({"margin": 0.5}, ConfigError, "margin 0.5 must be"),
        ({"views": 0}, ConfigError, "views is 0"),
        ({"views": 7}, DatasetError, "has 6 views, 7 were asked for"),
        ({"split": "all"}, DatasetError, "no split 'all'"),
    ],
)
def test_bad_requests(drawn: Path, options, error, message: str) -> None:
    with pytest.raises(error, match=message):
        _load(drawn, **options)


def test_lacking_passes_and_empty_splits(tmp_path: Path) -> None:
    root = make_tiny_dataset(tmp_path / "plain", 1, 2, labelled=False)
    with pytest.raises(DatasetError, match="has no parts pass"):
        _load(root, passes=("parts",))
    with pytest.raises(DatasetError, match="'test' has no objects"):
        _load(root, split="test")


def test_a_full_disk_is_seen_before_anything_is_written(copied: Path, monkeypatch) -> None:
    usage = shutil.disk_usage(copied)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(DatasetError, match="GB free"):
        _load(copied)
    assert _folders(copied) == []


# --- batches ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, True])
def test_batches_hold_the_chosen_views(viewset: ViewSet, generator, device, apart: bool) -> None:
    batch = sample_batch(viewset, 3, 4, generator, device=device, input_apart=apart)
    assert batch.input.shape == (3, 4, 24, 24)
    assert batch.masks.shape == batch.depth.shape == batch.parts.shape == (3, 4, 16, 16)
    assert batch.images.shape == (3, 4, 3, 16, 16)
    assert batch.input.device.type == batch.cameras.fx.device.type == device.type
    assert len(batch.objects.unique()) == 3
    assert batch.input_is_first is not apart
    assert len(batch.cameras) == 12
    for row, index in enumerate(batch.objects.tolist()):
        views, input_view = batch.views[row].tolist(), int(batch.input_view[row])
        assert len({*views, input_view}) == 4 + apart
        expected = torch.from_numpy(viewset.inputs[index, input_view] / 255).permute(2, 0, 1)
        torch.testing.assert_close(batch.input[row].cpu(), expected.float())
        torch.testing.assert_close(
            batch.input_cameras.world_to_cam[row].cpu(),
            torch.from_numpy(np.array(viewset.world_to_cam[index, input_view])),
        )
        for place, view in enumerate(views):
            flat = row * 4 + place
            mask = torch.from_numpy(viewset.masks[index, view] / 255).float()
            torch.testing.assert_close(batch.masks[row, place].cpu(), mask)
            assert np.array_equal(batch.parts[row, place].cpu(), viewset.parts[index, view])
            assert np.array_equal(batch.depth[row, place].cpu(), viewset.depth[index, view])
            pixel = torch.from_numpy(viewset.images[index, view] / 255).permute(2, 0, 1).float()
            torch.testing.assert_close(batch.images[row, place].cpu(), pixel)
            pose = torch.from_numpy(np.array(viewset.world_to_cam[index, view]))
            torch.testing.assert_close(batch.cameras.world_to_cam[flat].cpu(), pose)
            assert float(batch.cameras.cx[flat]) == float(viewset.cx[index, view])


def test_batches_follow_the_generator_alone(viewset: ViewSet) -> None:
    torch.manual_seed(0)
    draws = [sample_batch(viewset, 4, 2, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert torch.equal(draws[0].masks, draws[1].masks)
    assert not torch.equal(draws[0].masks, draws[2].masks)


def test_every_object_and_view_is_drawn(viewset: ViewSet, generator) -> None:
    seen = {
        (index, view)
        for _ in range(40)
        for batch in [sample_batch(viewset, 2, 2, generator)]
        for index, views in zip(batch.objects.tolist(), batch.views.tolist(), strict=True)
        for view in views
    }
    assert len(seen) == 4 * VIEWS


def test_more_objects_than_there_are(viewset: ViewSet, generator) -> None:
    objects = sample_batch(viewset, 10, 1, generator).objects
    assert sorted(torch.bincount(objects).tolist()) == [2, 2, 3, 3]


@pytest.mark.parametrize(
    ("objects", "views", "apart"), [(1, 7, False), (1, 6, True), (0, 1, False), (1, 0, False)]
)
def test_impossible_batches(viewset: ViewSet, generator, objects: int, views: int, apart: bool) -> None:
    with pytest.raises(ConfigError, match="cannot be drawn"):
        sample_batch(viewset, objects, views, generator, input_apart=apart)


def test_gather_and_subset(viewset: ViewSet) -> None:
    rows, columns = torch.tensor([1, 3]), torch.tensor([[2, 0], [5, 5]])
    whole = gather_batch(viewset, rows, columns, torch.tensor([4, 1]))
    assert whole.input_view.tolist() == [4, 1]
    assert not whole.input_is_first
    some = subset(viewset, [1, 3])
    assert some.names == [viewset.names[1], viewset.names[3]]
    part = gather_batch(some, torch.arange(2), columns)
    assert torch.equal(part.masks, whole.masks)
    assert torch.equal(part.cameras.world_to_cam, whole.cameras.world_to_cam)
    assert part.input_is_first


def test_masks_and_cameras_of_a_batch_fit_the_points(drawn: Path, viewset: ViewSet, generator) -> None:
    batch = sample_batch(viewset, 4, 3, generator)
    dataset = Dataset.open(drawn)
    clouds = [torch.from_numpy(dataset.points(viewset.names[index]).xyz) for index in batch.objects.tolist()]
    xyz = torch.stack(clouds).repeat_interleave(3, 0)
    uv, _ = batch.cameras.project(xyz)
    masks = batch.masks.flatten(0, 1)
    for index in range(len(masks)):
        column, row = uv[index].long().T
        assert (masks[index, row, column] > 0).float().mean() > 0.98


def test_speed(viewset: ViewSet, generator) -> None:
    """16 objects with 4 views take 0.6 ms at 64 px; the bound is for busy machines."""
    times = []
    for _ in range(10):
        start = time.perf_counter()
        sample_batch(viewset, 16, 4, generator)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.02
