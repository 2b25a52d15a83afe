# SPDX-License-Identifier: Apache-2.0
"""Plain images with alpha: masks and pictures, one default camera, poses flagged as unknown."""

from pathlib import Path

import numpy as np
import pytest
from formats import foreign
from formats.proof import recon, run_import

from recon_core.data.cache import load_views
from recon_core.data.dataset import Dataset
from recon_core.errors import DatasetError
from recon_core.methods.recipe import load_recipe
from recon_core.training.viewsets import open_training_data


def blob(size: tuple[int, int], box: tuple[int, int, int, int], colour: int = 200) -> np.ndarray:
    """RGBA (H,W,4) with one opaque rectangle (left, top, right, bottom)."""
    pixels = np.zeros((size[1], size[0], 4), np.uint8)
    left, top, right, bottom = box
    pixels[top:bottom, left:right] = (colour, 40, 90, 255)
    return pixels


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    foreign.save(root / "alone.png", blob((300, 200), (10, 120, 90, 160)))
    foreign.save(root / "cup" / "b.png", blob((100, 100), (20, 30, 60, 90)))
    foreign.save(root / "cup" / "a.png", blob((64, 80), (10, 10, 40, 70)))
    (root / "notes.txt").write_text("no image")
    return root


def test_objects_are_cropped_and_poses_unknown(source: Path, tmp_path: Path) -> None:
    """Folders are objects with several views; every object is centred and fills the same share of its frame."""
    run_import("images", source, tmp_path / "out", "--category", "cup")
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.objects() == ["cup/alone", "cup/cup"]
    assert [dataset.views(name) for name in dataset.objects()] == [1, 2]
    for name in dataset.objects():
        transforms = foreign.transforms_of(tmp_path / "out", name)
        assert transforms["recon"]["pose_known"] is False
        assert (transforms["w"], transforms["fl_x"], transforms["cx"]) == (128, 240.0, 64.0)
        for view in range(dataset.views(name)):
            rows, columns = np.nonzero(dataset.mask(name, view) > 127)
            extent = max(np.ptp(rows), np.ptp(columns)) + 1
            assert extent == pytest.approx(128 / 1.6, abs=2)
            assert rows.mean() == pytest.approx(63.5, abs=1)
            assert columns.mean() == pytest.approx(63.5, abs=1)
            assert dataset.image(name, view)[64, 64].tolist() == [200, 40, 90, 255]
    assert recon("check", tmp_path / "out").exit_code == 0


def test_masks_may_stand_beside_images(tmp_path: Path) -> None:
    """photo.jpg with photo_mask.png: one object; a mask of another size is no mask; x_mask alone is an image."""
    pixels = blob((60, 40), (5, 5, 30, 30))
    foreign.save(tmp_path / "in" / "a.png", np.full((40, 60, 3), 77, np.uint8))
    foreign.save(tmp_path / "in" / "a_mask.png", pixels[..., 3])
    foreign.save(tmp_path / "in" / "b.png", np.full((40, 60, 3), 77, np.uint8))
    foreign.save(tmp_path / "in" / "b_mask.png", pixels[:20, :, 3])
    foreign.save(tmp_path / "in" / "c_mask.png", pixels)
    foreign.save(tmp_path / "in" / "d.png", np.full((40, 60, 3), 77, np.uint8))
    foreign.save(tmp_path / "in" / "d_mask.png", pixels)  # a cut-out in colour: its alpha is the mask
    result = run_import("images", tmp_path / "in", tmp_path / "out", "--keep-frame", status=3)
    assert "b.png and b_mask.png have different sizes" in result.output
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.objects() == ["object/a", "object/c_mask", "object/d"]
    np.testing.assert_array_equal(dataset.mask("object/d", 0), dataset.mask("object/a", 0))
    np.testing.assert_array_equal(dataset.mask("object/a", 0)[10:50], pixels[..., 3])  # padded to a square
    assert dataset.image("object/a", 0)[20, 10].tolist() == [77, 77, 77, 255]


def test_training_can_read_it(source: Path, tmp_path: Path) -> None:
    """Masks and inputs of such a dataset become batches."""
    for index in range(12):
        foreign.save(source / f"more_{index}.png", blob((64, 64), (20, 20, 40, 50)))
    run_import("images", source, tmp_path / "out", "--category", "cup")
    views = load_views(tmp_path / "out", "train", input_size=32, mask_size=32, progress=False)
    assert views.masks.shape[1:] == (1, 32, 32)
    assert views.masks.max() == 255


def test_recipes_that_take_cameras_as_known_refuse_them(source: Path, tmp_path: Path) -> None:
    """Placeholder cameras would be learnt as if they were true; recipes that learn poses may have them."""
    run_import("images", source, tmp_path / "out", "--category", "cup")
    for split in ("train", "val", "test"):
        names = "cup/alone\ncup/cup\n" if split == "train" else ""
        (tmp_path / "out" / "splits" / f"{split}.txt").write_text(names)
    with pytest.raises(DatasetError, match="cameras of cup/alone are not known"):
        open_training_data(tmp_path / "out", load_recipe("splat"))
    assert open_training_data(tmp_path / "out", load_recipe("splat_unposed")).train.names == ["cup/alone", "cup/cup"]


def test_frames_may_be_kept(tmp_path: Path) -> None:
    """Renders of one lens keep where and how large the object is."""
    foreign.save(tmp_path / "in" / "a.png", blob((100, 100), (20, 30, 60, 90)))
    run_import("images", tmp_path / "in", tmp_path / "out", "--keep-frame")
    np.testing.assert_array_equal(
        Dataset.open(tmp_path / "out").image("object/a", 0), blob((100, 100), (20, 30, 60, 90))
    )


def test_what_has_no_object_is_skipped(source: Path, tmp_path: Path) -> None:
    """No alpha, opaque everywhere, empty, damaged, not an image: one line each."""
    foreign.save(source / "rgb.png", np.full((20, 20, 3), 90, np.uint8))
    foreign.save(source / "opaque.png", np.full((20, 20, 4), 255, np.uint8))
    foreign.save(source / "empty.png", np.zeros((20, 20, 4), np.uint8))
    (source / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    (source / "text.png").write_text("text")
    result = run_import("images", source, tmp_path / "out", status=3)
    assert "2 imported, 0 complete before, 5 skipped" in result.output
    text = (tmp_path / "out" / "skipped.jsonl").read_text()
    assert text.count("has no transparency") == 2
    assert "The mask (20x20 pixels) is empty" in text
    assert "damaged or truncated PNG" in text
    assert "is not an image" in text


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    """A PNG that announces 60,000 x 60,000 pixels."""
    foreign.save(tmp_path / "in" / "bomb.png", blob((8, 8), (2, 2, 5, 5)))
    path = tmp_path / "in" / "bomb.png"
    raw = bytearray(path.read_bytes())
    raw[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    raw[29:33] = zlib.crc32(raw[12:29]).to_bytes(4, "big")
    path.write_bytes(raw)
    result = run_import("images", tmp_path / "in", tmp_path / "out", status=1)
    assert "too large to decode" in result.output or "megapixels" in result.output
