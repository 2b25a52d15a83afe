# SPDX-License-Identifier: Apache-2.0
"""`recon mesh` on the command line: files, folders, names of parts, refusals."""

import json

import numpy as np
import pytest
import trimesh
from meshing_clouds import sphere
from typer.testing import CliRunner

from recon_core.cli import app
from recon_core.errors import ConfigError, InputError
from recon_core.io.ply import write_ply
from recon_core.meshing.verb import plan
from recon_core.pointcloud import PointCloud


def recon(*words: object):
    return CliRunner().invoke(app, ["mesh", *map(str, words)])


def test_one_cloud(tmp_path):
    cloud = sphere(600)
    cloud.labels = np.where(cloud.xyz[:, 0] > 0, 1, 2).astype(np.uint8)
    write_ply(tmp_path / "a.ply", cloud)
    (tmp_path / "a.json").write_text(json.dumps({"parts": {"back": 1, "seat": 2}}))
    done = recon(tmp_path / "a.ply", "--out", tmp_path / "a.glb", "--method", "density", "--json")
    assert done.exit_code == 0, done.output
    (record,) = json.loads(done.stdout)
    assert (record["method"], record["watertight"], record["points"]) == ("density", True, 600)
    names = {one.visual.material.name for one in trimesh.load(tmp_path / "a.glb").geometry.values()}
    assert names == {"back", "seat"}
    renamed = ("--parts", "lid,pot", "--method", "density", "--quiet")
    done = recon(tmp_path / "a.ply", "--out", tmp_path / "b.glb", *renamed)
    assert "faces by density, watertight" in done.stdout
    names = {one.visual.material.name for one in trimesh.load(tmp_path / "b.glb").geometry.values()}
    assert names == {"lid", "pot"}


def test_a_folder_with_a_bad_cloud(tmp_path):
    write_ply(tmp_path / "in" / "x" / "a.ply", sphere(300))
    write_ply(tmp_path / "in" / "flat.ply", PointCloud(np.random.default_rng(0).random((99, 3)) * [1, 1, 0]))
    out = tmp_path / "out"
    dry = recon(tmp_path / "in", "--out", out, "--dry-run")
    assert dry.exit_code == 0
    assert "2 clouds" in dry.stdout
    assert not out.exists()
    done = recon(tmp_path / "in", "--out", out, "--method", "density", "--quiet")
    assert done.exit_code == 3
    assert "in a plane" in done.output
    assert [path.relative_to(out).as_posix() for path in out.rglob("*.glb")] == ["x/a.glb"]


@pytest.mark.parametrize(
    ("cloud", "out", "message"),
    [
        ("none.ply", "a.glb", "does not exist"),
        ("a.ply", "a.stl", "ends in"),
        ("a.ply", "a.ply", "cloud itself"),
        (".", "a.glb", "names a folder"),
        ("empty", "out", "holds no .ply"),
    ],
)
def test_bad_paths(tmp_path, cloud, out, message):
    write_ply(tmp_path / "a.ply", sphere(60))
    (tmp_path / "empty").mkdir()
    with pytest.raises((InputError, ConfigError), match=message):
        plan(tmp_path / cloud, tmp_path / out)
