# SPDX-License-Identifier: Apache-2.0
"""The add-on's PLY files against those of recon_core, and broken ones."""

import numpy as np
import pytest

from blender_addon.cloud import Cloud, CloudError
from blender_addon.ply import read_ply, write_ply
from recon_core.io import ply as core
from recon_core.pointcloud import PointCloud


@pytest.fixture
def cloud() -> Cloud:
    random = np.random.default_rng(0)
    return Cloud(
        random.normal(size=(50, 3)).astype(np.float32),
        random.integers(0, 256, (50, 3), dtype=np.uint8),
        random.integers(0, 4, 50).astype(np.uint8),
        random.random(50, dtype=np.float32),
        random.random(50, dtype=np.float32),
        ["back", "front leg", "arm"],
        {"frame": "object, +Z up"},
    )


NAMES = ("xyz", "colors", "labels", "opacity", "confidence")


def assert_same(one, other) -> None:
    for name in NAMES:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_round_trip_and_the_library_reads_it(tmp_path, cloud):
    write_ply(tmp_path / "a.ply", cloud)
    back = read_ply(tmp_path / "a.ply")
    assert_same(back, cloud)
    assert back.parts == cloud.parts
    assert back.comments["frame"] == "object, +Z up"
    assert_same(core.read_ply(tmp_path / "a.ply"), cloud)
    assert [path.name for path in tmp_path.iterdir()] == ["a.ply"]


def test_reads_what_the_library_writes(tmp_path, cloud):
    written = PointCloud(
        *(getattr(cloud, name) for name in ("xyz", "colors", "labels")), opacity=cloud.opacity
    )
    core.write_ply(tmp_path / "a.ply", written)
    back = read_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(back.xyz, cloud.xyz)
    np.testing.assert_array_equal(back.labels, cloud.labels)
    assert back.confidence is None


def test_ascii_big_endian_and_float_colors(tmp_path):
    header = "ply\nformat {} 1.0\nelement vertex 2\nproperty double x\nproperty float y\nproperty float z\n"
    header += "property float red\nproperty float green\nproperty float blue\nproperty int label\n"
    header += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "a.ply").write_text(header.format("ascii") + "1 2 3 0 0.5 1 7\n-1 -2 -3 1 1 1 0\n3 0 1 1\n")
    rows = np.array([(1, 2, 3, 0, 0.5, 1, 7), (-1, -2, -3, 1, 1, 1, 0)], dtype=">f8,>f4,>f4,>f4,>f4,>f4,>i4")
    (tmp_path / "b.ply").write_bytes(header.format("binary_big_endian").encode() + rows.tobytes() + b"\0" * 9)
    for name in ("a.ply", "b.ply"):
        cloud = read_ply(tmp_path / name)
        assert cloud.xyz.tolist() == [[1, 2, 3], [-1, -2, -3]]
        assert cloud.colors is not None
        assert cloud.colors.tolist() == [[0, 128, 255], [255, 255, 255]]
        assert cloud.labels is not None
        assert cloud.labels.tolist() == [7, 0]


def test_logits_of_splat_files_are_not_opacities(tmp_path, cloud):
    cloud.opacity = cloud.opacity * 9 - 4
    write_ply(tmp_path / "a.ply", cloud)
    assert read_ply(tmp_path / "a.ply").opacity is None


GOOD = b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\nend_header\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a PLY"),
        (b"solid cube", "not a PLY"),
        (GOOD[:40], "cut off"),
        (GOOD.replace(b"vertex 2", b"vertex -2"), "no PLY"),
        (GOOD.replace(b"vertex 2", b"vertex 99999999999"), "cut off"),
        (GOOD.replace(b"float z", b"float w"), "no points"),
        (GOOD.replace(b"float z", b"list uchar int z"), "no PLY"),
        (GOOD.replace(b"float z", b"float y"), "no points"),
        (GOOD.replace(b"element vertex", b"element face 3\nelement vertex"), "no PLY"),
        (GOOD + b"1 2 3\n4.5 5.5\n", "2 lines of 3 numbers"),
        (GOOD + b"1 2 3\n4 5 six\n", "2 lines of 3 numbers"),
        (GOOD + b"1 2 3\n4 5 nan\n", "not finite"),
        (GOOD.replace(b"ascii", b"binary_little_endian") + b"\0" * 23, "cut off"),
    ],
)
def test_broken_files_are_one_sentence(tmp_path, data, message):
    (tmp_path / "a.ply").write_bytes(data)
    with pytest.raises(CloudError, match=message) as caught:
        read_ply(tmp_path / "a.ply")
    assert "\n" not in str(caught.value)


def test_missing_file_and_unwritable_folder(tmp_path, cloud):
    with pytest.raises(CloudError, match="cannot be read"):
        read_ply(tmp_path / "none.ply")
    with pytest.raises(CloudError, match="cannot be written"):
        write_ply(tmp_path / "none" / "a.ply", cloud)
