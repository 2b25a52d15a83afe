# SPDX-License-Identifier: Apache-2.0
"""`recon refine` and the worker's job: files in, files out, bad input as one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from refine_scenes import camera, seat, silhouette
from test_worker import folder, start  # noqa: F401 (fixtures)
from typer.testing import CliRunner

from recon_core.cli import app
from recon_core.errors import ReconError
from recon_core.inference.photo_camera import pose_record
from recon_core.inference.reconstruct import COLOR_SOURCES
from recon_core.io.images import read_image, write_png
from recon_core.io.ply import read_ply, write_ply
from recon_core.pointcloud import PointCloud
from recon_core.refining.sources import read_cameras, read_source, read_views
from recon_core.refining.verb import KEPT, RefineRequest, refine_files, viewpoints
from recon_core.worker.protocol import ProtocolError, parse_message

VIEW = camera(35.0, size=80)


@pytest.fixture
def result(tmp_path) -> Path:
    """What `recon reconstruct` leaves: a cloud that is too tall, its JSON, and the image, red above and blue below."""
    mask = silhouette(seat(4000, seed=9), VIEW)
    rgba = np.dstack((np.zeros((*mask.shape, 3), np.uint8), mask))
    rgba[:40, :, 0], rgba[40:, :, 2] = 255, 255
    write_png(tmp_path / "photo.png", rgba)
    write_png(tmp_path / "mask.png", mask)
    xyz = seat(500, scale=(1, 1, 1.25))
    comments = {"color": COLOR_SOURCES["projected"], "frame": "object"}
    cloud = PointCloud(xyz, np.full((500, 3), 9, np.uint8), np.ones(500, np.uint8), comments=comments)
    write_ply(tmp_path / "seat.ply", cloud)
    record = {"version": 1, "category": "chair", "parts": {"seat": 500}, "pose": pose_record(VIEW)}
    path = tmp_path / "seat.json"
    path.write_text(json.dumps(record | {"files": {"cloud": "seat.ply"}, "timings_ms": {"total": 3}}))
    return path


def recon(*words: object):
    return CliRunner().invoke(app, ["refine", *map(str, words)])


def test_a_result_is_refined(result, tmp_path):
    """Beside the source nothing is replaced; the JSON is a result again, with the new pose; colours are looked up."""
    done = recon(result, tmp_path / "photo.png", "--out", tmp_path, "--steps", 50, "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert Path(answer["ply"]) == tmp_path / "seat_refined.ply"
    record = json.loads(Path(answer["json"]).read_text())
    assert record == answer["record"]
    assert record["category"] == "chair"
    assert "timings_ms" not in record
    figures = record["refine"]
    assert figures["iou"][1] > figures["iou"][0]
    assert figures["objective"][1] < figures["objective"][0]
    assert figures["turned_deg"] > 0
    assert figures["colors"]["psnr_db"][1] > figures["colors"]["psnr_db"][0]
    assert record["colour"] == COLOR_SOURCES["fitted"]
    cloud = read_ply(answer["ply"])
    assert cloud.comments["color"] == COLOR_SOURCES["fitted"]
    assert np.ptp(cloud.xyz[:, 2]) < 0.95 * np.ptp(read_ply(tmp_path / "seat.ply").xyz[:, 2])
    assert cloud.labels is not None
    picture = read_image(answer["preview"]).rgba
    assert picture.shape[0] > 900
    again = read_source(Path(answer["json"]))
    assert again.camera is not None
    assert abs(float(again.camera.fx) / float(VIEW.fx) - 1) < 0.2
    row = again.camera.project(torch.from_numpy(cloud.xyz.astype(np.float64))[None])[0][0, :, 1].numpy()
    assert cloud.colors is not None
    assert np.median(cloud.colors[row < 36], 0).tolist() == [255, 0, 0]
    assert np.median(cloud.colors[row > 44], 0).tolist() == [0, 0, 255]


def test_colours_may_be_kept(result, tmp_path):
    """Those of the cloud then come back as they are, also such as were looked up under the pose before."""
    words = (result, tmp_path / "photo.png", "--out", tmp_path / "out", "--steps", 5, "--colors")
    assert recon(*words, "keep", "--quiet").exit_code == 0
    assert (read_ply(tmp_path / "out" / "seat.ply").colors == 9).all()
    record = json.loads((tmp_path / "out" / "seat.json").read_text())
    assert record["refine"]["colors"] is None
    done = recon(*words, "fit", "--quiet")
    assert "of the points seen: PSNR" in done.stdout


def test_a_cloud_with_a_camera(result, tmp_path):
    """A PLY needs --camera, in any of the forms we write; such a camera stays."""
    pose = json.loads(result.read_text())["pose"]
    for number, camera_json in enumerate(
        (pose["camera"], {"pose": pose}, {**pose["camera"], "frames": [pose["camera"]]})
    ):
        (tmp_path / f"camera{number}.json").write_text(json.dumps(camera_json))
        assert float(read_cameras(tmp_path / f"camera{number}.json")[0].fx) == pytest.approx(float(VIEW.fx))
    words = (
        tmp_path / "seat.ply",
        tmp_path / "photo.png",
        "--camera",
        tmp_path / "camera1.json",
        "--steps",
        5,
    )
    done = recon(*words, "--out", tmp_path / "new" / "out", "--mask", tmp_path / "mask.png", "--quiet")
    assert done.exit_code == 0, done.output
    assert "mask IoU" in done.stdout
    record = json.loads((tmp_path / "new" / "out" / "seat.json").read_text())
    assert record["refine"]["turned_deg"] == 0
    assert record["pose"]["camera"]["fl_x"] == pytest.approx(float(VIEW.fx), rel=1e-5)
    assert np.allclose(
        record["pose"]["camera"]["transform_matrix"], pose["camera"]["transform_matrix"], atol=1e-6
    )


def test_what_moves(result, tmp_path):
    image = (tmp_path / "photo.png",)
    fitted = RefineRequest(result, image, tmp_path, steps=7, symmetry="off").options()
    assert fitted.camera != KEPT
    assert (fitted.steps, fitted.symmetry) == (7, "off")
    known = RefineRequest(result, image, tmp_path, pose="keep").options()
    assert fitted.weights.data < known.weights.data  # an outline under a camera that may be wrong says less
    assert fitted.field.stretch < known.field.stretch
    assert RefineRequest(result, image, tmp_path, pose="keep").options().camera == KEPT
    assert RefineRequest(result, image, tmp_path, cameras=(result,)).options().camera == KEPT
    assert RefineRequest(result, image, tmp_path, cameras=(result,), pose="fit").options().camera != KEPT


def test_only_predicted_cameras_have_other_viewpoints(result, tmp_path):
    """A given camera, and a pose that no model gave hypotheses for, begin where they are."""
    record = json.loads(result.read_text())
    record["pose"]["hypotheses"] = [{"quaternion_wxyz": record["pose"]["quaternion_wxyz"], "score": 1.0}]
    (tmp_path / "told.json").write_text(json.dumps(record))
    for path, cameras, known in (
        ("told.json", (), True),
        ("told.json", (result,), False),
        ("seat.json", (), False),
    ):
        request = RefineRequest(
            tmp_path / path, (tmp_path / "photo.png",), tmp_path, cameras=cameras, pose="fit"
        )
        source = read_source(request.source)
        views = read_views(request.images, (), [VIEW], "auto")
        assert (viewpoints(request, source, views) is not None) == known


@pytest.mark.parametrize(
    ("source", "words", "sentence"),
    [
        ("none.json", (), "none.json cannot be read"),
        ("none.ply", (), "none.ply"),
        ("seat.ply", (), "is a cloud without a camera"),
        ("unposed.json", (), "predicts no pose"),
        ("nameless.json", (), "names no cloud"),
        ("outside.json", (), "names no cloud"),
        ("list.json", (), "one JSON object"),
        ("photo.png", (), "photo.png"),
        ("seat.json", ("--mask", "mask.png", "--mask", "mask.png"), "2 masks for 1 images"),
        ("seat.json", ("--camera", "wide.json"), "100 x 50"),
        ("seat.json", ("--camera", "flat.json"), "flat.json"),
        ("seat.json", ("--camera", "seat.json", "--camera", "seat.json"), "2 cameras for 1 images"),
        ("seat.json", ("--pose", "guess"), "expected auto, fit or keep"),
        ("seat.json", ("--symmetry", "some"), "expected auto, on or off"),
        ("seat.json", ("--colors", "some"), "expected auto, fit or keep"),
        ("seat.json", ("--foreground", "magic"), "magic"),
        ("seat.json", ("--box", "900", "0", "50", "50"), "of --box 900 0 50 50, less than"),
        (
            "seat.json",
            ("--box", "9", "0", "50", "50", "--mask", "mask.png"),
            "already says what the object is",
        ),
        (
            "seat.json",
            ("photo.png", "--box", "9", "0", "50", "50"),
            "--box belongs to one image, but 2 images",
        ),
        ("seat.json", ("--scribbles", "photo.png", "--segmenter", "a.onnx"), "exclude each other"),
    ],
)
def test_bad_input_is_a_sentence(result, tmp_path, monkeypatch, source, words, sentence):
    record = json.loads(result.read_text())
    lens = record["pose"]["camera"]
    for name, content in {
        "unposed": record | {"pose": None}, "nameless": {"version": 1},
        "outside": record | {"files": {"cloud": "../seat.ply"}}, "list": [1],
        "wide": lens | {"w": 100, "h": 50}, "flat": lens | {"transform_matrix": [[0] * 4] * 4},
    }.items():  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    done = recon(source, "photo.png", "--out", "out", *words)
    assert isinstance(done.exception, ReconError), done.output
    assert sentence in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_two_images(result, tmp_path):
    side = camera(-60.0, size=64)
    write_png(tmp_path / "side.png", silhouette(seat(4000, seed=9), side))
    (tmp_path / "side.json").write_text(json.dumps({"pose": pose_record(side)}))
    write_png(tmp_path / "side_photo.png", np.zeros((64, 64, 3), np.uint8))
    request = RefineRequest(
        result, (tmp_path / "photo.png", tmp_path / "side_photo.png"), tmp_path / "out",
        (tmp_path / "mask.png", tmp_path / "side.png"), (result, tmp_path / "side.json"), steps=10,
    )  # fmt: skip
    record = refine_files(request).record
    assert [one["file"] for one in record["images"]] == ["photo.png", "side_photo.png"]
    assert record["images"][1]["camera"]["w"] == 64


@pytest.mark.parametrize(
    "fields",
    [
        {"images": []},
        {"images": "a.png"},
        {"steps": 0},
        {"pose": "x"},
        {"symmetry": True},
        {"size": 9},
        {"colors": "x"},
    ],
)
def test_bad_messages_are_refused(fields):
    message = {"type": "refine", "id": "r", "source": "a.json", "images": ["a.png"], "out": "o"}
    parse_message(json.dumps(message).encode())
    with pytest.raises(ProtocolError) as refused:
        parse_message(json.dumps(message | fields).encode())
    assert refused.value.code == "bad_message"


def test_the_workers_job(result, tmp_path, start, folder):  # noqa: F811
    """Files in the job folder, progress that rises, a record; paths outside are refused, failures are sentences."""
    for name in ("seat.ply", "seat.json", "photo.png"):
        (folder / name).write_bytes((tmp_path / name).read_bytes())
    client = start()
    client.send(type="refine", id="r1", source="seat.json", images=["photo.png"], out="new", steps=20)
    answer = client.end_of("r1")
    assert answer["type"] == "result", answer
    assert Path(answer["cloud"]) == folder / "new" / "seat.ply"
    assert answer["record"]["refine"]["steps"] <= 20
    assert Path(answer["preview"]).is_file()
    told = [m["fraction"] for m in client.all if m["type"] == "progress" and m["fraction"] is not None]
    assert told == sorted(told)
    good = {"type": "refine", "source": "seat.json", "images": ["photo.png"], "out": "o"}
    for index, fields in enumerate(({"images": ["/etc/hostname"]}, {"masks": ["none.png"]}, {"out": "../x"})):
        client.send(**good | {"id": f"bad{index}"} | fields)
        assert client.end_of(f"bad{index}")["code"] == "path"
    client.send(**good | {"id": "few", "source": "seat.ply"})
    answer = client.end_of("few")
    assert (answer["code"], "without a camera" in answer["message"]) == ("failed", True)
