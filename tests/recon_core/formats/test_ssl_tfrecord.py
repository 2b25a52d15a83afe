# SPDX-License-Identifier: Apache-2.0
"""ssl_3d_recon's four files of records, joined by name; what one file lacks costs what it would have given."""

import io
from pathlib import Path

import numpy as np
import pytest
from formats import foreign, records
from formats.proof import assert_sound, run_import
from formats.test_drc import drc_view
from PIL import Image

from recon_core.data.dataset import Dataset

MODELS = ("a1", "b2", "c3")
ANGLES = [foreign.dpc_angles(1, index)[0] for index in range(3)]


def png(pixels: np.ndarray) -> bytes:
    """Bytes of a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def contents() -> dict[str, list[dict[str, object]]]:
    """Features of every record, by file."""
    files: dict[str, list[dict[str, object]]] = {"image": [], "mask": [], "pose": [], "pcl_color": []}
    for index, (model, angles) in enumerate(zip(MODELS, ANGLES, strict=True)):
        solid, name = foreign.make_solid(index), f"{model}_{index + 4}".encode()
        seen = drc_view(solid, *angles)
        xyz, labels = foreign.sample(solid, 3000)
        table = np.c_[xyz, foreign.COLOURS[labels] / 255]
        files["image"].append({"filename": name, "image": png(seen.rgba)})
        files["mask"].append({"filename": name, "image": png(seen.mask)})
        files["pose"].append({"filename": name, "pose": np.radians(angles).tobytes()})
        files["pcl_color"].append({"filename": model.encode(), "pcl": table.tobytes()})
    return files


def write(root: Path, files: dict[str, list[dict[str, object]]]) -> Path:
    """The files of one class and split."""
    for kind, rows in files.items():
        path = root / f"{foreign.CHAIR}_test_{kind}.tfrecords"
        records.write(path, [records.example(one) for one in rows], compress=False)
    return root


def test_points_fill_the_masks(tmp_path: Path) -> None:
    """Pose in radians, colours of points, the split of the file's name."""
    run_import("ssl-tfrecord", write(tmp_path / "in", contents()), tmp_path / "out")
    report = assert_sound(tmp_path / "out")
    assert report.views == 3
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.objects("test") == ["chair/a1", "chair/b2", "chair/c3"]
    cloud = dataset.points("chair/b2")
    assert cloud.colors is not None
    np.testing.assert_array_equal(
        cloud.colors, foreign.COLOURS[foreign.sample(foreign.make_solid(1), 3000)[1]]
    )
    frame = foreign.transforms_of(tmp_path / "out", "chair/c3")["frames"][0]["recon"]
    assert frame["azimuth_deg"] == pytest.approx(ANGLES[2][0] % 360)


def test_files_with_gaps_are_joined_by_name(tmp_path: Path) -> None:
    """One pose and another's cloud are missing: unknown pose, no points, and no object gets another's."""
    files = contents()
    del files["pose"][0], files["pcl_color"][1], files["mask"]
    run_import("ssl-tfrecord", write(tmp_path / "in", files), tmp_path / "out")
    recon = [foreign.transforms_of(tmp_path / "out", f"chair/{model}")["recon"] for model in MODELS]
    assert [one.get("pose_known") for one in recon] == [False, None, None]
    assert [one.get("points") for one in recon] == [None, False, None]
    frame = foreign.transforms_of(tmp_path / "out", "chair/b2")["frames"][0]["recon"]
    assert frame["azimuth_deg"] == pytest.approx(ANGLES[1][0] % 360)


FAULTS = {
    "image": (lambda files: files["image"][0].update(image=b"text"), "is not an image"),
    "pose": (lambda files: files["pose"][0].update(pose=b"1234"), "two finite angles"),
    "cloud": (lambda files: files["pcl_color"][0].update(pcl=b"x" * 50), "no table of x y z r g b"),
    "mask size": (
        lambda files: files["mask"][0].update(image=png(np.zeros((9, 9), np.uint8))),
        "the same size",
    ),
    "no image": (lambda files: files["image"][0].pop("image"), "has no image"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_record_is_skipped(tmp_path: Path, fault: str) -> None:
    """One line says why; the others are imported."""
    files = contents()
    break_it, message = FAULTS[fault]
    break_it(files)
    result = run_import("ssl-tfrecord", write(tmp_path / "in", files), tmp_path / "out", status=3)
    assert message in result.output
    assert "2 imported" in result.output
