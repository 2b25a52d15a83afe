# SPDX-License-Identifier: Apache-2.0
"""The model that comes with the package: whole, small, the same in both forms, and taken where no run is named."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from recon_core.bundled import CATEGORIES
from recon_core.cli import app
from recon_core.inference.reconstruct import reconstruct_image
from recon_core.io.ply import read_ply
from recon_core.methods.run import load_run
from recon_core.resources import resource_dir, shipped_run

MAX_BYTES = 30e6


@pytest.fixture(scope="module")
def run():
    """The shipped run on the CPU."""
    return load_run(shipped_run(), "cpu")


def test_it_is_whole_and_small() -> None:
    folder = shipped_run()
    files = [path for path in folder.rglob("*") if path.is_file()]
    weights = [path for path in files if path.suffix in (".safetensors", ".onnx")]
    assert len(weights) == 2
    assert sum(path.stat().st_size for path in files) < MAX_BYTES
    card = json.loads((folder / "model.json").read_text())
    assert hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest() == card["sha256"]
    assert set(card["categories"]) == set(CATEGORIES)
    assert card["licence"].startswith("CC0")
    assert card["metrics"]["test"]["scores"]["chamfer_sum"] > 0
    page = (folder / "README.md").read_text()
    assert all(word in page for word in ("CC0", "Chamfer", "Limits"))


def test_onnx_and_torch_agree_on_the_examples(run) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(
        str(shipped_run() / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    names = [one.name for one in session.get_outputs()]
    for path in sorted(resource_dir("examples").glob("*.png")):
        crop = reconstruct_image(path, run).crop
        expected = run.predict(crop[None])
        found = dict(zip(names, session.run(None, {"image": crop[None]}), strict=True))
        np.testing.assert_allclose(found["xyz"].reshape(-1, 3), expected.points.xyz[0].numpy(), atol=1e-4)
        np.testing.assert_allclose(found["color"].reshape(-1, 3), expected.points.color[0].numpy(), atol=1e-4)
        np.testing.assert_allclose(found["category"].ravel(), expected.category[0].numpy(), atol=1e-4)
        np.testing.assert_allclose(found["rotation"].reshape(3, 3), expected.rotation[0].numpy(), atol=1e-4)


def test_it_is_taken_where_no_run_is_named_and_knows_a_chair(tmp_path) -> None:
    images = sorted(resource_dir("examples").glob("*.png"))
    done = CliRunner().invoke(app, ["reconstruct", *map(str, images), "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    for path in images:
        record = json.loads((tmp_path / f"{path.stem}.json").read_text())
        assert record["category"] == "chair"
        cloud = read_ply(tmp_path / f"{path.stem}.ply")
        assert len(cloud) == 2000
        assert cloud.comments["parts"].split() == ["back", "seat", "leg", "arm"]
        assert cloud.confidence is not None
        # Calibrated on its own validation data, not by another model's maps.
        assert (
            "own" in record["confidence"]["calibration"] or "this run" in record["confidence"]["calibration"]
        )


def test_a_blank_image_is_refused_in_a_sentence(tmp_path) -> None:
    Image.new("RGB", (64, 64), "white").save(tmp_path / "blank.png")
    done = CliRunner().invoke(app, ["reconstruct", str(tmp_path / "blank.png"), "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert "Traceback" not in done.output
