# SPDX-License-Identifier: Apache-2.0
"""A model with a frame of its own: evaluation finds the way back to the object frame, reconstruction uses it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_predictor import FakePredictor
from PIL import Image
from scipy.spatial.transform import Rotation
from tiny_dataset import make_tiny_dataset

from recon_core.canonical_frame import FILE_NAME, OBJECT_FRAME, read_canonical, write_canonical
from recon_core.errors import CheckpointError
from recon_core.evaluation.evaluate import evaluate_run
from recon_core.inference.reconstruct import reconstruct
from recon_core.io.ply import read_ply
from recon_core.methods.run import Prediction
from recon_core.pointcloud import Points

TURN = Rotation.from_euler("zyx", (200, 30, -20), degrees=True).as_matrix()  # canonical -> object
OWN = "canonical: the model's own"


class FakeRun(FakePredictor):
    """A predictor in a frame of its own, with a run folder."""

    def __init__(self, data: Path, folder: Path, steps: int = 7, **options) -> None:
        super().__init__(data, turn=TURN, noise=0.002, pose_noise_deg=0, **options)
        self.folder, self.card = folder, {"steps": steps, "frame": OWN, "categories": ["chair"]}


class FixedRun(FakeRun):
    """Gives the cloud of one object for every picture, seen from the front."""

    def predict(self, rgba_crops: np.ndarray) -> Prediction:
        """One cloud in the model's frame, and the rotation to the camera of a front view."""
        cloud, _ = next(iter(self.answers.values()))
        front = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]).double()  # object -> camera
        xyz = torch.from_numpy(cloud.xyz).double() @ torch.from_numpy(TURN)
        return Prediction(Points(xyz.float()[None]), (front @ torch.from_numpy(TURN))[None])


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_tiny_dataset(tmp_path_factory.mktemp("data"), objects=12, views=3, size=64, points=1500)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    rgba = np.zeros((60, 60, 4), np.uint8)
    rgba[10:50, 15:45] = (200, 80, 40, 255)
    Image.fromarray(rgba).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def _evaluate(data: Path, run: FakeRun, monkeypatch) -> dict:
    monkeypatch.setattr("recon_core.methods.run.load_run", lambda *_: run)
    return evaluate_run(run.folder, data, views=1, report=False, progress=False)


def test_evaluation_keeps_the_rotation_and_reconstruction_uses_it(data, tmp_path, photo, monkeypatch) -> None:
    folder = tmp_path / "run"
    _evaluate(data, FakeRun(data, folder), monkeypatch)
    kept = json.loads((folder / FILE_NAME).read_text())
    np.testing.assert_allclose(kept["object_from_canonical"], TURN, atol=0.02)
    assert kept["steps"] == 7
    assert kept["found"]["split"] == "val"
    assert kept["found"]["data"] == str(data)
    run = FixedRun(data, folder)
    truth = next(iter(run.answers.values()))[0].xyz
    written = reconstruct(photo, run, out_dir=tmp_path / "out")
    cloud = read_ply(written.ply)
    assert np.abs(cloud.xyz - truth).max() < 0.02  # upright, not in the model's frame
    for said in (written.record["frame"], cloud.comments["frame"]):
        assert said.startswith(OBJECT_FRAME)
        assert "canonical.json" in said
    # The camera of a front view stands at -Y, two diagonals away.
    matrix = np.array(written.record["pose"]["camera"]["transform_matrix"])
    np.testing.assert_allclose(matrix[:3, 3], [0, -2, 0], atol=0.05)


@pytest.mark.parametrize("steps", [None, 3])
def test_without_a_fitting_file_the_models_frame_is_kept_and_said(data, tmp_path, photo, steps) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    if steps is not None:
        write_canonical(folder, {"rotation": TURN.tolist()}, steps, "dataset")
    run = FixedRun(data, folder)
    written = reconstruct(photo, run, out_dir=tmp_path / "out")
    truth = next(iter(run.answers.values()))[0].xyz
    np.testing.assert_allclose(read_ply(written.ply).xyz, truth @ TURN.astype(np.float32), atol=1e-5)
    for said in (written.record["frame"], read_ply(written.ply).comments["frame"]):
        assert said.startswith(OWN)
        assert "not aligned" in said
        assert ("step 3" in said) == (steps == 3)


def test_known_poses_leave_no_file(data, tmp_path, monkeypatch) -> None:
    run = FakeRun(data, tmp_path / "run")
    run.turn = None
    result = _evaluate(data, run, monkeypatch)
    assert result["alignment"] is None
    assert not (tmp_path / "run" / FILE_NAME).exists()


@pytest.mark.parametrize(
    "value", [None, [[1, 0], [0, 1]], "x", (np.eye(3) * 2).tolist(), np.diag([1.0, 1, -1]).tolist()]
)
def test_broken_files_are_refused(tmp_path, value) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps({"steps": 1, "object_from_canonical": value}))
    with pytest.raises(CheckpointError, match="not a rotation"):
        read_canonical(tmp_path, 1)
    (tmp_path / FILE_NAME).write_text("{")
    with pytest.raises(CheckpointError, match="JSON"):
        read_canonical(tmp_path, 1)
