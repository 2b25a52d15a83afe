# SPDX-License-Identifier: Apache-2.0
"""DPC's and DRWR's TFRecords: objects come out as from the renders; damaged bytes are errors, never crashes."""

import contextlib
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from formats import foreign, records
from formats.proof import assert_sound, ious_of, mean_colour_error, object_from_shapenet, recon, run_import
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from scipy.ndimage import distance_transform_edt

from recon_core.data.dataset import Dataset
from recon_core.data.formats.tfrecord import masked_crc32c, parse_example, read_records
from recon_core.errors import DatasetError

VIEWS, SIZE = 3, 48


def arrays_of(index: int, views: int = VIEWS) -> dict[str, np.ndarray]:
    """The features of one model, shaped as the writer of DPC fills them."""
    solid = foreign.make_solid(index)
    poses = [foreign.dpc_extrinsic(*angles) for angles in foreign.dpc_angles(views, index)]
    seen = [foreign.dpc_view(solid, SIZE, extrinsic) for extrinsic, _ in poses]
    arrays = {
        "image": np.stack([one.on_white for one in seen]) / 255.0,
        "mask": np.stack([one.mask for one in seen])[..., None] / 255.0,
        "extrinsic": np.stack([extrinsic for extrinsic, _ in poses]),
        "cam_pos": np.stack([position for _, position in poses]),
        "depth": np.stack([foreign.depth_levels(one) for one in seen])[..., None] / 65535 * 10,
    }
    return {key: value.astype(np.float32) for key, value in arrays.items()}


def ramp(mask: np.ndarray) -> np.ndarray:
    """DRWR's smooth silhouette: 1 on the object, 220/255 - d / (64 sqrt 2) beside it."""
    inside = mask >= 0.6
    distance = np.stack([distance_transform_edt(~one[..., 0])[..., None] for one in inside])
    return np.where(inside, 1.0, 220 / 255 - distance / (64 * np.sqrt(2))).astype(np.float32)


def write_source(
    root: Path, *, drop: tuple[str, ...] = (), compress: bool = True, packed: bool = True, **more
) -> Path:
    """One file with two models, without some of the features, and with the true points beside it."""
    examples = []
    for index in range(2):
        arrays = {key: value for key, value in arrays_of(index).items() if key not in drop}
        arrays |= {key: ramp(arrays_of(index)["mask"]) for key in more.get("ramps", ())}
        examples.append(records.example({**arrays, "name": f"model_{index}".encode()}, packed))
        truth = root / "gt" / "downsampled" / foreign.CHAIR / f"model_{index}.mat"
        truth.parent.mkdir(parents=True, exist_ok=True)
        savemat(truth, {"points": foreign.sample(foreign.make_solid(index), 4000)[0]})
    records.write(root / f"{foreign.CHAIR}_val.tfrecords", examples, compress)
    return root


@pytest.mark.parametrize(("compress", "packed"), [(True, True), (False, True), (True, False)])
def test_points_fill_the_masks(tmp_path: Path, compress: bool, packed: bool) -> None:
    """Compressed or plain, packed floats or not."""
    source = write_source(tmp_path / "in", compress=compress, packed=packed)
    run_import("dpc-tfrecord", source, tmp_path / "out")
    report = assert_sound(tmp_path / "out")
    assert report.objects == 2
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.objects("val") == ["chair/model_0", "chair/model_1"]
    view = foreign.dpc_view(
        foreign.make_solid(1), SIZE, foreign.dpc_extrinsic(*foreign.dpc_angles(VIEWS, 1)[2])[0]
    )
    np.testing.assert_array_equal(dataset.mask("chair/model_1", 2), view.mask)
    assert mean_colour_error(tmp_path / "out", "chair/model_1", 2, view.rgba) < 1
    np.testing.assert_allclose(
        dataset.depth("chair/model_1", 2)[view.part > 0], view.depth[view.part > 0], atol=3e-4
    )


@pytest.mark.parametrize("key", ["mask_sdf", "mask_sdfs"])
def test_drwr_ramp_stands_in_for_the_mask(tmp_path: Path, key: str) -> None:
    """Both spellings; the ramp is cut where it leaves the object."""
    source = write_source(tmp_path / "in", drop=("mask", "image", "depth"), ramps=(key,))
    run_import("dpc-tfrecord", source, tmp_path / "out")
    mask = Dataset.open(tmp_path / "out").mask("chair/model_0", 0)
    np.testing.assert_array_equal(mask == 255, arrays_of(0)["mask"][0, ..., 0] >= 0.6)
    xyz = object_from_shapenet(foreign.sample(foreign.make_solid(0), 4000)[0])
    assert min(ious_of(tmp_path / "out", "chair/model_0", xyz)) > 0.85  # a hard mask at 48 px


def test_positions_stand_in_for_extrinsics(tmp_path: Path) -> None:
    """The same cameras from cam_pos alone."""
    run_import("dpc-tfrecord", write_source(tmp_path / "in", drop=("extrinsic",)), tmp_path / "out")
    assert_sound(tmp_path / "out")


def test_without_cameras_poses_are_unknown(tmp_path: Path) -> None:
    """Flagged, with the default camera as a placeholder, and still readable; DPC's five views are assumed."""
    arrays = {key: arrays_of(0, 5)[key] for key in ("image", "mask")}
    path = tmp_path / "lamps_test.tfrecords"
    records.write(path, [records.example({**arrays, "name": b"model_0"})])
    run_import("dpc-tfrecord", path, tmp_path / "out")
    transforms = foreign.transforms_of(tmp_path / "out", "lamps/model_0")
    assert transforms["recon"]["pose_known"] is False
    assert transforms["fl_x"] == pytest.approx(1.875 * SIZE)
    dataset = Dataset.open(tmp_path / "out")
    assert len(dataset.cameras("lamps/model_0")) == 5
    np.testing.assert_allclose(dataset.mask("lamps/model_0", 4) / 255, arrays["mask"][4, ..., 0], atol=1e-6)
    assert recon("check", tmp_path / "out").exit_code == 0


def test_a_cut_file_keeps_what_came_before(tmp_path: Path) -> None:
    """The first object is imported, the rest of the file is one line of the report."""
    source = write_source(tmp_path / "in", compress=False)
    path = source / f"{foreign.CHAIR}_val.tfrecords"
    path.write_bytes(path.read_bytes()[:-1000])
    result = run_import("dpc-tfrecord", source, tmp_path / "out", status=3)
    assert "1 imported, 0 complete before, 1 skipped" in result.output
    record = json.loads((tmp_path / "out" / "skipped.jsonl").read_text())
    assert "record 1 is cut off" in record["error"]


BAD = {
    "no name": (lambda arrays: arrays.pop("name"), "has no name"),
    "no mask": (lambda arrays: arrays.pop("mask"), "has no mask"),
    "odd mask": (lambda arrays: arrays.update(mask=arrays["mask"].ravel()[:-7]), "square images"),
    "short image": (lambda arrays: arrays.update(image=arrays["image"].ravel()[:-3]), "image has"),
    "short extrinsic": (
        lambda arrays: arrays.update(extrinsic=arrays["extrinsic"][0].ravel()[:7]),
        "square images",
    ),
    "not finite": (lambda arrays: arrays.update(depth=arrays["depth"] * np.nan), "not finite"),
    "camera inside": (
        lambda arrays: (arrays.pop("extrinsic"), arrays.update(cam_pos=arrays["cam_pos"] * 0.1)),
        "inside the object",
    ),
    "bad name": (lambda arrays: arrays.update(name=b"../../out"), "cannot be the name"),
    "binary name": (lambda arrays: arrays.update(name=b"\xff\xfe"), "is no text"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_record_is_skipped(tmp_path: Path, fault: str) -> None:
    """One record is wrong, the next is imported."""
    break_it, message = BAD[fault]
    first: dict[str, object] = {**arrays_of(0), "name": b"first"}
    break_it(first)
    second = records.example({**arrays_of(1), "name": b"second"})
    records.write(tmp_path / "in" / f"{foreign.CHAIR}_train.tfrecords", [records.example(first), second])
    result = run_import("dpc-tfrecord", tmp_path / "in", tmp_path / "out", status=3)
    assert message in result.output
    assert [path.name for path in (tmp_path / "out" / "chair").iterdir()] == ["second"]


def test_checksum_is_castagnoli() -> None:
    """The published check value of CRC-32C, and the writer's table."""
    assert records.crc32c(b"123456789") == 0xE3069283
    assert masked_crc32c(b"123456789") == records.masked(b"123456789")


def test_whole_numbers_and_bytes() -> None:
    """Packed or one by one, negative ones as two's complement."""
    values = [0, 1, 127, 128, 2**40, -1, -(2**63)]
    for packed in (True, False):
        parsed = parse_example(records.example({"n": np.array(values), "b": b"text"}, packed), "test")
        np.testing.assert_array_equal(parsed["n"], values)
        assert parsed["b"] == [b"text"]


def test_a_huge_record_is_refused_before_it_is_read(tmp_path: Path) -> None:
    """The announced length is checked, not believed."""
    length = (2**40).to_bytes(8, "little")
    (tmp_path / "a.tfrecords").write_bytes(length + records.masked(length).to_bytes(4, "little") + b"x")
    with pytest.raises(DatasetError, match="up to 256 MB"):
        list(read_records(tmp_path / "a.tfrecords"))


SMALL = records.example(
    {"image": np.linspace(0, 1, 30).astype(np.float32), "id": np.arange(9), "name": b"model"}
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_messages_are_dataset_errors(data) -> None:
    """Any change of the bytes gives features or a DatasetError."""
    raw = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    with contextlib.suppress(DatasetError):
        parse_example(cut, "test")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_files_are_dataset_errors(tmp_path: Path, data) -> None:
    """Plain and compressed files, cut and changed anywhere: records or a DatasetError."""
    raw = records.record(SMALL) * 2
    raw = bytearray(gzip.compress(raw) if data.draw(st.booleans()) else raw)
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "mutated.tfrecords"
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        for one in read_records(path):
            parse_example(one, "test")
    except DatasetError:
        pass


@given(st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_features_or_an_error(raw: bytes) -> None:
    """Bytes that were never a message."""
    with contextlib.suppress(DatasetError):
        parse_example(raw, "test")
