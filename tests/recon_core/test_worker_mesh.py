# SPDX-License-Identifier: Apache-2.0
"""The worker's job `mesh`: results where they belong, paths outside refused, clouds without a surface, cancels."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from test_worker import folder, start  # noqa: F401 (fixtures)

from recon_core.io.ply import read_ply, write_ply
from recon_core.pointcloud import PointCloud
from recon_core.worker.protocol import ProtocolError, parse_message


def ball(count: int) -> PointCloud:
    xyz = np.random.default_rng(0).normal(size=(count, 3))
    xyz /= np.linalg.norm(xyz, axis=1, keepdims=True)
    labels = np.where(xyz[:, 2] > 0, 1, 2).astype(np.uint8)
    colors = np.where(labels[:, None] == 1, np.uint8([255, 0, 0]), np.uint8([0, 0, 255]))
    return PointCloud(xyz, colors, labels, comments={"parts": "lid pot"})


@pytest.mark.parametrize(
    "fields",
    [
        {"cloud": ""}, {"method": "magic"}, {"smooth": -1}, {"smooth": 2.5}, {"target_faces": 1}, {"resolution": 9000},
        {"depth": 30}, {"trim": 1.0}, {"out": None},
    ],
)  # fmt: skip
def test_bad_fields_are_refused(fields):
    import json

    message = {"type": "mesh", "id": "m", "cloud": "a.ply", "out": "o"}
    parse_message(json.dumps(message).encode())
    with pytest.raises(ProtocolError) as refused:
        parse_message(json.dumps(message | fields).encode())
    assert refused.value.code == "bad_message"


def test_a_cloud_becomes_a_surface(start, folder):  # noqa: F811
    """PLY and GLB in the job folder, figures, stages; what cannot be meshed is one sentence."""
    write_ply(folder / "a.ply", ball(1200))
    client = start()
    client.send(type="mesh", id="m1", cloud="a.ply", out=".", method="density", smooth=3)
    result = client.end_of("m1")
    assert result["type"] == "result", result
    assert Path(result["surface"]) == folder / "a_surface.ply"
    assert len(read_ply(folder / "a.ply")) == 1200  # still the cloud
    assert result["parts"] == ["lid", "pot"]
    record = result["record"]
    assert (record["method"], record["watertight"]) == ("density", True)
    assert record["volume"] == pytest.approx(4 / 3 * np.pi, rel=0.05)
    assert trimesh.load(result["surface"]).is_watertight
    assert set(np.unique(read_ply(result["surface"]).labels)) == {1, 2}
    assert Path(result["glb"]).stat().st_size > 1000
    fractions = [m["fraction"] for m in client.all if m["type"] == "progress" and m["fraction"] is not None]
    assert fractions == sorted(fractions)

    for field, path in {"cloud": "/etc/hostname", "out": "../x"}.items():
        client.send(**{"type": "mesh", "id": "bad", "cloud": "a.ply", "out": "o"} | {field: path})
        assert client.end_of("bad")["code"] == "path"
    write_ply(folder / "few.ply", ball(10))
    client.send(type="mesh", id="few", cloud="few.ply", out="o")
    answer = client.end_of("few")
    assert (answer["code"], "at least 50" in answer["message"]) == ("failed", True)
    assert not (folder / "o").exists()


@pytest.mark.slow
def test_cancel(start, folder):  # noqa: F811
    write_ply(folder / "big.ply", ball(400_000))
    client = start()
    client.send(type="mesh", id="m", cloud="big.ply", out="o", method="density", resolution=400)
    client.wait(lambda m: m.get("stage") == "density")
    client.send(type="cancel", id="m")
    assert client.end_of("m")["code"] in ("cancelled", "crashed")
    assert not (folder / "o").exists()
    write_ply(folder / "a.ply", ball(300))
    client.send(type="mesh", id="next", cloud="a.ply", out="o", method="density")
    assert client.end_of("next")["type"] == "result"
