# SPDX-License-Identifier: Apache-2.0
"""`recon reconstruct --refine`: the files are those of the refined cloud, for each of several images."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from refine_scenes import camera, seat, silhouette
from test_reconstruct import PARTS
from typer.testing import CliRunner

from recon_core.cli import app
from recon_core.inference.photo_camera import fit_camera
from recon_core.inference.reconstruct import Failure, ReconstructResult, reconstruct_all
from recon_core.io.images import read_image, write_png
from recon_core.io.ply import read_ply
from recon_core.methods.run import Prediction
from recon_core.pointcloud import Points
from recon_core.refining.of_reconstruction import refine_reconstruction
from recon_core.refining.sources import read_source
from recon_core.worker import refine_job
from recon_core.worker.jobs import Jobs
from recon_core.worker.protocol import Folders, ReconstructJob, RefineJob

TRUE = camera(35.0, size=80)
TALL = seat(300, scale=(1, 1, 1.2))


@dataclass
class SeatRun:
    """A model of known cameras: always the same seat, too tall, with two viewpoints, of which it prefers the wrong."""

    poses: bool = True
    card: dict = field(default_factory=lambda: {"categories": ["chair"], "parts": PARTS})
    folder: Path = Path("fake")
    input_size: int = 32
    margin: float = 1.15
    pose_is_learnt: bool = False
    calls: int = 0

    def predict(self, rgba_crops: np.ndarray) -> Prediction:
        """The stored cloud."""
        self.calls += len(rgba_crops)
        points = Points(torch.from_numpy(TALL)[None], torch.ones(1, len(TALL)))
        if not self.poses:
            return Prediction(points, None)
        turned = torch.stack([camera(a).world_to_cam[0, :3, :3] for a in (125.0, 40.0)])[None].float()
        return Prediction(points, turned[:, 0], hypotheses=turned, scores=torch.tensor([[0.6, 0.4]]))


@pytest.fixture
def photo(tmp_path) -> Path:
    """A cut-out of the true seat."""
    mask = silhouette(seat(4000, seed=9), TRUE)
    write_png(tmp_path / "photo.png", np.dstack((np.full((*mask.shape, 3), 99, np.uint8), mask)))
    return tmp_path / "photo.png"


def test_files_are_of_the_refined_cloud(photo, tmp_path):
    """PLY, JSON and preview agree; colours are looked up and confidence told; a bad image does not stop the others."""
    out, run = tmp_path / "out", SeatRun()
    outcomes = list(reconstruct_all([photo, tmp_path / "none.png"], run, out, refine=True))
    assert isinstance(outcomes[1], Failure)
    done = outcomes[0]
    assert isinstance(done, ReconstructResult)
    record = json.loads(done.json.read_text())
    figures = record["refine"]
    assert figures["objective"][1] < figures["objective"][0]
    assert figures["iou"][1] > figures["iou"][0]
    assert figures["viewpoints"] == [1]
    cloud = read_ply(done.ply)
    assert not np.allclose(cloud.xyz, TALL, atol=1e-3)
    assert np.ptp(cloud.xyz[:, 2]) < 0.97 * np.ptp(TALL[:, 2])
    assert cloud.comments["refined"].startswith("recon ")
    assert (cloud.colors == 99).all()
    assert "hypotheses" not in record["pose"]
    assert record["pose"]["note"].endswith("refined")
    assert record["timings_ms"]["refine"] > 0
    again = read_source(done.json)
    assert again.camera is not None
    assert again.camera.world_to_cam[0, :3, :3].numpy() == pytest.approx(
        TRUE.world_to_cam[0, :3, :3].numpy(), abs=0.2
    )
    (plain,) = reconstruct_all([photo], SeatRun(), tmp_path / "plain")
    assert isinstance(plain, ReconstructResult)
    told = json.loads(plain.json.read_text())
    assert told["refine"] is None
    assert [one["score"] for one in told["pose"]["hypotheses"]] == [0.6, 0.4]
    assert np.allclose(read_ply(plain.ply).xyz, TALL, atol=1e-6)
    assert figures["colors"] is None  # the photograph is of one flat grey
    assert read_image(done.preview).rgba.shape[0] > read_image(plain.preview).rgba.shape[0] + 200


def test_a_result_is_refined_from_its_other_viewpoint(photo, tmp_path):
    """`recon refine` finds in the JSON what `recon reconstruct` knew; the image is named as found from --out."""
    (plain,) = reconstruct_all([photo], SeatRun(), tmp_path / "plain")
    assert isinstance(plain, ReconstructResult)
    out = tmp_path / "deep" / "er"
    words = ["refine", plain.json, photo, "--out", out, "--steps", 20, "--json"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)["record"]
    assert record["refine"]["viewpoints"] == [1]
    assert (out / record["image"]["path"]).resolve() == photo.resolve()
    assert (out / record["images"][0]["path"]).resolve() == photo.resolve()
    assert (record["image"]["width"], record["image"]["height"]) == (80, 80)


def test_without_a_pose_it_is_a_sentence(photo, tmp_path):
    (outcome,) = reconstruct_all([photo], SeatRun(poses=False), tmp_path / "out", refine=True)
    assert isinstance(outcome, Failure)
    assert "predicts no pose" in outcome.message
    assert not list((tmp_path / "out").iterdir())


def test_where_nothing_is_better_all_stays(photo):
    """Without steps the prediction comes back, with its own camera."""
    from recon_core.inference.reconstruct import reconstruct_image
    from recon_core.refining.refine import RefineOptions

    before = reconstruct_image(photo, SeatRun())
    after = refine_reconstruction(before, photo, RefineOptions(steps=0))
    assert np.array_equal(after.cloud.xyz, before.cloud.xyz)
    assert after.camera is not None
    assert before.camera is not None
    fitted = fit_camera(TALL, before.camera.world_to_cam[0, :3, :3].numpy(), before.mask, 2.0)
    assert float(after.camera.fx) == pytest.approx(float(fitted.fx), rel=1e-4)


def test_the_worker_does_the_same(photo, tmp_path, monkeypatch):
    """Its `reconstruct` with `refine`, and `refine` after it: from every viewpoint, as the command line does."""
    told: list[tuple] = []
    jobs = Jobs(Folders(tmp_path))
    monkeypatch.setattr(jobs, "_load", lambda run, device: SeatRun())
    message = {
        "type": "reconstruct",
        "id": "r",
        "run": "fake",
        "image": str(photo),
        "out": str(tmp_path / "at once"),
    }
    answer = jobs.run(
        ReconstructJob.model_validate(message | {"refine": True}), lambda *one: told.append(one)
    )
    (expected,) = reconstruct_all([photo], SeatRun(), tmp_path / "expected", refine=True)
    assert isinstance(expected, ReconstructResult)
    assert np.array_equal(read_ply(answer["cloud"]).xyz, read_ply(expected.ply).xyz)
    assert answer["record"]["refine"]["viewpoints"] == [1]
    assert answer["record"]["pose"] == expected.record["pose"]
    stages = [stage for stage, _ in told]
    assert list(dict.fromkeys(stages)) == ["load", "reconstruct", "refine", "write"]
    assert [share for _, share in told] == sorted(share for _, share in told)

    plain = jobs.run(ReconstructJob.model_validate(message | {"out": str(tmp_path)}), lambda *one: None)
    assert plain["record"]["refine"] is None
    assert len(plain["record"]["pose"]["hypotheses"]) == 2
    later = RefineJob(
        type="refine",
        id="l",
        source=plain["json"],
        images=[str(photo)],
        out=str(tmp_path / "later"),
        colors="keep",
    )
    after = refine_job.refine(later, lambda *one: None)["record"]["refine"]
    assert after["viewpoints"] == [1]
    assert after["colors"] is None
