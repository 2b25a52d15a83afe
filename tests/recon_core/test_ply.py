# SPDX-License-Identifier: Apache-2.0
"""PLY: round trips, files by other writers, and one valid file mutated into bad ones."""

import contextlib
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recon_core.errors import InputError
from recon_core.io.ply import DEFAULT_COMMENTS, read_ply, write_ply
from recon_core.pointcloud import PointCloud

ATTRIBUTES = ("xyz", "colors", "labels", "normals", "opacity", "confidence", "visibility")
FINITE = st.floats(-1e6, 1e6, width=32)
UNIT = st.floats(0, 1, width=32)
WORD = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=12)
LINE = st.text(st.characters(categories=("L", "N", "P", "Zs")), max_size=40)


@st.composite
def clouds(draw) -> PointCloud:
    count = draw(st.integers(0, 12))

    def table(kind, width, values=None):
        shape = (count, width) if width else (count,)
        return hnp.arrays(kind, shape, elements=values)

    def maybe(strategy):
        return draw(st.none() | strategy)

    return PointCloud(
        draw(table(np.float32, 3, FINITE)),
        maybe(table(np.uint8, 3)),
        maybe(table(np.uint8, 0)),
        maybe(table(np.float32, 3, FINITE)),
        maybe(table(np.float32, 0, UNIT)),
        maybe(table(np.float32, 0, UNIT)),
        draw(st.dictionaries(WORD, LINE, max_size=3)),
        maybe(hnp.arrays(np.uint8, (count,), elements=st.integers(0, 2))),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cloud=clouds())
def test_round_trip(cloud: PointCloud, tmp_path: Path) -> None:
    path = tmp_path / "cloud.ply"
    write_ply(path, cloud)
    back = read_ply(path)
    for name in ATTRIBUTES:
        sent, received = getattr(cloud, name), getattr(back, name)
        assert (sent is None) == (received is None)
        if sent is not None:
            assert received.dtype == sent.dtype
            np.testing.assert_array_equal(sent, received)
    assert back.comments == DEFAULT_COMMENTS | cloud.comments


def test_header_is_the_documented_one(tmp_path: Path) -> None:
    cloud = PointCloud(
        np.zeros((2, 3)), np.zeros((2, 3)), np.ones(2), opacity=np.ones(2), comments={"category": "chair"}
    )
    write_ply(tmp_path / "a.ply", cloud)
    header = (tmp_path / "a.ply").read_bytes().split(b"end_header\n")[0].decode().splitlines()
    assert header[:2] == ["ply", "format binary_little_endian 1.0"]
    assert [line.split()[1] for line in header if line.startswith("comment")] == [
        "frame", "unit", "version", "category",
    ]  # fmt: skip
    assert [line for line in header if line.startswith(("element", "property"))] == [
        "element vertex 2",
        "property float x", "property float y", "property float z",
        "property uchar red", "property uchar green", "property uchar blue",
        "property uchar label", "property float opacity",
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["a.ply"]


def test_other_software_reads_ours(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cloud = PointCloud(rng.normal(size=(50, 3)), rng.integers(0, 256, (50, 3)))
    write_ply(tmp_path / "a.ply", cloud)
    loaded = trimesh.load(tmp_path / "a.ply")
    np.testing.assert_array_equal(np.asarray(loaded.vertices, np.float32), cloud.xyz)
    np.testing.assert_array_equal(loaded.colors[:, :3], cloud.colors)


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
def test_we_read_other_software(tmp_path: Path, encoding: str) -> None:
    box = trimesh.creation.box()
    box.export(tmp_path / "box.ply", encoding=encoding)  # vertices, then faces as lists
    np.testing.assert_allclose(read_ply(tmp_path / "box.ply").xyz, box.vertices, atol=1e-6)


HEADER = """ply
format {format} 1.0
obj_info made by hand
comment unit metres
element face 2
property list uchar int vertex_indices
property float weight
element vertex 3
property double x
property short extra
property float y
property list uchar ushort neighbours
property float z
property float red
property float green
property float blue
property int label
end_header
"""
VERTICES = [
    (0.5, -7, 1.5, [3, 4], 2.5, 0.0, 0.5, 1.0, 1),
    (1, 8, 2, [], 3, 1, 1, 1, 2),
    (4, 9, 5, [6], 7, 0, 0, 0, 3),
]


def _foreign_file(format: str) -> bytes:
    faces = [([0, 1, 2], 0.25), ([2, 1, 0, 1], 0.75)]
    if format == "ascii":
        rows = [f"{len(ids)} {' '.join(map(str, ids))} {weight}" for ids, weight in faces]
        rows += [
            f"{x} {extra} {y} {len(near)} {' '.join(map(str, near))} {z} {r} {g} {b} {label}"
            for x, extra, y, near, z, r, g, b, label in VERTICES
        ]
        return (HEADER.format(format=format) + "\n".join(rows) + "\n").encode()
    order = "<" if "little" in format else ">"
    body = b"".join(struct.pack(f"{order}B{len(ids)}if", len(ids), *ids, weight) for ids, weight in faces)
    for x, extra, y, near, z, r, g, b, label in VERTICES:
        body += struct.pack(f"{order}dhfB{len(near)}Hffffi", x, extra, y, len(near), *near, z, r, g, b, label)
    return HEADER.format(format=format).encode() + body


@pytest.mark.parametrize("format", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_foreign_layouts(tmp_path: Path, format: str, line_end: bytes) -> None:
    """Faces with lists first, lists among the vertex properties, doubles, unknown columns."""
    header, _, body = _foreign_file(format).partition(b"end_header\n")
    path = tmp_path / "a.ply"
    path.write_bytes((header + b"end_header\n").replace(b"\n", line_end) + body)
    cloud = read_ply(path)
    assert cloud.xyz.tolist() == [[0.5, 1.5, 2.5], [1, 2, 3], [4, 5, 7]]
    assert cloud.colors is not None
    assert cloud.colors.tolist() == [[0, 128, 255], [255] * 3, [0] * 3]
    assert cloud.labels is not None
    assert cloud.labels.tolist() == [1, 2, 3]
    assert cloud.normals is None
    assert cloud.comments == {"unit": "metres"}


def _valid(tmp_path: Path) -> bytes:
    write_ply(tmp_path / "good.ply", PointCloud(np.arange(30).reshape(10, 3), opacity=np.full(10, 0.5)))
    return (tmp_path / "good.ply").read_bytes()


NAN, TWO = struct.pack("<f", float("nan")), struct.pack("<f", 2.0)
BAD = {
    "empty": (lambda data: b"", "is empty"),
    "other file": (lambda data: b"PK\x03\x04" + data, "not a PLY"),
    "only the word": (lambda data: b"plywood", "not a PLY"),
    "header cut": (lambda data: data[:60], "no 'end_header'"),
    "body cut": (lambda data: data[:-1], "truncated: 10 'vertex' rows need at least 160 bytes, 159 are left"),
    "huge count": (lambda data: data.replace(b"vertex 10", b"vertex 999999999999999"), "truncated"),
    "absurd count": (lambda data: data.replace(b"vertex 10", b"vertex " + b"9" * 5000), "expected 'element"),
    "negative count": (
        lambda data: data.replace(b"vertex 10", b"vertex -1"),
        "expected 'element <name> <count>'",
    ),
    "no vertex": (lambda data: data.replace(b"element vertex", b"element points"), "no 'vertex' element"),
    "no z": (lambda data: data.replace(b"float z", b"float w"), "have no z"),
    "double x": (lambda data: data.replace(b"float y", b"float x"), "have no y"),
    "declared twice": (lambda data: data.replace(b"float opacity", b"float z"), "z is declared twice"),
    "unknown type": (lambda data: data.replace(b"float y", b"quad y"), "unknown property type 'quad'"),
    "bad property": (lambda data: data.replace(b"float y", b"float"), "expected 'property <type> <name>'"),
    "float list length": (
        lambda data: data.replace(b"property float opacity", b"property list float int a"),
        "must be an integer type",
    ),
    "unknown keyword": (
        lambda data: data.replace(b"property float y", b"propperty float y"),
        "keyword 'propperty'",
    ),
    "property first": (lambda data: data.replace(b"element vertex 10\n", b""), "before any element"),
    "unknown format": (lambda data: data.replace(b"little", b"middle"), "unknown PLY format"),
    "version": (lambda data: data.replace(b"endian 1.0", b"endian 2.0"), "unknown PLY format"),
    "no format": (lambda data: data.replace(b"format binary_little_endian 1.0\n", b""), "no 'format' line"),
    "nan": (lambda data: data[:-160] + NAN + data[-156:-16] + NAN + data[-12:], "2 of 10 points have a xyz"),
    "opacity": (lambda data: data[:-4] + TWO, "opacity must lie in [0, 1]"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files(tmp_path: Path, name: str) -> None:
    mutate, message = BAD[name]
    path = tmp_path / "bad.ply"
    path.write_bytes(mutate(_valid(tmp_path)))
    with pytest.raises(InputError) as caught:
        read_ply(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


BAD_ASCII = {
    "fewer rows": (lambda text: text[: text.rindex("7")], "vertex 2 has 3 values, expected 8"),
    "missing rows": (lambda text: "\n".join(text.splitlines()[:-1]) + "\n", "the file has 4 rows"),
    "not a number": (lambda text: text.replace("1.5", "one"), "not a number"),
    "colour range": (lambda text: text.replace("0.0 0.5 1.0", "0 128 255"), "must lie in [0, 1]"),
    "integer": (lambda text: text.replace("0.5 -7", "0.5 -70000"), "does not fit its integer type"),
    "list length": (lambda text: text.replace("2 3 4", "-2 3 4"), "has length b'-2'"),
    "overflow": (
        lambda text: text.replace("0.5 -7", "1e300 -7"),
        "1 of 3 points have a xyz that is not finite",
    ),
    "label": (lambda text: text.replace("1.0 1\n", "1.0 300\n"), "labels must be whole numbers in [0, 255]"),
}


@pytest.mark.parametrize("name", BAD_ASCII)
def test_bad_ascii_files(tmp_path: Path, name: str) -> None:
    mutate, message = BAD_ASCII[name]
    path = tmp_path / "bad.ply"
    path.write_text(mutate(_foreign_file("ascii").decode()))
    with pytest.raises(InputError) as caught:
        read_ply(path)
    assert message in str(caught.value)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_random_damage_is_an_input_error_or_harmless(tmp_path: Path, data) -> None:
    content = bytearray(_foreign_file(data.draw(st.sampled_from(["ascii", "binary_big_endian"]))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "bad.ply"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(InputError):
        assert np.isfinite(read_ply(path).xyz).all()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_ply(tmp_path / "none.ply")


@pytest.mark.parametrize("comments", [{"two words": "x"}, {"a": "x\ny"}, {"a": "x\u2028y"}, {"": "x"}])
def test_comments_that_break_the_header_are_refused(tmp_path: Path, comments: dict[str, str]) -> None:
    with pytest.raises(InputError, match="one word and one line"):
        write_ply(tmp_path / "a.ply", PointCloud(np.zeros((1, 3)), comments=comments))
    assert not list(tmp_path.iterdir())


def test_values_that_cannot_be_read_back_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 of 2 points have a xyz that is not finite"):
        write_ply(tmp_path / "a.ply", PointCloud(np.array([[0, 0, 0], [np.inf, 0, 0]])))
    with pytest.raises(InputError, match="confidence must lie"):
        write_ply(tmp_path / "a.ply", PointCloud(np.zeros((1, 3)), confidence=np.array([-1.0])))


def test_anothers_visibility_is_no_visibility(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", PointCloud(np.zeros((3, 3)), visibility=np.array([0, 1, 2])))
    data = (tmp_path / "a.ply").read_bytes()
    assert read_ply(tmp_path / "a.ply").visibility is not None
    (tmp_path / "b.ply").write_bytes(data[:-1] + b"\xff")  # the last byte is the last point's
    assert read_ply(tmp_path / "b.ply").visibility is None
    other = data.replace(b"uchar visibility", b"char visibility")
    (tmp_path / "c.ply").write_bytes(other)
    assert read_ply(tmp_path / "c.ply").visibility is None


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    path.write_bytes(b"old")
    with pytest.raises(InputError):
        write_ply(path, PointCloud(np.full((1, 3), np.nan)))
    assert path.read_bytes() == b"old"
