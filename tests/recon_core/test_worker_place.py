# SPDX-License-Identifier: Apache-2.0
"""The worker's job `place`: results where they belong, fields and paths that are refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_worker import folder, start  # noqa: F401 (fixtures)

from recon_core.io.ply import write_ply
from recon_core.pointcloud import PointCloud
from recon_core.worker.protocol import ProtocolError, parse_message


@pytest.mark.parametrize(
    "fields",
    [
        {"object": ""}, {"image": 3}, {"out": None}, {"focal_mm": 0.0}, {"sensor_mm": -1.0}, {"up": "yes"},
        {"roll_deg": 91.0}, {"elevation_deg": [1.0]}, {"elevation_deg": [1.0, 2.0, 3.0]}, {"margin": 2.0},
        {"seed": -1}, {"foreground": "magic"}, {"pose": []}, {"box": [0.0, 0.0, 9.0]}, {"box": 3.0}, {"scribbles": ""},
    ],
)  # fmt: skip
def test_bad_fields_are_refused(fields):
    message = {
        "type": "place",
        "id": "p",
        "object": "a.ply",
        "image": "a.png",
        "out": "o",
        "box": [0, 0, 9.5, 8],
    }
    parse_message(json.dumps(message | {"elevation_deg": [-10.0, 60.0], "focal_mm": 35.0}).encode())
    with pytest.raises(ProtocolError) as refused:
        parse_message(json.dumps(message | fields).encode())
    assert refused.value.code == "bad_message"


def test_an_object_is_placed(start, folder):  # noqa: F811
    """A plate seen from above; JSON and picture in the job folder; what is wrong is one sentence."""
    corner = np.random.default_rng(0).uniform(0, 1, (4000, 3)) * (1.0, 0.5, 0.2)
    write_ply(folder / "box.ply", PointCloud(corner.astype(np.float32)))
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 20:60] = 255
    Image.fromarray(np.dstack((mask, mask, mask, mask))).save(folder / "photo.png")
    client = start()
    client.send(type="place", id="p1", object="box.ply", image="photo.png", out="o", focal_mm=50.0)
    result = client.end_of("p1")
    assert result["type"] == "result", result
    assert Path(result["json"]) == folder / "o" / "box_in_photo.json"
    assert Path(result["picture"]).stat().st_size > 1000
    record = result["record"]
    assert record == json.loads(Path(result["json"]).read_text())
    assert record["scores"]["mask_iou"] > 0.95
    assert record["focal_px"] == pytest.approx(50 / 36 * 80)
    fractions = [m["fraction"] for m in client.all if m["type"] == "progress" and m["fraction"] is not None]
    assert fractions == sorted(fractions)
    for field, path in {
        "object": "/etc/hostname",
        "mask": "none.png",
        "start": "/etc/hostname",
        "out": "../x",
        "scribbles": "/etc/hostname",
    }.items():
        message = {"type": "place", "id": "bad", "object": "box.ply", "image": "photo.png", "out": "o"}
        client.send(**message | {field: path})
        assert client.end_of("bad")["code"] == "path"
    far = {
        "type": "place",
        "object": "box.ply",
        "image": "photo.png",
        "out": "x",
        "box": [900.0, 0.0, 50.0, 50.0],
    }
    client.send(**far, id="far")
    assert "of --box 900 0 50 50, less than" in client.end_of("far")["message"]
    (folder / "none.json").write_text("{}")
    client.send(type="place", id="few", object="box.ply", image="photo.png", out="x", start="none.json")
    answer = client.end_of("few")
    assert (answer["code"], "holds no camera" in answer["message"]) == ("failed", True)
    assert not (folder / "x").exists()
