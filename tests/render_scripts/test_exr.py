# SPDX-License-Identifier: Apache-2.0
"""render_scripts/exr.py against the OpenEXR package, and against malformed files."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
OpenEXR = pytest.importorskip("OpenEXR")
from render_scripts.exr import parse_exr, pass_channels, read_exr  # noqa: E402

HEADER = {"compression": OpenEXR.NO_COMPRESSION, "type": OpenEXR.scanlineimage}


def make_channels(rng: np.random.Generator, height: int, width: int) -> dict[str, np.ndarray]:
    return {
        "Layer.Combined.R": rng.normal(size=(height, width)).astype(np.float32),
        "Layer.Depth.Z": np.full((height, width), 1e10, np.float32),
        "Layer.Normal.X": rng.normal(size=(height, width)).astype(np.float16),
        "Layer.IndexMA.X": rng.integers(0, 2**32, (height, width), np.uint32),
    }


def write_file(path: Path, channels: dict[str, np.ndarray], **header: object) -> bytes:
    OpenEXR.File({**HEADER, **header}, dict(channels)).write(str(path))
    return path.read_bytes()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_agrees_with_openexr(tmp_path: Path, height: int, width: int, seed: int) -> None:
    channels = make_channels(np.random.default_rng(seed), height, width)
    write_file(tmp_path / "a.exr", channels)
    found = read_exr(tmp_path / "a.exr")
    assert set(found) == set(channels)
    for name, pixels in channels.items():
        assert found[name].dtype == pixels.dtype
        np.testing.assert_array_equal(found[name], pixels)


def test_multipart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    parts = [
        OpenEXR.Part({**HEADER, "name": name}, make_channels(rng, 7, 5) if full else {"X": one(rng)}, name)
        for name, full in (("first", True), ("ViewLayer.Object Index", False))
    ]
    OpenEXR.File(parts).write(str(tmp_path / "m.exr"))
    found = read_exr(tmp_path / "m.exr")
    assert set(found) == {*make_channels(rng, 1, 1), "ViewLayer.Object Index.X"}
    np.testing.assert_array_equal(found["ViewLayer.Object Index.X"], parts[1].channels["X"].pixels)


def one(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(7, 5)).astype(np.float32)


def test_decreasing_lines_and_shifted_window(tmp_path: Path) -> None:
    channels = make_channels(np.random.default_rng(1), 6, 4)
    window = (np.array([3, -2], np.int32), np.array([6, 3], np.int32))
    write_file(tmp_path / "d.exr", channels, lineOrder=OpenEXR.DECREASING_Y, dataWindow=window)
    for name, pixels in read_exr(tmp_path / "d.exr").items():
        np.testing.assert_array_equal(pixels, channels[name])


def test_pass_names_of_blender_5() -> None:
    pixels = np.zeros((1, 1), np.float32)
    names = [
        "ViewLayer.Object Index.X",
        "ViewLayer.Material Index.X",
        "ViewLayer.Combined.A",
        "ViewLayer.Depth.Z",
    ]
    assert set(pass_channels(dict.fromkeys(names, pixels))) == {
        "IndexOB.X",
        "IndexMA.X",
        "Combined.A",
        "Depth.Z",
    }


@pytest.mark.parametrize("compression", ["ZIP_COMPRESSION", "PIZ_COMPRESSION", "RLE_COMPRESSION"])
def test_compressed_is_refused(tmp_path: Path, compression: str) -> None:
    channels = make_channels(np.random.default_rng(0), 8, 8)
    write_file(tmp_path / "c.exr", channels, compression=getattr(OpenEXR, compression))
    with pytest.raises(ValueError, match="codec NONE"):
        read_exr(tmp_path / "c.exr")


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_file(tmp_path_factory.mktemp("exr") / "v.exr", make_channels(np.random.default_rng(0), 6, 5))


def patched(data: bytes, find: bytes, skip: int, value: bytes) -> bytes:
    at = data.index(find) + len(find) + skip
    return data[:at] + value + data[at + len(value) :]


def mutants(data: bytes) -> dict[str, tuple[bytes, str]]:
    window = b"dataWindow\0box2i\0"
    channel = b"chlist\0"
    return {
        "empty": (b"", "magic number"),
        "not EXR": (b"\x89PNG" + data[4:], "not an EXR"),
        "version": (data[:4] + b"\x09" + data[5:], "version 9"),
        "unknown flag": (data[:5] + b"\x40" + data[6:], "flags"),
        "tiled": (data[:5] + b"\x02" + data[6:], "tiled"),
        "deep": (data[:5] + b"\x08" + data[6:], "deep"),
        "multi-part claimed": (data[:5] + b"\x10" + data[6:], "."),
        "no data window": (data.replace(b"dataWindow", b"dataWindoW"), "dataWindow"),
        "window type": (data.replace(window, b"dataWindow\0box2f\0"), "box2f"),
        "window empty": (patched(data, window, 4 + 8, struct.pack("<i", -5)), "data window"),
        "window huge": (patched(data, window, 4 + 8, struct.pack("<i", 2**31 - 1)), "data window"),
        "window beyond file": (
            patched(data, window, 4 + 8, struct.pack("<i", 60000)),
            "too short|truncated|lines",
        ),
        "negative size": (patched(data, window, 0, struct.pack("<i", -1)), "ends inside"),
        "size beyond file": (patched(data, window, 0, struct.pack("<i", 2**30)), "ends inside"),
        "pixel type": (patched(data, b"IndexMA.X\0", 0, struct.pack("<i", 7)), "pixel type 7"),
        "subsampled": (patched(data, b"IndexMA.X\0", 8, struct.pack("<i", 2)), "subsampled"),
        "no channels": (patched(data, channel, 4, b"\0"), "."),
        "truncated pixels": (data[:-1], "truncated"),
        "truncated header": (data[:100], "ends inside|no end"),
        "name without end": (data[:8] + b"a" * 2000, "no end"),
        "line number": (
            data[: -(5 * 14) - 8] + struct.pack("<i", 77) + data[-(5 * 14) - 4 :],
            "wrong sizes or numbers",
        ),
    }


@pytest.mark.parametrize("name", list(mutants(b"dataWindow\0box2i\0 IndexMA.X\0 chlist\0" + bytes(200))))
def test_malformed(valid: bytes, name: str) -> None:
    data, message = mutants(valid)[name]
    with pytest.raises(ValueError, match=message):
        parse_exr(data)


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_is_a_value_error(valid: bytes, data: st.DataObject) -> None:
    damaged = bytearray(valid)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)))
    try:
        channels = parse_exr(bytes(damaged[: end if data.draw(st.booleans()) else None]))
    except ValueError:
        return
    assert all(pixels.ndim == 2 for pixels in channels.values())
