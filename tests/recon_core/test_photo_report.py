# SPDX-License-Identifier: Apache-2.0
"""The page of reconstructed photographs: what belongs together, what is missing, safe, whole, and it runs."""

import base64
import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from recon_core import cli
from recon_core.cameras import Cameras, orbit, pinhole
from recon_core.errors import ConfigError, InputError
from recon_core.inference.photo_camera import pose_record
from recon_core.inference.reconstruct import reconstruct
from recon_core.io.atomic import write_json
from recon_core.io.images import write_png
from recon_core.io.ply import read_ply, write_ply
from recon_core.methods.run import Prediction
from recon_core.placing.picture import silhouette
from recon_core.pointcloud import PointCloud, Points
from recon_core.report.page import part_names, write_report
from recon_core.report.pictures import CONFIDENCE_RAMP, confidence_colors
from recon_core.report.results import read_results, shrunk

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZE = (0.5, 0.3, 0.7)


def _box(count: int = 1500) -> np.ndarray:
    xyz = np.random.default_rng(0).uniform(-0.5, 0.5, (count, 3))
    axis = np.arange(count) % 3
    xyz[np.arange(count), axis] = np.sign(xyz[np.arange(count), axis]) / 2
    return xyz * SIZE


def _camera(azimuth_deg: float = 35.0) -> Cameras:
    return pinhole(orbit(torch.tensor([azimuth_deg]).double(), torch.tensor([20.0]).double()), 120)


@dataclass
class BoxRun:
    """A model that predicts the box that is in the photograph, and how it is turned."""

    rotation: torch.Tensor | None
    color: bool = True
    card: dict = field(
        default_factory=lambda: {"categories": ["box"], "parts": {"box": ["side", "top of it"]}}
    )
    folder: Path = Path("nowhere")
    input_size: int = 64
    margin: float = 1.15
    pose_is_learnt: bool = False

    def predict(self, rgba_crops: np.ndarray) -> Prediction:
        """The box for every crop."""
        count = len(rgba_crops)
        xyz = torch.from_numpy(_box()).float().expand(count, -1, -1)
        parts = torch.nn.functional.one_hot((xyz[..., 2] > 0.3).long(), 2).float()
        color = (xyz + 0.5).clamp(0, 1) if self.color else None
        rotation = None if self.rotation is None else self.rotation.expand(count, 3, 3)
        return Prediction(
            Points(xyz, torch.ones(xyz.shape[:2]), color, parts if self.color else None), rotation
        )


def _photo(path: Path, azimuth_deg: float = 35.0) -> Path:
    """A picture of the box, cut out."""
    cover = silhouette(_box(), _camera(azimuth_deg), (120, 120))
    rgba = np.zeros((120, 120, 4), np.uint8)
    rgba[cover] = (150, 90, 60, 255)
    write_png(path, rgba)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Photographs and two results: one under the true camera, one half a right angle off."""
    root = tmp_path_factory.mktemp("made")
    (root / "photos").mkdir()
    rotation = _camera().world_to_cam[:, :3, :3]
    for name, azimuth in (("wrong", 80.0), ("right", 35.0)):
        photo = _photo(root / "photos" / f"{name}.png", azimuth)
        reconstruct(photo, BoxRun(rotation), out_dir=root / "out", confidence="fast")
    return root


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A folder with both results, to change."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "out"


def _refined(folder: Path, of: str) -> None:
    cloud = read_ply(folder / f"{of}.ply")
    cloud.xyz = cloud.xyz * 0.9
    write_ply(folder / f"{of}_refined.ply", cloud)
    record = json.loads((folder / f"{of}.json").read_text())
    record |= {"refine": {"of": f"{of}.json"}, "files": {"cloud": f"{of}_refined.ply"}}
    write_json(folder / f"{of}_refined.json", record)


def _placed(folder: Path, cloud: str, image: str, azimuth_deg: float) -> None:
    camera = _camera(azimuth_deg)
    record = {
        "pose": pose_record(camera),
        "object_to_cam": camera.world_to_cam[0].tolist(),
        "object_to_world": np.eye(4).tolist(),
        "object": {"file": cloud},
        "image": {"file": image},
        "alternatives": [{}],
        "files": {"picture": "none.png"},
    }
    write_json(folder / f"{Path(cloud).stem}_in_{Path(image).stem}.json", record)


def _data(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_the_best_outline_comes_first(results: Path) -> None:
    found = read_results([results])
    assert [one.name for one in found] == ["right.png", "wrong.png"]
    assert found[0].score is not None
    assert found[1].score is not None
    assert found[0].score > 0.85
    assert found[0].score > found[1].score + 0.03
    assert [len(one.seen) for one in found] == [1, 1]
    assert part_names(found[0]) == ["side", "top of it"]
    assert not found[0].notes


def test_the_page_is_whole_and_fetches_nothing(results: Path, tmp_path: Path) -> None:
    shown = write_report([results], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page
    assert not re.search(r"https?://|@import|<link|src=\"(?!data:)", page)
    assert "$" not in page
    assert page.count("<article") == 2
    for caption in (
        "photograph",
        "mask: alpha channel",
        "predicted cloud, IoU",
        "confidence 0",
        "top of it",
    ):
        assert caption in page
    assert page.count('data-value="visibility"') == 1
    assert 'data-value="both"' not in page
    pictures = re.findall(r'src="data:image/webp;base64,', page)
    assert len(pictures) == 2 * (3 + 4 * 4)
    assert len(shown) == 2


def test_the_viewer_gets_confidence_and_visibility(results: Path, tmp_path: Path) -> None:
    write_report([results / "right.json"], tmp_path / "page.html")
    data = _data((tmp_path / "page.html").read_text(encoding="utf-8"))
    cloud, entry = read_ply(results / "right.ply"), data["objects"][0]["predicted"]
    assert entry["channels"] == ["confidence", "visibility"]
    raw, count = np.frombuffer(base64.b64decode(entry["bytes"]), np.uint8), entry["count"]
    assert count == len(cloud)
    assert cloud.confidence is not None
    assert cloud.visibility is not None
    np.testing.assert_allclose(raw[6 * count : 7 * count] / 255, cloud.confidence, atol=3e-3)
    np.testing.assert_array_equal(raw[7 * count : 8 * count], cloud.visibility)
    assert set(np.unique(cloud.visibility)) == {0, 1, 2}
    assert [one["name"] for one in data["channels"]["visibility"]["classes"]][2] == "seen"


def test_what_was_made_of_a_result_goes_with_it(results: Path, tmp_path: Path) -> None:
    _refined(results, "wrong")
    _placed(results, "wrong.ply", "wrong.png", 80.0)
    _placed(results, "wrong_refined.ply", "wrong.png", 35.0)
    _placed(results, "right.ply", "other.png", 0.0)  # the same object in another picture
    found = {one.name: one for one in read_results([results])}
    wrong = found["wrong.png"]
    assert list(wrong.clouds) == ["predicted", "refined"]
    assert [one.name for one in wrong.seen] == ["predicted", "placed", "refined", "placed"]
    assert [one.iou > 0.9 for one in wrong.seen] == [False, True, False, False]  # type: ignore[operator]
    assert wrong.ambiguous == 1
    assert [one.name for one in found["right.png"].seen] == ["predicted"]
    write_report([results / "wrong.json"], tmp_path / "page.html")  # the others are found beside it
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert 'data-value="both"' in page
    assert set(_data(page)["objects"][0]) == {"name", "parts", "predicted", "refined"}
    assert "1 other view fits about as well" in page


def test_a_refined_cloud_alone_is_a_result(results: Path, tmp_path: Path) -> None:
    _refined(results, "right")
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    for ending in ("json", "ply"):
        shutil.copy(results / f"right_refined.{ending}", alone)
    (only,) = read_results([alone], tmp_path / "photos")
    assert list(only.clouds) == ["refined"]
    assert only.photo is not None
    assert only.mask is None
    assert only.score is None


def test_a_photograph_that_is_gone_is_said_and_found_again(results: Path, tmp_path: Path) -> None:
    shutil.move(tmp_path / "photos", tmp_path / "moved")
    found = read_results([results / "right.json"])[0]
    assert found.photo is None
    assert "--photos" in found.notes[0]
    assert found.score is not None  # the mask stands beside it
    assert read_results([results / "right.json"], tmp_path / "moved")[0].photo is not None
    assert (
        "--photos"
        in CliRunner().invoke(cli.app, ["report", str(results), "--out", str(tmp_path / "a.html")]).output
    )


def test_a_preview_is_not_taken_for_the_photograph(results: Path, tmp_path: Path) -> None:
    shutil.move(tmp_path / "photos", tmp_path / "moved")
    assert (results / "right.png").is_file()  # the preview has the photograph's name
    assert read_results([results / "right.json"])[0].photo is None


def test_names_cannot_break_out_of_the_page(results: Path, tmp_path: Path) -> None:
    record = json.loads((results / "right.json").read_text())
    record["image"]["file"] = record["category"] = "</script><script>alert(1)//&\"'"
    write_json(results / "right.json", record)
    write_report([results / "right.json"], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert page.count("</script>") == 2


def test_a_model_without_camera_colours_and_parts(tmp_path: Path) -> None:
    photo = _photo(tmp_path / "a.png")
    reconstruct(photo, BoxRun(None, color=False), out_dir=tmp_path / "out")
    (only,) = write_report([tmp_path / "out"], tmp_path / "page.html")
    assert (only.score, only.confidence, only.cloud.visibility) == (None, None, None)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "predicted cloud" not in page
    assert 'data-value="confidence"' not in page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "not one JSON object"),
        ("{", "not a JSON file"),
        ('{"files": {}}', "not a result"),
        (None, "read"),
    ],
)
def test_other_files_are_refused_when_named(results: Path, content: str | None, message: str) -> None:
    path = results / "other.json"
    if content is not None:
        path.write_text(content)
        assert len(read_results([results])) == 2  # in a folder they are passed over
    with pytest.raises(InputError, match=message):
        read_results([path])


def test_clouds_elsewhere_and_wrong_endings_are_refused(results: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.html"):
        write_report([results], tmp_path / "page.pdf")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no result with a cloud"):
        read_results([tmp_path / "empty"])
    record = json.loads((results / "right.json").read_text())
    record["files"]["cloud"] = "../right.ply"
    write_json(results / "right.json", record)
    with pytest.raises(InputError, match="no file beside it"):
        read_results([results / "right.json"])


def test_colours_run_along_the_ramp() -> None:
    colors = confidence_colors(np.array([0.0, 0.5, 1.0, 0.125]))
    assert [tuple(row) for row in colors[:3]] == [CONFIDENCE_RAMP[0], CONFIDENCE_RAMP[2], CONFIDENCE_RAMP[4]]
    assert tuple(colors[3]) == (239, 157, 65)
    assert shrunk(np.zeros((50, 200, 3), np.uint8), 100).shape == (25, 100, 3)
    assert shrunk(np.zeros((5, 4), np.uint8), 100).shape == (5, 4)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to run the viewer in")
def test_the_viewer_draws_confidence_in_a_browser(tmp_path: Path) -> None:
    cloud = PointCloud(_box(), confidence=np.zeros(1500), comments={})
    write_ply(tmp_path / "a.ply", cloud)
    write_json(tmp_path / "a.json", {"image": {"file": "a"}, "files": {"cloud": "a.ply"}})
    write_report([tmp_path / "a.json"], tmp_path / "page.html")
    # A line added for the test counts the reddish pixels that untrusted points are drawn with.
    probe = (
        "<script>setTimeout(function () { const c = document.getElementById('stage');"
        "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        "for (let i = 0; i < p.length; i += 4) n += p[i + 3] > 0 && p[i] > 1.5 * p[i + 2];"
        "document.title = 'red ' + n; }, 500);</script></body>"
    )
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(page.replace("</body>", probe), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    command.append(f"{(tmp_path / 'page.html').as_uri()}#0,predicted,confidence")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    found = re.search(r"<title>red (\d+)</title>", done.stdout)
    assert found, done.stderr[-2000:]
    assert int(found[1]) > 3000
