# SPDX-License-Identifier: Apache-2.0
"""Pickles of the PyTorch port: arrays come through; nothing that a pickle names is ever run."""

import builtins
import contextlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from formats import foreign
from formats.proof import assert_sound, run_import
from formats.test_dpc_tfrecord import arrays_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from recon_core.data.dataset import Dataset
from recon_core.data.formats.pickles import read_array_pickle
from recon_core.errors import DatasetError


def write_source(root: Path, protocol: int = 4) -> Path:
    """Two models of the port, with split lists and true points."""
    root.mkdir(parents=True)
    for index in range(2):
        content = {**arrays_of(index), "name": f"model_{index}"}
        (root / f"model_{index}_features.p").write_bytes(pickle.dumps(content, protocol))
        truth = root / "gt" / "downsampled" / foreign.CHAIR / f"model_{index}.mat"
        truth.parent.mkdir(parents=True, exist_ok=True)
        savemat(truth, {"points": foreign.sample(foreign.make_solid(index), 4000)[0]})
    (root / "splits").mkdir()
    (root / "splits" / f"{foreign.CHAIR}_train.txt").write_text("model_0\n")
    (root / "splits" / f"{foreign.CHAIR}_test.txt").write_text("model_1\n")
    return root


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_points_fill_the_masks(tmp_path: Path, protocol: int) -> None:
    """Every protocol that numpy arrays are written in; class and split come from the lists."""
    run_import("dpc-pickle", write_source(tmp_path / "in", protocol), tmp_path / "out")
    assert_sound(tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.objects("train") == ["chair/model_0"]
    assert dataset.objects("test") == ["chair/model_1"]


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_are_what_was_written(tmp_path: Path, protocol: int) -> None:
    """Types, byte orders, memory orders, empty ones and scalars, by every protocol."""
    content = {
        "float32": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(4, dtype=">i4"),
        "bytes": np.arange(256, dtype=np.uint8),
        "bool": np.array([True, False]),
        "scalar": np.float32(1.5),
        "zero": np.array(2.5),
        "name": "model",
        "number": 3,
    }
    path = tmp_path / "a.p"
    path.write_bytes(pickle.dumps(content, protocol))
    read = read_array_pickle(path)
    assert read["name"] == "model"
    assert read["number"] == 3
    for key in ("float32", "fortran", "big", "bytes", "bool", "scalar", "zero"):
        np.testing.assert_array_equal(read[key], content[key])
        assert read[key].dtype == np.asarray(content[key]).dtype


class Call:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments) -> None:
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def payloads(marker: Path) -> dict[str, object]:
    """What an attacker may try; each would leave the marker file."""
    touch = f"touch {marker}"
    script = f"open({str(marker)!r}, 'w').close()"
    image = np.zeros((1, 4, 4, 3), np.float32)
    return {
        "os.system": Call(os.system, touch),
        "os.popen": Call(os.popen, touch),
        "eval": Call(eval, script),
        "exec": Call(exec, script),
        "getattr": Call(getattr, Call(__import__, "os"), "system"),
        "import": Call(__import__, "os"),
        "nested in a list": {"image": image, "mask": [[Call(os.system, touch)]]},
        "as a key": {Call(os.system, touch): image},
        "inside an array's arguments": Call(np.ndarray.__reduce__, Call(eval, script)),
        "object array": {"image": np.array([Call(os.system, touch)], dtype=object)},
        "numpy.load": Call(np.load, str(marker)),
        "numpy.fromfile": Call(np.fromfile, "/etc/hostname", np.uint8),
        "numpy.save": Call(np.save, str(marker), image),
        "numpy.zeros": Call(np.zeros, 10),
        "open": Call(builtins.open, str(marker), "w"),
        "bytes": Call(bytes, 10**9),
        "bytearray": Call(bytearray, 10),
    }


def test_payloads_work_when_pickle_runs_them(tmp_path: Path) -> None:
    """The danger is real: plain pickle runs the first of them."""
    pickle.loads(pickle.dumps(payloads(tmp_path / "marker")["os.system"]))
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("kind", payloads(Path("marker")))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_malicious_pickle_does_not_run(tmp_path: Path, kind: str, protocol: int) -> None:
    """It is refused, by the importer as well, and leaves nothing behind."""
    marker, path = tmp_path / "marker", tmp_path / "in" / "evil_features.p"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(payloads(marker)[kind], protocol))
    with pytest.raises(DatasetError, match="may be read"):
        read_array_pickle(path)
    assert not marker.exists()
    assert not list(tmp_path.glob("marker*"))


def test_the_importer_skips_it(tmp_path: Path) -> None:
    """One line names what it wanted to run; the others are imported."""
    source = write_source(tmp_path / "in")
    (source / "evil_features.p").write_bytes(pickle.dumps(payloads(tmp_path / "marker")["os.system"]))
    result = run_import("dpc-pickle", source, tmp_path / "out", status=3)
    assert "posix.system, which is not run" in result.output
    assert "2 imported" in result.output
    assert not (tmp_path / "marker").exists()


RAW = {
    "persistent id": (b"Pabc\n.", "opcode PERSID"),
    "extension": (b"\x80\x02\x82\x01.", "opcode EXT1"),
    "instance": (b"(ios\nsystem\n.", "opcode INST"),
    "new object": (b"\x80\x02cnumpy\nndarray\n)\x81.", "opcode NEWOBJ"),
    "dotted name": (b"\x80\x04\x8c\x05numpy\x8c\x0bload.__call__\x93.", ""),
    "numpy submodule": (b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR.", "numpy.testing"),
    "other type": (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.",
        "that is no array",
    ),
    "state of a function": (b"cnumpy\ndtype\n}S'x'\nI1\nsb.", "sets the state of a function"),
    "huge memo": (b"\x80\x02}r\xff\xff\xff\xff.", "memo place"),
    "codec": (b"c_codecs\nencode\n(Vab\nVrot13\ntR.", "encodes text in an unexpected way"),
    "a list": (pickle.dumps([1, 2]), "expected a dict"),
    "nothing": (b"", ""),
}


@pytest.mark.parametrize("kind", RAW)
def test_hand_made_pickles_are_refused(tmp_path: Path, kind: str) -> None:
    """Opcodes and names that plain arrays do not need."""
    raw, message = RAW[kind]
    (tmp_path / "a.p").write_bytes(raw)
    with pytest.raises(DatasetError, match="may be read") as error:
        read_array_pickle(tmp_path / "a.p")
    assert message in str(error.value)


def test_a_shape_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """No memory is taken for an array whose bytes are not there."""
    raw = pickle.dumps({"image": np.zeros(7, np.float32)}, 2).replace(b"K\x07\x85", b"K\xff\x85")
    (tmp_path / "a.p").write_bytes(raw)
    with pytest.raises(DatasetError, match="has 28 bytes"):
        read_array_pickle(tmp_path / "a.p")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_pickles_are_dataset_errors(tmp_path: Path, data) -> None:
    """Any change of the bytes gives a dict or a DatasetError."""
    raw = bytearray(
        pickle.dumps({"image": np.arange(4, dtype=np.float32), "name": "a"}, data.draw(st.integers(0, 5)))
    )
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "mutated.p"
    path.write_bytes(raw[: data.draw(st.integers(1, len(raw)))])
    with contextlib.suppress(DatasetError):
        assert isinstance(read_array_pickle(path), dict)
