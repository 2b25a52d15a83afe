# SPDX-License-Identifier: Apache-2.0
"""The HTML report: whole, safe, and its viewer runs in a browser where there is one."""

import base64
import dataclasses
import io
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from fake_predictor import FakePredictor
from PIL import Image
from tiny_dataset import make_tiny_dataset

from recon_core.evaluation.evaluate import evaluate_predictor, write_evaluation
from recon_core.evaluation.histogram import Series, histogram
from recon_core.evaluation.report import ERROR_LIMIT, render_report
from recon_core.evaluation.scores import METHODS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    """8 objects, 3 views, learnt poses."""
    data = make_tiny_dataset(tmp_path_factory.mktemp("data"), objects=8, views=3, size=48, points=900)
    return evaluate_predictor(FakePredictor(data, points=300, turn=np.eye(3)), data)


@pytest.fixture(scope="module")
def page(evaluation) -> str:
    """The report as text."""
    return render_report(evaluation)


def _data(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_the_page_is_whole_and_fetches_nothing(page) -> None:
    assert "Content-Security-Policy" in page
    assert not re.search(r"https?://|@import|<link|src=\"(?!data:)", page)
    assert "$" not in page.replace("$schema", "")  # every placeholder was filled
    for name in METHODS.values():
        assert f"<th>{name}</th>" in page
    assert page.count("<svg") == 2
    assert page.count('<article class="card object">') == 2


def test_every_metric_explains_itself_on_hover(page, evaluation) -> None:
    for info in evaluation.result["metrics"]:
        assert f'title="{info["title"]}\n' in page
        assert info["meaning"].split(",")[0].replace("'", "&#x27;") in page


def test_clouds_survive_the_packing(page, evaluation) -> None:
    data = _data(page)
    for entry, shown in zip(data["objects"], evaluation.exhibits, strict=True):
        cloud, packed = shown.judged.cloud, entry["prediction"]
        raw, count = base64.b64decode(packed["bytes"]), packed["count"]
        assert count == len(cloud) == 300
        xyz = np.frombuffer(raw, "<i2", 3 * count).reshape(-1, 3) / 16384
        np.testing.assert_allclose(xyz, cloud.xyz, atol=5e-5)
        rest = np.frombuffer(raw, np.uint8, offset=6 * count)
        error = shown.judged.matches.pred_to_truth.numpy()
        np.testing.assert_allclose(
            rest[:count] / 255 * ERROR_LIMIT, np.minimum(error, ERROR_LIMIT), atol=3e-4
        )
        assert packed["rgb"]
        assert packed["labels"]
        np.testing.assert_array_equal(rest[count : 4 * count].reshape(-1, 3), cloud.colors)
        np.testing.assert_array_equal(rest[4 * count :], cloud.labels)
        assert entry["parts"] == ["back", "seat", "leg", "arm"]


def test_pictures_are_images(page) -> None:
    pictures = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    assert len(pictures) == 2 * 8
    sizes = {Image.open(io.BytesIO(base64.b64decode(one))).size for one in pictures}
    assert sizes == {(32, 32), (128, 128)}


def test_names_cannot_break_out_of_the_page(evaluation) -> None:
    evil = "chair/</script><script>alert(1)//&\"'"
    shown = evaluation.exhibits[0]
    changed = dataclasses.replace(shown, truth=dataclasses.replace(shown.truth, name=evil))
    page = render_report(dataclasses.replace(evaluation, exhibits=[changed]))
    assert "<script>alert" not in page
    assert page.count("</script>") == 2
    assert _data(page)["objects"][0]["name"] == evil
    result = {**evaluation.result, "run": "<b>$title"}
    assert "&lt;b&gt;$title" in render_report(dataclasses.replace(evaluation, result=result))


def test_a_report_without_poses_parts_and_colours(tmp_path) -> None:
    data = make_tiny_dataset(tmp_path, objects=4, views=1, size=32, labelled=False, points=400)
    evaluation = evaluate_predictor(FakePredictor(data, heads=False, points=80), data)
    write_evaluation(evaluation, tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "part mIoU" not in page
    assert "mask, another view" not in page
    assert evaluation.result["files"]["report"].endswith("report.html")
    assert not _data(page)["objects"][0]["prediction"]["rgb"]


def test_histogram_counts_every_value() -> None:
    figure = histogram(
        [Series("model", [0.5, 1.0, 1.0, 9.9]), Series("<other>", [2.0])], "Title & more", "views"
    )
    assert sum(int(one) for one in re.findall(r"<title>(\d+)</title>", figure)) == 4
    assert "Title &amp; more" in figure
    assert "&lt;other&gt;" in figure
    assert "mean 3.10" in figure
    beyond = histogram([Series("model", [200.0])], "t", "views", upper=180.0)
    assert "<title>1</title>" in beyond
    histogram([Series("model", [])], "t", "views")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to run the viewer in")
def test_the_viewer_draws_in_a_browser(page, tmp_path) -> None:
    # The page draws; a line added for the test counts the pixels that are not empty and writes them into the title.
    probe = (
        "<script>setTimeout(function () { const c = document.getElementById('stage');"
        "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        "for (let i = 3; i < p.length; i += 4) n += p[i] > 0;"
        "document.title = 'drawn ' + n + ' ' + document.getElementById('name').textContent; }, 500);</script></body>"
    )
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", probe), encoding="utf-8")
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command += [
        "--virtual-time-budget=2000",
        "--window-size=1400,900",
        "--dump-dom",
        f"{path.as_uri()}#1,both,error",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"<title>drawn (\d+) (.+?)</title>", done.stdout)
    assert found, done.stderr[-2000:]
    assert int(found[1]) > 5000
    assert found[2] == _data(page)["objects"][1]["name"]
