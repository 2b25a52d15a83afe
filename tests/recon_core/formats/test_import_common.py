# SPDX-License-Identifier: Apache-2.0
"""What all importers share: options, going on with a dataset, splits, safe paths and arrays."""

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
from formats import foreign
from formats.proof import assert_sound, recon, run_import
from formats.test_dpc import MODELS, write_dpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from recon_core.data.dataset import Dataset
from recon_core.data.formats import FORMATS, summaries
from recon_core.data.formats.arrays import read_mat, read_npy, read_npz
from recon_core.data.formats.paths import inside
from recon_core.data.formats.split_files import read_splits, read_torch_splits
from recon_core.errors import DatasetError


def test_every_format_says_what_it_is() -> None:
    """One line each."""
    assert set(summaries()) == set(FORMATS)
    assert all(text and "\n" not in text for text in summaries().values())


BAD_OPTIONS = {
    "format": (("dpc-tfrecords",), "Did you mean dpc-tfrecord?"),
    "normalise": (("dpc", "--normalise", "x"), "expected one of source, points, cameras"),
    "up alone": (("dpc", "--up", "Y"), "--up and --front together"),
    "same axis": (("dpc", "--up", "Y", "--front", "-Y"), "same axis"),
    "centre alone": (("dpc", "--center", "1", "2", "3"), "--center and --scale together"),
    "no scale": (("dpc", "--center", "1", "2", "3", "--scale", "inf"), "must be finite"),
    "infinite": (("dpc", "--center", "1", "2", "inf", "--scale", "1"), "must be finite"),
    "category": (("dpc", "--category", "../x"), "cannot be the name of a folder"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options_are_one_sentence(tmp_path: Path, case: str) -> None:
    """Nothing is read or written."""
    (kind, *more), message = BAD_OPTIONS[case]
    result = recon("import", kind, tmp_path, tmp_path / "out", *more)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_source_and_target(tmp_path: Path) -> None:
    """A source that is not there, one without objects, a target that is something else, both the same."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    assert "does not exist" in str(recon("import", "dpc", tmp_path / "no", tmp_path / "out").exception)
    assert "holds no objects" in str(recon("import", "dpc", tmp_path / "empty", tmp_path / "out").exception)
    assert "is the source itself" in str(
        recon("import", "dpc", tmp_path / "empty", tmp_path / "empty").exception
    )
    source = write_dpc(tmp_path / "dpc", MODELS[:1])
    assert "no dataset. Choose" in str(recon("import", "dpc", source, tmp_path / "full").exception)
    assert (tmp_path / "full" / "letter.txt").read_text() == "mine"
    blocked = tmp_path / "full" / "letter.txt" / "out"
    assert "cannot be written" in str(recon("import", "dpc", source, blocked).exception)


def test_categories_gather_in_one_dataset(tmp_path: Path) -> None:
    """A second source adds its category and keeps the splits of the first; another way of import is refused."""
    chairs = write_dpc(tmp_path / "chairs", MODELS)
    cars = write_dpc(tmp_path / "cars", ("car_a",), "02958343")
    run_import("dpc", chairs, tmp_path / "out")
    run_import("dpc", cars, tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.meta.categories == ["car", "chair"]
    assert dataset.objects("test") == ["car/car_a", "chair/model_a"]
    assert dataset.objects("train") == ["chair/model_b"]
    assert_sound(tmp_path / "out")
    result = recon("import", "dpc", cars, tmp_path / "out", "--normalise", "points")
    assert "was made in another way" in str(result.exception)
    assert "was made in another way" in str(recon("import", "images", cars, tmp_path / "out").exception)
    result = recon("import", "dpc", cars, tmp_path / "out", "--size", 32)
    assert "'resized': 0" in str(result.exception)


def test_any_folder_of_the_tree_may_be_given(tmp_path: Path) -> None:
    """The whole, the renders, or one class; what stands beside is found where it can be."""
    source = write_dpc(tmp_path / "data", MODELS[:1])
    for number, folder in enumerate((source, source / "renders", source / "renders" / foreign.CHAIR)):
        run_import("dpc", folder, tmp_path / str(number))
        dataset = Dataset.open(tmp_path / str(number))
        assert dataset.objects() == ["chair/model_a"]
        assert (dataset.folder("chair/model_a") / "points.ply").is_file() == (number < 2)


def test_points_may_set_the_scale(tmp_path: Path) -> None:
    """--normalise points works for every format that has points, and skips objects without."""
    source = write_dpc(tmp_path / "in", MODELS)
    (source / "gt" / "downsampled" / foreign.CHAIR / "model_c.mat").unlink()
    result = run_import("dpc", source, tmp_path / "out", "--normalise", "points", status=3)
    assert "There are no points to normalise by" in result.output
    assert_sound(tmp_path / "out")


def test_interrupted_imports_leave_whole_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the second object: the first is whole and indexed, the second is not there."""
    from recon_core.data.formats import blender_renders

    source, calls = write_dpc(tmp_path / "in", MODELS), []
    original = blender_renders.load_view

    def interrupted(folder: Path, number: int):
        calls.append(folder)
        if len(calls) > 6:
            raise KeyboardInterrupt
        return original(folder, number)

    monkeypatch.setattr(blender_renders, "load_view", interrupted)
    assert recon("import", "dpc", source, tmp_path / "out", "--quiet").exit_code != 0
    monkeypatch.undo()
    assert Dataset.open(tmp_path / "out").objects() == ["chair/model_a"]
    assert [one.name for one in (tmp_path / "out" / "chair").iterdir()] == ["model_a"]
    assert "2 imported, 1 complete before" in run_import("dpc", source, tmp_path / "out").output


def test_torch_splits(tmp_path: Path) -> None:
    """The order of the file is kept; damage is a DatasetError."""
    path = tmp_path / "03001627.file"
    splits = {"test": ["a", "b"], "train": ["c"], "val": []}
    path.write_text(foreign.torch_split_file(splits))
    assert read_torch_splits(path) == splits
    text = path.read_text()
    for bad in (
        "",
        text[:20],
        "9\n1\n",
        text.replace("2\n1\na", "2\n7\na"),
        "3\n1\n99999999999\n",
        "3\n1\n1\n" * 99,
    ):
        path.write_text(bad)
        with pytest.raises(DatasetError):
            read_torch_splits(path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_torch_splits(tmp_path: Path, data) -> None:
    """Any change of the text gives splits or a DatasetError."""
    raw = bytearray(foreign.torch_split_file({"test": ["a", "b"], "train": ["c"]}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.file"
    path.write_bytes(raw)
    with contextlib.suppress(DatasetError):
        read_torch_splits(path)


def test_lists_of_every_spelling(tmp_path: Path) -> None:
    """Names of lists, entries with the synset in front, and image names with a view."""
    (tmp_path / "03001627_train.txt").write_text("a\n03001627/b\n\n")
    (tmp_path / "03001627_val_list.txt").write_text("c\n")
    (tmp_path / "softras_test.lst").write_text("d\n")
    (tmp_path / "train.txt").write_text("e\n")
    np.save(tmp_path / "images_list_02691156_test.npy", np.array([["f_3"], ["g_h_10"]]))
    (tmp_path / "readme.txt").write_text("train\n")
    assert read_splits([tmp_path, tmp_path / "none"]) == {
        ("03001627", "a"): "train",
        ("03001627", "b"): "train",
        ("03001627", "c"): "val",
        ("", "d"): "test",
        ("", "e"): "train",
        ("02691156", "f"): "test",
        ("02691156", "g_h"): "test",
    }


@pytest.mark.parametrize(
    "path", ["../a", "/a", "a/../../b", "C:/a", "", None, 3, "a\0b", "\\\\server\\a", "a\\..\\..\\b"]
)
def test_paths_that_lead_out(tmp_path: Path, path: object) -> None:
    """Refused whatever the separators."""
    with pytest.raises(DatasetError, match="must stay inside"):
        inside(tmp_path, path)


def test_paths_that_stay(tmp_path: Path) -> None:
    """Dots in names are names."""
    assert inside(tmp_path, "./a/b.c..png") == tmp_path / "a" / "b.c..png"


def test_arrays_are_checked_before_they_are_read(tmp_path: Path) -> None:
    """A header that promises a terabyte, records, objects; and the largest array is a limit."""
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(3))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"(3,), }             ", b"(99999999999999,), }"))
    with pytest.raises(DatasetError, match="does not fit its"):
        read_npy(path)
    np.save(path, np.zeros(3, dtype=[("a", "f4")]))
    with pytest.raises(DatasetError, match="only numbers and text"):
        read_npy(path)
    np.save(path, np.asfortranarray(np.arange(6).reshape(2, 3)))
    np.testing.assert_array_equal(read_npy(path), np.arange(6).reshape(2, 3))
    savemat(tmp_path / "a.mat", {"points": np.zeros((100, 100))}, do_compression=True)
    with pytest.raises(DatasetError, match="too large"):
        read_mat(tmp_path / "a.mat", ("points",), limit=1000)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_arrays_are_dataset_errors(tmp_path: Path, data) -> None:
    """npy, npz and mat files, cut and changed anywhere: arrays or a DatasetError."""
    kind = data.draw(st.sampled_from(["npy", "npz", "mat"]))
    path = tmp_path / f"a.{kind}"
    if kind == "npy":
        np.save(path, np.arange(12.0).reshape(3, 4))
    elif kind == "npz":
        np.savez_compressed(path, points=np.arange(12.0))
    else:
        savemat(path, {"points": np.arange(12.0)}, do_compression=data.draw(st.booleans()))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    read = {"npy": read_npy, "npz": read_npz, "mat": lambda one: read_mat(one, ("points",))}[kind]
    with contextlib.suppress(DatasetError):
        read(path)
    os.unlink(path)
