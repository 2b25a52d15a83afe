# SPDX-License-Identifier: Apache-2.0
"""From a photograph to files: crops as in training, colours, poses, names, failures and the command line."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon_core import cli
from recon_core.cameras import orbit, pinhole, quaternion_to_matrix
from recon_core.data.crop import crop_square, fit_box
from recon_core.errors import CheckpointError, ConfigError, InputError
from recon_core.inference.photo_camera import colors_by_height, colors_from_photo, fit_camera
from recon_core.inference.reconstruct import (
    Failure,
    ReconstructResult,
    distinct_stems,
    exit_status,
    reconstruct,
    reconstruct_all,
    reconstruct_image,
)
from recon_core.io.atomic import write_json
from recon_core.io.images import read_image, write_png
from recon_core.io.ply import read_ply
from recon_core.io.weights import save_tensors
from recon_core.methods.network import Network
from recon_core.methods.recipe import validate_recipe
from recon_core.methods.run import Prediction
from recon_core.pointcloud import Points
from recon_core.training.run_folder import create_run

ROOT = Path(__file__).resolve().parents[2]
PARTS = ["back", "seat", "leg", "arm"]


@dataclass
class FakeRun:
    """A model that predicts the same cloud for every crop, and keeps the crops."""

    points: Points
    rotation: torch.Tensor | None = None
    card: dict = field(default_factory=lambda: {"categories": ["chair"], "parts": PARTS})
    folder: Path = Path("fake")
    input_size: int = 64
    margin: float = 1.15
    pose_is_learnt: bool = True
    seen: list = field(default_factory=list)

    def predict(self, rgba_crops: np.ndarray) -> Prediction:
        """The stored cloud."""
        self.seen.append(rgba_crops)
        return Prediction(self.points, self.rotation)


def _points(color: bool = False, parts: bool = False, count: int = 300) -> Points:
    generator = torch.Generator().manual_seed(0)
    return Points(
        (torch.rand(1, count, 3, generator=generator) - 0.5) * torch.tensor([0.5, 0.4, 0.6]),
        torch.rand(1, count, generator=generator),
        torch.rand(1, count, 3, generator=generator) if color else None,
        torch.randn(1, count, 4, generator=generator) if parts else None,
    )


def _photo(path: Path, shift: int = 0) -> Path:
    """A cut-out: the left half red, the right half green."""
    rgba = np.zeros((90, 120, 4), np.uint8)
    rgba[20:70, 30 + shift : 50 + shift] = (220, 20, 20, 255)
    rgba[20:70, 50 + shift : 70 + shift] = (20, 220, 20, 255)
    write_png(path, rgba)
    return path


def test_writes_cloud_preview_and_record(tmp_path):
    run = FakeRun(_points(color=True, parts=True))
    result = reconstruct(_photo(tmp_path / "a.png"), run, out_dir=tmp_path / "out")
    cloud = read_ply(result.ply)
    assert len(cloud) == 300
    np.testing.assert_array_equal(cloud.colors, run.points.cloud(0).colors)
    np.testing.assert_array_equal(cloud.labels, run.points.cloud(0).labels)
    assert cloud.comments["color"] == "predicted by the model"
    assert cloud.comments["parts"] == "back seat leg arm"
    assert np.asarray(Image.open(result.preview)).shape[1] > 800
    record = json.loads(result.json.read_text())
    assert record["category"] == "chair"
    assert record["mask"]["source"] == "alpha channel"
    assert record["pose"] is None
    assert sum(record["parts"].values()) == 300
    assert list(record["parts"]) == PARTS
    assert record["timings_ms"]["total"] == pytest.approx(
        sum(
            record["timings_ms"][stage]
            for stage in ("read", "mask", "crop", "predict", "colour", "confidence")
        ),
        abs=0.01,
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.json",
        "a.mask.png",
        "a.ply",
        "a.png",
    ]


def test_the_addon_reads_the_names_of_the_parts(tmp_path):
    from blender_addon.ply import read_ply as read_in_blender

    run = FakeRun(_points(parts=True))
    run.card["parts"] = ["back", "seat pad", "leg", "arm"]
    path = reconstruct(_photo(tmp_path / "a.png"), run, out_dir=tmp_path / "out").ply
    cloud = read_in_blender(path)
    assert cloud.parts == ["back", "seat pad", "leg", "arm"]
    np.testing.assert_array_equal(cloud.labels, read_ply(path).labels)


def test_a_cloud_without_labels_names_no_parts(tmp_path):
    result = reconstruct_image(_photo(tmp_path / "a.png"), FakeRun(_points()))
    assert "parts" not in result.cloud.comments


def test_the_model_gets_the_training_crop(tmp_path):
    run = FakeRun(_points())
    path = _photo(tmp_path / "a.png")
    reconstruct_image(path, run)
    rgba = read_image(path).rgba
    expected = crop_square(rgba, fit_box(rgba[..., 3], 1.15), 64)
    np.testing.assert_array_equal(run.seen[0], expected[None])


def test_the_crop_does_not_depend_on_where_the_object_is(tmp_path):
    run = FakeRun(_points())
    reconstruct_image(_photo(tmp_path / "a.png"), run)
    reconstruct_image(_photo(tmp_path / "b.png", shift=31), run)
    np.testing.assert_array_equal(run.seen[0], run.seen[1])


def test_mask_file_replaces_the_alpha_channel(tmp_path):
    run = FakeRun(_points())
    mask = np.zeros((90, 120), np.uint8)
    mask[20:70, 50:70] = 255
    write_png(tmp_path / "m.png", mask)
    result = reconstruct_image(_photo(tmp_path / "a.png"), run, tmp_path / "m.png")
    assert result.mask_source == "mask file m.png"
    shown = run.seen[0][0][run.seen[0][0, ..., 3] > 250]
    assert (shown[:, 1] > 200).all()


def test_without_colour_and_pose_height_is_shown(tmp_path):
    result = reconstruct_image(_photo(tmp_path / "a.png"), FakeRun(_points()))
    assert result.color_source == "height"
    np.testing.assert_array_equal(result.cloud.colors, colors_by_height(result.cloud.xyz))
    assert "height" in result.cloud.comments["color"]


def test_with_a_pose_colours_come_from_the_photograph(tmp_path):
    # This rotation looks from the front: +X right, +Z up.
    rotation = torch.tensor([[[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]])
    run = FakeRun(_points(), rotation)
    written = reconstruct(_photo(tmp_path / "a.png"), run, out_dir=tmp_path / "out")
    cloud = read_ply(written.ply)
    x, colors = cloud.xyz[:, 0], cloud.colors.astype(int)
    assert "photograph" in cloud.comments["color"]
    assert (colors[x < -0.1] == (220, 20, 20)).all()
    assert (colors[x > 0.1] == (20, 220, 20)).all()
    pose = written.record["pose"]
    turned = quaternion_to_matrix(torch.tensor(pose["quaternion_wxyz"]))
    np.testing.assert_allclose(turned, rotation[0], atol=1e-6)
    np.testing.assert_allclose(np.array(pose["camera"]["transform_matrix"])[:3, 3], [0, -2, 0], atol=1e-6)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (40, 20), (200, -15)])
def test_fitted_camera_recovers_the_true_one(azimuth, elevation):
    """Dense points seen by a known camera: the box of their mask gives focal length and centre back."""
    rng = np.random.default_rng(1)
    xyz = rng.uniform(-1, 1, (200_000, 3)) * [0.25, 0.2, 0.35]
    pose = orbit(torch.tensor([azimuth]).double(), torch.tensor([elevation]).double())
    camera = pinhole(pose, 400)
    uv, _ = camera.project(torch.from_numpy(xyz)[None])
    mask = np.zeros((400, 400), np.uint8)
    columns, rows = np.floor(uv[0].numpy()).astype(int).T
    mask[rows, columns] = 255
    found = fit_camera(xyz, pose[0, :3, :3].numpy(), mask, 2.0)
    torch.testing.assert_close(found.world_to_cam, pose, atol=1e-9, rtol=0)
    assert found.fx.item() == pytest.approx(camera.fx.item(), rel=0.02)
    again, _ = found.project(torch.from_numpy(xyz)[None])
    assert (again - uv).abs().max() < 6


def test_points_beside_the_mask_take_the_nearest_colour():
    rgba = np.zeros((20, 20, 4), np.uint8)
    rgba[8:12, 8:12] = (10, 20, 30, 255)
    camera = pinhole(orbit(torch.zeros(1).double(), torch.zeros(1).double()), 20)
    xyz = np.array([[0.5, 0, 0.5], [-9, 0, -9], [0, 0, 0]])
    np.testing.assert_array_equal(colors_from_photo(xyz, camera, rgba), [[10, 20, 30]] * 3)


def test_failures_do_not_stop_the_others(tmp_path):
    good = _photo(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no image")
    write_png(tmp_path / "blank.png", np.zeros((30, 30, 4), np.uint8))
    images = [tmp_path / "bad.png", good, tmp_path / "none.png", tmp_path / "blank.png"]
    outcomes = list(reconstruct_all(images, FakeRun(_points()), tmp_path / "out"))
    assert [isinstance(one, ReconstructResult) for one in outcomes] == [False, True, False, False]
    messages = [one.message for one in outcomes if isinstance(one, Failure)]
    for message, words in zip(messages, ("is not an image", "does not exist", "is empty"), strict=True):
        assert words in message
    assert exit_status(outcomes) == 3
    assert exit_status(outcomes[1:2]) == 0
    assert exit_status(outcomes[:1]) == 1
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["good.json", "good.mask.png", "good.ply", "good.png"]


def test_names_that_collide_are_numbered(tmp_path):
    paths = [Path(name) for name in ("a/x.png", "b/x.jpg", "c/X.png", "x_2.png", "y.png")]
    stems = distinct_stems(paths, tmp_path)
    assert stems[0] == "x"
    assert stems[-1] == "y"
    assert len({stem.lower() for stem in stems}) == 5


def test_results_never_replace_an_input(tmp_path):
    path = _photo(tmp_path / "a.png")
    before = path.read_bytes()
    (outcome,) = reconstruct_all([path], FakeRun(_points()), tmp_path)
    assert isinstance(outcome, ReconstructResult)
    assert outcome.preview.name == "a_2.png"
    assert path.read_bytes() == before


def test_one_mask_for_many_images_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="belongs to one image"):
        list(reconstruct_all([tmp_path / "a.png", tmp_path / "b.png"], FakeRun(_points()), tmp_path, "m.png"))


def test_output_that_is_no_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be used as a folder"):
        list(reconstruct_all([_photo(tmp_path / "a.png")], FakeRun(_points()), tmp_path / "file"))


def test_spoilt_weights_are_named(tmp_path):
    points = _points()
    points.xyz[0, 3, 1] = float("nan")
    with pytest.raises(CheckpointError, match="not finite"):
        reconstruct_image(_photo(tmp_path / "a.png"), FakeRun(points))


@pytest.mark.parametrize("content", [(b"", "empty"), (b"\x89PNG\r\n\x1a\n", "damaged")])
def test_unusable_images_are_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content[0])
    with pytest.raises(InputError, match=content[1]):
        reconstruct_image(tmp_path / "a.png", FakeRun(_points()))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> Path:
    """A real run folder with random weights, all heads and a pose ensemble."""
    folder = tmp_path_factory.mktemp("run") / "run"
    recipe = validate_recipe(
        {
            "model": {"heads": ["xyz", "opacity", "color", "parts"], "points": 500, "width": 8},
            "pose": {"kind": "ensemble"},
            "terms": [{"kind": "splat_mask"}, {"kind": "splat_color"}, {"kind": "splat_parts"}],
        },
        "test",
    )
    create_run(folder, recipe, "cpu")
    checkpoint = folder / "checkpoints" / "step-0000000"
    checkpoint.mkdir(parents=True)
    network = Network(recipe.model, len(PARTS), recipe.pose.hypotheses)
    save_tensors(checkpoint / "weights.safetensors", dict(network.state_dict()))
    write_json(checkpoint / "card.json", {"version": 1, "categories": ["chair"], "parts": PARTS})
    return folder


def _recon(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "recon_core.cli", "reconstruct", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_command_line_end_to_end(tmp_path, untrained):
    good = _photo(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no image")
    done = _recon(
        good, tmp_path / "bad.png", "--run", untrained, "--out", tmp_path / "out", "--device", "cpu"
    )
    assert done.returncode == 3
    assert "500 points" in done.stdout
    assert "1 of 2 images reconstructed" in done.stdout
    assert "bad.png is not an image" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(read_ply(tmp_path / "out" / "good.ply")) == 500
    assert (tmp_path / "out" / "good.png").stat().st_size > 10_000


def _in_process(monkeypatch, *arguments: object) -> int:
    """Exit status of the same command in this process (starting a new one costs seconds)."""
    monkeypatch.setattr(sys, "argv", ["recon", "reconstruct", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0)


def test_command_line_json(tmp_path, untrained, monkeypatch, capsys):
    photo = _photo(tmp_path / "a.png")
    assert _in_process(monkeypatch, photo, "--run", untrained, "--out", tmp_path / "out", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["failed"] == []
    record = answer["results"][0]["record"]
    assert record["points"] == 500
    assert len(record["pose"]["quaternion_wxyz"]) == 4
    assert json.loads(Path(answer["results"][0]["json"]).read_text()) == record


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"--run": "no-such-run"}, 1, "does not exist"),
        ({"--foreground": "magic"}, 2, "Unknown foreground method"),
        ({"--device": "tpu"}, 1, "Unknown device"),
        ({"--mask": "no-such-mask.png"}, 1, "does not exist"),
        ({"--out": "{photo}"}, 1, "cannot be used as a folder"),
    ],
)
def test_command_line_errors_are_one_line(tmp_path, untrained, monkeypatch, capsys, changes, status, words):
    photo = _photo(tmp_path / "a.png")
    options = {"--run": untrained, "--out": tmp_path / "out"} | changes
    flat = [str(word).replace("{photo}", str(photo)) for pair in options.items() for word in pair]
    assert _in_process(monkeypatch, photo, *flat) == status
    message = capsys.readouterr().err
    assert words in message
    assert len(message.strip().splitlines()) == 1


def test_two_images_with_one_mask_on_the_command_line(tmp_path, untrained, monkeypatch, capsys):
    photo = _photo(tmp_path / "a.png")
    options = ("--run", untrained, "--out", tmp_path / "out", "--mask", photo)
    assert _in_process(monkeypatch, photo, photo, *options) == 2
    assert "belongs to one image" in capsys.readouterr().err
